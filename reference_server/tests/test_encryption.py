"""The one decision: what a request says and what the bucket says, to a method and key or a refusal; and back."""

from __future__ import annotations

import base64
import hashlib
import random

import pytest

from reference_server.encryption import (
    PLAIN,
    BucketDefault,
    CustomerKey,
    Encryption,
    Envelope,
    Method,
    Occasion,
    Wish,
    bucket_default,
    bucket_default_of_headers,
    decide,
    lock,
    recall,
    response_fields,
    unlock,
    wish_of_form,
    wish_of_request,
)
from reference_server.errors import DamagedStateError, ObsError
from reference_server.identities import ANONYMOUS, Caller
from reference_server.keyring import KeyReference, Keyring, KeyState
from reference_server.state.store import State
from reference_server.wire import Headers, Query

MODE = "x-obs-server-side-encryption"
KEY_ID = "x-obs-server-side-encryption-kms-key-id"
PROJECT = "x-obs-sse-kms-key-project-id"
DATA = "x-obs-server-side-data-encryption"
CUSTOMER = "x-obs-server-side-encryption-customer-"

BARE = "522d6070-5ad3-4765-9737-9312ddc72cdb"
SECRET = bytes(range(32))
SECRET_TEXT = base64.b64encode(SECRET).decode()
SECRET_MD5 = base64.b64encode(hashlib.md5(SECRET).digest()).decode()
TRIO = ((CUSTOMER + "algorithm", "AES256"), (CUSTOMER + "key", SECRET_TEXT), (CUSTOMER + "key-MD5", SECRET_MD5))

OWNER = Caller("1" * 32, "a" * 32, "owner", "p" * 32, administrator=True)
COLLEAGUE = Caller("1" * 32, "b" * 32, "colleague", "q" * 32)
STRANGER = Caller("2" * 32, "c" * 32, "stranger", administrator=True)

dice = random.Random(3).randbytes


class Ring(Keyring):
    """A ring with one key of each kind, by name."""

    def __init__(self) -> None:
        super().__init__(
            State.in_memory(dice).master_keys, root=bytes(32), region="region", now=lambda: 1000.0, dice=dice
        )
        self.named = {
            "custom": self.create(OWNER),
            "disabled": self.change_state(self.create(OWNER), KeyState.DISABLED),
            "deleted": self.change_state(self.create(OWNER), KeyState.DELETED),
            "colleague": self.create(COLLEAGUE, in_default_project=False),
            "stranger": self.create(STRANGER),
        }

    def text(self, form: str) -> str:
        """`bare NAME`, `long NAME`, or text as it stands."""
        kind, _, name = form.partition(" ")
        if kind not in {"bare", "long"}:
            return form
        return self.named[name].key_id if kind == "bare" else self.named[name].long_name


@pytest.fixture
def ring() -> Ring:
    return Ring()


Pairs = tuple[tuple[str, str], ...]
KMS: Pairs = ((MODE, "kms"),)
OBS: Pairs = ((MODE, "AES256"),)
KMS_DEFAULT = BucketDefault(Method.KMS)
OBS_DEFAULT = BucketDefault(Method.OBS)


def keyed(form: str, *more: tuple[str, str]) -> Pairs:
    return ((MODE, "kms"), (KEY_ID, form), *more)


def custom_default(form: str) -> tuple[str, str]:
    return ("kms", form)


