"""What the library can see, played in process: the honest server, one that refuses all, one that accepts all."""

import random
from dataclasses import replace

import pytest

from conformance import verdict
from conformance.casefile import load_library
from conformance.selftest import judge_defect, play_in_process
from reference_server.defects import DEFECTS
from reference_server.encryption import PLAIN
from reference_server.encryption import response_fields as honest_fields
from reference_server.service import HONEST

LIBRARY = load_library()
ROWS = {case.id: case for case in LIBRARY.cases}


def expects_refusal(case):
    return any(check.word == "refused" for step in case.steps if step.stage == "step" for check in step.expect)


def judges(case):
    return any(check.level != "observe" and check.word != "observe" for step in case.steps for check in step.expect)


@pytest.fixture(scope="module")
def honest():
    return play_in_process(LIBRARY, HONEST)


def test_the_honest_server_is_conformant_in_process_and_nothing_is_left(honest):
    campaign, results, cleaned = honest
    told = {result.case.id: result.reason for result in results if result.rung not in {"pass", "observed"}}
    assert told == {}
    assert verdict.conclude(campaign.plan.requirements, results).conclusion == "conformant"
    assert cleaned.left == ()


@pytest.mark.parametrize("seed", range(20))
def test_verdicts_do_not_depend_on_order(honest, seed):
    def shuffled(plan):
        return replace(plan, cases=tuple(random.Random(seed).sample(plan.cases, len(plan.cases))))

    _, results, cleaned = play_in_process(LIBRARY, HONEST, order=shuffled)
    assert {result.case.id: result.rung for result in results} == {result.case.id: result.rung for result in honest[1]}
    assert cleaned.left == ()


def test_no_case_that_expects_a_refusal_passes_where_everything_is_refused():
    _, results, _ = play_in_process(LIBRARY, DEFECTS["answers-403-to-everything"].seams())
    passed = [result.case.id for result in results if result.rung == "pass"]
    assert passed == []
    assert [result.case.id for result in results if expects_refusal(result.case)]


def accepts_all_and_stores_plain():
    """Trusts everybody, allows everything, checks nothing, echoes what was asked for, stores it plain."""
    trusting = DEFECTS["signature-not-checked"].seams()

    def decide(occasion, wish, default, keyring, caller):
        try:
            return HONEST.decide(occasion, wish, default, keyring, caller)
        except Exception:  # noqa: BLE001 - nothing is refused here
            return PLAIN

    return replace(
        trusting,
        authorize=lambda *_: None,
        decide=decide,
        lock=lambda *_: None,
        response_fields=honest_fields,
        check_form=lambda *_: None,
    )


def test_cases_that_judge_encryption_or_refusal_fail_where_everything_is_accepted_and_stored_plain():
    _, results, _ = play_in_process(LIBRARY, accepts_all_and_stores_plain())
    rungs = {result.case.id: result.rung for result in results}
    claims = [case.id for case in ROWS.values() if case.id in rungs and claims_encryption(case)]
    assert claims
    assert [id_ for id_ in claims if rungs[id_] == "pass"] == []


def claims_encryption(case):
    """Whether a judged step reads back that an object is encrypted."""
    return any(
        step.request.method in {"GET", "HEAD"}
        and check.subject == "header x-obs-server-side-encryption"
        and check.word == "equals"
        and check.level != "observe"
        for step in case.steps
        if step.stage == "step"
        for check in step.expect
    )


@pytest.mark.parametrize("name", DEFECTS)
def test_every_defect_is_killed_by_a_case_that_cites_a_clause_it_breaks_or_says_why_none_can(name):
    found = judge_defect(LIBRARY, name)
    assert found.killed is not bool(found.survives), found.noticed
