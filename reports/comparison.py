"""Writes several runs as one page: clauses by endpoints, disagreement first, every cell one click from the exchange.

Knows when endpoints disagree and in which order a reader wants to see it.  The verdicts are those of the files; that
an endpoint is right is never said here.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from reports.selfcontained import render
from reports.text import excerpt, head_lines, visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from reports.model import Case, Clause, Exchange, Message, Results

MARKS: Mapping[str, str] = {
    "holds": "✓", "pass": "✓",
    "broken": "✗", "fail": "✗",
    "weak": "!", "warn": "!",
    "observed": "○",
    "not_observable": "·", "not_applicable": "·", "no_verdict": "·", "not_in_run": "·",
    "not_exercised": "?", "not_run": "?", "blocked": "?", "setup_failed": "?", "harness_error": "?",
}  # fmt: skip
"""A mark for each verdict and rung, so that colour is never alone; the words stand beside it."""
ABSENT = "not_in_run"
_WORST: tuple[str, ...] = ("broken", "weak", "not_exercised", "no_verdict", "observed", "holds")
_BLAMED: tuple[str, ...] = ("fail", "warn")
_SHOWING: tuple[str, ...] = ("pass", "observed")
_TEXT_SHOWN, _HEX_SHOWN = 1024, 128
"""Bytes of a body on this page; the results file keeps more."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A column: its letter, who it is, and what its run concluded."""

    letter: str
    results: Results


@dataclass(frozen=True, slots=True)
class Cell:
    """What one endpoint did: a verdict or rung, and the case whose exchange the cell opens (or empty)."""

    standing: str
    opens: str

    @property
    def mark(self) -> str:
        """The sign for it."""
        return MARKS[self.standing]


@dataclass(frozen=True, slots=True)
class CaseRow:
    """A case in every run."""

    id: str
    says: str
    cells: tuple[Cell, ...]
    differs: bool


@dataclass(frozen=True, slots=True)
class ClauseRow:
    """A clause in every run, with the cases that cite it."""

    clause: Clause
    cells: tuple[Cell, ...]
    cases: tuple[CaseRow, ...]
    differs: bool


@dataclass(frozen=True, slots=True)
class ObservationRow:
    """One observed value in every run; empty where a run has none."""

    name: str
    case: str
    step: str
    values: tuple[str, ...]
    differs: bool


@dataclass(frozen=True, slots=True)
class Matrix:
    """All that is on the page."""

    endpoints: tuple[Endpoint, ...]
    clauses: tuple[ClauseRow, ...]
    observations: tuple[ObservationRow, ...]
    unlike: tuple[str, ...]

    @property
    def disagreements(self) -> int:
        """Clauses on which the endpoints disagree."""
        return sum(row.differs for row in self.clauses)


def write_comparison(runs: Sequence[Results], path: Path) -> None:
    """Write the runs, in their order, to *path* as one self-contained page."""
    evidence = json.dumps(_evidence(runs)).replace("<", r"\u003c")
    data = Markup(evidence)  # noqa: S704 - JSON in ASCII without any "<" cannot leave a data block
    page = render(
        "comparison.html.j2",
        style="comparison.css",
        script="comparison.js",
        page=matrix(runs),
        evidence=data,
    )
    path.write_text(page, "utf-8", newline="\n")


