"""What is known to fail, and what a run says about it: a truth table.

An entry excuses one case failing in one way until one day. Anything else is the gate's business: a new failure, a
failure of another kind, an entry that nothing needs any more, an entry whose day has passed. Pure: knows no files and
no clock, and never changes a verdict, only what the command returns.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from conformance import verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date

    from conformance.verdict import Tally
    from conformance.vocabulary import CaseResult, Requirement

State = Literal["known", "new", "different", "fixed", "expired", "gone", "not_judged"]

RED: frozenset[State] = frozenset({"new", "different", "fixed", "expired", "gone"})
"""States that make a run return 1."""
SAYS: Mapping[State, str] = {
    "known": "fails as known",
    "new": "fails and is not in the baseline",
    "different": "fails in another way than the baseline says",
    "fixed": "does not fail any more: remove it from the baseline",
    "expired": "fails as known, but the baseline's day has passed",
    "gone": "is in the baseline, and no case has this id",
    "not_judged": "is in the baseline and was not judged in this run",
}
_VOLATILE = re.compile(
    r"""[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}      # ids of keys
      | (?:obsc-)?\b[0-9a-f]{10}-[a-z0-9./-]+                     # names of a run
      | (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),[ ][0-9A-Za-z: ]+GMT      # dates of HTTP
      | \d{4}-\d\d-\d\dT[0-9:.]+Z                                 # dates of XML
      | [0-9A-Za-z+/=_-]{16,}                                     # digests, request ids, signatures
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One known failure. It counts up to and with the day ``expires``."""

    id: str
    fingerprint: str
    reason: str
    owner: str
    link: str
    expires: date


@dataclass(frozen=True, slots=True)
class Row:
    """What a run says about one case of the baseline, or one failure that is not in it."""

    id: str
    state: State
    fingerprint: str
    reason: str
    entry: Entry | None = None


def failing(result: CaseResult, *, strict: bool) -> bool:
    """Whether a case makes a run not conformant."""
    return result.rung == "fail" or (strict and result.rung == "warn")


def fingerprint(result: CaseResult) -> str:
    """How a case fails, 16 hexadecimal digits: which expectations of which steps, and what came instead.

    What differs from run to run (ids, names, dates, digests) is left out, so the same fault has the same print.
    """
    broken = (finding for finding in result.played.findings if not finding.held)
    lines = sorted({f"{one.step}|{one.word}|{one.subject}|{_VOLATILE.sub('*', one.got)}" for one in broken})
    return hashlib.sha256("\n".join([result.rung, *lines]).encode()).hexdigest()[:16]


def judge(
    entries: Iterable[Entry],
    results: Sequence[CaseResult],
    *,
    library: Collection[str],
    today: date,
    strict: bool = False,
) -> tuple[Row, ...]:
    """One row for each entry and each failure without one: entries first, in their order.

    :param results: all that fail and all that an entry is about; others need not be there.
    :param library: the ids of all cases there are; a run may have played fewer.
    """
    played = {result.case.id: result for result in results}
    known = {entry.id: entry for entry in entries}
    rows = [_row(entry, played.get(entry.id), library, today, strict=strict) for entry in known.values()]
    unknown = (result for result in results if failing(result, strict=strict) and result.case.id not in known)
    return (*rows, *(Row(result.case.id, "new", fingerprint(result), result.reason) for result in unknown))


def _row(entry: Entry, result: CaseResult | None, library: Collection[str], today: date, *, strict: bool) -> Row:
    if result is None or result.rung not in verdict.MEASURED:
        state: State = "not_judged" if entry.id in library else "gone"
        return Row(entry.id, state, entry.fingerprint, "", entry)
    if not failing(result, strict=strict):
        return Row(entry.id, "fixed", entry.fingerprint, "", entry)
    print_ = fingerprint(result)
    if print_ != entry.fingerprint:
        return Row(entry.id, "different", print_, result.reason, entry)
    return Row(entry.id, "expired" if today > entry.expires else "known", print_, result.reason, entry)


def exit_code(  # noqa: PLR0913 - what a conclusion depends on
    rows: Iterable[Row],
    requirements: Sequence[Requirement],
    results: Iterable[CaseResult],
    tally: Tally,
    *,
    declared: frozenset[str],
    strict: bool,
) -> int:
    """What a finished run returns under its baseline: 1 for anything red, else as if the known were only observed.

    :param results: those that ``judge`` had; ``tally`` counts all.
    """
    states = {row.id: row.state for row in rows}
    if RED & set(states.values()):
        return verdict.EXIT["non-conformant"]
    excused = Counter(result.rung for result in results if states.get(result.case.id) == "known")
    if excused:  # a step before what is judged failed, and all that fails is known
        excused["blocked"] += tally.counts["blocked"]
    summary = tally.conclude(requirements, declared=declared, strict=strict, excused=excused)
    return verdict.EXIT[summary.conclusion]


def sentence(row: Row, today: date) -> str:
    """One row for the build log."""
    entry = row.entry
    if entry is None:
        return f"{row.id} {SAYS[row.state]}: {row.reason} (fingerprint {row.fingerprint})"
    days = (entry.expires - today).days
    until = f"{days} days left" if days >= 0 else f"expired on {entry.expires}"
    print_ = f"fingerprint now {row.fingerprint}" if row.state == "different" else ""
    about = "; ".join(part for part in (entry.reason, f"owner {entry.owner}", entry.link, until, print_) if part)
    return f"{row.id} {SAYS[row.state]} ({about})"


def headline(rows: Sequence[Row]) -> str:
    """All rows in a sentence."""
    counts = Counter(row.state for row in rows)
    told = ", ".join(f"{counts[state]} {state.replace('_', ' ')}" for state in SAYS if counts[state])
    return f"Baseline: {told or 'nothing known and nothing new'}."
