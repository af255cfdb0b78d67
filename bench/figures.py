"""The other figures of speed, each with its bound: ``python bench/figures.py [NAME ...]``.

``cpu``: what the engine spends on a case. ``latency``: what concurrency gains where every answer takes 50 ms.
``growth``: time and memory of a case when very many play. ``failing``: what one failure in ten costs, also under
pytest. ``list``: the start of the command line. Loading and checking is in ``loaders.py``, walls are in
``side_by_side.py``. Bounds are printed beside what was measured and fail nothing: machines are shared and noisy.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from measure import HERE, PYTHON, Measured, fixed_server, measure, must
from side_by_side import TARGET_FILE
from suite import write_library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CASES, PYTEST_CASES, LATE_CASES = 3000, 10_000, 320
LATENCY_MS, JOBS = 50, 16
EITHER = (0, 1)
YARDSTICK_MS = 0.217
"""CPU of the http.client loop a case on the machine on which bounds in seconds of CPU were set; others are slower."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured and the bound it has to keep."""

    name: str
    measured: float
    bound: float | None
    unit: str = "x"
    at_least: bool = False

    def line(self) -> str:
        """As a row of a table."""
        if self.bound is None:
            return f"| {self.name} | {self.measured:.3g} {self.unit} | | |"
        kept = self.measured >= self.bound if self.at_least else self.measured <= self.bound
        sign = ">=" if self.at_least else "<="
        return f"| {self.name} | {self.measured:.3g} {self.unit} | {sign} {self.bound:g} | {'yes' if kept else 'NO'} |"


class Bench:
    """Libraries, their cache and the rounds of one invocation."""

    def __init__(self, folder: Path, rounds: int, many: int) -> None:
        self.folder, self.rounds, self.many = folder, rounds, many
        self._cache = {"XDG_CACHE_HOME": str(folder / "cache")}

    def library(self, cases: int) -> Path:
        """A library of so many cases."""
        library = self.folder / f"library-{cases}"
        if not library.exists():
            library.mkdir()
            write_library(library, cases)
        return library

    def suite(self, port: int, cases: int, *options: object) -> Measured:
        """Our whole run."""
        command = (PYTHON, HERE / "suite.py", port, self.library(cases), *options)
        return must(measure(command, more=self._cache), EITHER)

    def pytest(self, port: int, cases: int) -> Measured:
        """The run under pytest."""
        target = self.folder / f"{port}.toml"
        target.write_text(TARGET_FILE.format(port), "utf-8")
        target.chmod(0o600)
        front = (PYTHON, HERE / "pytest_front.py", self.library(cases), "--obs-target", target)
        return must(measure((*front, "--obs-profile", "bench"), cwd=self.folder, more=self._cache), EITHER)

    def command(self, *arguments: object, cold: bool = False) -> Measured:
        """The installed command line."""
        if not cold:
            return must(measure((PYTHON, "-m", "conformance", *arguments), more=self._cache))
        with tempfile.TemporaryDirectory() as empty:
            return must(measure((PYTHON, "-m", "conformance", *arguments), more={"XDG_CACHE_HOME": empty}))

    def median(self, of: Callable[[], float]) -> float:
        """The median over the rounds."""
        return statistics.median(of() for _ in range(self.rounds))


def cpu(bench: Bench) -> Iterator[Figure]:
    """CPU of the process over the playing of all cases, by case, as the machine of the bound would spend it."""
    with fixed_server() as ports:
        bench.suite(ports["right"], CASES)

        def ours() -> float:
            return float(bench.suite(ports["right"], CASES).told()["play_cpu_s"]) / CASES * 1000

        def yardstick() -> float:
            return must(measure((PYTHON, HERE / "yardstick.py", ports["right"], CASES))).cpu_s / CASES * 1000

        spent = [(ours(), yardstick()) for _ in range(bench.rounds)]
    over = statistics.median(our / yard for our, yard in spent)
    yield Figure(f"engine CPU a case where http.client takes {YARDSTICK_MS} ms", over * YARDSTICK_MS, 0.4, "ms")
    yield Figure("- over http.client's CPU", over, None)
    yield Figure("- as measured here", statistics.median(our for our, _ in spent), None, "ms")


