"""The library as a profile sees it: clauses as strong as they are in its dialect, expectations by what remains of them.

Pure. A profile without a dialect sees the library as it is, at no cost. Does not know how a case is played.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conformance.vocabulary import CEILING, STRENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.casefile import Library
    from conformance.vocabulary import Case, Check, Dialect, Level, Profile, Requirement, Stage

_MODE = "header x-obs-server-side-encryption"


def cases_of(library: Library, profile: Profile) -> Iterable[Case]:
    """The cases, each with the expectations and levels that the profile leaves it."""
    if not profile.lacks and not profile.levels and not profile.unasked:
        return library.cases
    return tuple(as_seen(case, profile) for case in library.cases)


def requirements_of(library: Library, profile: Profile) -> tuple[Requirement, ...]:
    """The clauses of a profile, as strong as they are there."""
    found = (library.requirements[clause] for clause in profile.clauses)
    return tuple(replace(one, level=profile.levels[one.id]) if one.id in profile.levels else one for one in found)


def without(case: Case, dialect: Dialect) -> str:
    """Why a dialect goes without a case, in the words of its file; empty if it does not."""
    return dialect.without.get(case.id) or dialect.without.get(case.id.partition("/")[0], "")


def no_counterpart(case: Case, dialect: Dialect) -> str | None:
    """Why a dialect has no place for a case, or None."""
    why = without(case, dialect)
    return f"the dialect {dialect.name} has no counterpart: {why}" if why else None


def as_seen(case: Case, profile: Profile) -> Case:
    """A case with the expectations and levels that a profile leaves it."""
    steps = tuple(
        replace(step, expect=tuple(seen(check, step.stage, profile) for check in step.expect)) for step in case.steps
    )
    if not (profile.lacks.keys() | profile.levels.keys()) & set(case.clauses()):
        return case if steps == case.steps else replace(case, steps=steps)
    left = _left(case.cites, profile)
    return replace(case, cites=left, level=_capped(case.level, left, profile), steps=steps)


def seen(check: Check, stage: Stage, profile: Profile) -> Check:
    """An expectation as a profile sees it: as strong as those clauses allow that remain of the ones it cites.

    One of which none remains is looked at, not judged. What is not judged says nothing of any clause, so it cites none.
    A set-up or a control must work for whatever reason, so that its strength stays.
    """
    if profile.unasked and (check.word, check.subject) == ("absent", _MODE):
        check = replace(check, wanted=(profile.unasked,))
    if stage != "step" or check.word == "observe":
        return check
    left = _left(check.cites, profile)
    level = _capped(check.level, left, profile)
    if level == check.level and left == check.cites:
        return check
    return replace(check, level=level, cites=() if level == "observe" else left)


def _left(cites: tuple[str, ...], profile: Profile) -> tuple[str, ...]:
    return tuple(clause for clause in cites if clause not in profile.lacks)


def _capped(level: Level, cites: tuple[str, ...], profile: Profile) -> Level:
    """A level no stronger than any of the clauses that bind less in the dialect; nothing is judged without a clause."""
    if not cites:
        return "observe"
    ceilings = [CEILING[profile.levels[clause]] for clause in cites if clause in profile.levels]
    return min([level, *ceilings], key=STRENGTH.__getitem__)
