"""The same work by all: our run, a bare ``http.client`` loop, tavern, gabbi, schemathesis, pytest + requests, hurl.

First every contestant has to fail when any one of the five checked headers is wrong, and to pass when all are right;
one that does not ends the benchmark with exit code 1. Then all play in turn, round after round, against the same server
of fixed answers, which counts their exchanges; printed are medians, and ratios taken within a round.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from measure import HERE, PYTHON, Measured, counts, fixed_server, measure, must
from peers import PEERS, Peer, found, installed
from suite import write_library
from work import WRONG

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

YARDSTICK, OURS = "http.client loop", "ours"
PROOF_CASES = 3
OUR_RUNS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    OURS: ((),),
    "ours, first time": ((),),
    "ours, 8 jobs": (("--jobs", "8"),),
    "ours, 2 processes": (("--shard", "1/2"), ("--shard", "2/2")),
    "ours, report": (("--report",),),
    "ours, clean-up too": (("--clean-up",),),
}
"""Each of our runs as the options of its processes. The first time there is no cache of the checked library."""

TARGET_FILE = 'endpoint = "http://127.0.0.1:{}"\n[identities.owner]\naccess_key = "AK"\nsecret_key = "secret"\n'


@dataclass(frozen=True, slots=True)
class Contestant:
    """A name and the way it plays a number of cases against a port, in an empty folder of its own."""

    name: str
    play: Callable[[int, int, Path], Measured]
    slow: bool = False


def _yardstick(cases: int, port: int, folder: Path) -> Measured:
    return measure([PYTHON, HERE / "yardstick.py", port, cases], cwd=folder)


def _library(cases: int, folder: Path) -> Path:
    library = folder / f"library-{cases}"
    if not library.exists():
        library.mkdir()
        write_library(library, cases)
    return library


def _our_run(shared: Path, name: str) -> Contestant:
    def play(cases: int, port: int, folder: Path) -> Measured:
        cache = folder if name == "ours, first time" else shared
        commands = [(PYTHON, HERE / "suite.py", port, _library(cases, shared), *options) for options in OUR_RUNS[name]]
        return measure(*commands, cwd=folder, more={"XDG_CACHE_HOME": str(cache)})

    return Contestant(name, play)


def _our_pytest(shared: Path) -> Contestant:
    def play(cases: int, port: int, folder: Path) -> Measured:
        target = folder / "target.toml"
        target.write_text(TARGET_FILE.format(port), "utf-8")
        target.chmod(0o600)
        front = (PYTHON, HERE / "pytest_front.py", _library(cases, shared), "--obs-target", target)
        return measure((*front, "--obs-profile", "bench"), cwd=folder, more={"XDG_CACHE_HOME": str(shared)})

    return Contestant("ours, under pytest", play)


def _peer(peer: Peer, programs: Path) -> Contestant:
    def play(cases: int, port: int, folder: Path) -> Measured:
        peer.write(folder, cases, port)
        return measure(peer.command(programs, cases, port), cwd=folder)

    return Contestant(peer.name, play, peer.slow)


def contestants(options: argparse.Namespace, shared: Path) -> list[Contestant]:
    """Everybody who can take part; says which versions and who cannot."""
    everybody = [Contestant(YARDSTICK, _yardstick)]
    everybody += [_our_run(shared, name) for name in OUR_RUNS]
    everybody.append(_our_pytest(shared))
    for peer in PEERS:
        if options.peers is not None and not peer.name.startswith(tuple(filter(None, options.peers.split(",")))):
            continue
        if peer.pin:
            programs, version = installed(peer, options.cache)
        elif options.hurl is None:
            print(f"{peer.name}: left out, no hurl on the path and no --hurl")
            continue
        else:
            programs, version = options.hurl.resolve(), found(options.hurl)
        print(f"{peer.name}: {version}")
        everybody.append(_peer(peer, programs))
    return everybody


def _played(contestant: Contestant, cases: int, port: int) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        return contestant.play(cases, port, Path(folder))


def prove(everybody: Sequence[Contestant], ports: dict[str, dict[str, int]], right: int) -> None:
    """Everybody passes where all is right and fails where one header is wrong.

    :raises SystemExit: somebody does not.
    """
    for contestant in everybody:
        must(_played(contestant, PROOF_CASES, right))
        blind = [name for name, port in ports["wrong"].items() if _played(contestant, PROOF_CASES, port).code == 0]
        if blind:
            raise SystemExit(f"{contestant.name} does not see a wrong {', '.join(blind)}")
        print(f"{contestant.name}: passes on right answers, fails on each of {len(WRONG)} wrong headers", flush=True)


def play(everybody: Sequence[Contestant], cases: int, rounds: int, port: int) -> dict[str, list[Measured]]:
    """All in turn, so many rounds.

    :raises SystemExit: somebody fails, or the server has not seen two exchanges for each case.
    """
    measured: dict[str, list[Measured]] = {contestant.name: [] for contestant in everybody}
    for number in range(rounds):
        for contestant in everybody:
            if contestant.slow and number:
                continue
            counts(port)
            measured[contestant.name].append(must(_played(contestant, cases, port)))
            seen, _ = counts(port)
            if seen < 2 * cases:
                raise SystemExit(f"{contestant.name}: {seen} exchanges, not {2 * cases}")
    return measured


def table(measured: Mapping[str, Sequence[Measured]]) -> str:
    """Medians, and ratios to the yardstick and to our run of the same round."""
    rows = [
        "| | wall s (min-max) | CPU s | peak MB | wall ÷ http.client | CPU ÷ http.client | wall ÷ ours |",
        "|---|---|---|---|---|---|---|",
    ]

    def ratio(runs: Sequence[Measured], base: str, what: str) -> str:
        pairs = zip(runs, measured[base], strict=False)
        return f"{statistics.median(getattr(one, what) / getattr(other, what) for one, other in pairs):.2f}"

    for name, runs in measured.items():
        walls = [run.wall_s for run in runs]
        cpu, peak = (statistics.median(getattr(run, what) for run in runs) for what in ("cpu_s", "peak_mb"))
        ratios = (ratio(runs, YARDSTICK, "wall_s"), ratio(runs, YARDSTICK, "cpu_s"), ratio(runs, OURS, "wall_s"))
        rows.append(
            f"| {name} | {statistics.median(walls):.2f} ({min(walls):.2f}-{max(walls):.2f}) | {cpu:.2f} | {peak:.0f} "
            f"| {' | '.join(ratios)} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Install, prove, play, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", metavar="NAME,...", help="only peers whose name begins so; empty for none")
    parser.add_argument("--cache", type=Path, default=platformdirs.user_cache_path("obs-conformance") / "bench")
    hurl = shutil.which("hurl")
    parser.add_argument("--hurl", type=Path, default=Path(hurl) if hurl else None, help="default: that of the path")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, fixed_server() as ports:
        everybody = contestants(options, Path(folder))
        prove(everybody, ports, ports["right"])
        must(
            _played(next(one for one in everybody if one.name == OURS), options.cases, ports["right"])
        )  # fills the cache
        measured = play(everybody, options.cases, options.rounds, ports["right"])
    print(f"\n{options.cases} cases, {options.rounds} rounds\n\n{table(measured)}")


if __name__ == "__main__":
    main()
