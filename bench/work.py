"""The work every contestant does for a case: PUT of 5,242 bytes, then HEAD, and what must stand in its answer."""

from __future__ import annotations

import base64
import hmac
from email.utils import formatdate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BODY = bytes(5242)
MODE = "x-obs-server-side-encryption"
KEY_ID = f"{MODE}-kms-key-id"
REQUEST_ID = "x-obs-request-id"

EXACT: Mapping[str, str] = {MODE: "kms", "Server": "OBS"}
PATTERNS: Mapping[str, str] = {
    "ETag": '"[0-9a-f]{32}"',
    REQUEST_ID: "[0-9A-F]{32}",
    KEY_ID: "[^:]+:[0-9a-z]{32}:key/[0-9a-z]{8}(-[0-9a-z]{4}){3}-[0-9a-z]{12}",
}
"""Two headers by value, three by a regular expression over the whole value."""

RIGHT: Mapping[str, str] = {
    "Server": "OBS",
    REQUEST_ID: "8DF400000163D45AA81D038B6AE4C482",
    "ETag": '"d8bffdfbab5345d91ac05141789d2477"',
    MODE: "kms",
    KEY_ID: "region:783fc6652cf246c096ea836694f71855:key/522d6070-5ad3-4765-9737-9312ddc72cdb",
    "Date": "Wed, 06 Jun 2018 09:08:21 GMT",
}
WRONG: Mapping[str, str] = {
    "Server": "OBX",
    REQUEST_ID: "8DF400000163D45AA81D038B6AE4C48",
    "ETag": '"d8bffdfbab5345d91ac05141789d247x"',
    MODE: "AES256",
    KEY_ID: "522d6070-5ad3-4765-9737-9312ddc72cdb",
}
"""A wrong value for each of the five, near enough to the right one to be overlooked."""


def path(number: int) -> str:
    """The object of a case."""
    return f"/bucket/o{number}"


def headers(method: str, number: int) -> dict[str, str]:
    """The headers of an exchange, signed now."""
    date = formatdate(usegmt=True)
    mode = f"{MODE}:kms\n" if method == "PUT" else ""
    text = f"{method}\n\n\n{date}\n{mode}{path(number)}"
    signature = base64.b64encode(hmac.digest(b"secret", text.encode(), "sha1")).decode()
    return {"Date": date, "Authorization": f"OBS AK:{signature}", **({MODE: "kms"} if mode else {})}
