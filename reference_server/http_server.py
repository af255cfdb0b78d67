"""The one file with a socket: HTTP/1.1 over asyncio and the httptools parser, feeding a `Service`.

It keeps header octets, case, order and repetition as they come, and knows nothing of OBS beyond the `Service`.

What it promises: `100 Continue` is sent only when the body will be read; a request refused before its body gets its
final status alone, and the connection is closed if the client was asked to wait or a long body would follow; anything
malformed is answered with 400 or a closed connection (both length headers, RFC 9112 6.1, are refused by the parser).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

import httptools

from reference_server.service import Exchange, Service
from reference_server.wire import Head, Headers, Response, decode_octets, encode_octets

if TYPE_CHECKING:
    import ssl

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADER_LINES = 200
MAX_DISCARDED_BYTES = 1024 * 1024
"""How much of an unwanted body is read over to keep a connection; a longer one costs the connection."""

FAIR_SHARE = 1024 * 1024
"""How much of one answer is written before others have their turn."""

HEAD_TIMEOUT_S = 30.0
BODY_TIMEOUT_S = 60.0
IDLE_TIMEOUT_S = 120.0
LINGER_S = 2.0
SWEEP_S = 1.0

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_UNSAFE = str.maketrans("\r\n\0", "   ")

LogLine = Callable[[Head | None, Response, int, float, str], None]


def render_head(response: Response, *, close: bool) -> bytes:
    """The status line and header lines of an answer."""
    reason = response.reason or _REASONS.get(response.status, "")
    lines = [f"HTTP/1.1 {response.status} {reason}"]
    lines += [f"{name}: {value.translate(_UNSAFE)}" for name, value in response.headers]
    if close:
        lines.append("Connection: close")
    return encode_octets("\r\n".join(lines) + "\r\n\r\n")


class Connection(asyncio.Protocol):
    """One client connection: requests one after the other, pipelined ones waiting their turn."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._service = server.service
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._secure = False
        self._peer = ""
        self._waiting: deque[bytes] = deque()
        self._begin_request()
        self._closing = False
        self._busy = False
        self._writable = True
        self._steps: Iterator[Response | None] | None = None
        self._body: Iterator[bytes] | None = None
        self._unframed = False
        self.deadline = self._loop.time() + HEAD_TIMEOUT_S

    def _begin_request(self) -> None:
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._head_bytes = 0
        self._in_head = True
        self._head: Head | None = None
        self._exchange: Exchange | None = None
        self._answered = False
        self._discarded = 0
        self._received = 0
        self._began = 0.0
        self._keep = True

    # ---- what asyncio calls ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        self._secure = transport.get_extra_info("sslcontext") is not None
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone; an upload that was not complete leaves no trace."""
        del exc
        self._server.connections.discard(self)
        self._closing = True
        if self._exchange is not None:
            self._exchange.abort()
            self._exchange = None
        self._steps = None
        _close(self._body)
        self._body = None
        self._server.connection_is_gone()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client; while an answer is being made they wait."""
        if self._closing:
            return
        if self._busy:
            self._waiting.append(data)
            if self._transport is not None:
                self._transport.pause_reading()
            return
        self._parse(data)

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer is written."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on with the answer."""
        self._writable = True
        if self._body is not None:
            self._write_on()

    def eof_received(self) -> bool:
        """The client sends no more; an answer under way is still finished."""
        return self._busy

    # ---- parsing -----------------------------------------------------------------------------------------------------

    def _parse(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse_bytes("Upgrades and tunnels are not offered here.")
        except httptools.HttpParserCallbackError:
            self._refuse_bytes("The request cannot be read.")
        except httptools.HttpParserError as error:
            if not self._closing:
                self._refuse_bytes(f"This is not HTTP/1.1: {error}.")
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self._closing:
            self._refuse_bytes("The head of the request is too large.")

    def _refuse_bytes(self, message: str, code: str = "BadRequest") -> None:
        """Answer what is no request; nothing that follows on this connection can be trusted."""
        if self._closing or self._answered or self._busy:
            self._shut()
            return
        if self._exchange is not None:
            self._exchange.abort()
            self._exchange = None
        self._send(self._service.malformed(message, status_code=code), keep=False)

    def on_message_begin(self) -> None:
        """A new request."""
        if self._busy or self._closing:
            return
        self._begin_request()
        self._began = self._loop.time()
        self.deadline = self._began + HEAD_TIMEOUT_S

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        if not self._later("on_url", url):
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line; trailers, which come after the head, are not looked at."""
        if not self._later("on_header", name, value) and self._in_head:
            self._headers.append((name.decode("latin-1"), decode_octets(value.strip(b" \t"))))

    def _later(self, *event: object) -> bool:
        """Keep a parser event of a pipelined request until the answer under way is out."""
        if self._closing:
            return True
        if self._busy:
            self._pipelined.append(event)
            return True
        return False
