"""Reads a results file into frozen values.

Knows the lines of results.schema.json, in which order they come, and how to say what is wrong with a file.
Does not know how anything is rendered, and decides nothing about conformance: the verdicts are those of the file.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import reprlib
import types
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

FORMAT = 1
UNFINISHED = "The run did not finish: {done} of {planned} planned cases have a result, and nothing is concluded."

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
    claims: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOutline:
    """A page the clauses stand on: its title and headings."""

    title: str
    sections: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """One thing that was looked at before the run."""

    check: str
    state: str
    says: str
    remedy: str = ""


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
class Shard:
    """Which part of a plan a run played."""

    part: int
    of: int
    places: tuple[int, ...] = ()


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
    pages: Mapping[str, PageOutline] = field(default_factory=dict)
    doctor: tuple[Examination, ...] = ()
    shard: Shard | None = None


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
class Made:
    """How a body that was cut can be made again: so many bytes of SHAKE-128 over the label."""

    label: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """How a request was authorized, and as whom."""

    how: Literal["header", "url", "form", "none", "altered", "key-service"]
    by: str


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
    made: Made | None = None
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
    signed: Signed | None = None
    asked: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A planted defect that makes a case fail."""

    name: str
    says: str


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
    source: str = ""
    proofs: tuple[Proof, ...] = ()

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
class BaselineRow:
    """What the baseline says about one case."""

    id: str
    state: Literal["known", "new", "different", "fixed", "expired", "gone", "not_judged"]
    fingerprint: str
    owner: str = ""
    reason: str = ""
    link: str = ""
    expires: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What a baseline file says about the run."""

    file: str
    rows: tuple[BaselineRow, ...]


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
    baseline: Baseline | None = None
    declared: tuple[str, ...] = ()


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
        return UNFINISHED.format(done=done, planned=planned)

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


class Stream:
    """A results file read from front to back one case at a time, so that its size does not matter.

    The header and the footer are there from the start; the footer stands at the end and is looked up there.
    """

    def __init__(self, path: Path | str) -> None:
        """Read the first and the last line, or raise ResultsError."""
        self.path = Path(path)
        self._reader = _Reader(self.path)
        try:
            with self.path.open("rb") as file:
                self._reader.take_first(file.readline())
                last = _last_line(file)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        self.header = self._reader.results().header
        self.footer = self._reader.footer_of(last)
        self._order = _Order(self.header.planned)
        self._line = 0

    def cases(self) -> Iterator[tuple[bytes, Mapping[str, Any]]]:
        """Every case as its line and the object on it; only what every reader relies on is looked at.

        :raises ResultsError: as read_results does, but for values deep inside a case.
        """
        ended = False
        with self.path.open("rb") as file:
            file.readline()
            for number, line in enumerate(file, start=2):
                self._line = number
                record = self._reader.line_after_header(number, line, ended=ended) if line.strip() else None
                if record is None:
                    continue
                if record["kind"] == "footer":
                    ended = True
                    continue
                if not self._order.take(record["id"]):
                    raise self._reader.repeated(number, record["id"])
                yield line, record

    @property
    def missing(self) -> tuple[str, ...]:
        """Ids of planned cases that have not gone by, in plan order."""
        return self._order.missing

    def decode(self, record: Mapping[str, Any]) -> Case:
        """The whole case on the line that went by last, or ResultsError."""
        return self._reader.decode_case(self._line, record)


class _Order:
    """Which planned cases have gone by: as long as they come as planned, how many is all that has to be kept."""

    def __init__(self, planned: tuple[str, ...]) -> None:
        self._planned = planned
        self._next = 0
        self._seen: set[str] | None = None

    def take(self, name: str) -> bool:
        """Note a case; False when it has gone by before."""
        if self._seen is None:
            if self._next < len(self._planned) and self._planned[self._next] == name:
                self._next += 1
                return True
            self._seen = set(self._planned[: self._next])
        known = name in self._seen
        self._seen.add(name)
        return not known

    @property
    def missing(self) -> tuple[str, ...]:
        """Those that have not, in plan order."""
        seen = self._seen
        return (
            self._planned[self._next :] if seen is None else tuple(name for name in self._planned if name not in seen)
        )


def _last_line(file: BinaryIO) -> bytes:
    """The last line that is not blank."""
    size, step = file.seek(0, 2), 1 << 16
    while True:
        file.seek(max(0, size - step))
        tail = file.read().rstrip()
        if b"\n" in tail or step >= size:
            return tail.rpartition(b"\n")[2]
        step *= 4


def _unreadable(path: Path, error: OSError) -> ResultsError:
    problem = f"the file cannot be read ({error.strerror or error})"
    return ResultsError(file=path, line=0, problem=problem, remedy="Give the path of a results.jsonl")


def _lines(path: Path) -> list[bytes]:
    """Return the lines of the file, each with its line end."""
    try:
        return path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise _unreadable(path, error) from error


class _ShapeError(Exception):
    """A value that is not what the schema says: where in the line, and what is wrong."""


_SHOWN = 80
"""Characters of an id in a message, which quotes it: an id out of a file may hold what moves a terminal's cursor."""
_ONE_RUN = "Put each run in a file of its own"
_RELIED_ON: tuple[tuple[str, type], ...] = (
    ("id", str), ("says", str), ("area", str), ("level", str), ("rung", str), ("reason", str),
    ("cites", list), ("checks", list), ("observations", list), ("exchanges", list),
)  # fmt: skip


