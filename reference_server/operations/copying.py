"""Copying objects (obs_04_0082): a new upload whose bytes come from another object.

This module does not know how encryption is decided: the target is an upload like any other, and the source is opened
like any download. Decisions where the documents are silent or contradict each other:

* E-06: the answer has both the XML of obs_04_0082 and the ETag header of the SSE-KMS page's sample.
* Section 3.4: onto itself only with REPLACE, and never from encrypted to plain; a request body is refused.
* Q-12: no encryption fields mean the bucket's default, else plain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from reference_server.access import authorize_on, circumstances
from reference_server.documents import document
from reference_server.encryption import SOURCE_CUSTOMER, Encryption, Occasion, customer_key
from reference_server.errors import ObsError
from reference_server.grants import grants_of
from reference_server.operations.common import (
    Intake,
    Labels,
    Step,
    decide,
    labels_of,
    modified_text,
    quoted,
    refuse_lacking,
    storage_class_of,
    xml_response,
)
from reference_server.operations.objects import PutObject, check_conditions
from reference_server.state.bodies import read_segments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference_server.state.records import BucketRecord, ObjectRecord
    from reference_server.wire import Pairs, Response
    from reference_server.world import Call, Outcome

COPY_SOURCE = "x-obs-copy-source"
_CONDITIONS = "x-obs-copy-source-"
_DIRECTIVE = "x-obs-metadata-directive"


@dataclass(frozen=True, slots=True)
class Source:
    """An object that may be read, opened."""

    bucket: BucketRecord
    record: ObjectRecord
    encryption: Encryption
    data_key: bytes | None

    def pieces(self, call: Call, start: int, end: int) -> Iterator[bytes]:
        """Its plain bytes [start, end)."""
        state = call.world.state
        return read_segments(
            state.blobs, state.objects.read_row, self.record.segments, self.data_key, start=start, end=end
        )


def open_source(call: Call) -> Source:
    """The source a copy names, for a caller who may read it (GetObject on the source, and the use of its key)."""
    bucket_name, key = _source_name(call.head.headers.first(COPY_SOURCE) or "")
    bucket = call.world.state.buckets.get(bucket_name)
    if bucket is None:
        raise ObsError("NoSuchBucket", "The source bucket does not exist.")
    record = call.world.state.objects.get(bucket.number, key)
    authorize_on(call, "GetObject", circumstances(call.head, call.world.now()), bucket, key, record)
    if record is None:
        raise ObsError("NoSuchKey", "The source object does not exist.")
    customer = customer_key(call.head.headers, SOURCE_CUSTOMER)
    world = call.world
    encryption, data_key = world.seams.unlock(record.envelope, world.keyring, call.caller, customer)
    unchanged = check_conditions(call.head.headers, record, prefix=_CONDITIONS)
    if unchanged is not None:
        raise ObsError("PreconditionFailed", details=(("Condition", _CONDITIONS + unchanged.lower()),))
    return Source(bucket, record, encryption, data_key)


def _source_name(text: str) -> tuple[str, str]:
    """Bucket and object of `/bucket/object?versionId=...`; the Node SDK encodes the slash between them as well."""
    path, _, version = text.partition("?versionId=")
    if version not in ("", "null"):
        raise ObsError("NoSuchVersion")
    try:
        bucket, slash, key = unquote_to_bytes(path).decode("utf-8").removeprefix("/").partition("/")
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise ObsError("InvalidArgument", f"{COPY_SOURCE} is not percent-encoded UTF-8.") from error
    if not slash or not bucket or not key:
        raise ObsError("InvalidArgument", f"{COPY_SOURCE} must be /bucket/object.")
    return bucket, key


class CopyObject:
    """The receiver of a copy, which must not receive anything."""

    def __init__(self, call: Call) -> None:
        refuse_announced_body(call)
        self._call = call
        self._source = open_source(call)
        directive = call.head.headers.first(_DIRECTIVE) or "COPY"
        if directive not in ("COPY", "REPLACE"):
            raise ObsError("InvalidArgument", f"{_DIRECTIVE} must be COPY or REPLACE.")
        encryption = decide(call, Occasion.COPY, call.world.seams.wish_of_request(call.head.headers, call.query))
        self._check_onto_itself(directive, encryption)
        self._labels = self._labels_for(directive)
        self._intake = Intake(call, Occasion.COPY, encryption)

    def _check_onto_itself(self, directive: str, encryption: Encryption) -> None:
        source, call = self._source, self._call
        if source.bucket.number != call.bucket.number or source.record.key != call.address.key:
            return
        if directive != "REPLACE":
            raise ObsError("InvalidRequest", f"A copy onto itself needs {_DIRECTIVE}: REPLACE.")
        if source.record.envelope is not None and encryption.method is None:
            raise ObsError("InvalidRequest", "An encrypted object cannot be made plain by a copy onto itself.")

    def _labels_for(self, directive: str) -> Labels:
        headers, bucket = self._call.head.headers, self._call.bucket
        if directive == "REPLACE":
            return labels_of(headers, bucket)
        refuse_lacking(headers)
        storage_class = storage_class_of(headers) or bucket.storage_class
        grants = grants_of(headers, bucket_owner=bucket.domain_id)
        return Labels(self._source.record.headers, storage_class, grants)

    def feed(self, data: bytes) -> None:
        """Refuse any body (obs_04_0115)."""
        refuse_body(data)

    def finish(self) -> Step:
        """Copy piece by piece, so that other requests are served meanwhile."""
        try:
            for piece in self._source.pieces(self._call, 0, self._source.record.size):
                self._intake.feed(piece)
                yield None
        except BaseException:
            self._intake.abort()
            raise
        record = self._intake.store(self._call.address.key, self._labels)
        yield copy_response("CopyObjectResult", record.etag, modified_text(record.modified), self._intake.fields)

    def abort(self) -> None:
        """Nothing has been copied yet."""
        self._intake.abort()


def copy_response(root: str, etag: str, modified: str, fields: Pairs) -> Response:
    """The result document, which alone says that a copy succeeded, and the ETag header beside it (E-06)."""
    body = document(root, (("LastModified", modified), ("ETag", quoted(etag))))
    return xml_response(body, (("ETag", quoted(etag)), *fields))


def refuse_body(data: bytes) -> None:
    """A copy has no body: 400 MaxMessageLengthExceeded (obs_04_0115)."""
    if data:
        raise ObsError("MaxMessageLengthExceeded", "A copy request must not have a body.")


def refuse_announced_body(call: Call) -> None:
    """The same, before any of it is read."""
    if call.head.declared_length:
        refuse_body(b"announced")


def put_object(call: Call) -> Outcome:
    """PUT of an object: a copy if a source is named, else an upload."""
    if call.head.headers.first(COPY_SOURCE) is not None:
        return CopyObject(call)
    return PutObject(call)
