"""Tests of the matrix: order, cells, evidence, and that hostile text stays text."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from reports.comparison import ABSENT, MARKS, letter, matrix, write_comparison
from reports.model import read_results
from reports.tests import samples
from reports.tests.pages import HOSTILE, Structure

if TYPE_CHECKING:
    from pathlib import Path

    from reports.model import Results


def good() -> list[samples.Record]:
    """A run of the same cases in which the first passes and K-1 holds."""
    records = samples.run()
    records[1] |= {"rung": "pass", "checks": [samples.check()], "reason": ""}
    records[-1]["clauses"]["K-1"]["verdict"] = "holds"
    records[0]["target"]["name"] = "Other"
    return records


def runs(tmp_path: Path, *several: list[samples.Record]) -> list[Results]:
    return [read_results(samples.write(tmp_path / f"{number}.jsonl", one)) for number, one in enumerate(several)]


def page(tmp_path: Path, *several: list[samples.Record]) -> Structure:
    write_comparison(runs(tmp_path, *several), tmp_path / "c.html")
    return Structure((tmp_path / "c.html").read_text("utf-8"))


def evidence(found: Structure) -> list[dict[str, Any]]:
    """What the script unpacks."""
    data = re.search(r'id="evidence">(.*?)</script>', found.source)
    assert data is not None
    return [
        {id_: json.loads(zlib.decompress(base64.b64decode(packed))) for id_, packed in run.items()}
        for run in json.loads(data[1])
    ]


def test_disagreement_comes_first_and_then_the_worse(tmp_path: Path) -> None:
    mixed = good()
    mixed[-1]["clauses"]["K-3"] = {"verdict": "holds", "cases": ["c-pass"]}
    found = matrix(runs(tmp_path, samples.run(), mixed))
    assert [row.clause.id for row in found.clauses] == ["K-1", "K-3", "K-2"]
    assert [row.differs for row in found.clauses] == [True, True, False]
    assert found.disagreements == 2
    assert [cell.standing for cell in found.clauses[0].cells] == ["broken", "holds"]
    assert found.clauses[0].cases[0].id == "put-1/kms"
    assert [row.differs for row in found.clauses[0].cases] == [True] + [False] * 8


def test_a_clause_opens_the_case_that_decided_it_in_that_run(tmp_path: Path) -> None:
    first, *_ = matrix(runs(tmp_path, samples.run(), good())).clauses
    assert [cell.opens for cell in first.cells] == ["put-1/kms", "put-1/kms"]
    records = samples.run()
    records[2]["checks"], records[1]["checks"] = [samples.check(held=False)], []
    records[2]["rung"] = "fail"
    first, *_ = matrix(runs(tmp_path, records)).clauses
    assert first.cells[0].opens == "c-pass"


def test_what_a_run_does_not_have_disagrees_with_nobody(tmp_path: Path) -> None:
    small = samples.run()
    del small[2:10]
    small[0]["clauses"] = small[0]["clauses"][:1]
    small[0]["planned"] = ["put-1/kms"]
    small[-1]["clauses"] = {"K-1": small[-1]["clauses"]["K-1"]}
    found = matrix(runs(tmp_path, samples.run(), small))
    rows = {row.clause.id: row for row in found.clauses}
    assert [cell.standing for cell in rows["K-2"].cells] == ["holds", ABSENT]
    assert not any(row.differs for row in found.clauses)
    assert [cell.standing for row in rows["K-1"].cases if row.id == "c-pass" for cell in row.cells] == ["pass", ABSENT]


def test_observations_stand_side_by_side_the_different_ones_first(tmp_path: Path) -> None:
    records = samples.run()
    records[1]["observations"].insert(0, {"step": "step 1", "name": "same", "value": "", "clauses": []})
    other = samples.put(records, (1, "observations", 1, "value"), "t")
    rows = matrix(runs(tmp_path, records, other)).observations
    assert [(row.name, row.values, row.differs) for row in rows] == [
        ("server", ("s", "t"), True),
        ("same", ("(empty)", "(empty)"), False),
    ]


def test_unlike_and_unfinished_runs_are_told(tmp_path: Path) -> None:
    other = samples.put(samples.run()[:-1], (0, "profile", "name"), "p2")
    found = page(tmp_path, samples.run(), other)
    assert "The runs have different profiles: sse-kms-2024-01, p2." in found.source
    assert "Run B did not finish." in found.source
    assert [cell.standing for cell in matrix(runs(tmp_path, other)).clauses[0].cells] == ["no_verdict"]


def test_every_cell_of_a_played_case_is_a_button_whose_evidence_is_on_the_page(tmp_path: Path) -> None:
    found = page(tmp_path, samples.run(), good())
    kept = evidence(found)
    buttons = [found for tag, found in found.attributes if tag == "button" and "data-case" in found]
    assert len(buttons) > 2 * 9
    assert all(button["data-case"] in kept[int(button["data-run"])] for button in buttons)
    case = kept[0]["put-1/kms"]
    assert case["exchanges"][0]["sent"].startswith("PUT /bucket/key HTTP/1.1\nHost: h")
    assert case["exchanges"][0]["unmet"] is True
    assert r"Server: s\xe9" in case["exchanges"][0]["received"]
    assert case["unmet"][0].startswith("step 1 [K-1] the mode differs (wanted kms; got wrong)")


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    found = page(tmp_path, samples.run(), good())
    policies = [values["content"] for _, values in found.attributes if "http-equiv" in values]
    assert policies[0].startswith("default-src 'none'; style-src 'sha256-")
    assert not [values for _, values in found.attributes if {"src", "href"} & set(values)]


PLACES = [
    (0, "target", "name"), (0, "target", "endpoint"), (0, "clauses", 0, "says"), (0, "clauses", 0, "id"), (-1, "headline"),
    (1, "id"), (1, "says"), (1, "reason"), (1, "checks", 1, "says"), (1, "observations", 0, "value"), (1, "observations", 0, "name"),
    (1, "exchanges", 0, "outcome"),
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_hostile_text_stays_text(tmp_path: Path, place: tuple[str | int, ...]) -> None:
    benign = page(tmp_path, samples.put(samples.run(), place, "benign"), good())
    hostile = page(tmp_path, samples.put(samples.run(), place, HOSTILE), good())
    assert hostile.tags == benign.tags
    assert not {"\x00", "\x1b", "\u202e"} & set(hostile.source)
    assert "<script>alert" not in hostile.source


@pytest.mark.parametrize("part", ["head", "body"])
def test_hostile_bytes_stay_text(tmp_path: Path, part: str) -> None:
    text = "</script><script>alert(1)</script>\x00\x1b\x9b"
    found = page(tmp_path, samples.put(samples.run(), (1, "exchanges", 0, "received", part), text), good())
    assert found.tags == page(tmp_path, samples.run(), good()).tags
    shown = evidence(found)[0]["put-1/kms"]["exchanges"][0]["received"]
    assert not {"\x00", "\x1b", "\x9b"} & set(shown)


def test_letters_go_on_after_z() -> None:
    assert [letter(number) for number in (0, 25, 26, 51, 52)] == ["A", "Z", "AA", "AZ", "BA"]


def test_every_verdict_and_rung_has_a_mark() -> None:
    assert {case["rung"] for case in samples.run()[1:-1]} <= set(MARKS)
    assert {"holds", "broken", "weak", "observed", "not_exercised", "not_observable"} <= set(MARKS)