class _Reader:
    """Takes the lines of one file in order and holds them against the order they must have."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._header: Header | None = None
        self._cases: dict[str, Case] = {}
        self._footer: Footer | None = None
        self._takers: Mapping[str, Callable[[int, Mapping[str, object]], None]] = {
            "header": self._take_header,
            "case": self._take_case,
            "footer": self._take_footer,
        }

    def take_first(self, line: bytes) -> None:
        """Take the line that has to be the header."""
        if not line.strip():
            raise self._no_header(1)
        self.take(1, line)

    def take(self, number: int, line: bytes) -> None:
        """Take one line that is not blank."""
        record = self._parse(number, line)
        if record is None:
            return
        kind = record.get("kind")
        taker = self._takers.get(kind) if isinstance(kind, str) else None
        if taker is None:
            raise self._unknown_kind(number, kind)
        if self._header is None and kind != "header":
            raise self._no_header(number)
        if self._footer is not None:
            raise self._after_footer(number, kind)
        taker(number, record)

    def results(self) -> Results:
        """Return what was read."""
        if self._header is None:
            raise self._no_header(1)
        return Results(header=self._header, cases=tuple(self._cases.values()), footer=self._footer, path=self.path)

    def footer_of(self, line: bytes) -> Footer | None:
        """Return the footer on the last line of the file; None when another kind of line, or half a line, is there."""
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(record, dict) or record.get("kind") != "footer":
            return None
        return self._decode(Footer, 0, record)

    def line_after_header(self, number: int, line: bytes, *, ended: bool) -> Mapping[str, Any] | None:
        """Return the object of a case or footer line, looked at from outside; None for one that was cut off."""
        record = self._parse(number, line)
        if record is None:
            return None
        kind = record.get("kind")
        if not isinstance(kind, str) or kind not in self._takers:
            raise self._unknown_kind(number, kind)
        if ended:
            raise self._after_footer(number, kind)
        if kind == "header":
            raise self._second_header(number)
        if kind == "case":
            for name, of in _RELIED_ON:
                if type(record.get(name)) is not of:
                    problem = f"case.{name} is missing or not a {of.__name__}"
                    raise self._error(number, problem, "Hold the line against reports/results.schema.json")
        return record

    def repeated(self, number: int, name: str) -> ResultsError:
        """Return what to say of a case that has a result already."""
        return self._error(number, f"a second result for case {_quoted(name)}", _ONE_RUN)

    def decode_case(self, number: int, record: Mapping[str, object]) -> Case:
        """Return the case on a line."""
        return self._decode(Case, number, record)

    def _parse(self, number: int, line: bytes) -> Mapping[str, object] | None:
        """Return the object on the line; None for a last line that was cut off."""
        try:
            record = _parsed(line)
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
            raise self._second_header(number)
        version = record.get("format")
        if type(version) is not int or version != FORMAT:
            remedy = f"This program reads format {FORMAT}; use the version of the suite that wrote the file"
            raise self._error(number, f"unknown format version: {_quoted(version)}", remedy)
        self._header = self._decode(Header, number, record)

    def _take_case(self, number: int, record: Mapping[str, object]) -> None:
        case = self._decode(Case, number, record)
        if case.id in self._cases:
            raise self.repeated(number, case.id)
        self._cases[case.id] = case

    def _take_footer(self, number: int, record: Mapping[str, object]) -> None:
        self._footer = self._decode(Footer, number, record)

    def _decode(self, shape: type[_T], number: int, record: Mapping[str, object]) -> _T:
        try:
            return _record(shape, record, str(record["kind"]))
        except _ShapeError as error:
            raise self._error(number, str(error), "Hold the line against reports/results.schema.json") from error

    def _unknown_kind(self, number: int, kind: object) -> ResultsError:
        return self._error(number, f"unknown kind of line: {_quoted(kind)}", "A line is a header, a case or a footer")

    def _after_footer(self, number: int, kind: object) -> ResultsError:
        return self._error(number, f"a {kind} after the footer", _ONE_RUN)

    def _second_header(self, number: int) -> ResultsError:
        return self._error(number, "a second header", _ONE_RUN)

    def _no_header(self, number: int) -> ResultsError:
        return self._error(number, "the header is missing", "Give the whole file; its first line is the header")

    def _error(self, number: int, problem: str, remedy: str) -> ResultsError:
        return ResultsError(file=self.path, line=number, problem=problem, remedy=remedy)


def _quoted(value: object) -> str:
    """A value out of a file as one short line of plain characters, however long, deep or odd it is."""
    return _REPR.repr(value)


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _SHOWN
_DECODE = json.JSONDecoder().raw_decode


def _parsed(line: bytes) -> object:
    """What json.loads gives, without its guess of the encoding, which a hundred thousand lines feel."""
    text = line.decode().strip()
    value, end = _DECODE(text)
    return value if end == len(text) else json.loads(text)


@functools.cache
def _hints(shape: Hashable) -> Mapping[str, object]:
    """Return the types of the fields of *shape*."""
    return get_type_hints(shape)


def _record(shape: type[_T], value: object, where: str) -> _T:
    """Make a *shape* of a JSON object; members the schema does not know are left alone."""
    members = _instance(dict, value, where)
    hints = _hints(shape)  # type: ignore[arg-type]
    found: dict[str, object] = {}
    for item in dataclasses.fields(shape):  # type: ignore[arg-type]
        if item.name in members:
            found[item.name] = _value(hints[item.name], members[item.name], f"{where}.{item.name}")
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise _ShapeError(f"{where}.{item.name} is missing")
    return shape(**found)


def _instance(kind: type[_T], value: object, where: str) -> _T:
    """Return *value* if it is exactly a *kind*: JSON true is no integer."""
    if type(value) is not kind:
        raise _ShapeError(f"{where} is a {type(value).__name__}, not a {kind.__name__}")
    return value


def _number(value: object, where: str) -> float:
    if type(value) is not int:
        return _instance(float, value, where)
    try:
        return float(value)
    except OverflowError as error:
        raise _ShapeError(f"{where} is a number with too many digits") from error


def _bytes(value: object, where: str) -> bytes:
    try:
        return _instance(str, value, where).encode("latin-1")
    except UnicodeEncodeError as error:
        raise _ShapeError(f"{where} has a code point above 255, which is no byte") from error


def _tuple(hint: object, value: object, where: str) -> object:
    items = _instance(list, value, where)
    if get_args(hint)[0] is str and all(type(item) is str for item in items):
        return tuple(items)
    return tuple(_value(get_args(hint)[0], item, f"{where}[{index}]") for index, item in enumerate(items))


def _mapping(hint: object, value: object, where: str) -> object:
    members = _instance(dict, value, where)
    return {name: _value(get_args(hint)[1], item, f"{where}[{_quoted(name)}]") for name, item in members.items()}


def _choice(hint: object, value: object, where: str) -> object:
    if isinstance(value, bool | list | dict) or value not in get_args(hint):
        raise _ShapeError(f"{where} is {_quoted(value)}, not one of {', '.join(map(str, get_args(hint)))}")
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
