"""Why a dialect has no counterpart of something that OBS's own dialect condemns.

Pure: it compares the expectations that condemn it in OBS's dialect with what a dialect's profile leaves of each. What
has a counterpart and is not condemned there is missed, and nothing here excuses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.profiles import seen, without
from conformance.vocabulary import CEILING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from conformance.vocabulary import Case, Check, Dialect, Profile


def why_none(breaks: Collection[str], cases: Iterable[Case], dialect: Dialect, profile: Profile) -> str:
    """Why no expectation of a dialect condemns what breaks these clauses; empty if one could.

    :param cases: those that condemn it in OBS's dialect, as they are written.
    :returns: what the dialect's file says of it, each reason once.
    """
    reasons: dict[str, None] = {}
    for case in cases:
        absent = without(case, dialect)
        for check in _citing(case, breaks):
            why = _why_not(check, breaks, dialect, profile) or absent
            if not why:
                return ""
            reasons[why] = None
    return "; ".join(reasons)


def _citing(case: Case, breaks: Collection[str]) -> Iterator[Check]:
    for step in case.steps:
        if step.stage == "step":
            yield from (check for check in step.expect if check.level != "observe" and {*check.cites} & {*breaks})


def _why_not(check: Check, breaks: Collection[str], dialect: Dialect, profile: Profile) -> str:
    """Why an expectation of OBS does not condemn in the dialect, in the dialect's own words; empty if it does."""
    broken = [clause for clause in check.cites if clause in breaks]
    left = [clause for clause in broken if clause not in dialect.lacks]
    if not left:
        return _said(broken, dialect.lacks)
    if seen(check, "step", profile).level == "observe":
        unbound = [clause for clause in check.cites if CEILING[dialect.levels.get(clause, "must")] == "observe"]
        return _said(unbound, dialect.alters)
    if any(f"{{shape.{name}}}" in str(check.wanted) for name in dialect.shapes):
        return _said([clause for clause in left if clause in dialect.alters], dialect.alters)
    return ""


def _said(clauses: Iterable[str], words: Mapping[str, str]) -> str:
    return "; ".join(f"{clause}: {words[clause]}" for clause in clauses)