def letter(number: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    return (letter(number // 26 - 1) if number >= 26 else "") + chr(65 + number % 26)  # noqa: PLR2004 - the alphabet


def matrix(runs: Sequence[Results]) -> Matrix:
    """Everything side by side; rows on which the runs disagree come first, then the worse before the better."""
    endpoints = tuple(Endpoint(letter(number), results) for number, results in enumerate(runs))
    by_id = [{case.id: case for case in results.cases} for results in runs]
    cases = {id_: _case_row(id_, by_id) for found in by_id for id_ in found}
    clauses = {clause.id: clause for results in runs for clause in results.header.clauses}
    citing: dict[str, list[str]] = {}
    for found in by_id:
        for case in found.values():
            for clause in case.cites:
                if case.id not in citing.setdefault(clause, []):
                    citing[clause].append(case.id)
    rows = [
        _clause_row(clause, runs, [cases[id_] for id_ in citing.get(clause.id, ())], by_id)
        for clause in clauses.values()
    ]
    return Matrix(
        endpoints,
        tuple(sorted(rows, key=_order)),
        tuple(sorted(_observations(by_id), key=lambda row: not row.differs)),
        tuple(_unlike(runs)),
    )


def _order(row: ClauseRow) -> tuple[bool, bool, int]:
    worst = min((_WORST.index(cell.standing) for cell in row.cells if cell.standing in _WORST), default=len(_WORST))
    return not row.differs, not any(case.differs for case in row.cases), worst


def _case_row(id_: str, by_id: Sequence[Mapping[str, Case]]) -> CaseRow:
    found = [cases.get(id_) for cases in by_id]
    cells = tuple(Cell(ABSENT, "") if case is None else Cell(case.rung, id_) for case in found)
    seen = {tuple((seen.step, seen.name, seen.value) for seen in case.observations) for case in found if case}
    first = next(case for case in found if case)
    return CaseRow(id_, first.says, cells, _differ(cells) or len(seen) > 1)


def _differ(cells: Sequence[Cell]) -> bool:
    """Whether two endpoints that were asked stand differently; one that was not asked disagrees with nobody."""
    return len({cell.standing for cell in cells} - {ABSENT}) > 1


def _clause_row(
    clause: Clause, runs: Sequence[Results], cases: Sequence[CaseRow], by_id: Sequence[Mapping[str, Case]]
) -> ClauseRow:
    cells = tuple(_clause_cell(clause.id, results, cases, found) for results, found in zip(runs, by_id, strict=True))
    return ClauseRow(clause, cells, tuple(sorted(cases, key=lambda row: not row.differs)), _differ(cells))


def _clause_cell(clause: str, results: Results, cases: Sequence[CaseRow], found: Mapping[str, Case]) -> Cell:
    """The verdict of one run on a clause; it opens the case that decided it."""
    if all(known.id != clause for known in results.header.clauses):
        return Cell(ABSENT, "")
    verdict = results.footer.clauses.get(clause) if results.footer else None
    here = [found[row.id] for row in cases if row.id in found]
    blamed = [case for case in here if any(clause in check.clauses for check in case.unmet)]
    ranked = [case.id for rung in _BLAMED for case in blamed if case.rung == rung]
    ranked += [case.id for rung in _SHOWING for case in here if case.rung == rung]
    ranked += [case.id for case in here]
    return Cell(verdict.verdict if verdict else "no_verdict", next(iter(ranked), ""))


def _observations(by_id: Sequence[Mapping[str, Case]]) -> list[ObservationRow]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for number, cases in enumerate(by_id):
        for case in cases.values():
            for seen in case.observations:
                values = found.setdefault((seen.name, case.id, seen.step), [""] * len(by_id))
                values[number] = seen.value or "(empty)"
    return [
        ObservationRow(name, case, step, tuple(values), len(set(filter(None, values))) > 1)
        for (name, case, step), values in found.items()
    ]


def _unlike(runs: Sequence[Results]) -> list[str]:
    """What a reader must know before they compare: the runs were not made alike."""
    facts = {
        "profiles": [results.header.profile.name for results in runs],
        "case libraries": [results.header.library.digest[:12] for results in runs],
        "suite versions": [results.header.suite.version for results in runs],
    }
    notes = [
        f"The runs have different {name}: {', '.join(values)}."
        for name, values in facts.items()
        if len(set(values)) > 1
    ]
    return notes + [f"Run {letter(number)} did not finish." for number, run in enumerate(runs) if not run.finished]


def _evidence(runs: Sequence[Results]) -> list[dict[str, str]]:
    """For each run, case id to its exchanges as JSON, deflated and in Base64: unpacked when somebody looks."""
    return [{case.id: _packed(_shown(case)) for case in results.cases} for results in runs]


def _packed(value: Mapping[str, Any]) -> str:
    return base64.b64encode(zlib.compress(json.dumps(value).encode(), 6)).decode()


def _shown(case: Case) -> dict[str, Any]:
    return {
        "says": visible(case.says),
        "rung": case.rung,
        "reason": visible(case.reason),
        "unmet": [
            visible(f"{check.step} [{', '.join(check.clauses)}] {check.says} (wanted {check.wanted}; got {check.got})")
            for check in case.unmet
        ],
        "exchanges": [
            _exchange(exchange, unmet=any(check.step == exchange.step for check in case.unmet))
            for exchange in case.exchanges
        ],
    }


def _exchange(exchange: Exchange, *, unmet: bool) -> dict[str, Any]:
    return {
        "unmet": unmet,
        "step": exchange.step,
        "outcome": visible(f"{exchange.outcome}, {exchange.ms:.1f} ms"),
        "sent": _message(exchange.sent),
        "received": _message(exchange.received),
    }


def _message(message: Message) -> str:
    """A message as text in which nothing is invisible."""
    head = "\n".join(line.text for line in head_lines(message.head))
    if not message.body_size:
        return head
    kept = excerpt(message.body[:_TEXT_SHOWN], message.body_size)
    if kept.form != "text":
        kept = excerpt(message.body[:_HEX_SHOWN], message.body_size)
    note = (
        "" if kept.whole else f" (the first {kept.count} of {message.body_size} bytes, SHA-256 {message.body_sha256})"
    )
    return f"{head}\n{kept.form}{note}:\n{kept.shown}"
