"""Fleet files: many endpoints, what is played on each, and how politely; read strictly, once.

Knows words and their forms. Reads no credential: an endpoint names a target file or environment variables, and only
whoever plays it looks there. Does not talk to an endpoint.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from conformance import example_database
from conformance.target import WORDS, load_target, target_of
from conformance.tomlfile import hint, read_toml
from conformance.vocabulary import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hypothesis.database import ExampleDatabase

    from conformance.vocabulary import Target

EXPLORE_RATE = 50.0
"""Requests a second of exploration where the endpoint has no limit of its own; as ``explore`` has it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_WRITTEN = "comparison.html"
"""What a run writes beside the folders of its endpoints; other such names begin with a dot."""
_PORTS = {"http": 80, "https": 443}
_OWN = frozenset({"name", "tags", "target", "profile", "schedule", "limits"})
"""Words of an endpoint that are the fleet's; all others are those of a target file."""
_TARGET_WORDS = tuple(word for word in WORDS if word not in _OWN)
_CREDENTIALS = ("access_key", "secret_key")
_CREDENTIAL_REMEDY = 'write "env:NAME", or name a private target file'


@dataclass(frozen=True, slots=True)
class Limits:
    """What one endpoint bears from all workers together; 0 is no limit."""

    requests_per_second: float = 0.0
    connections: int = 0
    wrong_signature_s: float = 0.0

    def among(self, sharing: int) -> Limits:
        """The share of each of several. Turns of wrong signatures are taken one after the other and not divided."""
        return replace(
            self, requests_per_second=self.requests_per_second / sharing, connections=self.connections // sharing
        )


def strictest(limits: Sequence[Limits]) -> Limits:
    """What keeps within all of them."""
    rates = [one.requests_per_second for one in limits if one.requests_per_second]
    connections = [one.connections for one in limits if one.connections]
    return Limits(min(rates, default=0.0), min(connections, default=0), max(one.wrong_signature_s for one in limits))


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is played on an endpoint: cases in shards, and so many explorations of so many seconds or requests each."""

    name: str = "default"
    cases: bool = True
    select: tuple[str, ...] = ()
    shards: int = 1
    strict: bool = False
    explore_seeds: int = 0
    explore_s: float = 60.0
    explore_requests: int | None = None
    explore_only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """One endpoint of a fleet. ``words`` are those of a target file that stand in the fleet file itself."""

    name: str
    file: Path
    target: Path | None
    words: Mapping[str, Any]
    tags: frozenset[str]
    profile: str | None
    schedule: Schedule
    limits: Limits
    address: str = ""
    """Who bears the limits, as of ``address_of``; several endpoints of a fleet may share it."""

    def open(self, environment: Mapping[str, str] = os.environ) -> Target:
        """The endpoint with its credentials.

        :raises TargetError: they are not there, or the target file is wrong.
        """
        if self.target is not None:
            target = load_target(self.target, environment)
        else:
            target = target_of(self.file, self.words, environment)
        return replace(target, name=self.name, profile=self.profile or target.profile)


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet file. ``database`` is where explorations share what they found: a folder, or the URL of a Redis.

    ``env:NAME`` stands for a URL in the environment, which only whoever explores looks up.
    """

    name: str
    file: Path
    members: tuple[Member, ...]
    database: str | None = None
    schedules: Mapping[str, Schedule] = field(default_factory=dict)

    def open_database(self, environment: Mapping[str, str] = os.environ) -> ExampleDatabase | None:
        """The database of examples that all explorations share, if the file names one.

        :raises UsageError: it is not in the environment, or cannot be used.
        """
        if self.database is None:
            return None
        try:
            return example_database.open_database(self.database, environment)
        except UsageError as error:
            raise UsageError(f"{self.file}: {error}") from error

    def member(self, name: str) -> Member:
        """An endpoint by its name."""
        return next(member for member in self.members if member.name == name)

    def chosen(self, tags: Sequence[str], schedule: str | None) -> Fleet:
        """The endpoints that have one of the tags, all if none is named, with another schedule if one is named.

        :raises UsageError: there is no such endpoint or schedule.
        """
        members = self.members
        if tags:
            members = tuple(member for member in members if member.tags.intersection(tags))
            if not members:
                known = sorted({tag for member in self.members for tag in member.tags})
                there = ", ".join(known) or "none"
                raise UsageError(f"--tag {', '.join(tags)}: no endpoint has it; there are: {there}")
        if schedule is not None:
            if schedule not in self.schedules:
                there = ", ".join(self.schedules) or "none"
                raise UsageError(f"--schedule {schedule}: the fleet file has no such schedule; there are: {there}")
            members = tuple(replace(member, schedule=self.schedules[schedule]) for member in members)
        return replace(self, members=members)


