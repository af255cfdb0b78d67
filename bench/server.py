"""The reference server's figures: against the floor of its work and against its peers, in one run, as ratios.

Everything is measured in turn, round by round; medians of the rounds, ratios taken within a round. Processor time per
exchange is given beside the rate because it hardly notices who else uses the machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pickle
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent))

from contestants import (
    BUCKET,
    HERE,
    Contestant,
    seconds_to_first_answer,
    start_floor,
    start_moto,
    start_reference,
    start_s3rver,
)
from large import large, many_parts, memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BODY = os.urandom(5242)
GOALS = {
    "PUT floor": ">= 0.45",
    "PUT moto_server": ">= 7",
    "PUT s3rver": ">= 2",
    "GET moto_server": ">= 20",
    "GET s3rver": ">= 4",
}
"""Of the ratio of rates. Besides: p99 of PUT under 10 x p50."""


@dataclass(frozen=True)
class Sample:
    """One batch: exchanges a second, latencies in microseconds, the server's processor time an exchange."""

    rate: float
    p50: float
    p99: float
    cpu_us: float


def batch(server: Contestant, requests: list[bytes], connections: int) -> Sample:
    """Play requests from another process."""
    before = server.cpu_s()
    done = subprocess.run(
        [sys.executable, HERE / "load.py", "127.0.0.1", str(server.port), str(connections)],
        input=pickle.dumps(requests), stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    cpu = server.cpu_s() - before
    found = json.loads(done.stdout)
    failed = sum(number for status, number in found["statuses"].items() if not status.startswith("20"))
    if failed > len(requests) * server.forgiven:
        raise SystemExit(f"{server.name} answered {found['statuses']}")
    latencies = found["latencies"]
    return Sample(
        len(requests) / found["seconds"],
        latencies[len(latencies) // 2],
        latencies[len(latencies) * 99 // 100],
        cpu * 1e6 / len(requests),
    )


def puts(server: Contestant, round_: int, count: int) -> list[bytes]:
    """Fresh objects."""
    return [server.put(f"/{BUCKET}/r{round_}/o{number}", BODY) for number in range(count)]


def gets(server: Contestant, round_: int, count: int) -> list[bytes]:
    """The same objects again."""
    return [server.head("GET", f"/{BUCKET}/r{round_}/o{number}") for number in range(count)]


# ---- small objects ---------------------------------------------------------------------------------------------------


def small(options: argparse.Namespace, folder: Path) -> None:
    """PUT and GET of 5,242 bytes, encrypted and signed."""
    with ExitStack() as stack:
        servers = []
        for server in _contestants(options, folder):
            stack.callback(server.stop)
            servers.append(server)
        samples: dict[tuple[str, str], list[Sample]] = {}
        for round_ in range(options.rounds):
            for server in servers:
                count = int(options.requests * server.weight)
                for kind, make in (("PUT", puts), ("GET", gets)):
                    found = batch(server, make(server, round_, count), options.connections)
                    samples.setdefault((server.name, kind), []).append(found)
    how = f"{options.connections} connections, {options.rounds} rounds of {options.requests}"
    print(f"\n5,242 bytes, {how}; ratio: how many times the reference server is as fast, or as frugal\n")
    columns = ("per s", "ratio", "goal", "p50 us", "p99 us", "p99/p50", "CPU us", "ratio")
    print(f"{'':28}{''.join(f'{column:>9}' for column in columns)}")
    for kind in ("PUT", "GET"):
        ours = samples["reference server", kind]
        for server in servers:
            _row(f"{kind} {server.name}", samples[server.name, kind], ours)


def _contestants(options: argparse.Namespace, folder: Path) -> Iterator[Contestant]:
    yield start_floor(folder / "floor")
    yield start_reference(folder / "ours")
    if importlib.util.find_spec("uvloop") is not None:
        yield start_floor(folder / "floor-uvloop", "uvloop", name="floor, uvloop")
        yield start_reference(folder / "ours-uvloop", "reference server, uvloop", uvloop=True)
    for name, root in options.against:
        yield start_reference(folder / name, name, root)
    if options.peers:
        for name, peer in (("moto_server", start_moto()), ("s3rver", start_s3rver(folder / "s3rver"))):
            if peer is None:
                print(f"{name} is not installed and left out.")
            else:
                yield peer


def _row(name: str, found: list[Sample], ours: list[Sample]) -> None:
    def median(pick: Callable[[Sample], float]) -> float:
        return statistics.median(pick(sample) for sample in found)

    rate = statistics.median(our.rate / one.rate for our, one in zip(ours, found, strict=True))
    cpu = statistics.median(one.cpu_us / our.cpu_us for our, one in zip(ours, found, strict=True))
    cells = (
        f"{median(lambda one: one.rate):.0f}",
        f"{rate:.2f}",
        GOALS.get(name, ""),
        f"{median(lambda one: one.p50):.0f}",
        f"{median(lambda one: one.p99):.0f}",
        f"{median(lambda one: one.p99 / one.p50):.1f}",
        f"{median(lambda one: one.cpu_us):.0f}",
        f"{cpu:.2f}",
    )
    print(f"{name:28}{''.join(f'{cell:>9}' for cell in cells)}")


# ---- start and listing -----------------------------------------------------------------------------------------------


def start(options: argparse.Namespace, folder: Path) -> None:
    """From nothing to the first answer: a new data directory, then the same one again."""
    first, again = [], []
    for round_ in range(options.rounds):
        first.append(seconds_to_first_answer(folder / f"start{round_}"))
        again.append(seconds_to_first_answer(folder / f"start{round_}"))
    print(f"\nstart to first answer, {options.rounds} rounds\n")
    for name, times in (("new data directory", first), ("the same again", again)):
        print(f"{name:28}{statistics.median(times):9.2f} s")


def listing(options: argparse.Namespace, folder: Path) -> None:
    """A bucket of many objects, listed page by page: the first pages against the last ones."""
    with ExitStack() as stack:
        server = start_reference(folder / "listing")
        stack.callback(server.stop)
        empty = b"x"
        batch(server, [server.put(f"/{BUCKET}/o{number:07}", empty) for number in range(options.objects)], 8)
        pages, counted, marker = [], 0, ""
        while True:
            target = f"/{BUCKET}/?marker={marker}"
            request = server.head("GET", f"/{BUCKET}/").replace(f"/{BUCKET}/ ".encode(), target.encode() + b" ", 1)
            started = time.perf_counter()
            answer = server.ask(request)
            pages.append((time.perf_counter() - started) * 1000)
            counted += answer.count(b"<Key>")
            found = re.search(rb"<NextMarker>([^<]*)", answer)
            if found is None:
                break
            marker = found[1].decode()
    if counted != options.objects:
        raise SystemExit(f"{counted} of {options.objects} objects were listed.")
    tenth = max(1, len(pages) // 10)
    head, tail = statistics.median(pages[:tenth]), statistics.median(pages[-tenth - 1 : -1])
    print(f"\n{counted} objects, {len(pages)} pages; ms a page, medians\n")
    print(f"{'first tenth':28}{head:9.1f}\n{'last tenth':28}{tail:9.1f}\n{'ratio':28}{tail / head:9.2f}")


SECTIONS: dict[str, Callable[[argparse.Namespace, Path], None]] = {
    "small": small, "large": large, "memory": memory, "parts": many_parts, "start": start, "listing": listing
}  # fmt: skip


def _against(text: str) -> tuple[str, Path]:
    name, _, root = text.partition("=")
    return name, Path(root)


def main() -> None:
    """All sections, or the ones asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("section", nargs="*", choices=[*SECTIONS, []], help="default: all of them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=6000, help="of 5,242 bytes, a round (default: 6000)")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--large-mib", type=int, default=512, help="for throughput (default: 512)")
    parser.add_argument("--huge-mib", type=int, default=2048, help="for memory (default: 2048)")
    parser.add_argument("--parts", type=int, default=10_000, help="of one upload (default: 10000)")
    parser.add_argument("--objects", type=int, default=100_000, help="in the listed bucket (default: 100000)")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="without moto_server and s3rver")
    parser.add_argument(
        "--against", action="append", default=[], type=_against, metavar="NAME=CHECKOUT",
        help="the reference server of another checkout too",
    )  # fmt: skip
    options = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    print(f"{machine}, load {os.getloadavg()[0]:.1f}")
    for name in options.section or SECTIONS:
        with tempfile.TemporaryDirectory(prefix="obs-bench-") as folder:
            SECTIONS[name](options, Path(folder))


if __name__ == "__main__":
    main()
