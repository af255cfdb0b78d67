"""One piece of a fleet's work, carried out wherever an engine puts it.

A piece names files, an endpoint and a number, never a credential: those are read here. Every attempt at a piece has a
folder of its own, and whoever asked believes the one attempt that answered; so nothing is counted twice. An attempt
first sweeps what lost attempts at the same piece left on the endpoint, from their journals.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from conformance import gate, parts
from conformance.campaign import Campaign, Plan, make_plan
from conformance.casefile import load_library
from conformance.example_database import open_database
from conformance.exploring import drawn, sources_of
from conformance.fleet_file import address_of, load_fleet
from conformance.journal import Journal
from conformance.polite import PoliteTransport, shared_turn
from conformance.progress import Progress
from conformance.results import Redactor
from conformance.running import play_run
from conformance.shared_options import render
from conformance.sweep import holds, reopen, sweep
from conformance.transport import open_transport
from conformance.vocabulary import SWITCHED, CaseError, TargetError, UsageError
from conformance.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from conformance.casefile import Library
    from conformance.fleet_file import Fleet, Member, Schedule
    from conformance.transport import Transport
    from conformance.vocabulary import Target

ATTEMPT = "attempt-"
PROGRESS = "progress.json"
_TOLD_S = 0.25
_PIECES = "pieces"
_RESULTS = "results.jsonl"
_FINDINGS = "findings"
WRITTEN = (_PIECES, _RESULTS, _FINDINGS)
"""What a run leaves in the folder of an endpoint, and another run would take for its own."""
_JOURNAL = "journal.jsonl"
_SHARED = ".shared"
"""What endpoints share, in the folder of the run; no endpoint has such a name."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What is to be done: a shard of the cases, an exploration, putting the parts together, or sweeping.

    ``folder`` is the endpoint's; ``jobs`` (0: the target's) and ``rate`` (requests a second, 0: any) are this piece's
    share of what the endpoint bears. ``parts`` are the attempts that count, or the name of the piece to sweep after.
    """

    fleet: str
    endpoint: str
    folder: str
    kind: str
    number: int = 1
    of: int = 1
    seed: int = 0
    schedule: str | None = None
    jobs: int = 0
    rate: float = 0.0
    parts: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def name(self) -> str:
        """What the piece's own folder is called."""
        return f"{self.kind}-{self.number}" if self.kind != "sweep" else self.parts[0]

    @property
    def own(self) -> Path:
        """That folder, in which each attempt has one."""
        return Path(self.folder) / _PIECES / self.name


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause that an exploration found, and the case that shows it: so many requests, in a file."""

    cause: str
    steps: int
    file: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a piece: an exit code as of ``run``, a sentence, and the folder of the attempt if it counts."""

    code: int
    says: str
    attempt: str = ""
    findings: tuple[Finding, ...] = ()
    left: tuple[str, ...] = ()
    """Journals of attempts that hold what could not be removed."""
    whole: bool = True
    """Whether an attempt that counts was played to its end; if not, the sentence says why."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A piece with what was read for it, and the folder of this attempt."""

    piece: Piece
    member: Member
    target: Target
    fleet: Fleet
    schedule: Schedule
    folder: Path


def carry_out(piece: Piece) -> Outcome:
    """Do one piece; what is wrong with the set-up, or breaks it off, is an outcome and not an exception."""
    secrets: tuple[str, ...] = ()
    here: _Attempt | None = None
    try:
        fleet = _fleet(piece.fleet, Path(piece.fleet).stat().st_mtime_ns)
        member = fleet.member(piece.endpoint)
        if piece.kind == "conclude":
            return _conclude(piece, _schedule(piece, fleet, member))
        target = member.open()
        secrets = target.secrets()
        schedule = _schedule(piece, fleet, member)
        if piece.kind in _KINDS:
            check(fleet.file, member, schedule, target)
        piece.own.mkdir(parents=True, exist_ok=True)
        for journal_file in _journals(piece):
            _sweep(journal_file, target, piece)
        if piece.kind == "sweep":
            return Outcome(0, "swept", left=still_held(piece))
        attempt = Path(tempfile.mkdtemp(prefix=ATTEMPT, dir=piece.own))
        here = _Attempt(piece, member, target, fleet, schedule, attempt)
        return _KINDS[piece.kind](here)
    except (UsageError, TargetError, CaseError) as error:
        code, says = 2, str(error)
    except OSError as error:
        code, says = (2, str(error)) if here is None else (3, f"{piece.name} broke off: {error}")
    except Exception as error:  # noqa: BLE001 - an engine would hand it on, and log it, with every word
        code, says = 3, f"the suite failed: {error!r}"
    if here is not None:  # by now the error is gone, and with its frames whatever was still being played
        with contextlib.suppress(Exception):  # what is not removed is told of below
            _sweep(here.folder / _JOURNAL, here.target, piece)
    return Outcome(code, Redactor(secrets).text(says), left=still_held(piece))


