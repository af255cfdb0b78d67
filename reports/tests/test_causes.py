"""Literal tests of how failing cases are gathered."""

from __future__ import annotations

from reports.causes import Symptom, Wrong, causes, symptom
from reports.changes import Difference
from reports.model import read_results
from reports.tests import samples

KEY, ETAG = Difference("header key", "absent"), Difference("header etag", "differs")


def ill(number: int, *differences: Difference, rung: str = "fail", requests: int = 1) -> Symptom:
    return Symptom(
        number=number,
        id=f"c-{number}",
        says="",
        rung=rung,  # type: ignore[arg-type]
        requests=requests,
        differences={found: Wrong("said", (f"K-{number % 2}",)) for found in differences},
    )


def gathered(*symptoms: Symptom) -> list[tuple[Difference, int, list[int]]]:
    return [
        (cause.difference, cause.root.number, [item.number for item in cause.followers]) for cause in causes(symptoms)
    ]


def test_cases_that_share_a_difference_are_one_cause() -> None:
    assert gathered(ill(1, KEY), ill(2, KEY, ETAG), ill(3, KEY)) == [(KEY, 1, [2, 3])]


def test_a_case_stands_under_the_difference_most_cases_share() -> None:
    assert gathered(ill(1, ETAG), ill(2, ETAG, KEY), ill(3, KEY), ill(4, KEY)) == [(KEY, 3, [2, 4]), (ETAG, 1, [])]


def test_every_case_stands_under_one_cause_and_none_is_lost() -> None:
    symptoms = [ill(number, *((KEY,) if number % 2 else (ETAG,))) for number in range(1, 8)]
    assert sorted(item.number for cause in causes(symptoms) for item in cause.cases) == list(range(1, 8))
    assert causes([]) == ()


def test_the_root_is_a_failure_with_little_else_wrong_and_few_requests() -> None:
    found = gathered(ill(1, KEY, rung="setup_failed"), ill(2, KEY, ETAG), ill(3, KEY, requests=4), ill(4, KEY))
    assert found == [(KEY, 4, [1, 2, 3])]


def test_causes_that_fail_a_target_come_before_those_that_only_warn() -> None:
    warned = [ill(number, ETAG, rung="warn") for number in (1, 2, 3)]
    assert [found for found, *_ in gathered(*warned, ill(4, KEY))] == [KEY, ETAG]


def test_clauses_of_a_cause_are_those_its_difference_breaks_the_most_frequent_first() -> None:
    (cause,) = causes([ill(2, KEY), ill(1, KEY), ill(3, KEY)])
    assert cause.clauses == ("K-1", "K-0")
    assert (cause.count("fail"), cause.count("warn")) == (3, 0)


def test_a_symptom_has_the_differences_of_its_case_and_else_its_reason(tmp_path) -> None:
    cases = read_results(samples.write(tmp_path / "results", samples.run())).cases
    assert symptom(1, cases[0]).differences == {
        Difference("header x-mode", "differs"): Wrong("the mode differs", ("K-1",)),
        Difference("header x-key", "differs"): Wrong("", ("K-2",)),
    }
    assert symptom(8, cases[8]).differences == {Difference("not_run", "reason not_run"): Wrong("reason not_run")}
