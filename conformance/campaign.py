"""Which cases play, in what order, how many at once, in which bucket, and what is left afterwards.

Drives ``play`` over a transport. Creates one bucket for the run, journals every resource before its request leaves,
and removes them with single deletes whose failure never changes a verdict. Judges and grades nothing itself.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance import verdict
from conformance.play import Scene, assemble, play
from conformance.vocabulary import CaseResult, Played, RequestTemplate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conformance.casefile import Library
    from conformance.journal import Journal
    from conformance.transport import Transport
    from conformance.vocabulary import Case, Exchange, Profile, Request, Requirement, Rung, Target
    from conformance.world import World

_CREATED = (200, 201)
_GONE = (200, 204, 404)
_WRITES = frozenset({"PUT", "POST"})


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run sets out to do: the cases of a selection and the clauses of a profile."""

    profile: Profile
    requirements: tuple[Requirement, ...]
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class CleanUp:
    """How many resources the run created and removed, and what it could not remove."""

    created: int
    removed: int
    left: tuple[str, ...]


def make_plan(library: Library, profile: str, select: Sequence[str] = ()) -> Plan:
    """The cases that exercise a profile's clauses, narrowed by selections.

    :param select: each is a text that must be in a case's id, area or cited clauses; a case needs one match.
    :raises KeyError: no profile of this name.
    """
    chosen = library.profiles[profile]
    wanted = frozenset(chosen.clauses)
    cases = tuple(
        case
        for case in library.cases
        if wanted.intersection(case.clauses()) and (not select or any(_matches(case, text) for text in select))
    )
    return Plan(chosen, tuple(library.requirements[clause] for clause in chosen.clauses), cases)


def _matches(case: Case, text: str) -> bool:
    lowered = text.lower()
    return (
        lowered in case.id.lower()
        or lowered == case.area
        or any(lowered == clause.lower() for clause in case.clauses())
    )


def lacking(case: Case, target: Target) -> tuple[str, bool] | None:
    """Why a case cannot apply to a target, and whether the target file declares that gap; None when it applies."""
    for need in case.needs:
        if need in target.without:
            return f"the target goes without {need}: {target.without[need]}", True
        kind, _, name = need.partition(".")
        supplied = {"keys": target.keys, "identities": target.identities}.get(kind)
        if supplied is not None and name not in supplied:
            return f"the target file supplies no {need}", False
    return None


class Campaign:
    """One run against one target."""

    def __init__(  # noqa: PLR0913, PLR0917 - the doors of a run
        self, plan: Plan, library: Library, target: Target, transport: Transport, world: World, journal: Journal
    ) -> None:
        self.plan, self.target, self.world = plan, target, world
        self._library, self._transport, self._journal = library, transport, journal
        self.bucket = f"obsc-{world.run}"
        self._refused: tuple[Rung, str] | None = None

    def prepare(self) -> None:
        """Create the run's bucket. If that fails, every case says so and none is judged."""
        self._journal.will_create("bucket", self.bucket)
        exchange = self._administer("PUT", None)
        if exchange.response is None:
            self._refused = "not_run", f"the target could not be used: {exchange.outcome}"
        elif exchange.response.status not in _CREATED:
            self._refused = "setup_failed", f"creating the run's bucket was answered {exchange.response.status}"

    def run(self, jobs: int) -> Iterator[CaseResult]:
        """Results in the order of the plan, whatever order the cases finish in."""
        if jobs <= 1:
            yield from map(self.play_case, self.plan.cases)
            return
        with ThreadPoolExecutor(max_workers=jobs) as pool:
            try:
                yield from pool.map(self.play_case, self.plan.cases)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def play_case(self, case: Case) -> CaseResult:
        """Play and grade one case. What our own code throws is a harness error of this case alone."""
        started = time.perf_counter()
        reason = lacking(case, self.target)
        if reason is not None:
            return CaseResult(case, "not_applicable", reason[0], Played((), (), ()), 0.0)
        if self._refused is not None:
            return CaseResult(case, *self._refused, Played((), (), ()), 0.0)
        try:
            played = self._drive(case)
            rung, why = verdict.grade(played, only_observes=case.level == "observe")
        except Exception as error:  # noqa: BLE001 - a bug of ours must not be counted against the target
            played, rung, why = Played((), (), ()), "harness_error", f"the suite failed: {error!r}"
        return CaseResult(case, rung, why, played, (time.perf_counter() - started) * 1000)

    def _drive(self, case: Case) -> Played:
        scene = Scene(self.target, self.bucket, self.world.token(case.id), self.world.now, self._library.shapes)
        script = play(case, scene)
        deadline = time.perf_counter() + self.target.case_timeout_s
        try:
            request = next(script)
            while time.perf_counter() < deadline:
                request = script.send(self._send(request))
        except StopIteration as stop:
            played: Played = stop.value
            return played
        return Played((), (), (), f"the case took longer than {self.target.case_timeout_s:g} s", unanswered=True)

    def _send(self, request: Request) -> Exchange:
        if not self._journal.owns_bucket(request.bucket):
            raise RuntimeError(f"refusing to touch bucket {request.bucket}, which this run did not create")
        if request.method in _WRITES and request.object is not None:
            self._journal.will_create("object", request.bucket, request.object)
        return self._transport.exchange(request)

    def declared(self) -> frozenset[str]:
        """Clauses that stay unexercised because the target file declares the gap."""
        gaps = ((case, lacking(case, self.target)) for case in self.plan.cases)
        return frozenset(clause for case, gap in gaps if gap is not None and gap[1] for clause in case.clauses())

    def clean_up(self) -> CleanUp:
        """Remove what the journal holds, one delete each."""
        left: list[str] = []
        for kind, bucket, name in self._journal.standing():
            exchange = self._administer("DELETE", name if kind == "object" else None)
            if exchange.response is not None and exchange.response.status in _GONE:
                self._journal.removed(kind, bucket, name)
            else:
                left.append(f"{bucket}/{name}" if kind == "object" else bucket)
        return CleanUp(self._journal.created, self._journal.created - len(left), tuple(left))

    def _administer(self, method: str, name: str | None) -> Exchange:
        scene = Scene(self.target, self.bucket, "", self.world.now, self._library.shapes)
        template = RequestTemplate(method, self.bucket, name)
        return self._transport.exchange(assemble(template, scene, scene.values(), None))
