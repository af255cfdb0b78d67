"""What a verdict says, to the letter: the reason of a rung, the headline of a run, why a clause was not exercised."""

from functools import partial

import pytest

from conformance import verdict
from conformance.vocabulary import Case, CaseResult, Finding, Observation, Played, Requirement


def requirement(id_="C-1", level="must", observable="yes", unobservable=None):
    return Requirement(
        id_, "page", "Section", 1, "says", level, "sentence", "why", observable, "c", "k", "f", unobservable
    )


def finding(step="step 1", level="must", held=True, clause="C-1", says="it differs"):
    return Finding(step, "status", "status", (clause,), level, held, "wanted", "got", "" if held else says)


def result(rung="pass", findings=(), observations=(), reason="", id_="X-001", cites=("C-1",)):
    case = Case(id_, "says", "area", "must", cites, (), (), "file", 1)
    return CaseResult(case, rung, reason, Played(tuple(findings), tuple(observations), ()), 1.0)


def grade(*findings, stopped="", unanswered=False, only_observes=False):
    return verdict.grade(Played(findings, (), (), stopped, unanswered=unanswered), only_observes=only_observes)


@pytest.mark.parametrize(
    ("findings", "options", "told"),
    [
        ([finding()], {}, ("pass", "")),
        ([finding()], {"only_observes": True}, ("observed", "recorded, not judged")),
        ([finding(held=False)], {}, ("fail", "step 1: it differs")),
        (
            [finding(held=False), finding("step 2", held=False, says="more"), finding("step 3", held=False)],
            {},
            ("fail", "step 1: it differs (and 2 more)"),
        ),
        ([finding(held=False), finding("step 2", held=False)], {}, ("fail", "step 1: it differs (and 1 more)")),
        ([finding(held=False, level="should")], {}, ("warn", "step 1: it differs")),
        ([finding(held=False, level="observe")], {}, ("pass", "")),
        (
            [finding("control 1", held=False), finding("setup 2", held=False)],
            {},
            ("setup_failed", "set-up failed, so nothing was judged: setup 2, it differs"),
        ),
        (
            [finding("control 1", held=False, says="403"), finding(held=False)],
            {},
            ("blocked", "the control request failed, so nothing was judged: control 1, 403"),
        ),
        ([], {"stopped": "no answer", "unanswered": True}, ("not_run", "no answer")),
        ([finding()], {"stopped": "cannot be saved"}, ("harness_error", "cannot be saved")),
        ([finding()], {"stopped": "cannot be saved", "only_observes": True}, ("harness_error", "cannot be saved")),
        ([finding(held=False)], {"stopped": "cannot be saved"}, ("fail", "step 1: it differs")),
    ],
)
def test_a_rung_has_its_reason(findings, options, told):
    assert grade(*findings, **options) == told


HELD = result(findings=[finding()])
FAILED = result("fail", [finding(held=False)], id_="X-002")
WEAK = result("warn", [finding(), finding(clause="C-2", level="should", held=False)], id_="X-003", cites=("C-1", "C-2"))
MANY = [requirement(f"C-{number}") for number in range(1, 12)]


