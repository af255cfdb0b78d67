"""The one file with a socket: HTTP/1.1 over asyncio and the httptools parser, feeding a `Responder`.

It keeps header octets, case, order and repetition as they come, and knows nothing of OBS: a `Responder` is the storage
service or the key service.

What it promises: `100 Continue` is sent only when the body will be read; a request refused before its body gets its
final status alone, and the connection is closed if the client was asked to wait or a long body would follow; anything
malformed is answered with 400 or a closed connection (both length headers, RFC 9112 6.1, are refused by the parser).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, cast

import httptools

from reference_server.access_log import Carried
from reference_server.errors import DamagedStateError
from reference_server.wire import Head, Headers, Response, decode_octets, encode_octets

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from reference_server.access_log import AccessLog, Told

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADER_LINES = 200
MAX_DISCARDED_BYTES = 1024 * 1024
"""How much of an unwanted body is read over to keep a connection; a longer one costs the connection."""

RECEIVE_BYTES = 256 * 1024
"""How much is taken from a socket at once."""

FAIR_SHARE = 1024 * 1024
"""How much of one answer is written before others have their turn."""

LINGER_S = 2.0
SWEEP_S = 1.0


class Exchange(Protocol):
    """A request whose body is wanted. Feed it, then finish it; or abort it."""

    def feed(self, data: bytes) -> Response | None:
        """More of the body; an answer already now means that the rest is not wanted."""

    def finish(self) -> Iterator[Response | None]:
        """The answer, after any number of None from operations that take long."""

    def abort(self) -> None:
        """The body will never be complete."""


class Responder(Protocol):
    """What is behind the socket."""

    def open(self, head: Head) -> Response | Exchange:
        """As much of a request as its head allows: an answer, or an exchange that wants the body."""

    def malformed(self, message: str, *, status_code: str = "BadRequest") -> Response:
        """The answer to bytes that are no request at all."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds a client may take: for a head, for the next piece of a body either way, between requests."""

    head_s: float = 30.0
    body_s: float = 60.0
    idle_s: float = 120.0


