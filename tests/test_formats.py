"""Formats, comparison of endpoints and of runs, from outside."""

import json

import haralyzer
import junitparser
import pytest
from commands import obs, reference_server

SELECT = ("--select", "KMS-READ-00", "--select", "KMS-SAMPLE")
FILES = ("report.html", "junit.xml", "summary.json", "results.sarif", "exchanges.har", "summary.md", "badge.svg")
FORMATS = [word for name in ("json", "sarif", "har", "markdown", "badge") for word in ("--format", name)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A good run with every format, and one of a server that ignores ranges."""
    folder = tmp_path_factory.mktemp("runs")
    obs("run", *SELECT, "--out", folder / "good", *FORMATS)
    with reference_server(folder, "--defect", "range-ignored") as (target, _):
        obs("run", *SELECT, "--target", target, "--out", folder / "bad")
    return folder


def test_run_and_report_write_the_same_formats(runs, tmp_path):
    again = obs("report", runs / "good" / "results.jsonl", "--out", tmp_path, *FORMATS)
    assert again.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (runs / "good" / name).read_bytes()


def test_only_what_is_asked_for_is_written_beside_report_and_junit(runs):
    assert {path.name for path in (runs / "bad").iterdir()} == {*FILES[:2], "results.jsonl", "journal.jsonl"}


def test_every_format_tells_the_same_run(runs):
    good = runs / "good"
    lines = [json.loads(line) for line in (good / "results.jsonl").read_text().splitlines()]
    cases, headline = lines[1:-1], lines[-1]["headline"]
    summary = json.loads((good / "summary.json").read_text())
    assert {case["id"]: case["rung"] for case in summary["cases"]} == {case["id"]: case["rung"] for case in cases}
    assert summary["headline"] == headline
    archive = haralyzer.HarParser(json.loads((good / "exchanges.har").read_text()))
    assert [len(page.entries) for page in archive.pages] == [len(case["exchanges"]) for case in cases]
    entry = archive.pages[0].entries[0]
    assert entry.request.url.startswith(lines[0]["target"]["endpoint"])
    assert entry.startTime.timestamp() == pytest.approx(cases[0]["exchanges"][0]["asked"], abs=0.001)
    (suite,) = junitparser.JUnitXml.fromfile(str(good / "junit.xml"))
    assert suite.tests == len(cases)
    results = json.loads((good / "results.sarif").read_text())["runs"][0]["results"]
    assert {result["locations"][0]["logicalLocations"][0]["name"] for result in results} == {
        case["id"] for case in cases
    }
    assert headline.partition(":")[0] in (good / "summary.md").read_text()
    assert "inconclusive" in (good / "badge.svg").read_text()


def test_several_results_make_the_matrix(runs, tmp_path):
    done = obs("report", runs / "good" / "results.jsonl", runs / "bad" / "results.jsonl", "--out", tmp_path)
    assert (done.returncode, done.stdout) == (0, f"comparison: {tmp_path / 'comparison.html'}\n")
    page = (tmp_path / "comparison.html").read_text("utf-8")
    first = page.index('<tbody class="differs"')
    assert page.index("OBS0083-S01", first) < page.index('<tbody class=""')
    assert 'data-run="1" data-case="KMS-READ-003">✗ fail<' in page


def test_compare_says_what_changed_and_its_exit_code_says_whether_it_is_worse(runs, tmp_path):
    good, bad = runs / "good" / "results.jsonl", runs / "bad" / "results.jsonl"
    worse, better, same = obs("compare", good, bad), obs("compare", bad, good), obs("compare", good, good)
    assert (worse.returncode, better.returncode, same.returncode) == (1, 0, 0)
    assert worse.stdout.startswith("Worse: ")
    assert "\nNew failures (" in worse.stdout
    assert "  KMS-READ-003  pass -> fail  " in worse.stdout
    assert "\nFixed (" in better.stdout
    assert same.stdout == "Nothing changed.\n"
    lines = good.read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "cut.jsonl").write_text("".join(lines[: len(lines) // 2]), "utf-8")
    unfinished = obs("compare", good, tmp_path / "cut.jsonl")
    assert (unfinished.returncode, unfinished.stdout.partition(":")[0]) == (
        3,
        "Inconclusive, for the new run did not finish",
    )
    for form, mark in (
        ("json", '"regressed": true'),
        ("markdown", "### New failures ("),
        ("html", '<h2 id="new_failures">'),
    ):
        done = obs("compare", good, bad, "--format", form, "--out", tmp_path / form)
        assert (done.returncode, done.stdout) == (1, worse.stdout.splitlines()[0] + "\n")
        assert mark in (tmp_path / form).read_text("utf-8")


def test_usage_errors_are_one_line(runs, tmp_path):
    good = runs / "good" / "results.jsonl"
    for arguments, says in (
        (("compare", good, tmp_path / "none"), "none, line 0: the file cannot be read"),
        (("compare", good, good, "--out", tmp_path / "no" / "where"), "cannot be written"),
        (("report", good, good, "--format", "har"), "--format is of one run"),
        (("report", good, tmp_path / "none"), "the file cannot be read"),
    ):
        done = obs(*arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert says in done.stderr
    assert obs("report", good, "--format", "word").returncode == 2
