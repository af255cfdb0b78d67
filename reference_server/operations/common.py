"""What several operations share: small bodies, checksums, object headers, and the way to and from encryption.

This module does not know any single operation, and spells no encryption header.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from reference_server.dates import http_date, iso_date
from reference_server.dialect import understood_document
from reference_server.errors import ObsError
from reference_server.grants import grants_of
from reference_server.state.bodies import BodyWriter, StoredBody
from reference_server.state.records import BucketRecord, Grant, ObjectRecord
from reference_server.wire import Headers, Pairs, Response

if TYPE_CHECKING:
    from reference_server.encryption import Encryption, Envelope, Occasion, Wish
    from reference_server.world import Call

MAX_UPLOAD = 5 * 1024**3
"""PUT, POST, append and a part carry at most 5 GB (obs_04_0115, EntityTooLarge)."""

MAX_DOCUMENT = 1024 * 1024
"""No document of the API is larger: 10,000 parts of a complete request need less than half of it."""

MAX_METADATA = 8 * 1024
META = "x-obs-meta-"
DEFAULT_TYPE = "binary/octet-stream"
STORAGE_CLASSES = ("STANDARD", "WARM", "COLD")

_CANONICAL = {
    "content-type": "Content-Type",
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
    "expires": "Expires",
    "x-obs-website-redirect-location": "x-obs-website-redirect-location",
}
"""What an upload says about its object that is said again when it is read, metadata aside (obs_04_0080, 0083)."""

_OBJECTS_LACK = (
    "x-obs-expires",
    "x-obs-tagging",
    "x-obs-object-lock-mode",
    "x-obs-object-lock-retain-until-date",
    "x-obs-object-lock-legal-hold",
    "x-obs-persistent-headers",
)
BUCKETS_LACK = ("x-obs-fs-file-interface", "x-obs-bucket-object-lock-enabled")

Step = Iterator[Response | None]


def xml_response(body: bytes, headers: Pairs = (), status: int = 200) -> Response:
    """A response with a document."""
    return Response(status, (*headers, ("Content-Type", "application/xml")), body)


class Document:
    """A receiver for a small body, which is then handed over whole."""

    def __init__(
        self,
        call: Call,
        then: Callable[[bytes], Response],
        *,
        limit: int = MAX_DOCUMENT,
        code: str = "EntityTooLarge",
    ) -> None:
        self._then = then
        self._foreign = call.head.foreign is not None
        self._limit = limit
        self._code = code
        self._body = bytearray()
        self._md5 = content_md5(call.head.headers)
        if (call.head.declared_length or 0) > limit:
            raise ObsError(code)

    def feed(self, data: bytes) -> None:
        """More of the body."""
        if len(self._body) + len(data) > self._limit:
            raise ObsError(self._code)
        self._body += data

    def finish(self) -> Response:
        """Check the digest and hand over."""
        body = bytes(self._body)
        if self._md5 is not None:
            check_md5(self._md5, hashlib.md5(body, usedforsecurity=False).digest())
        return self._then(understood_document(body) if self._foreign else body)

    def abort(self) -> None:
        """Nothing has been done yet."""


def content_md5(headers: Headers) -> bytes | None:
    """The digest a Content-MD5 names, or None (InvalidDigest if it is none)."""
    text = headers.first("content-md5")
    if text is None:
        return None
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ObsError("InvalidDigest") from error
    if len(digest) != hashlib.md5(usedforsecurity=False).digest_size:
        raise ObsError("InvalidDigest")
    return digest


def check_md5(wanted: bytes, got: bytes) -> None:
    """Content-MD5 is verified under every method of encryption (section 5.5: so say the newer editions)."""
    if not hmac.compare_digest(wanted, got):
        raise ObsError("BadDigest")


def check_declared_length(call: Call) -> None:
    """Refuse a body that is announced to be too large before any of it is read."""
    if (call.head.declared_length or 0) > MAX_UPLOAD:
        raise ObsError("EntityTooLarge")


# ---- object headers ------------------------------------------------------------------------------------------------


def object_headers(fields: Headers) -> Pairs:
    """The headers (or form fields) of an upload that stay with the object."""
    kept: list[tuple[str, str]] = []
    for name, canonical in _CANONICAL.items():
        value = fields.first(name)
        if value is not None:
            kept.append((canonical, value))
    meta = [(name, fields.joined(name) or "") for name in fields.names() if name.startswith(META)]
    if sum(len(name) + len(value) for name, value in meta) > MAX_METADATA:
        raise ObsError("MetadataTooLarge")
    return (*kept, *meta)


@dataclass(frozen=True, slots=True)
class Labels:
    """What an upload says about its object besides the bytes and their encryption."""

    headers: Pairs
    storage_class: str
    grants: tuple[Grant, ...]


def refuse_lacking(fields: Headers, names: tuple[str, ...] = _OBJECTS_LACK) -> None:
    """Refuse what the vendor's clients can ask for and nothing here does: storing and not doing it would be a lie."""
    for name in names:
        if fields.first(name) is not None:
            raise ObsError("ServiceNotImplemented", f"{name} is not implemented here.")


def labels_of(fields: Headers, bucket: BucketRecord) -> Labels:
    """The labels in headers or form fields; the storage class is the bucket's unless said otherwise."""
    refuse_lacking(fields)
    storage_class = storage_class_of(fields) or bucket.storage_class
    return Labels(object_headers(fields), storage_class, grants_of(fields, bucket_owner=bucket.domain_id))


