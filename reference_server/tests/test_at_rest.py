"""What lies on disk: nothing of an encrypted object in the clear, and nothing altered is ever given out."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reference_server.tests.conftest import Server

MARKER = b"-- this sentence must not lie on disk in the clear --"
SMALL = MARKER * 100
LARGE = MARKER * 30_000
MODE = "x-obs-server-side-encryption"


def found_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and MARKER in path.read_bytes())


def blob_of(folder: Path) -> Path:
    (blob,) = [path for path in (folder / "blobs").rglob("*") if path.is_file()]
    return blob


def flip(path: Path, offset: int) -> None:
    octets = bytearray(path.read_bytes())
    octets[offset] ^= 1
    path.write_bytes(octets)


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("mode", ["kms", "AES256"])
def test_encrypted_object_is_nowhere_in_the_clear(
    start: Callable[..., Server], tmp_path: Path, mode: str, body: bytes
) -> None:
    data = tmp_path / "data"
    server = start("--data", str(data))
    server.ask("PUT", "/bucket")
    assert server.ask("PUT", "/bucket/o", ((MODE, mode),), body).status == 200
    assert server.ask("PUT", "/bucket/copy", ((MODE, mode), ("x-obs-copy-source", "/bucket/o"))).status == 200
    assert server.ask("GET", "/bucket/copy").body == body
    assert found_in(data) == []
    assert server.stop() == (0, "")
    assert found_in(data) == []


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
def test_plain_object_is_found(start: Callable[..., Server], tmp_path: Path, body: bytes) -> None:
    data = tmp_path / "data"
    server = start("--data", str(data))
    server.ask("PUT", "/bucket")
    assert server.ask("PUT", "/bucket/o", (), body).status == 200
    assert server.stop() == (0, "")
    assert len(found_in(data)) == 1


def test_half_an_encrypted_upload_is_not_in_the_clear_either(start: Callable[..., Server], tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start("--data", str(data))
    server.ask("PUT", "/bucket")
    wire = server.wire()
    wire.send(server.head("PUT", "/bucket/o", ((MODE, "kms"), ("Content-Length", str(len(LARGE))))))
    wire.send(LARGE[:1_000_000])
    while not list((data / "blobs").rglob("*.part")):
        assert server.process.poll() is None
    assert found_in(data) == []
    wire.close()
    while list((data / "blobs").rglob("*.part")):
        assert server.process.poll() is None
    assert server.ask("HEAD", "/bucket/o").status == 404


def test_data_keys_and_master_keys_are_not_on_disk(start: Callable[..., Server], tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start("--data", str(data))
    server.ask("PUT", "/bucket")
    server.ask("PUT", "/bucket/o", ((MODE, "kms"),), SMALL)
    server.stop()
    with sqlite3.connect(data / "server.db") as database:
        sealed = [row[0] for row in database.execute("SELECT sealed FROM master_keys")]
    database.close()
    assert {len(entry) for entry in sealed} == {12 + 32 + 16}  # nonce, key, tag
    assert oct((data / "root.key").stat().st_mode & 0o777) == "0o600"
    assert oct(data.stat().st_mode & 0o777) == "0o700"


@pytest.mark.parametrize("offset", [0, 300_000, 1_000_000, -1])
def test_tampered_large_object_is_an_error_or_short_but_never_wrong(
    start: Callable[..., Server], tmp_path: Path, offset: int
) -> None:
    data = tmp_path / "data"
    server = start("--data", str(data))
    server.ask("PUT", "/bucket")
    server.ask("PUT", "/bucket/o", ((MODE, "kms"),), LARGE)
    flip(blob_of(data), offset)
    got = server.ask("GET", "/bucket/o")
    if got.status == 200:
        assert not got.whole
        assert len(got.body) < len(LARGE)
        assert LARGE.startswith(got.body)
    else:
        assert (got.status, b"<Code>InternalError</Code>" in got.body) == (500, True)
    assert server.ask("HEAD", "/bucket/o").status == 200


def test_cut_off_large_object_is_never_whole(start: Callable[..., Server], tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start("--data", str(data))
    server.ask("PUT", "/bucket")
    server.ask("PUT", "/bucket/o", ((MODE, "kms"),), LARGE)
    blob = blob_of(data)
    blob.write_bytes(blob.read_bytes()[: 4 * (262144 + 16)])
    got = server.ask("GET", "/bucket/o")
    assert LARGE.startswith(got.body) or got.status == 500
    assert got.status == 500 or not got.whole


def test_tampered_small_object_is_an_error(start: Callable[..., Server], tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start("--data", str(data))
    server.ask("PUT", "/bucket")
    server.ask("PUT", "/bucket/o", ((MODE, "kms"),), SMALL)
    server.stop()
    with sqlite3.connect(data / "server.db") as database:
        ((octets,),) = database.execute("SELECT octets FROM bodies").fetchall()
        database.execute("UPDATE bodies SET octets = ?", (octets[:9] + bytes((octets[9] ^ 1,)) + octets[10:],))
    database.close()
    again = start("--data", str(data))
    again.target = server.target
    got = again.ask("GET", "/bucket/o")
    assert (got.status, b"<Code>InternalError</Code>" in got.body) == (500, True)
