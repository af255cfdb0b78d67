"""The one owner of the encryption decision, in both directions.

From what a request says (headers, parameters or form fields), the bucket's default and the key ring to an
`Encryption` or a refusal; and from an `Encryption` back to response headers. No other module spells an encryption
header. It does not know HTTP framing, operations or storage.

Decisions where the documents are silent (numbers are those of the protocol facts):

* Q-02: the mode and the key id may both be query parameters; an SSE-C key may not, it would end up in logs.
* Q-03, Q-31: the same field said twice, as header and parameter or in two lines, must say the same thing once.
* Q-04, Q-05: unknown modes, a key id without a mode and a key id with AES256 are refused with 400 InvalidArgument.
* Q-08: KMS and SSE-C together, an incomplete SSE-C trio and a key that is not 256 bits are refused likewise.
* E-09: `x-obs-server-side-data-encryption: SM4` is an optional capability that this server does not have: 501.
* Q-12: a copy without encryption fields is an upload without encryption fields: bucket default, else plain.
* Q-16: encryption headers on calls where they have no place (GET, HEAD, parts, complete, DELETE) are ignored.
* Q-22: setting a bucket default does not make the default key; the first upload does.
* E-18: the default key is that of the uploader's account.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reference_server.errors import DamagedStateError, ObsError
from reference_server.keyring import (
    NO_PRIVILEGE,
    KeyReference,
    Keyring,
    MasterKey,
    parse_key_reference,
    unwrap,
    wrap,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference_server.identities import Caller, Dice
    from reference_server.wire import Headers, Pairs, Query

MODE = "x-obs-server-side-encryption"
KEY_ID = "x-obs-server-side-encryption-kms-key-id"
KEY_PROJECT = "x-obs-sse-kms-key-project-id"
DATA_ENCRYPTION = "x-obs-server-side-data-encryption"
BUCKET_KEYS = "x-obs-server-side-encryption-bucket-key-enabled"
CUSTOMER = "x-obs-server-side-encryption-customer-"
SOURCE_CUSTOMER = "x-obs-copy-source-server-side-encryption-customer-"

QUERY_FIELDS = frozenset((MODE, KEY_ID))
"""The fields that a signed URL may carry as parameters (S-63, Q-02)."""

DATA_KEY_BYTES = 32
_CUSTOMER_PARTS = ("algorithm", "key", "key-md5")
_CUSTOMER_FIELDS = frozenset(prefix + part for prefix in (CUSTOMER, SOURCE_CUSTOMER) for part in _CUSTOMER_PARTS)


class Method(StrEnum):
    """How an object is encrypted; the values of the first two are those of the mode field."""

    KMS = "kms"
    OBS = "AES256"
    CUSTOMER = "customer"


class Occasion(StrEnum):
    """The calls at which encryption is decided on or reported."""

    PUT = "put"
    FORM = "form"
    COPY = "copy"
    INITIATE = "initiate"
    APPEND = "append"
    PART = "part"
    COPY_PART = "copy-part"
    COMPLETE = "complete"
    GET = "get"
    HEAD = "head"


@dataclass(frozen=True, slots=True)
class CustomerKey:
    """An SSE-C key as sent; never stored, never returned (section 5.2)."""

    key: bytes
    md5: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What one request says about encryption, each part checked by itself."""

    mode: Method | None = None
    key: KeyReference | None = None
    project_id: str = ""
    customer: CustomerKey | None = None

    @property
    def silent(self) -> bool:
        """Whether the request says nothing at all, so that the bucket's default counts (S-11)."""
        return self.mode is None and self.customer is None


@dataclass(frozen=True, slots=True)
class BucketDefault:
    """A bucket's default encryption as it was configured (section 4.2)."""

    mode: Method
    key_text: str = ""
    project_id: str = ""


@dataclass(frozen=True, slots=True)
class Encryption:
    """The decision: how one object is, or shall be, encrypted."""

    method: Method | None = None
    key: MasterKey | None = None
    customer: CustomerKey | None = None


PLAIN = Encryption()


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is stored beside an encrypted object: its method, its master key's id, its wrapped data key."""

    method: Method
    key_id: str
    wrapped: bytes


# ---- from the request ------------------------------------------------------------------------------------------


def _single(name: str, values: list[str]) -> str | None:
    """The one value of a field; saying different things at once is refused (Q-03, Q-31)."""
    if len(values) > 1 and len(set(values)) > 1:
        raise ObsError("InvalidArgument", f"{name} is given more than once, with different values.")
    return values[0] if values else None


