"""Tests of reading: what is taken, what is refused, and what the refusal says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, get_args

import pytest

from reports import model
from reports.tests import samples

if TYPE_CHECKING:
    from pathlib import Path


def read_text(tmp_path: Path, text: str) -> model.Results:
    path = tmp_path / "results.jsonl"
    path.write_text(text, encoding="utf-8")
    return model.read_results(path)


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


RUN = samples.run()
HEADER, CASE, FOOTER = RUN[0], RUN[1], RUN[-1]


def test_finished_run_is_read_whole(tmp_path: Path) -> None:
    results = model.read_results(samples.write(tmp_path / "r.jsonl", RUN))
    assert results.finished
    assert [case.id for case in results.cases] == HEADER["planned"]
    assert results.headline == "1 MUST failed."
    assert results.exercised == 2
    assert results.missing == ()
    assert results.cases[0].exchanges[0].received.body == b"\x00\xff<b>"
    assert [check.subject for check in results.cases[0].unmet] == ["header x-mode", "header X-Key"]


def test_missing_footer_is_an_unfinished_run(tmp_path: Path) -> None:
    results = model.read_results(samples.write(tmp_path / "r.jsonl", RUN[:2]))
    assert not results.finished
    assert results.exercised is None
    assert results.missing == tuple(HEADER["planned"][1:])
    assert results.headline.startswith("The run did not finish: 1 of 9 ")


def test_line_cut_off_at_the_end_is_an_unfinished_run(tmp_path: Path) -> None:
    results = read_text(tmp_path, lines(HEADER, CASE) + '{"kind": "case", "id": "ha')
    assert not results.finished
    assert [case.id for case in results.cases] == [CASE["id"]]


def test_unknown_members_are_left_alone(tmp_path: Path) -> None:
    assert read_text(tmp_path, lines(HEADER, CASE | {"later": 1}, FOOTER)).cases[0].id == CASE["id"]


def deep(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels):
        value = [value]
    return value


def without(record: samples.Record, name: str) -> samples.Record:
    return {key: value for key, value in record.items() if key != name}


REFUSED = {
    "not_json": (lines(HEADER) + "<html>\n", 2, "not JSON"),
    "nothing_but_half_a_line": ("{", 1, "not JSON"),
    "not_an_object": (lines(HEADER, [1]), 2, "not a JSON object"),
    "too_deep": (lines(HEADER) + "[" * 200_000 + "\n", 2, "not JSON"),
    "unknown_kind": (lines(HEADER, {"kind": "wine"}), 2, "unknown kind of line: 'wine'"),
    "kind_of_no_kind": (lines(HEADER, {"kind": []}), 2, "unknown kind of line: []"),
    "empty": ("", 1, "the header is missing"),
    "case_first": (lines(CASE), 1, "the header is missing"),
    "format_2": (lines(HEADER | {"format": 2}), 1, "unknown format version: 2"),
    "format_true": (lines(HEADER | {"format": True}), 1, "unknown format version: True"),
    "two_headers": (lines(HEADER, HEADER), 2, "a second header"),
    "two_results": (lines(HEADER, CASE, CASE), 3, "a second result for case 'put-1/kms'"),
    "escapes": (
        lines(HEADER, *[CASE | {"id": "\x1b[2Jx"}] * 2),
        3,
        r"a second result for case '\x1b[2Jx'",
    ),
    "escapes_in_a_name": (
        lines(HEADER, *samples.put([FOOTER], (0, "counts"), {"\x1b[2J": "x"})),
        2,
        r"footer.counts['\x1b[2J'] is a str, not a int",
    ),
    "deep_last_line": (lines(HEADER, CASE) + '{"kind": "footer", "x": ' + "[" * 200_000 + "\n", 3, "not JSON"),
    "kind_after_footer": (lines(HEADER, FOOTER, {"kind": []}), 3, "unknown kind of line: []"),
    "digits": (lines(HEADER, CASE | {"duration_ms": 10**400}), 2, "case.duration_ms is a number with too many digits"),
    "deep_word": (lines(HEADER, CASE | {"rung": deep(300)}), 2, "case.rung is [[[[[[[...]]]]]]], not one of pass"),
    "after_footer": (lines(HEADER, FOOTER, CASE), 3, "a case after the footer"),
    "member_missing": (lines(HEADER, without(CASE, "rung")), 2, "case.rung is missing"),
    "unknown_rung": (lines(HEADER, CASE | {"rung": "fine"}), 2, "case.rung is 'fine', not one of pass, fail"),
    "wrong_type": (lines(HEADER, CASE | {"cites": "K-1"}), 2, "case.cites is a str, not a list"),
    "true_is_no_number": (lines(HEADER, CASE | {"line": True}), 2, "case.line is a bool, not a int"),
    "no_byte": (
        lines(*samples.put([HEADER, CASE], (1, "exchanges", 0, "sent", "head"), "\u20ac")),
        2,
        "case.exchanges[0].sent.head has a code point above 255",
    ),
}


@pytest.mark.parametrize(("text", "line", "problem"), REFUSED.values(), ids=REFUSED)
def test_refusal_names_file_line_problem_and_remedy(tmp_path: Path, text: str, line: int, problem: str) -> None:
    with pytest.raises(model.ResultsError) as caught:
        read_text(tmp_path, text)
    error = caught.value
    assert (error.file, error.line) == (tmp_path / "results.jsonl", line)
    assert error.problem.startswith(problem)
    assert error.remedy
    assert str(error) == f"{error.file}, line {line}: {error.problem}. {error.remedy}."


def streamed(tmp_path: Path, text: str) -> list[object]:
    path = tmp_path / "results.jsonl"
    path.write_text(text, encoding="utf-8")
    return [record["id"] for _, record in model.Stream(path).cases()]


@pytest.mark.parametrize(
    "name",
    ["not_an_object", "too_deep", "deep_last_line", "unknown_kind", "kind_of_no_kind", "kind_after_footer", "two_results",
     "escapes"],
)  # fmt: skip
def test_a_stream_says_the_same_of_lines_that_are_none(tmp_path: Path, name: str) -> None:
    text, line, problem = REFUSED[name]
    with pytest.raises(model.ResultsError) as caught:
        streamed(tmp_path, text)
    assert (caught.value.line, caught.value.problem[: len(problem)]) == (line, problem)


def test_file_that_is_not_there_is_a_results_error(tmp_path: Path) -> None:
    with pytest.raises(model.ResultsError, match="cannot be read"):
        model.read_results(tmp_path / "nowhere.jsonl")


def test_model_knows_exactly_the_words_of_the_schema() -> None:
    words = samples.SCHEMA["$defs"]
    footer = words["footer"]["properties"]
    verdict = footer["clauses"]["additionalProperties"]["properties"]["verdict"]
    pairs = [
        (model.Level, words["level"]),
        (model.Rung, words["rung"]),
        (model.ClauseLevel, words["header"]["properties"]["clauses"]["items"]["properties"]["level"]),
        (model.ClauseVerdict, verdict),
        (model.Conclusion, footer["conclusion"]),
    ]
    assert [get_args(ours) for ours, _ in pairs] == [tuple(theirs["enum"]) for _, theirs in pairs]
    assert words["header"]["properties"]["format"]["const"] == model.FORMAT
