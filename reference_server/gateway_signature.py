"""How calls of the key service prove who makes them: SDK-HMAC-SHA256, the signature of the vendor's API gateway.

The canonical request (verb, path, query, signed headers, digest of the body) is hashed, and the hash is signed with
the secret key: hex(HMAC-SHA256(secret key, algorithm, X-Sdk-Date, hash)), as the vendor's API signing guide and its
SDKs have it. This module does not know keys, operations, or the signature of the storage protocol.

Decisions: Host and X-Sdk-Date must be among the signed headers, the date may be 15 minutes off, and the body is always
covered (`UNSIGNED-PAYLOAD` is refused), because nothing here is too large to be hashed.
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from reference_server.wire import encode_octets, parse_query

if TYPE_CHECKING:
    from reference_server.identities import Directory, Identity
    from reference_server.wire import Head

ALGORITHM = "SDK-HMAC-SHA256"
DATE, DIGEST = "x-sdk-date", "x-sdk-content-sha256"
MAX_SKEW_S = 15 * 60
_REQUIRED = ("host", DATE)
_AUTHORIZATION = re.compile(rf"{ALGORITHM} Access=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{{64}})")
_DATE = re.compile(r"\d{8}T\d{6}Z", re.ASCII)


class NotProvenError(Exception):
    """The signature does not prove who calls; the text says why."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an Authorization header says, before anything is believed."""

    access_key: str
    signed_headers: tuple[str, ...]
    signature: str


def prove(head: Head, body: bytes, directory: Directory, now: float) -> Identity:
    """The identity that signed a request (NotProvenError if none did)."""
    claim = _claim(head)
    identity = directory.find(claim.access_key)
    if identity is None:
        raise NotProvenError("the access key is not known")
    _check_date(head.headers.first(DATE) or "", now)
    text = string_to_sign(head, body, claim.signed_headers)
    if not hmac.compare_digest(sign(identity.secret_key, text), claim.signature):
        raise NotProvenError("the signature does not match")
    return identity


def _claim(head: Head) -> Claim:
    values = head.headers.every("authorization")
    match = _AUTHORIZATION.fullmatch(values[0]) if len(values) == 1 else None
    if match is None:
        raise NotProvenError(f"Authorization is not {ALGORITHM} Access=..., SignedHeaders=..., Signature=...")
    names = tuple(match[2].lower().split(";"))
    for name in _REQUIRED:
        if name not in names:
            raise NotProvenError(f"{name} is not among the signed headers")
    for name in names:
        if len(head.headers.every(name)) != 1:
            raise NotProvenError(f"the signed header {name} is not there exactly once")
    return Claim(match[1], names, match[3])


def _check_date(text: str, now: float) -> None:
    if not _DATE.fullmatch(text):
        raise NotProvenError("X-Sdk-Date is not YYYYMMDDTHHMMSSZ")
    try:
        sent = calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ"))
    except ValueError as error:
        raise NotProvenError("X-Sdk-Date is no date") from error
    if abs(sent - now) > MAX_SKEW_S:
        raise NotProvenError("X-Sdk-Date is more than 15 minutes off")


def string_to_sign(head: Head, body: bytes, signed_headers: tuple[str, ...]) -> str:
    """Algorithm, date and the digest of the canonical request, a line each."""
    digest = hashlib.sha256(body).hexdigest()
    if head.headers.first(DIGEST) not in (None, digest):
        raise NotProvenError("X-Sdk-Content-Sha256 is not the digest of the body")
    path, _, query = head.target.partition("?")
    lines = [
        head.method,
        _canonical_path(path),
        _canonical_query(query),
        *(f"{name}:{(head.headers.first(name) or '').strip()}" for name in signed_headers),
        "",
        ";".join(signed_headers),
        digest,
    ]
    canonical = hashlib.sha256(encode_octets("\n".join(lines))).hexdigest()
    return f"{ALGORITHM}\n{head.headers.first(DATE)}\n{canonical}"


def _canonical_path(path: str) -> str:
    encoded = "/".join(quote(unquote(segment), safe="~") for segment in path.split("/"))
    return encoded if encoded.endswith("/") else encoded + "/"


def _canonical_query(query: str) -> str:
    pairs = sorted((name, value or "") for name, value in parse_query(query).pairs)
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)


def sign(secret_key: str, text: str) -> str:
    """The signature, in lower-case hex."""
    return hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()
