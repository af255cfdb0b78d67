"""Master keys: where they belong, who may use them, in what state they are, and wrapping data keys with them.

This module does not know requests, headers or objects, and never sees the bytes a data key protects.

Decisions where the documents are silent (numbers are those of the protocol facts):

* S-05 to S-07, Q-11: the owner of a custom key in a non-default project is the user who made it, for upload and for
  download; nobody else may use it, the account's administrator included.
* Q-10: a key of another account is refused with 403 AccessDenied `No privilege to this kms operation.`, the only
  answer ever seen in the field (section 4.4).
* E-16, S-68: one default key per account and region, made on first use.
* Q-09: scheduled for deletion counts as disabled; a deleted key does not exist any more, and neither decrypts.
* Q-06: an id that is not 8-4-4-4-12 of [0-9a-z] is malformed: 400 InvalidArgument.
* Q-07: a long form that names another region or an unknown domain names a key that does not exist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reference_server.errors import DamagedStateError, ObsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reference_server.identities import Caller, Dice

DEFAULT_ALIAS = "obs/default"
NO_PRIVILEGE = "No privilege to this kms operation."
NONCE_BYTES = 12

MIN_PENDING_DAYS, MAX_PENDING_DAYS = 7, 1096
"""How long a key can be scheduled for deletion (section 9)."""

KEY_QUOTA = 100
"""Custom keys of one account (section 9)."""

_KEY_ID = re.compile(r"[0-9a-z]{8}-[0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{4}-[0-9a-z]{12}")
_LONG_FORM = re.compile(r"([^:/]+):([^:/]+):key/([^:/]+)")


class KeyState(StrEnum):
    """The states of section 9 that the storage side can tell apart."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    SCHEDULED = "scheduled"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class MasterKey:
    """A key of the key service; `sealed` is its material, wrapped by the root key."""

    key_id: str
    region: str
    domain_id: str
    project_id: str
    owner_id: str
    sealed: bytes
    created: float
    alias: str = ""
    in_default_project: bool = True
    state: KeyState = KeyState.ENABLED
    deletion_time: float | None = None
    description: str = ""

    @property
    def long_name(self) -> str:
        """`regionID:domainID:key/key_id`, the form every answer uses (S-46)."""
        return f"{self.region}:{self.domain_id}:key/{self.key_id}"

    @property
    def is_default(self) -> bool:
        """Whether the storage service made it for the account."""
        return self.alias == DEFAULT_ALIAS


@dataclass(frozen=True, slots=True)
class KeyReference:
    """A key as a request names it: both documented forms (S-21, S-22)."""

    key_id: str
    region: str | None = None
    domain_id: str | None = None


def is_key_id(text: str) -> bool:
    """Whether a text has the shape of a bare key id (E-02)."""
    return _KEY_ID.fullmatch(text) is not None


def parse_key_reference(text: str) -> KeyReference:
    """Read either form; aliases, upper case and every other spelling are refused (S-27, Q-06)."""
    long_form = _LONG_FORM.fullmatch(text)
    region, domain_id, key_id = long_form.groups() if long_form else (None, None, text)
    if not _KEY_ID.fullmatch(key_id):
        raise ObsError("InvalidArgument", "The KMS key id is neither key_id nor regionID:domainID:key/key_id.")
    return KeyReference(key_id, region, domain_id)


class KeyStore(Protocol):
    """Where master keys survive a restart."""

    def load_keys(self) -> Iterable[MasterKey]:
        """All keys ever saved."""

    def save_key(self, key: MasterKey) -> None:
        """Keep a new or changed key."""


