"""One HTTP/1.1 exchange over a socket, byte for byte.

Sends exactly the bytes it is given and keeps exactly the bytes that come back; follows no redirect, retries nothing,
repairs nothing. Whatever the other side does is an outcome in words, never an exception. Does not know signing, cases
or what an answer should be.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httptools

from conformance.vocabulary import ANSWERED, NOT_CONNECTED, Exchange, Response, TargetError

if TYPE_CHECKING:
    from conformance.vocabulary import Request, Target

CONTINUE_WAIT_S = 1.0
"""How long the body is held back for a 100; RFC 9110 section 10.1.1 forbids waiting for ever."""
MAX_HEAD = 1 << 20
MAX_BODY = 1 << 24
EVIDENCE = 1 << 16
"""Bytes that are kept of what never became an answer."""
_CONTINUE = 100
_BODILESS = frozenset({204, 304})
_DELIMITING = frozenset({"content-length", "transfer-encoding"})
_NAMED = frozenset({"x-obs-request-id", "x-amz-request-id"})
"""Headers whose value no two answers share."""


@dataclass(slots=True)
class _Answer:
    """What the parser has told so far about one final answer. Its method names are httptools' callbacks."""

    to_head: bool
    status: int = 0
    reason: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    """Of headers, in lower case."""
    body: list[bytes] = field(default_factory=list)
    interim: list[int] = field(default_factory=list)
    size: int = 0
    headed: bool = False
    complete: bool = False
    surplus: bool = False
    parser: httptools.HttpResponseParser | None = None

    def on_message_begin(self) -> None:
        self.surplus = self.complete

    def on_status(self, reason: bytes) -> None:
        if not self.complete:
            self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete:
            text = name.decode("latin-1")
            self.headers.append((text, value.decode("latin-1").strip(" \t")))
            self.names.add(text.lower())

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        self.status = self.parser.get_status_code() if self.parser else 0
        self.headed = True
        final = not 100 <= self.status < 200  # noqa: PLR2004 - the informational class
        self.complete = final and (self.to_head or self.status in _BODILESS)

    def on_body(self, chunk: bytes) -> None:
        if self.complete:
            self.surplus = True
            return
        self.body.append(chunk)
        self.size += len(chunk)

    def on_message_complete(self) -> None:
        if self.complete:
            return
        if 100 <= self.status < 200:  # noqa: PLR2004 - the informational class
            self.interim.append(self.status)
            self.status, self.reason, self.headed = 0, b"", False
            self.headers.clear()
            self.names.clear()
        else:
            self.complete = True

    def delimited(self) -> bool:
        """Whether the answer says where it ends; otherwise the end of the connection does (RFC 9112 section 6.3)."""
        return not self.names.isdisjoint(_DELIMITING)

    def response(self) -> Response:
        return Response(
            self.status,
            self.reason.decode("latin-1"),
            tuple(self.headers),
            b"".join(self.body),
            tuple(self.interim),
        )


