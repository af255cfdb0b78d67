"""The words of the S3 dialect and what they are in the server's own: tables, and nothing that reads a request.

The sources are OBS's S3-compatible manual (sse-kms, put/get/delete_bucket_encryption, head_bucket, bucket_policy) and,
where that is silent, what AWS documents for the same word. A word that means the same in both dialects but for its
prefix is not in a table: `x-amz-` stands for `x-obs-`. This module does not know what any word does.

A value is exchanged, not merely replaced: what is right in one dialect is wrong in the other, and stays so on the way
through. `kms` is no mode for a client that speaks S3, just as `aws:kms` is none for one that speaks OBS (Q-04).
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

THEIRS, OURS = "x-amz-", "x-obs-"
"""How the names of headers, parameters and form fields begin."""

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
ARN = "arn:aws:kms:"
"""What stands before `region:domain:key/key_id` in the key names of this dialect (sse-kms, table 1)."""

_KEY_OURS = OURS + "server-side-encryption-kms-key-id"
_AWS_KEY_OURS = OURS + "server-side-encryption-aws-kms-key-id"

_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "server-side-encryption-aws-kms-key-id": "server-side-encryption-kms-key-id",
        "server-side-encryption-kms-key-id": "server-side-encryption-aws-kms-key-id",
    }
)
"""Names that differ in more than their prefix, exchanged like values."""

_ANSWERED: Mapping[str, str] = MappingProxyType(
    {OURS + "bucket-location": THEIRS + "bucket-region"}
    | {OURS + name: OURS + name for name in ("version", "api", "object-type", "next-append-position")}
)
_ANSWERED_BY: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"HeadBucket": {OURS + "storage-class": "x-default-storage-class"}}
)
"""Answer headers with a name of their own (head_bucket; the SDKs know the last four by no other), for all operations
and for one."""


def _exchanged(table: Mapping[str, str]) -> Callable[[str], str]:
    both = dict(table) | {ours: theirs for theirs, ours in table.items()}
    return lambda value: both.get(value, value)


def exchange_key(value: str) -> str:
    """A key by name; a bare id is the same in both dialects, a full name has `arn:aws:kms:` before it in this one."""
    if value.startswith(ARN):
        return value[len(ARN) :]
    return ARN + value if ":" in value else value


exchange_mode = _exchanged({"aws:kms": "kms"})
exchange_class = _exchanged({"STANDARD_IA": "WARM", "GLACIER": "COLD"})

VALUES: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        OURS + "server-side-encryption": exchange_mode,
        _KEY_OURS: exchange_key,
        OURS + "storage-class": exchange_class,
        "x-default-storage-class": exchange_class,
    }
)
"""By our name, how a value is exchanged."""

ELEMENTS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"SSEAlgorithm": exchange_mode, "KMSMasterKeyID": exchange_key, "StorageClass": exchange_class}
)
"""The same for the elements of documents."""

CODES: Mapping[str, str] = MappingProxyType({"ServiceNotImplemented": "NotImplemented"})
"""Error codes with another name in this dialect (the error list of the S3 manual); all others are the same."""

ONLY_THEIRS = frozenset(
    THEIRS + name
    for name in ("content-sha256", "decoded-content-length", "trailer", "sdk-checksum-algorithm", "te", "user-agent")
)
CHECKSUM = THEIRS + "checksum-"
"""Headers that are dealt with before anything is translated: they are about the signature and the body's wrapping."""

LACKING: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        THEIRS + "server-side-encryption-context": lambda _: True,
        THEIRS + "sse-kms-key-project-id": lambda _: True,
        THEIRS + "server-side-encryption-bucket-key-enabled": lambda value: value.lower() != "false",
        THEIRS + "expected-bucket-owner": lambda _: True,
        THEIRS + "source-expected-bucket-owner": lambda _: True,
    }
)
"""What only this dialect can ask for and nothing here does: refused, because ignoring it would be doing otherwise."""

URL_PARAMETERS = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders")
"""What a signed URL of version 4 has besides its signature."""

URL_SIGNATURE = "X-Amz-Signature"
TOKEN_URL = "X-Amz-Security-Token"  # noqa: S105 - the name of a parameter, not a secret

ROOTS: Mapping[str, str] = MappingProxyType({"Location": "LocationConstraint"})
"""Documents whose root has another name."""

ALGORITHM = "AWS4-HMAC-SHA256"

LISTED = frozenset(
    """
    accelerate acl analytics cors delete inventory lifecycle location logging metrics notification object-lock
    partnumber policy replication requestpayment response-cache-control response-content-disposition
    response-content-encoding response-content-language response-content-type response-expires restore select
    storageclass tagging torrent uploadid uploads versionid versioning versions website
    """.split()  # noqa: SIM905 - as words
)
"""The sub-resources that AWS's version 2 signs, in lower case; `encryption` is not among them."""


def our_name(theirs: str) -> str:
    """A header, parameter or form field in our words; what does not begin `x-amz-` is left as it is."""
    if not theirs.lower().startswith(THEIRS):
        return theirs
    prefix, rest = theirs[: len(THEIRS)], theirs[len(THEIRS) :]
    prefix = "X-OBS-" if prefix.isupper() else "X-Obs-" if prefix[0] == "X" else OURS
    return prefix + _NAMES.get(rest.lower(), rest)


def their_name(ours: str, operation: str = "") -> str:
    """An answer header in this dialect."""
    lower = ours.lower()
    if not lower.startswith(OURS):
        return ours
    found = _ANSWERED_BY.get(operation, {}).get(lower) or _ANSWERED.get(lower)
    rest = ours[len(OURS) :]
    return found or THEIRS + _NAMES.get(rest.lower(), rest)


def exchanged(our: str, value: str) -> str:
    """A value on its way through, by our name."""
    exchange = VALUES.get(our.lower())
    return value if exchange is None else exchange(value)


_OUR_WORDS = re.compile(r"x-obs-[a-z0-9-]+")
_SENTENCES = (
    ("must be kms or AES256", "must be aws:kms or AES256"),
    ("must be kms or obs", "must be aws:kms or obs"),
    (" is kms.", " is aws:kms."),
    ("STANDARD, WARM or COLD", "STANDARD, STANDARD_IA or GLACIER"),
    ("nor regionID:domainID:key/key_id", f"nor {ARN}regionID:domainID:key/key_id"),
    ("AccessKeyId, Expires and Signature", "AWSAccessKeyId, Expires and Signature"),
    ("the form OBS AccessKeyID:Signature", "the form AWS AccessKeyID:Signature"),
)


def their_sentence(text: str) -> str:
    """An explanation in the words of this dialect, so that it names what the client has sent."""
    for ours, theirs in _SENTENCES:
        text = text.replace(ours, theirs)
    return _OUR_WORDS.sub(lambda found: their_name(found[0]), text)
