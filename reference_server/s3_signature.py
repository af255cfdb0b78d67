"""Version 4 of AWS's signature: of a request, of a chunk of its body, of a form.

The rules are those of AWS's documents ("Authenticating Requests: Using the Authorization Header", "... Query
Parameters", "Signature Calculations: Transferring Payload in Multiple Chunks", "Browser-Based Uploads"); OBS's S3
manual (v4_common_request) adds that a signing key serves for seven days. This module does not know who is calling.

Decisions where the documents leave room: the region of a credential is the client's to name, the service must be
`s3`; the path counts as it stands on the wire and strictly escaped; every `x-amz-` header must be signed, and `host`.
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

from reference_server.errors import ObsError
from reference_server.s3_words import ALGORITHM, THEIRS
from reference_server.wire import encode_octets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reference_server.wire import Foreign, Head, Query

SIGNING_KEY_DAYS = 7
MAX_VALID_S = 7 * 24 * 3600
"""For how long a URL can be good."""

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-"
"""How the hash of a body begins that is none but says how the body comes in chunks."""

MAX_DIGITS = 19
"""No length has more."""

_MOMENT = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_DAY = re.compile(r"\d{8}", re.ASCII)
_BLANKS = re.compile(r" +")
_SERVICE, _END = "s3", "aws4_request"
_CREDENTIAL_PARTS = 5
_DAY_S = 24 * 3600


def parse_authorization(text: str) -> tuple[str, tuple[str, ...], str]:
    """Credential, names of the signed headers and signature of an Authorization header."""
    parts = [part.strip().partition("=") for part in text.removeprefix(ALGORITHM).split(",")]
    said = {name: value for name, _, value in parts}
    if len(parts) != len(said) or set(said) != {"Credential", "SignedHeaders", "Signature"} or not all(said.values()):
        raise ObsError(
            "AccessDenied",
            f"The Authorization header does not have the form {ALGORITHM} Credential=..., SignedHeaders=..., "
            "Signature=...",
        )
    return said["Credential"], tuple(said["SignedHeaders"].split(";")), said["Signature"]


def parse_credential(text: str, moment: str) -> tuple[str, str]:
    """Access key and scope of `AK/YYYYMMDD/region/s3/aws4_request`, for a request of that moment."""
    access_key, *scope = text.rsplit("/", _CREDENTIAL_PARTS - 1)
    day, _, service, end = scope if len(scope) == _CREDENTIAL_PARTS - 1 else ("", "", "", "")
    if not access_key or (service, end) != (_SERVICE, _END):
        raise ObsError("AccessDenied", f"The Credential is not access-key/YYYYMMDD/region/{_SERVICE}/{_END}.")
    signed, begins = moment_of(moment), moment_of(day + "T000000Z") if _DAY.fullmatch(day) else None
    if begins is None:
        raise ObsError("AccessDenied", "The date in the Credential is not YYYYMMDD.")
    if signed is not None and not 0 <= signed - begins < SIGNING_KEY_DAYS * _DAY_S:
        raise ObsError("AccessDenied", "The date in the Credential is not that of the request.")
    return access_key, "/".join(scope)


def moment_of(text: str) -> int | None:
    """Unix seconds of `YYYYMMDDTHHMMSSZ`, or None."""
    if not _MOMENT.fullmatch(text):
        return None
    try:
        return calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return None


def moment_text(seconds: float) -> str:
    """The same the other way."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


# ---- a request -----------------------------------------------------------------------------------------------------


def check_begin(foreign: Foreign, latest: float) -> None:
    """A URL of version 4 is not good before its date."""
    begins = moment_of(foreign.moment)
    if begins is not None and begins > latest:
        raise ObsError("AccessDenied", "Request is not yet valid")


def check_request(foreign: Foreign, query: Query, given: str, secret_key: str) -> None:
    """Compare the signature of a request with that of each accepted spelling of its path, in constant time.

    ``query`` has the parameters as they were sent.
    """
    _refuse_unsigned_headers(foreign)
    first = ("", "")
    for canonical in _canonical_requests(foreign, query):
        text = _text_to_sign(foreign, canonical)
        if hmac.compare_digest(_signed(secret_key, foreign.scope, text).encode(), encode_octets(given)):
            return
        first = first if first[0] else (text, canonical)
    details = (("StringToSign", first[0]), ("SignatureProvided", given), ("CanonicalRequest", first[1]))
    raise ObsError("SignatureDoesNotMatch", details=details)


