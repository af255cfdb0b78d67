"""Target files: what the endpoint's owner says about it, read once and frozen.

The only reader of target files and of the environment. Does not talk to the target.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from conformance import dialectfile
from conformance.tomlfile import hint, read_toml
from conformance.vocabulary import SWITCHED, Identity, KeyService, Target, TargetError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ACCESS_KEY_VARIABLE, SECRET_KEY_VARIABLE = "OBS_ACCESS_KEY_ID", "OBS_SECRET_ACCESS_KEY"
_SECRET_LENGTH = 4
_PROJECT = re.compile(r"[0-9A-Za-z_-]{1,64}")
_IDENTITY_WORDS = ("access_key", "secret_key", "domain_id", "principal")
_KEYS = (
    *("custom", "second", "disabled", "scheduled", "deleted"),
    *("other_project", "other_account", "unknown", SWITCHED),
)
_IDENTITIES = ("owner", "other_account", "other_project")
_TABLES: Mapping[str, tuple[str, ...] | None] = {
    "identities": _IDENTITIES,
    "keys": _KEYS,
    "without": None,
    "limits": ("timeout_s", "case_timeout_s", "jobs", "own_buckets"),
    "tls": ("ca_bundle", "client_certificate"),
    "kms": ("endpoint", "project_id"),
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "addressing": ("path", "virtual-host"),
    "dialect": dialectfile.names(),
    "transport": ("wire", "requests"),
}
_TEXTS = ("name", "endpoint", "region", "profile")
WORDS = (*_TEXTS, *_CHOICES, *_TABLES)
"""What stands at the top of a target file."""


def load_target(path: Path, environment: Mapping[str, str] = os.environ) -> Target:
    """Read a target file.

    :raises TargetError: unreadable, not TOML, an unknown word, a missing credential, or a secret that others can read.
    """
    return target_of(path, read_toml(path, TargetError), environment)


def target_of(path: Path, data: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Target:
    """A target from what was read of a file.

    :param path: where the data stand, for messages and for the default of the name.
    :raises TargetError: as ``load_target``.
    """
    _check_words(path, "", data, WORDS)
    for table, words in _TABLES.items():
        if not isinstance(data.get(table, {}), dict):
            raise TargetError(f"{path}: {table} is a table; write [{table}]")
        if words is not None:
            _check_words(path, f"{table}.", data.get(table, {}), words)
    for word in _TEXTS:
        if not isinstance(data.get(word, ""), str):
            raise TargetError(f"{path}: {word} = {data[word]!r} is no text; put it into quotes")
    for word, options in _CHOICES.items():
        if data.get(word, options[0]) not in options:
            raise TargetError(f"{path}: {word} = {data[word]!r} is none of {', '.join(options)}")
    identities = {name: _identity(path, name, value, environment) for name, value in data.get("identities", {}).items()}
    if "owner" not in identities:
        identities["owner"] = _from_environment(f"{path}: no [identities.owner]", environment)
    limits, tls = data.get("limits", {}), data.get("tls", {})
    spoken = dialectfile.load_dialect(data.get("dialect", dialectfile.OWN))
    return Target(
        name=str(data.get("name", path.stem)),
        endpoint=check_endpoint(str(data.get("endpoint", "")), f"{path}: endpoint"),
        identities=identities,
        keys={name: str(value) for name, value in data.get("keys", {}).items()},
        region=data.get("region"),
        addressing=data.get("addressing", "path"),
        dialect=data.get("dialect", "obs"),
        profile=str(data.get("profile", "sse-kms-2024-01" if spoken is None else spoken.profile)),
        transport=data.get("transport", "wire"),
        without={name: str(reason) for name, reason in data.get("without", {}).items()},
        ca_bundle=tls.get("ca_bundle"),
        client_certificate=tls.get("client_certificate"),
        timeout_s=_positive(path, limits, "timeout_s", 10.0),
        case_timeout_s=_positive(path, limits, "case_timeout_s", 60.0),
        jobs=int(_positive(path, limits, "jobs", 8)),
        own_buckets=int(_positive(path, limits, "own_buckets", 4)),
        kms=_key_service(path, data["kms"]) if "kms" in data else None,
        spoken=spoken,
    )


def _key_service(path: Path, data: Mapping[str, Any]) -> KeyService:
    project_id = str(data.get("project_id", ""))
    if not _PROJECT.fullmatch(project_id):
        raise TargetError(f"{path}: kms.project_id = {project_id!r} is not the id of a project")
    return KeyService(check_endpoint(str(data.get("endpoint", "")), f"{path}: kms.endpoint"), project_id)


def target_from_endpoint(endpoint: str, environment: Mapping[str, str] = os.environ) -> Target:
    """A target known by its URL alone, credentials from the environment."""
    checked = check_endpoint(endpoint, "--endpoint")
    return Target(
        name=urlsplit(checked).netloc,
        endpoint=checked,
        identities={"owner": _from_environment("--endpoint", environment)},
    )


def check_endpoint(endpoint: str, where: str) -> str:
    """The endpoint without a trailing slash.

    :raises TargetError: not an http or https URL of a host alone.
    """
    if "@" in endpoint:
        raise TargetError(f"{where}: an address holds no name and no password; write them as access_key and secret_key")
    try:
        parts = urlsplit(endpoint)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.path in {"", "/"} and not parts.query
        _ = parts.port
    except ValueError:
        sound = False
    if not sound:
        raise TargetError(f"{where}: {endpoint!r} is not an address such as https://obs.region.example.com")
    return endpoint.rstrip("/")


def _check_words(path: Path, prefix: str, data: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for word in data:
        if word not in known:
            raise TargetError(f"{path}: unknown word {prefix}{word}; {hint(word, known)}")


def _identity(path: Path, name: str, data: Any, environment: Mapping[str, str]) -> Identity:  # noqa: ANN401 - TOML
    where = f"identities.{name}"
    if not isinstance(data, dict):
        raise TargetError(f"{path}: {where} is a table with access_key and secret_key")
    _check_words(path, f"{where}.", data, _IDENTITY_WORDS)
    secret = str(data.get("secret_key", ""))
    if secret and not secret.startswith("env:"):
        _require_private(path)
    secret_key = _credential(path, f"{where}.secret_key", secret, environment)
    _require_length(f"{path}: {where}.secret_key", secret_key)
    return Identity(
        access_key=_credential(path, f"{where}.access_key", str(data.get("access_key", "")), environment),
        secret_key=secret_key,
        domain_id=data.get("domain_id"),
        principal=data.get("principal"),
    )


def _credential(path: Path, where: str, value: str, environment: Mapping[str, str]) -> str:
    if value.startswith("env:"):
        variable = value.removeprefix("env:")
        value = environment.get(variable, "")
        if not value:
            raise TargetError(f"{path}: {where}: the environment variable {variable} is not set")
    if not value:
        raise TargetError(f'{path}: {where} is missing; write "env:NAME" to take it from the environment')
    return value


def _require_length(where: str, secret_key: str) -> None:
    if len(secret_key) < _SECRET_LENGTH:
        raise TargetError(
            f"{where} is shorter than {_SECRET_LENGTH} characters: results are cleared of secrets, "
            "and so short a text stands everywhere in them; use another key"
        )


def _require_private(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        raise TargetError(f"{path}: holds a secret key but others can read it (mode {mode:04o}); run: chmod 600 {path}")


def _from_environment(why: str, environment: Mapping[str, str]) -> Identity:
    missing = [name for name in (ACCESS_KEY_VARIABLE, SECRET_KEY_VARIABLE) if not environment.get(name)]
    if missing:
        raise TargetError(f"{why}: credentials come from the environment, but {' and '.join(missing)} is not set")
    _require_length(f"{why}: {SECRET_KEY_VARIABLE}", environment[SECRET_KEY_VARIABLE])
    return Identity(environment[ACCESS_KEY_VARIABLE], environment[SECRET_KEY_VARIABLE])


def _positive(path: Path, data: Mapping[str, Any], word: str, default: float) -> float:
    value = data.get(word, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise TargetError(f"{path}: limits.{word} = {value!r} is not a positive number")
    return value
