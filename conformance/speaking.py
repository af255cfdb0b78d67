"""A request that a case states in the words of OBS, in those of a dialect: translated, then signed.

The edge between a case and the wire. Knows where a request has words and which signature goes where; the words are
``translation``'s, the signatures ``signing_s3``'s. Reads no clock but the moment it is handed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from conformance import signing, signing_s3, translation

if TYPE_CHECKING:
    from conformance.signing_s3 import Pairs, Query
    from conformance.vocabulary import Dialect, Identity

AUTHORIZATION = "{authorization}"
"""Stands in the header lines where the signature of the request goes."""
DIGEST = "x-amz-content-sha256"
"""The header that names the digest of the body."""
_FORGED = re.compile(r"OBS ([^:\s]*):(\S*)")
_LENGTH_V2 = 28
_PARAMETERS = {
    "v2": {"AccessKeyId": "AWSAccessKeyId", "Expires": "Expires", "Signature": "Signature"},
    "v4": {"AccessKeyId": "X-Amz-Credential", "Expires": "X-Amz-Expires", "Signature": "X-Amz-Signature"},
}
"""The parameters of a signed URL by their OBS names (obs_04_0011 and AWS, query string authentication)."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who speaks which dialect, when (seconds since 1970) and in which region."""

    dialect: Dialect
    identity: Identity
    now: float
    region: str

    @property
    def scope(self) -> signing_s3.Scope:
        """What version 4 binds its signatures to."""
        return signing_s3.Scope(signing_s3.moment_of(self.now), self.region)

    def version(self, kind: str, query: Query) -> str:
        """Which version signs a request of this kind: the first line of the dialect that fits."""
        names = {name for name, _ in query}
        fitting = (
            version
            for sub_resource, how, version in self.dialect.signatures
            if how == kind and (not sub_resource or sub_resource in names)
        )
        return next(fitting, "v4")


@dataclass(frozen=True, slots=True)
class Said:
    """A request in the words of OBS: header lines filled but for ``AUTHORIZATION``, the body as it will be decoded.

    A body that whoever signs has not seen is None, and not covered by the signature.
    """

    method: str
    path: str
    bucket: str
    name: str | None
    query: Query
    lines: tuple[str, ...]
    body: bytes | None
    sign: str
    expires_in: int
    add_after: Query
    remove_after: frozenset[str]


def wordless(dialect: Dialect) -> Dialect:
    """The signatures of a dialect without its words, for a request that has them already."""
    no_prefix = ("\0", "\0")
    return replace(dialect, prefix=no_prefix, headers={}, parameters={}, values={}, key_names=frozenset())


def request(speaker: Speaker, said: Said) -> tuple[Query, tuple[str, ...]]:
    """Query and header lines of the wire."""
    dialect = speaker.dialect
    kind = said.sign if said.sign in {"header", "url"} else "header"
    version = speaker.version(kind, said.query)
    query = tuple(translation.parameter_sent(dialect, name, value) for name, value in said.query)
    lines = tuple(translation.header_line(dialect, line) for line in said.lines)
    if said.sign == "header" and version == "v4":
        digest = signing_s3.UNSIGNED if said.body is None else hashlib.sha256(said.body).hexdigest()
        lines = _with_digest(_dated(lines), digest)
    headers = tuple(_pair(line) for line in lines)
    if said.sign == "url":
        query = _signed_url(speaker, said, version, query, headers)
        renamed = _PARAMETERS[version]
        removed = {
            renamed.get(name) or translation.parameter_sent(dialect, name, None)[0] for name in said.remove_after
        }
        query = tuple(item for item in query if item[0] not in removed)
        query += tuple(_added(speaker, version, name, value) for name, value in said.add_after)
    lines = tuple(_authorized(speaker, said, version, query, headers, line) for line in lines)
    return query, lines


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip()


