"""Wrong servers that get the changing state of a key wrong: they show after a key was disabled, or nearly deleted.

Nothing in the honest server knows this module.
"""

# ruff: noqa: D102, D103 - the name says what goes wrong, and the registry below says it in a sentence

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reference_server.defect import SLIP, Defect
from reference_server.encryption import Method, recall
from reference_server.encryption import decide as honest_decide
from reference_server.encryption import unlock as honest_unlock
from reference_server.errors import ObsError
from reference_server.keyring import Keyring, KeyState, MasterKey
from reference_server.misread import GET, PUT
from reference_server.stateful import Act, named, said, sequence

if TYPE_CHECKING:
    from reference_server.encryption import BucketDefault, CustomerKey, Encryption, Envelope, Occasion, Wish
    from reference_server.identities import Caller
    from reference_server.world import Call


class DisablingUnnoticed(Keyring):
    """The key service knows that a key is disabled; the storage goes by the state it read first."""

    def change_state(self, key: MasterKey, state: KeyState, *, deletion_time: float | None = None) -> MasterKey:
        changed = super().change_state(key, state, deletion_time=deletion_time)
        if state is KeyState.DISABLED:
            self._keys[key.key_id] = _Unnoticed(**{name: getattr(changed, name) for name in _FIELDS})
        return changed

    def permit(self, key: MasterKey, caller: Caller) -> None:
        super().permit(replace(key, state=KeyState.ENABLED) if isinstance(key, _Unnoticed) else key, caller)


class _Unnoticed(MasterKey):
    """A key whose state only the key service has noticed."""


_FIELDS = tuple(MasterKey.__dataclass_fields__)


class SchedulingDestroys(Keyring):
    """The material of a key is dropped when its deletion is scheduled, not on the day."""

    def change_state(self, key: MasterKey, state: KeyState, *, deletion_time: float | None = None) -> MasterKey:
        if state is KeyState.SCHEDULED:
            self._ciphers[key.key_id] = AESGCM(self._dice(32))
        return super().change_state(key, state, deletion_time=deletion_time)


def reading_asks_for_no_state(
    envelope: Envelope | None, keyring: Keyring, caller: Caller, customer: CustomerKey | None
) -> tuple[Encryption, bytes | None]:
    encryption = recall(envelope, keyring, customer)
    if envelope is None or encryption.key is None or encryption.key.state is not KeyState.DISABLED:
        return honest_unlock(envelope, keyring, caller, customer)
    keyring.permit(replace(encryption.key, state=KeyState.ENABLED), caller)
    return encryption, keyring.unwrap(encryption.key, envelope.wrapped)


def default_asks_for_no_state(
    occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
) -> Encryption:
    try:
        return honest_decide(occasion, wish, default, keyring, caller)
    except Exception:
        if wish.mode is not None or default is None:
            raise
        return honest_decide(occasion, wish, replace(default, key_text=""), keyring, caller)


def _does_not_serve(call: Call) -> bool:
    """Whether a download is refused for the state of its object's key."""
    record = call.world.state.objects.get(call.bucket.number, call.address.key)
    if record is None or record.envelope is None or record.envelope.method is not Method.KMS:
        return False
    key = recall(record.envelope, call.world.keyring, None).key
    return key is not None and key.state is not KeyState.ENABLED


def _remember_refusal(call: Call, memory: dict[Any, Any]) -> None:
    if _does_not_serve(call):
        memory["refused", call.address.key] = True
    elif ("refused", call.address.key) in memory:
        raise ObsError("KMS.DisabledException")


def _key_asked_for(call: Call) -> str | None:
    """The key that an upload names, or that its bucket's default does."""
    default = call.bucket.default
    return named(call) or (default.key_text if default is not None and not said(call) else None)


def _uploads_under_a_key_that_does_not_serve(call: Call) -> bool:
    text = _key_asked_for(call)
    key = call.world.keyring.get(text.rpartition("/")[2]) if text else None
    return key is not None and key.state is not KeyState.ENABLED


def _remember_refused_key(call: Call, memory: dict[Any, Any]) -> None:
    if _uploads_under_a_key_that_does_not_serve(call):
        memory["refused key", _key_asked_for(call)] = True
    elif ("refused key", _key_asked_for(call)) in memory:
        raise ObsError("KMS.DisabledException")


KEY_STATES = (
    Defect(
        "disabling-unnoticed",
        "That a key was disabled while the server ran is not noticed.",
        ("KMS-S01", "KMS-S10"),
        SLIP,
        {"keyring": DisablingUnnoticed},
    ),
    Defect(
        "refusal-remembered",
        "A download that was refused for its key is refused for ever, whether the key is enabled again or not.",
        ("KMS-S11", "KMS-S12"),
        SLIP,
        sequence(Act((GET,), before=_remember_refusal, shows=_does_not_serve)),
    ),
    Defect(
        "refused-key-remembered",
        "A key that an upload was refused for is refused to uploads for ever, whether it is enabled again or not.",
        ("KMS-S11",),
        SLIP,
        sequence(Act((PUT,), before=_remember_refused_key, shows=_uploads_under_a_key_that_does_not_serve)),
    ),
    Defect(
        "scheduling-destroys-key",
        "The material of a key is dropped when its deletion is scheduled.",
        ("KMS-S12",),
        SLIP,
        {"keyring": SchedulingDestroys},
    ),
    Defect(
        "disabled-key-reads",
        "An object is read although its key has been disabled since it was stored.",
        ("KMS-S10",),
        SLIP,
        {"unlock": reading_asks_for_no_state},
    ),
    Defect(
        "disabled-default-falls-back",
        "An inherited default whose key is disabled falls back on the account's default key.",
        ("KMS-S01",),
        SLIP,
        {"decide": default_asks_for_no_state},
    ),
)
"""Their registry."""
