"""Uploads in parts: initiate, part, part copy, list, complete, abort (obs_04_0098 to 0103).

This module does not know how encryption is decided or spelled. It is decided once, at the initiation, for the whole
object: the envelope is kept with the upload, and every part is sealed with the data key that is in it.

Decisions where the documents are silent (numbers are those of the protocol facts):

* Q-14: initiate, part and complete all show mode and key, inherited from the bucket or not (section 3.1).
* Q-16: the fields of SSE-KMS on a part or on complete are ignored; SSE-C must be sent again with every part.
* Q-23: a bucket policy's conditions on `x-obs-` headers are judged by what the initiation said. Parts and complete
  cannot carry those headers, and are judged with the initiation's in their place: what could be initiated can be
  finished, unless the policy has changed meanwhile.
* A part needs the use of the master key like any download; complete does not, it neither seals nor opens anything.
* The object belongs to whoever initiated the upload.
* The ETag of the whole is the MD5 of the parts' ETags with their number behind it (obs_04_0013), also under SSE.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING

from reference_server.access import facts_of_part, said_by_request
from reference_server.documents import Node, children_of, document, leaves_of, read_document
from reference_server.encryption import CUSTOMER, Method, Occasion, customer_key, remembered
from reference_server.errors import ObsError
from reference_server.operations.common import (
    MAX_UPLOAD,
    Document,
    Step,
    body_writer,
    check_declared_length,
    checked,
    content_md5,
    decide,
    fields_of,
    labels_of,
    location_of,
    modified_text,
    named,
    quoted,
    require_transport,
    xml_response,
)
from reference_server.operations.copying import (
    COPY_SOURCE,
    copy_response,
    open_source,
    refuse_announced_body,
    refuse_body,
)
from reference_server.operations.listing import count_parameter, encoder
from reference_server.state.records import ObjectRecord, PartRecord, UploadRecord
from reference_server.wire import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference_server.wire import Query
    from reference_server.world import Call, Outcome

MAX_PARTS = 10_000
MIN_PART = 100 * 1024
"""Every part but the last has at least 100 KB (obs_04_0102), which is read as 102,400 bytes."""

_BEHIND_ALL = "\U0010ffff"
_PAGE = 1000


# ---- initiate ------------------------------------------------------------------------------------------------------


def initiate(call: Call) -> Response:
    """Begin an upload: what the object will be, and how it will be encrypted, is said here and nowhere else."""
    world, headers = call.world, call.head.headers
    _, encoded = encoder(call.query)
    labels = labels_of(headers, call.bucket)
    encryption = decide(call, Occasion.INITIATE, world.seams.wish_of_request(headers, call.query))
    locked = world.seams.lock(encryption, world.keyring, world.dice)
    upload = UploadRecord(
        upload_id=f"{int(world.now() * 1000):016X}{world.dice(8).hex().upper()}",
        key=call.address.key,
        initiated=world.now(),
        domain_id=call.caller.domain_id,
        owner_id=call.caller.user_id,
        headers=labels.headers,
        storage_class=labels.storage_class,
        envelope=None if locked is None else locked[1],
        grants=labels.grants,
        said=tuple(said_by_request(call.head, call.query).items()),
    )
    world.state.uploads.create(call.bucket.number, upload)
    body = document("InitiateMultipartUploadResult", _names(call, upload, encoded=encoded))
    return xml_response(body, fields_of(call, Occasion.INITIATE, encryption))


def _names(call: Call, upload: UploadRecord, *, encoded: bool) -> list[Node]:
    encoding: list[Node] = [("EncodingType", "url")] if encoded else []
    names: list[Node] = [
        ("Bucket", call.bucket.name),
        ("Key", named(upload.key, encoded=encoded)),
        ("UploadId", upload.upload_id),
    ]
    return [*encoding, *names]


def find_upload(call: Call) -> UploadRecord:
    """The upload a call names, for a caller who may do what the call wants (Q-23: see above)."""
    world = call.world
    upload = _known(call)
    facts = facts_of_part(call.head, call.query, world.now(), {} if upload is None else dict(upload.said))
    world.seams.authorize(call, call.operation.action, facts)
    if upload is None:
        raise ObsError("NoSuchUpload")
    return upload


def _known(call: Call) -> UploadRecord | None:
    return call.world.state.uploads.get(call.bucket.number, call.address.key, call.query.first("uploadId") or "")


# ---- parts ---------------------------------------------------------------------------------------------------------


def put_part(call: Call) -> Outcome:
    """A part: a copy if a source is named, else an upload."""
    return CopyPart(call) if call.head.headers.first(COPY_SOURCE) is not None else UploadPart(call)


class PartIntake:
    """The body of a part on its way into the store, sealed with the upload's data key."""

    def __init__(self, call: Call, occasion: Occasion, *, md5: bytes | None = None) -> None:
        self._call = call
        self._md5 = md5
        self._number = _part_number(call.query)
        self._upload = find_upload(call)
        world = call.world
        customer = customer_key(call.head.headers, CUSTOMER)
        encryption, data_key = world.seams.unlock(self._upload.envelope, world.keyring, call.caller, customer)
        if occasion is Occasion.PART or encryption.method is Method.CUSTOMER:  # as the table of section 3.9
            require_transport(call, encryption)
        self.fields = fields_of(call, occasion, encryption)
        self._writer = body_writer(call, data_key, want_md5=md5 is not None)

    def feed(self, data: bytes) -> None:
        """More of the body."""
        if self._writer.size + len(data) > MAX_UPLOAD:
            raise ObsError("EntityTooLarge")
        self._writer.feed(data)

    def store(self) -> PartRecord:
        """Put the part in its place, unless the upload has ended meanwhile."""
        call = self._call
        if _known(call) is None:
            raise ObsError("NoSuchUpload")
        body = checked(call, self._writer.finish(), self._md5)
        part = PartRecord(self._number, body.size, call.world.seams.etag(body.digest, body.md5), call.world.now())
        call.world.state.uploads.put_part(self._upload.upload_id, part, (body,))
        return part

    def abort(self) -> None:
        """Forget the body."""
        self._writer.abort()


