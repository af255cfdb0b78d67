"""PUT, GET, HEAD, DELETE of objects (obs_04_0080, 0083, 0084, 0085).

This module does not know how encryption is decided or spelled, nor how bodies are stored.

Decisions where the documents are silent: a PUT whose framing announces no body makes an empty object (E-10; RFC 9112,
6.3: no length and no transfer coding mean no body). HEAD decrypts nothing and therefore works whatever the state of
the key. A `Range` that is no valid single range is ignored, as RFC 9110 (14.2) allows.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from itertools import chain
from typing import TYPE_CHECKING

from reference_server.dates import parse_http_date
from reference_server.encryption import CUSTOMER, CustomerKey, Method, Occasion, customer_key
from reference_server.errors import ObsError
from reference_server.operations.common import (
    Intake,
    check_declared_length,
    content_md5,
    decide,
    described,
    fields_of,
    labels_of,
    quoted,
    require_transport,
)
from reference_server.state.bodies import read_segments
from reference_server.wire import Headers, Pairs, Response, encode_octets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference_server.state.records import ObjectRecord
    from reference_server.world import Call

_RANGE = re.compile(r"bytes=(\d{0,99})-(\d{0,99})", re.ASCII)
_CONDITIONS = frozenset(
    prefix + name
    for prefix in ("", "x-obs-copy-source-")
    for name in ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
)
_OVERRIDES = {
    "response-content-type": "Content-Type",
    "response-content-language": "Content-Language",
    "response-expires": "Expires",
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
}


class PutObject:
    """The receiver of an uploaded object."""

    def __init__(self, call: Call) -> None:
        check_declared_length(call)
        headers = call.head.headers
        self._call = call
        self._labels = labels_of(headers, call.bucket)
        self._sha256 = headers.first("x-obs-content-sha256")
        self._hash = hashlib.sha256() if self._sha256 is not None else None
        md5 = content_md5(headers)
        encryption = decide(call, Occasion.PUT, call.world.seams.wish_of_request(headers, call.query))
        self._intake = Intake(call, Occasion.PUT, encryption, md5=md5)

    def feed(self, data: bytes) -> None:
        """More of the body."""
        if self._hash is not None:
            self._hash.update(data)
        self._intake.feed(data)

    def finish(self) -> Response:
        """Store the object and answer as in the samples: no body, mode and key id in the headers (S-40 to S-49)."""
        self._check_sha256()
        record = self._intake.store(self._call.address.key, self._labels)
        return Response(200, (("ETag", quoted(record.etag)), *self._intake.fields))

    def _check_sha256(self) -> None:
        """CN-MD: the hex SHA-256 of the body, if sent, is verified (section 6.1)."""
        if self._hash is not None and self._sha256 is not None:
            given = encode_octets(self._sha256.lower())
            if not hmac.compare_digest(self._hash.hexdigest().encode(), given):
                raise ObsError("BadDigest", "The body does not have the x-obs-content-sha256 you specified.")

    def abort(self) -> None:
        """Forget the body."""
        self._intake.abort()


def _customer_key(call: Call) -> CustomerKey | None:
    return customer_key(call.head.headers, CUSTOMER)


def get_object(call: Call) -> Response:
    """GET, whole or by range; only the chunks that hold the range are read and decrypted."""
    record = call.target()
    _refuse_versions(call)
    world = call.world
    encryption, data_key = world.seams.unlock(record.envelope, world.keyring, call.caller, _customer_key(call))
    require_transport(call, encryption)
    headers = _with_overrides(call, (*described(record), *fields_of(call, Occasion.GET, encryption)))
    unchanged = check_conditions(call.head.headers, record)
    if unchanged is not None:
        return Response(304, _for_unchanged(headers))
    start, end, status = 0, record.size, 200
    wanted = _wanted_range(call, record)
    if wanted is not None:
        (start, end), status = wanted, 206
        headers = (*headers, ("Content-Range", f"bytes {start}-{end - 1}/{record.size}"))
    pieces = read_segments(
        world.state.blobs, world.state.objects.read_row, record.segments, data_key, start=start, end=end
    )
    body = _whole_or_stream(world.seams.outgoing(pieces))
    return Response(status, (*headers, ("Content-Length", str(end - start))), body)


def head_object(call: Call) -> Response:
    """HEAD: the headers of GET, without the data key being needed."""
    record = call.target()
    _refuse_versions(call)
    world = call.world
    encryption = world.seams.recall(record.envelope, world.keyring, _customer_key(call))
    if encryption.method is Method.CUSTOMER:  # as the table of section 3.9
        require_transport(call, encryption)
    headers = (*described(record), *fields_of(call, Occasion.HEAD, encryption))
    if check_conditions(call.head.headers, record) is not None:
        return Response(304, _for_unchanged(headers))
    return Response(200, (*headers, ("Content-Length", str(record.size))))


def delete_object(call: Call) -> Response:
    """DELETE: 204, whether the object was there or not."""
    _refuse_versions(call)
    call.world.state.objects.delete(call.bucket.number, call.address.key)
    return Response(204)


def _refuse_versions(call: Call) -> None:
    """Buckets here have no versions but the one that is called null."""
    if call.query.first("versionId") not in (None, "null"):
        raise ObsError("NoSuchVersion")


def _whole_or_stream(pieces: Iterator[bytes]) -> bytes | Iterator[bytes]:
    """The first piece is made at once: what is damaged there is an error answer, not a broken-off body."""
    first = next(pieces, b"")
    second = next(pieces, None)
    return first if second is None else chain((first, second), pieces)


def _with_overrides(call: Call, headers: Pairs) -> Pairs:
    """The `response-...` parameters of GET (obs_04_0083); they must be signed, so not everybody may use them."""
    if not call.query.pairs:
        return headers
    changes: dict[str, str] = {}
    for name, header in _OVERRIDES.items():
        value = call.query.first(name)
        if value is not None:
            if call.caller.anonymous:
                raise ObsError("InvalidRequest", f"{name} can only be used in a signed request.")
            if not value.isprintable():
                raise ObsError("InvalidArgument", f"{name} cannot be a header value.")
            changes[header] = value
    kept = tuple((name, value) for name, value in headers if name not in changes)
    return (*kept, *changes.items())


def _for_unchanged(headers: Pairs) -> Pairs:
    return tuple((name, value) for name, value in headers if name in ("ETag", "Last-Modified", "Cache-Control"))


# ---- conditions and ranges -----------------------------------------------------------------------------------------


def check_conditions(headers: Headers, record: ObjectRecord, *, prefix: str = "") -> str | None:
    """Refuse what a condition forbids; the name of the condition if the object is unchanged, else None.

    In the order of RFC 9110, 13.2.2. With a prefix these are the conditions on a copy source.
    """
    if not headers.mentions(_CONDITIONS):
        return None
    if_match = headers.first(f"{prefix}if-match")
    unmodified_since = _moment(headers, f"{prefix}if-unmodified-since")
    if if_match is not None:
        if not _lists(if_match, record.etag):
            raise _precondition("If-Match")
    elif unmodified_since is not None and int(record.modified) > unmodified_since:
        raise _precondition("If-Unmodified-Since")
    if_none_match = headers.first(f"{prefix}if-none-match")
    modified_since = _moment(headers, f"{prefix}if-modified-since")
    if if_none_match is not None:
        return "If-None-Match" if _lists(if_none_match, record.etag) else None
    if modified_since is not None and int(record.modified) <= modified_since:
        return "If-Modified-Since"
    return None


def _precondition(name: str) -> ObsError:
    return ObsError("PreconditionFailed", details=(("Condition", name),))


def _moment(headers: Headers, name: str) -> int | None:
    value = headers.first(name)
    return None if value is None else parse_http_date(value)


def _lists(value: str, etag: str) -> bool:
    """Whether a list of ETags names this one: quoted, unquoted as in the documents, or with the quotes percent-encoded.

    The last is what the Python and the Node SDK make of an ETag that is given to them as they gave it out.
    """
    entries = value.replace("%22", '"').split(",")
    return value.strip() == "*" or etag in [entry.strip().removeprefix("W/").strip('"') for entry in entries]


def _wanted_range(call: Call, record: ObjectRecord) -> tuple[int, int] | None:
    text = call.head.headers.first("range")
    if_range = call.head.headers.first("if-range")
    if text is None or (if_range is not None and not _lists(if_range, record.etag)):
        return None
    try:
        return call.world.seams.byte_range(text, record.size)
    except ObsError as error:
        if error.code == "InvalidRange":
            raise ObsError(error.code, details=(("ActualObjectSize", str(record.size)),)) from error
        raise


def byte_range(text: str, size: int) -> tuple[int, int] | None:
    """The half-open range a Range header asks of so many bytes; None if it is to be ignored (RFC 9110, 14.1.2)."""
    match = _RANGE.fullmatch(text.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start = int(first)
        end = min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise ObsError("InvalidRange")
    return start, end


def outgoing(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of an object on their way out, untouched."""
    return pieces
