"""Which cases play, in what order, how many at once, in which bucket, and what is left afterwards.

Drives ``play`` over a transport. Creates one bucket for the run, journals every resource before its request leaves,
and removes them with single deletes whose failure never changes a verdict. Judges and grades nothing itself.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance import keyservice, verdict
from conformance.forging import Turns
from conformance.play import Scene, assemble, play
from conformance.profiles import cases_of, no_counterpart, requirements_of
from conformance.removal import Remover, tally, write_down
from conformance.vocabulary import NOT_CONNECTED, SWITCHED, CaseResult, Exchange, Played, RequestTemplate
from conformance.workers import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conformance.casefile import Library
    from conformance.forging import Gate
    from conformance.journal import Journal, Kind
    from conformance.removal import CleanUp
    from conformance.transport import Transport
    from conformance.vocabulary import Case, Profile, Request, Requirement, Rung, Target
    from conformance.world import World

_OK = 200
_CREATED = (_OK, 201)
_REFUSED = range(400, 500)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run sets out to do: the cases of a selection and the clauses of a profile.

    Of a shard, ``places`` are those of its cases (from 0) in the whole plan; None where they are every n-th of it.
    """

    profile: Profile
    requirements: tuple[Requirement, ...]
    cases: tuple[Case, ...]
    places: tuple[int, ...] | None = None


def make_plan(library: Library, profile: str, select: Sequence[str] = ()) -> Plan:
    """The cases that exercise a profile's clauses, narrowed by selections.

    :param select: each is a text that must be in a case's id, area or cited clauses; a case needs one match.
    :raises KeyError: no profile of this name.
    """
    chosen = library.profiles[profile]
    wanted = frozenset(chosen.clauses)
    cases = tuple(
        case
        for case in cases_of(library, chosen)
        if wanted.intersection(case.clauses()) and (not select or any(_matches(case, text) for text in select))
    )
    return Plan(chosen, requirements_of(library, chosen), cases)


def _matches(case: Case, text: str) -> bool:
    lowered = text.lower()
    return (
        lowered in case.id.lower()
        or lowered == case.area
        or any(lowered == clause.lower() for clause in case.clauses())
    )


def lacking(case: Case, target: Target) -> tuple[str, bool] | None:
    """Why a case cannot apply to a target, and whether the target file declares that gap; None when it applies."""
    gap = None if target.spoken is None else no_counterpart(case, target.spoken)
    if gap is not None:
        return gap, True
    for need in case.needs:
        if need in target.without:
            return f"the target goes without {need}: {target.without[need]}", True
        kind, _, name = need.partition(".")
        if need == "region" and target.region is None:
            return "the target file names no region", False
        if need == "kms" and target.kms is None:
            return "the target file names no key service", False
        supplied = {"keys": target.keys, "identities": target.identities}.get(kind)
        if supplied is not None and name not in supplied:
            return f"the target file supplies no {need}", False
    return None