def check(file: Path, member: Member, schedule: Schedule, target: Target) -> None:
    """Whether an endpoint's profile, cases and sources of exploration are there.

    :raises UsageError: one is not; names file, field and remedy.
    """
    library = _library()
    if target.profile not in library.profiles:
        there = ", ".join(library.profiles)
        says = f"endpoint {member.name}: profile: {target.profile!r} is not there; there are: {there}"
        raise UsageError(f"{file}: {says}")
    where = f"{file}: schedules.{schedule.name}"
    if schedule.cases and not _any_case(target.profile, schedule.select):
        raise UsageError(f"{where}.select: no case matches; see obs-conformance list")
    if schedule.explore_only:
        try:
            sources_of(library, target, list(schedule.explore_only))
        except CaseError as error:
            raise UsageError(f"{where}.explore_only: {str(error).removeprefix('--only ')}") from error


@functools.cache
def _any_case(profile: str, select: tuple[str, ...]) -> bool:
    return bool(make_plan(_library(), profile, select).cases)


@functools.lru_cache(maxsize=4)
def _fleet(path: str, _changed: int) -> Fleet:
    return load_fleet(Path(path))


@functools.cache
def _library() -> Library:
    return load_library()


def _schedule(piece: Piece, fleet: Fleet, member: Member) -> Schedule:
    return member.schedule if piece.schedule is None else fleet.schedules[piece.schedule]


def _politely(piece: Piece) -> Callable[[Transport], Transport]:
    """What keeps a piece within its share of the requests that the endpoint bears."""
    return lambda bare: PoliteTransport(bare, piece.rate) if piece.rate else bare


def _holds(journal: Journal) -> bool:
    return next(iter(journal.standing()), None) is not None


def _journals(piece: Piece) -> list[Path]:
    """The journals of all attempts at a piece."""
    return sorted(piece.own.glob(f"{ATTEMPT}*/{_JOURNAL}"))


def _begun(journal_file: Path) -> bool:
    """Whether anything was to be created yet."""
    return journal_file.exists() and b"\n" in journal_file.read_bytes()


def _sweep(journal_file: Path, target: Target, piece: Piece) -> None:
    """Remove what an attempt left, within the piece's share of what the endpoint bears."""
    if not _begun(journal_file):
        return
    target = replace(target, jobs=piece.jobs or target.jobs)
    with contextlib.closing(reopen(journal_file, target)) as journal:
        if not _holds(journal):
            return
        with contextlib.closing(open_transport(target, around=_politely(piece))) as transport:
            sweep(journal, target, World.from_seed(), transport)


def still_held(piece: Piece, clean: Path | None = None) -> tuple[str, ...]:
    """Journals of attempts at a piece that hold what was not removed, or of which that cannot be told.

    ``clean`` is an attempt that is known to hold nothing; its journal may be long, and is not read again.
    """
    return tuple(str(path) for path in _journals(piece) if path.parent != clean and _may_hold(path))


def _may_hold(path: Path) -> bool:
    try:
        return _begun(path) and holds(path)
    except (OSError, TargetError):
        return True


@contextlib.contextmanager
def _campaign(here: _Attempt, plan: Plan) -> Iterator[tuple[Campaign, Journal, Transport]]:
    """A campaign that shares what the endpoint bears with the other pieces."""
    piece, target, attempt = here.piece, here.target, here.folder
    spacing, shared = here.member.limits.wrong_signature_s, Path(piece.folder).parent / _SHARED
    shared.mkdir(exist_ok=True)
    turn = shared / f"wrong-signatures-{digest_of(address_of(target.endpoint))}"
    key = target.keys.get(SWITCHED), "" if target.kms is None else address_of(target.kms.endpoint)
    switched = shared / f"switched-key-{digest_of(repr(key))}"
    # All shards have one seed, and many pieces begin at once; an attempt's folder is its own.
    world = World.from_seed(piece.seed, apart=str(attempt))
    journal = Journal(attempt / _JOURNAL, target.endpoint)
    with contextlib.closing(journal), contextlib.closing(open_transport(target, around=_politely(piece))) as transport:
        yield (
            Campaign(
                plan,
                _library(),
                target,
                world,
                journal,
                transport=transport,
                forging_gate=lambda: shared_turn(turn, spacing),
                key_gate=lambda: shared_turn(switched, 0.0),
            ),
            journal,
            transport,
        )


class _Told(Progress):
    """Progress for whoever looks at a file from time to time, and lines for a log."""

    def __init__(self, name: str, total: int, attempt: Path) -> None:
        self._log = (attempt / "log.txt").open("w", encoding="utf-8")
        super().__init__(name, total, self._log, live=False)
        self._file, self._last, self._seen, self._all = attempt / PROGRESS, 0.0, Counter[str](), total

    def step(self, rung: str) -> None:
        """One more case is done."""
        self._seen[rung] += 1
        now = time.monotonic()
        if now - self._last >= _TOLD_S:
            self._last = now
            self._file.write_text(json.dumps({"total": self._all, "counts": self._seen}), "utf-8")

    def close(self) -> None:
        """Nothing is live here; the log goes on until ``end``."""

    def end(self) -> None:
        """Close the log."""
        self._log.close()


