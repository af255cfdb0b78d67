"""Who sent a request: header, URL and form signatures, their dates and expiries.

This module does not know what the caller may do, nor what any sub-resource means beyond being signed or not.

Header (obs_04_0010), URL (obs_04_0011) and form (obs_04_0012) signatures are Base64(HMAC-SHA1(secret, string to sign)).
Where the vendor's own clients read the page differently, both readings are accepted, and nothing else:

* The resource names the object percent-encoded, as all four SDKs do; of the characters that the SDKs escape
  differently, both the spelling on the wire and the strict one count. The plain name, which the page shows, counts as
  well (section 6.2, Q-33), unless it could be taken for another name or for parameters.
* Parameters whose name begins `x-obs-` are part of the resource (SDK rule, section 6.4). In a header signature the
  list alone counts too, because the Node SDK signs so. In a URL signature it does not: whoever adds such a parameter
  to a URL signed without it is refused (Q-01).
* A bucket without an object is `/bucket/`; in path style `/bucket` counts too, because the Python SDK signs so.
* Values are trimmed (page), which the SDKs do for metadata only; what reaches us has lost its outer blanks anyway
  (Q-32).
* A parameter with an empty value counts as one without a value too: clients disagree on writing `acl` or `acl=`.

Which reading it was is kept with the caller, so that the log can show what a client really signs.

Further decisions: an absent or unreadable date is 403 AccessDenied (obs_04_0115), an expired URL is 403 AccessDenied
(section 6.3), no validity is too long (E-11), the Date of a signed URL does not matter (S-65), two ways of signing in
one request are 400 InvalidArgument, and temporary credentials are not issued here, so their token is refused.
"""

from __future__ import annotations

import binascii
import hmac
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from reference_server import s3_signature
from reference_server.dates import parse_http_date
from reference_server.errors import ObsError
from reference_server.identities import ANONYMOUS, Caller, Directory, Identity
from reference_server.s3_words import ALGORITHM, LISTED, THEIRS
from reference_server.wire import Address, Foreign, Head, Headers, Query, encode_octets

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SKEW_S = 15 * 60
HEADER_PREFIX = "x-obs-"
DATE = "x-obs-date"
TOKEN = "x-obs-security-token"  # noqa: S105 - the name of a header, not a secret

SIGNED_PARAMETERS = frozenset(
    # The documented list (OTC and CN-MD editions, section 6.1).
    """
    CDNNotifyConfiguration acl append attname backtosource cors customdomain delete deletebucket directcoldaccess
    encryption inventory length lifecycle location logging metadata mirrorBackToSource modify name notification
    obscompresspolicy orchestration partNumber policy position quota rename replication requestPayment
    response-cache-control response-content-disposition response-content-encoding response-content-language
    response-content-type response-expires restore storageClass storagePolicy storageinfo tagging torrent truncate
    uploadId uploads versionId versioning versions website object-lock retention x-image-process x-image-save-bucket
    x-image-save-object x-obs-security-token
    """.split()  # noqa: SIM905 - as words
)
SIGNED_LOWER = frozenset(name.lower() for name in SIGNED_PARAMETERS)
"""The same in lower case, in which the SDKs compare them (section 6.2)."""

_UNMISTAKABLE = re.compile(r"[^%?\x00-\x1f\x7f]+")
"""Names that, signed as they are, are neither the escaped spelling of another name nor a name with parameters."""

