"""The floor: a PUT's and a GET's whole work on a bare protocol, and nothing of a server.

`asyncio.Protocol` and httptools. A PUT is one HMAC-SHA1 over a string to sign, the MD5 of the body, a fresh data key,
its wrapping under a master key, AES-256-GCM over the body, and one SQLite transaction (WAL, synchronous=NORMAL) with
the sealed body in it. A GET is the signature, one look-up, unwrapping and opening. No routing, no checks, no errors.

`floor.py FOLDER [uvloop]` prints its port when ready. Its secret key is `secret`; what is signed is the target itself.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import sqlite3
import sys
from pathlib import Path

import httptools
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MASTER = AESGCM(os.urandom(32))
NONCE = 12
WRAPPED = NONCE + 32 + 16
SECRET = b"secret"
ANSWER = (
    'HTTP/1.1 200 OK\r\nServer: OBS\r\nx-obs-request-id: 8DF400000163D45AA81D038B6AE4C482\r\nETag: "{etag}"\r\n'
    "x-obs-server-side-encryption: kms\r\nDate: Wed, 06 Jun 2018 09:08:21 GMT\r\nContent-Length: {length}\r\n\r\n"
)


def open_database(folder: Path) -> sqlite3.Connection:
    """The one table there is."""
    database = sqlite3.connect(folder / "floor.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute("CREATE TABLE objects (key TEXT PRIMARY KEY, etag TEXT, wrapped BLOB, body BLOB) WITHOUT ROWID")
    return database


class Floor(asyncio.Protocol):
    """One connection."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """A new request."""
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        """The target."""
        self._url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line."""
        self._headers.append((name.lower(), value))

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        """The whole work."""
        headers = dict(self._headers)
        method = self._parser.get_method()
        own = b"".join(b"%s:%s\n" % pair for pair in sorted(headers.items()) if pair[0].startswith(b"x-obs-"))
        text = (
            b"\n".join(
                (method, headers.get(b"content-md5", b""), headers.get(b"content-type", b""), headers[b"date"], own)
            )
            + self._url
        )
        signature = base64.b64encode(hmac.digest(SECRET, text, "sha1"))
        if not hmac.compare_digest(signature, headers[b"authorization"].rpartition(b":")[2]):
            self._transport.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")  # type: ignore[attr-defined]
            return
        answer = self._put(headers) if method == b"PUT" else self._get()
        self._transport.write(answer)  # type: ignore[attr-defined]

    def _put(self, headers: dict[bytes, bytes]) -> bytes:
        body = b"".join(self._pieces)
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        if base64.b64encode(digest) != headers[b"content-md5"]:
            return b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
        data_key, nonce = os.urandom(32), os.urandom(NONCE)
        wrapped = nonce + MASTER.encrypt(nonce, data_key, b"")
        nonce = os.urandom(NONCE)
        sealed = nonce + AESGCM(data_key).encrypt(nonce, body, None)
        self._database.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", (self._url.decode(), digest.hex(), wrapped, sealed)
        )
        return ANSWER.format(etag=digest.hex(), length=0).encode()

    def _get(self) -> bytes:
        row = self._database.execute("SELECT etag, wrapped, body FROM objects WHERE key = ?", (self._url.decode(),))
        etag, wrapped, sealed = row.fetchone()
        data_key = MASTER.decrypt(wrapped[:NONCE], wrapped[NONCE:], b"")
        body = AESGCM(data_key).decrypt(sealed[:NONCE], sealed[NONCE:], None)
        return ANSWER.format(etag=etag, length=len(body)).encode() + body


async def main(folder: Path) -> None:
    """Serve until killed."""
    database = open_database(folder)
    server = await asyncio.get_running_loop().create_server(lambda: Floor(database), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[2:] == ["uvloop"]:
        import uvloop

        uvloop.run(main(Path(sys.argv[1])))
    else:
        asyncio.run(main(Path(sys.argv[1])))
