"""Our whole run over a generated library: load, check, sign, play, judge, evidence, results file, report if asked."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from conformance import verdict
from conformance.campaign import Campaign, make_plan
from conformance.casefile import LIBRARY_ROOT, load_library
from conformance.journal import Journal
from conformance.results import Redactor, ResultsFile
from conformance.transport import open_transport
from conformance.vocabulary import Identity, Target
from conformance.world import World

CASE = """\
- id: BENCH-{number:05}-001
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


def main(port: int, library_folder: Path, jobs: int, *, report: bool) -> None:
    """Run as the command line does."""
    library = load_library(library_folder)
    target = Target("bench", f"http://127.0.0.1:{port}", {"owner": Identity("AK", "secret")})
    plan = make_plan(library, "bench")
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
        results = []
        for result in campaign.run(jobs):
            results.append(result)
            results_file.case(result)
        summary = verdict.conclude(plan.requirements, results)
        if summary.conclusion != "conformant":
            raise SystemExit(summary.headline)
        results_file.footer(summary, 0, {"created": 0, "removed": 0, "left": []}, world.stamp())
        if report:
            from reports.html import write_html

            write_html(out / "results.jsonl", out / "report.html")
        transport.close()
        journal.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), report=sys.argv[4] == "report")