def _key_id(dice: Dice) -> str:
    digits = dice(16).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class Keyring:
    """The keys of one region."""

    def __init__(self, store: KeyStore, *, root: bytes, region: str, now: Callable[[], float], dice: Dice) -> None:
        self.region = region
        self._store = store
        self._root = AESGCM(root)
        self._now = now
        self._dice = dice
        self._keys = {key.key_id: key for key in store.load_keys()}
        self._defaults = {key.domain_id: key.key_id for key in reversed(self._keys.values()) if key.is_default}
        self._ciphers: dict[str, AESGCM] = {}

    def keys(self) -> tuple[MasterKey, ...]:
        """Every key, oldest first."""
        return tuple(sorted(self._keys.values(), key=lambda key: key.created))

    def create(
        self,
        owner: Caller,
        *,
        alias: str = "",
        in_default_project: bool = True,
        key_id: str = "",
        description: str = "",
    ) -> MasterKey:
        """A new enabled key that belongs to a caller; its id is drawn unless it is given."""
        key_id = key_id or _key_id(self._dice)
        nonce = self._dice(NONCE_BYTES)
        key = MasterKey(
            key_id=key_id,
            region=self.region,
            domain_id=owner.domain_id,
            project_id=owner.project_id,
            owner_id=owner.user_id,
            sealed=nonce + self._root.encrypt(nonce, self._dice(32), key_id.encode()),
            created=self._now(),
            alias=alias,
            in_default_project=in_default_project,
            description=description,
        )
        self._keep(key)
        return key

    def change_state(self, key: MasterKey, state: KeyState, *, deletion_time: float | None = None) -> MasterKey:
        """The same key in another state."""
        changed = replace(key, state=state, deletion_time=deletion_time)
        self._keep(changed)
        return changed

    def of_account(self, domain_id: str) -> tuple[MasterKey, ...]:
        """The keys of an account that are not deleted, oldest first."""
        own = (self.get(key.key_id) for key in self.keys() if key.domain_id == domain_id)
        return tuple(key for key in own if key is not None and key.state is not KeyState.DELETED)

    def _keep(self, key: MasterKey) -> None:
        self._store.save_key(key)
        self._keys[key.key_id] = key
        if key.is_default:
            self._defaults.setdefault(key.domain_id, key.key_id)

    def get(self, key_id: str) -> MasterKey | None:
        """The key of an id whoever it belongs to, deleted ones included; None for an id never given out."""
        key = self._keys.get(key_id)
        if key is not None and key.state is KeyState.SCHEDULED and self._now() >= (key.deletion_time or float("inf")):
            return self.change_state(key, KeyState.DELETED)
        return key

    def default_of(self, domain_id: str) -> MasterKey | None:
        """The default key of an account, or None while it has not been needed."""
        key_id = self._defaults.get(domain_id)
        return None if key_id is None else self._keys[key_id]

    def default_for(self, caller: Caller) -> MasterKey:
        """The default key of the caller's account, made on first use (S-03, S-18, S-19)."""
        if caller.anonymous:
            raise ObsError("AccessDenied", NO_PRIVILEGE)
        found = self.default_of(caller.domain_id)
        return found or self.create(replace(caller, project_id=""), alias=DEFAULT_ALIAS)

    def find(self, reference: KeyReference) -> MasterKey:
        """The key a reference names (S-24 to S-26)."""
        key = self.get(reference.key_id)
        if (
            key is None
            or reference.region not in (None, key.region)
            or reference.domain_id not in (None, key.domain_id)
        ):
            raise ObsError("KMS.NotFoundException")
        return key

    def permit(self, key: MasterKey, caller: Caller) -> None:
        """Refuse callers who may not use a key, then keys that may not be used (S-05, S-06; section 9)."""
        if key.domain_id != caller.domain_id or not (key.in_default_project or key.owner_id == caller.user_id):
            raise ObsError("AccessDenied", NO_PRIVILEGE)
        if key.state is KeyState.DELETED:
            raise ObsError("KMS.NotFoundException", "The master key has been deleted.")
        if key.state is not KeyState.ENABLED:
            raise ObsError("KMS.DisabledException", f"The master key is {key.state}.")

    def wrap(self, key: MasterKey, data_key: bytes) -> bytes:
        """A data key, locked with a master key."""
        return wrap(self._cipher(key), data_key, key.key_id.encode(), self._dice)

    def unwrap(self, key: MasterKey, wrapped: bytes) -> bytes:
        """The data key again."""
        return unwrap(self._cipher(key), wrapped, key.key_id.encode())

    def _cipher(self, key: MasterKey) -> AESGCM:
        cipher = self._ciphers.get(key.key_id)
        if cipher is None:
            cipher = self._ciphers[key.key_id] = AESGCM(unwrap(self._root, key.sealed, key.key_id.encode()))
        return cipher

    def wrap_for_service(self, data_key: bytes) -> bytes:
        """A data key, locked with the key the storage service keeps for itself (SSE-OBS, obs_04_0173)."""
        return wrap(self._root, data_key, b"sse-obs", self._dice)

    def unwrap_for_service(self, wrapped: bytes) -> bytes:
        """The data key of an SSE-OBS object again."""
        return unwrap(self._root, wrapped, b"sse-obs")


def wrap(cipher: AESGCM, data_key: bytes, purpose: bytes, dice: Dice) -> bytes:
    """Lock a data key for one purpose: nonce, cipher text, tag."""
    nonce = dice(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data_key, purpose)


def unwrap(cipher: AESGCM, wrapped: bytes, purpose: bytes) -> bytes:
    """Unlock what `wrap` locked; anything altered is damage."""
    try:
        return cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], purpose)
    except (InvalidTag, ValueError) as error:  # the latter for one that has been cut off
        raise DamagedStateError("A wrapped key does not open.") from error
