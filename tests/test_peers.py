"""What the documentation says of other servers, against the published comparison report."""

import re
from pathlib import Path

import pytest

from conformance.casefile import load_library

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "peers.md").read_text("utf-8")
REPORT = (ROOT / "reports" / "examples" / "moto-and-s3rver.html").read_text("utf-8")
RUNS = ("moto", "s3rver")
CASES = re.compile(r"KMS-([A-Z]+)-(\d{3}(?: to \d{3})?(?:, \d{3}(?: to \d{3})?)*)")
CELL = re.compile(r'<td class="(\w+)"><button type="button" data-run="(\d)" data-case="(KMS[^"/]+)')


def told(server):
    """The cases that the table of a server names; "001 to 003" is a range."""
    section = PAGE.partition(f"\n## {server}\n")[2].partition("\n## ")[0]
    table = "\n".join(line for line in section.splitlines() if line.startswith("| "))
    for area, numbers in CASES.findall(table):
        for first, _, last in (number.partition(" to ") for number in numbers.split(", ")):
            yield from (f"KMS-{area}-{number:03}" for number in range(int(first), int(last or first) + 1))


def reported(server, *rungs):
    run = str(RUNS.index(server))
    return {case for rung, where, case in CELL.findall(REPORT) if where == run and rung in rungs}


def test_each_reported_failure_of_moto_is_accounted_for_and_nothing_else_is():
    assert reported("moto", "fail") > {"KMS-FORM-001", "KMS-POLICY-010"}
    assert set(told("moto")) == reported("moto", "fail", "warn", "blocked", "not_run", "setup_failed")


def test_the_table_of_s3rver_names_nothing_that_is_not_reported():
    assert set(told("s3rver")) < reported("s3rver", "fail", "warn", "not_run")


@pytest.mark.parametrize("server", RUNS)
def test_cited_clauses_exist(server):
    section = PAGE.partition(f"\n## {server}\n")[2].partition("\n## ")[0]
    cited = set(re.findall(r"(?:SSEKMS|OBS\d{4})-[SR]\d+", section))
    assert len(cited) > 10
    assert cited <= set(load_library().requirements)
