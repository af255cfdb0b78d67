"""A Redis of a test's own, of Debian's package: on loopback, with a password, writing nothing to a disk."""

import contextlib
import shutil
import subprocess
import time

from commands import free_port
from redis import Redis, RedisError

_PATIENCE_S = 60


@contextlib.contextmanager
def running(password, log):
    """Yields the port."""
    program = shutil.which("redis-server")
    assert program, "the tests need Redis: apt-get install redis-server"
    port = free_port()
    words = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", password)
    with log.open("wb") as told:
        server = subprocess.Popen([program, *words], stdout=told, stderr=told, cwd=log.parent)
    try:
        client = Redis(port=port, password=password)
        until = time.monotonic() + _PATIENCE_S
        while not answers(client):
            assert server.poll() is None, log.read_text("utf-8", errors="replace")
            assert time.monotonic() < until
            time.sleep(0.02)
        client.close()
        yield port
    finally:
        server.kill()
        server.wait(_PATIENCE_S)


def answers(client):
    try:
        return client.ping()
    except RedisError:
        return False
