"""Drives the installed commands as a user would."""

import fcntl
import io
import json
import secrets
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from conformance.cli import main

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def from_npm(name):
    """A file or folder out of a package in the version that tests/axe/package-lock.json pins, fetched the first time."""
    folder = ROOT / "tests" / "axe"
    path = folder / "node_modules" / name
    with (folder / "package-lock.json").open() as locked:  # tests run side by side
        fcntl.flock(locked, fcntl.LOCK_EX)
        if not path.exists():
            command = ["npm", "ci", "--ignore-scripts", "--silent", "--prefix", str(folder)]
            subprocess.run(command, check=True, timeout=120)
    return path


NOBODYS = range(20_000, 30_000)
"""Ports that no system gives to a connection that goes out, so that one found free stays free."""


def free_port():
    """A port for a server that cannot be told to choose one itself."""
    return next(filter(_is_free, iter(lambda: secrets.choice(NOBODYS), None)))


def _is_free(port):
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def heed_sigint():
    """For ``preexec_fn``: a test run in the background of a shell hands on an ignored SIGINT, which Python respects."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Outcome:
    """What a command printed and how it ended, with the results it left."""

    def __init__(self, done, out):
        self.code, self.stdout, self.stderr, self.out = done.returncode, done.stdout, done.stderr, out

    @property
    def lines(self):
        return [json.loads(line) for line in (self.out / "results.jsonl").read_text("utf-8").splitlines()]

    @property
    def rungs(self):
        return {line["id"]: line["rung"] for line in self.lines if line["kind"] == "case"}

    @property
    def footer(self):
        return self.lines[-1]


class Done:
    """How a command ended that ran in this process: no time goes into starting another."""

    def __init__(self, arguments):
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                self.returncode = main([str(argument) for argument in arguments])
            except SystemExit as ended:
                self.returncode = ended.code
        self.stdout, self.stderr = out.getvalue(), err.getvalue()


def obs(*arguments):
    """Run the command line in this process."""
    return Done(arguments)


@contextmanager
def reference_server(folder, *arguments):
    """A reference server on a free port; yields its target file and process."""
    target = folder / "server.toml"
    process = subprocess.Popen(
        [BIN / "obs-reference-server", "--target-file", target, "--exit-with-parent", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline().startswith("http")
        yield target, process
    finally:
        process.kill()
        process.communicate()
