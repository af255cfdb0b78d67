"""Literal tests of what counts as a change."""

from __future__ import annotations

import pytest

from reports.changes import Changes, Difference, Standing, changes, compare, difference
from reports.model import Check, read_results
from reports.tests import samples

ABSENT, OTHER = Difference("header etag", "absent"), Difference("header etag", "differs")


def fail(step: str = "step 1", what: Difference = ABSENT) -> Standing:
    return Standing("fail", frozenset({(step, what)}))


def check(**parts: str) -> Check:
    given = {"step": "step 1", "word": "equals", "subject": "status", "wanted": "x", "got": "y", "says": "z"} | parts
    return Check(clauses=(), level="must", held=False, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"subject": "header ETag", "got": "(absent)"}, Difference("header etag", "absent")),
        ({"subject": "header ETag", "got": "'1'"}, Difference("header etag", "differs")),
        ({"subject": "header ETag", "got": "'1'", "word": "absent"}, Difference("header etag", "present")),
        (
            {"subject": "header ETag", "got": "'1', '1'", "says": "header ETag occurs 2 times: '1', '1'"},
            Difference("header etag", "repeated"),
        ),
        ({"subject": "status", "got": "201 Created"}, Difference("status", "is 201 Created")),
    ],
)
def test_difference_keeps_the_kind_and_drops_the_value_of_the_day(parts: dict[str, str], expected: Difference) -> None:
    assert difference(check(**parts)) == expected


@pytest.mark.parametrize(
    ("old", "new", "group"),
    [
        (Standing("pass"), fail(), "new_failures"),
        (Standing("not_run"), fail(), "new_failures"),
        (fail(), Standing("pass"), "fixed"),
        (fail(), Standing("warn"), "fixed"),
        (fail(), Standing("not_run"), "moved"),
        (fail(), fail(what=OTHER), "differently"),
        (fail(), fail(step="step 2"), "differently"),
        (Standing("pass"), Standing("blocked"), "moved"),
        (fail(), fail(), None),
        (Standing("pass"), Standing("pass"), None),
    ],
)
def test_a_case_of_both_runs_is_in_one_group(old: Standing, new: Standing, group: str | None) -> None:
    expected = Changes(**({group: ("k",)} if group else {}))  # type: ignore[arg-type]
    assert changes({"k": old}, {"k": new}) == expected
    assert expected.none == (group is None)
    assert expected.regressed == (group in {"new_failures", "differently"})


def test_cases_that_came_and_went_are_named_in_their_order() -> None:
    found = changes(
        {"b": fail(), "a": Standing("pass"), "k": fail()},
        {"k": fail(), "z": fail(), "c": Standing("pass")},
    )
    assert found == Changes(new_cases=("z", "c"), new_cases_failing=("z",), removed_cases=("b", "a"))
    assert found.regressed
    assert not changes({"b": fail()}, {}).regressed


def test_two_results_files_are_compared_by_case_id(tmp_path) -> None:
    old = read_results(samples.write(tmp_path / "old", samples.run()))
    passed = samples.put(samples.run(), (1, "rung"), "pass")
    new = read_results(samples.write(tmp_path / "new", samples.put(passed, (1, "checks"), [])))
    assert compare(old, new) == Changes(fixed=("put-1/kms",))
    assert compare(new, old) == Changes(new_failures=("put-1/kms",))
    assert compare(new, new).none