def _dated(lines: tuple[str, ...]) -> tuple[str, ...]:
    """``x-amz-date`` in the form of version 4: of the line of this name, else of Date, whose place it takes."""
    names = [_pair(line)[0].lower() for line in lines]
    chosen = "x-amz-date" if "x-amz-date" in names else "date"
    return tuple(
        f"x-amz-date: {_moment(_pair(line)[1])}" if name == chosen else line
        for name, line in zip(names, lines, strict=True)
    )


def _moment(date: str) -> str:
    """An HTTP date in the form of version 4; what is none stays as it is."""
    try:
        return parsedate_to_datetime(date).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    except ValueError:
        return date


def _with_digest(lines: tuple[str, ...], digest: str) -> tuple[str, ...]:
    """The line that version 4 asks for, in front of the signature, unless it is there."""
    names = [_pair(line)[0].lower() for line in lines]
    if DIGEST in names:
        return lines
    at = names.index("authorization") if "authorization" in names else len(lines)
    return (*lines[:at], f"{DIGEST}: {digest}", *lines[at:])


def _authorized(  # noqa: PLR0913, PLR0917 - what a signature is made of
    speaker: Speaker, said: Said, version: str, query: Query, headers: Pairs, line: str
) -> str:
    """An Authorization line with the signature in its place; one that a case forges, forged in the dialect."""
    name, value = _pair(line)
    if name.lower() != "authorization":
        return line
    forged = _FORGED.fullmatch(value)
    if forged is None and value != AUTHORIZATION:
        return line
    access_key = forged[1] if forged else speaker.identity.access_key
    if version == "v2":
        if forged:
            return f"{name}: AWS {access_key}:{forged[2]}"
        text = signing_s3.string_to_sign_v2(said.method, _without(headers), said.bucket, said.name, query)
        return f"{name}: AWS {access_key}:{signing_s3.signature_v2(speaker.identity.secret_key, text)}"
    covered = signing_s3.signed_headers(headers)
    scope = _scope_of(speaker, headers)
    if forged:
        signature = _forged(forged[2])
    else:
        digest = dict(covered).get(DIGEST, signing_s3.UNSIGNED)
        canonical = signing_s3.canonical_request(said.method, said.path, query, covered, digest)
        signature = signing_s3.signature_v4(
            speaker.identity.secret_key, scope, signing_s3.string_to_sign(scope, canonical)
        )
    return f"{name}: {signing_s3.authorization_v4(access_key, scope, covered, signature)}"


def _scope_of(speaker: Speaker, headers: Pairs) -> signing_s3.Scope:
    """The scope of the date that the request carries, so that an old date is signed as what it is."""
    stated = next((value for name, value in headers if name.lower() == "x-amz-date"), "")
    return signing_s3.Scope(stated, speaker.region) if re.fullmatch(r"\d{8}T\d{6}Z", stated) else speaker.scope


def _without(headers: Pairs) -> Pairs:
    return tuple(item for item in headers if item[0].lower() != "authorization")


