"""One run from parts: shards that are merged, and a run that goes on where another stopped.

Decides which cases a shard plays, which results of an interrupted run still count, and whether files belong together;
the conclusion is drawn again over all results, by the same arithmetic as ever.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from conformance import readback, verdict
from conformance.results import footer_line
from conformance.vocabulary import CaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from conformance.campaign import Plan
    from conformance.gate import Settled
    from conformance.readback import Recorded
    from conformance.verdict import Tally
    from conformance.vocabulary import CaseResult

_SHARD = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})")
AGAIN = frozenset({"not_run"})
"""Rungs of an interrupted run that are played again: nothing was learnt, and nothing stood in the way but the run."""


def shard_of(text: str) -> tuple[int, int]:
    """``i/n`` as numbers.

    :raises ValueError: not of this form, or i is greater than n.
    """
    found = _SHARD.fullmatch(text)
    if found is None or int(found[1]) > int(found[2]):
        raise ValueError(text)
    return int(found[1]), int(found[2])


def part_of(plan: Plan, shard: tuple[int, int] | None) -> Plan:
    """Every n-th case of a plan from the i-th on: it depends on the plan alone, and long areas are spread.

    But the cases that change the state of a key are all of the first shard's: there is one such key, and shards on
    several machines cannot take turns at it.
    """
    if shard is None:
        return plan
    number, count = shard
    if not any(case.switches_key() for case in plan.cases):
        return replace(plan, cases=plan.cases[number - 1 :: count])
    turns = itertools.count()
    dealt = (1 if case.switches_key() else next(turns) % count + 1 for case in plan.cases)
    places = tuple(place for place, mine in enumerate(dealt) if mine == number)
    return replace(plan, cases=tuple(plan.cases[place] for place in places), places=places)


# ---- merge ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Merged:
    """All parts together; ``settle`` and ``write`` end it."""

    header: Mapping[str, Any]
    lines: Mapping[str, str]
    results: tuple[CaseResult, ...]
    declared: frozenset[str]
    cleanup: Mapping[str, Any]
    ended: str
    parts: tuple[Recorded, ...]


def merge(paths: Sequence[Path]) -> Merged:
    """Put the shards of one run together, in the order of the unsharded plan.

    :raises CaseError: a part is missing, there twice, unfinished, or of another run.
    """
    parts = [readback.read_back(path) for path in paths]
    for part in parts:
        _check_part(part, parts[0])
    count = parts[0].header["shard"]["of"]
    by_number = {part.header["shard"]["part"]: part for part in parts}
    if len(by_number) < len(parts):
        raise CaseError("the same shard is given twice; give each results file once")
    missing = [str(number) for number in range(1, count + 1) if number not in by_number]
    if missing:
        raise CaseError(f"of {count} shards these are missing: {', '.join(missing)}; give their results files too")
    ordered = tuple(by_number[number] for number in range(1, count + 1))
    planned = _whole_plan(ordered)
    header = {word: value for word, value in ordered[0].header.items() if word != "shard"}
    header |= {"planned": planned, "started": min(part.header["started"] for part in ordered)}
    results = {result.case.id: result for part in ordered for result in part.results}
    footers = [part.footer for part in ordered if part.footer is not None]
    return Merged(
        header,
        {id_: line for part in ordered for id_, line in part.lines.items()},
        tuple(results[id_] for id_ in planned),
        frozenset(clause for footer in footers for clause in footer.get("declared", ())),
        {
            "created": sum(footer["cleanup"]["created"] for footer in footers),
            "removed": sum(footer["cleanup"]["removed"] for footer in footers),
            "left": [name for footer in footers for name in footer["cleanup"]["left"]],
        },
        max(footer["ended"] for footer in footers),
        ordered,
    )


def _whole_plan(shards: Sequence[Recorded]) -> list[str]:
    plans = [shard.header["planned"] for shard in shards]
    places = [shard.header["shard"].get("places") for shard in shards]
    if None in places:
        return readback.interleaved(plans)
    placed = sorted(pair for plan, at in zip(plans, places, strict=True) for pair in zip(at, plan, strict=True))
    return [id_ for _, id_ in placed]


def _check_part(part: Recorded, first: Recorded) -> None:
    if part.header.get("shard") is None:
        raise CaseError(f"{part.path}: is no shard; merge takes what run --shard i/n wrote")
    if (
        part.footer is None
        or part.footer["conclusion"] == "interrupted"
        or set(part.header["planned"]) - set(part.lines)
    ):
        raise CaseError(f"{part.path}: its run did not finish; finish it with run --resume {part.path}")
    others = readback.differences(part.header, first.header)
    if part.header["shard"]["of"] != first.header["shard"]["of"]:
        others.append("shard")
    if others:
        raise CaseError(f"{part.path}: is not of the run of {first.path}: they differ in {', '.join(others)}")


def write(
    merged: Merged, path: Path, settle: Callable[[Merged, Tally], Settled | None] | None = None, *, strict: bool
) -> tuple[str, int]:
    """Conclude over all results and write the merged file; the headline and the exit code.

    :param settle: what holds the results against a baseline.
    """
    tally = verdict.tally_of(merged.results)
    summary = tally.conclude(merged.parts[0].requirements(), declared=merged.declared, strict=strict)
    settled = None if settle is None else settle(merged, tally)
    code = verdict.EXIT[summary.conclusion] if settled is None else settled.exit
    footer = footer_line(
        summary,
        code,
        cleanup=merged.cleanup,
        ended=merged.ended,
        declared=merged.declared,
        baseline=None if settled is None else settled.record,
    )
    readback.write_whole(path, merged.header, (merged.lines[id_] for id_ in merged.header["planned"]), footer)
    return summary.headline, code


# ---- resume ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Resumed:
    """What an interrupted run left to go on with: its kept results, and the plan of all its cases."""

    recorded: Recorded
    kept: tuple[CaseResult, ...]
    whole: Plan

    def rest(self) -> Plan:
        """What is still to be played."""
        done = {result.case.id for result in self.kept}
        return replace(self.whole, cases=tuple(case for case in self.whole.cases if case.id not in done))

    def begin(self, path: Path) -> None:
        """Write what is kept, so that a second interruption loses nothing."""
        lines = (self.recorded.lines[result.case.id] for result in self.kept)
        readback.write_whole(path, self.recorded.header, lines, None)

    def results(self, path: Path) -> list[CaseResult]:
        """What the file has by now, kept and new, in the order of the plan."""
        found = {result.case.id: result for result in readback.read_back(path).results}
        return [found[case.id] for case in self.whole.cases if case.id in found]

    def arrange(self, path: Path) -> None:
        """Bring the lines of the finished file into the order of the plan."""
        now = readback.read_back(path)
        ordered = (now.lines[id_] for id_ in now.header["planned"] if id_ in now.lines)
        readback.write_whole(path, now.header, ordered, now.footer)


def resume(path: Path, plan: Plan, digest: str, endpoint: str) -> Resumed:
    """Go on with the run of a results file.

    :param plan: all cases of the library under the profile; those the run set out to play are picked from it.
    :raises CaseError: it is of another library, profile or endpoint, so its results say nothing about this run.
    """
    recorded = readback.read_back(path)
    header = recorded.header
    for what, theirs, ours in (
        ("library", header["library"]["digest"], digest),
        ("profile", header["profile"]["name"], plan.profile.name),
        ("endpoint", header["target"]["endpoint"], endpoint),
    ):
        if theirs != ours:
            raise CaseError(f"{path}: its {what} is {theirs}, and this run's is {ours}; start a new run")
    cases = {case.id: case for case in plan.cases}
    unknown = [id_ for id_ in header["planned"] if id_ not in cases]
    if unknown:
        raise CaseError(f"{path}: it planned {unknown[0]}, which this library does not have; start a new run")
    kept = tuple(result for result in recorded.results if result.rung not in AGAIN)
    return Resumed(recorded, kept, replace(plan, cases=tuple(cases[id_] for id_ in header["planned"])))
