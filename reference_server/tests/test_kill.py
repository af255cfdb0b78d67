"""`kill -9` at random moments under mixed load: what was acknowledged is there byte for byte, and nothing by halves.

Servers are forked from one process that has everything imported, so that a hundred of them take seconds; each runs
the command's own `main` from there on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import tomllib
from typing import TYPE_CHECKING, Any

from reference_server.tests.conftest import Server, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KILLS = int(os.environ.get("OBS_TEST_KILLS", "100"))
CLIENTS, NAMES = 3, 6
MIB = 1024 * 1024
KMS = ("x-obs-server-side-encryption", "kms")
ABSENT = ""
"""Stands for the digest of an object that is not there."""

NURSERY = """
import json, os, sys
import reference_server.__main__ as command
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        out = os.open(os.devnull, os.O_RDONLY)
        os.dup2(out, 0)
        os._exit(command.main(json.loads(line)))
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


class Nursery:
    """Starts servers quickly, one at a time."""

    def __init__(self, target_file: Path) -> None:
        self._target_file = target_file
        self.process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.child = 0

    def _say(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, self.process.communicate()[1]
        return line

    def begin(self, data: Path) -> None:
        assert self.process.stdin is not None
        options = ["--data", str(data), "--target-file", str(self._target_file)]
        self.process.stdin.write(json.dumps(options) + "\n")
        self.process.stdin.flush()
        self.child = int(self._say())

    def ready(self) -> Server:
        line = self._say()
        assert line.startswith("http://"), line
        server = Server.__new__(Server)
        server.host, _, port = line.removeprefix("http://").rpartition(":")
        server.port = int(port)
        server.target = tomllib.loads(self._target_file.read_text())
        return server

    def kill(self) -> None:
        os.kill(self.child, signal.SIGKILL)
        while self._say() != "ended":
            pass

    def close(self) -> str:
        """End; what was said on standard error in all that time."""
        return self.process.communicate(timeout=20)[1]


class Ledger:
    """For each object, the digests it may have: one, unless a change was under way when the server died."""

    def __init__(self) -> None:
        self.may_be: dict[str, set[str]] = {}
        self.begun = 0
        self.lock = threading.Lock()

    @contextlib.contextmanager
    def change(self, key: str, digest: str) -> Iterator[None]:
        """A change that leaves the object one way or the other if it is not acknowledged, and this way if it is."""
        with self.lock:
            self.may_be.setdefault(key, {ABSENT}).add(digest)
            self.begun += 1
        yield
        with self.lock:
            self.may_be[key] = {digest}


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def asked(
    wire: Wire, server: Server, method: str, target: str, headers: Any = (), body: bytes = b"", **how: str
) -> Any:
    lines = (*headers, ("Content-Length", str(len(body)))) if body else headers
    wire.send(server.head(method, target, lines, **how) + body)
    answer = wire.answer(method=method)
    if not answer.whole:
        raise EOFError
    return answer


def put(wire: Wire, server: Server, ledger: Ledger, dice: random.Random, key: str, size: int) -> None:
    body = dice.randbytes(size)
    with ledger.change(key, digest(body)):
        assert asked(wire, server, "PUT", f"/bucket/{key}", dice.choice([(), (KMS,)]), body).status == 200


def put_small(wire: Wire, server: Server, ledger: Ledger, dice: random.Random, key: str) -> None:
    put(wire, server, ledger, dice, key, dice.randint(1, 5000))


def put_large(wire: Wire, server: Server, ledger: Ledger, dice: random.Random, key: str) -> None:
    put(wire, server, ledger, dice, key, dice.randint(300_000, 900_000))


def delete(wire: Wire, server: Server, ledger: Ledger, dice: random.Random, key: str) -> None:
    del dice
    with ledger.change(key, ABSENT):
        assert asked(wire, server, "DELETE", f"/bucket/{key}").status == 204


def copy(wire: Wire, server: Server, ledger: Ledger, dice: random.Random, key: str) -> None:
    source = f"source-{dice.choice('ab')}"
    with ledger.lock:
        (there,) = ledger.may_be[source]
    with ledger.change(key, there):
        headers = (("x-obs-copy-source", f"/bucket/{source}"), KMS)
        assert asked(wire, server, "PUT", f"/bucket/{key}", headers).status == 200


def multipart(wire: Wire, server: Server, ledger: Ledger, dice: random.Random, key: str) -> None:
    parts = [dice.randbytes(size) for size in (110_000, 300_000, dice.randint(1, 300_000))]
    begun = asked(wire, server, "POST", f"/bucket/{key}?uploads", (KMS,), sub="uploads")
    upload = re.search(rb"<UploadId>(.*)</UploadId>", begun.body)
    assert upload is not None
    upload_id, listed = upload[1].decode(), ""
    for number, part in enumerate(parts, 1):
        sub = f"partNumber={number}&uploadId={upload_id}"
        stored = asked(wire, server, "PUT", f"/bucket/{key}?{sub}", (), part, sub=sub)
        listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{stored.first('etag')}</ETag></Part>"
    sub = f"uploadId={upload_id}"
    document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    with ledger.change(key, digest(b"".join(parts))):
        answer = asked(wire, server, "POST", f"/bucket/{key}?{sub}", (), document, sub=sub)
        assert answer.status == 200, answer.body


WORK: tuple[Callable[[Wire, Server, Ledger, random.Random, str], None], ...] = (
    put_small,
    put_small,
    put_small,
    put_large,
    delete,
    copy,
    multipart,
)


def load(server: Server, ledger: Ledger, seed: int, client: int, failures: list[BaseException]) -> None:
    """One client at work on names of its own until the server is gone."""
    dice = random.Random(f"{seed}/{client}")
    try:
        wire = server.wire()
        while True:
            dice.choice(WORK)(wire, server, ledger, dice, f"{client}-{dice.randrange(NAMES)}")
    except (OSError, EOFError):
        pass
    except BaseException as error:  # noqa: BLE001 - told by the test itself
        failures.append(error)


def settle(server: Server, ledger: Ledger) -> None:
    """Compare all that is there with the ledger, which thereby becomes certain again."""
    wire = server.wire()
    listed = asked(wire, server, "GET", "/bucket")
    names = set(re.findall(r"<Key>(.*?)</Key>", listed.body.decode()))
    assert names <= set(ledger.may_be)
    for key, may_be in ledger.may_be.items():
        got = asked(wire, server, "GET", f"/bucket/{key}")
        assert got.status in (200, 404), got.body
        found = digest(got.body) if got.status == 200 else ABSENT
        assert found in may_be, (key, got.status, len(got.body))
        assert (key in names) == (found != ABSENT)
        ledger.may_be[key] = {found}


def blobs_known_to(data: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(f"file:{data / 'server.db'}?mode=ro", uri=True)) as database:
        return {blob for (blob,) in database.execute("SELECT blob FROM blobs")}


def test_first_start_can_be_killed_at_any_moment(tmp_path: Path) -> None:
    dice, nursery = random.Random(3), Nursery(tmp_path / "target.toml")
    for number in range(15):
        data = tmp_path / f"data-{number}"
        for _ in range(3):
            nursery.begin(data)
            time.sleep(dice.uniform(0, 0.03))
            nursery.kill()
        nursery.begin(data)
        server = nursery.ready()
        wire = server.wire()
        assert asked(wire, server, "PUT", "/bucket").status == 200
        assert asked(wire, server, "PUT", "/bucket/o", (KMS,), b"x").status == 200
        Wire.close_all()
        nursery.kill()
        with contextlib.closing(sqlite3.connect(data / "server.db")) as database:
            assert database.execute("SELECT count(*) FROM identities").fetchone() == (3,)
            assert database.execute("SELECT count(*) FROM master_keys").fetchone() == (9,)
        assert {path.name for path in data.iterdir()} <= {
            "blobs",
            "lock",
            "root.key",
            "server.db",
            "server.db-shm",
            "server.db-wal",
        }
    assert nursery.close() == ""


def test_acknowledged_objects_survive_a_hundred_kills(tmp_path: Path) -> None:
    seed = int(os.environ.get("OBS_TEST_SEED") or random.SystemRandom().randrange(10**6))
    sys.stdout.write(f"OBS_TEST_SEED={seed}\n")
    dice, ledger = random.Random(seed), Ledger()
    data, failures = tmp_path / "data", []
    nursery = Nursery(tmp_path / "target.toml")
    unsettled = 0
    for kill in range(KILLS):
        nursery.begin(data)
        if kill % 10 == 9:  # killed while it starts, before anybody is served
            time.sleep(dice.uniform(0, 0.03))
            nursery.kill()
            nursery.begin(data)
        server = nursery.ready()
        if kill == 0:
            wire = server.wire()
            assert asked(wire, server, "PUT", "/bucket").status == 200
            put(wire, server, ledger, dice, "source-a", 2000)
            put(wire, server, ledger, dice, "source-b", 400_000)
        assert {path.name for path in data.glob("blobs/*/*")} == blobs_known_to(data)
        settle(server, ledger)
        begun = ledger.begun
        clients = [
            threading.Thread(target=load, args=(server, ledger, seed + kill, client, failures))
            for client in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        until = time.monotonic() + 20
        while ledger.begun == begun and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.08))
        nursery.kill()
        for client in clients:
            client.join(20)
        Wire.close_all()
        assert failures == []
        assert ledger.begun > begun
        unsettled += any(len(may_be) > 1 for may_be in ledger.may_be.values())
    nursery.begin(data)
    settle(nursery.ready(), ledger)
    nursery.kill()
    assert nursery.close() == ""
    # The load was real: every life began changes, and many were cut off in the middle of one.
    assert unsettled > KILLS * 0.2