def latency(bench: Bench) -> Iterator[Figure]:
    """The same cases one at a time and many at a time against a slow server; once, waiting is not noisy."""
    with fixed_server(LATENCY_MS) as ports:
        bench.suite(ports["right"], LATE_CASES, "--jobs", JOBS)
        one, many = (bench.suite(ports["right"], LATE_CASES, "--jobs", jobs) for jobs in (1, JOBS))
    gain = one.told()["play_s"] / many.told()["play_s"]
    yield Figure(f"{LATENCY_MS} ms an answer: --jobs {JOBS} faster than 1", gain, 12, at_least=True)
    yield Figure("- whole processes", one.wall_s / many.wall_s, 12, at_least=True)


def growth(bench: Bench) -> Iterator[Figure]:
    """The same library played once and many times over, then one library of many cases; once, it takes minutes."""
    times = bench.many // CASES
    with fixed_server() as ports:
        bench.suite(ports["right"], CASES)
        few, often = (bench.suite(ports["right"], CASES, "--times", n) for n in (1, times))
        large = bench.suite(ports["right"], bench.many)
    base = few.told()
    for name, run in ((f"{times * CASES} played", often), (f"a library of {bench.many}", large)):
        told = run.told()
        for what, unit in (("play_s", "time"), ("play_cpu_s", "CPU")):
            grown = (told[what] / told["cases"]) / (base[what] / base["cases"])
            yield Figure(f"{name}: {unit} a case over that of {CASES}", grown, 1.1)
    yield Figure(f"{times * CASES} played: memory over that of {CASES}", often.peak_mb / few.peak_mb, 1.1)
    a_case = (large.peak_mb - few.peak_mb) / (bench.many - CASES) * 1024
    yield Figure(f"a library of {bench.many}: memory a case, the case itself in it", a_case, None, "kB")


def failing(bench: Bench) -> Iterator[Figure]:
    """One failure in ten over none, by the command line's way and under pytest."""
    with fixed_server() as ports:
        for name, play, cases in (
            ("one in ten failing", bench.suite, CASES),
            ("one in ten failing, under pytest", bench.pytest, PYTEST_CASES),
        ):
            play(ports["right"], cases)
            pairs = [(play(ports["tenth"], cases), play(ports["right"], cases)) for _ in range(bench.rounds)]
            yield Figure(f"{name}: wall", statistics.median(some.wall_s / none.wall_s for some, none in pairs), 1.2)
            yield Figure(f"{name}: CPU", statistics.median(some.cpu_s / none.cpu_s for some, none in pairs), 1.2)


def listing(bench: Bench) -> Iterator[Figure]:
    """``obs-conformance list`` over the library that is shipped, which has more than 300 cases."""
    cases = len(bench.command("list").said.splitlines())
    yield Figure(f"list, {cases} lines", bench.median(lambda: bench.command("list").wall_s), 0.3, "s")
    yield Figure("- the first time", bench.median(lambda: bench.command("list", cold=True).wall_s), 0.3, "s")
    yield Figure("- CPU", bench.median(lambda: bench.command("list").cpu_s), 0.3, "s")


FIGURES: Mapping[str, Callable[[Bench], Iterator[Figure]]] = {
    "cpu": cpu,
    "latency": latency,
    "growth": growth,
    "failing": failing,
    "list": listing,
}


def main() -> None:
    """Measure what is named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FIGURES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--many", type=int, default=100_000, help="cases of growth (default: 100000)")
    options = parser.parse_args()
    unknown = set(options.names) - set(FIGURES)
    if unknown:
        parser.error(f"no figure named {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    print("| figure | measured | bound | kept |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.rounds, options.many)
        for name in options.names or FIGURES:
            for figure in FIGURES[name](bench):
                print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