def address_of(endpoint: str) -> str:
    """Who is behind the URL of an endpoint: scheme, host and port, the same however they are spelt."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    port = parts.port or _PORTS[parts.scheme]
    named = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{named}" + ("" if port == _PORTS[parts.scheme] else f":{port}")


class Unasked(dict[str, str]):
    """An environment in which every variable is set, for looking at a target file without asking for its secrets."""

    def get(self, _name: str, _default: Any = None) -> Any:  # noqa: ANN401 - as in the base class
        """Something."""
        return "unasked"

    def __getitem__(self, _name: str) -> str:
        return "unasked"


def load_fleet(path: Path) -> Fleet:
    """Read a fleet file, and look whether the target files it names are sound.

    :raises UsageError: unreadable, not TOML, an unknown word or a wrong value; names file, field and remedy.
    :raises TargetError: what stands in the target file of an endpoint, or for it, is wrong.
    """
    data = read_toml(path, UsageError)
    reader = _Reader(path)
    reader.words("", data, ("name", "database", "defaults", "schedules", "endpoints"))
    defaults = reader.table("defaults", data.get("defaults", {}))
    reader.words("defaults.", defaults, ("profile", "schedule", "limits", "tags"))
    limits = reader.limits("defaults.limits", defaults.get("limits", {}), Limits())
    tables = reader.table("schedules", data.get("schedules", {}))
    schedules = {name: reader.schedule(name, value) for name, value in tables.items()}
    endpoints = data.get("endpoints", [])
    if not isinstance(endpoints, list) or not endpoints:
        raise reader.wrong("endpoints", "there is none; write [[endpoints]] with a name for each endpoint")
    members: dict[str, Member] = {}
    for number, entry in enumerate(endpoints, start=1):
        member = reader.member(f"endpoints[{number}]", entry, defaults, limits, schedules)
        if member.name.casefold() in members:
            raise reader.wrong(f"endpoints[{number}].name", f"{member.name!r} is there twice; names are unique")
        opened = member.open(Unasked())
        members[member.name.casefold()] = replace(member, address=address_of(opened.endpoint))
    database = None if "database" not in data else reader.database(data["database"])
    name = reader.text("name", data.get("name", path.stem))
    return Fleet(name, path, reader.sharing(tuple(members.values())), database, schedules)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Turns values of one file into ours; every complaint names the file and the field."""

    path: Path

    def wrong(self, where: str, says: str) -> UsageError:
        return UsageError(f"{self.path}: {where}: {says}")

    def table(self, where: str, value: object) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong(where, f"is a table; write [{where}]")
        return value

    def words(self, prefix: str, data: Mapping[str, Any], known: Sequence[str]) -> None:
        for word in data:
            if word not in known:
                raise self.wrong(f"{prefix}{word}", f"unknown word; {hint(word, known)}")

    def text(self, where: str, value: object) -> str:
        if not isinstance(value, str) or not value:
            raise self.wrong(where, f'{value!r} is no text; write "..."')
        return value

    def texts(self, where: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self.wrong(where, f'{value!r} is no list of texts; write ["...", "..."]')
        return tuple(value)

    def flag(self, where: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise self.wrong(where, f"{value!r} is neither true nor false")
        return value

    def number(self, where: str, value: object, least: float = 0.0) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < float("inf"):
            raise self.wrong(where, f"{value!r} is no number from {least:g} on")
        return float(value)

    def count(self, where: str, value: object, least: int = 0) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 9999:  # noqa: PLR2004 - as --shard
            raise self.wrong(where, f"{value!r} is no whole number from {least} to 9999")
        return value

    def limits(self, where: str, value: object, default: Limits) -> Limits:
        data = self.table(where, value)
        self.words(f"{where}.", data, ("requests_per_second", "connections", "wrong_signature_s"))
        return Limits(
            self.number(f"{where}.requests_per_second", data.get("requests_per_second", default.requests_per_second)),
            self.count(f"{where}.connections", data.get("connections", default.connections)),
            self.number(f"{where}.wrong_signature_s", data.get("wrong_signature_s", default.wrong_signature_s)),
        )

    def database(self, value: object) -> str:
        place = self.text("database", value)
        if place.startswith(example_database.ENV):
            return place
        if "://" not in place:
            return str(self.path.parent.resolve() / place)
        fault = example_database.fault_of(place)
        if not fault and (urlsplit(place).password or "password" in parse_qs(urlsplit(place).query)):
            fault = f"holds a password; {_CREDENTIAL_REMEDY.partition(',')[0]} for the whole URL"
        if fault:
            raise self.wrong("database", fault)
        return place

    def sharing(self, members: tuple[Member, ...]) -> tuple[Member, ...]:
        """Endpoints with their shares of what an address bears, which is the strictest that is said of it."""
        count = Counter(member.address for member in members)
        said: dict[str, list[Limits]] = {}
        for member in members:
            said.setdefault(member.address, []).append(member.limits)
        for member in reversed(members):
            together, sharing = strictest(said[member.address]), count[member.address]
            if 0 < together.connections < sharing:
                shared = f"{together.connections} for {member.address}, which {sharing} endpoints share"
                raise self.wrong(f"endpoint {member.name}: limits.connections", f"{shared}; write at least {sharing}")
        return tuple(
            replace(member, limits=strictest(said[member.address]).among(count[member.address])) for member in members
        )

    def schedule(self, name: str, value: object) -> Schedule:
        where = f"schedules.{name}"
        data, base = self.table(where, value), Schedule(name)
        forms: Mapping[str, Callable[[str, Any], Any]] = {
            "cases": self.flag,
            "select": self.texts,
            "shards": lambda place, given: self.count(place, given, 1),
            "strict": self.flag,
            "explore_seeds": self.count,
            "explore_s": lambda place, given: self.number(place, given, 0.1),
            "explore_requests": lambda place, given: int(self.number(place, given, 1)),
            "explore_only": self.texts,
        }
        self.words(f"{where}.", data, tuple(forms))
        read: dict[str, Any] = {word: forms[word](f"{where}.{word}", given) for word, given in data.items()}
        schedule = replace(base, **read)
        if not schedule.cases and not schedule.explore_seeds:
            raise self.wrong(where, "nothing is played; leave out cases = false, or write explore_seeds = 1")
        return schedule

    def member(
        self,
        where: str,
        value: object,
        defaults: Mapping[str, Any],
        limits: Limits,
        schedules: Mapping[str, Schedule],
    ) -> Member:
        data = self.table(where, value)
        self.words(f"{where}.", data, (*sorted(_OWN), *_TARGET_WORDS))
        name = self.text(f"{where}.name", data.get("name", ""))
        if not _NAME.fullmatch(name):
            raise self.wrong(f"{where}.name", f"{name!r} names a folder too; use letters, digits, dots, - and _")
        if name.casefold() == _WRITTEN:
            raise self.wrong(f"{where}.name", f"{name!r} is a file that every run writes; choose another name")
        where = f"endpoint {name}"
        words = {word: given for word, given in data.items() if word not in _OWN}
        if ("target" in data) == ("endpoint" in data) or ("target" in data and words):
            raise self.wrong(where, 'write either target = "FILE.toml" or endpoint = "https://..." with its words')
        self._no_secret(where, words)
        asked = data.get("schedule", defaults.get("schedule"))
        if asked is not None and asked not in schedules:
            there = ", ".join(schedules) or "none"
            says = f"{asked!r} is not there; write [schedules.{asked}]; there are: {there}"
            raise self.wrong(f"{where}: schedule", says)
        profile = data.get("profile", defaults.get("profile"))
        tags = self.texts("defaults.tags", defaults.get("tags", [])) + self.texts(
            f"{where}: tags", data.get("tags", [])
        )
        return Member(
            name=name,
            file=self.path,
            target=None if "target" not in data else self.path.parent / self.text(f"{where}: target", data["target"]),
            words=words,
            tags=frozenset(tags),
            profile=None if profile is None else self.text(f"{where}: profile", profile),
            schedule=Schedule() if asked is None else schedules[asked],
            limits=self.limits(f"{where}: limits", data.get("limits", {}), limits),
        )

    def _no_secret(self, where: str, words: Mapping[str, Any]) -> None:
        """A fleet file is passed around; no credential stands in it."""
        for name, identity in self.table(f"{where}: identities", words.get("identities", {})).items():
            for word in _CREDENTIALS:
                given = self.table(f"{where}: identities.{name}", identity).get(word)
                if given is not None and not (isinstance(given, str) and given.startswith("env:")):
                    raise self.wrong(f"{where}: identities.{name}.{word}", f"is a credential; {_CREDENTIAL_REMEDY}")
