"""How many requests a second exploration plays and judges in process, for each of a few seeds."""

from __future__ import annotations

import argparse
import time

from conformance.casefile import load_library
from conformance.explore.search import Search, explore, sequences
from conformance.selftest import campaign_in_process
from reference_server.service import HONEST


def main() -> None:
    """Print requests, cases, and requests a second of wall and of processor time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000, metavar="N", help="of each seed (default: 10000)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="how many seeds (default: 3)")
    options = parser.parse_args()
    library = load_library()
    for seed in range(1, options.seeds + 1):
        with campaign_in_process(library, HONEST, seed) as campaign:
            wall, processor = time.perf_counter(), time.process_time()
            *found, tally = explore(
                campaign.play_case, [sequences()], first_seed=seed, seconds=3600.0, steps=options.requests
            )
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
        assert isinstance(tally, Search)  # noqa: S101 - the last of the results
        rates = f"{tally.steps / wall:.0f} requests/s ({tally.steps / processor:.0f} of processor time)"
        print(f"seed {seed}: {tally.steps} requests, {tally.examples} cases, {len(found)} found, {rates}")


if __name__ == "__main__":
    main()
