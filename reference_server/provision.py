"""The accounts and keys a server starts with: made once for a data directory, or as a configuration file wants them.

This module does not know HTTP or how keys are used.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reference_server.errors import StartError
from reference_server.identities import Caller, Dice, Identity, new_access_key, new_id, new_secret_key
from reference_server.keyring import KeyState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference_server.config_file import Config, WantedIdentity, WantedKey
    from reference_server.keyring import MasterKey
    from reference_server.world import World

SCHEDULED_FOR_S = 30 * 24 * 3600.0
"""Within the 7 to 1096 days of section 9."""

UNKNOWN = "unknown"
"""The role of a key id that was never given out."""

_SETTING = "provision"


@dataclass(frozen=True, slots=True)
class Provision:
    """Who may call (role to access key) and which keys there are (role to bare key id)."""

    identities: Mapping[str, str]
    keys: Mapping[str, str]


def provision(world: World, *, domain_id: str | None = None, config: Config | None = None) -> Provision:
    """The accounts and keys of a data directory, made the first time.

    Without a configuration: `owner` administers its account; `other_project` is a user of the same account who owns a
    key in a project of their own; `other_account` administers another account. With one: what it names, which is added
    to what the directory has, or changed; nothing is ever removed.
    """
    with world.state.transaction():
        known = world.state.settings.get(_SETTING)
        found = _still_known(world, Provision({}, {}) if known is None else Provision(**json.loads(known)))
        _check_unchanged(world, found, domain_id)
        if config is not None:
            made = _Maker(world, found, config, domain_id).make()
        elif known is None:
            made = Provision(*_make(world, domain_id or new_id(world.dice)))
        else:
            return found
        world.state.settings.put(_SETTING, json.dumps({"identities": made.identities, "keys": made.keys}).encode())
    return made


def _check_unchanged(world: World, found: Provision, domain_id: str | None) -> None:
    """Every key of a data directory is named by the region and the account it was made for."""
    for key in world.keyring.keys():  # noqa: SIM118 - no dict
        if key.region != world.region:
            raise StartError(f"The data directory was made for region {key.region}, not {world.region}.")
    if any(role != UNKNOWN and world.keyring.get(key_id) is None for role, key_id in found.keys.items()):
        raise StartError("The data directory has lost its keys. Restore server.db; nothing has been changed.")
    owner = world.directory.find(found.identities.get("owner", ""))
    if owner is not None and domain_id not in (None, owner.caller.domain_id):
        raise StartError(f"The data directory was made for account {owner.caller.domain_id}, not {domain_id}.")


def _still_known(world: World, found: Provision) -> Provision:
    """Without the identities that were deleted while a server ran."""
    known = {role: key for role, key in found.identities.items() if world.directory.find(key) is not None}
    return replace(found, identities=known)


# ---- without a configuration file ----------------------------------------------------------------------------------


def _make(world: World, domain_id: str) -> tuple[dict[str, str], dict[str, str]]:
    dice, keyring = world.dice, world.keyring
    owner = Caller(domain_id, new_id(dice), "owner", new_id(dice), administrator=True)
    callers = {
        "owner": owner,
        "other_account": Caller(new_id(dice), new_id(dice), "other_account", new_id(dice), administrator=True),
        "other_project": replace(
            owner, user_id=new_id(dice), user_name="other_project", project_id=new_id(dice), administrator=False
        ),
    }
    identities: dict[str, str] = {}
    for role, caller in callers.items():
        identity = Identity(new_access_key(dice), new_secret_key(dice), caller)
        _keep(world, identity)
        identities[role] = identity.access_key
    keys = {
        role: keyring.create(owner, alias=role)
        for role in ("custom", "second", "disabled", "scheduled", "deleted", "switched")
    }
    keyring.change_state(keys["disabled"], KeyState.DISABLED)
    keyring.change_state(keys["scheduled"], KeyState.SCHEDULED, deletion_time=world.now() + SCHEDULED_FOR_S)
    keyring.change_state(keys["deleted"], KeyState.DELETED)
    keys["other_project"] = keyring.create(callers["other_project"], alias="other_project", in_default_project=False)
    keys["other_account"] = keyring.create(callers["other_account"], alias="other_account")
    return identities, {role: key.key_id for role, key in keys.items()} | {UNKNOWN: _never_given_out(dice)}


def _keep(world: World, identity: Identity) -> None:
    world.state.identities.save(identity)
    world.directory.add(identity)


def _never_given_out(dice: Dice) -> str:
    digits = dice(16).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


# ---- with one --------------------------------------------------------------------------------------------------------


class _Maker:
    """Makes what a configuration file wants out of what is there already."""

    def __init__(self, world: World, found: Provision, config: Config, domain_id: str | None) -> None:
        self._world = world
        self._config = config
        self._identities = dict(found.identities)
        self._keys = dict(found.keys)
        first = next((entry.caller.domain_id for entry in world.directory), "")
        if domain_id is not None and config.domain_id not in ("", domain_id):
            raise config.wrong("domain_id", f"is not the {domain_id} of --domain-id; give one of them")
        self._domain_id = config.domain_id or domain_id or first or new_id(world.dice)

    def make(self) -> Provision:
        for role, wanted in self._config.identities.items():
            self._identities[role] = self._identity(role, wanted)
        for role, key in self._config.keys.items():
            self._keys[role] = self._key(role, key)
        self._keys.setdefault(UNKNOWN, _never_given_out(self._world.dice))
        return Provision(self._identities, self._keys)

    def _identity(self, role: str, wanted: WantedIdentity) -> str:
        """An identity as wanted; what is not said is as it was, or drawn."""
        world = self._world
        access_key = wanted.access_key or self._identities.get(role, "")
        was = world.directory.find(access_key)
        caller = Caller() if was is None else was.caller
        domain_id = wanted.domain_id or caller.domain_id or self._domain_id
        default_project = world.directory.default_project(domain_id)
        administrator = wanted.administrator
        if administrator is None:
            administrator = caller.administrator if was is not None else not default_project
        identity = Identity(
            access_key or new_access_key(world.dice),
            wanted.secret_key or (was.secret_key if was is not None else new_secret_key(world.dice)),
            Caller(
                domain_id,
                wanted.user_id or caller.user_id or new_id(world.dice),
                wanted.user_name or caller.user_name or role,
                wanted.project_id or caller.project_id or default_project or new_id(world.dice),
                administrator=administrator,
            ),
        )
        _keep(world, identity)
        return identity.access_key

    def _key(self, role: str, wanted: WantedKey) -> str:
        """A key as wanted; one that is there already keeps its owner and its material."""
        world, where = self._world, f"keys.{role}"
        owner = world.directory.find(self._identities[wanted.owner])
        assert owner is not None  # noqa: S101 - every identity has been made before the keys
        caller = replace(owner.caller, project_id=wanted.project_id or owner.caller.project_id)
        key = world.keyring.get(wanted.key_id or self._keys.get(role, ""))
        if key is None:
            shared = caller.project_id == world.directory.default_project(caller.domain_id)
            key = world.keyring.create(
                caller,
                alias=wanted.alias or role,
                description=wanted.description,
                key_id=wanted.key_id,
                in_default_project=shared,
            )
        elif (key.domain_id, key.owner_id) != (caller.domain_id, caller.user_id):
            raise self._config.wrong(f"{where}.owner", "the data directory has this key with another owner")
        elif wanted.project_id not in ("", key.project_id):
            raise self._config.wrong(f"{where}.project_id", "the data directory has this key in another project")
        self._set_state(f"{where}.state", key, wanted.state)
        return key.key_id

    def _set_state(self, where: str, key: MasterKey, state: KeyState | None) -> None:
        if state in (None, key.state):
            return
        if key.state is KeyState.DELETED:
            raise self._config.wrong(where, "the key has been deleted and cannot come back; choose another id")
        assert state is not None  # noqa: S101 - for the type checker
        deletion_time = self._world.now() + SCHEDULED_FOR_S if state is KeyState.SCHEDULED else None
        self._world.keyring.change_state(key, state, deletion_time=deletion_time)
