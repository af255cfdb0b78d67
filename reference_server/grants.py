"""Access control lists as headers say them: canned names and `x-obs-grant-...` lines (obs_04_0021, obs_04_0080).

This module does not know how grants are judged (that is `access`) nor their XML (that is `operations.acl`).
The owner's own full control is never a grant: it is implied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_server.errors import ObsError
from reference_server.state.records import EVERYONE, Grant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference_server.wire import Headers

PERMISSIONS = ("READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL")

_READ = Grant(EVERYONE, "READ")
_WRITE = Grant(EVERYONE, "WRITE")

CANNED: Mapping[str, tuple[Grant, ...]] = {
    "private": (),
    "public-read": (_READ,),
    "public-read-write": (_READ, _WRITE),
}
CANNED_FOR_BUCKETS: Mapping[str, tuple[Grant, ...]] = {
    **CANNED,
    "public-read-delivered": (Grant(EVERYONE, "READ", delivered=True),),
    "public-read-write-delivered": (Grant(EVERYONE, "READ", delivered=True), Grant(EVERYONE, "WRITE", delivered=True)),
}

GRANT_HEADERS: Mapping[str, tuple[str, bool]] = {
    "x-obs-grant-read": ("READ", False),
    "x-obs-grant-write": ("WRITE", False),
    "x-obs-grant-read-acp": ("READ_ACP", False),
    "x-obs-grant-write-acp": ("WRITE_ACP", False),
    "x-obs-grant-full-control": ("FULL_CONTROL", False),
    "x-obs-grant-read-delivered": ("READ", True),
    "x-obs-grant-full-control-delivered": ("FULL_CONTROL", True),
}


_GRANT_FIELDS = frozenset(("x-obs-acl", "acl", *GRANT_HEADERS))


def asks_for_grants(headers: Headers) -> bool:
    """Whether headers say anything about an ACL."""
    return any(headers.first(name) is not None for name in ("x-obs-acl", *GRANT_HEADERS))


def grants_of(fields: Headers, *, bucket_owner: str = "") -> tuple[Grant, ...]:
    """The grants that headers or form fields ask for; the form calls the canned name `acl` too (obs_04_0081).

    With the account that owns the bucket they are an object's, and one name more is known, without it a bucket's.
    """
    if not fields.mentions(_GRANT_FIELDS):
        return ()
    canned = fields.first("x-obs-acl") or fields.first("acl")
    known = CANNED_FOR_BUCKETS
    if bucket_owner:
        known = {**CANNED, "bucket-owner-full-control": (Grant(bucket_owner, "FULL_CONTROL"),)}
    if canned is not None and canned not in known:
        raise ObsError("InvalidArgument", "x-obs-acl is not one of the predefined names.")
    found = list(known[canned]) if canned is not None else []
    for name, (permission, delivered) in GRANT_HEADERS.items():
        for value in fields.every(name):
            found += [Grant(domain_id, permission, delivered) for domain_id in _grantees(value)]
    return tuple(found)


def _grantees(value: str) -> list[str]:
    grantees = []
    for piece in value.split(","):
        key, _, domain_id = piece.strip().partition("=")
        if key.lower() != "id" or not domain_id:
            raise ObsError("InvalidArgument", "A grant names accounts as id=account-id.")
        grantees.append(domain_id.strip('"'))
    return grantees
