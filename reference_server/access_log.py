"""The access log: one line of JSON for each request, written when its answer is out or has been given up.

What a line may say is decided here: never a signature, a token, a customer key or an Authorization header, wherever
they stood. Header values are not logged but for User-Agent; of the target, parameters that carry a secret are blanked.
Which of the accepted readings a signature was made for is told, as `signature` names it. This module does not know
sockets; lines go to whoever takes text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from reference_server import signature
from reference_server.dates import iso_date
from reference_server.errors import ObsError
from reference_server.wire import Response, host_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_server.wire import Head
    from reference_server.world import Call, Seams

MAX_TEXT = 2048
"""Longer targets are cut: an object name has up to 1,024 bytes, each of which may be written as three."""

BLANKED = "REDACTED"
_SECRET_WORDS = ("signature", "token", "secret", "password", "credential", "customer-key")


@dataclass(frozen=True, slots=True)
class Told:
    """What a service knows of an answer."""

    response: Response
    head: Head | None
    request_id: str
    operation: str = ""
    caller: str = ""
    error: str = ""
    access_key: str = ""
    signed: str = ""


@dataclass(frozen=True, slots=True)
class Carried:
    """What a connection knows of an exchange: octets of body in and out, seconds, and whether it came to its end."""

    received: int
    sent: int
    seconds: float
    complete: bool


class AccessLog:
    """Takes what services tell of their answers and what connections tell of carrying them."""

    def __init__(self, write: Callable[[str], object], now: Callable[[], float]) -> None:
        self._write = write
        self._now = now
        self._told: Told | None = None
        self._refusal = ""

    def watching(self, seams: Seams) -> Seams:
        """The same server, telling this log of each answer."""

        def refuse(method: str, error: ObsError, body: bytes) -> Response:
            self._refusal = error.code
            return seams.refuse(method, error, body)

        def finish(call: Call | None, response: Response) -> Response:
            finished = seams.finish(call, response)
            self.tell(self._of_call(call, finished))
            return finished

        return replace(seams, refuse=refuse, finish=finish)

    def _of_call(self, call: Call | None, response: Response) -> Told:
        request_id = response.first("x-obs-request-id") or ""
        error, self._refusal = self._refusal, ""
        if call is None:
            return Told(response, None, request_id, error=error)
        claim = _claim(call)
        return Told(
            response,
            call.head if call.head.foreign is None else call.head.foreign.head,
            call.request_id,
            call.operation.name,
            "" if call.caller.anonymous else call.caller.principal,
            error,
            claim.access_key,
            call.caller.reading or claim.kind,
        )

    def tell(self, told: Told) -> None:
        """The newest answer; the connection that carries it takes it before the next one is made."""
        self._told = told

    def take(self, response: Response) -> Told:
        """What was told of the answer a connection begins to carry."""
        told, self._told = self._told, None
        return told if told is not None and told.response is (response.inner or response) else Told(response, None, "")

    def write(self, told: Told, carried: Carried, *, head: Head | None = None, peer: str = "", secure: bool) -> None:
        """One line."""
        self._write(line(told, carried, moment=self._now(), head=told.head or head, peer=peer, secure=secure))

    def given_up(self, head: Head, carried: Carried, *, peer: str, secure: bool) -> None:
        """The line of a request that went away before it could be answered."""
        self.write(Told(Response(0), head, ""), carried, peer=peer, secure=secure)


def _claim(call: Call) -> signature.Claim:
    """How a request claims to have been signed, before anything is believed."""
    try:
        return signature.claim_of(call.head, call.query)
    except ObsError:
        return signature.Claim("unreadable")  # it was refused for that


def line(  # noqa: PLR0913 - all that is known of one exchange
    told: Told, carried: Carried, *, moment: float, head: Head | None, peer: str, secure: bool
) -> str:
    """One exchange as a line of JSON; `ms` runs from the end of the request's head to the end of its answer."""
    fields: dict[str, object] = {
        "time": iso_date(moment),
        "request_id": told.request_id,
        "peer": peer,
        "tls": secure,
        "method": None if head is None else head.method,
        "host": None if head is None else host_of(head),
        "target": None if head is None else shown(head.target),
        "user_agent": None if head is None else head.headers.first("user-agent"),
        "operation": told.operation or None,
        "caller": told.caller or None,
        "access_key": told.access_key or None,
        "signed": told.signed or None,
        "status": told.response.status or None,
        "error": told.error or None,
        "received": carried.received,
        "sent": carried.sent,
        "ms": round(carried.seconds * 1000, 3),
        "complete": carried.complete,
    }
    text = {name: _printable(value) if isinstance(value, str) else value for name, value in fields.items()}
    return json.dumps(text, ensure_ascii=True, separators=(",", ":")) + "\n"


def shown(target: str) -> str:
    """A target without scheme, host and fragment, and without the values of parameters that carry a secret."""
    if not target.startswith("/") and "://" in target:
        target = "/" + target.split("://", 1)[1].partition("/")[2]
    path, question, query = target.partition("#")[0].partition("?")
    return path + question + "&".join(_shown_parameter(piece) for piece in query.split("&"))


def _shown_parameter(piece: str) -> str:
    name, equals, _ = piece.partition("=")
    plain = unquote(name).lower()
    return f"{name}={BLANKED}" if equals and any(word in plain for word in _SECRET_WORDS) else piece


def _printable(text: str) -> str:
    """Text that any JSON reader takes, and not too much of it."""
    clean = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return clean if len(clean) <= MAX_TEXT else clean[:MAX_TEXT] + "..."
