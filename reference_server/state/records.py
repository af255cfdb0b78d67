"""The values that are stored: buckets, objects, uploads and the segments their bodies consist of.

This module does not know where or how they are stored.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reference_server.encryption import BucketDefault, Envelope, Method

if TYPE_CHECKING:
    from reference_server.policy import Policy
    from reference_server.wire import Pairs

_METHODS = {method.value: method for method in Method}

EVERYONE = "Everyone"
"""The grantee that stands for all, signed or not (the Canned element of an ACL)."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One line of an ACL: a domain id or EVERYONE, and a permission."""

    grantee: str
    permission: str
    delivered: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a body: in the database (`row`) or in a blob of its own, sealed if there is a prefix."""

    size: int
    row: int = 0
    blob: str = ""
    prefix: bytes = b""


@dataclass(frozen=True, slots=True)
class BucketRecord:
    """A bucket and its configuration; `policy` is the parsed form of `policy_text`."""

    number: int
    name: str
    domain_id: str
    owner_id: str
    created: float
    storage_class: str = "STANDARD"
    default: BucketDefault | None = None
    policy_text: bytes = b""
    policy: Policy | None = None
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """An object; `headers` are those it was uploaded with and is answered with."""

    key: str
    size: int
    etag: str
    modified: float
    domain_id: str
    owner_id: str
    headers: Pairs = ()
    storage_class: str = "STANDARD"
    envelope: Envelope | None = None
    segments: tuple[Segment, ...] = ()
    grants: tuple[Grant, ...] = ()
    appendable: bool = False


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """A multipart upload under way: what its initiation said, for the object to come.

    `said` is what its `x-obs-` headers said, under the names conditions ask for; bucket policies ask for it again when
    parts arrive.
    """

    upload_id: str
    key: str
    initiated: float
    domain_id: str
    owner_id: str
    headers: Pairs = ()
    storage_class: str = "STANDARD"
    envelope: Envelope | None = None
    grants: tuple[Grant, ...] = ()
    said: Pairs = ()


@dataclass(frozen=True, slots=True)
class PartRecord:
    """One uploaded part."""

    number: int
    size: int
    etag: str
    modified: float
    segments: tuple[Segment, ...] = field(default=())


# ---- details: the parts of a record that are read only as a whole ---------------------------------------------------


def _envelope_to_json(envelope: Envelope | None) -> list[str] | None:
    if envelope is None:
        return None
    return [envelope.method.value, envelope.key_id, base64.b64encode(envelope.wrapped).decode()]


def _envelope_from_json(value: list[str] | None) -> Envelope | None:
    return None if value is None else Envelope(_METHODS[value[0]], value[1], binascii.a2b_base64(value[2]))


def grants_to_json(grants: tuple[Grant, ...]) -> list[list[Any]]:
    """Grants as a JSON value."""
    return [[grant.grantee, grant.permission, grant.delivered] for grant in grants]


def grants_from_json(value: list[list[Any]]) -> tuple[Grant, ...]:
    """Grants from a JSON value."""
    return tuple(Grant(*entry) for entry in value)


def segments_to_json(segments: tuple[Segment, ...]) -> list[list[Any]]:
    """Segments as a JSON value."""
    return [[entry.size, entry.row, entry.blob, entry.prefix.hex()] for entry in segments]


def segments_from_json(value: list[list[Any]]) -> tuple[Segment, ...]:
    """Segments from a JSON value."""
    return tuple([Segment(size, row, blob, bytes.fromhex(prefix)) for size, row, blob, prefix in value])


def object_details(record: ObjectRecord, segments: tuple[Segment, ...]) -> str:
    """What an object's row keeps in its details column, its body lying in these segments."""
    return json.dumps(
        [
            record.owner_id,
            record.headers,
            _envelope_to_json(record.envelope),
            segments_to_json(segments),
            grants_to_json(record.grants),
            record.appendable,
        ]
    )


def object_from_row(row: tuple[Any, ...]) -> ObjectRecord:
    """An object from `key, size, etag, modified, domain_id, storage_class, details`."""
    key, size, etag, modified, domain_id, storage_class, details = row
    owner_id, headers, envelope, segments, grants, appendable = json.loads(details)
    return ObjectRecord(
        key=key,
        size=size,
        etag=etag,
        modified=modified,
        domain_id=domain_id,
        owner_id=owner_id,
        headers=tuple([(name, value) for name, value in headers]),
        storage_class=storage_class,
        envelope=_envelope_from_json(envelope),
        segments=segments_from_json(segments),
        grants=grants_from_json(grants) if grants else (),
        appendable=appendable,
    )


def segments_of_details(details: str) -> tuple[Segment, ...]:
    """Only where the body lies, from an object's details column."""
    return segments_from_json(json.loads(details)[3])


def upload_details(record: UploadRecord) -> str:
    """What an upload's row keeps in its details column."""
    return json.dumps(
        [
            record.owner_id,
            record.headers,
            record.storage_class,
            _envelope_to_json(record.envelope),
            grants_to_json(record.grants),
            record.said,
        ]
    )


def upload_from_row(row: tuple[Any, ...]) -> UploadRecord:
    """An upload from `upload_id, key, initiated, domain_id, details`."""
    upload_id, key, initiated, domain_id, details = row
    owner_id, headers, storage_class, envelope, grants, said = json.loads(details)
    return UploadRecord(
        upload_id=upload_id,
        key=key,
        initiated=initiated,
        domain_id=domain_id,
        owner_id=owner_id,
        headers=tuple((name, value) for name, value in headers),
        storage_class=storage_class,
        envelope=_envelope_from_json(envelope),
        grants=grants_from_json(grants),
        said=tuple((name, value) for name, value in said),
    )
