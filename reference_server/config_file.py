"""The configuration file: who may call and which keys there are, as its author wrote it, every word checked.

The only reader of that file and of the environment it points to. What a data directory makes of it is `provision`'s.
Every complaint names file, field and remedy.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from reference_server.errors import StartError
from reference_server.keyring import KeyState, is_key_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_ID, _ID_SAYS = re.compile(r"[0-9a-z]{32}"), "32 characters of 0-9 and a-z"
_REGION, _REGION_SAYS = re.compile(r"[A-Za-z0-9-]{1,64}"), "1 to 64 letters, digits and dashes"
_ALIAS, _ALIAS_SAYS = re.compile(r"[a-zA-Z0-9:/_-]{1,255}"), "1 to 255 of letters, digits and :/_-"
_ACCESS_KEY, _ACCESS_KEY_SAYS = re.compile(r"[A-Za-z0-9_-]{1,128}"), "1 to 128 letters, digits, _ and -"
_SECRET, _SECRET_SAYS = re.compile(r"[!-~]{8,256}"), "8 to 256 visible ASCII characters"
_NAME, _NAME_SAYS = re.compile(r"[A-Za-z0-9 ._-]{1,64}"), "1 to 64 letters, digits, blanks and ._-"
_ROLE, _ROLE_SAYS = re.compile(r"[A-Za-z0-9_-]{1,64}"), "1 to 64 letters, digits, _ and -"
_TEXT, _TEXT_SAYS = re.compile(r".{0,255}", re.DOTALL), "at most 255 characters"

_WORDS = ("region", "domain_id", "identities", "keys")
_IDENTITY_WORDS = (
    "access_key",
    "secret_key",
    "domain_id",
    "project_id",
    "user_id",
    "user_name",
    "administrator",
)
_KEY_WORDS = ("id", "alias", "description", "owner", "project_id", "state")


@dataclass(frozen=True, slots=True)
class WantedIdentity:
    """An identity as the file has it; what is empty is drawn at the first start and kept."""

    access_key: str = ""
    secret_key: str = ""
    domain_id: str = ""
    project_id: str = ""
    user_id: str = ""
    user_name: str = ""
    administrator: bool | None = None


@dataclass(frozen=True, slots=True)
class WantedKey:
    """A master key as the file has it; `owner` is the name of an identity, and no state means the one it has."""

    owner: str
    key_id: str = ""
    alias: str = ""
    description: str = ""
    project_id: str = ""
    state: KeyState | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file."""

    path: str
    region: str = ""
    domain_id: str = ""
    identities: Mapping[str, WantedIdentity] = field(default_factory=lambda: MappingProxyType({}))
    keys: Mapping[str, WantedKey] = field(default_factory=lambda: MappingProxyType({}))

    def wrong(self, where: str, message: str) -> StartError:
        """A complaint about a field of this file."""
        return StartError(f"{self.path}: {where}: {message}")


