"""What a server hands out when it starts: the target file for those who use it, the admin file for those who run it.

Both hold secrets and are readable by their owner only. This module does not know how anything in them is used.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reference_server.errors import StartError

if TYPE_CHECKING:
    from pathlib import Path

    from reference_server.identities import Identity
    from reference_server.provision import Provision
    from reference_server.world import World

TARGET_IDENTITIES = ("owner", "other_account", "other_project")
TARGET_KEYS = (
    *("custom", "second", "disabled", "scheduled", "deleted"),
    *("other_project", "other_account", "unknown", "switched"),
)
"""The roles a target file has words for; what a configuration file names otherwise is in the admin file."""


def target_file(world: World, made: Provision, endpoint: str, *, kms_endpoint: str, ca_bundle: str = "") -> str:
    """The target file of a running server, as TOML; its key service is named for those who may change a key's state."""
    lines = [
        'name = "obs-reference-server"',
        f'endpoint = "{endpoint}"',
        f'region = "{world.region}"',
        'addressing = "path"',
        'dialect = "obs"',
        'profile = "sse-kms-2024-01"',
    ]
    for role in TARGET_IDENTITIES:
        if role in made.identities:
            identity = _identity(world, made, role)
            lines += [*_credentials(role, identity), f'principal = "{identity.caller.principal}"']
    lines += ["", "[keys]", *(f'{role} = "{made.keys[role]}"' for role in TARGET_KEYS if role in made.keys)]
    if "owner" in made.identities and "switched" in made.keys:
        project_id = _identity(world, made, "owner").caller.project_id
        lines += ["", "[kms]", f'endpoint = "{kms_endpoint}"', f'project_id = "{project_id}"']
    if ca_bundle:
        lines += ["", "[tls]", f"ca_bundle = {quoted(ca_bundle)}"]
    return "\n".join([*lines, ""])


def admin_file(  # noqa: PLR0913 - a file of many fields
    world: World, made: Provision, *, endpoint: str, kms_endpoint: str, token: str, ca_bundle: str = ""
) -> str:
    """The admin file of a running server, as TOML: its second address, its token, and everybody's projects."""
    lines = [
        f'endpoint = "{endpoint}"',
        f'kms_endpoint = "{kms_endpoint}"',
        f'token = "{token}"',
        f'region = "{world.region}"',
    ]
    if ca_bundle:
        lines.append(f"ca_bundle = {quoted(ca_bundle)}")
    for role in made.identities:
        identity = _identity(world, made, role)
        caller = identity.caller
        lines += [
            *_credentials(role, identity),
            f'project_id = "{caller.project_id}"',
            f'user_id = "{caller.user_id}"',
            f"user_name = {quoted(caller.user_name)}",
            f"administrator = {'true' if caller.administrator else 'false'}",
        ]
    return "\n".join([*lines, "", "[keys]", *(f'{role} = "{key_id}"' for role, key_id in made.keys.items()), ""])


def _identity(world: World, made: Provision, role: str) -> Identity:
    identity = world.directory.find(made.identities[role])
    if identity is None:
        raise StartError(f"The data directory has lost the access key of {role}.")
    return identity


def _credentials(role: str, identity: Identity) -> list[str]:
    return [
        "",
        f"[identities.{role}]",
        f'access_key = "{identity.access_key}"',
        f"secret_key = {quoted(identity.secret_key)}",
        f'domain_id = "{identity.caller.domain_id}"',
    ]


def quoted(text: str) -> str:
    """A TOML string: backslashes and quotes escaped, and everything else that TOML wants escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(symbol if symbol.isprintable() else f"\\U{ord(symbol):08X}" for symbol in escaped) + '"'


def write_private(path: Path, text: str, *, what: str = "The target file") -> None:
    """Write a file that only its owner can read, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        beside.replace(path)
    except OSError as error:
        raise StartError(f"{what} {path} cannot be written: {error.strerror}.") from error