def _part_number(query: Query) -> int:
    text = query.first("partNumber") or ""
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(MAX_PARTS)) or not 1 <= int(text) <= MAX_PARTS:
        raise ObsError("InvalidArgument", f"partNumber must be a number from 1 to {MAX_PARTS}.")
    return int(text)


class UploadPart:
    """The receiver of an uploaded part."""

    def __init__(self, call: Call) -> None:
        check_declared_length(call)
        self._intake = PartIntake(call, Occasion.PART, md5=content_md5(call.head.headers))

    def feed(self, data: bytes) -> None:
        """More of the body."""
        self._intake.feed(data)

    def finish(self) -> Response:
        """Store the part."""
        part = self._intake.store()
        return Response(200, (("ETag", quoted(part.etag)), *self._intake.fields))

    def abort(self) -> None:
        """Forget the part."""
        self._intake.abort()


class CopyPart:
    """The receiver of a part's copy, which must not receive anything."""

    def __init__(self, call: Call) -> None:
        refuse_announced_body(call)
        self._call = call
        self._intake = PartIntake(call, Occasion.COPY_PART)
        self._source = open_source(call)
        self._start, self._end = self._range()

    def _range(self) -> tuple[int, int]:
        size = self._source.record.size
        text = self._call.head.headers.first("x-obs-copy-source-range")
        if text is None:
            return 0, size
        wanted = self._call.world.seams.byte_range(text, size)
        if wanted is None:
            raise ObsError("InvalidArgument", "x-obs-copy-source-range must be bytes=first-last.")
        return wanted

    def feed(self, data: bytes) -> None:
        """Refuse any body (obs_04_0115)."""
        refuse_body(data)

    def finish(self) -> Step:
        """Copy piece by piece, so that other requests are served meanwhile."""
        try:
            for piece in self._source.pieces(self._call, self._start, self._end):
                self._intake.feed(piece)
                yield None
        except BaseException:
            self._intake.abort()
            raise
        part = self._intake.store()
        yield copy_response("CopyPartResult", part.etag, modified_text(part.modified), self._intake.fields)

    def abort(self) -> None:
        """Forget what has been copied."""
        self._intake.abort()