# headers, parameters, bucket default, caller -> what is decided.
DECISIONS = [
    ((), (), None, OWNER, "plain"),
    ((), (), KMS_DEFAULT, OWNER, "kms default"),
    ((), (), OBS_DEFAULT, OWNER, "AES256"),
    ((), (), custom_default("bare custom"), OWNER, "kms custom"),
    ((), (), custom_default("long custom"), OWNER, "kms custom"),
    ((), (), custom_default("bare disabled"), OWNER, "KMS.DisabledException"),
    ((), (), custom_default("bare custom"), STRANGER, "AccessDenied"),
    ((), (), KMS_DEFAULT, ANONYMOUS, "AccessDenied"),
    (KMS, (), None, OWNER, "kms default"),
    (KMS, (), OBS_DEFAULT, OWNER, "kms default"),
    (KMS, (), custom_default("bare custom"), OWNER, "kms default"),
    (KMS, (), None, ANONYMOUS, "AccessDenied"),
    (OBS, (), None, OWNER, "AES256"),
    (OBS, (), KMS_DEFAULT, OWNER, "AES256"),
    (OBS, (), None, ANONYMOUS, "AES256"),
    (TRIO, (), None, OWNER, "customer"),
    (TRIO, (), KMS_DEFAULT, OWNER, "customer"),
    (keyed("bare custom"), (), None, OWNER, "kms custom"),
    (keyed("long custom"), (), None, OWNER, "kms custom"),
    (keyed("long custom"), (), OBS_DEFAULT, COLLEAGUE, "kms custom"),
    (keyed("bare custom", (PROJECT, OWNER.project_id)), (), None, OWNER, "kms custom"),
    (keyed("bare custom", (PROJECT, "other")), (), None, OWNER, "KMS.NotFoundException"),
    (keyed("bare custom", (DATA, "AES256")), (), None, OWNER, "kms custom"),
    (keyed("bare colleague"), (), None, COLLEAGUE, "kms colleague"),
    (keyed("bare colleague"), (), None, OWNER, "AccessDenied"),
    (keyed("bare stranger"), (), None, OWNER, "AccessDenied"),
    (keyed("long stranger"), (), None, OWNER, "AccessDenied"),
    (keyed("bare disabled"), (), None, OWNER, "KMS.DisabledException"),
    (keyed("bare deleted"), (), None, OWNER, "KMS.NotFoundException"),
    (keyed(BARE), (), None, OWNER, "KMS.NotFoundException"),
    (keyed("obs/default"), (), None, OWNER, "InvalidArgument"),
    (keyed(BARE.upper()), (), None, OWNER, "InvalidArgument"),
    ((), ((MODE, "kms"),), None, OWNER, "kms default"),
    ((), ((MODE, "kms"), (KEY_ID, "long custom")), None, OWNER, "kms custom"),
    (KMS, ((KEY_ID, "bare custom"),), None, OWNER, "kms custom"),
    (KMS, ((MODE, "kms"),), None, OWNER, "kms default"),
    (KMS, ((MODE, "AES256"),), None, OWNER, "InvalidArgument"),
    ((*KMS, *KMS), (), None, OWNER, "kms default"),
    ((*KMS, *OBS), (), None, OWNER, "InvalidArgument"),
    (((MODE, "aws:kms"),), (), None, OWNER, "InvalidArgument"),
    (((MODE, "KMS"),), (), None, OWNER, "InvalidArgument"),
    (((MODE, ""),), (), None, OWNER, "InvalidArgument"),
    (((KEY_ID, "bare custom"),), (), None, OWNER, "InvalidArgument"),
    (((KEY_ID, "bare custom"),), (), KMS_DEFAULT, OWNER, "InvalidArgument"),
    ((*OBS, (KEY_ID, "bare custom")), (), None, OWNER, "InvalidArgument"),
    ((*KMS, (PROJECT, OWNER.project_id)), (), None, OWNER, "InvalidArgument"),
    ((*KMS, (DATA, "SM4")), (), None, OWNER, "ServiceNotImplemented"),
    ((*KMS, (DATA, "DES")), (), None, OWNER, "InvalidArgument"),
    ((*KMS, *TRIO), (), None, OWNER, "InvalidArgument"),
    (TRIO[:2], (), None, OWNER, "InvalidArgument"),
    (TRIO[1:], (), None, OWNER, "InvalidArgument"),
    ((("X-OBS-Server-Side-Encryption-Customer-Algorithm", "AES128"), *TRIO[1:]), (), None, OWNER, "InvalidArgument"),
    ((TRIO[0], (CUSTOMER + "key", "AAAA"), TRIO[2]), (), None, OWNER, "InvalidArgument"),
    ((TRIO[0], (CUSTOMER + "key", "not base64!"), TRIO[2]), (), None, OWNER, "InvalidArgument"),
    ((*TRIO[:2], (CUSTOMER + "key-MD5", "AAAA")), (), None, OWNER, "InvalidArgument"),
    ((), TRIO[:1], None, OWNER, "InvalidArgument"),
]


