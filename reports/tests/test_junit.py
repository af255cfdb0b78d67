"""Tests of the JUnit file: counts, elements, and that anything at all leaves it well formed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, get_args

import pytest

from reports.junit import ELEMENTS, write_junit
from reports.model import Rung, read_results
from reports.tests import samples

if TYPE_CHECKING:
    from pathlib import Path

RUN = samples.run()
NASTY = "<script>]]>&\"'\x00\x1b\ud800\ufffe\r</pre>"
SHOWN = "<script>]]>&\"'" + r"\x00\x1b\ud800\ufffe\x0d" + "</pre>"


def render(tmp_path: Path, records: list[samples.Record]) -> tuple[str, ET.Element]:
    out = tmp_path / "junit.xml"
    write_junit(read_results(samples.write(tmp_path / "results.jsonl", records)), out)
    text = out.read_text(encoding="utf-8")
    return text, ET.fromstring(text)


def by_name(root: ET.Element) -> dict[str, ET.Element]:
    return {element.attrib["name"]: element for element in root.iter("testcase")}


def test_every_rung_has_its_element(tmp_path: Path) -> None:
    cases = by_name(render(tmp_path, RUN)[1])
    assert {name: [child.tag for child in element] for name, element in cases.items()} == {
        "put-1/kms": ["failure"],
        "c-pass": [],
        "c-warn": ["system-out"],
        "c-observed": ["system-out"],
        "c-not_applicable": ["skipped"],
        "c-blocked": ["error"],
        "c-setup_failed": ["error"],
        "c-harness_error": ["error"],
        "c-not_run": ["error"],
    }
    assert set(ELEMENTS) == set(get_args(Rung))


def test_one_suite_with_the_counts(tmp_path: Path) -> None:
    root = render(tmp_path, RUN)[1]
    (suite,) = root
    totals = {name: suite.attrib[name] for name in ("tests", "failures", "errors", "skipped", "time")}
    assert totals == {"tests": "9", "failures": "1", "errors": "4", "skipped": "1", "time": "0.113"}
    assert {element.attrib["classname"] for element in suite.iter("testcase")} == {"put"}


def test_failure_says_wanted_and_got_of_failing_checks_only(tmp_path: Path) -> None:
    failure = by_name(render(tmp_path, RUN)[1])["put-1/kms"][0]
    mode = "step 1, header x-mode: wanted kms, got wrong (the mode differs) [K-1]"
    key = "step 1, header X-Key: wanted present, got absent [K-2]"
    assert failure.attrib == {"type": "fail", "message": f"The mode is wrong.; {mode}; {key}"}
    assert (failure.text or "").splitlines() == [
        "fail: put-1/kms states a fact",
        "The mode is wrong.",
        "must, cites K-1, K-2",
        mode,
        key,
        "step 1, observed server: s",
        "case file: sse-kms/put.yaml, line 7",
    ]


def test_run_that_did_not_finish_is_in_the_first_line_and_never_green(tmp_path: Path) -> None:
    records = [RUN[0] | {"planned": ["c-pass", "c-later"]}, samples.case("c-pass")]
    text, root = render(tmp_path, records)
    assert "The run did not finish: 1 of 2 planned cases" in text.splitlines()[0]
    assert (root[0].attrib["tests"], root[0].attrib["errors"]) == ("3", "2")
    assert {name for name, element in by_name(root).items() if element.find("error") is not None} == {
        "the run finished",
        "c-later",
    }


def test_unfinished_run_with_all_cases_is_not_green_either(tmp_path: Path) -> None:
    root = render(tmp_path, [RUN[0] | {"planned": ["c-pass"]}, samples.case("c-pass")])[1]
    assert root[0].attrib["errors"] == "1"


def test_finished_run_says_its_headline_first(tmp_path: Path) -> None:
    text, root = render(tmp_path, RUN)
    assert 'name="1 MUST failed."' in text.splitlines()[0]
    properties = {element.attrib["name"]: element.attrib["value"] for element in root.iter("property")}
    assert (properties["conclusion"], properties["seed"]) == ("non-conformant", "4711")


PLACES: list[tuple[str | int, ...]] = [
    (0, "target", "name"),
    (1, "id"),
    (1, "says"),
    (1, "area"),
    (1, "reason"),
    (1, "checks", 1, "wanted"),
    (1, "checks", 1, "got"),
    (1, "checks", 1, "says"),
    (1, "checks", 1, "subject"),
    (1, "observations", 0, "value"),
    (-1, "headline"),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_hostile_text_is_shown_and_stays_text(tmp_path: Path, place: tuple[str | int, ...]) -> None:
    root = render(tmp_path, samples.put(RUN, place, NASTY))[1]
    seen = [text for element in root.iter() for text in (element.text or "", *element.attrib.values())]
    assert any(SHOWN in text for text in seen)
    tags = [element.tag for element in root.iter() if element.tag != "testcase"]
    benign = [element.tag for element in render(tmp_path, RUN)[1].iter() if element.tag != "testcase"]
    assert tags[: len(benign)] == benign
