"""The accounts and keys a server starts with, and the target file that hands them to a client.

This module does not know HTTP or how keys are used.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reference_server.errors import StartError
from reference_server.identities import Caller, Dice, Identity, new_access_key, new_id, new_secret_key
from reference_server.keyring import KeyState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reference_server.world import World

SCHEDULED_FOR_S = 30 * 24 * 3600.0
"""Within the 7 to 1096 days of section 9."""

_SETTING = "provision"


@dataclass(frozen=True, slots=True)
class Provision:
    """Who may call (role to access key) and which keys there are (role to bare key id)."""

    identities: Mapping[str, str]
    keys: Mapping[str, str]


def provision(world: World, *, domain_id: str | None = None) -> Provision:
    """The accounts and keys of a data directory, made the first time.

    `owner` administers its account; `other_project` is a user of the same account who owns a key in a project of their
    own; `other_account` administers another account.
    """
    known = world.state.settings.get(_SETTING)
    if known is not None:
        value = json.loads(known)
        found = Provision(value["identities"], value["keys"])
        _check_unchanged(world, found, domain_id)
        return found
    made = Provision(*_make(world, domain_id or new_id(world.dice)))
    world.state.settings.put(_SETTING, json.dumps({"identities": made.identities, "keys": made.keys}).encode())
    return made


def _check_unchanged(world: World, found: Provision, domain_id: str | None) -> None:
    """Every key of a data directory is named by the region and the account it was made for."""
    key = world.keyring.get(found.keys["custom"])
    if key is None or world.directory.find(found.identities["owner"]) is None:
        raise StartError("The data directory has lost its accounts or keys.")
    if key.region != world.region:
        raise StartError(f"The data directory was made for region {key.region}, not {world.region}.")
    if domain_id not in (None, key.domain_id):
        raise StartError(f"The data directory was made for account {key.domain_id}, not {domain_id}.")


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
        world.state.identities.save(identity)
        world.directory.add(identity)
        identities[role] = identity.access_key
    keys = {role: keyring.create(owner) for role in ("custom", "second", "disabled", "scheduled", "deleted")}
    keyring.change_state(keys["disabled"], KeyState.DISABLED)
    keyring.change_state(keys["scheduled"], KeyState.SCHEDULED, deletion_time=world.now() + SCHEDULED_FOR_S)
    keyring.change_state(keys["deleted"], KeyState.DELETED)
    keys["other_project"] = keyring.create(callers["other_project"], in_default_project=False)
    keys["other_account"] = keyring.create(callers["other_account"])
    return identities, {role: key.key_id for role, key in keys.items()} | {"unknown": _never_given_out(dice)}


def _never_given_out(dice: Dice) -> str:
    digits = dice(16).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def target_file(world: World, made: Provision, endpoint: str) -> str:
    """The target file of a running server, as TOML."""
    lines = [
        'name = "obs-reference-server"',
        f'endpoint = "{endpoint}"',
        f'region = "{world.region}"',
        'addressing = "path"',
        'dialect = "obs"',
        'profile = "sse-kms-2024-01"',
    ]
    for role, access_key in made.identities.items():
        identity = world.directory.find(access_key)
        if identity is None:
            raise StartError(f"The data directory has lost the access key of {role}.")
        lines += [
            "",
            f"[identities.{role}]",
            f'access_key = "{identity.access_key}"',
            f'secret_key = "{identity.secret_key}"',
            f'domain_id = "{identity.caller.domain_id}"',
            f'principal = "{identity.caller.principal}"',
        ]
    lines += ["", "[keys]", *(f'{role} = "{key_id}"' for role, key_id in made.keys.items()), ""]
    return "\n".join(lines)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        beside.replace(path)
    except OSError as error:
        raise StartError(f"The target file {path} cannot be written: {error.strerror}.") from error