def read_config(path: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """Read a configuration file (StartError for anything in it that cannot be)."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise StartError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartError(f"{path}: is not TOML: {error}") from error
    reader = _Reader(path, environment)
    reader.known("", data, _WORDS)
    identities = {name: reader.identity(name, value) for name, value in reader.table(data, "identities").items()}
    if not identities:
        raise StartError(f"{path}: [identities.owner] is missing; at least one identity must be able to call")
    keys = {name: reader.key(name, value, identities) for name, value in reader.table(data, "keys").items()}
    _check_unique(path, "identities", "access_key", {name: value.access_key for name, value in identities.items()})
    _check_unique(path, "keys", "id", {name: value.key_id for name, value in keys.items()})
    return Config(
        str(path),
        reader.text("", data, "region", _REGION, _REGION_SAYS),
        reader.text("", data, "domain_id", _ID, _ID_SAYS),
        MappingProxyType(identities),
        MappingProxyType(keys),
    )


def _check_unique(path: Path, table: str, word: str, values: Mapping[str, str]) -> None:
    seen: dict[str, str] = {}
    for name, value in values.items():
        if value and value in seen:
            raise StartError(f"{path}: {table}.{name}.{word}: is that of {table}.{seen[value]}; each needs its own")
        seen[value] = name


class _Reader:
    """Takes words out of tables and complains about those that cannot be."""

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self._path = path
        self._environment = environment

    def wrong(self, where: str, message: str) -> StartError:
        return StartError(f"{self._path}: {where}: {message}")

    def known(self, prefix: str, data: Mapping[str, Any], words: tuple[str, ...]) -> None:
        for word in data:
            if word not in words:
                near = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(words)}"
                raise self.wrong(prefix + word, f"is not known; {hint}")

    def table(self, data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        value = data.get(name, {})
        if not isinstance(value, dict):
            raise self.wrong(name, f"must be a table; write [{name}.NAME]")
        for role, entry in value.items():
            if not _ROLE.fullmatch(role):
                raise self.wrong(f"{name}.{role}", f"the name must be {_ROLE_SAYS}")
            if not isinstance(entry, dict):
                raise self.wrong(f"{name}.{role}", f"must be a table; write [{name}.{role}]")
        return value

    def text(self, prefix: str, data: Mapping[str, Any], word: str, shape: re.Pattern[str], says: str) -> str:
        value = data.get(word, "")
        if word in data and not (isinstance(value, str) and shape.fullmatch(value)):
            raise self.wrong(prefix + word, f"must be {says}")
        return str(value)

    def identity(self, name: str, data: Mapping[str, Any]) -> WantedIdentity:
        prefix = f"identities.{name}."
        self.known(prefix, data, _IDENTITY_WORDS)
        administrator = data.get("administrator")
        if administrator is not None and not isinstance(administrator, bool):
            raise self.wrong(f"{prefix}administrator", "must be true or false")
        access_key = self._credential(prefix, data, "access_key", _ACCESS_KEY, _ACCESS_KEY_SAYS)
        secret_key = self._credential(prefix, data, "secret_key", _SECRET, _SECRET_SAYS)
        if secret_key and not access_key:
            raise self.wrong(
                f"{prefix}access_key", "is missing beside secret_key; give both, or neither to have them drawn"
            )
        return WantedIdentity(
            access_key,
            secret_key,
            self.text(prefix, data, "domain_id", _ID, _ID_SAYS),
            self.text(prefix, data, "project_id", _ID, _ID_SAYS),
            self.text(prefix, data, "user_id", _ID, _ID_SAYS),
            self.text(prefix, data, "user_name", _NAME, _NAME_SAYS),
            administrator,
        )

    def _credential(self, prefix: str, data: Mapping[str, Any], word: str, shape: re.Pattern[str], says: str) -> str:
        value = data.get(word, "")
        if isinstance(value, str) and value.startswith("env:"):
            variable = value.removeprefix("env:")
            if not self._environment.get(variable):
                raise self.wrong(prefix + word, f"the environment variable {variable} is not set")
            data = {word: self._environment[variable]}
        elif value and word == "secret_key":
            self._require_private(prefix + word)
        return self.text(prefix, data, word, shape, says)

    def _require_private(self, where: str) -> None:
        mode = stat.S_IMODE(self._path.stat().st_mode)
        if mode & 0o077:
            remedy = f'run chmod 600 {self._path}, or write "env:NAME" to take it from the environment'
            raise self.wrong(where, f"others can read this file (mode {mode:04o}); {remedy}")

    def key(self, name: str, data: Mapping[str, Any], identities: Mapping[str, WantedIdentity]) -> WantedKey:
        prefix = f"keys.{name}."
        self.known(prefix, data, _KEY_WORDS)
        owner = data.get("owner", next(iter(identities)))
        if owner not in identities:
            raise self.wrong(f"{prefix}owner", f"{owner!r} is none of the identities {', '.join(identities)}")
        key_id = data.get("id", "")
        if "id" in data and not (isinstance(key_id, str) and is_key_id(key_id)):
            raise self.wrong(f"{prefix}id", "must be 8-4-4-4-12 characters of 0-9 and a-z")
        alias = self.text(prefix, data, "alias", _ALIAS, _ALIAS_SAYS)
        if alias.endswith("/default"):
            raise self.wrong(f"{prefix}alias", "names ending in /default are the services' own; choose another")
        state = data.get("state")
        if state is not None and state not in tuple(KeyState):
            raise self.wrong(f"{prefix}state", f"must be one of {', '.join(KeyState)}")
        return WantedKey(
            owner,
            key_id,
            alias,
            self.text(prefix, data, "description", _TEXT, _TEXT_SAYS),
            self.text(prefix, data, "project_id", _ID, _ID_SAYS),
            None if state is None else KeyState(state),
        )