class WireTransport:
    """Keep-alive connections to one target, one for each thread that plays."""

    def __init__(self, target: Target) -> None:
        parts = urlsplit(target.endpoint)
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._secure else 80)
        self._timeout = target.timeout_s
        self._context = tls_context(target) if self._secure else None
        self._local = threading.local()
        self._names_differ = False
        self._open: dict[socket.socket, threading.Thread] = {}

    def exchange(self, request: Request) -> Exchange:
        """Send a request and read its answer."""
        started = time.perf_counter()
        try:
            connection = self._connection()
        except OSError as error:
            return Exchange(request, b"", b"", None, f"{NOT_CONNECTED}{error}", 0.0, sent_body=False)
        exchange, reusable = self._exchange_on(connection, request, started)
        if not reusable:
            self._drop(connection)
        return exchange

    def close(self) -> None:
        """Close every connection."""
        while self._open:
            self._open.popitem()[0].close()

    def _connection(self) -> socket.socket:
        kept: socket.socket | None = getattr(self._local, "connection", None)
        if kept is not None:
            if not select.select([kept], [], [], 0)[0]:
                return kept
            self._drop(kept)
        self._drop_of_ended_threads()
        connection = socket.create_connection((self._host, self._port), self._timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_hostname=self._host)
        self._local.connection, self._local.last = connection, None
        self._open[connection] = threading.current_thread()
        return connection

    def _drop(self, connection: socket.socket) -> None:
        connection.close()
        self._local.connection = None
        self._open.pop(connection, None)

    def _drop_of_ended_threads(self) -> None:
        """Nobody will use them again, and an endpoint may bear only so many."""
        for connection, thread in tuple(self._open.items()):
            if not thread.is_alive():
                self._open.pop(connection, None)
                connection.close()

    def _exchange_on(self, connection: socket.socket, request: Request, started: float) -> tuple[Exchange, bool]:
        answer = _Answer(to_head=request.method == "HEAD")
        answer.parser = httptools.HttpResponseParser(answer)
        raw = bytearray()
        held_back = request.expects_continue
        outcome, sent_body = ANSWERED, not held_back
        try:
            if connection.gettimeout() != self._timeout:  # a call costs a system call, most connections need none
                connection.settimeout(self._timeout)
            connection.sendall(request.head if held_back else request.head + request.body)
            if held_back:
                outcome = self._read(connection, answer, raw, until=started + CONTINUE_WAIT_S, interim_ends=True)
                if not answer.complete and outcome in {ANSWERED, _WAITED}:
                    connection.settimeout(self._timeout)
                    connection.sendall(request.body)
                    sent_body, outcome = True, ANSWERED
            if not answer.complete and outcome == ANSWERED:
                outcome = self._read(connection, answer, raw, until=started + self._timeout, interim_ends=False)
        except OSError as error:
            outcome = f"the connection failed: {error}"
        if outcome == ANSWERED:
            outcome = self._distrust(answer, raw)
        head, body = split_raw(bytes(raw if outcome == ANSWERED else raw[:EVIDENCE]), len(answer.interim))
        response = answer.response() if outcome == ANSWERED and answer.complete else None
        return (
            Exchange(
                request,
                head,
                body,
                response,
                outcome,
                (time.perf_counter() - started) * 1000,
                continued=(_CONTINUE in answer.interim) if request.expects_continue else None,
                sent_body=sent_body,
            ),
            response is not None and sent_body and _keeps(answer),
        )

    def _distrust(self, answer: _Answer, raw: bytearray) -> str:
        """Why a complete answer is none to this request; ANSWERED when nothing speaks against it.

        Bytes behind an answer mean that its length is wrong or that it is not the only one; a copy of the last answer
        of the connection, request id and all, was meant for the request before, if the server is one whose request
        ids differ.
        """
        if answer.surplus:
            return f"the answer goes on after its end ({len(raw)} bytes read): its length is wrong, or it came twice"
        now = _request_ids(answer)
        last, self._local.last = getattr(self._local, "last", None), (now, answer.headers)
        if last is not None and now:
            if last[0] and last[0] != now:
                self._names_differ = True
            elif self._names_differ and last[1] == answer.headers:
                return "the answer is a copy of the one before, request id included: it answers another request"
        return ANSWERED

    def _read(
        self, connection: socket.socket, answer: _Answer, raw: bytearray, *, until: float, interim_ends: bool
    ) -> str:
        first = not interim_ends
        while not answer.complete and not (interim_ends and answer.interim):
            # The first wait of an exchange has the whole time-out, which is set: most answers come in one piece.
            left = until - time.perf_counter()
            if left <= 0:
                return _WAITED if interim_ends else f"no complete answer within {self._timeout:g} s"
            if not first:
                connection.settimeout(left)
            first = False
            try:
                data = connection.recv(65536)
            except TimeoutError:
                continue
            if not data:
                return _ended(answer, raw)
            raw += data
            try:
                assert answer.parser is not None  # noqa: S101 - set by the only caller
                answer.parser.feed_data(data)
            except httptools.HttpParserUpgrade:
                answer.complete = True
            except httptools.HttpParserError as error:
                if not answer.complete:
                    return f"the answer is not HTTP/1.1: {error}"
                answer.surplus = True
            if answer.size > MAX_BODY or (not answer.headed and len(raw) > MAX_HEAD):
                return f"the answer is larger than the limit ({len(raw)} bytes read)"
        return ANSWERED


_WAITED = "no answer yet"


def _ended(answer: _Answer, raw: bytearray) -> str:
    if answer.headed and not answer.delimited() and answer.status >= 200:  # noqa: PLR2004 - final statuses
        answer.complete = True
        return ANSWERED
    return f"the connection was closed after {len(raw)} bytes, before the answer was complete"


def _request_ids(answer: _Answer) -> list[str]:
    if answer.names.isdisjoint(_NAMED):
        return []
    return [value for name, value in answer.headers if name.lower() in _NAMED]


def _keeps(answer: _Answer) -> bool:
    framed = answer.delimited() or answer.to_head or answer.status in _BODILESS
    return framed and not ("connection" in answer.names and "close" in _connection_tokens(answer))


def _connection_tokens(answer: _Answer) -> set[str]:
    lines = (value for name, value in answer.headers if name.lower() == "connection")
    return {token.strip().lower() for value in lines for token in value.split(",")}


def split_raw(raw: bytes, interim: int) -> tuple[bytes, bytes]:
    """Head (interim answers first) and body of what was received, as on the wire."""
    end = 0
    for _ in range(interim + 1):
        found = raw.find(b"\r\n\r\n", end)
        if found < 0:
            return raw, b""
        end = found + 4
    return raw[:end], raw[end:]


def tls_context(target: Target) -> ssl.SSLContext:
    """Verification on, the target's own authority and client certificate if it has them.

    :raises TargetError: a file of certificates that cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=target.ca_bundle)
    except OSError as error:
        raise TargetError(f"tls.ca_bundle {target.ca_bundle}: not a PEM file of certificates: {error}") from error
    if target.client_certificate:
        try:
            context.load_cert_chain(target.client_certificate, password="")
        except (OSError, ValueError) as error:
            wanted = "a PEM file with a certificate and its key, without a passphrase"
            raise TargetError(f"tls.client_certificate {target.client_certificate}: not {wanted}: {error}") from error
    return context


def parse_answer(raw: bytes, *, to_head: bool) -> Response:
    """What an exchange would make of these bytes; a body that was cut short is taken as it is."""
    answer = _Answer(to_head=to_head)
    answer.parser = httptools.HttpResponseParser(answer)
    with contextlib.suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
        answer.parser.feed_data(raw)
    return answer.response()
