"""Writes results as one HTML page that needs nothing else.

Knows what a reader asks first and in which order, and that everything an endpoint sent is hostile.
Does not know what is conformant: every verdict on the page is the file's own.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.model import Case, Check, Clause, Erratum, Exchange, Level, Message, Results, Rung
from reports.text import Excerpt, HeadLine, excerpt, head_lines, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATES = Path(__file__).parent / "templates"
ATTENTION: tuple[Rung, ...] = ("fail", "harness_error", "setup_failed", "blocked", "not_run", "warn")
EXPLAINED = frozenset({"broken", "weak"})


def write_html(results: Results, path: Path | str) -> None:
    """Write *results* to *path* as one self-contained page."""
    style, script = map(_own, ("report.css", "report.js"))
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(page=_page(results), style=style, script=script, policy=_policy(style, script))
    )
    Path(path).write_text(page, encoding="utf-8", newline="\n")


def _own(name: str) -> Markup:
    """Return a file of ours, which alone is put on the page unescaped."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - no foreign text is in it


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["fragment"] = lambda name: quote(visible(name))
    environment.filters["words"] = lambda name: name.replace("_", " ")
    return environment


def _finalize(value: object) -> object:
    """Make unseen characters visible in everything that is put on the page, before it is escaped."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _policy(style: str, script: str) -> str:
    """Return a content security policy under which only our own style and script, by hash, do anything."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageView:
    """One direction of an exchange, ready to be shown."""

    lines: tuple[HeadLine, ...]
    body: Excerpt
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeView:
    """One exchange, with the names of headers that an unmet expectation looked for and that did not come."""

    exchange: Exchange
    sent: MessageView
    received: MessageView
    absent: tuple[str, ...]
    unmet: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """One case, ready to be shown."""

    case: Case
    exchanges: tuple[ExchangeView, ...]
    attention: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseView:
    """One clause with its verdict and cases."""

    clause: Clause
    verdict: str
    cases: tuple[str, ...]
    reason: str
    explained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionView:
    """The clauses of one section of one page."""

    page: str
    title: str
    clauses: tuple[ClauseView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerView:
    """What one case observed for an open question, and which defensible reading that is."""

    case: str
    step: str
    value: str
    means: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErratumView:
    """One open question with the endpoint's answers."""

    erratum: Erratum
    answers: tuple[AnswerView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """How many cases of one level stand on each rung."""

    level: str
    counts: tuple[int, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All that the template sees."""

    results: Results
    rungs: tuple[str, ...]
    outcomes: tuple[OutcomeRow, ...]
    attention: tuple[Case, ...]
    sections: tuple[SectionView, ...]
    cases: tuple[CaseView, ...]
    errata: tuple[ErratumView, ...]
    known_cases: frozenset[str]
    known_clauses: frozenset[str]


def _page(results: Results) -> Page:
    return Page(
        results=results,
        rungs=get_args(Rung),
        outcomes=_outcomes(results.cases),
        attention=tuple(case for rung in ATTENTION for case in results.cases if case.rung == rung),
        sections=_sections(results),
        cases=tuple(map(_case, results.cases)),
        errata=tuple(_erratum(erratum, results.cases) for erratum in results.header.errata),
        known_cases=frozenset(case.id for case in results.cases) | frozenset(results.missing),
        known_clauses=frozenset(clause.id for clause in results.header.clauses),
    )


def _outcomes(cases: tuple[Case, ...]) -> tuple[OutcomeRow, ...]:
    rows = [(level, [case.rung for case in cases if case.level == level]) for level in get_args(Level)]
    rows.append(("all", [case.rung for case in cases]))
    return tuple(
        OutcomeRow(level=level, counts=tuple(found.count(rung) for rung in get_args(Rung)), total=len(found))
        for level, found in rows
    )


def _sections(results: Results) -> tuple[SectionView, ...]:
    """Return the clauses in page order; a section that is taken up again is shown again."""
    citing = _citing(results.cases)
    grouped = itertools.groupby(results.header.clauses, key=lambda clause: (clause.page, clause.section))
    return tuple(
        SectionView(page=page, title=section, clauses=tuple(_clause(clause, results, citing) for clause in clauses))
        for (page, section), clauses in grouped
    )


def _citing(cases: tuple[Case, ...]) -> Mapping[str, tuple[str, ...]]:
    """Return which cases cite which clause."""
    citing: dict[str, tuple[str, ...]] = {}
    for case in cases:
        for clause in case.cites:
            citing[clause] = (*citing.get(clause, ()), case.id)
    return citing


def _clause(clause: Clause, results: Results, citing: Mapping[str, tuple[str, ...]]) -> ClauseView:
    """Return a clause with its verdict; without one, with the cases that cite it."""
    result = results.footer.clauses.get(clause.id) if results.footer else None
    if result is None:
        reason = "The footer does not name this clause." if results.finished else "The run did not finish."
        cases = citing.get(clause.id, ())
        return ClauseView(clause=clause, verdict="no_verdict", cases=cases, reason=reason, explained=False)
    return ClauseView(
        clause=clause,
        verdict=result.verdict,
        cases=result.cases,
        reason=result.reason,
        explained=result.verdict in EXPLAINED,
    )


def _erratum(erratum: Erratum, cases: tuple[Case, ...]) -> ErratumView:
    """Return an open question with what the cases that probe it, rows included, observed."""
    answers = tuple(
        AnswerView(case=case.id, step=seen.step, value=seen.value, means=_meaning(erratum, seen.value))
        for case in cases
        if case.id.partition("/")[0] == erratum.case
        for seen in case.observations
        if seen.name == erratum.observation
    )
    return ErratumView(erratum=erratum, answers=answers)


def _meaning(erratum: Erratum, value: str) -> str:
    """Return the reading a value stands for; the library promises that its patterns compile."""
    found = (reading.means for reading in erratum.readings if re.fullmatch(reading.value, value))
    return next(found, "none of the readings that were thought of")


def _case(case: Case) -> CaseView:
    exchanges = tuple(_exchange(exchange, case.unmet) for exchange in case.exchanges)
    return CaseView(case=case, exchanges=exchanges, attention=case.rung in ATTENTION)


def _exchange(exchange: Exchange, unmet: tuple[Check, ...]) -> ExchangeView:
    subjects = tuple(dict.fromkeys(check.subject for check in unmet if check.step == exchange.step))
    names = _header_names(subjects)
    received = _message(exchange.received, names=frozenset(map(str.lower, names)), status="status" in subjects)
    came = {line.name for line in received.lines}
    return ExchangeView(
        exchange=exchange,
        sent=_message(exchange.sent),
        received=received,
        absent=tuple(name for name in names if name.lower() not in came),
        unmet=bool(subjects),
    )


def _header_names(subjects: tuple[str, ...]) -> tuple[str, ...]:
    """Return the header names among what checks looked at, which say "header NAME"."""
    pairs = (subject.partition(" ") for subject in subjects)
    return tuple(name.strip() for kind, _, name in pairs if kind == "header" and name.strip())


def _message(message: Message, *, names: frozenset[str] = frozenset(), status: bool = False) -> MessageView:
    return MessageView(
        lines=head_lines(message.head, names=names, status=status),
        body=excerpt(message.body, message.body_size),
        sha256=message.body_sha256,
    )
