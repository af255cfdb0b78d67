"""The ladder and the arithmetic of a conclusion."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance import verdict
from conformance.vocabulary import Case, CaseResult, Finding, Observation, Played, Requirement


def requirement(id_="C-1", level="must", observable="yes"):
    return Requirement(id_, "page", "Section", 1, "says", level, "sentence", "why", observable, "c", "k", "f")


def finding(step="step 1", level="must", held=True, clause="C-1"):
    return Finding(step, "status", "status", (clause,), level, held, "wanted", "got", "" if held else "it differs")


def case(id_="X-001", level="must", cites=("C-1",)):
    return Case(id_, "says", "area", level, cites, (), (), "file", 1)


def result(rung="pass", findings=(), observations=(), reason="because", **kwargs):
    return CaseResult(case(**kwargs), rung, reason, Played(tuple(findings), tuple(observations), ()), 1.0)


def grade(*findings, stopped="", unanswered=False, only_observes=False):
    return verdict.grade(Played(findings, (), (), stopped, unanswered=unanswered), only_observes=only_observes)[0]


@pytest.mark.parametrize(
    ("findings", "rung"),
    [
        ((finding(),), "pass"),
        ((finding(held=False),), "fail"),
        ((finding(held=False, level="should"),), "warn"),
        ((finding(held=False, level="should"), finding(held=False)), "fail"),
        ((finding("setup 1", held=False), finding(held=False)), "setup_failed"),
        ((finding("control 1", held=False), finding(held=False)), "blocked"),
        ((finding("setup 1", held=False, level="should"),), "setup_failed"),
    ],
)
def test_rung_of_findings(findings, rung):
    assert grade(*findings) == rung


def test_no_answer_is_never_a_conformance_failure():
    assert grade(finding(held=False), stopped="no answer", unanswered=True) == "not_run"


def test_a_case_that_stopped_for_no_reason_of_the_target_is_a_harness_error():
    assert grade(finding(), stopped="step 1: header A cannot be saved") == "harness_error"


def test_a_case_that_only_observes_is_observed():
    assert grade(only_observes=True) == "observed"


def test_exit_codes_are_distinct_and_fixed():
    assert verdict.EXIT == {"conformant": 0, "non-conformant": 1, "inconclusive": 3, "interrupted": 130}


def test_all_musts_exercised_is_conformant():
    summary = verdict.conclude([requirement()], [result(findings=[finding()])])
    assert summary.conclusion == "conformant"
    assert summary.headline == "Conformant: 1 of 1 MUST clauses exercised, none failed."


def test_empty_run_says_that_nothing_was_measured():
    summary = verdict.conclude([requirement()], [])
    assert summary.conclusion == "inconclusive"
    assert summary.headline.startswith("Nothing was measured")


def test_empty_profile_is_not_conformant():
    assert verdict.conclude([], [result(findings=[finding()])]).conclusion == "inconclusive"


def test_declared_gap_is_no_hindrance_and_an_undeclared_one_is():
    requirements = [requirement("C-1"), requirement("C-2")]
    results = [result(findings=[finding()])]
    assert verdict.conclude(requirements, results).conclusion == "inconclusive"
    assert verdict.conclude(requirements, results, declared=frozenset({"C-2"})).conclusion == "conformant"


def test_an_observation_does_not_exercise_a_must():
    seen = Observation("step 1", "n", "v", ("C-1",))
    summary = verdict.conclude([requirement()], [result("observed", observations=[seen])])
    assert summary.conclusion == "inconclusive"
    assert summary.clauses["C-1"].verdict == "observed"


def test_set_up_and_control_do_not_exercise_a_clause():
    summary = verdict.conclude([requirement()], [result(findings=[finding("setup 1"), finding("control 1")])])
    assert summary.clauses["C-1"].verdict == "not_exercised"


def test_strict_fails_a_broken_should():
    requirements = [requirement(), requirement("C-2", "should")]
    weak = result("warn", [finding(), finding(clause="C-2", level="should", held=False)])
    assert verdict.conclude(requirements, [weak]).conclusion == "conformant"
    assert verdict.conclude(requirements, [weak], strict=True).conclusion == "non-conformant"
    assert verdict.conclude(requirements, [weak]).clauses["C-2"].verdict == "weak"


def test_unobservable_must_is_not_in_the_denominator():
    summary = verdict.conclude([requirement(), requirement("C-2", observable="no")], [result(findings=[finding()])])
    assert summary.conclusion == "conformant"
    assert summary.clauses["C-2"].verdict == "not_observable"


def test_clause_is_broken_if_any_case_breaks_it():
    results = [result(findings=[finding()]), result("fail", [finding(held=False)], id_="X-002")]
    summary = verdict.conclude([requirement()], results)
    assert summary.clauses["C-1"] == verdict.ClauseResult("broken", ("X-002", "X-001"))
    assert summary.conclusion == "non-conformant"


@pytest.mark.parametrize("rung", ["blocked", "setup_failed", "harness_error", "not_run"])
def test_a_gap_is_never_green(rung):
    results = [result(findings=[finding()]), result(rung, id_="X-002")]
    assert verdict.conclude([requirement()], results).conclusion == "inconclusive"


RUNGS = ["pass", "fail", "warn", "observed", "not_applicable", "blocked", "setup_failed", "harness_error", "not_run"]


@given(
    st.lists(st.tuples(st.sampled_from(RUNGS), st.sampled_from(["C-1", "C-2", "C-3"]), st.booleans()), max_size=8),
    st.booleans(),
)
def test_no_run_with_an_unexercised_must_is_conformant(rows, interrupted):
    requirements = [requirement(id_) for id_ in ("C-1", "C-2", "C-3")]
    results = [
        result(rung, [finding(clause=clause, held=held)], id_=f"X-{number}", cites=(clause,))
        for number, (rung, clause, held) in enumerate(rows)
    ]
    summary = verdict.conclude(requirements, results, interrupted=interrupted)
    measured = {clause for rung, clause, _ in rows if rung in verdict.MEASURED}
    if summary.conclusion == "conformant":
        assert measured == {"C-1", "C-2", "C-3"}
        assert not interrupted
        assert not {rung for rung, _, _ in rows} & {"fail", "blocked", "setup_failed", "harness_error", "not_run"}


def test_every_rung_has_a_place_in_the_arithmetic():
    for rung, strict in product(RUNGS, (False, True)):
        assert verdict.conclude([requirement()], [result(rung, [finding()])], strict=strict).headline
