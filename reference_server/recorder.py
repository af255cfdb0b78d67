"""A recording of what clients send and are answered: one entry of HAR 1.2 for each exchange, a line each.

What an entry may say is decided here: signatures, tokens and customer keys are asterisks, as many as there were
characters, wherever they stood. Bodies are kept while they are small and no form, which would carry its signature. This
module does not know sockets nor what any request means; lines go to whoever takes text.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from reference_server.dates import iso_date
from reference_server.wire import Response, host_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reference_server.http_server import Exchange, Responder
    from reference_server.wire import Head, Pairs

MAX_BODY = 64 * 1024
_SECRET_HEADERS = re.compile(r"cookie|token|secret|password|customer-key$", re.ASCII)
_SECRET_PARAMETERS = re.compile(r"signature|token|secret|password|customer-key$", re.ASCII)
_OLD_STYLE = re.compile(r"([A-Za-z0-9]+ +[^:,=\s]*:)(.*)", re.ASCII | re.DOTALL)
_NEW_STYLE = re.compile(r"(?<=Signature=)[^,\s]*", re.ASCII)


@dataclass(slots=True)
class _Told:
    """What is known of one exchange so far."""

    head: Head
    began: float
    body: bytearray = field(default_factory=bytearray)
    size: int = 0

    def take(self, data: bytes) -> None:
        self.size += len(data)
        self.body += data[: max(MAX_BODY + 1 - len(self.body), 0)]


class Recorder:
    """Stands before a service and writes down every exchange that gets an answer."""

    def __init__(self, inner: Responder, write: Callable[[str], object], now: Callable[[], float]) -> None:
        self._inner = inner
        self._write = write
        self._now = now

    def open(self, head: Head) -> Response | Exchange:
        """As the service; an exchange is written down when it is answered."""
        told = _Told(head, self._now())
        outcome = self._inner.open(head)
        return self.answered(told, outcome) if isinstance(outcome, Response) else _Recorded(self, told, outcome)

    def malformed(self, message: str, *, status_code: str = "BadRequest") -> Response:
        """As the service; what is no request cannot be an entry."""
        return self._inner.malformed(message, status_code=status_code)

    def answered(self, told: _Told, response: Response) -> Response:
        """Write an exchange down and hand its answer on, the same one."""
        document = entry(told.head, told.began, bytes(told.body), told.size, response, self._now())
        self._write(json.dumps(document, separators=(",", ":")) + "\n")
        return response


class _Recorded:
    """An exchange whose body is looked at as it passes."""

    def __init__(self, recorder: Recorder, told: _Told, inner: Exchange) -> None:
        self._recorder = recorder
        self._told = told
        self._inner = inner

    def feed(self, data: bytes) -> Response | None:
        """More of the body."""
        self._told.take(data)
        refused = self._inner.feed(data)
        return None if refused is None else self._recorder.answered(self._told, refused)

    def finish(self) -> Iterator[Response | None]:
        """The answer, after any number of None."""
        for response in self._inner.finish():
            yield None if response is None else self._recorder.answered(self._told, response)

    def abort(self) -> None:
        """There was no answer."""
        self._inner.abort()


def entry(  # noqa: PLR0913, PLR0917 - the two halves of an exchange and its times
    head: Head, began: float, body: bytes, size: int, response: Response, ended: float
) -> dict[str, Any]:
    """One exchange as a HAR entry."""
    target = shown_target(head.target)
    path = target if target.startswith("/") else "/" + target.partition("://")[2].partition("/")[2]
    milliseconds = round((ended - began) * 1000, 3)
    return {
        "startedDateTime": iso_date(began),
        "time": milliseconds,
        "request": {
            "method": head.method,
            "url": f"{'https' if head.secure else 'http'}://{host_of(head)}{path}",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _named(shown_headers(head.headers.pairs)),
            "queryString": _named(tuple(_parameters(path))),
            "headersSize": -1,
            "bodySize": size,
            **({"postData": _content(body, size, head.headers.first("content-type") or "")} if size else {}),
        },
        "response": {
            "status": response.status,
            "statusText": response.reason,
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _named(response.headers),
            "content": _answer_content(response, head.method),
            "redirectURL": response.first("location") or "",
            "headersSize": -1,
            "bodySize": -1,
        },
        "cache": {},
        "timings": {"send": 0, "wait": milliseconds, "receive": 0},
    }


def _answer_content(response: Response, method: str) -> dict[str, Any]:
    kind = response.first("content-type") or ""
    if isinstance(response.body, bytes):
        return _content(response.body, len(response.body), kind) | {"size": len(response.body)}
    size = 0 if method == "HEAD" else int(response.first("content-length") or 0)
    return {"size": size, "mimeType": kind, "comment": "streamed, not kept"}


def _content(body: bytes, size: int, kind: str) -> dict[str, Any]:
    """A body as text where it is text, else as Base64; a large one and a form are told by their size alone."""
    if size > MAX_BODY or kind.lower().startswith(("multipart/form-data", "application/x-www-form-urlencoded")):
        return {"mimeType": kind, "text": "", "comment": f"{size} bytes, not kept"}
    try:
        return {"mimeType": kind, "text": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"mimeType": kind, "text": base64.b64encode(body).decode(), "encoding": "base64"}


def _named(pairs: Pairs) -> list[dict[str, str]]:
    return [{"name": _printable(name), "value": _printable(value)} for name, value in pairs]


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _parameters(path: str) -> Iterator[tuple[str, str]]:
    for piece in filter(None, path.partition("?")[2].split("&")):
        name, _, value = piece.partition("=")
        yield unquote(name), unquote(value)


def shown_headers(pairs: Pairs) -> Pairs:
    """Header lines without their secrets."""
    return tuple((name, _shown(name.lower(), value)) for name, value in pairs)


def _shown(name: str, value: str) -> str:
    if name in {"authorization", "proxy-authorization"}:
        return shown_authorization(value)
    return _stars(value) if _SECRET_HEADERS.search(name) else value


def shown_authorization(value: str) -> str:
    """An Authorization header without its signature, in either of the styles in use; any other is starred whole."""
    if _NEW_STYLE.search(value):
        return _NEW_STYLE.sub(lambda found: _stars(found[0]), value)
    old = _OLD_STYLE.fullmatch(value)
    return _stars(value) if old is None else old[1] + _stars(old[2])


def shown_target(target: str) -> str:
    """A target without the values of the parameters that are secrets."""
    path, question, query = target.partition("?")
    return _printable(path + question + "&".join(map(_shown_parameter, query.split("&"))))


def _shown_parameter(piece: str) -> str:
    name, equals, value = piece.partition("=")
    return f"{name}={_stars(unquote(value))}" if equals and _SECRET_PARAMETERS.search(unquote(name).lower()) else piece


def _stars(text: str) -> str:
    return "*" * len(text)
