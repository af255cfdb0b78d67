"""Appending to objects (append of the Chinese edition; protocol facts, section 3.7).

This module does not know how encryption is decided or spelled: the first append is an upload like any other, and later
ones are sealed with the data key the first one made, each as a segment of its own.

Decisions where the documents are silent:

* Fields of SSE-KMS or SSE-OBS on a later append are refused with 400 InvalidArgument; SSE-C has to be sent with each.
* A bucket policy judges each append by its own headers, so that one which demands an encryption header lets an object
  begin and never grow.
* Metadata, storage class and ACL are those of the first append; the object stays its maker's.
* The ETag of the answer is that of what was appended, as documented; the object's own is the MD5 of its last ETag and
  that one, so that it changes with the content.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from reference_server.encryption import CUSTOMER, Occasion, customer_key
from reference_server.errors import ObsError
from reference_server.operations.common import (
    MAX_UPLOAD,
    Intake,
    body_writer,
    check_declared_length,
    checked,
    content_md5,
    decide,
    fields_of,
    labels_of,
    quoted,
    require_transport,
)
from reference_server.wire import Pairs, Response

if TYPE_CHECKING:
    from reference_server.state.records import ObjectRecord
    from reference_server.world import Call, Outcome

_DIGITS = 19


def append_object(call: Call) -> Outcome:
    """Begin an appendable object, or add to one."""
    check_declared_length(call)
    position = _position(call)
    record = call.existing()
    _check_position(record, position)
    return FirstAppend(call) if record is None else LaterAppend(call, record)


def _position(call: Call) -> int:
    text = call.query.first("position") or ""
    if not (text.isascii() and text.isdigit()) or len(text) > _DIGITS:
        raise ObsError("InvalidArgument", "position must be a number.")
    return int(text)


def _check_position(record: ObjectRecord | None, position: int) -> None:
    length = 0 if record is None else record.size
    if record is not None and not record.appendable:
        raise ObsError("ObjectNotAppendable")
    if position != length:
        raise ObsError("PositionNotEqualToLength", details=(("CurrentLength", str(length)),))


def _current(call: Call) -> ObjectRecord | None:
    return call.world.state.objects.get(call.bucket.number, call.address.key)


def _answer(etag: str, length: int, fields: Pairs) -> Response:
    return Response(200, (("ETag", quoted(etag)), ("x-obs-next-append-position", str(length)), *fields))


class FirstAppend:
    """The receiver of an append that makes the object."""

    def __init__(self, call: Call) -> None:
        self._call = call
        headers = call.head.headers
        self._labels = labels_of(headers, call.bucket)
        encryption = decide(call, Occasion.APPEND, call.world.seams.wish_of_request(headers, call.query))
        self._intake = Intake(call, Occasion.APPEND, encryption, md5=content_md5(headers))

    def feed(self, data: bytes) -> None:
        """More of the body."""
        self._intake.feed(data)

    def finish(self) -> Response:
        """Store the object, unless one has come meanwhile."""
        _check_position(_current(self._call), 0)
        record = self._intake.store(self._call.address.key, self._labels, appendable=True)
        return _answer(record.etag, record.size, self._intake.fields)

    def abort(self) -> None:
        """Forget the body."""
        self._intake.abort()


class LaterAppend:
    """The receiver of an append to an object that is there."""

    def __init__(self, call: Call, record: ObjectRecord) -> None:
        headers, world = call.head.headers, call.world
        if world.seams.wish_of_request(headers, call.query).mode is not None:
            raise ObsError("InvalidArgument", "How an object is encrypted is said by its first append only.")
        self._call, self._record, self._md5 = call, record, content_md5(headers)
        customer = customer_key(headers, CUSTOMER)
        encryption, data_key = world.seams.unlock(record.envelope, world.keyring, call.caller, customer)
        require_transport(call, encryption)
        self._fields = fields_of(call, Occasion.APPEND, encryption)
        self._writer = body_writer(call, data_key, want_md5=self._md5 is not None)

    def feed(self, data: bytes) -> None:
        """More of the body."""
        if self._record.size + self._writer.size + len(data) > MAX_UPLOAD:
            raise ObsError("AppendTooLarge")
        self._writer.feed(data)

    def finish(self) -> Response:
        """Add what came, unless the object has changed meanwhile."""
        call, before = self._call, self._record
        now = _current(call)
        _check_position(now, before.size)
        if now is None or now.etag != before.etag:
            raise ObsError("PositionNotEqualToLength", "The object was replaced while the append came.")
        body = checked(call, self._writer.finish(), self._md5)
        world = call.world
        part = world.seams.etag(body.digest, body.md5)
        whole = hashlib.md5(now.etag.encode() + body.digest, usedforsecurity=False).digest()
        grown = replace(now, size=now.size + body.size, etag=world.seams.etag(whole, whole), modified=world.now())
        stored = world.seams.keep(call, grown)
        world.state.objects.put(call.bucket.number, stored, (body,))
        return _answer(part, stored.size, self._fields)

    def abort(self) -> None:
        """Forget the body."""
        self._writer.abort()
