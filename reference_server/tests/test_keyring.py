"""Master keys: the default one, states, ownership, and wrapping."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import count

import pytest

from reference_server.errors import DamagedStateError, ObsError
from reference_server.identities import ANONYMOUS, Caller
from reference_server.keyring import KeyReference, Keyring, KeyState, MasterKey, parse_key_reference

OWNER = Caller("1" * 32, "a" * 32, "owner", "p" * 32, administrator=True)
COLLEAGUE = Caller("1" * 32, "b" * 32, "colleague", "q" * 32)
STRANGER = Caller("2" * 32, "c" * 32, "stranger", administrator=True)


class Shelf:
    """A key store in memory."""

    def __init__(self) -> None:
        self.keys: dict[str, MasterKey] = {}

    def load_keys(self) -> tuple[MasterKey, ...]:
        return tuple(self.keys.values())

    def save_key(self, key: MasterKey) -> None:
        self.keys[key.key_id] = key


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def keyring(shelf: Shelf) -> Keyring:
    clock = count(1000)
    return Keyring(
        shelf, root=bytes(32), region="region", now=lambda: float(next(clock)), dice=random.Random(7).randbytes
    )


def refusal(keyring: Keyring, key: MasterKey, caller: Caller) -> str:
    try:
        keyring.permit(key, caller)
    except ObsError as error:
        return error.code
    return ""


def test_default_key_is_made_once_per_account(keyring: Keyring) -> None:
    assert keyring.default_of(OWNER.domain_id) is None
    first = keyring.default_for(OWNER)
    assert first == keyring.default_for(OWNER) == keyring.default_for(COLLEAGUE)
    assert keyring.default_for(STRANGER) != first
    assert [key.alias for key in keyring.keys()] == ["obs/default", "obs/default"]  # noqa: SIM118 - no dict


def test_default_key_serves_every_user_of_its_account_only(keyring: Keyring) -> None:
    key = keyring.default_for(COLLEAGUE)
    assert [refusal(keyring, key, caller) for caller in (OWNER, COLLEAGUE, STRANGER)] == ["", "", "AccessDenied"]


def test_nobody_has_no_default_key(keyring: Keyring) -> None:
    with pytest.raises(ObsError) as caught:
        keyring.default_for(ANONYMOUS)
    assert (caught.value.code, caught.value.message) == ("AccessDenied", "No privilege to this kms operation.")


def test_default_key_survives_a_restart(keyring: Keyring, shelf: Shelf) -> None:
    key = keyring.default_for(OWNER)
    again = Keyring(shelf, root=bytes(32), region="region", now=lambda: 0.0, dice=random.Random(8).randbytes)
    assert again.default_for(OWNER) == key
    assert again.unwrap(key, keyring.wrap(key, b"d" * 32)) == b"d" * 32


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (KeyState.ENABLED, ""),
        (KeyState.DISABLED, "KMS.DisabledException"),
        (KeyState.SCHEDULED, "KMS.DisabledException"),
        (KeyState.DELETED, "KMS.NotFoundException"),
    ],
)
def test_only_an_enabled_key_may_be_used(keyring: Keyring, state: KeyState, code: str) -> None:
    key = keyring.change_state(keyring.create(OWNER), state)
    assert refusal(keyring, key, OWNER) == code
    assert refusal(keyring, key, STRANGER) == "AccessDenied"


def test_scheduled_key_is_deleted_when_its_time_has_come(keyring: Keyring) -> None:
    key = keyring.change_state(keyring.create(OWNER), KeyState.SCHEDULED, deletion_time=1003.0)
    states = [keyring.find(KeyReference(key.key_id)).state for _ in range(4)]
    assert states == [KeyState.SCHEDULED, KeyState.SCHEDULED, KeyState.DELETED, KeyState.DELETED]


def test_key_outside_the_default_project_serves_its_maker_alone(keyring: Keyring) -> None:
    key = keyring.create(COLLEAGUE, in_default_project=False)
    assert [refusal(keyring, key, caller) for caller in (COLLEAGUE, OWNER, STRANGER)] == [
        "",
        "AccessDenied",
        "AccessDenied",
    ]


def test_both_forms_name_the_same_key(keyring: Keyring) -> None:
    key = keyring.create(OWNER)
    assert key.long_name == f"region:{OWNER.domain_id}:key/{key.key_id}"
    for text in (key.key_id, key.long_name):
        assert keyring.find(parse_key_reference(text)) == key


def test_long_form_of_another_place_names_no_key(keyring: Keyring) -> None:
    key = keyring.create(OWNER)
    unknown = "0" * 8 + key.key_id[8:]
    for text in (f"elsewhere:{OWNER.domain_id}:key/{key.key_id}", f"region:{'9' * 32}:key/{key.key_id}", unknown):
        with pytest.raises(ObsError) as caught:
            keyring.find(parse_key_reference(text))
        assert caught.value.code == "KMS.NotFoundException"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "obs/default",
        "alias/obs/default",
        "522D6070-5AD3-4765-9737-9312DDC72CDB",
        "522d60705ad3476597379312ddc72cdb",
        "522d6070-5ad3-4765-9737-9312ddc72cd",
        "522d6070-5ad3-4765-9737-9312ddc72cdb\n",
        "key/522d6070-5ad3-4765-9737-9312ddc72cdb",
        "region:domain:key:522d6070-5ad3-4765-9737-9312ddc72cdb",
        "region:domain:key/",
        ":domain:key/522d6070-5ad3-4765-9737-9312ddc72cdb",
    ],
)
def test_every_other_spelling_is_malformed(text: str) -> None:
    with pytest.raises(ObsError) as caught:
        parse_key_reference(text)
    assert (caught.value.status, caught.value.code) == (400, "InvalidArgument")


def test_wrapped_data_key_opens_again_and_shows_nothing(keyring: Keyring) -> None:
    key, data_key = keyring.create(OWNER), bytes(range(32))
    wrapped = keyring.wrap(key, data_key)
    assert keyring.unwrap(key, wrapped) == data_key
    assert data_key not in wrapped
    assert wrapped != keyring.wrap(key, data_key)
    assert keyring.unwrap_for_service(keyring.wrap_for_service(data_key)) == data_key


def test_altered_wrapped_key_is_damage(keyring: Keyring) -> None:
    key = keyring.create(OWNER)
    wrapped = keyring.wrap(key, bytes(32))
    for index in range(len(wrapped)):
        altered = wrapped[:index] + bytes((wrapped[index] ^ 1,)) + wrapped[index + 1 :]
        with pytest.raises(DamagedStateError):
            keyring.unwrap(key, altered)
    for length in (0, 5, 12, 27, len(wrapped) - 1):
        with pytest.raises(DamagedStateError):
            keyring.unwrap(key, wrapped[:length])


def test_data_key_opens_under_no_other_key_and_no_other_purpose(keyring: Keyring) -> None:
    key, other = keyring.create(OWNER), keyring.create(OWNER)
    wrapped = keyring.wrap(key, bytes(32))
    for attempt in (lambda: keyring.unwrap(other, wrapped), lambda: keyring.unwrap_for_service(wrapped)):
        with pytest.raises(DamagedStateError):
            attempt()


def test_material_of_one_key_cannot_be_passed_off_as_another(keyring: Keyring) -> None:
    key, other = keyring.create(OWNER), keyring.create(OWNER)
    with pytest.raises(DamagedStateError):
        keyring.wrap(replace(other, sealed=key.sealed), bytes(32))