def wish_of_request(headers: Headers, query: Query) -> Wish:
    """Read the fields of PUT, copy, initiate or append from headers and parameters."""

    def field(name: str) -> str | None:
        parameters = query.every(name) if query.pairs and name in QUERY_FIELDS else []
        return _single(name, headers.every(name) + parameters)

    if query.pairs and any((name or "").startswith(CUSTOMER) for name, _ in query.pairs):
        raise ObsError("InvalidArgument", "A customer key cannot be a query parameter.")
    return _wish(
        field(MODE), field(KEY_ID), field(KEY_PROJECT), field(DATA_ENCRYPTION), customer_key(headers, CUSTOMER)
    )


def wish_of_form(fields: Headers) -> Wish:
    """Read the fields of a POST form (obs_04_0081)."""
    mode, key_id, project_id, data_encryption = (
        _single(name, fields.every(name)) for name in (MODE, KEY_ID, KEY_PROJECT, DATA_ENCRYPTION)
    )
    return _wish(mode, key_id, project_id, data_encryption, customer_key(fields, CUSTOMER))


def mode_as_said(headers: Headers, query: Query) -> str | None:
    """The mode just as the request says it, for the conditions of a bucket policy."""
    return headers.joined(MODE) or query.first(MODE)


def key_id_as_said(headers: Headers, query: Query) -> str | None:
    """The key id just as the request says it, for the conditions of a bucket policy."""
    return headers.joined(KEY_ID) or query.first(KEY_ID)


def _wish(
    mode: str | None,
    key_id: str | None,
    project_id: str | None,
    data_encryption: str | None,
    customer: CustomerKey | None,
) -> Wish:
    method = None if mode is None else _parse_mode(mode)
    if customer is not None and (method is not None or key_id is not None):
        raise ObsError("InvalidArgument", "Only one method of server-side encryption can be used for one upload.")
    if key_id is not None and method is not Method.KMS:
        raise ObsError("InvalidArgument", f"{KEY_ID} can only be used when {MODE} is kms.")
    if project_id is not None and key_id is None:
        raise ObsError("InvalidArgument", f"{KEY_PROJECT} can only be used with {KEY_ID}.")
    _check_data_encryption(data_encryption)
    return Wish(method, None if key_id is None else parse_key_reference(key_id), project_id or "", customer)


def _parse_mode(text: str) -> Method:
    if text not in (Method.KMS, Method.OBS):
        raise ObsError("InvalidArgument", f"{MODE} must be kms or AES256.")
    return Method(text)


def _check_data_encryption(text: str | None) -> None:
    if text == "SM4":
        raise ObsError("ServiceNotImplemented", "SM4 is not available here.")
    if text not in (None, "AES256"):
        raise ObsError("InvalidArgument", f"{DATA_ENCRYPTION} must be SM4 or AES256.")


def customer_key(headers: Headers, prefix: str) -> CustomerKey | None:
    """Read an SSE-C trio, or its copy-source twin; the three must be used together (section 5.2)."""
    if not headers.mentions(_CUSTOMER_FIELDS):
        return None
    algorithm, key, md5 = (_single(prefix + part, headers.every(prefix + part)) for part in _CUSTOMER_PARTS)
    if algorithm is None and key is None and md5 is None:
        return None
    if algorithm is None or key is None or md5 is None:
        raise ObsError("InvalidArgument", "The three SSE-C headers must be used together.")
    if algorithm != "AES256":
        raise ObsError("InvalidArgument", "The SSE-C algorithm must be AES256.")
    try:
        octets = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ObsError("InvalidArgument", "The SSE-C key is not Base64.") from error
    if len(octets) != DATA_KEY_BYTES:
        raise ObsError("InvalidArgument", "The SSE-C key does not have 256 bits.")
    true_md5 = base64.b64encode(hashlib.md5(octets, usedforsecurity=False).digest()).decode()
    if not hmac.compare_digest(true_md5.encode(), md5.encode("utf-8", "surrogateescape")):
        raise ObsError("InvalidArgument", "The SSE-C key and its MD5 do not belong together.")
    return CustomerKey(octets, true_md5)


# ---- the bucket's default ----------------------------------------------------------------------------------------


