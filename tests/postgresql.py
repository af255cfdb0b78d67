"""A PostgreSQL of a test's own, of the packages that Debian has, on a socket in a temporary folder."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

_PATIENCE_S = 60


def programs():
    """Where initdb and postgres are: on the path, or where Debian keeps one folder for each version."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert folders, "the tests need PostgreSQL: apt-get install postgresql"
    return folders[-1]


@contextlib.contextmanager
def running():
    """Yields a function that makes an empty database and returns its URL."""
    own = {"user": "postgres"} if os.geteuid() == 0 else {}  # the server refuses to run as root
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder, data = Path(name), Path(name) / "data"
        if own:
            shutil.chown(folder, own["user"])
        init = [programs() / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(init, check=True, capture_output=True, cwd=folder, **own)
        options = ("-c", "listen_addresses=", "-c", "fsync=off")
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs() / "postgres", "-D", data, "-k", folder, *options], stderr=log, cwd=folder, **own
            )
        try:
            with connected(server, folder) as connection:
                yield lambda: made(connection, folder)
        finally:
            server.terminate()
            server.wait(_PATIENCE_S)


def connected(server, folder):
    """A connection, as soon as the server takes one."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return psycopg.connect(host=str(folder), user="postgres", autocommit=True)
        except psycopg.OperationalError:
            told = (folder / "log").read_text("utf-8", errors="replace")
            assert server.poll() is None, told
            assert time.monotonic() < until, told
            time.sleep(0.05)


def made(connection, folder):
    """The URL of a database that was not there before."""
    (number,) = connection.execute("SELECT count(*) FROM pg_database").fetchone()
    connection.execute(f"CREATE DATABASE history_{number}")
    return f"postgresql://postgres@/history_{number}?host={folder}"
