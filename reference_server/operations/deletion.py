"""Deleting many objects in one request (obs_04_0086).

This module does not know who may delete; it asks for every object by itself, so that one refusal spoils no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from reference_server.access import authorize_on, facts_of_request
from reference_server.documents import Node, children_of, document, leaves_of, local_name, read_document, text_of
from reference_server.errors import ObsError
from reference_server.operations.common import Document, named, xml_response
from reference_server.wire import MAX_KEY_BYTES

if TYPE_CHECKING:
    from reference_server.wire import Response
    from reference_server.world import Call, Outcome

MAX_OBJECTS = 1000


def delete_objects(call: Call) -> Outcome:
    """Delete up to 1,000 objects; each has its own answer."""
    return Document(call, lambda body: _delete(call, body))


def _delete(call: Call, body: bytes) -> Response:
    children = children_of(read_document(body, "Delete"), {"Quiet": False, "EncodingType": False, "Object": True})
    words = {local_name(child): text_of(child) for child in children if local_name(child) != "Object"}
    objects = [leaves_of(child, ("Key", "VersionId")) for child in children if local_name(child) == "Object"]
    encoding = words.get("EncodingType", "")
    if not objects or len(objects) > MAX_OBJECTS or encoding not in ("", "url"):
        raise ObsError("MalformedXML", f"Between 1 and {MAX_OBJECTS} objects can be deleted at once.")
    encoded = encoding == "url"
    quiet = words.get("Quiet", "").lower() == "true"
    lines: list[Node] = [("EncodingType", encoding)] if encoded else []
    for leaves in objects:
        key = unquote(leaves.get("Key", "")) if encoded else leaves.get("Key", "")
        shown = ("Key", named(key, encoded=encoded))
        try:
            _delete_one(call, key, leaves.get("VersionId", "null"))
        except ObsError as error:
            lines.append(("Error", (shown, ("Code", error.code), ("Message", error.message))))
        else:
            if not quiet:
                lines.append(("Deleted", (shown,)))
    return xml_response(document("DeleteResult", lines))


def _delete_one(call: Call, key: str, version: str) -> None:
    if not key:
        raise ObsError("MalformedXML", "An Object has a Key.")
    if len(key.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES:
        raise ObsError("KeyTooLongError")
    authorize_on(
        call, "DeleteObject", facts_of_request(call.head, call.query, call.world.now()), call.bucket, key, None
    )
    if version != "null":
        raise ObsError("NoSuchVersion")
    call.world.state.objects.delete(call.bucket.number, key)
