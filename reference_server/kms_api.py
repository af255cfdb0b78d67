"""The key service's own interface: what a KMS client may ask about the keys of a project, and what it is told.

Follows the vendor's KMS API v1.0 (names, JSON shapes, states and error codes of protocol facts, section 9, and of the
API reference's chapter on customer master keys). This module does not know HTTP, signatures, or what keys encrypt.

Decisions where the reference is silent or offers more than is had here:

* A project sees its own keys and its account's default key; outside the default project only the maker of a key
  sees it, which is the rule of ownership the storage side has (S-05, S-06).
* Only AES-256 keys whose material is made here exist: other `key_spec`, `key_usage` and `origin` values are KMS.0308.
* Enabling takes a disabled key (KMS.1201) and disabling an enabled one (KMS.1301); a key scheduled for deletion has to
  be cancelled first (KMS.0210) and is then disabled. A deleted key does not exist (KMS.0207).
* Aliases are unique within an account (KMS.1104), and names ending in /default are the services' own (KMS.1101).
* Words that are not known are ignored, as a service that grows would.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from reference_server.keyring import KEY_QUOTA, MAX_PENDING_DAYS, MIN_PENDING_DAYS, KeyState, is_key_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reference_server.identities import Caller
    from reference_server.keyring import Keyring, MasterKey

STATUS_AND_TEXT: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "APIGW.0301": (401, "Incorrect IAM authentication information"),
        "KMS.0101": (500, "KMS error."),
        "KMS.0201": (400, "Invalid request URL."),
        "KMS.0202": (400, "Invalid JSON format of the request message."),
        "KMS.0203": (400, "Request message too long."),
        "KMS.0204": (400, "Parameters missing in the request message."),
        "KMS.0205": (400, "Invalid key ID."),
        "KMS.0206": (400, "Invalid sequence number."),
        "KMS.0207": (404, "The key does not exist."),
        "KMS.0210": (400, "The key is in Scheduled deletion state and cannot be used."),
        "KMS.0211": (400, "Cannot perform this operation on Default Master Keys."),
        "KMS.0301": (401, "Invalid or null X-Auth-Token."),
        "KMS.0306": (403, "No access permissions."),
        "KMS.0308": (400, "Invalid parameter."),
        "KMS.1101": (400, "Invalid key_alias."),
        "KMS.1102": (400, "Invalid realm."),
        "KMS.1103": (400, "Invalid key_description."),
        "KMS.1104": (400, "Duplicate key aliases."),
        "KMS.1105": (400, "Too many keys."),
        "KMS.1201": (400, "The key is not disabled."),
        "KMS.1301": (400, "The key is not enabled."),
        "KMS.1401": (400, "Set the pending deletion period between 7 to 1096 days."),
        "KMS.1402": (400, "The key is already in Pending deletion state."),
        "KMS.1501": (400, "The key is not in Pending deletion state."),
        "KMS.1601": (400, "Invalid limit."),
        "KMS.1602": (400, "marker must be greater than or equals 0."),
    }
)
"""What a code means on the wire; a code outside this table cannot be raised."""

STATE_NUMBERS: Mapping[KeyState, str] = MappingProxyType(
    {KeyState.ENABLED: "2", KeyState.DISABLED: "3", KeyState.SCHEDULED: "4"}
)
"""The states that can be asked for; 1 (pending activation) and 5 (pending import) do not occur here."""

DAY_S = 24 * 3600.0
DEFAULT_LIMIT = MAX_LIMIT = 1000
MAX_DESCRIPTION = 255
_ALIAS = re.compile(r"[a-zA-Z0-9:/_-]{1,255}")
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


class KmsError(Exception):
    """A refusal with a documented code; `detail` is added to the code's own sentence."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.code = code
        self.status, text = STATUS_AND_TEXT[code]
        self.message = f"{text.removesuffix('.')}: {detail}." if detail else text
        super().__init__(f"{code}: {self.message}")


@dataclass(frozen=True, slots=True)
class Question:
    """One call: who asks, in which project, and with what words."""

    keyring: Keyring
    caller: Caller
    project_id: str
    in_default_project: bool
    now: float
    words: Mapping[str, Any]

    def text(self, name: str, default: str | None = None) -> str:
        """A word that must be text; numbers count as written, since clients send both."""
        value = self.words.get(name, default)
        if value is None:
            raise KmsError("KMS.0204", f"{name} is required")
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise KmsError("KMS.0308", f"{name} must be text")
        return str(value)

    def visible(self) -> tuple[MasterKey, ...]:
        """The keys this caller sees in this project, oldest first."""
        return tuple(key for key in self.keyring.of_account(self.caller.domain_id) if self._sees(key))

    def _sees(self, key: MasterKey) -> bool:
        if key.is_default:
            return True
        return key.project_id == self.project_id and (key.in_default_project or key.owner_id == self.caller.user_id)

    def key(self) -> MasterKey:
        """The key named by `key_id`."""
        key_id = self.text("key_id")
        if not is_key_id(key_id):
            raise KmsError("KMS.0205")
        found = next((key for key in self.visible() if key.key_id == key_id), None)
        if found is None:
            raise KmsError("KMS.0207")
        return found

    def custom_key(self) -> MasterKey:
        """The key named by `key_id`, which must not be a default one: those belong to the services."""
        key = self.key()
        if key.is_default:
            raise KmsError("KMS.0211")
        return key


def answer(operation: str, question: Question) -> dict[str, Any]:
    """The document that answers a call (KmsError for a refusal)."""
    sequence = question.text("sequence", "")
    if sequence and not is_key_id(sequence):
        raise KmsError("KMS.0206")
    return OPERATIONS[operation](question)