_AUTHORIZATION = re.compile(r"OBS ([^:\s]+):(\S+)")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about its sender, before anything is believed."""

    kind: str
    access_key: str = ""
    signature: str = ""
    expires: str = ""


def claim_of(head: Head, query: Query) -> Claim:
    """Read who a request claims to be from."""
    authorizations = head.headers.every("authorization")
    in_url = query.pairs != () and any(name in query for name in ("Signature", "AccessKeyId", "Expires"))
    if not authorizations and not in_url:
        return Claim("anonymous")
    if len(authorizations) > 1 or (authorizations and in_url):
        raise ObsError("InvalidArgument", "Only one way of signing can be used in one request.")
    if in_url:
        values = [query.every(name) for name in ("AccessKeyId", "Signature", "Expires")]
        if any(len(value) != 1 for value in values):
            raise ObsError("AccessDenied", "A signed URL has AccessKeyId, Expires and Signature, each once.")
        access_key, signature, expires = (value[0] for value in values)
        return Claim("url", access_key, signature, expires)
    match = _AUTHORIZATION.fullmatch(authorizations[0])
    if not match:
        raise ObsError("AccessDenied", "The Authorization header does not have the form OBS AccessKeyID:Signature.")
    return Claim("header", match[1], match[2])


def authenticate(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    """The proven caller of a request, or a refusal."""
    claim = claim_of(head, query)
    if claim.kind == "anonymous":
        return ANONYMOUS
    identity = known_identity(claim.access_key, directory)
    if head.headers.first(TOKEN) is not None or TOKEN in query:
        raise ObsError("AccessDenied", "Temporary credentials are not known here.")
    if claim.kind == "url":
        check_expiry(claim.expires, now)
        if head.foreign is not None:
            s3_signature.check_begin(head.foreign, now + MAX_SKEW_S)
    else:
        check_skew(head.headers, now)
    return _read(identity.caller, check_signature(head, address, query, claim, identity))


@lru_cache(maxsize=1024)
def _read(caller: Caller, reading: str) -> Caller:
    return replace(caller, reading=reading)


def known_identity(access_key: str, directory: Directory) -> Identity:
    """The identity of an access key; unknown ones are 403 InvalidAccessKeyId (obs_04_0115)."""
    identity = directory.find(access_key)
    if identity is None:
        raise ObsError("InvalidAccessKeyId")
    return identity


def check_expiry(expires: str, now: float) -> None:
    """`Expires` is decimal Unix seconds (S-64)."""
    if not (expires.isascii() and expires.isdigit()):
        raise ObsError("AccessDenied", "Expires must be Unix seconds.")
    if int(expires[:20]) < now:
        raise ObsError("AccessDenied", "Request has expired")


def check_skew(headers: Headers, now: float) -> None:
    """The date of a header signature, `x-obs-date` before Date, may be 15 minutes off (section 6.1)."""
    text = headers.first(DATE) or headers.first("date")
    sent = None if text is None else parse_http_date(text)
    if sent is None:
        raise ObsError("AccessDenied", "A signed request needs a valid Date or x-obs-date header.")
    if abs(sent - now) > MAX_SKEW_S:
        raise ObsError("RequestTimeTooSkewed")


def sign(secret_key: str, string_to_sign: str) -> str:
    """Base64(HMAC-SHA1(secret, string to sign))."""
    return _sign(secret_key, string_to_sign).decode()


def _sign(secret_key: str, string_to_sign: str) -> bytes:
    code = _keyed(secret_key).copy()
    code.update(encode_octets(string_to_sign))
    return binascii.b2a_base64(code.digest(), newline=False)


@lru_cache(maxsize=256)
def _keyed(secret_key: str) -> hmac.HMAC:
    """HMAC-SHA1 that has taken its key: to copy it costs a third of keying another one."""
    return hmac.new(secret_key.encode(), digestmod="sha1")


def check_signature(head: Head, address: Address, query: Query, claim: Claim, identity: Identity) -> str:
    """Compare the signature with that of each accepted reading, in constant time; the name of the one that fits.

    The name is `header` or `url` for the usual reading, with a colon and what is different about any other.
    """
    if head.foreign is not None and head.foreign.flavour == "V4":
        s3_signature.check_request(head.foreign, head.foreign.said(query), claim.signature, identity.secret_key)
        return f"{claim.kind}: V4"
    given = encode_octets(claim.signature)
    first = ""
    for remark, attempt in readings(head, address, query, claim):
        if _same(identity, attempt, given):
            return f"{claim.kind}: {remark}" if remark else claim.kind
        first = first or attempt
    raise ObsError("SignatureDoesNotMatch", details=(("StringToSign", first), ("SignatureProvided", claim.signature)))


def _same(identity: Identity, string_to_sign: str, given: bytes) -> bool:
    return hmac.compare_digest(_sign(identity.secret_key, string_to_sign), given)


def strings_to_sign(head: Head, address: Address, query: Query, claim: Claim) -> Iterator[str]:
    """Every accepted string to sign, the page's reading with the SDKs' spelling of names and parameters first."""
    return (text for _, text in readings(head, address, query, claim))


def readings(head: Head, address: Address, query: Query, claim: Claim) -> Iterator[tuple[str, str]]:
    """The accepted strings to sign, each with what is unusual about it."""
    if head.foreign is not None:
        yield from _foreign_readings(head.foreign, address, query, claim)
        return
    before = signed_head(head, claim)
    seen: set[str] = set()
    for path_remark, path in _paths(address):
        for remark, parameters in _parameter_readings(query, header_signature=claim.kind == "header"):
            resource = f"{path}?{parameters}" if parameters else path
            if resource not in seen:
                seen.add(resource)
                yield ", ".join(filter(None, (path_remark, remark))), before + resource


def _foreign_readings(foreign: Foreign, address: Address, query: Query, claim: Claim) -> Iterator[tuple[str, str]]:
    """The same for version 2 of AWS's signature: OBS's strings with `x-amz-` in them, and AWS's own list.

    Of a header signature AWS's list counts too, which lacks `encryption`. A URL signature covers `x-amz-` parameters,
    in the resource as Huawei's SDKs sign them or as header lines as AWS's do; unsigned ones are refused (Q-01).
    """
    said = foreign.said(query)
    in_head = claim.kind == "header"
    hoisted = tuple((name, value) for name, value in said.pairs if name.lower().startswith(THEIRS))
    lines = replace(foreign.head, headers=Headers((*foreign.head.headers.pairs, *((n, v or "") for n, v in hoisted))))
    before = signed_head(foreign.head, claim, prefix=THEIRS)
    for path_remark, path in _paths(address):
        found = [
            ("V2", before, canonical_parameters(said, prefix=THEIRS)),
            ("V2, empty parameter without =", before, canonical_parameters(said, prefix=THEIRS, bare_empty=True)),
        ]
        if in_head:
            found.append(("V2, AWS's list", before, canonical_parameters(said, prefixed=False, listed=LISTED)))
        elif hoisted:
            own = signed_head(lines, claim, prefix=THEIRS)
            found.append(("V2, parameters as headers", own, canonical_parameters(said, prefixed=False)))
        for remark, start, parameters in found:
            yield (
                ", ".join(filter(None, (remark, path_remark))),
                start + (f"{path}?{parameters}" if parameters else path),
            )


def signed_head(head: Head, claim: Claim, *, prefix: str = HEADER_PREFIX) -> str:
    """Everything before the resource: verb, Content-MD5, Content-Type, date slot, `x-obs-` headers (section 6.1)."""
    headers = head.headers
    if claim.kind == "url":
        date = claim.expires
    else:
        date = "" if headers.first(prefix + "date") is not None else headers.first("date") or ""
    lines = [head.method, headers.first("content-md5") or "", headers.first("content-type") or "", date]
    names = sorted([name for name in headers.names() if name.startswith(prefix)])
    lines += [f"{name}:{','.join([value.strip() for value in headers.every(name)])}" for name in names]
    return "\n".join(lines) + "\n"


def _paths(address: Address) -> Iterator[tuple[str, str]]:
    if not address.bucket:
        yield "", "/"
    elif not address.key:
        yield "", f"/{address.bucket}/"
        if not address.virtual_host:
            yield "bucket without a slash", f"/{address.bucket}"
    else:
        yield "", f"/{address.bucket}/{address.encoded_key}"
        yield "name strictly escaped", f"/{address.bucket}/{quote(unquote(address.encoded_key), safe='/~')}"
        if _UNMISTAKABLE.fullmatch(address.key):
            yield "name not escaped", f"/{address.bucket}/{address.key}"


def _parameter_readings(query: Query, *, header_signature: bool) -> Iterator[tuple[str, str]]:
    if not query.pairs:
        yield "", ""
        return
    yield "", canonical_parameters(query)
    yield "empty parameter without =", canonical_parameters(query, bare_empty=True)
    if header_signature:
        yield "listed parameters only", canonical_parameters(query, prefixed=False)


def canonical_parameters(
    query: Query,
    *,
    prefixed: bool = True,
    bare_empty: bool = False,
    listed: frozenset[str] = SIGNED_LOWER,
    prefix: str = HEADER_PREFIX,
) -> str:
    """The signed parameters, sorted by name, decoded, each name once (the first counts; section 6.1)."""
    chosen: dict[str, str | None] = {}
    for name, value in query.pairs:
        lower = name.lower()
        if lower in listed or (prefixed and lower.startswith(prefix)):
            chosen.setdefault(name, value)
    return "&".join(
        name if value is None or (bare_empty and not value) else f"{name}={value}"
        for name, value in sorted(chosen.items())
    )


def verify_form(access_key: str, policy: str, signature: str, directory: Directory) -> Identity:
    """The signer of a POST form: what is signed is the policy as it stands in the form, in Base64 (section 6.5).

    A signature of version 4 has its algorithm and scope before it (`dialect.understood_form`).
    """
    identity = known_identity(access_key, directory)
    if signature.startswith(ALGORITHM):
        if not s3_signature.form_is_signed(identity.secret_key, signature, policy):
            raise ObsError("SignatureDoesNotMatch")
        return identity
    if not hmac.compare_digest(sign(identity.secret_key, policy).encode(), encode_octets(signature)):
        raise ObsError("SignatureDoesNotMatch")
    return identity
