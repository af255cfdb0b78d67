"""Runs the yardstick and the suite in turn and prints medians and ratios of whole processes."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from suite import write_library

HERE = Path(__file__).resolve().parent


def seconds(*arguments: object) -> float:
    """Wall time of a whole process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *map(str, arguments)], check=True)
    return time.perf_counter() - started


def main() -> None:
    """Three rounds by default; within a round the contestants follow each other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    server = subprocess.Popen([sys.executable, HERE / "fixed_server.py"], stdout=subprocess.PIPE, text=True)
    try:
        port = server.stdout.readline().strip() if server.stdout else ""
        with tempfile.TemporaryDirectory() as folder:
            write_library(Path(folder), options.cases)
            contestants = {
                "http.client loop": (HERE / "yardstick.py", port, options.cases),
                "suite, 1 job": (HERE / "suite.py", port, folder, 1, "no-report"),
                "suite, 8 jobs": (HERE / "suite.py", port, folder, 8, "no-report"),
                "suite, 1 job, report": (HERE / "suite.py", port, folder, 1, "report"),
            }
            times: dict[str, list[float]] = {name: [] for name in contestants}
            for _ in range(options.rounds):
                for name, arguments in contestants.items():
                    times[name].append(seconds(*arguments))
    finally:
        server.kill()
        server.wait()
    first = times["http.client loop"]
    print(f"{options.cases} cases, {options.rounds} rounds")
    for name, found in times.items():
        ratio = statistics.median(one / yard for one, yard in zip(found, first, strict=True))
        print(f"{name:24} median {statistics.median(found):6.2f} s   ratio {ratio:5.2f}")


if __name__ == "__main__":
    main()