# ---- complete and abort --------------------------------------------------------------------------------------------


def complete(call: Call) -> Outcome:
    """Make the object of the parts that the body names."""
    find_upload(call)
    encoder(call.query)
    return Document(call, lambda body: _complete(call, body))


def _complete(call: Call, body: bytes) -> Response:
    upload = _known(call)
    if upload is None:
        raise ObsError("NoSuchUpload")
    world = call.world
    parts = world.seams.choose_parts(_wanted(body), world.state.uploads.parts(upload.upload_id))
    record = ObjectRecord(
        key=upload.key,
        size=sum(part.size for part in parts),
        etag=_whole_etag(call, parts),
        modified=world.now(),
        domain_id=upload.domain_id,
        owner_id=upload.owner_id,
        headers=upload.headers,
        storage_class=upload.storage_class,
        envelope=upload.envelope,
        segments=tuple(segment for part in parts for segment in part.segments),
        grants=upload.grants,
    )
    encryption = remembered(upload.envelope, world.keyring)
    record = world.seams.keep(call, record)
    world.state.objects.put(call.bucket.number, record, upload_id=upload.upload_id)
    _, encoded = encoder(call.query)
    encoding: list[Node] = [("EncodingType", "url")] if encoded else []
    names: list[Node] = [
        ("Location", location_of(call)),
        ("Bucket", call.bucket.name),
        ("Key", named(record.key, encoded=encoded)),
        ("ETag", quoted(record.etag)),
    ]
    result = document("CompleteMultipartUploadResult", [*encoding, *names])
    return xml_response(result, fields_of(call, Occasion.COMPLETE, encryption))


def _wanted(body: bytes) -> list[tuple[int, str]]:
    """The numbers and ETags a complete request names, in its order."""
    root = read_document(body, "CompleteMultipartUpload")
    lines = [leaves_of(child, ("PartNumber", "ETag")) for child in children_of(root, {"Part": True})]
    if not 1 <= len(lines) <= MAX_PARTS or not all({"PartNumber", "ETag"} <= set(leaves) for leaves in lines):
        raise ObsError("MalformedXML", f"Between 1 and {MAX_PARTS} parts are named by PartNumber and ETag.")
    wanted: list[tuple[int, str]] = []
    for leaves in lines:
        text = leaves["PartNumber"]
        if not (text.isascii() and text.isdigit()) or len(text) > len(str(MAX_PARTS)):
            raise ObsError("InvalidPart", f"There is no part {text}.")
        wanted.append((int(text), leaves["ETag"].strip('"')))
    return wanted


def choose_parts(wanted: Sequence[tuple[int, str]], parts: Sequence[PartRecord]) -> Sequence[PartRecord]:
    """The parts a completion names: in rising order, all there with these ETags, all but the last large enough."""
    numbers = [number for number, _ in wanted]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise ObsError("InvalidPartOrder")
    known = {part.number: part for part in parts}
    for number, etag in wanted:
        if number not in known or known[number].etag != etag:
            raise ObsError("InvalidPart", f"Part {number} was not uploaded, or has another ETag.")
    chosen = [known[number] for number in numbers]
    if any(part.size < MIN_PART for part in chosen[:-1]):
        raise ObsError("EntityTooSmall", f"Every part but the last must have at least {MIN_PART} bytes.")
    return chosen


def _whole_etag(call: Call, parts: Sequence[PartRecord]) -> str:
    digests = b"".join(bytes.fromhex(part.etag) for part in parts)
    whole = hashlib.md5(digests, usedforsecurity=False).digest()
    return f"{call.world.seams.etag(whole, whole)}-{len(parts)}"


def abort(call: Call) -> Response:
    """End an upload; its parts are gone."""
    call.world.state.uploads.abort(find_upload(call).upload_id)
    return Response(204)


# ---- lists ---------------------------------------------------------------------------------------------------------


