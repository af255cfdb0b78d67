"""Which piece is handed out next, which attempt counts, and what a fleet's run comes to.

Hands pieces to an engine and takes their outcomes. An endpoint's limits are divided among those of its pieces that may
run at once, so they hold without a word between workers, and when workers are lost. Plays nothing itself.
"""

from __future__ import annotations

from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from conformance.fleet_file import EXPLORE_RATE
from conformance.fleet_worker import Outcome, Piece, carry_out, still_held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from conformance.engines import Engine
    from conformance.fleet_file import Member

WORST = (130, 2, 1, 3, 0)
"""Exit codes from the one that wins over all others on."""
_TICK_S = 0.25


def worst(codes: Iterable[int]) -> int:
    """The exit code of several runs together."""
    return min(codes, key=WORST.index, default=0)


def at_once(member: Member, slots: int) -> int:
    """How many pieces of an endpoint may run at a time."""
    schedule = member.schedule
    pieces = schedule.shards * schedule.cases + schedule.explore_seeds
    return max(1, min(pieces, slots, member.limits.connections or pieces))


def pieces_of(member: Member, base: Piece, slots: int) -> list[Piece]:
    """The work on one endpoint, each piece with its share of what the endpoint bears.

    ``base`` has what all pieces of the run have, and the endpoint's folder. A piece keeps one connection for each job
    and one for buckets; with a single job these are the same.
    """
    together, wanted = at_once(member, slots), member.schedule
    connections = member.limits.connections // together
    jobs = max(1, connections - 1) if connections else 0
    rate = member.limits.requests_per_second / together
    base, seed = replace(base, endpoint=member.name, jobs=jobs, rate=rate), base.seed
    shards = wanted.shards if wanted.cases else 0
    cases = [replace(base, number=number, of=shards) for number in range(1, shards + 1)]
    paced = rate or EXPLORE_RATE / together
    explorations = [
        replace(base, kind="explore", number=number, of=wanted.explore_seeds, seed=seed + number, rate=paced)
        for number in range(1, wanted.explore_seeds + 1)
    ]
    return cases + explorations


@dataclass(slots=True)
class Standing:
    """How far one endpoint is. ``code`` is None until it is concluded."""

    member: Member
    folder: Path
    pieces: tuple[Piece, ...]
    done: dict[str, Outcome] = field(default_factory=dict)
    tries: Counter[tuple[str, str]] = field(default_factory=Counter)
    code: int | None = None
    says: str = ""
    findings: int = 0
    lost: int = 0

    def settle(self, code: int, says: str) -> None:
        """The endpoint is concluded."""
        self.code, self.says = code, says


