"""How OBS requests are signed: string to sign, Authorization header, signed URL.

Source: obs_04_0010 (header) and obs_04_0011 (URL); query parameters that begin with ``x-obs-`` are signed as the
vendor's SDKs do although the documented list lacks them. Does not know the clock, the case or the network.
"""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SUB_RESOURCES = frozenset(  # one word after the other reads and sorts better than a quoted list
    """
    acl append attname backtosource CDNNotifyConfiguration cors customdomain delete deletebucket directcoldaccess
    encryption inventory length lifecycle location logging metadata modify name notification object-lock partNumber
    policy position quota rename replication requestPayment response-cache-control response-content-disposition
    response-content-encoding response-content-language response-content-type response-expires restore retention
    storageClass storageinfo storagePolicy tagging torrent truncate uploadId uploads versionId versioning versions
    website x-image-process x-image-save-bucket x-image-save-object x-obs-security-token
    """.split()  # noqa: SIM905 - as above
)
"""Query parameters that are part of the signed resource (obs_04_0010, both language editions together)."""

_VENDOR = "x-obs-"
_NEVER_SIGNED = frozenset({"accesskeyid", "expires", "signature"})
_SUB_RESOURCES_LOWERED = frozenset(name.lower() for name in SUB_RESOURCES)


def signature(secret_key: str, string_to_sign: str) -> str:
    """Base64 of the HMAC-SHA1 over the UTF-8 bytes: 28 characters."""
    digest = hmac.digest(secret_key.encode(), string_to_sign.encode(), "sha1")
    return base64.b64encode(digest).decode("ascii")


def form_policy(conditions: Sequence[object], expires: float) -> str:
    """The policy of a form as it stands in its field: Base64 of a JSON document (obs_04_0012).

    :param expires: seconds since 1970 at which it ends; parts of a second do not count.
    """
    ends = datetime.fromtimestamp(int(expires), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return base64.b64encode(json.dumps({"expiration": ends, "conditions": conditions}).encode()).decode()


def string_to_sign(
    method: str,
    headers: Iterable[tuple[str, str]],
    resource: str,
    *,
    date_slot: str | None = None,
) -> str:
    """The text whose HMAC authorizes a request.

    :param headers: (name, value) pairs as sent, in order; blanks around values do not count.
    :param date_slot: the Expires value of a signed URL; None takes the Date header, or nothing if x-obs-date is sent.
    """
    folded: dict[str, list[str]] = {}
    for name, value in headers:
        folded.setdefault(name.strip().lower(), []).append(value.strip())
    if date_slot is None:
        date_slot = "" if "x-obs-date" in folded else _first(folded.get("date"))
    canonical = "".join(
        f"{name}:{','.join(values)}\n" for name, values in sorted(folded.items()) if name.startswith(_VENDOR)
    )
    md5, content_type = _first(folded.get("content-md5")), _first(folded.get("content-type"))
    return f"{method}\n{md5}\n{content_type}\n{date_slot}\n{canonical}{resource}"


def canonical_resource(bucket: str | None, object_name: str | None, query: Sequence[tuple[str, str | None]]) -> str:
    """The resource as it is signed: percent-encoded object name, signed parameters sorted and decoded.

    A parameter that occurs twice counts once, the first (obs_04_0010).
    """
    path = "/" if not bucket else f"/{bucket}/{encode_path(object_name or '')}"
    signed = dict[str, str | None]()
    for name, value in query:
        if is_signed_parameter(name):
            signed.setdefault(name, value)
    parts = [name if value is None else f"{name}={value}" for name, value in sorted(signed.items())]
    return f"{path}?{'&'.join(parts)}" if parts else path


def is_signed_parameter(name: str) -> bool:
    """Whether a query parameter is part of the signed resource."""
    lowered = name.lower()
    return lowered not in _NEVER_SIGNED and (lowered in _SUB_RESOURCES_LOWERED or lowered.startswith(_VENDOR))


@lru_cache(maxsize=256)
def encode_path(object_name: str) -> str:
    """An object name percent-encoded as it stands in a request target; slashes stay."""
    return quote(object_name, safe="/-_.~")


def encode_query(query: Iterable[tuple[str, str | None]]) -> str:
    """Query parameters percent-encoded and joined, in the given order."""
    return "&".join(
        quote(name, safe="-_.~") if value is None else f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, value in query
    )


def _first(values: list[str] | None) -> str:
    return values[0] if values else ""
