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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance import verdict
from conformance.forging import Turns
from conformance.judge import parse_xml
from conformance.play import Scene, assemble, play
from conformance.vocabulary import CaseResult, Exchange, Played, RequestTemplate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conformance.casefile import Library
    from conformance.forging import Gate
    from conformance.journal import Journal, Kind
    from conformance.transport import Transport
    from conformance.vocabulary import Case, Profile, Request, Requirement, Rung, Target
    from conformance.world import World

_CREATED = (200, 201)
_REFUSED = range(400, 500)
_GONE = (200, 204, 404)
_INITIATES = b"?uploads HTTP/1.1\r\n"
_WRITES = frozenset({"PUT", "POST"})
_GIVES_UP = 3
"""Deletes without any answer, one after the other, before clean-up leaves the rest to ``sweep``."""


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
        if need == "region" and target.region is None:
            return "the target file names no region", False
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
    ) -> None:
        """Cases play over ``transport``; buckets are made and removed over ``administration``, by default the same.

        ``budget_s`` counts from now; what has not begun by then is not run, and what has begun goes no further.
        ``forging_gate`` is entered by each case that sends wrong signatures.
        """
        self._budget_s, self._end = budget_s, time.perf_counter() + budget_s
        self.plan, self.target, self.world = plan, target, world
        self._library, self._journal = library, journal
        self._transport, self._administration = transport, administration or transport
        self.bucket = f"obsc-{world.run}"
        self.refused: tuple[Rung, str] | None = None
        """Why nothing can be played, once ``prepare`` has found out."""
        self._number = itertools.count(1)
        self._unanswered = 0
        self._turns = Turns(lambda: self._administer("HEAD", self.bucket), forging_gate)
        self._own_buckets = threading.Semaphore(target.own_buckets)

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
            return "not_run", f"the target could not be used: {exchange.outcome}"
        if exchange.response.status not in _CREATED:
            if exchange.response.status in _REFUSED:  # whose bucket it is then, it is not ours to delete
                self._journal.removed("bucket", bucket)
            return "setup_failed", f"creating {what} was answered {exchange.response.status}"
        return None

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
        if self.refused is None and time.perf_counter() > self._end:
            return CaseResult(case, "not_run", self._spent(), Played((), (), ()), 0.0)
        if self.refused is not None:
            return CaseResult(case, *self.refused, Played((), (), ()), 0.0)
        try:
            with self._turns.turn(case):
                rung, why, played = (
                    self._play_in_its_bucket(case) if case.own_bucket else self._graded(case, self.bucket)
                )
        except Exception as error:  # noqa: BLE001 - a bug of ours must not be counted against the target
            played, rung, why = Played((), (), ()), "harness_error", f"the suite failed: {error!r}"
        return CaseResult(case, rung, why, played, (time.perf_counter() - started) * 1000)

    def _play_in_the_runs(self, case: Case) -> tuple[Rung, str, Played]:
        return self._graded(case, self.bucket)

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
        if not self._journal.owns_bucket(request.bucket):
            raise RuntimeError(f"refusing to touch bucket {request.bucket}, which this run did not create")
        if request.method in _WRITES and request.object is not None:
            kinds: tuple[Kind, ...] = ("upload", "object") if _INITIATES in request.head else ("object",)
            for kind in kinds:
                self._journal.will_create(kind, request.bucket, request.object)
        return self._transport.exchange(request)

    def declared(self, cases: Sequence[Case] | None = None) -> frozenset[str]:
        """Clauses that stay unexercised because the target file declares the gap, of the plan or of other cases."""
        gaps = ((case, lacking(case, self.target)) for case in (self.plan.cases if cases is None else cases))
        return frozenset(clause for case, gap in gaps if gap is not None and gap[1] for clause in case.clauses())

    def clean_up(self) -> CleanUp:
        """Remove what the journal holds, one delete each."""
        self._unanswered = 0
        for bucket in dict.fromkeys(entry[1] for entry in self._journal.standing()):
            if self._unanswered < _GIVES_UP:
                self._remove(bucket)
        left = tuple(f"{bucket}/{name}" if name else bucket for _, bucket, name in self._journal.standing())
        return CleanUp(self._journal.created, self._journal.created - len(left), left)

    def _remove(self, bucket: str) -> None:
        """Remove a bucket of ours and what the journal says is in it; a policy that forbids it goes first."""
        if bucket != self.bucket:
            self._administer("DELETE", bucket, query=("policy",))
        for kind, _, name in self._journal.standing(bucket):
            if self._unanswered >= _GIVES_UP:
                return
            gone = self._abort_uploads(bucket, name) if kind == "upload" else self._delete(bucket, name or None)
            if gone:
                self._journal.removed(kind, bucket, name)

    def _delete(self, bucket: str, name: str | None, query: tuple[str, ...] = ()) -> bool:
        exchange = self._administer("DELETE", bucket, name, query)
        return exchange.response is not None and exchange.response.status in _GONE

    def _abort_uploads(self, bucket: str, name: str) -> bool:
        """Abort the uploads of one object that are still open; a server without the listing has nothing to abort."""
        listing = self._administer("GET", bucket, query=("uploads", f"prefix={name}"))
        if listing.response is None:
            return False
        ids = upload_ids(listing.response.body, name)
        failed = [id_ for id_ in ids if not self._delete(bucket, name, (f"uploadId={id_}",))]
        return not failed

    def _administer(self, method: str, bucket: str, name: str | None = None, query: tuple[str, ...] = ()) -> Exchange:
        scene = Scene(self.target, bucket, "", self.world.now, self._library.shapes)
        template = RequestTemplate(method, bucket, name, query)
        exchange = self._administration.exchange(assemble(template, scene, scene.values(), None))
        self._unanswered = self._unanswered + 1 if exchange.response is None else 0
        return exchange


def upload_ids(document: bytes, name: str) -> tuple[str, ...]:
    """The ids of an object's open uploads in a ListMultipartUploadsResult (obs_04_0097)."""
    root = parse_xml(document)
    if root is None:
        return ()
    uploads = (
        {child.tag.rpartition("}")[2]: child.text or "" for child in element}
        for element in root
        if element.tag.rpartition("}")[2] == "Upload"
    )
    return tuple(upload["UploadId"] for upload in uploads if upload.get("Key") == name and "UploadId" in upload)
