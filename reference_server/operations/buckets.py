"""Buckets as such: list, create, head, delete, location (obs_04_0020 to 0025).

This module does not know objects beyond whether there are any, nor how a default encryption is spelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_server.dates import iso_date
from reference_server.documents import document, leaves_of, read_document
from reference_server.encryption import bucket_default_of_headers
from reference_server.errors import ObsError
from reference_server.grants import grants_of
from reference_server.operations.common import BUCKETS_LACK, Document, refuse_lacking, storage_class_of, xml_response
from reference_server.state.records import BucketRecord
from reference_server.wire import Response

if TYPE_CHECKING:
    from reference_server.world import Call, Outcome

API_VERSION = "3.0"


def api_version(call: Call) -> Response:
    """The unsigned `HEAD /?apiversion` by which the SDKs ask which dialect to speak, with a bucket or without one."""
    del call
    return Response(200, (("x-obs-api", API_VERSION),))


def list_buckets(call: Call) -> Response:
    """The buckets of the caller's account."""
    if call.caller.anonymous:
        raise ObsError("AccessDenied")
    buckets = [
        ("Bucket", (("Name", bucket.name), ("CreationDate", iso_date(bucket.created)), ("Location", call.world.region)))
        for bucket in call.world.state.buckets.all_of(call.caller.domain_id)
    ]
    owner = ("Owner", (("ID", call.caller.domain_id),))
    return xml_response(document("ListAllMyBucketsResult", (owner, ("Buckets", buckets))))


def create_bucket(call: Call) -> Outcome:
    """Make a bucket; the same account making it again is told 200 and changes nothing (obs_04_0021)."""
    if call.caller.anonymous:
        raise ObsError("AccessDenied")
    return Document(call, lambda body: _create(call, body))


def _create(call: Call, body: bytes) -> Response:
    if body.strip():
        leaves = leaves_of(read_document(body, "CreateBucketConfiguration"), ("Location", "LocationConstraint"))
        if leaves.get("Location", call.world.region) not in ("", call.world.region):
            raise ObsError("InvalidLocationConstraint")
    headers = call.head.headers
    refuse_lacking(headers, BUCKETS_LACK)
    world = call.world
    known = world.state.buckets.get(call.address.bucket)
    if known is not None and known.domain_id != call.caller.domain_id:
        raise ObsError("BucketAlreadyExists")
    if known is None:
        world.state.buckets.create(
            BucketRecord(
                number=0,
                name=call.address.bucket,
                domain_id=call.caller.domain_id,
                owner_id=call.caller.user_id,
                created=world.now(),
                storage_class=storage_class_of(headers) or "STANDARD",
                default=bucket_default_of_headers(headers, world.keyring, call.caller),
                grants=grants_of(headers),
            )
        )
    return Response(200, (("Location", f"/{call.address.bucket}"),))


def head_bucket(call: Call) -> Response:
    """Whether a bucket is there and may be used, and what it is."""
    return Response(
        200,
        (
            ("x-obs-bucket-location", call.world.region),
            ("x-obs-storage-class", call.bucket.storage_class),
            ("x-obs-version", API_VERSION),
        ),
    )


def delete_bucket(call: Call) -> Response:
    """Delete an empty bucket; uploads under way go with it."""
    state = call.world.state
    if state.objects.any_in(call.bucket.number):
        raise ObsError("BucketNotEmpty")
    for upload in state.uploads.page(call.bucket.number, prefix="", after=("", ""), limit=-1):
        state.uploads.abort(upload.upload_id)
    state.buckets.delete(call.bucket)
    return Response(204)


def get_location(call: Call) -> Response:
    """The region of a bucket (obs_04_0024)."""
    return xml_response(document("Location", call.world.region))


def get_versioning(call: Call) -> Response:
    """Versioning has never been switched on: an empty configuration."""
    del call
    return xml_response(document("VersioningConfiguration", ()))