class Campaign:
    """One run against one target."""

    def __init__(  # noqa: PLR0913 - the doors of a run
        self,
        plan: Plan,
        library: Library,
        target: Target,
        world: World,
        journal: Journal,
        *,
        transport: Transport,
        administration: Transport | None = None,
        budget_s: float = math.inf,
        forging_gate: Gate = contextlib.nullcontext,
        key_gate: Gate = contextlib.nullcontext,
    ) -> None:
        """Cases play over ``transport``; buckets are made and removed over ``administration``, by default the same.

        ``budget_s`` counts from now; what has not begun by then is not run, and what has begun goes no further.
        ``forging_gate`` is entered by each case that sends wrong signatures, ``key_gate`` by each that changes the
        state of a key.
        """
        self._budget_s, self._end = budget_s, time.perf_counter() + budget_s
        self.plan, self.target, self.world = plan, target, world
        self._library, self._journal = library, journal
        self._transport, self._administration = transport, administration or transport
        self.bucket = f"obsc-{world.run}"
        self.refused: tuple[Rung, str] | None = None
        """Why nothing can be played, once ``prepare`` has found out."""
        self._number = itertools.count(1)
        self._remover = self._new_remover()
        self._turns = Turns(lambda: self._administer("HEAD", self.bucket), forging_gate)
        self._own_buckets = threading.Semaphore(target.own_buckets)
        self._key, self._key_gate = threading.Lock(), key_gate

    def refuse(self, reason: str) -> None:
        """Play nothing: every case of the plan is not run, for this reason."""
        self.refused = "not_run", reason

    def prepare(self) -> None:
        """Create the run's bucket. If that fails, every case says so and none is judged."""
        self.refused = self._create(self.bucket, "the run's bucket")

    def _create(self, bucket: str, what: str) -> tuple[Rung, str] | None:
        self._journal.will_create("bucket", bucket)
        exchange = self._administer("PUT", bucket)
        if exchange.response is None:
            if exchange.outcome.startswith(NOT_CONNECTED):
                self._journal.removed("bucket", bucket)
            return "not_run", f"the target could not be used: {exchange.outcome}"
        if exchange.response.status not in _CREATED:
            if exchange.response.status in _REFUSED:  # whose bucket it is then, it is not ours to delete
                self._journal.removed("bucket", bucket)
            return "setup_failed", f"creating {what} was answered {exchange.response.status}"
        return None

    def run(self, jobs: int) -> Iterator[CaseResult]:
        """Results in the order of the plan, whatever order the cases finish in."""
        yield from side_by_side(self.play_case, self.plan.cases, jobs)

    def play_case(self, case: Case) -> CaseResult:
        """Play and grade one case. What our own code throws is a harness error of this case alone."""
        started = time.perf_counter()
        reason = lacking(case, self.target)
        if reason is not None:
            return CaseResult(case, "not_applicable", reason[0], Played((), (), ()), 0.0)
        if self.refused is None and time.perf_counter() > self._end:
            return CaseResult(case, "not_run", self._spent(), Played((), (), ()), 0.0)
        if self.refused is not None:
            return CaseResult(case, *self.refused, Played((), (), ()), 0.0)
        try:
            with self._turns.turn(case), self._key_for(case):
                rung, why, played = (
                    self._play_in_its_bucket(case) if case.own_bucket else self._graded(case, self.bucket)
                )
        except Exception as error:  # noqa: BLE001 - a bug of ours must not be counted against the target
            played, rung, why = Played((), (), ()), "harness_error", f"the suite failed: {error!r}"
        return CaseResult(case, rung, why, played, (time.perf_counter() - started) * 1000)

    @contextlib.contextmanager
    def _key_for(self, case: Case) -> Iterator[None]:
        """The key whose state a case changes, for this case alone; usable again afterwards."""
        if not case.switches_key():
            yield
            return
        entry: tuple[Kind, str, str] = "key", self.bucket, self.target.keys[SWITCHED]
        with self._key, self._key_gate():
            self._journal.will_create(*entry)
            try:
                yield
            finally:
                if self._restored(entry[2]):
                    self._journal.removed(*entry)

    def _restored(self, key_id: str) -> bool:
        """Make a key usable again; whether it is."""
        service = self.target.kms
        if service is None:
            return False
        for action in keyservice.RESTORING:
            asked = keyservice.request(action, service, self.target.identities["owner"], key_id, self.world.now())
            last = self._transport.exchange(asked).response
        return last is not None and (
            last.status == _OK or any(code.encode() in last.body for code in keyservice.USABLE)
        )

    def _graded(self, case: Case, bucket: str) -> tuple[Rung, str, Played]:
        played = self._drive(case, bucket)
        return *verdict.grade(played, only_observes=case.level == "observe"), played

    def _play_in_its_bucket(self, case: Case) -> tuple[Rung, str, Played]:
        """Play a case in a bucket of its own, at most a few of which exist at a time (accounts have quotas)."""
        with self._own_buckets:
            bucket = f"{self.bucket}-{next(self._number)}"
            refused = self._create(bucket, "the case's own bucket")
            try:
                return (*refused, Played((), (), ())) if refused else self._graded(case, bucket)
            finally:
                self._remove(bucket)

    def _drive(self, case: Case, bucket: str) -> Played:
        token = self.world.token(case.id)
        scene = Scene(self.target, bucket, token, self.world.now, self._library.shapes, self.bucket)
        script = play(case, scene)
        deadline = min(time.perf_counter() + self.target.case_timeout_s, self._end)
        try:
            request = next(script)
            while time.perf_counter() < deadline:
                request = script.send(self.transmit(request))
            late = f"the case took longer than {self.target.case_timeout_s:g} s"
            why = self._spent() if deadline == self._end else late
            script.send(Exchange(request, b"", b"", None, f"not sent, {why}", 0.0, sent_body=False))
        except StopIteration as stop:
            played: Played = stop.value
            return played
        raise RuntimeError(f"{case.id} went on without an answer")

    def _spent(self) -> str:
        return f"the run's budget of {self._budget_s:g} s is used up"

    def transmit(self, request: Request) -> Exchange:
        """Send a request into a bucket of this run, with what it may create written down before.

        :raises RuntimeError: the bucket is not this run's, and the request would change it.
        """
        if request.service == "kms":
            return self._transport.exchange(request)
        if not self._journal.owns_bucket(request.bucket):
            raise RuntimeError(f"refusing to touch bucket {request.bucket}, which this run did not create")
        write_down(self._journal, request)
        return self._transport.exchange(request)

    def declared(self, cases: Sequence[Case] | None = None) -> frozenset[str]:
        """Clauses that stay unexercised because the target file declares the gap, of the plan or of other cases."""
        gaps = ((case, lacking(case, self.target)) for case in (self.plan.cases if cases is None else cases))
        return frozenset(clause for case, gap in gaps if gap is not None and gap[1] for clause in case.clauses())

    def clean_up(self, jobs: int = 1) -> CleanUp:
        """Remove what the journal holds, one delete each."""
        self._remover = self._new_remover()
        for bucket in self._journal.buckets():
            if not self._remover.gave_up:
                self._remove(bucket, jobs)
        return tally(self._journal)

    def _remove(self, bucket: str, jobs: int = 1) -> None:
        """Remove a bucket of ours and what the journal says is in it. No case sets a policy on the run's own bucket."""
        self._remover.remove(bucket, jobs, policy=bucket != self.bucket)

    def _new_remover(self) -> Remover:
        return Remover(self._journal, self._administer, self._restored)

    def _administer(self, method: str, bucket: str, name: str | None = None, query: tuple[str, ...] = ()) -> Exchange:
        scene = Scene(self.target, bucket, "", self.world.now, self._library.shapes)
        template = RequestTemplate(method, bucket, name, query)
        return self._administration.exchange(assemble(template, scene, scene.values(), None))
