"""What the library can see: every wrong and every harmless server, in process, played by the cases it can show in.

Part of the composition root beside ``cli.py`` and ``selftest``. One honest play is watched first
(`reference_server.watch`): it tells in which cases a server would have decided otherwise anywhere. The other cases
would go exactly as the honest ones did, so each server is played by the former alone. Does not decide what a defect is
or what a case means.
"""

from __future__ import annotations

import os
import random
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.campaign import Campaign, make_plan
from conformance.casefile import load_library
from conformance.counterparts import why_none
from conformance.dialectfile import OWN, load_dialect
from conformance.journal import Journal
from conformance.proofs import load_proofs
from conformance.selftest import SEED, Rig, ServiceTransport
from conformance.world import World
from reference_server.defects import DEFECTS, together
from reference_server.service import HONEST
from reference_server.variants import VARIANTS
from reference_server.watch import Notes, watched

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from conformance.campaign import Plan
    from conformance.casefile import Library
    from conformance.vocabulary import CaseResult, Request
    from reference_server.defect import Defect
    from reference_server.variants import Variant
    from reference_server.world import Seams

EVERYBODY = frozenset((*DEFECTS, *VARIANTS))
"""The names of all wrong and harmless servers."""
JUDGED = frozenset({"fail", "warn"})
_DRAWN_BY_LOT = re.compile(r"[0-9A-Za-z+/=:-]{16,}")


def _untouched(head: bytes) -> bytes:
    return head


class _Passing(Campaign):
    """A campaign over a state that ends with it: of a case's own bucket only the configuration need go."""

    rig: Rig

    def _remove(self, bucket: str, jobs: int = 1) -> None:  # noqa: ARG002 - there is no server to be quick with
        self.rig.lay_bare(bucket)


class _Listening(ServiceTransport):
    """Shows every request before it is answered."""

    def __init__(self, inner: ServiceTransport, heard: Callable[[Request], None]) -> None:
        self._inner, self._heard = inner, heard

    def exchange(self, request: Request) -> Any:  # noqa: ANN401 - as the transport it stands for
        self._heard(request)
        return self._inner.exchange(request)


@dataclass(frozen=True, slots=True)
class Stage:
    """A library and its plan, ready to be played again and again with the same dice."""

    library: Library
    plan: Plan
    dialect: str = OWN

    @classmethod
    def of(cls, library: Library, dialect: str = OWN) -> Stage:
        """The whole library under the profile of the bundled server, in a dialect."""
        return cls(library, make_plan(library, Rig(_dice(), dialect=dialect).target.profile), dialect)

    def play(
        self,
        seams: Seams,
        wanted: frozenset[str] | None = None,
        *,
        reads: Callable[[bytes], bytes] = _untouched,
        heard: Callable[[Request], None] | None = None,
    ) -> Iterator[CaseResult]:
        """Play cases against a server of these seams; buckets are made by an honest one.

        :param wanted: ids of the cases to play; all when left out.
        :param reads: what becomes of the bytes of a request's head before the server parses them.
        :param heard: called with each request.
        :raises RuntimeError: the server crashed; a wrong server is one that works and does something else.
        """
        rig = Rig(_dice(), dialect=self.dialect)
        transport = ServiceTransport(rig.serve(seams), reads)
        journal = Journal(Path(os.devnull), rig.target.endpoint)
        campaign = _Passing(
            self.plan,
            self.library,
            rig.target,
            World(SEED, f"{SEED:010x}"),
            journal,
            transport=transport if heard is None else _Listening(transport, heard),
            administration=ServiceTransport(rig.serve(HONEST)),
        )
        campaign.rig = rig
        campaign.prepare()
        for case in self.plan.cases:
            if wanted is None or case.id in wanted:
                yield campaign.play_case(case)
                if rig.bugs:
                    raise RuntimeError(f"the server crashed in {case.id}: {rig.bugs[0]!r}") from rig.bugs[0]
        journal.close()


def _dice() -> Callable[[int], bytes]:
    """Reproducible chance: a server that lives for one play keeps nothing secret."""
    return random.Random(SEED).randbytes  # noqa: S311 - as above