def storage_class_of(fields: Headers) -> str:
    """The storage class an upload asks for, or nothing; values outside the documented three are refused."""
    value = fields.first("x-obs-storage-class")
    if value is not None and value not in STORAGE_CLASSES:
        raise ObsError("InvalidArgument", "x-obs-storage-class must be STANDARD, WARM or COLD.")
    return value or ""


def described(record: ObjectRecord) -> Pairs:
    """The response headers that describe an object, apart from its length and its encryption."""
    headers = record.headers
    if "Content-Type" not in dict(headers):
        headers = (("Content-Type", DEFAULT_TYPE), *headers)
    found: list[tuple[str, str]] = [
        ("ETag", quoted(record.etag)),
        ("Last-Modified", http_date(record.modified)),
        ("Accept-Ranges", "bytes"),
        *headers,
    ]
    if record.storage_class != "STANDARD":
        found.append(("x-obs-storage-class", record.storage_class))
    if record.appendable:
        found += [("x-obs-object-type", "Appendable"), ("x-obs-next-append-position", str(record.size))]
    return tuple(found)


def quoted(etag: str) -> str:
    """An ETag as it stands in headers and documents: strong and in double quotes (S-43)."""
    return f'"{etag}"'


def modified_text(seconds: float) -> str:
    """LastModified as documents spell it."""
    return iso_date(seconds)


def named(key: str, *, encoded: bool) -> str:
    """An object name as documents show it, percent-encoded if that was asked for (`encoding-type=url`)."""
    return quote(key, safe="/") if encoded else key


def location_of(call: Call) -> str:
    """The URL of the object a call has made, in the style of the request."""
    scheme = "https" if call.head.secure else "http"
    host = call.head.headers.first("host") or call.world.hosts[0]
    bucket = "" if call.address.virtual_host else f"/{call.bucket.name}"
    return f"{scheme}://{host}{bucket}/{quote(call.address.key)}"


# ---- to and from encryption ----------------------------------------------------------------------------------------


def decide(call: Call, occasion: Occasion, wish: Wish) -> Encryption:
    """The encryption of the object this call uploads."""
    world = call.world
    encryption = world.seams.decide(occasion, wish, call.bucket.default, world.keyring, call.caller)
    require_transport(call, encryption)
    return encryption


def require_transport(call: Call, encryption: Encryption) -> None:
    """Where the server insists on HTTPS for encrypted objects (section 3.9, Q-24: no page names status or code)."""
    if not call.world.require_https or encryption.method is None:
        return
    if not call.head.secure:
        raise ObsError("InvalidRequest", "Requests for encrypted objects must be made over HTTPS.")
    if encryption.key is not None and call.head.foreign is not None and call.head.foreign.flavour == "V2":
        raise ObsError("InvalidRequest", "Requests for SSE-KMS objects must be signed with version 4 (S3 manual).")


def fields_of(call: Call, occasion: Occasion, encryption: Encryption) -> Pairs:
    """The response headers of a decision."""
    return call.world.seams.response_fields(occasion, encryption)


class Intake:
    """The body of an object on its way into the store, encrypted as decided."""

    def __init__(self, call: Call, occasion: Occasion, encryption: Encryption, *, md5: bytes | None = None) -> None:
        locked = call.world.seams.lock(encryption, call.world.keyring, call.world.dice)
        data_key: bytes | None
        self._envelope: Envelope | None
        data_key, self._envelope = (None, None) if locked is None else locked
        self._call = call
        self._md5 = md5
        self._writer = body_writer(call, data_key, want_md5=md5 is not None)
        self.fields = fields_of(call, occasion, encryption)

    def feed(self, data: bytes) -> None:
        """More of the body."""
        if self._writer.size + len(data) > MAX_UPLOAD:
            raise ObsError("EntityTooLarge")
        self._writer.feed(data)

    @property
    def size(self) -> int:
        """How much has come so far."""
        return self._writer.size

    def store(self, key: str, labels: Labels, *, appendable: bool = False) -> ObjectRecord:
        """Store the object, once the digest has been found right; it is there whole when this returns."""
        call = self._call
        body = checked(call, self._writer.finish(), self._md5)
        record = ObjectRecord(
            key=key,
            size=body.size,
            etag=call.world.seams.etag(body.digest, body.md5),
            modified=call.world.now(),
            domain_id=call.caller.domain_id,
            owner_id=call.caller.user_id,
            headers=labels.headers,
            storage_class=labels.storage_class,
            envelope=self._envelope,
            grants=labels.grants,
            appendable=appendable,
        )
        record = call.world.seams.keep(call, record)
        call.world.state.objects.put(call.bucket.number, record, (body,))
        return record

    def abort(self) -> None:
        """Forget the body."""
        self._writer.abort()


def body_writer(call: Call, data_key: bytes | None, *, want_md5: bool = False) -> BodyWriter:
    """A writer into the call's store."""
    return BodyWriter(call.world.state.blobs, call.world.dice, data_key=data_key, want_md5=want_md5)


def checked(call: Call, body: StoredBody, md5: bytes | None) -> StoredBody:
    """A finished body that has the digest it was sent with, if any; else it is forgotten and the upload refused."""
    if md5 is not None:
        try:
            check_md5(md5, body.md5 or b"")
        except ObsError:
            call.world.state.blobs.remove([body.blob] if body.blob else [])
            raise
    return body


def etag_of(digest: bytes, md5: bytes | None) -> str:
    """The ETag of a body: its digest in hex; `md5`, known only if it was asked for, is not it under encryption."""
    del md5
    return digest.hex()
