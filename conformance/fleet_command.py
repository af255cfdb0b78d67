"""The command ``fleet``: reads a fleet file, has its pieces carried out, and says how every endpoint stands.

Front end beside ``cli.py``: options, lines on the terminal, exit code. What is handed out when lies in ``fleet``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from conformance.vocabulary import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from conformance.engines import Engine
    from conformance.fleet import Run, Standing
    from conformance.fleet_file import Fleet

AT_ONCE = 4
"""Endpoints a local worker plays at once: while one waits for its answers, another is judged."""
ATTEMPTS = 5
_PLAIN_S, _LIVE_S = 10.0, 0.25
_INTERRUPTED = 130
_WORDS = {0: "conformant", 1: "NOT CONFORMANT", 2: "USAGE ERROR", 3: "inconclusive", _INTERRUPTED: "interrupted"}

_EXPLORED = {0: "nothing found", 1: "FOUND"}
"""In place of a conclusion where nothing but explorations ran: they exercise no clause."""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The parser of this command."""
    fleet = commands.add_parser("fleet", help="run on many endpoints at once, with many workers")
    fleet.add_argument("file", type=Path, metavar="FLEET.toml", help="endpoints, schedules, limits")
    fleet.add_argument(
        "--tag", action="append", default=[], metavar="TAG", help="only endpoints with one of these tags"
    )
    fleet.add_argument("--schedule", metavar="NAME", help="this schedule for all endpoints")
    fleet.add_argument("--workers", type=int, metavar="N", help="local processes (default: one for each core)")
    fleet.add_argument("--at-once", type=int, default=AT_ONCE, metavar="N", help=f"pieces in each (default: {AT_ONCE})")
    fleet.add_argument("--dask", metavar="ADDRESS", help="the workers of this Dask scheduler instead, tcp://HOST:8786")
    fleet.add_argument("--seed", type=int, metavar="N", help="seed of generated names and of explorations")
    fleet.add_argument(
        "--attempts", type=int, default=ATTEMPTS, metavar="N", help="at a piece whose workers are lost (default: 5)"
    )
    fleet.add_argument("--out", type=Path, metavar="DIR", help="folder for results; with --dask all workers share it")
    fleet.set_defaults(command=run_fleet)


def run_fleet(options: argparse.Namespace) -> int:
    """Run a fleet; the worst exit code of its endpoints."""
    from conformance.engines import interrupts_held
    from conformance.fleet_file import Unasked, load_fleet
    from conformance.fleet_worker import WRITTEN, check
    from conformance.shared_options import out_folder
    from conformance.world import World

    for word in ("workers", "at_once", "attempts"):
        given = getattr(options, word)
        if given is not None and given < 1:
            raise UsageError(f"--{word.replace('_', '-')} {given}: at least 1")
    if options.dask is not None and options.workers is not None:
        raise UsageError("--workers is for local processes; a Dask cluster has the workers it has")
    fleet = load_fleet(options.file).chosen(options.tag, options.schedule)
    if options.dask is None:
        for member in fleet.members:
            member.open()
        fleet.open_database()
    for member in fleet.members:
        check(fleet.file, member, member.schedule, member.open(Unasked()))
    with interrupts_held() as let_go:
        out = out_folder(options.out)
        if any((out / member.name / written).exists() for member in fleet.members for written in WRITTEN):
            raise UsageError(f"--out {out}: holds the run of a fleet already; choose another folder")
        seed = World.from_seed(options.seed).seed
        with closing(_engine(options)) as engine:
            return _run(options, fleet, engine, out.resolve(), seed, let_go)


def _engine(options: argparse.Namespace) -> Engine:
    from conformance.engines import DaskCluster, LocalProcesses

    if options.dask is not None:
        return DaskCluster(options.dask)
    return LocalProcesses(options.workers or os.cpu_count() or 1, options.at_once, ("conformance.fleet_worker",))