@dataclass(frozen=True, slots=True)
class Ground:
    """The honest play, and for each wrong or harmless server the cases in which it can show."""

    stage: Stage
    rungs: Mapping[str, str]
    observed: Mapping[tuple[str, str, str], str]
    reach: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, library: Library, dialect: str = OWN, names: Collection[str] = EVERYBODY) -> Ground:
        """Play the honest server once, watched on behalf of all others, or of those of these names."""
        stage = Stage.of(library, dialect)
        everybody: dict[str, Defect | Variant] = {**DEFECTS, **VARIANTS}
        servers = {name: server for name, server in everybody.items() if name in names}
        notes = Notes()

        def heard(request: Request) -> None:
            notes.names.update(name for name, read in readers if read(request.head) != request.head)

        readers = tuple(
            (name, defect.reads) for name, defect in DEFECTS.items() if defect.reads is not None and name in names
        )
        seams = watched({name: server.change for name, server in servers.items()}, notes)
        results, reached = [], {}
        for result in stage.play(seams, heard=heard):
            results.append(result)
            reached[result.case.id] = notes.take()
        return cls(
            stage,
            {result.case.id: result.rung for result in results},
            {key: value for key, value, _ in _observations(results)},
            {name: frozenset(case for case, names in reached.items() if name in names) for name in servers},
        )

    def defect(self, name: str) -> DefectResult:
        """Play one planted defect."""
        defect = DEFECTS[name]
        results = tuple(self.stage.play(defect.seams(), self.reach[name], reads=defect.reads or _untouched))
        recorded = (
            key[0]
            for key, value, clauses in _observations(results)
            if self.observed.get(key, value) != value and set(clauses) & set(defect.breaks)
        )
        killers = _killers(results, defect.breaks)
        return DefectResult(
            name,
            defect.says,
            defect.breaks,
            defect.realism,
            defect.survives,
            killers,
            tuple(result.case.id for result in results if result.rung in JUDGED),
            tuple(dict.fromkeys(recorded)),
            "" if killers or defect.survives else self._no_counterpart(defect),
        )

    def _no_counterpart(self, defect: Defect) -> str:
        """Why the dialect condemns nothing of what OBS's own condemns in a defect; empty if it could."""
        dialect = load_dialect(self.stage.dialect)
        if dialect is None:
            return ""
        proven = {case for case, proofs in load_proofs().items() if defect.name in {proof.name for proof in proofs}}
        library = self.stage.library
        cases = [case for case in library.cases if case.id in proven]
        return why_none(defect.breaks, cases, dialect, library.profiles[dialect.profile])

    def variant(self, name: str) -> VariantResult:
        """Play one harmless variant."""
        variant = VARIANTS[name]
        results = self.stage.play(variant.seams(), self.reach[name])
        accused = tuple(result.case.id for result in results if result.rung != self.rungs[result.case.id])
        return VariantResult(name, variant.says, variant.allowed, accused, len(self.reach[name]))

    def pair(self, names: tuple[str, str]) -> tuple[str, ...]:
        """Play two defects at once: the cases that catch at least one of them."""
        one, other = DEFECTS[names[0]], DEFECTS[names[1]]
        results = self.stage.play(together(one, other), self.reach[one.name] | self.reach[other.name])
        killers = _killers(results, (*one.breaks, *other.breaks))
        return tuple(dict.fromkeys(case for cases in killers.values() for case in cases))


@dataclass(frozen=True, slots=True)
class DefectResult:
    """What the library saw of one planted defect.

    ``killers`` are, for each clause it breaks, the cases with a broken expectation that cites the clause; ``noticed``
    are all cases that failed or warned; ``recorded`` are cases that record what differs without judging it;
    ``survives`` is why nobody could honestly condemn this defect, empty for nearly all; ``no_counterpart`` why nobody
    could in the dialect that was spoken, by what its file says.
    """

    name: str
    says: str
    breaks: tuple[str, ...]
    realism: str
    survives: str
    killers: Mapping[str, tuple[str, ...]]
    noticed: tuple[str, ...]
    recorded: tuple[str, ...] = field(default=())
    no_counterpart: str = ""

    @property
    def killed(self) -> bool:
        """Whether a case that cites a broken clause caught it."""
        return bool(self.killers)

    @property
    def as_planned(self) -> bool:
        """Whether it was killed, or was not and says why; a reason that has become untrue counts against it."""
        return self.killed is not bool(self.survives or self.no_counterpart)