_REASONS = {status.value: status.phrase for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_UNSAFE = str.maketrans("\r\n\0", "   ")


def render_head(response: Response, *, close: bool) -> bytes:
    """The status line and header lines of an answer."""
    reason = response.reason or _REASONS.get(response.status, "")
    lines = [f"{name}: {value}" for name, value in response.headers]
    text = "\r\n".join(lines)
    breaks = max(len(lines) - 1, 0)
    if text.count("\r") != breaks or text.count("\n") != breaks or "\0" in text:
        text = "\r\n".join([line.translate(_UNSAFE) for line in lines])
    separator = "\r\n" if lines else ""
    last = "\r\nConnection: close" if close else ""
    return encode_octets(f"HTTP/1.1 {response.status} {reason}{separator}{text}{last}\r\n\r\n")


class Connection(asyncio.BufferedProtocol):
    """One client connection: requests one after the other, pipelined ones waiting their turn.

    Bytes arrive in a buffer that all connections share: what is in it is parsed, or copied, before anybody else reads.
    """

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._service = server.service
        self._log = server.log
        self._patience = server.patience
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._secure = False
        self._peer = ""
        self._waiting: deque[bytes] = deque()
        self._pipelined: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._begin_request()
        self._closing = False
        self._busy = False
        self._writable = True
        self._replaying = False
        self._paused = False
        self._ended = False
        self._steps: Iterator[Response | None] | None = None
        self._body: Iterator[bytes] | None = None
        self._lingering = False
        self._told: Told | None = None
        self.deadline = self._loop.time() + self._patience.head_s

    def _begin_request(self) -> None:
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._head_bytes = 0
        self._in_head = True
        self._head: Head | None = None
        self._exchange: Exchange | None = None
        self._answered = False
        self._complete = False
        self._discarded = 0
        self._received = 0
        self._sent_octets = 0
        self._began = 0.0
        self._keep = True
        self._close_after = False

    # ---- what asyncio calls ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        self._secure = transport.get_extra_info("sslcontext") is not None
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone; an upload that was not complete leaves no trace."""
        del exc
        self._server.connections.discard(self)
        self._closing = True
        self._write_line(complete=False)
        if self._exchange is not None:
            self._exchange.abort()
            self._exchange = None
        self._steps = None
        _close(self._body)
        self._body = None
        self._server.connection_is_gone()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        del sizehint
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes from the client; while an answer is being made they wait."""
        if self._closing:
            return
        data = self._server.buffer[:nbytes]
        if self._engaged:
            self._waiting.append(bytes(data))
            if self._transport is not None:
                self._transport.pause_reading()
                self._paused = True
            return
        self._parse(data)

    @property
    def _engaged(self) -> bool:
        """Whether an answer is being made, or has not been taken yet: until then nothing more is looked at."""
        return self._busy or not self._writable

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer is written."""
        self._writable = False

    def resume_writing(self) -> None:
        """Go on with the answer."""
        self._writable = True
        if self._body is not None:
            self._write_on()
        else:
            self._catch_up()

    def eof_received(self) -> bool:
        """The client sends no more; an answer under way is still finished."""
        self._ended = True
        return self._engaged

    # ---- parsing -----------------------------------------------------------------------------------------------------

    def _parse(self, data: bytes | memoryview) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # the request was answered as if it had not asked (RFC 9110, 7.8), and the connection ends with that
        except httptools.HttpParserCallbackError:
            self._refuse_bytes("The request cannot be read.")
        except httptools.HttpParserError as error:
            if not self._closing:
                self._refuse_bytes(f"This is not HTTP/1.1: {error}.")
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self._closing:
            self._refuse_bytes("The head of the request is too large.")

    def _refuse_bytes(self, message: str, code: str = "BadRequest") -> None:
        """Answer what is no request; nothing that follows on this connection can be trusted."""
        if self._busy:
            self._keep, self._close_after = False, True  # the answer under way is finished first
            return
        if self._closing or self._answered:
            self._shut()
            return
        if self._exchange is not None:
            self._exchange.abort()
            self._exchange = None
        self._send(self._service.malformed(message, status_code=code), keep=False)

    def on_message_begin(self) -> None:
        """A new request; everything about the one before is forgotten already."""
        if not self._busy and self._writable and not self._closing:
            self.deadline = self._loop.time() + self._patience.head_s

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        if self._busy or self._closing or not self._writable:
            self._later("on_url", url)
        else:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line; trailers, which come after the head, are not looked at."""
        if self._busy or self._closing or not self._writable:
            self._later("on_header", name, value)
        elif self._in_head:
            self._headers.append((name.decode("latin-1"), decode_octets(value.strip(b" \t"))))

    def _later(self, name: str, *arguments: Any) -> None:  # noqa: ANN401 - whatever the parser says
        """Keep a parser event of a pipelined request until the answer under way is out."""
        if not self._closing:
            self._pipelined.append((name, arguments))

    def on_headers_complete(self) -> None:
        """The head is whole; the parser's answers to questions are those of this moment."""
        method, version = self._parser.get_method().decode("ascii"), self._parser.get_http_version()
        keep = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        if self._busy or self._closing or not self._writable:
            self._later("_open", method, version, keep)
        else:
            self._open(method, version, keep)

    def _open(self, method: str, version: str, keep: bool) -> None:  # noqa: FBT001 - replayed by position
        self._in_head, self._keep = False, keep
        if len(self._headers) > MAX_HEADER_LINES:
            self._refuse_bytes("There are too many header lines.")
            return
        head = Head(method, decode_octets(self._url), Headers(tuple(self._headers)), self._secure, self._peer)
        if len(head.headers.every("host")) != 1 and version != "1.0":
            self._refuse_bytes("A request names its host once (RFC 9112, 3.2).")
            return
        self._head, self._began = head, self._loop.time()
        has_body = head.has_body
        waits = has_body and (head.headers.first("expect") or "").lower() == "100-continue"
        opened = self._service.open(head)
        if not isinstance(opened, Response):
            self._exchange = opened
            if waits and self._transport is not None:
                self._transport.write(_CONTINUE)
            return
        unbounded = has_body and (head.declared_length is None or head.declared_length > MAX_DISCARDED_BYTES)
        self._send(opened, keep=keep and not waits and not unbounded)

    def on_body(self, data: bytes) -> None:
        """A piece of the body, for the exchange or, after an early answer, for nobody."""
        if self._busy or self._closing or not self._writable:
            self._later("on_body", data)
            return
        self.deadline = self._loop.time() + self._patience.body_s
        self._received += len(data)
        if self._exchange is None:
            self._discarded += len(data)
            if self._discarded > MAX_DISCARDED_BYTES:
                self._shut()
            return
        refused = self._exchange.feed(data)
        if refused is not None:
            self._exchange = None
            self._send(refused, keep=False)

    def on_message_complete(self) -> None:
        """The request is whole: make the answer, unless it was given early."""
        if self._busy or self._closing or not self._writable:
            self._later("on_message_complete")
            return
        self._complete = True
        if self._exchange is not None:
            self._steps, self._exchange = self._exchange.finish(), None
            self._busy = True
            self._advance()
        elif self._answered:
            self._next()

    # ---- answering ---------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """One step of an operation that may take long; others have their turn between steps."""
        if self._steps is None:
            return
        self.deadline = self._loop.time() + self._patience.body_s
        response = next(self._steps)
        if response is None:
            self._loop.call_soon(self._advance)
            return
        self._steps, self._busy = None, False
        self._send(response, keep=self._keep)

    def _send(self, response: Response, *, keep: bool) -> None:
        if self._transport is None or self._lingering:
            return
        self._answered = True
        if self._log is not None:
            self._told = self._log.take(response)
        framed = isinstance(response.body, bytes) or response.first("content-length") is not None
        self._close_after = not keep or response.close or not framed
        head = render_head(response, close=self._close_after)
        if isinstance(response.body, bytes):
            self._transport.write(head + response.body)
            self._sent_octets = len(response.body)
            self._sent()
            return
        self._transport.write(head)
        self._body, self._busy = response.body, True
        self._write_on()

    def _write_on(self) -> None:
        """As much of a streamed body as the client takes, at most a fair share at a time."""
        written = 0
        while self._body is not None and self._writable and self._transport is not None:
            self.deadline = self._loop.time() + self._patience.body_s
            try:
                piece = next(self._body, None)
            except (DamagedStateError, OSError):
                self._transport.abort()  # bytes that cannot be vouched for are never sent: the body stays short
                return
            if piece is None:
                self._body, self._busy = None, False
                self._sent()
                return
            self._transport.write(piece)
            written += len(piece)
            self._sent_octets += len(piece)
            if written >= FAIR_SHARE:
                self._loop.call_soon(self._write_on)
                return

    def _sent(self) -> None:
        self._write_line(complete=True)
        if self._close_after:
            self._shut()
        elif self._complete:
            self._next()
        else:
            self._catch_up()

    def _write_line(self, *, complete: bool) -> None:
        """The line of the exchange that ends here, if lines are kept and it has not had one."""
        if self._log is None:
            return
        begun, told = self._exchange is not None or self._steps is not None, self._told
        carried = Carried(
            self._received, self._sent_octets, self._loop.time() - self._began if self._began else 0.0, complete
        )
        if told is not None:
            self._log.write(told, carried, head=self._head, peer=self._peer, secure=self._secure)
        elif begun and self._head is not None:
            self._log.given_up(self._head, carried, peer=self._peer, secure=self._secure)
        self._told = None

    def _next(self) -> None:
        """Ready for the next request."""
        self._begin_request()
        self.deadline = self._loop.time() + self._patience.idle_s
        self._catch_up()

    def _catch_up(self) -> None:
        """Look at what came meanwhile: first what the parser has already seen of it, then what it has not.

        Whatever is found there may lead back here; one loop does it all, so that neither the stack nor the parser is
        entered twice.
        """
        if self._replaying:
            return
        if not (self._pipelined or self._waiting or self._ended or self._paused):
            return
        self._replaying = True
        while (self._pipelined or self._waiting) and not self._engaged and not self._closing:
            if self._pipelined:
                name, arguments = self._pipelined.popleft()
                getattr(self, name)(*arguments)
            else:
                self._parse(self._waiting.popleft())
        self._replaying = False
        if self._engaged or self._closing or self._transport is None:
            return
        if self._ended:
            self._shut()
        else:
            self._transport.resume_reading()
            self._paused = False

    def _shut(self) -> None:
        """Close our side and linger, so that a client still sending reads its answer before it sees a reset."""
        if self._lingering or self._transport is None:
            return
        self._closing = self._lingering = True
        self.deadline = self._loop.time() + (LINGER_S if self._writable else self._patience.body_s)
        if self._transport.can_write_eof() and not self._ended:
            self._transport.write_eof()
        else:
            self._transport.close()

    def expire(self) -> None:
        """The client took too long; one that has begun a request it does not finish is told so."""
        if self._exchange is not None and not self._answered:
            self._refuse_bytes("The request was not sent in time.", "RequestTimeout")
        elif self._transport is not None:
            self._transport.abort()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def close_if_idle(self) -> bool:
        """Close a connection that is between two requests; whether it was."""
        idle = not self._busy and self._exchange is None and not self._headers
        if idle and self._transport is not None:
            self._transport.close()
        return idle


def _close(body: Iterator[bytes] | None) -> None:
    if body is not None and hasattr(body, "close"):
        body.close()


class HttpServer:
    """Listens, and ends connections that take too long."""

    def __init__(self, service: Responder, *, log: AccessLog | None = None, patience: Patience | None = None) -> None:
        self.service = service
        self.log = log
        self.patience = patience or Patience()
        self.connections: set[Connection] = set()
        self.buffer = memoryview(bytearray(RECEIVE_BYTES))
        self._gone = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._hurried = False

    async def start(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> int:
        """Listen; returns the port, which is a free one if 0 was asked for."""
        loop = asyncio.get_running_loop()
        handshake_s = None if tls is None else self.patience.head_s
        self._server = await loop.create_server(
            lambda: Connection(self), host, port, ssl=tls, ssl_handshake_timeout=handshake_s
        )
        self._sweeper = loop.create_task(self._sweep())
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, grace_s: float = 5.0) -> None:
        """Accept nobody new, let requests in flight finish, then close."""
        if self._server is not None:
            self._server.close()
        until = asyncio.get_running_loop().time() + grace_s
        while self.connections and not self._hurried and asyncio.get_running_loop().time() < until:
            self._gone.clear()
            for connection in list(self.connections):
                connection.close_if_idle()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), 0.05)
        if self._sweeper is not None:
            self._sweeper.cancel()  # until here clients that take too long are still sent away
        for connection in list(self.connections):
            connection.abort()

    def hurry(self) -> None:
        """Wait for nobody any more."""
        self._hurried = True
        self._gone.set()

    def connection_is_gone(self) -> None:
        """A connection ended."""
        self._gone.set()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now = asyncio.get_running_loop().time()
            for connection in [connection for connection in self.connections if connection.deadline < now]:
                connection.expire()
