"""Recorded evidence judged again, without network: the player is driven by the answers of a results file.

Gives the same verdicts bit for bit where cases and evidence are the same, and otherwise says what changed and why.
Knows which parts of a row are a judgement. Opens no connection and reads no clock.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance import verdict
from conformance.campaign import lacking, make_plan
from conformance.evidence import unlike
from conformance.play import Scene, play
from conformance.profiles import cases_of, requirements_of
from conformance.results import Redactor, about, conclusion, described, judgement
from conformance.vocabulary import CaseResult, Played

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from conformance.casefile import Library
    from conformance.evidence import CaseEvidence, Evidence
    from conformance.vocabulary import Case, Profile, Rung, Target

_EXPECTATION = ("step", "word", "subject", "clauses", "level", "wanted")
_JUDGED = ("rung", "reason", "checks", "observations")


@dataclass(frozen=True, slots=True)
class Row:
    """One case judged again: its line then and now, and why they differ; ``why`` is empty when they do not."""

    id: str
    line: int
    then: Mapping[str, Any]
    now: Mapping[str, Any]
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rejudged:
    """A results file judged again.

    ``dropped`` are recorded cases that are not in this library or profile, ``unrecorded`` cases of the profile
    without evidence; ``conclusion`` has the words of a footer.
    """

    profile: Profile
    rows: tuple[Row, ...]
    dropped: tuple[str, ...]
    unrecorded: tuple[str, ...]
    conclusion: Mapping[str, Any]
    then: Mapping[str, Any] | None

    @property
    def changed(self) -> tuple[Row, ...]:
        """The rows that are not as they were."""
        return tuple(row for row in self.rows if row.why)

    @property
    def same_conclusion(self) -> bool:
        """Whether the footer would be the same."""
        return self.then is not None and all(self.then.get(word) == value for word, value in self.conclusion.items())


def rejudge(evidence: Evidence, library: Library, profile: str | None = None) -> Rejudged:
    """Judge every recorded case again with a library.

    :param profile: judge by this profile instead of the recorded one; only its cases are looked at.
    :raises KeyError: no profile of this name.
    """
    chosen = library.profiles[profile or evidence.header["profile"]["name"]]
    cases = make_plan(library, chosen.name).cases if profile else cases_of(library, chosen)
    known = {case.id: case for case in cases}
    kept = [(known[recorded.id], recorded) for recorded in evidence.cases if recorded.id in known]
    results = [_judge(case, recorded, evidence.target, library) for case, recorded in kept]
    gaps = [(case, lacking(case, evidence.target)) for case, _ in kept]
    then = evidence.footer
    summary = verdict.conclude(
        requirements_of(library, chosen),
        results,
        declared=frozenset(clause for case, gap in gaps if gap and gap[1] for clause in case.clauses()),
        strict=bool(evidence.header.get("strict", False)),
        interrupted=then is not None and then.get("conclusion") == "interrupted",
    )
    recorded_ids = {recorded.id for recorded in evidence.cases}
    return Rejudged(
        chosen,
        tuple(_row(recorded, result) for (_, recorded), result in zip(kept, results, strict=True)),
        tuple(recorded.id for recorded in evidence.cases if recorded.id not in known),
        tuple(id_ for id_ in known if id_ not in recorded_ids) if profile else (),
        _plain(conclusion(summary, verdict.EXIT[summary.conclusion])),
        then,
    )


def _judge(case: Case, recorded: CaseEvidence, target: Target, library: Library) -> CaseResult:
    gap = lacking(case, target)
    ms = float(recorded.record["duration_ms"])
    if gap is not None:
        return CaseResult(case, "not_applicable", gap[0], Played((), (), ()), ms)
    if recorded.place is None:
        rung: Rung = recorded.record["rung"]
        if rung == "not_applicable":
            return CaseResult(
                case, "not_run", "no evidence was recorded: it did not apply then", Played((), (), ()), ms
            )
        return CaseResult(case, rung, recorded.record["reason"], Played((), (), ()), ms)
    played = _replay(case, recorded, target, library)
    return CaseResult(case, *verdict.grade(played, only_observes=case.level == "observe"), played, ms)


def _replay(case: Case, recorded: CaseEvidence, target: Target, library: Library) -> Played:
    """Play a case against its recorded answers; a request that was not recorded ends it unanswered."""
    assert recorded.place is not None  # noqa: S101 - checked by the only caller
    place, moments = recorded.place, recorded.moments
    clock = iter([time for moment in moments for time in moment.times])
    scene = Scene(target, place.bucket, place.token, lambda: next(clock, 0.0), library.shapes, place.shared_bucket)
    script = play(case, scene)
    asked: list[str] = []
    try:
        request = next(script)
        for moment in moments:
            asked.append(moment.step)
            difference = unlike(request, moment.sent)
            if difference:
                return _unfit(f"{moment.step}: the evidence is of another request: {difference}")
            request = script.send(moment.exchange(request))
    except StopIteration as stop:
        played: Played = stop.value
        return played
    step = case.steps[len(asked)].name
    return _unfit(f"{step}: no evidence was recorded, the case ended before it")


def _unfit(why: str) -> Played:
    return Played((), (), (), why, unanswered=True)


def _row(recorded: CaseEvidence, result: CaseResult) -> Row:
    then = {word: recorded.record[word] for word in _JUDGED}
    now = _plain(judgement(result))
    return Row(recorded.id, recorded.line, then, now, () if then == now else tuple(_why(then, now)))


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """As a results file would have it: redacted and in JSON's types."""
    plain: dict[str, Any] = json.loads(Redactor(()).text(json.dumps(dict(value))))
    return plain


