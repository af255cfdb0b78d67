"""Access control lists of buckets and objects, shown and replaced (obs_04_0030, 0031, 0088, 0089).

This module does not know what a grant allows (that is `access`) nor how headers say it (that is `grants`).

Decisions where the documents are silent: the owner's full control is shown as a grant and cannot be taken away; an
ACL document that names another owner is refused, since ownership is not given away by it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reference_server.documents import Node, children_of, document, leaves_of, local_name, read_document, text_of
from reference_server.errors import ObsError
from reference_server.grants import PERMISSIONS, asks_for_grants, grants_of
from reference_server.operations.common import Document, xml_response
from reference_server.state.records import EVERYONE, Grant
from reference_server.wire import Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from xml.etree.ElementTree import Element

    from reference_server.world import Call, Outcome

_ROOT, _CODE = "AccessControlPolicy", "MalformedACLError"
_MAX_GRANTS = 100


def get_bucket_acl(call: Call) -> Response:
    """The ACL of a bucket."""
    return _shown(call.bucket.domain_id, call.bucket.grants, for_bucket=True)


def put_bucket_acl(call: Call) -> Outcome:
    """Replace the ACL of a bucket, by headers or by a document."""

    def keep(grants: tuple[Grant, ...]) -> None:
        call.world.state.buckets.change(replace(call.bucket, grants=grants))

    return _replaced(call, call.bucket.domain_id, keep, for_bucket=True)


def get_object_acl(call: Call) -> Response:
    """The ACL of an object."""
    record = call.target()
    return _shown(record.domain_id, record.grants, for_bucket=False)


def put_object_acl(call: Call) -> Outcome:
    """Replace the ACL of an object, by headers or by a document."""
    record = call.target()

    def keep(grants: tuple[Grant, ...]) -> None:
        call.world.state.objects.change(call.bucket.number, replace(record, grants=grants))

    return _replaced(call, record.domain_id, keep, for_bucket=False)


def _replaced(
    call: Call, domain_id: str, keep: Callable[[tuple[Grant, ...]], None], *, for_bucket: bool
) -> Response | Document:
    headers = call.head.headers

    def from_body(body: bytes) -> Response:
        keep(_read(body, domain_id, for_bucket=for_bucket))
        return Response(200)

    if not asks_for_grants(headers):
        return Document(call, from_body)
    keep(grants_of(headers, bucket_owner="" if for_bucket else call.bucket.domain_id))
    return Response(200)


def _shown(domain_id: str, grants: tuple[Grant, ...], *, for_bucket: bool) -> Response:
    others = [grant for grant in grants if grant.grantee != domain_id]
    lines = [_line(grant, for_bucket=for_bucket) for grant in (Grant(domain_id, "FULL_CONTROL"), *others)]
    children: list[Node] = [("Owner", (("ID", domain_id),))]
    if not for_bucket:
        children.append(("Delivered", "true"))
    children.append(("AccessControlList", lines))
    return xml_response(document(_ROOT, children))


def _line(grant: Grant, *, for_bucket: bool) -> Node:
    grantee: Node = ("Canned", EVERYONE) if grant.grantee == EVERYONE else ("ID", grant.grantee)
    children: list[Node] = [("Grantee", (grantee,)), ("Permission", grant.permission)]
    if for_bucket:
        children.append(("Delivered", "true" if grant.delivered else "false"))
    return ("Grant", children)


def _read(body: bytes, domain_id: str, *, for_bucket: bool) -> tuple[Grant, ...]:
    root = read_document(body, _ROOT, code=_CODE)
    allowed = {"Owner": False, "AccessControlList": False} | ({} if for_bucket else {"Delivered": False})
    parts = {local_name(child): child for child in children_of(root, allowed, code=_CODE)}
    if "Owner" in parts and leaves_of(parts["Owner"], ("ID", "DisplayName"), code=_CODE).get("ID") != domain_id:
        raise ObsError("AccessDenied", "The owner cannot be changed.")
    if "AccessControlList" not in parts:
        raise ObsError(_CODE, "AccessControlList is missing.")
    lines = children_of(parts["AccessControlList"], {"Grant": True}, code=_CODE)
    if len(lines) > _MAX_GRANTS:
        raise ObsError(_CODE, f"An ACL has at most {_MAX_GRANTS} grants.")
    grants = [_grant(line, for_bucket=for_bucket) for line in lines]
    return tuple(grant for grant in grants if grant.grantee != domain_id)


def _grant(line: Element, *, for_bucket: bool) -> Grant:
    allowed = {"Grantee": False, "Permission": False} | ({"Delivered": False} if for_bucket else {})
    parts = {local_name(child): child for child in children_of(line, allowed, code=_CODE)}
    if not {"Grantee", "Permission"} <= set(parts):
        raise ObsError(_CODE, "A Grant has a Grantee and a Permission.")
    permission = text_of(parts["Permission"])
    if permission not in PERMISSIONS:
        raise ObsError(_CODE, f"Unknown permission: {permission}.")
    names = leaves_of(parts["Grantee"], ("ID", "DisplayName", "Canned"), code=_CODE)
    grantee = names.get("ID") or names.get("Canned") or ""
    if not grantee or ("Canned" in names and (grantee != EVERYONE or "ID" in names)):
        raise ObsError(_CODE, f"A Grantee is an ID or {EVERYONE}.")
    delivered = "Delivered" in parts and text_of(parts["Delivered"]) == "true"
    return Grant(grantee, permission, delivered)