@pytest.mark.parametrize(
    ("requirements", "results", "options", "conclusion", "headline"),
    [
        ([requirement()], [HELD], {}, "conformant", "Conformant: 1 of 1 MUST clauses exercised, none failed."),
        (
            [requirement()],
            [HELD, FAILED],
            {},
            "non-conformant",
            "Not conformant: 1 of 2 measured cases failed, 1 clauses broken; 1 of 1 MUST clauses exercised.",
        ),
        (
            [requirement(), requirement("C-2", "should")],
            [FAILED, WEAK, result("not_applicable", id_="X-004")],
            {"strict": True},
            "non-conformant",
            "Not conformant: 2 of 2 measured cases failed, 1 clauses broken; 1 of 1 MUST clauses exercised.",
        ),
        (
            [requirement(), requirement("C-2", "should")],
            [WEAK],
            {},
            "conformant",
            "Conformant: 1 of 1 MUST clauses exercised, none failed.",
        ),
        (
            [requirement(), requirement("C-2")],
            [HELD, FAILED],
            {"interrupted": True},
            "interrupted",
            "Interrupted: 1 of 2 MUST clauses exercised before the run was stopped.",
        ),
        ([requirement()], [], {}, "inconclusive", "Nothing was measured: no case was played."),
        (
            [requirement()],
            [result("not_run", reason="refused"), result("not_run", reason="gone"), result("not_run", reason="gone")],
            {},
            "inconclusive",
            "Nothing was measured: gone",
        ),
        (
            [requirement(), requirement("C-2")],
            [HELD],
            {},
            "inconclusive",
            "Inconclusive: 1 of 2 MUST clauses exercised, none failed; not exercised: C-2.",
        ),
        (
            [requirement(), requirement("C-2")],
            [HELD, result("blocked", id_="X-005"), result("harness_error", id_="X-006")],
            {"declared": frozenset({"C-2"})},
            "inconclusive",
            "Inconclusive: 1 of 2 MUST clauses exercised, none failed; 2 cases could not be judged.",
        ),
        (
            [requirement(), requirement("C-2")],
            [HELD, result("setup_failed", id_="X-005")],
            {},
            "inconclusive",
            "Inconclusive: 1 of 2 MUST clauses exercised, none failed; not exercised: C-2; 1 cases could not be judged.",
        ),
        (
            MANY,
            [result(findings=[finding(clause="C-11")])],
            {},
            "inconclusive",
            "Inconclusive: 1 of 11 MUST clauses exercised, none failed; "
            "not exercised: C-1, C-2, C-3, C-4, C-5, C-6, C-7, C-8 and more.",
        ),
        (
            MANY[:9],
            [result(findings=[finding(clause="C-9")])],
            {},
            "inconclusive",
            "Inconclusive: 1 of 9 MUST clauses exercised, none failed; "
            "not exercised: C-1, C-2, C-3, C-4, C-5, C-6, C-7, C-8.",
        ),
        (
            [requirement(), requirement("C-2", observable="no")],
            [HELD],
            {},
            "conformant",
            "Conformant: 1 of 1 MUST clauses exercised, none failed.",
        ),
        (
            [requirement()],
            [result("warn", [finding(held=False, level="should")])],
            {},
            "conformant",
            "Conformant: 1 of 1 MUST clauses exercised, none failed.",
        ),
        (
            [requirement(), requirement("C-2")],
            [HELD, result("observed", (), [Observation("step 1", "n", "v", ("C-2",))], id_="X-009")],
            {},
            "inconclusive",
            "Inconclusive: 1 of 2 MUST clauses exercised, none failed; not exercised: C-2.",
        ),
        ([], [HELD], {}, "inconclusive", "Inconclusive: 0 of 0 MUST clauses exercised, none failed."),
        (
            [requirement("C-2", "should")],
            [HELD],
            {},
            "inconclusive",
            "Inconclusive: 0 of 0 MUST clauses exercised, none failed.",
        ),
    ],
)
def test_a_run_has_its_headline(requirements, results, options, conclusion, headline):
    summary = verdict.conclude(requirements, results, **options)
    assert (summary.conclusion, summary.headline) == (conclusion, headline)


def test_rungs_are_counted_and_clauses_kept_in_every_conclusion():
    for results, options in (
        ([HELD], {}),
        ([FAILED], {}),
        ([], {}),
        ([HELD, result("blocked")], {}),
        ([HELD], {"interrupted": True}),
    ):
        summary = verdict.conclude([requirement()], results, **options)
        assert sum(summary.counts.values()) == len(results)
        assert set(summary.clauses) == {"C-1"}


def clause(*results, **kwargs):
    return verdict.tally_of(results).clauses([requirement(**kwargs)])["C-1"]


SEEN = Observation("step 1", "n", "v", ("C-1",))


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (partial(clause, HELD), verdict.ClauseResult("holds", ("X-001",))),
        (partial(clause, HELD, FAILED, HELD), verdict.ClauseResult("broken", ("X-002", "X-001"))),
        (
            partial(clause, result("warn", [finding(held=False, level="should")], [SEEN]), HELD),
            verdict.ClauseResult("weak", ("X-001",)),
        ),
        (partial(clause, result("observed", (), [SEEN])), verdict.ClauseResult("observed", ("X-001",))),
        (
            partial(clause, HELD, result("observed", (), [SEEN], id_="X-009")),
            verdict.ClauseResult("holds", ("X-001", "X-009")),
        ),
        (
            partial(clause, result("blocked", [finding()], reason="no")),
            verdict.ClauseResult("not_exercised", (), "X-001 blocked: no"),
        ),
        (
            partial(clause, result(cites=("C-2",))),
            verdict.ClauseResult("not_exercised", (), "no case of this run exercises it"),
        ),
        (
            partial(clause, *(result("not_run", reason=f"r{number}", id_=f"X-{number}") for number in range(4))),
            verdict.ClauseResult("not_exercised", (), "X-0 not_run: r0; X-1 not_run: r1; X-2 not_run: r2"),
        ),
        (partial(clause, observable="no", unobservable="inside"), verdict.ClauseResult("not_observable", (), "inside")),
        (partial(clause, observable="no"), verdict.ClauseResult("not_observable", (), "")),
        (partial(clause, HELD, observable="no"), verdict.ClauseResult("holds", ("X-001",))),
        (
            partial(clause, result("pass", [finding("setup 1"), finding("control 1")])),
            verdict.ClauseResult("not_exercised", (), "X-001 pass: "),
        ),
    ],
)
def test_a_clause_has_its_verdict_cases_and_reason(found, told):
    assert found() == told