def list_parts(call: Call) -> Response:
    """One page of the parts that have come."""
    upload, query = find_upload(call), call.query
    _, encoded = encoder(query)
    limit = count_parameter(query, "max-parts")
    marker = count_parameter(query, "part-number-marker", limit=MAX_PARTS) if "part-number-marker" in query else 0
    found = call.world.state.uploads.parts(upload.upload_id, after=marker, limit=limit + 1)
    parts = found[:limit]
    children: list[Node] = [
        *_names(call, upload, encoded=encoded),
        ("Initiator", (("ID", upload.domain_id),)),
        ("Owner", (("ID", upload.domain_id),)),
        ("StorageClass", upload.storage_class),
        ("PartNumberMarker", str(marker)),
        ("NextPartNumberMarker", str(parts[-1].number if parts else marker)),
        ("MaxParts", str(limit)),
        ("IsTruncated", "true" if len(found) > limit else "false"),
    ]
    children += [
        (
            "Part",
            (
                ("PartNumber", str(part.number)),
                ("LastModified", modified_text(part.modified)),
                ("ETag", quoted(part.etag)),
                ("Size", str(part.size)),
            ),
        )
        for part in parts
    ]
    return xml_response(document("ListPartsResult", children))


class _UploadsPage:
    """Up to `limit` uploads and common prefixes, and whether there is more."""

    def __init__(self, prefix: str, delimiter: str, key_marker: str, limit: int) -> None:
        self._prefix, self._delimiter, self._limit = prefix, delimiter, limit
        self._passed = self._common(key_marker)
        self.uploads: list[UploadRecord] = []
        self.prefixes: list[str] = []
        self.last = ("", "")
        self.truncated = False

    def _common(self, key: str) -> str:
        rest = key.removeprefix(self._prefix)
        if not self._delimiter or not key.startswith(self._prefix) or self._delimiter not in rest:
            return ""
        return self._prefix + rest.partition(self._delimiter)[0] + self._delimiter

    def add(self, upload: UploadRecord) -> bool:
        """Take an upload in; False when the page is full."""
        common = self._common(upload.key)
        if common and common == self._passed:
            return True
        if len(self.uploads) + len(self.prefixes) == self._limit:
            self.truncated = True
            return False
        if common:
            self.prefixes.append(common)
            self._passed, self.last = common, (common, "")
        else:
            self.uploads.append(upload)
            self.last = (upload.key, upload.upload_id)
        return True


def list_uploads(call: Call) -> Response:
    """One page of the uploads under way in a bucket (obs_04_0097)."""
    query = call.query
    _, encoded = encoder(query)
    limit = count_parameter(query, "max-uploads")
    prefix, delimiter, key_marker, id_marker = (
        query.first(name) or "" for name in ("prefix", "delimiter", "key-marker", "upload-id-marker")
    )
    page = _UploadsPage(prefix, delimiter, key_marker, limit)
    after = (key_marker, id_marker or _BEHIND_ALL) if key_marker else ("", "")
    while limit:
        found = call.world.state.uploads.page(call.bucket.number, prefix=prefix, after=after, limit=_PAGE)
        if not all(page.add(upload) for upload in found) or len(found) < _PAGE:
            break
        after = (found[-1].key, found[-1].upload_id)

    def name(text: str) -> str:
        return named(text, encoded=encoded)

    children: list[Node] = [
        ("Bucket", call.bucket.name),
        ("KeyMarker", name(key_marker)),
        ("UploadIdMarker", id_marker),
        ("Prefix", name(prefix)),
        ("MaxUploads", str(limit)),
        ("IsTruncated", "true" if page.truncated else "false"),
    ]
    if delimiter:
        children.append(("Delimiter", name(delimiter)))
    if encoded:
        children.append(("EncodingType", "url"))
    if page.truncated:
        children += [("NextKeyMarker", name(page.last[0])), ("NextUploadIdMarker", page.last[1])]
    children += [
        (
            "Upload",
            (
                ("Key", name(upload.key)),
                ("UploadId", upload.upload_id),
                ("Initiator", (("ID", upload.domain_id),)),
                ("Owner", (("ID", upload.domain_id),)),
                ("StorageClass", upload.storage_class),
                ("Initiated", modified_text(upload.initiated)),
            ),
        )
        for upload in page.uploads
    ]
    children += [("CommonPrefixes", (("Prefix", name(entry)),)) for entry in page.prefixes]
    return xml_response(document("ListMultipartUploadsResult", children))