def create_key(question: Question) -> dict[str, Any]:
    """A new enabled key that belongs to the caller."""
    alias, description = question.text("key_alias"), question.text("key_description", "")
    if not _ALIAS.fullmatch(alias) or alias.endswith("/default"):
        raise KmsError("KMS.1101")
    if len(description) > MAX_DESCRIPTION:
        raise KmsError("KMS.1103")
    for name, had in (("key_spec", "AES_256"), ("key_usage", "ENCRYPT_DECRYPT"), ("origin", "kms")):
        if question.text(name, had) != had:
            raise KmsError("KMS.0308", f"{name} can only be {had} here")
    if question.text("realm", question.keyring.region) != question.keyring.region:
        raise KmsError("KMS.1102")
    custom = [key for key in question.keyring.of_account(question.caller.domain_id) if not key.is_default]
    if any(key.alias == alias for key in custom):
        raise KmsError("KMS.1104")
    if len(custom) >= KEY_QUOTA:
        raise KmsError("KMS.1105")
    key = question.keyring.create(
        question.caller, alias=alias, description=description, in_default_project=question.in_default_project
    )
    return {"key_info": {"key_id": key.key_id, "domain_id": key.domain_id}}


def list_keys(question: Question) -> dict[str, Any]:
    """A page of the project's keys; a marker is the number of keys before it."""
    limit, marker = question.text("limit", str(DEFAULT_LIMIT)), question.text("marker", "0") or "0"
    if not _NUMBER.fullmatch(limit) or not 1 <= int(limit) <= MAX_LIMIT:
        raise KmsError("KMS.1601")
    if not _NUMBER.fullmatch(marker):
        raise KmsError("KMS.1602")
    state = question.text("key_state", "")
    if state not in ("", "1", "2", "3", "4", "5"):
        raise KmsError("KMS.0308", "key_state is one of 1 to 5")
    found = [key for key in question.visible() if state in ("", STATE_NUMBERS[key.state])]
    start, end = int(marker), int(marker) + int(limit)
    page = found[start:end]
    more = end < len(found)
    return {
        "keys": [key.key_id for key in page],
        "key_details": [details(key) for key in page],
        "next_marker": str(end) if more else "",
        "truncated": "true" if more else "false",
        "total": len(found),
    }


def describe_key(question: Question) -> dict[str, Any]:
    """All there is to say about a key."""
    return {"key_info": details(question.key())}


def details(key: MasterKey) -> dict[str, str]:
    """A key as list-keys and describe-key show it; moments are Unix milliseconds, as in the reference's samples."""
    return {
        "key_id": key.key_id,
        "domain_id": key.domain_id,
        "key_alias": key.alias,
        "realm": key.region,
        "key_spec": "AES_256",
        "key_usage": "ENCRYPT_DECRYPT",
        "key_description": key.description,
        "creation_date": _milliseconds(key.created),
        "scheduled_deletion_date": "" if key.deletion_time is None else _milliseconds(key.deletion_time),
        "key_state": STATE_NUMBERS[key.state],
        "default_key_flag": "1" if key.is_default else "0",
        "key_type": "1",
        "expiration_time": "",
        "origin": "kms",
        "key_rotation_enabled": "false",
        "sys_enterprise_project_id": "0",
    }


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


def enable_key(question: Question) -> dict[str, Any]:
    """A disabled key serves again."""
    key = _not_scheduled(question.custom_key())
    if key.state is not KeyState.DISABLED:
        raise KmsError("KMS.1201")
    return {"key_info": _state(question.keyring.change_state(key, KeyState.ENABLED))}


def disable_key(question: Question) -> dict[str, Any]:
    """A key neither encrypts nor decrypts any more, until it is enabled."""
    key = _not_scheduled(question.custom_key())
    if key.state is not KeyState.ENABLED:
        raise KmsError("KMS.1301")
    return {"key_info": _state(question.keyring.change_state(key, KeyState.DISABLED))}


def schedule_key_deletion(question: Question) -> dict[str, Any]:
    """A key stops serving now and will be deleted after so many days."""
    key = question.custom_key()
    days = question.text("pending_days")
    if not _NUMBER.fullmatch(days) or not MIN_PENDING_DAYS <= int(days) <= MAX_PENDING_DAYS:
        raise KmsError("KMS.1401")
    if key.state is KeyState.SCHEDULED:
        raise KmsError("KMS.1402")
    deletion_time = question.now + int(days) * DAY_S
    return _state(question.keyring.change_state(key, KeyState.SCHEDULED, deletion_time=deletion_time))


def cancel_key_deletion(question: Question) -> dict[str, Any]:
    """A key will not be deleted; it is left disabled."""
    key = question.custom_key()
    if key.state is not KeyState.SCHEDULED:
        raise KmsError("KMS.1501")
    return _state(question.keyring.change_state(key, KeyState.DISABLED))


def _not_scheduled(key: MasterKey) -> MasterKey:
    if key.state is KeyState.SCHEDULED:
        raise KmsError("KMS.0210")
    return key


def _state(key: MasterKey) -> dict[str, str]:
    return {"key_id": key.key_id, "key_state": STATE_NUMBERS[key.state]}


OPERATIONS: Mapping[str, Callable[[Question], dict[str, Any]]] = MappingProxyType(
    {
        "create-key": create_key,
        "list-keys": list_keys,
        "describe-key": describe_key,
        "enable-key": enable_key,
        "disable-key": disable_key,
        "schedule-key-deletion": schedule_key_deletion,
        "cancel-key-deletion": cancel_key_deletion,
    }
)
"""The last segment of a call's path, and what it does."""
