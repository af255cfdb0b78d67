"""How requests are signed in the S3 dialect: version 2 and version 4, in a header, in a URL and in a form.

Source: AWS, "Authenticating Requests (AWS Signature Version 4)" and "Signing and Authenticating REST Requests"
(version 2). Values in, values out: does not know the clock, the case or the network.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from conformance.signing import encode_path, encode_query

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
"""Stands for the digest of the body in a signed URL."""
MAX_EXPIRES_S = 7 * 24 * 3600
"""A URL signed with version 4 is valid for a week at most."""
_PREFIX = "x-amz-"
_SIGNED_BESIDE = frozenset({"host", "content-md5", "content-type"})
SUB_RESOURCES_V2 = frozenset(
    """
    acl cors delete lifecycle location logging notification partNumber policy requestPayment tagging torrent uploadId
    uploads versionId versioning versions website response-cache-control response-content-disposition
    response-content-encoding response-content-language response-content-type response-expires
    """.split()  # noqa: SIM905 - one word after the other reads and sorts better than a quoted list
)
"""Query parameters that version 2 signs; ``encryption`` is not among them."""

Pairs = tuple[tuple[str, str], ...]
Query = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a version-4 signature is bound to: moment (``20130524T000000Z``) and region, for the service s3."""

    moment: str
    region: str

    @property
    def text(self) -> str:
        """As it stands in a credential, after the access key."""
        return f"{self.moment[:8]}/{self.region}/s3/aws4_request"


def moment_of(now: float) -> str:
    """Seconds since 1970 in the form of ``x-amz-date``."""
    return datetime.fromtimestamp(int(now), UTC).strftime("%Y%m%dT%H%M%SZ")


def signed_headers(headers: Pairs) -> Pairs:
    """The headers a version-4 signature covers, folded and sorted: Host, those of the content, all of the vendor."""
    folded: dict[str, list[str]] = {}
    for name, value in headers:
        lowered = name.strip().lower()
        if lowered in _SIGNED_BESIDE or lowered.startswith(_PREFIX):
            folded.setdefault(lowered, []).append(" ".join(value.split()))
    return tuple((name, ",".join(values)) for name, values in sorted(folded.items()))


def canonical_request(method: str, path: str, query: Query, headers: Pairs, payload: str) -> str:
    """The text whose digest is signed.

    :param path: percent-encoded as it stands in the request target; S3 does not encode it again.
    :param headers: as ``signed_headers`` gives them.
    :param payload: SHA-256 of the body in hex, or ``UNSIGNED``.
    """
    pairs = sorted(encode_query([(name, value or "")]) for name, value in query)
    lines = "".join(f"{name}:{value}\n" for name, value in headers)
    return f"{method}\n{path}\n{'&'.join(pairs)}\n{lines}\n{names_of(headers)}\n{payload}"


def names_of(headers: Pairs) -> str:
    """The names of signed headers as a signature lists them."""
    return ";".join(name for name, _ in headers)


def string_to_sign(scope: Scope, canonical: str) -> str:
    """What is signed of a canonical request."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return f"{ALGORITHM}\n{scope.moment}\n{scope.text}\n{digest}"


def signature_v4(secret_key: str, scope: Scope, text: str) -> str:
    """The signature in hex: 64 characters. A form's text is its policy in Base64."""
    key = f"AWS4{secret_key}".encode()
    for part in (scope.moment[:8], scope.region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def authorization_v4(access_key: str, scope: Scope, headers: Pairs, signature: str) -> str:
    """The value of the Authorization header."""
    return f"{ALGORITHM} Credential={access_key}/{scope.text}, SignedHeaders={names_of(headers)}, Signature={signature}"


def signature_v2(secret_key: str, text: str) -> str:
    """Base64 of the HMAC-SHA1: 28 characters."""
    return base64.b64encode(hmac.new(secret_key.encode(), text.encode(), hashlib.sha1).digest()).decode("ascii")


def string_to_sign_v2(  # noqa: PLR0913, PLR0917 - the parts of the string to sign
    method: str,
    headers: Iterable[tuple[str, str]],
    bucket: str,
    name: str | None,
    query: Sequence[tuple[str, str | None]],
    date_slot: str | None = None,
) -> str:
    """The text that version 2 signs.

    :param date_slot: the Expires value of a signed URL; None takes the Date header, or nothing beside ``x-amz-date``.
    """
    folded: dict[str, list[str]] = {}
    for header, value in headers:
        folded.setdefault(header.strip().lower(), []).append(value.strip())
    if date_slot is None:
        date_slot = "" if "x-amz-date" in folded else _first(folded, "date")
    amz = "".join(f"{key}:{','.join(folded[key])}\n" for key in sorted(folded) if key.startswith(_PREFIX))
    signed = dict[str, str | None]()
    for parameter, value_ in query:
        if parameter in SUB_RESOURCES_V2:
            signed.setdefault(parameter, value_)
    parts = [key if text is None else f"{key}={text}" for key, text in sorted(signed.items())]
    path = f"/{bucket}/{encode_path(name or '')}" if bucket else "/"
    resource = f"{path}?{'&'.join(parts)}" if parts else path
    return f"{method}\n{_first(folded, 'content-md5')}\n{_first(folded, 'content-type')}\n{date_slot}\n{amz}{resource}"


def _first(folded: dict[str, list[str]], name: str) -> str:
    return folded.get(name, [""])[0]
