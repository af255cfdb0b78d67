"""Reads a results file into frozen values.

Knows the lines of results.schema.json, in which order they come, and how to say what is wrong with a file.
Does not know how anything is rendered, and decides nothing about conformance: the verdicts are those of the file.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

FORMAT = 1

_T = TypeVar("_T")

Level = Literal["must", "should", "observe"]
ClauseLevel = Literal["must", "should", "may", "info"]
Rung = Literal[
    "pass", "fail", "warn", "observed", "not_applicable", "blocked", "setup_failed", "harness_error", "not_run"
]
ClauseVerdict = Literal["holds", "broken", "weak", "observed", "not_exercised", "not_observable"]
Conclusion = Literal["conformant", "non-conformant", "inconclusive", "interrupted"]

EXERCISED: frozenset[ClauseVerdict] = frozenset({"holds", "broken", "weak", "observed"})


class ResultsError(Exception):
    """A results file that cannot be read: which file, which line, what is wrong, and what to do."""

    def __init__(self, *, file: Path, line: int, problem: str, remedy: str) -> None:
        """Keep the four parts and make one message of them."""
        super().__init__(f"{file}, line {line}: {problem}. {remedy}.")
        self.file = file
        self.line = line
        self.problem = problem
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """The program that made the file."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """The case library that was played."""

    digest: str
    cases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The frozen set of clauses the run was held against."""

    name: str
    title: str
    clauses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The endpoint, without its secrets."""

    name: str
    endpoint: str
    addressing: Literal["path", "virtual-host"]
    dialect: str
    transport: Literal["wire", "requests"]
    without: Mapping[str, str]
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One clause of a page."""

    id: str
    page: str
    section: str
    ordinal: int
    says: str
    level: ClauseLevel
    decided: str
    observable: Literal["yes", "partly", "no"]
    causes: str
    consequence: str
    fix: str
    errata: tuple[str, ...]
    unobservable: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One defensible answer to an open question: the values that give it, and what they mean."""

    value: str
    means: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Erratum:
    """What the documents contradict or leave open, and the observation that answers it."""

    id: str
    about: str
    finding: str
    treatment: str
    clauses: tuple[str, ...]
    readings: tuple[Reading, ...]
    case: str | None = None
    observation: str | None = None
    unprobed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line: what was going to be done, to whom, with what."""

    suite: Suite
    library: Library
    profile: Profile
    target: Target
    seed: int
    started: str
    planned: tuple[str, ...]
    clauses: tuple[Clause, ...]
    errata: tuple[Erratum, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation that was judged."""

    step: str
    word: str
    subject: str
    clauses: tuple[str, ...]
    level: Level
    held: bool
    wanted: str
    got: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One value that was written down without being judged."""

    step: str
    name: str
    value: str
    clauses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A body without its transfer coding; ``body`` may be only its beginning."""

    body: bytes
    body_size: int
    body_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One direction of an exchange, as bytes."""

    head: bytes
    body: bytes
    body_size: int
    body_sha256: str
    content: Content | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what came back."""

    step: str
    sent: Message
    received: Message
    outcome: str
    ms: float
    continued: bool | None = None
    asked: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case that was played, with all its evidence."""

    id: str
    says: str
    area: str
    level: Level
    cites: tuple[str, ...]
    file: str
    line: int
    rung: Rung
    reason: str
    checks: tuple[Check, ...]
    observations: tuple[Observation, ...]
    exchanges: tuple[Exchange, ...]
    duration_ms: float

    @property
    def unmet(self) -> tuple[Check, ...]:
        """The expectations that were not met."""
        return tuple(check for check in self.checks if not check.held)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseResult:
    """The verdict on one clause over all its cases."""

    verdict: ClauseVerdict
    cases: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleanup:
    """What the run made on the target and what it took away again."""

    created: int
    removed: int
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """The last line: the conclusion."""

    conclusion: Conclusion
    exit: Literal[0, 1, 3, 130]
    headline: str
    counts: Mapping[str, int]
    clauses: Mapping[str, ClauseResult]
    cleanup: Cleanup
    ended: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """A whole results file."""

    header: Header
    cases: tuple[Case, ...]
    footer: Footer | None
    path: Path

    @property
    def finished(self) -> bool:
        """Whether the run wrote its footer."""
        return self.footer is not None

    @property
    def missing(self) -> tuple[str, ...]:
        """Ids of planned cases that have no line, in plan order."""
        played = {case.id for case in self.cases}
        return tuple(planned for planned in self.header.planned if planned not in played)

    @property
    def headline(self) -> str:
        """The conclusion in a sentence, or that there is none because the run did not finish."""
        if self.footer is not None:
            return self.footer.headline
        planned = len(self.header.planned)
        done = planned - len(self.missing)
        return f"The run did not finish: {done} of {planned} planned cases have a result, and nothing is concluded."

    @property
    def exercised(self) -> int | None:
        """How many clauses were exercised; None when the run did not finish."""
        if self.footer is None:
            return None
        return sum(result.verdict in EXERCISED for result in self.footer.clauses.values())


def read_results(path: Path | str) -> Results:
    """Read the results file at *path*, or raise ResultsError.

    A file without a footer is read; so is one whose last line was cut off in the middle, because that is what
    a killed run leaves behind.  Both are of a run that did not finish.
    """
    reader = _Reader(Path(path))
    for number, line in enumerate(_lines(reader.path), start=1):
        if line.strip():
            reader.take(number, line)
    return reader.results()


def _lines(path: Path) -> list[bytes]:
    """Return the lines of the file, each with its line end."""
    try:
        return path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        problem = f"the file cannot be read ({error.strerror or error})"
        raise ResultsError(file=path, line=0, problem=problem, remedy="Give the path of a results.jsonl") from error


class _ShapeError(Exception):
    """A value that is not what the schema says: where in the line, and what is wrong."""


class _Reader:
    """Takes the lines of one file in order and holds them against the order they must have."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._header: Header | None = None
        self._cases: dict[str, Case] = {}
        self._footer: Footer | None = None
        self._takers: Mapping[object, Callable[[int, Mapping[str, object]], None]] = {
            "header": self._take_header,
            "case": self._take_case,
            "footer": self._take_footer,
        }

    def take(self, number: int, line: bytes) -> None:
        """Take one line that is not blank."""
        record = self._parse(number, line)
        if record is None:
            return
        kind = record.get("kind")
        taker = self._takers.get(kind) if isinstance(kind, str) else None
        if taker is None:
            raise self._error(number, f"unknown kind of line: {kind!r}", "A line is a header, a case or a footer")
        if self._header is None and kind != "header":
            raise self._no_header(number)
        if self._footer is not None:
            raise self._error(number, f"a {kind} after the footer", "Put each run in a file of its own")
        taker(number, record)

    def results(self) -> Results:
        """Return what was read."""
        if self._header is None:
            raise self._no_header(1)
        return Results(header=self._header, cases=tuple(self._cases.values()), footer=self._footer, path=self.path)

    def _parse(self, number: int, line: bytes) -> Mapping[str, object] | None:
        """Return the object on the line; None for a last line that was cut off."""
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            if self._header is not None and not line.endswith(b"\n"):
                return None
            remedy = "Give a results.jsonl as the run wrote it, one JSON object on each line"
            raise self._error(number, f"not JSON ({error})", remedy) from error
        if not isinstance(record, dict):
            raise self._error(number, "not a JSON object", "Each line of a results file is one JSON object")
        return record

    def _take_header(self, number: int, record: Mapping[str, object]) -> None:
        if self._header is not None:
            raise self._error(number, "a second header", "Put each run in a file of its own")
        version = record.get("format")
        if type(version) is not int or version != FORMAT:
            remedy = f"This program reads format {FORMAT}; use the version of the suite that wrote the file"
            raise self._error(number, f"unknown format version: {version!r}", remedy)
        self._header = self._decode(Header, number, record)

    def _take_case(self, number: int, record: Mapping[str, object]) -> None:
        case = self._decode(Case, number, record)
        if case.id in self._cases:
            raise self._error(number, f"a second result for case {case.id}", "Put each run in a file of its own")
        self._cases[case.id] = case

    def _take_footer(self, number: int, record: Mapping[str, object]) -> None:
        self._footer = self._decode(Footer, number, record)

    def _decode(self, shape: type[_T], number: int, record: Mapping[str, object]) -> _T:
        try:
            return _record(shape, record, str(record["kind"]))
        except _ShapeError as error:
            raise self._error(number, str(error), "Hold the line against reports/results.schema.json") from error

    def _no_header(self, number: int) -> ResultsError:
        return self._error(number, "the header is missing", "Give the whole file; its first line is the header")

    def _error(self, number: int, problem: str, remedy: str) -> ResultsError:
        return ResultsError(file=self.path, line=number, problem=problem, remedy=remedy)


@functools.cache
def _hints(shape: Hashable) -> Mapping[str, object]:
    """Return the types of the fields of *shape*."""
    return get_type_hints(shape)


def _record(shape: type[_T], value: object, where: str) -> _T:
    """Make a *shape* of a JSON object; members the schema does not know are left alone."""
    members = _instance(dict, value, where)
    hints = _hints(shape)  # type: ignore[arg-type]
    found: dict[str, object] = {}
    for field in dataclasses.fields(shape):  # type: ignore[arg-type]
        if field.name in members:
            found[field.name] = _value(hints[field.name], members[field.name], f"{where}.{field.name}")
        elif field.default is dataclasses.MISSING:
            raise _ShapeError(f"{where}.{field.name} is missing")
    return shape(**found)


def _instance(kind: type[_T], value: object, where: str) -> _T:
    """Return *value* if it is exactly a *kind*: JSON true is no integer."""
    if type(value) is not kind:
        raise _ShapeError(f"{where} is a {type(value).__name__}, not a {kind.__name__}")
    return value


def _number(value: object, where: str) -> float:
    return float(value) if type(value) is int else _instance(float, value, where)


def _bytes(value: object, where: str) -> bytes:
    try:
        return _instance(str, value, where).encode("latin-1")
    except UnicodeEncodeError as error:
        raise _ShapeError(f"{where} has a code point above 255, which is no byte") from error


def _tuple(hint: object, value: object, where: str) -> object:
    items = _instance(list, value, where)
    return tuple(_value(get_args(hint)[0], item, f"{where}[{index}]") for index, item in enumerate(items))


def _mapping(hint: object, value: object, where: str) -> object:
    members = _instance(dict, value, where)
    return {name: _value(get_args(hint)[1], item, f"{where}.{name}") for name, item in members.items()}


def _choice(hint: object, value: object, where: str) -> object:
    if isinstance(value, bool | list | dict) or value not in get_args(hint):
        raise _ShapeError(f"{where} is {value!r}, not one of {', '.join(map(str, get_args(hint)))}")
    return value


def _optional(hint: object, value: object, where: str) -> object:
    return None if value is None else _value(get_args(hint)[0], value, where)


_SCALARS: Mapping[object, Callable[[object, str], object]] = {
    str: functools.partial(_instance, str),
    int: functools.partial(_instance, int),
    bool: functools.partial(_instance, bool),
    float: _number,
    bytes: _bytes,
}
_GENERICS: Mapping[object, Callable[[object, object, str], object]] = {
    tuple: _tuple,
    Mapping: _mapping,
    Literal: _choice,
    types.UnionType: _optional,
    Union: _optional,
}


def _value(hint: Any, value: object, where: str) -> object:  # noqa: ANN401
    """Make of a JSON value what the type *hint* says."""
    if hint in _SCALARS:
        return _SCALARS[hint](value, where)
    origin = get_origin(hint)
    if origin is not None:
        return _GENERICS[origin](hint, value, where)
    return _record(hint, value, where)
