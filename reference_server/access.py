"""Who may do what: bucket policy first, then ownership and ACLs, else no.

This module does not know how a caller was proven, nor anything about keys: that a stranger who may read an object may
still not use its master key is the key ring's to say.

Decisions where the documents are silent:

* A bucket belongs to an account. Without a policy or a grant, only the account's administrator and the user who made
  the bucket may use it; other users of the account are like strangers (the server has no IAM policies).
* A policy binds the bucket's owner too (section 8), except that the owner can always read, replace and delete the
  policy itself: else one mistake would lock a bucket for ever.
* The object's uploader may read it and its ACL, whoever owns the bucket.
* An ACL on an SSE-KMS object has no effect across accounts (section 3.7), for HEAD as well as for GET.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_server.dates import iso_date
from reference_server.encryption import Method, key_id_as_said, mode_as_said
from reference_server.errors import ObsError
from reference_server.policy import Question, Verdict, header_facts
from reference_server.state.records import EVERYONE, BucketRecord, Grant, ObjectRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference_server.identities import Caller
    from reference_server.wire import Head, Headers, Query
    from reference_server.world import Call

_BUCKET_GRANTS: Mapping[str, str] = {
    "ListBucket": "READ",
    "ListBucketVersions": "READ",
    "HeadBucket": "READ",
    "GetBucketLocation": "READ",
    "ListBucketMultipartUploads": "READ",
    "PutObject": "WRITE",
    "DeleteObject": "WRITE",
    "AbortMultipartUpload": "WRITE",
    "ListMultipartUploadParts": "WRITE",
    "GetBucketAcl": "READ_ACP",
    "PutBucketAcl": "WRITE_ACP",
}
_OBJECT_GRANTS: Mapping[str, str] = {
    "GetObject": "READ",
    "GetObjectAcl": "READ_ACP",
    "PutObjectAcl": "WRITE_ACP",
}
_MODE_FACT, _KEY_FACT = "server-side-encryption", "server-side-encryption-kms-key-id"
_ALWAYS_THE_OWNERS = frozenset(("GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"))


def circumstances(head: Head, now: float) -> dict[str, str]:
    """What the conditions of a policy can ask about any request: from where, how and when it comes."""
    facts = {
        "sourceip": head.peer,
        "securetransport": "true" if head.secure else "false",
        "currenttime": iso_date(now),
        "epochtime": str(int(now)),
    }
    for name, header in (("referer", "referer"), ("useragent", "user-agent")):
        value = head.headers.first(header)
        if value is not None:
            facts[name] = value
    return facts


def said_by_request(head: Head, query: Query) -> dict[str, str]:
    """What the `x-obs-` headers of a request say, and the parameters that stand for them in a signed URL."""
    headers = head.headers
    facts = _said_by(headers)
    for name, value in ((_MODE_FACT, mode_as_said(headers, query)), (_KEY_FACT, key_id_as_said(headers, query))):
        if value is not None:
            facts[name] = value
    return facts


def _said_by(headers: Headers) -> dict[str, str]:
    return header_facts({name: headers.joined(name) or "" for name in headers.names() if name.startswith("x-obs-")})


def facts_of_request(head: Head, query: Query, now: float) -> dict[str, str]:
    """What the conditions of a policy can ask about a request."""
    facts = said_by_request(head, query) | circumstances(head, now)
    for name in ("prefix", "delimiter", "max-keys", "versionId"):
        value = query.first(name)
        if value is not None:
            facts[name.lower()] = value
    return facts


def facts_of_part(head: Head, query: Query, now: float, said: Mapping[str, str]) -> dict[str, str]:
    """The facts about a part, or the completion, of an upload whose initiation said this (Q-23).

    What the part itself says of encryption counts for nothing: it has no place there.
    """
    own = facts_of_request(head, query, now)
    return {name: value for name, value in own.items() if not name.startswith(_MODE_FACT)} | dict(said)


def facts_of_form(head: Head, fields: Headers, now: float) -> dict[str, str]:
    """The facts about a form: its fields stand for the headers of the same names (Q-23), also under its name `acl`."""
    canned = fields.first("acl")
    facts = ({} if canned is None else {"acl": canned}) | _said_by(fields)
    return facts | circumstances(head, now)


def is_owner(caller: Caller, bucket: BucketRecord) -> bool:
    """Whether a bucket is the caller's own."""
    return caller.domain_id == bucket.domain_id and (caller.administrator or caller.user_id == bucket.owner_id)


def authorize(call: Call, action: str, facts: Mapping[str, str]) -> None:
    """Refuse what the caller may not do to the bucket or object the call addresses."""
    record = call.existing() if action in _OBJECT_GRANTS else None
    authorize_on(call, action, facts, call.bucket, call.address.key, record)


def authorize_on(  # noqa: PLR0913, PLR0917 - a question has a subject, a verb, an object and circumstances
    call: Call,
    action: str,
    facts: Mapping[str, str],
    bucket: BucketRecord,
    key: str,
    record: ObjectRecord | None,
) -> None:
    """Refuse what the caller may not do to any bucket or object; a copy asks about two of them."""
    caller = call.caller
    verdict = Verdict.NOTHING
    if bucket.policy is not None:
        resource = f"{bucket.name}/{key}" if key else bucket.name
        verdict = call.world.seams.evaluate(bucket.policy, Question(caller, action, resource, facts))
    if is_owner(caller, bucket) and action in _ALWAYS_THE_OWNERS:
        return
    if verdict is Verdict.DENY:
        raise ObsError("AccessDenied")
    if verdict is Verdict.ALLOW or _by_default(caller, action, bucket, record):
        return
    raise ObsError("AccessDenied")


def _by_default(caller: Caller, action: str, bucket: BucketRecord, record: ObjectRecord | None) -> bool:
    if is_owner(caller, bucket):
        return True
    if action in _BUCKET_GRANTS:
        return _granted(caller, bucket.grants, _BUCKET_GRANTS[action])
    if action not in _OBJECT_GRANTS or record is None:
        return False
    if caller.domain_id == record.domain_id and (caller.administrator or caller.user_id == record.owner_id):
        return True
    across_accounts = caller.domain_id != record.domain_id
    if across_accounts and record.envelope is not None and record.envelope.method is Method.KMS:
        return False
    delivered = tuple(grant for grant in bucket.grants if grant.delivered)
    return _granted(caller, record.grants + delivered, _OBJECT_GRANTS[action])


def _granted(caller: Caller, grants: tuple[Grant, ...], permission: str) -> bool:
    return any(
        grant.permission in (permission, "FULL_CONTROL")
        and (grant.grantee == EVERYONE or (grant.grantee == caller.domain_id and not caller.anonymous))
        for grant in grants
    )