class Run:
    """One run of a fleet over an engine."""

    def __init__(
        self,
        standings: Sequence[Standing],
        engine: Engine,
        *,
        attempts: int,
        tick: Callable[[Standing | None], None],
    ) -> None:
        """``attempts`` at each piece; ``tick`` hears of each endpoint that is concluded, and of time that passes."""
        self.standings = {standing.member.name: standing for standing in standings}
        self.left: list[str] = []
        self.flying: dict[Future[Outcome], Piece] = {}
        self._engine, self._attempts, self._tick = engine, attempts, tick
        # A turn for every endpoint, then the next: none waits for all pieces of those before it.
        longest = max((len(standing.pieces) for standing in standings), default=0)
        self._todo = deque(
            standing.pieces[turn] for turn in range(longest) for standing in standings if turn < len(standing.pieces)
        )
        self._together = {name: at_once(one.member, engine.slots) for name, one in self.standings.items()}
        self._busy: Counter[str] = Counter()

    def play(self) -> None:
        """Until every endpoint is concluded."""
        while self._todo or self.flying:
            self._hand_out()
            finished, _ = wait(self.flying, timeout=_TICK_S, return_when=FIRST_COMPLETED)
            if not self._engine.there() or any(self._gone(future) for future in finished):
                self._conclude_without_engine()
                return
            for future in finished:
                piece = self.flying.pop(future)
                self._busy[piece.endpoint] -= 1
                self._take(piece, self._outcome(piece, future))
            self._tick(None)

    def under_way(self) -> list[Piece]:
        """Pieces that were handed out, be it to a worker that was lost, and are not done: they may hold something."""
        begun = [
            piece
            for standing in self.standings.values()
            for piece in standing.pieces
            if standing.tries[piece.kind, piece.name] and piece.name not in standing.done
        ]
        return begun + [piece for piece in (*self._todo, *self.flying.values()) if piece.kind == "sweep"]

    def _hand_out(self) -> None:
        """Fill the engine, and no more than that: what waits here can still be taken back."""
        waiting: list[Piece] = []
        while self._todo and len(self.flying) < self._engine.slots:
            piece = self._todo.popleft()
            if self._busy[piece.endpoint] >= self._together[piece.endpoint]:
                waiting.append(piece)
                continue
            self._busy[piece.endpoint] += 1
            self.standings[piece.endpoint].tries[piece.kind, piece.name] += 1
            self.flying[self._engine.submit(carry_out, piece)] = piece
        self._todo.extendleft(reversed(waiting))

    def _gone(self, future: Future[Outcome]) -> bool:
        return future.cancelled() or isinstance(future.exception(), self._engine.gone)

    def _conclude_without_engine(self) -> None:
        """The engine went away with what it had: conclude here, with what is there."""
        for piece in self.under_way():
            self.left += still_held(piece)
        self._todo.clear()
        self.flying.clear()
        for standing in self.standings.values():
            if standing.code is None:
                for piece in standing.pieces:
                    standing.done.setdefault(piece.name, Outcome(3, f"{piece.name}: the cluster went away"))
                self._conclude(standing)
        while self._todo:
            piece = self._todo.popleft()
            self._take(piece, carry_out(piece))

    def _outcome(self, piece: Piece, future: Future[Outcome]) -> Outcome | None:
        """What came of a piece; None if it is to be played again."""
        standing, error = self.standings[piece.endpoint], future.exception()
        if error is None:
            return future.result()
        says = str(error)
        if isinstance(error, self._engine.lost):
            standing.lost += 1
            if standing.tries[piece.kind, piece.name] < self._attempts:
                self._todo.appendleft(piece)
                return None
            says = f"{piece.name} lost its worker {self._attempts} times"
        if piece.kind in {"cases", "explore"}:
            self._todo.appendleft(replace(piece, kind="sweep", parts=(piece.name,)))
        return Outcome(3, says, left=still_held(piece) if piece.kind == "sweep" else ())

    def _take(self, piece: Piece, outcome: Outcome | None) -> None:
        if outcome is None:
            return
        standing = self.standings[piece.endpoint]
        self.left += outcome.left
        if piece.kind == "conclude":
            self._settle(standing, outcome)
        elif piece.kind != "sweep":
            standing.done[piece.name] = outcome
            if len(standing.done) == len(standing.pieces):
                self._conclude(standing)

    def _conclude(self, standing: Standing) -> None:
        """All pieces are there: put together what can be. A spoilt shard spoils the cases, nothing spoils findings."""
        first = standing.pieces[0]
        outcomes = [standing.done[piece.name] for piece in standing.pieces]
        attempts = tuple(standing.done[piece.name].attempt for piece in standing.pieces if piece.kind == "cases")
        findings = tuple(finding for outcome in outcomes for finding in outcome.findings)
        whole = attempts if all(attempts) else ()
        self._todo.appendleft(replace(first, kind="conclude", parts=whole, findings=findings))

    def _settle(self, standing: Standing, concluded: Outcome) -> None:
        """Say how an endpoint stands: what was put together, and beside it what could not be."""
        cases = [standing.done[piece.name] for piece in standing.pieces if piece.kind == "cases"]
        beside = [standing.done[piece.name] for piece in standing.pieces if piece.kind != "cases"]
        standing.findings = len(concluded.findings)
        says = [concluded.says]
        if not all(one.attempt for one in cases):
            says += [one.says for one in cases if one.attempt and one.code == 1][:1]
            beside = cases + beside
        if standing.findings:
            says.append(f"{standing.findings} causes found by exploring")
        says += [one.says for one in beside if not (one.attempt and one.whole)][:1]
        code = worst([concluded.code, *(one.code for one in beside)])
        standing.settle(code, "; ".join(filter(None, says)) or "Explored, nothing found.")
        self._tick(standing)
