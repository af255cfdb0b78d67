"""Which operation answers what: method, kind of resource and sub-resource, in one table.

A sub-resource that is not in the table is refused with 501 and never falls through to the operation without it; this
module knows nothing else about operations than their names.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from reference_server.errors import ObsError
from reference_server.operations import (
    acl,
    appending,
    buckets,
    configuration,
    copying,
    deletion,
    form,
    listing,
    multipart,
    objects,
)
from reference_server.signature import SIGNED_LOWER
from reference_server.world import Operation, RouteKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference_server.wire import Address, Query

PLAIN_PARAMETERS = frozenset(
    """
    prefix marker delimiter max-keys encoding-type key-marker version-id-marker upload-id-marker max-uploads
    max-parts part-number-marker partNumber versionId position AccessKeyId Expires Signature
    response-content-type response-content-language response-expires response-cache-control
    response-content-disposition response-content-encoding
    """.split()  # noqa: SIM905 - as words
)
"""Parameters that modify an operation without choosing it."""

ROUTES: Mapping[RouteKey, Operation] = MappingProxyType(
    {
        ("GET", "service", ""): Operation(
            "ListBuckets", "ListAllMyBuckets", buckets.list_buckets, needs_bucket=False, checks_itself=True
        ),
        ("HEAD", "service", "apiversion"): Operation(
            "GetApiVersion", "", buckets.api_version, needs_bucket=False, anonymous=True
        ),
        ("HEAD", "bucket", "apiversion"): Operation(
            "GetApiVersion", "", buckets.api_version, anonymous=True, checks_itself=True
        ),
        ("PUT", "bucket", ""): Operation(
            "CreateBucket", "CreateBucket", buckets.create_bucket, needs_bucket=False, checks_itself=True
        ),
        ("HEAD", "bucket", ""): Operation("HeadBucket", "HeadBucket", buckets.head_bucket),
        ("DELETE", "bucket", ""): Operation("DeleteBucket", "DeleteBucket", buckets.delete_bucket),
        ("GET", "bucket", ""): Operation("ListObjects", "ListBucket", listing.list_objects),
        ("GET", "bucket", "versions"): Operation("ListVersions", "ListBucketVersions", listing.list_versions),
        ("GET", "bucket", "location"): Operation("GetBucketLocation", "GetBucketLocation", buckets.get_location),
        ("GET", "bucket", "versioning"): Operation(
            "GetBucketVersioning", "GetBucketVersioning", buckets.get_versioning
        ),
        ("PUT", "bucket", "encryption"): Operation(
            "PutBucketEncryption", "PutEncryptionConfiguration", configuration.put_encryption
        ),
        ("GET", "bucket", "encryption"): Operation(
            "GetBucketEncryption", "GetEncryptionConfiguration", configuration.get_encryption
        ),
        ("DELETE", "bucket", "encryption"): Operation(
            "DeleteBucketEncryption", "PutEncryptionConfiguration", configuration.delete_encryption
        ),
        ("PUT", "bucket", "policy"): Operation("PutBucketPolicy", "PutBucketPolicy", configuration.put_policy),
        ("GET", "bucket", "policy"): Operation("GetBucketPolicy", "GetBucketPolicy", configuration.get_policy),
        ("DELETE", "bucket", "policy"): Operation(
            "DeleteBucketPolicy", "DeleteBucketPolicy", configuration.delete_policy
        ),
        ("PUT", "bucket", "acl"): Operation("PutBucketAcl", "PutBucketAcl", acl.put_bucket_acl),
        ("GET", "bucket", "acl"): Operation("GetBucketAcl", "GetBucketAcl", acl.get_bucket_acl),
        ("GET", "bucket", "uploads"): Operation(
            "ListMultipartUploads", "ListBucketMultipartUploads", multipart.list_uploads
        ),
        ("POST", "bucket", ""): Operation("PostObject", "PutObject", form.PostObject, checks_itself=True),
        ("POST", "bucket", "delete"): Operation(
            "DeleteObjects", "DeleteObject", deletion.delete_objects, checks_itself=True
        ),
        ("POST", "object", "append"): Operation("AppendObject", "PutObject", appending.append_object),
        ("POST", "object", "uploads"): Operation("InitiateMultipartUpload", "PutObject", multipart.initiate),
        ("PUT", "object", "uploadId"): Operation("UploadPart", "PutObject", multipart.put_part, checks_itself=True),
        ("GET", "object", "uploadId"): Operation(
            "ListParts", "ListMultipartUploadParts", multipart.list_parts, checks_itself=True
        ),
        ("POST", "object", "uploadId"): Operation(
            "CompleteMultipartUpload", "PutObject", multipart.complete, checks_itself=True
        ),
        ("DELETE", "object", "uploadId"): Operation(
            "AbortMultipartUpload", "AbortMultipartUpload", multipart.abort, checks_itself=True
        ),
        ("PUT", "object", "acl"): Operation("PutObjectAcl", "PutObjectAcl", acl.put_object_acl),
        ("GET", "object", "acl"): Operation("GetObjectAcl", "GetObjectAcl", acl.get_object_acl),
        ("PUT", "object", ""): Operation("PutObject", "PutObject", copying.put_object),
        ("GET", "object", ""): Operation("GetObject", "GetObject", objects.get_object),
        ("HEAD", "object", ""): Operation("HeadObject", "GetObject", objects.head_object),
        ("DELETE", "object", ""): Operation("DeleteObject", "DeleteObject", objects.delete_object),
    }
)


_NOT_HERE = frozenset((("PUT", "bucket", "versioning"), ("OPTIONS", "bucket", ""), ("OPTIONS", "object", "")))
"""Documented operations on known resources that this server does not have: 501, not 405."""

_NEEDED: Mapping[str, str] = {"partNumber": "uploadId", "position": "append"}
"""Parameters that would change the meaning of a request if the sub-resource they belong to were not there."""


def sub_resource(query: Query) -> str:
    """The sub-resource a query names, or nothing.

    A name of the documented list is one, in whatever case, as the SDKs compare them (section 6.2); so is any unknown
    name without a value, since that is how they are written. Unknown parameters with a value, and `x-obs-` ones,
    belong to nobody and choose nothing.
    """
    if not query.pairs:
        return ""
    names = [
        name
        for name, value in query.pairs
        if name not in PLAIN_PARAMETERS
        and not name.lower().startswith("x-obs-")
        and (not value or name.lower() in SIGNED_LOWER)
    ]
    if len(set(names)) > 1:
        raise ObsError("InvalidArgument", "Only one sub-resource can be addressed at a time.")
    found = names[0] if names else ""
    for name, needed in _NEEDED.items():
        if name in query and found != needed:
            raise ObsError("InvalidArgument", f"{name} can only be used together with {needed}.")
    return found


def route(routes: Mapping[RouteKey, Operation], method: str, address: Address, query: Query) -> Operation:
    """The operation for a request: 501 for an unknown sub-resource, 405 for a method that it does not have."""
    name = sub_resource(query)
    found = routes.get((method, address.kind, name))
    if found is not None:
        return found
    if (method, address.kind, name) in _NOT_HERE:
        raise ObsError("ServiceNotImplemented")
    if any(kind == address.kind and known == name for _, kind, known in routes):
        raise ObsError("MethodNotAllowed")
    raise ObsError("ServiceNotImplemented", f"There is no sub-resource {name} here.")