def _refuse_unsigned_headers(foreign: Foreign) -> None:
    names = foreign.head.headers.names()
    missing = [name for name in names if name.startswith(THEIRS) and name not in foreign.signed_headers]
    if "host" not in foreign.signed_headers:
        missing.insert(0, "host")
    if missing:
        raise ObsError(
            "AccessDenied",
            "There were headers present in the request which were not signed.",
            details=(("HeadersNotSigned", ", ".join(missing)),),
        )


def _canonical_requests(foreign: Foreign, query: Query) -> Iterator[str]:
    head = foreign.head
    headers = "".join(f"{name}:{_value(head, name)}\n" for name in foreign.signed_headers)
    rest = "\n".join((canonical_query(query.pairs), headers, ";".join(foreign.signed_headers), foreign.payload))
    for path in dict.fromkeys((_path(head), strict_path(_path(head)))):
        yield f"{head.method}\n{path}\n{rest}"


def _value(head: Head, name: str) -> str:
    return ",".join(_BLANKS.sub(" ", value.strip()) for value in head.headers.every(name))


def _path(head: Head) -> str:
    target = head.target
    if not target.startswith("/"):
        target = "/" + target.partition("://")[2].partition("/")[2]
    return target.partition("#")[0].partition("?")[0]


def strict_path(path: str) -> str:
    """A path with everything escaped but what AWS lets stand, and its slashes."""
    return quote(unquote_to_bytes(encode_octets(path)), safe="/-_.~")


def canonical_query(pairs: Iterable[tuple[str, str | None]]) -> str:
    """All parameters but the signature itself, escaped strictly and sorted; one without a value has an empty one."""
    escaped = sorted(
        (quote(encode_octets(name), safe="-_.~"), quote(encode_octets(value or ""), safe="-_.~"))
        for name, value in pairs
        if name != "X-Amz-Signature"
    )
    return "&".join(f"{name}={value}" for name, value in escaped)


def _text_to_sign(foreign: Foreign, canonical: str) -> str:
    digest = hashlib.sha256(encode_octets(canonical)).hexdigest()
    return f"{ALGORITHM}\n{foreign.moment}\n{foreign.scope}\n{digest}"


# ---- the key -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def signing_key(secret_key: str, scope: str) -> bytes:
    """The key that signs for one day, region and service."""
    key = b"AWS4" + secret_key.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode("utf-8", "surrogateescape"), "sha256")
    return key


def _signed(secret_key: str, scope: str, text: str) -> str:
    return hmac.digest(signing_key(secret_key, scope), encode_octets(text), "sha256").hex()


# ---- the chunks of a body, and forms -----------------------------------------------------------------------------


class ChunkSigner:
    """The chain of signatures over the chunks of one body: each covers the one before it."""

    def __init__(self, foreign: Foreign, secret_key: str) -> None:
        self._before = f"{foreign.moment}\n{foreign.scope}\n"
        self._scope, self._secret_key = foreign.scope, secret_key
        self._previous = foreign.signature

    def check_chunk(self, given: str, sha256: str) -> None:
        """The next chunk, by the digest of its octets; the last one is empty."""
        self._check(f"{ALGORITHM}-PAYLOAD\n{self._before}{self._previous}\n{EMPTY_SHA256}\n{sha256}", given)

    def check_trailer(self, given: str, trailer: bytes) -> None:
        """The trailing headers, as lines of `name:value`."""
        digest = hashlib.sha256(trailer).hexdigest()
        self._check(f"{ALGORITHM}-TRAILER\n{self._before}{self._previous}\n{digest}", given)

    def _check(self, text: str, given: str) -> None:
        right = _signed(self._secret_key, self._scope, text)
        if not hmac.compare_digest(right.encode(), encode_octets(given)):
            raise ObsError("SignatureDoesNotMatch", details=(("StringToSign", text), ("SignatureProvided", given)))
        self._previous = right


def form_is_signed(secret_key: str, given: str, policy: str) -> bool:
    """Whether a form's `AWS4-HMAC-SHA256 scope signature` is that of its policy, as it stands there in Base64."""
    _, scope, signature = (*given.split(" ", 2), "", "")[:3]
    return hmac.compare_digest(_signed(secret_key, scope, policy).encode(), encode_octets(signature))
