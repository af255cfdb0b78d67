"""Listing the objects of a bucket, and their versions (obs_04_0022).

This module does not know how the page is found, only how it is asked for and written down. Buckets here have never had
versioning switched on: every object is its own latest version, and that version is called null.
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
_VERSION = "null"


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


class _Question:
    """What a listing asks for, and the page that answers it."""

    def __init__(self, call: Call, marker: str) -> None:
        query = call.query
        self.limit = count_parameter(query, "max-keys")
        self._encoding, self._encoded = encoder(query)
        self.marker = query.first(marker) or ""
        self._prefix, self._delimiter = (query.first(name) or "" for name in ("prefix", "delimiter"))
        self.page = Page((), (), None)
        if self.limit:
            self.page = call.world.state.objects.page(
                call.bucket.number,
                prefix=self._prefix,
                marker=self.marker,
                delimiter=self._delimiter,
                limit=self.limit,
            )

    def name(self, text: str) -> str:
        """A name as the document shows it."""
        return named(text, encoded=self._encoded)

    def head(self, bucket: str, markers: list[Node]) -> list[Node]:
        """What both documents begin with."""
        children: list[Node] = [
            ("Name", bucket),
            ("Prefix", self.name(self._prefix)),
            *markers,
            ("MaxKeys", str(self.limit)),
            ("IsTruncated", "true" if self.page.next_marker is not None else "false"),
        ]
        if self._delimiter:
            children.append(("Delimiter", self.name(self._delimiter)))
        if self._encoding:
            children.append(("EncodingType", self._encoding))
        return children

    def common_prefixes(self) -> list[Node]:
        """What both documents end with."""
        return [("CommonPrefixes", (("Prefix", self.name(entry)),)) for entry in self.page.prefixes]


def list_objects(call: Call) -> Response:
    """One page of a bucket."""
    asked = _Question(call, "marker")
    children = asked.head(call.bucket.name, [("Marker", asked.name(asked.marker))])
    if asked.page.next_marker is not None:
        children.append(("NextMarker", asked.name(asked.page.next_marker)))
    children += [_entry("Contents", record, asked.name(record.key), ()) for record in asked.page.objects]
    children += asked.common_prefixes()
    return _listing(call, "ListBucketResult", children)


def list_versions(call: Call) -> Response:
    """One page of a bucket's versions, each object being one."""
    version_marker = call.query.first("version-id-marker") or ""
    if version_marker and "key-marker" not in call.query:
        raise ObsError("InvalidArgument", "version-id-marker can only be used with key-marker.")
    if version_marker not in ("", _VERSION):
        raise ObsError("InvalidArgument", "version-id-marker is not the name of a version here.")
    asked = _Question(call, "key-marker")
    markers: list[Node] = [("KeyMarker", asked.name(asked.marker)), ("VersionIdMarker", version_marker)]
    children = asked.head(call.bucket.name, markers)
    if asked.page.next_marker is not None:
        children += [("NextKeyMarker", asked.name(asked.page.next_marker)), ("NextVersionIdMarker", _VERSION)]
    identity: tuple[Node, ...] = (("VersionId", _VERSION), ("IsLatest", "true"))
    children += [_entry("Version", record, asked.name(record.key), identity) for record in asked.page.objects]
    children += asked.common_prefixes()
    return _listing(call, "ListVersionsResult", children)


def _listing(call: Call, root: str, children: list[Node]) -> Response:
    return xml_response(document(root, children), (("x-obs-bucket-location", call.world.region),))


def _entry(element: str, record: ObjectRecord, name: str, version: tuple[Node, ...]) -> Node:
    return (
        element,
        (
            ("Key", name),
            *version,
            ("LastModified", modified_text(record.modified)),
            ("ETag", quoted(record.etag)),
            ("Size", str(record.size)),
            ("Owner", (("ID", record.domain_id),)),
            ("StorageClass", record.storage_class),
        ),
    )