def _why(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The reasons why a row changed: expectation, evidence, or only what was written down."""
    reasons = [*_check_reasons(then["checks"], now["checks"]), *_observed(then["observations"], now["observations"])]
    if not now["checks"] or not reasons:
        yield f"{now['reason'] or now['rung']}; recorded was: {then['reason'] or then['rung']}"
    if now["checks"]:
        yield from reasons


def _observed(then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for old, new in itertools.zip_longest(then, now):
        if old != new:
            seen = new or old
            yield f"{seen['step']}: observation {seen['name']} is {_value(new)} and was {_value(old)}"


def _value(seen: Mapping[str, Any] | None) -> str:
    return "not made" if seen is None else repr(seen["value"])


def _check_reasons(then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for old, new in itertools.zip_longest(then, now):
        if old == new:
            continue
        if old is None:
            yield f"{new['step']}: judged now, and not then: {new['wanted']} ({_held(new)})"
        elif new is None:
            yield f"{old['step']}: judged then, and not now: {old['wanted']} ({_held(old)})"
        elif any(old[word] != new[word] for word in _EXPECTATION):
            yield f"{new['step']}: expected now {_expectation(new)}, then {_expectation(old)}: {_held(new)}"
        elif old["got"] != new["got"]:
            yield f"{new['step']}, {new['subject']}: the evidence gives {new['got']}, recorded was {old['got']}"
        else:
            yield f"{new['step']}, {new['subject']}: judged now {_held(new)}, recorded was {_held(old)}"


def _expectation(check: Mapping[str, Any]) -> str:
    return f"'{check['wanted']}' ({check['level']}, {', '.join(check['clauses'])})"


def _held(check: Mapping[str, Any]) -> str:
    return "held" if check["held"] else f"not held: {check['says']}"


def rewritten(evidence: Evidence, judged: Rejudged, library: Library) -> Iterator[bytes]:
    """The results file as it would be with these verdicts; the same bytes where nothing changed."""
    yield _line(_header(evidence, judged, library))
    rows, cases = {row.id: row for row in judged.rows}, {case.id: case for case in cases_of(library, judged.profile)}
    stale = {"source"} if library.digest != evidence.header["library"]["digest"] else set()
    for case in evidence.cases:
        if case.id in rows:
            record = {name: value for name, value in case.record.items() if name not in stale}
            yield _line({**record, **about(cases[case.id]), **rows[case.id].now})
    if evidence.footer is not None:
        yield _line({**evidence.footer, **judged.conclusion})


def _header(evidence: Evidence, judged: Rejudged, library: Library) -> Mapping[str, Any]:
    changes: dict[str, Any] = described(library, judged.profile, requirements_of(library, judged.profile))
    changes["planned"] = [id_ for id_ in evidence.header["planned"] if id_ not in judged.dropped]
    return {**evidence.header, **changes}


def _line(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, ensure_ascii=True) + "\n").encode()
