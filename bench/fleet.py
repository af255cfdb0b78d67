"""The fleet: many endpoints on few workers, exploration over processes, and workers that are killed.

`latency`: simulated endpoints, each answer 50 ms late, the whole suite on each; four local workers against one endpoint
on one worker. `explore`: exploration in process, one worker and two. `kills`: twenty kills at random moments.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.casefile import load_library
from conformance.engines import LocalProcesses
from conformance.explore.search import Search, explore, sequences
from conformance.fleet import Run, Standing, pieces_of
from conformance.fleet_file import load_fleet
from conformance.fleet_worker import Piece
from conformance.readback import read_back
from conformance.selftest import campaign_in_process
from reference_server.service import HONEST

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
LATENCY_S = 0.05


@contextlib.contextmanager
def endpoints(folder: Path, number: int, latency_s: float) -> Iterator[list[Path]]:
    """Target files of so many simulated endpoints: reference servers behind relays that answer late."""
    with contextlib.ExitStack() as stack:
        targets = []
        for index in range(number):
            target = folder / f"target-{index}.toml"
            command = [sys.executable, str(HERE / "late_server.py"), str(target), str(latency_s)]
            server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.callback(server.communicate)
            stack.callback(server.kill)
            targets.append((server, target))
        for server, _ in targets:
            assert server.stdout is not None  # noqa: S101 - asked for above
            server.stdout.readline()
        yield [target for _, target in targets]


def fleet_file(folder: Path, targets: list[Path], schedule: str = "", limits: str = "") -> Path:
    """A fleet file over targets, with words of its only schedule and of every endpoint's limits."""
    path = folder / "fleet.toml"
    head = f'[schedules.s]\n{schedule}\n[defaults]\nschedule = "s"\n[defaults.limits]\n{limits}\n'
    entries = (f'[[endpoints]]\nname = "e{index}"\ntarget = "{target}"\n' for index, target in enumerate(targets))
    path.write_text(head + "".join(entries), "utf-8")
    return path


def play(path: Path, out: Path, engine: LocalProcesses, *, attempts: int = 5) -> list[Standing]:
    """Run a fleet on an engine that is warm."""
    standings = []
    for member in load_fleet(path).members:
        base = Piece(str(path), member.name, str(out / member.name), "cases", seed=1)
        standings.append(Standing(member, out / member.name, tuple(pieces_of(member, base, engine.slots))))
    Run(standings, engine, attempts=attempts, tick=lambda _: None).play()
    return standings


def latency(number: int, workers: int, at_once: int, connections: int) -> None:
    """One endpoint on one worker, then all of them on several; each over so many connections (0: the target's)."""
    seconds: list[float] = []
    for count, processes, together in ((1, 1, 1), (number, workers, at_once)):
        with (
            tempfile.TemporaryDirectory() as name,
            endpoints(Path(name), count, LATENCY_S) as targets,
            contextlib.closing(LocalProcesses(processes, together, ("conformance.fleet_worker",))) as engine,
        ):
            path = fleet_file(Path(name), targets, limits=f"connections = {connections}" if connections else "")
            begun = time.perf_counter()
            standings = play(path, Path(name) / "out", engine)
            seconds.append(time.perf_counter() - begun)
            codes = Counter(standing.code for standing in standings)
        told = f"{count} endpoints, {processes} workers x {together}: {seconds[-1]:.1f} s"
        print(f"{told}, exit codes {dict(codes)}, load {os.getloadavg()[0]:.1f}", flush=True)
    print(f"ratio: {seconds[1] / seconds[0]:.2f} (bound 1.3)")


def explored(seed: int, requests: int) -> tuple[int, float]:
    """A worker's errand: so many requests of exploration in process; how many they were, and their CPU seconds."""
    begun = time.process_time()
    with campaign_in_process(load_library(), HONEST, seed) as campaign:
        results = explore(campaign.play_case, [sequences()], first_seed=seed, seconds=3600.0, steps=requests)
        tally = list(results)[-1]
    assert isinstance(tally, Search)  # noqa: S101 - the last of the results
    return tally.steps, time.process_time() - begun


def exploration(requests: int, rounds: int) -> None:
    """Requests a second by one worker and by two, turn and turn about."""
    for turn in range(rounds):
        rates, each = [], []
        for workers in (1, 2):
            engine = LocalProcesses(workers, 1, ("fleet",))
            with contextlib.closing(engine):
                warm = [engine.submit(explored, 99 + number, 10) for number in range(workers)]
                _ = [future.result() for future in warm]
                begun = time.perf_counter()
                futures = [engine.submit(explored, 100 * turn + number, requests // 4) for number in range(4)]
                steps, used = map(sum, zip(*(future.result() for future in futures), strict=True))
                rates.append(steps / (time.perf_counter() - begun))
                each.append(used / steps * 1000)
        told = f"{rates[0]:.0f} and {rates[1]:.0f} requests/s"
        print(f"1 and 2 workers: {told}, {rates[1] / rates[0] / 2:.2f} of linear (bound 0.8)")
        told = f"{each[0]:.3f} and {each[1]:.3f} ms of CPU a request, {each[0] / each[1]:.2f} of linear by CPU"
        print(f"  {told}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)


def kills(number: int) -> None:
    """So many kills of workers at random moments; each case of each endpoint has to be there once."""
    dice = random.Random(number)  # noqa: S311 - moments, not secrets
    killed, over = [0], threading.Event()
    with (
        tempfile.TemporaryDirectory() as name,
        endpoints(Path(name), 4, 0.0) as targets,
        contextlib.closing(LocalProcesses(2, 2, ("conformance.fleet_worker",))) as engine,
    ):
        path = fleet_file(Path(name), targets, schedule="shards = 4")

        def kill() -> None:
            while killed[0] < number and not over.wait(dice.uniform(0.1, 1.5)):
                pids = engine.pids()
                if pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(dice.choice(pids), 9)
                        killed[0] += 1

        killer = threading.Thread(target=kill)
        killer.start()
        standings = play(path, Path(name) / "out", engine, attempts=1000)
        over.set()
        killer.join()
        planned = Counter(case.id for case in load_library().cases)
        lost = doubled = 0
        for standing in standings:
            results = standing.folder / "results.jsonl"
            found = Counter(result.case.id for result in read_back(results).results)
            raw = sum('"kind": "case"' in line[:20] for line in results.read_text("utf-8").splitlines())
            lost += sum((planned - found).values())
            doubled += raw - len(found)
    again = sum(standing.lost for standing in standings)
    print(f"{killed[0]} kills, {again} pieces played again: {lost} results lost, {doubled} doubled (bound 0, 0)")


def main() -> None:
    """Print the figures that are asked for, each beside its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", nargs="*", default=["latency", "explore", "kills"])
    parser.add_argument("--endpoints", type=int, default=30, metavar="N")
    parser.add_argument("--workers", type=int, default=4, metavar="N")
    parser.add_argument("--at-once", type=int, default=8, metavar="N", help="endpoints a worker plays at once")
    parser.add_argument("--connections", type=int, default=0, metavar="N", help="limit of each endpoint (0: none)")
    parser.add_argument("--requests", type=int, default=8000, metavar="N", help="of exploration")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    options = parser.parse_args()
    if "latency" in options.figures:
        latency(options.endpoints, options.workers, options.at_once, options.connections)
    if "explore" in options.figures:
        exploration(options.requests, options.rounds)
    if "kills" in options.figures:
        kills(20)


if __name__ == "__main__":
    # Workers import what they carry out by the module's name, which __main__ is not.
    import fleet

    fleet.main()
