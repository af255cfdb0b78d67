"""A thousand runs of three hundred cases in the history: how fast they go in, how large they are, how fast pages come.

    python bench/history.py [--runs 1000] [--cases 300] [--endpoints 10] [--rounds 7]

Every page of the site is asked for over HTTP from a server of its own process; median and slowest in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reports.history.store import open_store
from reports.tests import samples

LIMIT_MS = 200
CLAUSES = 60


def main() -> int:
    """Fill a store, ask every page, print; 1 if a page is slower than the limit."""
    parser = argparse.ArgumentParser()
    for name, number in (("runs", 1000), ("cases", 300), ("endpoints", 10), ("rounds", 7)):
        parser.add_argument(f"--{name}", type=int, default=number)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        digests = fill(Path(folder), options)
        sizes = [sum(f.stat().st_size for f in Path(folder).rglob(what) if f.is_file()) for what in ("h.db*", "*")]
        print(f"store {sizes[0] / 1e6:.1f} MB, evidence {(sizes[1] - sizes[0]) / 1e6:.1f} MB")
        return ask(Path(folder), digests, options.rounds)


def fill(folder: Path, options: argparse.Namespace) -> list[str]:
    """Add the runs; their digests."""
    dice = random.Random(1)  # noqa: S311 - a sample
    store = open_store(str(folder / "h.db"))
    spent, read, digests = 0.0, 0, []
    with tempfile.TemporaryDirectory() as elsewhere:
        path = Path(elsewhere) / "results.jsonl"
        for number in range(options.runs):
            path.write_text(results(number, options, dice), "utf-8")
            read += path.stat().st_size
            began = time.perf_counter()
            digests.append(store.add(path).digest)
            spent += time.perf_counter() - began
    store.close()
    cases = options.runs * options.cases
    print(f"{options.runs} runs of {options.cases} cases ({read / 1e6:.0f} MB) in {spent:.1f} s: ", end="")
    print(f"{options.runs / spent:.1f} runs/s, {cases / spent:.0f} cases/s")
    return digests


def results(number: int, options: argparse.Namespace, dice: random.Random) -> str:
    """A run: of each case an exchange or two, every tenth with a document as its body."""
    records = samples.run()
    header, footer = records[0], records[-1]
    clauses = [f"K-{clause:03}" for clause in range(CLAUSES)]
    header["target"]["name"] = f"Endpoint {number % options.endpoints}"
    header["started"] = f"2024-{1 + number // 84 % 12:02}-{1 + number // 3 % 28:02}T{number % 3:02}:00:00Z"
    header["seed"] = number
    header["clauses"] = [samples.clause(clause, "Writing") for clause in clauses]
    header["profile"]["clauses"] = clauses
    cases = []
    for index in range(options.cases):
        case = samples.failing()
        case |= {"id": f"KMS-PUT-{index:03}/row", "duration_ms": dice.random() * 20, "source": f"- id: {index}\n" * 60}
        case["rung"] = "fail" if dice.random() < (0.5 if index % 50 == 0 else 0.01) else "pass"
        case["exchanges"][0]["received"]["head"] += f"x-obs-request-id: {dice.random()}\r\n\r\n"
        if index % 10 == 0:
            case["exchanges"][0]["received"]["body"] = f"<Error>{'x' * 700}{index}</Error>"
        cases.append(case)
    header["planned"] = [case["id"] for case in cases]
    footer["clauses"] = {
        clause: {"verdict": "broken" if dice.random() < 0.1 else "holds", "cases": []}  # noqa: PLR2004 - a share
        for clause in clauses
    }
    return "".join(json.dumps(record) + "\n" for record in (header, *cases, footer))


def ask(folder: Path, digests: list[str], rounds: int) -> int:
    """Every page, some rounds; 1 if one was slower than the limit."""
    command = [Path(sys.executable).parent / "obs-conformance", "serve", "--store", folder / "h.db", "--bind"]
    with subprocess.Popen([*command, "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as process:
        base = process.stdout.readline().strip() if process.stdout else ""
        slow = 0
        case = "KMS-PUT-050%2Frow"
        with urllib.request.urlopen(  # noqa: S310 - loopback
            f"{base}/runs"
        ) as page:
            key = page.read().decode().partition("/endpoint?id=")[2][:16]
        pages = (
            *("/", "/runs", "/runs?page=3", f"/endpoint?id={key}", "/clause?id=K-007", f"/case?id={case}"),
            *(f"/run?id={digests[500 % len(digests)]}", f"/evidence?run={digests[-1]}&case={case}"),
            *(
                f"/changed?old={digests[0]}&new={digests[-1]}",
                "/flipping",
                "/slowest",
                "/search?q=put",
                "/search?q=xyzzy",
            ),
        )
        for path in pages:
            times = []
            for _ in range(rounds):
                began = time.perf_counter()
                with urllib.request.urlopen(  # noqa: S310 - loopback
                    f"{base}{path}"
                ) as page:
                    page.read()
                times.append((time.perf_counter() - began) * 1000)
            slow += max(times) > LIMIT_MS
            print(
                f"{path.partition('=')[0]:14} median {statistics.median(times):6.1f} ms  slowest {max(times):6.1f} ms"
            )
        process.terminate()
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
