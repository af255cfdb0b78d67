"""What is asked of a target's key service: that one key, put aside for it, changes its state.

Follows the vendor's KMS API v1.0: a POST to ``/v1.0/{project_id}/kms/ACTION`` with a JSON body, signed as its API
gateway wants it (SDK-HMAC-SHA256, as the vendor's API signing guide has it). Knows bytes; sends nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from conformance.vocabulary import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.vocabulary import Identity, KeyAction, KeyService

_MORE: Mapping[str, Mapping[str, str]] = {"schedule-key-deletion": {"pending_days": "7"}}
"""The shortest time that may be asked for; the key is put back long before."""
RESTORING: tuple[KeyAction, ...] = ("cancel-key-deletion", "enable-key")
"""What makes a key usable again, whatever state it is in; what is not needed is refused."""
USABLE = ("KMS.1201",)
"""Codes by which enabling is refused because the key is enabled."""


def request(action: KeyAction, service: KeyService, identity: Identity, key_id: str, now: float) -> Request:
    """The exact bytes of a call."""
    body = json.dumps({"key_id": key_id, **_MORE.get(action, {})}).encode()
    path = f"/v1.0/{service.project_id}/kms/{action}"
    signed = {
        "host": urlsplit(service.endpoint).netloc,
        "x-sdk-date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)),
    }
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {signed['host']}",
        f"X-Sdk-Date: {signed['x-sdk-date']}",
        f"Authorization: {authorization(identity, path, signed, body)}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    head = "\r\n".join([*lines, "", ""]).encode()
    return Request("POST", head, body, expects_continue=False, bucket="", object=None, service="kms")


def authorization(identity: Identity, path: str, signed: Mapping[str, str], body: bytes) -> str:
    """The value of the Authorization header of a POST without a query.

    :param signed: the headers that are signed, lower-case names in order; ``host`` and ``x-sdk-date`` among them.
    """
    names = ";".join(signed)
    headers = "".join(f"{name}:{value}\n" for name, value in signed.items())
    canonical = f"POST\n{path}/\n\n{headers}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    text = f"SDK-HMAC-SHA256\n{signed['x-sdk-date']}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(identity.secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"SDK-HMAC-SHA256 Access={identity.access_key}, SignedHeaders={names}, Signature={signature}"
