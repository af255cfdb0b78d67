"""How long the pre-flight takes against the bundled server on loopback; due are less than 3 s."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

TIMES = 5


def main() -> None:
    """Print the median and the longest of a few whole processes, the start of the bundled server included."""
    took = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(TIMES):
            started = time.perf_counter()
            command = [sys.executable, "-m", "conformance", "doctor", "--out", folder]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            took.append(time.perf_counter() - started)
    print(f"doctor: median {statistics.median(took):.2f} s, longest {max(took):.2f} s")


if __name__ == "__main__":
    main()