_CONCLUDED = {0: "conforms", 1: "does not conform", 3: "is inconclusive"}


def _cases(here: _Attempt) -> Outcome:
    piece, member, target, attempt = here.piece, here.member, here.target, here.folder
    schedule, library = here.schedule, _library()
    shard = (piece.number, piece.of)
    plan = parts.part_of(make_plan(library, target.profile, schedule.select), shard)
    options = argparse.Namespace(strict=schedule.strict, jobs=piece.jobs or None, shard=shard, annotations=None)
    with _campaign(here, plan) as (campaign, journal, transport):
        told = _Told(member.name, len(plan.cases), attempt)
        try:
            code = play_run(
                campaign,
                library,
                options,
                attempt,
                known=None,
                examine=partial(gate.examine, target, campaign.world, journal, transport),
                progress=told,
            )
        finally:
            told.end()
        clean = None if _holds(journal) else attempt
    says = f"shard {piece.number}/{piece.of} {_CONCLUDED.get(code, 'was interrupted')}: {attempt / _RESULTS}"
    return Outcome(code, says, str(attempt), left=still_held(piece, clean))


def _explore(here: _Attempt) -> Outcome:
    from conformance.explore.casewriter import case_yaml
    from conformance.explore.search import Search, explore

    schedule, library = here.schedule, _library()
    piece, member, target, attempt = here.piece, here.member, here.target, here.folder
    shared = here.fleet.open_database()
    if shared is None:
        shared = open_database(str(Path(piece.folder).parent / _SHARED / "examples"))
    found: list[Finding] = []
    tally = Search(piece.seed)
    plan = Plan(library.profiles[target.profile], (), ())
    name, cut = f"exploration {piece.number}/{piece.of}", ""
    clean: Path | None = None

    def search(campaign: Campaign) -> Search:
        results = explore(
            partial(drawn, campaign),
            sources_of(library, target, list(schedule.explore_only)),
            first_seed=piece.seed,
            seconds=schedule.explore_s,
            steps=schedule.explore_requests,
            database=shared,
        )
        for result in results:
            if isinstance(result, Search):
                return result
            file = attempt / f"finding-{digest_of(result.cause)}.yaml"
            remarks = f"found on {member.name}, seed {piece.seed}", result.cause
            file.write_text(case_yaml(result.case, remarks), "utf-8")
            found.append(Finding(result.cause, len(result.case.steps), str(file)))
        return tally

    try:
        with _campaign(here, plan) as (campaign, journal, _):
            try:
                campaign.prepare()
                if campaign.refused is None:
                    tally = search(campaign)
                else:
                    cut = campaign.refused[1]
            finally:
                campaign.clean_up()
                clean = None if _holds(journal) else attempt
    except (UsageError, TargetError, CaseError):
        raise
    except Exception as error:  # noqa: BLE001 - a shared database went away, a disk is full: what was found is kept
        cut = Redactor(target.secrets()).text(f"{type(error).__name__}: {error}")
    code = 1 if found else 0 if not cut and tally.examples > tally.unplayed else 3
    says = f"{name} broke off: {cut}" if cut else f"{name}: {tally.steps} requests, {len(found)} causes"
    return Outcome(code, says, str(attempt), tuple(found), still_held(piece, clean), whole=not cut)


def digest_of(text: str) -> str:
    """A short name for a cause or an address, the same in every worker."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def shortest(findings: tuple[Finding, ...]) -> Mapping[str, Finding]:
    """One finding for each cause, that of the fewest requests."""
    best: dict[str, Finding] = {}
    for finding in sorted(findings, key=lambda one: (one.steps, one.file)):
        best.setdefault(finding.cause, finding)
    return dict(sorted(best.items()))


def _conclude(piece: Piece, schedule: Schedule) -> Outcome:
    """Put the shards of an endpoint together, write its report, and keep one case for each cause."""
    folder, code, says = Path(piece.folder), 0, ""
    if piece.parts:
        merged = parts.merge([Path(part) / _RESULTS for part in piece.parts])
        says, code = parts.write(merged, folder / _RESULTS, strict=schedule.strict)
        render(folder / _RESULTS, folder, argparse.Namespace(previous=None, page=[]))
    found = shortest(piece.findings)
    if found:
        (folder / _FINDINGS).mkdir(exist_ok=True)
    for finding in found.values():
        shutil.copyfile(finding.file, folder / _FINDINGS / Path(finding.file).name)
    return Outcome(code, says, str(folder), tuple(found.values()))


_KINDS: Mapping[str, Callable[[_Attempt], Outcome]] = {"cases": _cases, "explore": _explore}
