"""Listing the objects of a bucket (obs_04_0022).

This module does not know how the page is found, only how it is asked for and written down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_server.documents import Node, document
from reference_server.errors import ObsError
from reference_server.operations.common import modified_text, named, quoted, xml_response
from reference_server.state.objects import Page

if TYPE_CHECKING:
    from reference_server.state.records import ObjectRecord
    from reference_server.wire import Query, Response
    from reference_server.world import Call

MAX_KEYS = 1000


def count_parameter(query: Query, name: str, *, limit: int = MAX_KEYS) -> int:
    """A parameter that says how many; more than the limit means the limit."""
    text = query.first(name)
    if text is None:
        return limit
    if not (text.isascii() and text.isdigit()) or len(text) > 10:  # noqa: PLR2004 - ten digits hold every int32
        raise ObsError("InvalidArgument", f"{name} must be a number.")
    return min(int(text), limit)


def encoder(query: Query) -> tuple[str, bool]:
    """The encoding of names that was asked for, checked."""
    encoding = query.first("encoding-type") or ""
    if encoding not in ("", "url"):
        raise ObsError("InvalidArgument", "encoding-type must be url.")
    return encoding, encoding == "url"


def list_objects(call: Call) -> Response:
    """One page of a bucket."""
    query = call.query
    limit = count_parameter(query, "max-keys")
    prefix, marker, delimiter = (query.first(name) or "" for name in ("prefix", "marker", "delimiter"))
    encoding, encoded = encoder(query)
    page = Page((), (), None)
    if limit:
        page = call.world.state.objects.page(
            call.bucket.number, prefix=prefix, marker=marker, delimiter=delimiter, limit=limit
        )

    def name(text: str) -> str:
        return named(text, encoded=encoded)

    children: list[Node] = [
        ("Name", call.bucket.name),
        ("Prefix", name(prefix)),
        ("Marker", name(marker)),
        ("MaxKeys", str(limit)),
        ("IsTruncated", "true" if page.next_marker is not None else "false"),
    ]
    if delimiter:
        children.append(("Delimiter", name(delimiter)))
    if encoding:
        children.append(("EncodingType", encoding))
    if page.next_marker is not None:
        children.append(("NextMarker", name(page.next_marker)))
    children += [_entry(record, name(record.key)) for record in page.objects]
    children += [("CommonPrefixes", (("Prefix", name(entry)),)) for entry in page.prefixes]
    return xml_response(document("ListBucketResult", children), (("x-obs-bucket-location", call.world.region),))


def _entry(record: ObjectRecord, name: str) -> Node:
    return (
        "Contents",
        (
            ("Key", name),
            ("LastModified", modified_text(record.modified)),
            ("ETag", quoted(record.etag)),
            ("Size", str(record.size)),
            ("Owner", (("ID", record.domain_id),)),
            ("StorageClass", record.storage_class),
        ),
    )