def _forged(signature: str) -> str:
    """A wrong signature of OBS as one of version 4, cut short where that one is."""
    return hashlib.sha256(signature.encode()).hexdigest()[: 64 * len(signature) // _LENGTH_V2]


def _signed_url(speaker: Speaker, said: Said, version: str, query: Query, headers: Pairs) -> Query:
    """The query of a signed URL, its signature last."""
    identity = speaker.identity
    if version == "v2":
        expires = str(int(speaker.now) + said.expires_in)
        text = signing_s3.string_to_sign_v2(said.method, headers, said.bucket, said.name, query, expires)
        signature = signing_s3.signature_v2(identity.secret_key, text)
        return (*query, ("AWSAccessKeyId", identity.access_key), ("Expires", expires), ("Signature", signature))
    begins, lasts = _validity(speaker.now, said.expires_in)
    scope = signing_s3.Scope(signing_s3.moment_of(begins), speaker.region)
    covered = signing_s3.signed_headers(headers)
    full: Query = (
        ("X-Amz-Algorithm", signing_s3.ALGORITHM),
        ("X-Amz-Credential", f"{identity.access_key}/{scope.text}"),
        ("X-Amz-Date", scope.moment),
        ("X-Amz-Expires", str(lasts)),
        *query,
        ("X-Amz-SignedHeaders", signing_s3.names_of(covered)),
    )
    canonical = signing_s3.canonical_request(said.method, said.path, full, covered, signing_s3.UNSIGNED)
    text = signing_s3.string_to_sign(scope, canonical)
    return (*full, ("X-Amz-Signature", signing_s3.signature_v4(identity.secret_key, scope, text)))


def _validity(now: float, expires_in: int) -> tuple[float, int]:
    """When a URL of version 4 begins to be valid and for how long: a week at most, and an hour for one that is over."""
    if expires_in > 0:
        return now, min(expires_in, signing_s3.MAX_EXPIRES_S)
    return now + expires_in - 3600, 3600


def _added(speaker: Speaker, version: str, name: str, value: str | None) -> tuple[str, str | None]:
    """A parameter added behind the signature; those of the signature itself in the dialect's form."""
    renamed = _PARAMETERS[version].get(name)
    if renamed is None:
        return translation.parameter_sent(speaker.dialect, name, value)
    if version == "v2" or value is None:
        return renamed, value
    made = {
        "AccessKeyId": lambda: f"{value}/{speaker.scope.text}",
        "Expires": lambda: str(signing_s3.MAX_EXPIRES_S),
        "Signature": lambda: _forged(value),
    }
    return renamed, made[name]()


def form_fields(speaker: Speaker, fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Form fields as the wire has them; those that authorize, in a form that nobody signed, in the dialect's form."""
    dialect = speaker.dialect
    stated = dict(fields)
    if "signature" in stated and speaker.version("form", ()) == "v4":
        return _forged_form(speaker, fields)
    renamed = {"AccessKeyId": "AWSAccessKeyId"}
    return [
        (renamed.get(name) or translation.name_sent(dialect, name), translation.value_sent(dialect, name, value))
        for name, value in fields
    ]


def _forged_form(speaker: Speaker, fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A form with a policy and a wrong signature of the case's own, as version 4 would have it."""
    dialect, stated = speaker.dialect, dict(fields)
    document = json.loads(base64.b64decode(stated["policy"]))
    added = _of_version_4(speaker, stated.get("AccessKeyId", speaker.identity.access_key))
    conditions = [translation.form_condition(dialect, one) for one in document["conditions"]]
    conditions += [{name: value} for name, value in added]
    policy = json.dumps({**document, "conditions": conditions}).encode()
    kept = [
        (translation.name_sent(dialect, name), translation.value_sent(dialect, name, value))
        for name, value in fields
        if name not in {"AccessKeyId", "policy", "signature"}
    ]
    forged = _forged(stated["signature"])
    return [*kept, *added, ("policy", base64.b64encode(policy).decode()), ("x-amz-signature", forged)]


def _of_version_4(speaker: Speaker, access_key: str) -> list[tuple[str, str]]:
    return [
        ("x-amz-algorithm", signing_s3.ALGORITHM),
        ("x-amz-credential", f"{access_key}/{speaker.scope.text}"),
        ("x-amz-date", speaker.scope.moment),
    ]


def signed_form(speaker: Speaker, conditions: list[object], expires_in: int) -> list[tuple[str, str]]:
    """The fields that authorize a form: access key, policy over ``conditions`` in the words of OBS, signature."""
    said = [translation.form_condition(speaker.dialect, condition) for condition in conditions]
    identity, scope = speaker.identity, speaker.scope
    ends = speaker.now + expires_in
    if speaker.version("form", ()) == "v2":
        policy = signing.form_policy(said, ends)
        signature = signing_s3.signature_v2(identity.secret_key, policy)
        return [("AWSAccessKeyId", identity.access_key), ("policy", policy), ("signature", signature)]
    added = _of_version_4(speaker, identity.access_key)
    policy = signing.form_policy([*said, *({name: value} for name, value in added)], ends)
    signature = signing_s3.signature_v4(identity.secret_key, scope, policy)
    return [*added, ("policy", policy), ("x-amz-signature", signature)]