def _run(  # noqa: PLR0913, PLR0917 - what a run is made of
    options: argparse.Namespace, fleet: Fleet, engine: Engine, out: Path, seed: int, let_go: Callable[[], None]
) -> int:
    from conformance.fleet import Run, Standing, pieces_of, worst
    from conformance.fleet_worker import Piece

    standings = []
    for member in fleet.members:
        folder = out / member.name
        base = Piece(
            str(options.file.resolve()), member.name, str(folder), "cases", seed=seed, schedule=options.schedule
        )
        pieces = pieces_of(member, base, engine.slots)
        standings.append(Standing(member, folder, tuple(pieces)))
    board = Board(sys.stdout, live=sys.stdout.isatty())
    run = Run(standings, engine, attempts=options.attempts, tick=lambda standing: board.tick(run, standing))
    interrupted = False
    try:
        try:
            let_go()
            print(
                f"{fleet.name}: {len(fleet.members)} endpoints, {engine.slots} pieces at once, seed {seed}", flush=True
            )
            run.play()
        except BaseException as error:
            _give_up(run, engine)
            if not isinstance(error, KeyboardInterrupt):
                raise
            interrupted = True
        board.clear()
        _tell(run, out)
    finally:
        for journal in dict.fromkeys(run.left):
            print(f"left behind on a target: obs-conformance sweep {journal} removes it", file=sys.stderr)
    codes = [one.code for one in standings if one.code is not None]
    return _INTERRUPTED if interrupted else worst(codes)


def _give_up(run: Run, engine: Engine) -> None:
    """Stop the workers and remove what they had created; a second Ctrl-C leaves that to ``sweep``."""
    from dataclasses import replace

    from conformance.fleet_worker import carry_out, still_held

    # What has begun on a cluster ends there and cleans up.
    waiting = run.under_way() if engine.local else []
    try:
        engine.stop()
        while waiting:
            run.left += carry_out(replace(waiting[0], kind="sweep", parts=(waiting[0].name,))).left
            del waiting[0]
    except KeyboardInterrupt:
        engine.stop()
    for piece in waiting:
        run.left += still_held(piece)


def _word(standing: Standing) -> str:
    code = _INTERRUPTED if standing.code is None else standing.code
    return _WORDS[code] if standing.member.schedule.cases else _EXPLORED.get(code, _WORDS[code])


def _tell(run: Run, out: Path) -> None:
    """The matrix: a line for each endpoint, and the page that compares them clause by clause."""
    from conformance.outputs import run_comparison

    width = max(len(name) for name in run.standings)
    print()
    for name, standing in run.standings.items():
        word = _word(standing)
        print(f"{name:{width}}  {word:14}  {standing.says}".rstrip())
    results = [one.folder / "results.jsonl" for one in run.standings.values()]
    there = [path for path in results if path.exists()]
    if len(there) > 1:
        run_comparison(there, out, say=print)
    elif there:
        print(f"report: {there[0].with_name('report.html')}")


class Board:
    """A line for each endpoint that is being played: redrawn on a terminal, now and then elsewhere."""

    def __init__(self, stream: TextIO, *, live: bool) -> None:
        self._stream, self._live = stream, live
        self._drawn, self._last, self._begun = 0, time.monotonic(), time.monotonic()

    def tick(self, run: Run, concluded: Standing | None) -> None:
        """An endpoint is concluded, or time has passed."""
        if concluded is not None:
            self.clear()
            lost = f" ({concluded.lost} pieces played again)" if concluded.lost else ""
            word = _word(concluded)
            self._write(f"{concluded.member.name}: {word}{lost}: {concluded.says}\n")
        now = time.monotonic()
        if now - self._last < (_LIVE_S if self._live else _PLAIN_S):
            return
        self._last = now
        self.clear()
        lines = self._lines(run)
        self._write("".join(f"{line}\n" for line in lines))
        self._drawn = len(lines) if self._live else 0

    def clear(self) -> None:
        """Take what was drawn away."""
        if self._drawn:
            self._write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _lines(self, run: Run) -> list[str]:
        import shutil
        from collections import Counter

        from conformance.progress import line

        size = shutil.get_terminal_size()
        counts: dict[str, Counter[str]] = {}
        totals: Counter[str] = Counter()
        for piece in run.flying.values():
            told = _told(piece.own)
            counts.setdefault(piece.endpoint, Counter()).update(told.get("counts", {}))
            totals[piece.endpoint] += told.get("total", 0)
        elapsed = time.monotonic() - self._begun
        lines = [
            line(name, counted, totals[name], elapsed) if counted else f"{name}: begun"
            for name, counted in counts.items()
        ]
        return [text[: size.columns - 1] for text in lines[: size.lines - 2]] if self._live else lines


def _told(folder: Path) -> dict[str, Any]:
    """What the newest attempt at a piece last told."""
    from conformance.fleet_worker import ATTEMPT, PROGRESS

    with suppress(OSError, ValueError):
        attempts = sorted(folder.glob(f"{ATTEMPT}*/{PROGRESS}"), key=lambda path: path.stat().st_mtime)
        if attempts:
            told: dict[str, Any] = json.loads(attempts[-1].read_text("utf-8"))
            return told
    return {}
