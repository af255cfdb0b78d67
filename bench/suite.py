"""Our whole run over a generated library: load, check, sign, play, judge, evidence, results file, report if asked.

Exits as the command line does and prints one JSON line about where the time went.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import shutil
import tempfile
import time
from pathlib import Path

from conformance import verdict
from conformance.campaign import Campaign, Plan, make_plan
from conformance.casefile import LIBRARY_ROOT, load_library
from conformance.journal import Journal
from conformance.results import Redactor, ResultsFile, footer_line
from conformance.transport import open_transport
from conformance.vocabulary import Identity, Target
from conformance.world import World

CASE = """\
- id: BENCH-{number:06}-001
  says: PUT and HEAD agree
  cites: [SSEKMS-S44]
  level: must
  steps:
  - request:
      method: PUT
      object: '{{fresh}}'
      headers: ['x-obs-server-side-encryption: kms']
      body: {{size: 5242}}
    expect: [{{status: 200}}]
  - request: {{method: HEAD, object: '{{fresh}}'}}
    expect:
    - {{status: 200}}
    - {{header: x-obs-server-side-encryption, equals: kms}}
    - {{header: Server, equals: OBS}}
    - {{header: ETag, matches: '{{shape.etag}}'}}
    - {{header: x-obs-request-id, matches: '{{shape.request_id}}'}}
    - {{header: x-obs-server-side-encryption-kms-key-id, matches: '{{shape.long_key_id}}'}}
"""
PER_FILE = 100


def write_library(folder: Path, cases: int) -> None:
    """A library of so many cases, a hundred to a file."""
    for name in ("case.schema.json", "requirements.schema.json", "profile.schema.json", "shapes.yaml"):
        shutil.copy(LIBRARY_ROOT / name, folder / name)
    (folder / "requirements").mkdir()
    shutil.copy(LIBRARY_ROOT / "requirements" / "sse-kms.yaml", folder / "requirements")
    (folder / "profiles").mkdir()
    (folder / "profiles" / "bench.yaml").write_text("name: bench\ntitle: B\nclauses: [SSEKMS-S44]\n", "utf-8")
    (folder / "bench").mkdir()
    for start in range(0, cases, PER_FILE):
        text = "".join(CASE.format(number=number) for number in range(start, min(start + PER_FILE, cases)))
        (folder / "bench" / f"{start:06}.yaml").write_text(f"format: 1\narea: bench\ncases:\n{text}", "utf-8")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(options: argparse.Namespace) -> int:
    """Run as the command line does; returns its exit code."""
    started = time.perf_counter()
    library = load_library(options.library)
    load_s, loaded_mb = time.perf_counter() - started, _peak_mb()
    target = Target("bench", f"http://127.0.0.1:{options.port}", {"owner": Identity("AK", "secret")})
    whole = make_plan(library, "bench")
    number, of = map(int, options.shard.split("/"))
    plan = Plan(whole.profile, whole.requirements, whole.cases[number - 1 :: of] * options.times)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        journal, transport, world = (
            Journal(out / "journal.jsonl", target.endpoint),
            open_transport(target),
            World.from_seed(1),
        )
        campaign = Campaign(plan, library, target, world, journal, transport=transport)
        results_file = ResultsFile(out / "results.jsonl", Redactor(target.secrets()))
        results_file.header(
            library=library, profile=plan.profile, requirements=plan.requirements, target=target, cases=plan.cases,
            seed=1, started=world.stamp(),
        )  # fmt: skip
        campaign.prepare()
        tally = verdict.Tally()
        played, cpu = time.perf_counter(), time.process_time()
        gc.freeze()
        for result in campaign.run(options.jobs):
            tally.add(result)
            results_file.case(result)
        play_s, play_cpu_s = time.perf_counter() - played, time.process_time() - cpu
        cleaned = campaign.clean_up(options.jobs) if options.clean_up else None
        summary = tally.conclude(plan.requirements)
        code = verdict.EXIT[summary.conclusion]
        cleanup = {"created": cleaned.created, "removed": cleaned.removed, "left": []} if cleaned else {}
        cleanup = cleanup or {"created": 0, "removed": 0, "left": []}
        results_file.footer(footer_line(summary, code, cleanup=cleanup, ended=world.stamp(), declared=frozenset()))
        if options.report:
            from reports.html import write_html

            write_html(out / "results.jsonl", out / "report.html")
        transport.close()
        journal.close()
    told = {"cases": len(plan.cases), "load_s": load_s, "play_s": play_s, "play_cpu_s": play_cpu_s}
    print(json.dumps({**told, "loaded_mb": loaded_mb, "peak_mb": _peak_mb(), "headline": summary.headline}))
    return code


def parse() -> argparse.Namespace:
    """The options of the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("library", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="only every Nth case from the Ith on")
    parser.add_argument("--times", type=int, default=1, help="play the library so many times in one run")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--clean-up", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main(parse()))