@pytest.mark.parametrize(("headers", "parameters", "default", "caller", "expected"), DECISIONS)
@pytest.mark.parametrize("occasion", [Occasion.PUT, Occasion.COPY])
def test_request_and_bucket_decide(
    ring: Ring,
    occasion: Occasion,
    headers: Pairs,
    parameters: Pairs,
    default: BucketDefault | tuple[str, str] | None,
    caller: Caller,
    expected: str,
) -> None:
    if isinstance(default, tuple):
        default = BucketDefault(Method.KMS, ring.text(default[1]))
    said = Headers(tuple((name, ring.text(value)) for name, value in headers))
    asked = Query(tuple((name, ring.text(value)) for name, value in parameters))
    try:
        decided = decide(occasion, wish_of_request(said, asked), default, ring, caller)
    except ObsError as error:
        assert error.code == expected
        return
    if decided.key is not None:
        name = next((name for name, key in ring.named.items() if key == decided.key), "default")
        assert (name == "default") == decided.key.is_default
        assert expected == f"kms {name}"
    else:
        assert expected == (decided.method or "plain")
    assert (decided.customer is not None) == (expected == "customer")


def test_both_key_forms_answer_with_the_same_long_name(ring: Ring) -> None:
    key = ring.named["custom"]
    answers = set()
    for text in (key.key_id, key.long_name):
        wish = wish_of_request(Headers(((MODE, "kms"), (KEY_ID, text))), Query())
        answers.add(response_fields(Occasion.PUT, decide(Occasion.PUT, wish, None, ring, OWNER)))
    assert answers == {((MODE, "kms"), (KEY_ID, f"region:{OWNER.domain_id}:key/{key.key_id}"))}


@pytest.mark.parametrize("occasion", list(Occasion))
def test_response_fields_of_each_method(ring: Ring, occasion: Occasion) -> None:
    key = ring.named["custom"]
    customer = Encryption(Method.CUSTOMER, customer=CustomerKey(SECRET, SECRET_MD5))
    pair = ((CUSTOMER + "algorithm", "AES256"), (CUSTOMER + "key-MD5", SECRET_MD5))
    assert response_fields(occasion, Encryption(Method.KMS, key)) == ((MODE, "kms"), (KEY_ID, key.long_name))
    assert response_fields(occasion, Encryption(Method.OBS)) == ((MODE, "AES256"),)
    assert response_fields(occasion, PLAIN) == ()
    assert response_fields(occasion, customer) == (pair[:1] if occasion is Occasion.COMPLETE else pair)


def test_form_says_the_same_as_headers() -> None:
    fields = ((MODE, "kms"), (KEY_ID, BARE), (PROJECT, "p"))
    assert wish_of_form(Headers(fields)) == wish_of_request(Headers(fields), Query())
    assert wish_of_form(Headers(fields)) == Wish(Method.KMS, KeyReference(BARE), "p")


def test_parameter_without_a_value_says_nothing() -> None:
    assert wish_of_request(Headers(()), Query(((MODE, None),))).silent


@pytest.mark.parametrize("wish", ["kms", "AES256", "customer"])
def test_envelope_gives_the_data_key_back(ring: Ring, wish: str) -> None:
    headers = TRIO if wish == "customer" else ((MODE, wish),)
    decided = decide(Occasion.PUT, wish_of_request(Headers(headers), Query()), None, ring, OWNER)
    locked = lock(decided, ring, dice)
    assert locked is not None
    data_key, envelope = locked
    assert data_key not in envelope.wrapped
    assert unlock(envelope, ring, OWNER, decided.customer) == (decided, data_key)
    assert recall(envelope, ring, decided.customer) == decided
    altered = Envelope(envelope.method, envelope.key_id, envelope.wrapped[:-1] + bytes((envelope.wrapped[-1] ^ 1,)))
    with pytest.raises((DamagedStateError, ObsError)):
        unlock(altered, ring, OWNER, decided.customer)


