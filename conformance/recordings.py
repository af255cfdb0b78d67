"""Traffic that somebody else recorded: HAR 1.2 files, and files with one HAR entry a line.

Knows the HAR format and how an OBS address reads in a URL. Does not judge, and sends nothing.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from conformance.passive import Traffic
from conformance.vocabulary import CaseError, Response

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


_LOOKED_AT = 1 << 20
_FOREIGN = re.compile("x-amz-|awsaccesskeyid")
_HAR = re.compile(r'\s*\{\s*"log"\s*:')


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded exchange and what to call it."""

    name: str
    traffic: Traffic


def read_recording(path: Path, endpoint: str | None = None) -> Iterator[Recorded]:
    """Every exchange of a recording that was made with an OBS endpoint.

    :param endpoint: host name of the endpoint; exchanges with other hosts are left out, and a label before it is a
        bucket. Without it a host that has a label before ``obs.`` is taken for virtual-host style, any other for path
        style.
    :raises CaseError: the file is neither HAR nor lines of HAR entries.
    """
    for number, entry in enumerate(_entries(path), 1):
        try:
            url = urlsplit(str(entry["request"]["url"]))
            kind = _kind(url.hostname or "", url.path, endpoint)
            if kind is not None:
                method = str(entry["request"]["method"]).upper()
                yield Recorded(f"{number}: {method} {url.path}", _traffic(entry, method, kind, url.query))
        except (KeyError, TypeError, ValueError) as error:
            raise CaseError(f"{path}: entry {number} is not a HAR entry: {error!r}; record it again") from error


def in_own_words(recording: Iterable[Recorded], path: Path) -> Iterator[Recorded]:
    """The same exchanges, none of which may speak the S3 dialect: the passive rules would not hear what it says.

    :raises CaseError: a request does, by a header or parameter of that dialect or its signature.
    """
    for recorded in recording:
        traffic = recorded.traffic
        names = (name.lower() for name, _ in (*traffic.headers, *traffic.query))
        if any(value.startswith("AWS") for value in traffic.sent("authorization")) or any(map(_FOREIGN.match, names)):
            raise CaseError(
                f"{path}: entry {recorded.name} speaks the S3 dialect, and the passive rules read OBS's own alone; "
                "--host NAME leaves other hosts out"
            )
        yield recorded


def is_recording(path: Path) -> bool:
    """Whether a file looks like HAR or lines of HAR entries; a results file, or none at all, does not."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.read(_LOOKED_AT)
    except (OSError, UnicodeDecodeError):
        return False
    try:
        entry = json.loads(first.partition("\n")[0])
    except ValueError:
        return path.suffix.lower() == ".har" or bool(_HAR.match(first))
    return isinstance(entry, dict) and ("log" in entry or "startedDateTime" in entry)


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CaseError(f"{path}: cannot be read: {error}") from error
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None
    if isinstance(whole, dict) and isinstance(whole.get("log"), dict):
        yield from whole["log"].get("entries", ())
        return
    for number, line in enumerate(text.splitlines(), 1):
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise CaseError(f"{path}:{number}: neither a HAR file nor a line with a HAR entry: {error}") from error
        yield entry


def _kind(host: str, path: str, endpoint: str | None) -> str | None:
    """The resource a URL addresses, or None if it belongs to another host."""
    if endpoint is not None and host != endpoint and not host.endswith(f".{endpoint}"):
        return None
    virtual = host != endpoint if endpoint is not None else ".obs." in host
    parts = [part for part in path.split("/", 2 - virtual) if part]
    return ("bucket", "object")[bool(parts)] if virtual else ("service", "bucket", "object")[min(len(parts), 2)]


def _traffic(entry: dict[str, Any], method: str, kind: str, query: str) -> Traffic:
    request, answer = entry["request"], entry.get("response") or {}
    at = datetime.fromisoformat(str(entry["startedDateTime"])).timestamp()
    body = _bytes(request.get("postData") or {})
    parameters = tuple(parse_qsl(query, keep_blank_values=True)) if query else ()
    headers = _pairs(request.get("headers", ()))
    status = int(answer.get("status", 0))
    response = None
    if status:
        text = str(answer.get("statusText", ""))
        response = Response(status, text, _pairs(answer.get("headers", ())), _bytes(answer.get("content") or {}))
    return Traffic(method, kind, tuple((unquote(n), v) for n, v in parameters), headers, body, response, at)


def _pairs(headers: Any) -> tuple[tuple[str, str], ...]:  # noqa: ANN401 - JSON
    """Header pairs; the pseudo headers of HTTP/2 are not headers."""
    return tuple((str(pair["name"]), str(pair["value"])) for pair in headers if not str(pair["name"]).startswith(":"))


def _bytes(content: dict[str, Any]) -> bytes:
    text = str(content.get("text", ""))
    return base64.b64decode(text) if content.get("encoding") == "base64" else text.encode()
