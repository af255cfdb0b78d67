"""The same wrong and harmless servers through real sockets: every verdict must be the one found in process.

Part of the composition root. Starts the bundled server as a child process, as any run without a target does.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.bundled import bundled_server
from conformance.campaign import Campaign
from conformance.casefile import LIBRARY_ROOT
from conformance.detection import ground_of
from conformance.journal import Journal
from conformance.target import load_target
from conformance.transport import open_transport
from conformance.world import World
from reference_server.defects import DEFECTS
from reference_server.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterator

JOBS = 4


def sample(count: int, seed: int) -> tuple[str, ...]:
    """Names of servers drawn by lot, about half of them harmless; those that exist in process only are left out."""
    dice = random.Random(seed)  # noqa: S311 - a sample, not a secret
    wrong = [defect.name for defect in DEFECTS.values() if defect.reads is None]
    harmless = dice.sample(list(VARIANTS), min(count // 2, len(VARIANTS)))
    return (*dice.sample(wrong, min(count - len(harmless), len(wrong))), *harmless)


def disagreements(name: str) -> Iterator[tuple[str, str, str]]:
    """(case, rung in process, rung over HTTP) wherever the two differ."""
    ground = ground_of(LIBRARY_ROOT)
    server = DEFECTS.get(name) or VARIANTS[name]
    kind = "--defect" if name in DEFECTS else "--variant"
    here = dict(ground.rungs) | {
        result.case.id: result.rung for result in ground.stage.play(server.seams(), ground.reach[name])
    }
    there = _over_http((kind, name))
    for case, rung in here.items():
        if there[case] != rung:
            yield case, rung, there[case]


def _over_http(arguments: tuple[str, str]) -> dict[str, str]:
    """Cases play against the wrong server; buckets are made and removed there too, as in any run."""
    stage = ground_of(LIBRARY_ROOT).stage
    with bundled_server(arguments) as target_file:
        target = load_target(target_file)
        transport = open_transport(target)
        journal = Journal(Path(os.devnull), target.endpoint)
        try:
            campaign = Campaign(stage.plan, stage.library, target, World.from_seed(), journal, transport=transport)
            campaign.prepare()
            return {result.case.id: result.rung for result in campaign.run(JOBS)}
        finally:
            transport.close()
            journal.close()
