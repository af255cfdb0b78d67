"""Results files read back: as much of a run as a conclusion needs, and the lines themselves, untouched.

For runs that are put together from parts: shards that are merged, an interrupted run that goes on. Knows the lines of
results files; does not judge and does not render.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance.vocabulary import Case, CaseError, CaseResult, Finding, Observation, Played, Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_SAME = ("format", "suite", "library", "profile", "target", "clauses", "errata")
"""Parts of the header in which parts of one run agree."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A results file: header and footer as written, and each case's line with its result (without exchanges)."""

    path: Path
    header: Mapping[str, Any]
    lines: Mapping[str, str]
    results: tuple[CaseResult, ...]
    footer: Mapping[str, Any] | None

    def requirements(self) -> tuple[Requirement, ...]:
        """The clauses of the profile, as far as a conclusion asks them."""
        return tuple(_requirement(clause) for clause in self.header["clauses"])


def read_back(path: Path) -> Recorded:
    """Read a results file; one without a footer, or whose last line was cut off, is of a run that did not finish.

    :raises CaseError: it cannot be read; names file, line and remedy.
    """
    header: dict[str, Any] | None = None
    footer: dict[str, Any] | None = None
    lines: dict[str, str] = {}
    results: list[CaseResult] = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith("\n"):
                    break
                value = _parsed(line, f"{path}, line {number}")
                if value["kind"] == "header":
                    header = value
                elif value["kind"] == "footer":
                    footer = value
                else:
                    lines[value["id"]] = line
                    results.append(_result(value))
    except OSError as error:
        raise CaseError(f"{path}: cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, UnicodeDecodeError) as error:
        raise CaseError(f"{path}: not a results file of this suite: {error!r}") from error
    if header is None:
        raise CaseError(f"{path}: has no header; give the results.jsonl of a run")
    return Recorded(path, header, lines, tuple(results), footer)


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise CaseError(f"{where}: not JSON: {error}; give the results.jsonl of a run") from error
    if not isinstance(value, dict) or "kind" not in value:
        raise CaseError(f"{where}: not a line of a results file; give the results.jsonl of a run")
    return value


def _result(line: Mapping[str, Any]) -> CaseResult:
    case = Case(
        line["id"],
        line["says"],
        line["area"],
        line["level"],
        tuple(line["cites"]),
        (),
        (),
        line["file"],
        line["line"],
    )
    findings = tuple(
        Finding(
            check["step"],
            check["word"],
            check["subject"],
            tuple(check["clauses"]),
            check["level"],
            check["held"],
            check["wanted"],
            check["got"],
            check["says"],
        )
        for check in line["checks"]
    )
    observations = tuple(
        Observation(seen["step"], seen["name"], seen["value"], tuple(seen["clauses"])) for seen in line["observations"]
    )
    return CaseResult(case, line["rung"], line["reason"], Played(findings, observations, ()), line["duration_ms"])


def _requirement(clause: Mapping[str, Any]) -> Requirement:
    words = ("id", "page", "section", "ordinal", "says", "level")
    rest = ("observable", "causes", "consequence", "fix", "unobservable")
    return Requirement(
        **{word: clause[word] for word in words},
        decided_by=clause["decided"],
        decided_why="",
        **{word: clause[word] for word in rest},
    )


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The parts of two headers in which parts of one run would agree and these do not."""
    return [word for word in _SAME if one.get(word) != other.get(word)]


def interleaved(plans: Sequence[Sequence[str]]) -> list[str]:
    """The plan whose every n-th case, from the first, second, ... on, these are."""
    longest = max(map(len, plans), default=0)
    return [plan[turn] for turn in range(longest) for plan in plans if turn < len(plan)]


def write_whole(path: Path, header: Mapping[str, Any], lines: Iterable[str], footer: Mapping[str, Any] | None) -> None:
    """Write a results file at once: whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    with beside.open("w", encoding="utf-8") as file:
        file.write(json.dumps(header) + "\n")
        file.writelines(lines)
        if footer is not None:
            file.write(json.dumps(footer) + "\n")
    beside.replace(path)
