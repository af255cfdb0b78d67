"""Writes results as Markdown for the summary page of a build job.

Knows the order in which a build's owner reads.  What an endpoint sent stands in code spans only, so that nothing in it
is markup.  Does not judge.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args

from reports.model import Level, Rung
from reports.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reports.model import Case, Results

LISTED = 50
"""Cases and clauses listed of each kind; build servers cut long summaries."""
TROUBLE: tuple[Rung, ...] = ("fail", "harness_error", "setup_failed", "blocked", "not_run", "warn")
_TEXT_LIMIT = 300
_TICKS = re.compile(r"`+")
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>&~@:$^=-])")


def write_markdown(results: Results, path: Path) -> None:
    """Write *results* to *path*."""
    path.write_text(markdown(results), "utf-8", newline="\n")


def markdown(results: Results) -> str:
    """The summary."""
    return "\n".join([*_top(results), *_table(results), *_cases(results), *_clauses(results)]) + "\n"


def prose(text: str) -> str:
    """Foreign text in a sentence: on one line, every character that could be markup escaped."""
    return _SPECIAL.sub(r"\\\1", " ".join(visible(text).split()))


def code(text: str) -> str:
    """Foreign text as a code span on one line, cut at a length no honest value reaches."""
    shown = " ".join(visible(text).split())
    shown = shown if len(shown) <= _TEXT_LIMIT else f"{shown[:_TEXT_LIMIT]} ..."
    fence = "`" * (1 + max((len(run) for run in _TICKS.findall(shown)), default=0))
    blank = " " if shown[:1] in {"`", ""} or shown.endswith("`") else ""
    return f"{fence}{blank}{shown}{blank}{fence}"


def _top(results: Results) -> Iterator[str]:
    header = results.header
    yield f"## {prose(results.headline)}"
    yield ""
    yield (
        f"{code(header.target.name)} at {code(header.target.endpoint)}, profile {code(header.profile.name)}, "
        f"suite {code(header.suite.version)}, started {code(header.started)}"
    )
    yield ""


def _table(results: Results) -> Iterator[str]:
    rungs = [rung for rung in get_args(Rung) if any(case.rung == rung for case in results.cases)]
    yield f"| level | {' | '.join(rung.replace('_', ' ') for rung in rungs)} | all |"
    yield f"|---|{'---:|' * (len(rungs) + 1)}"
    for level in (*get_args(Level), "all"):
        cases = [case for case in results.cases if level in {case.level, "all"}]
        counts = [sum(case.rung == rung for case in cases) for rung in rungs]
        yield f"| {level} | {' | '.join(map(str, counts))} | {len(cases)} |"
    yield ""


def _cases(results: Results) -> Iterator[str]:
    for rung in TROUBLE:
        cases = [case for case in results.cases if case.rung == rung]
        if cases:
            yield f"### {rung.replace('_', ' ').capitalize()} ({len(cases)})"
            yield ""
            for case in cases[:LISTED]:
                yield from _case(case)
            yield from _more(len(cases))
            yield ""
    if results.missing:
        yield f"### Without result ({len(results.missing)})"
        yield ""
        yield from (f"- {code(name)}" for name in results.missing[:LISTED])
        yield from _more(len(results.missing))
        yield ""


def _more(count: int) -> Iterator[str]:
    if count > LISTED:
        yield f"- and {count - LISTED} more"


def _case(case: Case) -> Iterator[str]:
    yield f"- {code(case.id)} {prose(case.says)}"
    if not case.unmet and case.reason:
        yield f"  - {code(case.reason)}"
    for check in case.unmet:
        yield f"  - {', '.join(check.clauses)}, {check.step}: wanted {code(check.wanted)}, got {code(check.got)}"


def _clauses(results: Results) -> Iterator[str]:
    found = results.footer.clauses if results.footer else {}
    for verdict, title in (("broken", "Broken clauses"), ("not_exercised", "Clauses not exercised")):
        names = [
            clause for clause in results.header.clauses if clause.id in found and found[clause.id].verdict == verdict
        ]
        if names:
            yield f"### {title} ({len(names)})"
            yield ""
            yield from (f"- **{clause.id}** ({clause.level}) {prose(clause.says)}" for clause in names[:LISTED])
            yield from _more(len(names))
            yield ""