def test_nothing_is_locked_for_a_plain_object(ring: Ring) -> None:
    assert lock(PLAIN, ring, dice) is None
    assert unlock(None, ring, STRANGER, None) == (PLAIN, None)


@pytest.mark.parametrize(
    ("caller", "state", "code"),
    [
        (OWNER, KeyState.ENABLED, ""),
        (COLLEAGUE, KeyState.ENABLED, ""),
        (STRANGER, KeyState.ENABLED, "AccessDenied"),
        (ANONYMOUS, KeyState.ENABLED, "AccessDenied"),
        (OWNER, KeyState.DISABLED, "KMS.DisabledException"),
        (OWNER, KeyState.DELETED, "KMS.NotFoundException"),
    ],
)
def test_download_needs_the_use_of_the_key_but_head_does_not(
    ring: Ring, caller: Caller, state: KeyState, code: str
) -> None:
    key = ring.named["custom"]
    locked = lock(Encryption(Method.KMS, key), ring, dice)
    assert locked is not None
    changed = ring.change_state(key, state)
    try:
        unlock(locked[1], ring, caller, None)
        told = ""
    except ObsError as error:
        told = error.code
    assert told == code
    assert recall(locked[1], ring, None) == Encryption(Method.KMS, changed)


@pytest.mark.parametrize(
    ("customer", "code"),
    [(None, "InvalidRequest"), (CustomerKey(bytes(32), ""), "InvalidEncryptionAlgorithmError")],
)
def test_customer_object_needs_its_own_key(ring: Ring, customer: CustomerKey | None, code: str) -> None:
    locked = lock(Encryption(Method.CUSTOMER, customer=CustomerKey(SECRET, SECRET_MD5)), ring, dice)
    assert locked is not None
    for attempt in (lambda: unlock(locked[1], ring, OWNER, customer), lambda: recall(locked[1], ring, customer)):
        with pytest.raises(ObsError) as caught:
            attempt()
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("leaves", "expected"),
    [
        ({"SSEAlgorithm": "kms"}, BucketDefault(Method.KMS)),
        ({"SSEAlgorithm": "AES256"}, BucketDefault(Method.OBS)),
        ({}, "MalformedXML"),
        ({"SSEAlgorithm": "obs"}, "InvalidArgument"),
        ({"SSEAlgorithm": "AES256", "KMSMasterKeyID": "bare custom"}, "InvalidArgument"),
        ({"SSEAlgorithm": "kms", "ProjectID": "p"}, "InvalidArgument"),
        ({"SSEAlgorithm": "kms", "KMSMasterKeyID": BARE}, "KMS.NotFoundException"),
        ({"SSEAlgorithm": "kms", "KMSMasterKeyID": "bare stranger"}, "AccessDenied"),
        ({"SSEAlgorithm": "kms", "KMSDataEncryption": "SM4"}, "ServiceNotImplemented"),
    ],
)
def test_bucket_default_is_checked_when_it_is_set(
    ring: Ring, leaves: dict[str, str], expected: BucketDefault | str
) -> None:
    said = {name: ring.text(value) for name, value in leaves.items()}
    try:
        assert bucket_default(said, ring, OWNER) == expected
    except ObsError as error:
        assert error.code == expected


def test_bucket_is_created_with_a_default_by_headers(ring: Ring) -> None:
    def made(*headers: tuple[str, str]) -> BucketDefault | None:
        return bucket_default_of_headers(Headers(headers), ring, OWNER)

    key_id = ring.named["custom"].key_id
    assert made() is None
    assert made((MODE, "obs")) == BucketDefault(Method.OBS)
    assert made((MODE, "kms"), (KEY_ID, key_id)) == BucketDefault(Method.KMS, key_id)
    for wrong in ([(MODE, "AES256")], [(KEY_ID, key_id)]):
        with pytest.raises(ObsError) as caught:
            made(*wrong)
        assert caught.value.code == "InvalidArgument"