def bucket_default(leaves: Mapping[str, str], keyring: Keyring, caller: Caller) -> BucketDefault:
    """Check the leaves of `ApplyServerSideEncryptionByDefault` and the key they name.

    The key is checked at once because a live endpoint did so (section 4.4), and a key outside the default project
    needs its ProjectID (section 4.2).
    """
    algorithm = leaves.get("SSEAlgorithm")
    if algorithm is None:
        raise ObsError("MalformedXML", "SSEAlgorithm is missing.")
    if algorithm not in (Method.KMS, Method.OBS):
        raise ObsError("InvalidArgument", "SSEAlgorithm must be kms or AES256.")
    _check_data_encryption(leaves.get("KMSDataEncryption"))
    key_text, project_id = leaves.get("KMSMasterKeyID"), leaves.get("ProjectID")
    if key_text is not None and algorithm != Method.KMS:
        raise ObsError("InvalidArgument", "KMSMasterKeyID can only be used when SSEAlgorithm is kms.")
    if project_id is not None and key_text is None:
        raise ObsError("InvalidArgument", "ProjectID must not be set without KMSMasterKeyID.")
    if key_text is not None:
        key = keyring.find(parse_key_reference(key_text))
        keyring.permit(key, caller)
        if not key.in_default_project and project_id is None:
            raise ObsError("AccessDenied", NO_PRIVILEGE)
        _check_project(key, project_id or "")
    return BucketDefault(Method(algorithm), key_text or "", project_id or "")


def bucket_default_of_headers(headers: Headers, keyring: Keyring, caller: Caller) -> BucketDefault | None:
    """The default a bucket is created with; here, and only here, SSE-OBS is spelled `obs` (section 3.8)."""
    if headers.first(BUCKET_KEYS) not in (None, "false"):
        raise ObsError("ServiceNotImplemented", "Bucket keys are not implemented here.")
    mode = _single(MODE, headers.every(MODE))
    named = {
        "KMSMasterKeyID": _single(KEY_ID, headers.every(KEY_ID)),
        "ProjectID": _single(KEY_PROJECT, headers.every(KEY_PROJECT)),
        "KMSDataEncryption": _single(DATA_ENCRYPTION, headers.every(DATA_ENCRYPTION)),
    }
    leaves = {name: value for name, value in named.items() if value is not None}
    if mode is None:
        if leaves:
            raise ObsError("InvalidArgument", f"{MODE} is missing.")
        return None
    if mode not in ("kms", "obs"):
        raise ObsError("InvalidArgument", f"{MODE} must be kms or obs when a bucket is created.")
    return bucket_default({"SSEAlgorithm": Method.OBS if mode == "obs" else mode, **leaves}, keyring, caller)


DEFAULT_LEAVES = ("SSEAlgorithm", "KMSMasterKeyID", "ProjectID", "KMSDataEncryption")
"""What can be in `ApplyServerSideEncryptionByDefault`; bucket keys (obs_03_0091) are a capability not had here."""


def leaves_of_default(default: BucketDefault) -> Pairs:
    """The leaves again, as they were configured (Q-19)."""
    leaves = (
        ("SSEAlgorithm", default.mode.value),
        ("KMSMasterKeyID", default.key_text),
        ("ProjectID", default.project_id),
    )
    return tuple((name, value) for name, value in leaves if value)


# ---- the decision ------------------------------------------------------------------------------------------------


def decide(
    occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
) -> Encryption:
    """How the object of an upload shall be encrypted: the request's own word, else the bucket's, else not at all."""
    del occasion  # the rule is the same for every upload; the name is there for servers that get one of them wrong
    if wish.customer is not None:
        return Encryption(Method.CUSTOMER, customer=wish.customer)
    if wish.mode is not None:
        return _with_key(wish.mode, wish.key, wish.project_id, keyring, caller)
    if default is not None:
        reference = parse_key_reference(default.key_text) if default.key_text else None
        return _with_key(default.mode, reference, default.project_id, keyring, caller)
    return PLAIN


def _with_key(
    mode: Method, reference: KeyReference | None, project_id: str, keyring: Keyring, caller: Caller
) -> Encryption:
    if mode is Method.OBS:
        return Encryption(Method.OBS)
    key = keyring.default_for(caller) if reference is None else keyring.find(reference)
    keyring.permit(key, caller)
    _check_project(key, project_id)
    return Encryption(Method.KMS, key)