@dataclass(frozen=True, slots=True)
class VariantResult:
    """What the library made of one harmless variant: ``accused`` are cases whose verdict it turned."""

    name: str
    says: str
    allowed: str
    accused: tuple[str, ...]
    reach: int


def _killers(results: Iterable[CaseResult], breaks: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {clause: {} for clause in breaks}
    for result in results:
        if result.rung in JUDGED:
            for finding in result.played.findings:
                if not finding.held and finding.level != "observe" and finding.step.startswith("step"):
                    for clause in finding.clauses:
                        if clause in found:
                            found[clause][result.case.id] = None
    return {clause: tuple(cases) for clause, cases in found.items() if cases}


def _observations(results: Iterable[CaseResult]) -> list[tuple[tuple[str, str, str], str, tuple[str, ...]]]:
    """(Case, step and name), the value with everything that is drawn by lot left out, and the clauses it is about."""
    return [
        ((result.case.id, seen.step, seen.name), _DRAWN_BY_LOT.sub("#", seen.value), seen.clauses)
        for result in results
        for seen in result.played.observations
    ]


# ---- in parallel -------------------------------------------------------------------------------------------------

_ground: dict[tuple[Path, str], Ground] = {}


def ground_of(root: Path, dialect: str = OWN, names: Collection[str] = EVERYBODY) -> Ground:
    """The honest play of a library in a dialect, watched on behalf of these servers at least.

    Made once in each process; a forked one finds its parent's.
    """
    found = _ground.get((root, dialect))
    if found is None or not found.reach.keys() >= {*names}:
        found = _ground[root, dialect] = Ground.of(load_library(root), dialect, names)
    return found


def _work(root: Path, dialect: str, names: Collection[str], kind: str, what: Any) -> Any:  # noqa: ANN401 - as below
    return getattr(ground_of(root, dialect, names), kind)(what)


def run_all(root: Path, work: Sequence[tuple[str, Any]], jobs: int, dialect: str = OWN) -> Iterator[Any]:
    """Do (method of `Ground`, its argument) in worker processes; results in the order of the work."""
    names = frozenset(name for item in work for name in _names_in(item))
    ground = ground_of(root, dialect, names)

    def cost(item: tuple[str, Any]) -> int:
        return sum(len(ground.reach[name]) for name in _names_in(item))

    with ProcessPoolExecutor(max_workers=jobs) as pool:
        dearest_first = sorted(work, key=cost, reverse=True)
        futures = {item: pool.submit(_work, root, dialect, names, *item) for item in dearest_first}
        for item in work:
            yield futures[item].result()


def _names_in(item: tuple[str, Any]) -> tuple[str, ...]:
    """The servers that an item of work is about: one, or two at once."""
    return item[1] if isinstance(item[1], tuple) else (item[1],)


def draw_pairs(count: int, seed: int) -> tuple[tuple[str, str], ...]:
    """Pairs of killable defects that can be planted together, drawn by lot."""
    dice = random.Random(seed)  # noqa: S311 - a sample, not a secret
    able = [defect for defect in DEFECTS.values() if not defect.survives and defect.reads is None]
    pairs: dict[tuple[str, str], None] = {}
    while len(pairs) < count:
        one, other = sorted(dice.sample(able, 2), key=_name)
        if together_possible(one, other):
            pairs[one.name, other.name] = None
    return tuple(pairs)


def _name(defect: Defect) -> str:
    return defect.name


def together_possible(one: Defect, other: Defect) -> bool:
    """Whether two defects replace different seams."""
    try:
        together(one, other)
    except ValueError:
        return False
    return True