def _check_project(key: MasterKey, project_id: str) -> None:
    if project_id not in ("", key.project_id):
        raise ObsError("KMS.NotFoundException", "The master key does not belong to that project.")


# ---- the envelope ------------------------------------------------------------------------------------------------


def lock(encryption: Encryption, keyring: Keyring, dice: Dice) -> tuple[bytes, Envelope] | None:
    """A fresh data key and its envelope for a new object, or None for a plain one (S-04)."""
    if encryption.method is None:
        return None
    data_key = dice(DATA_KEY_BYTES)
    return data_key, rewrap(encryption, data_key, keyring, dice)


def rewrap(encryption: Encryption, data_key: bytes, keyring: Keyring, dice: Dice) -> Envelope:
    """The envelope of a data key under the master key of a decision."""
    if encryption.key is not None:
        return Envelope(Method.KMS, encryption.key.key_id, keyring.wrap(encryption.key, data_key))
    if encryption.customer is not None:
        cipher = AESGCM(encryption.customer.key)
        return Envelope(Method.CUSTOMER, "", wrap(cipher, data_key, b"sse-c", dice))
    return Envelope(Method.OBS, "", keyring.wrap_for_service(data_key))


def unlock(
    envelope: Envelope | None, keyring: Keyring, caller: Caller, customer: CustomerKey | None
) -> tuple[Encryption, bytes | None]:
    """The decision an object was stored under and its data key, for a caller who may have it (S-06, section 5.4)."""
    encryption = recall(envelope, keyring, customer)
    if envelope is None:
        return encryption, None
    if encryption.key is not None:
        keyring.permit(encryption.key, caller)
        return encryption, keyring.unwrap(encryption.key, envelope.wrapped)
    if encryption.customer is not None:
        return encryption, _unwrap_with_customer_key(envelope, encryption.customer)
    return encryption, keyring.unwrap_for_service(envelope.wrapped)


def _unwrap_with_customer_key(envelope: Envelope, customer: CustomerKey) -> bytes:
    try:
        return unwrap(AESGCM(customer.key), envelope.wrapped, b"sse-c")
    except DamagedStateError as error:
        # Nothing but the wrapped data key tells the right customer key from a wrong one, which is the common case.
        raise ObsError("InvalidEncryptionAlgorithmError", "This is not the key the object was stored with.") from error


def recall(envelope: Envelope | None, keyring: Keyring, customer: CustomerKey | None) -> Encryption:
    """The decision an object was stored under, without its data key: enough for HEAD, which decrypts nothing.

    A customer key is tried all the same: HEAD must carry the right one (section 3.6).
    """
    if envelope is None:
        if customer is not None:
            raise ObsError("InvalidRequest", "The object is not encrypted with a customer key.")
        return PLAIN
    if envelope.method is Method.CUSTOMER:
        if customer is None:
            raise ObsError("InvalidRequest", "The object is encrypted with a customer key, which must be sent.")
        _unwrap_with_customer_key(envelope, customer)
        return Encryption(Method.CUSTOMER, customer=customer)
    if envelope.method is Method.KMS:
        key = keyring.get(envelope.key_id)
        if key is None:
            raise DamagedStateError("An object names a master key that never existed.")
        return Encryption(Method.KMS, key)
    return Encryption(Method.OBS)


def remembered(envelope: Envelope | None, keyring: Keyring) -> Encryption:
    """The decision an object was stored under, for complete, which is sent no customer key (section 3.1)."""
    if envelope is not None and envelope.method is Method.CUSTOMER:
        return Encryption(Method.CUSTOMER)
    return recall(envelope, keyring, None)


# ---- back to the response ------------------------------------------------------------------------------------------


def response_fields(occasion: Occasion, encryption: Encryption) -> Pairs:
    """The response headers of a decision: mode and long key id, or the SSE-C pair, or none (S-44 to S-46, R-1).

    SSE-OBS answers without a key id (section 5.1); complete names the SSE-C algorithm only (section 3.1).
    """
    if encryption.key is not None:
        return ((MODE, Method.KMS.value), (KEY_ID, encryption.key.long_name))
    if encryption.method is Method.CUSTOMER:
        algorithm = (CUSTOMER + "algorithm", "AES256")
        if encryption.customer is None or occasion is Occasion.COMPLETE:
            return (algorithm,)
        return (algorithm, (CUSTOMER + "key-MD5", encryption.customer.md5))
    return ((MODE, Method.OBS.value),) if encryption.method is Method.OBS else ()
