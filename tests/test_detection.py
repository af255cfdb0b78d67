"""What the library can see, played in process: planted defects, harmless variants, and two servers without judgement."""

import json
import random
from dataclasses import replace

import pytest
from commands import ROOT

from conformance import detection, verdict
from conformance.casefile import LIBRARY_ROOT, load_library
from conformance.explain import explain_case
from conformance.matrix import matrix_document, proofs_of, proofs_text
from conformance.over_http import disagreements
from conformance.proofs import PROOFS, Proof
from conformance.selftest import play_in_process
from reference_server.defects import DEFECTS
from reference_server.encryption import PLAIN, Wish
from reference_server.errors import ObsError
from reference_server.identities import ANONYMOUS
from reference_server.service import HONEST
from reference_server.variants import VARIANTS
from reports.matrix import matrix_text, read_matrix, write_matrix

LIBRARY = load_library()
CASES = {case.id: case for case in LIBRARY.cases}
PAIRS = 24
"""How many pairs of defects each run draws; the environment `pairs` plays 200."""
SEED = 1
REFRESH = "obs-conformance defects --write, in a checkout, makes it anew"


def judging_checks(case):
    return [
        check
        for step in case.steps
        if step.stage == "step"
        for check in step.expect
        if check.word != "observe" and check.level != "observe"
    ]


@pytest.fixture(scope="module")
def ground():
    return detection.ground_of(LIBRARY_ROOT)


@pytest.fixture(scope="module")
def results():
    """Everything once: each defect, each variant, and a few pairs of defects."""
    pairs = detection.draw_pairs(PAIRS, SEED)
    work = [
        *(("defect", name) for name in DEFECTS),
        *(("variant", name) for name in VARIANTS),
        *(("pair", names) for names in pairs),
    ]
    return dict(zip(work, detection.run_all(LIBRARY_ROOT, work, 2), strict=True))


@pytest.fixture(scope="module")
def defects(results):
    return {name: result for (kind, name), result in results.items() if kind == "defect"}


@pytest.fixture(scope="module")
def document(ground, results):
    return matrix_document(ground.stage.plan, [result for (kind, _), result in results.items() if kind != "pair"])


# ---- the honest server -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def honest():
    return play_in_process(LIBRARY, HONEST)


def test_the_honest_server_is_conformant_in_process_and_nothing_is_left(honest):
    campaign, results, cleaned = honest
    told = {result.case.id: result.reason for result in results if result.rung not in {"pass", "observed"}}
    assert told == {}
    assert verdict.conclude(campaign.plan.requirements, results).conclusion == "conformant"
    assert cleaned.left == ()


@pytest.mark.parametrize("seed", range(3))
def test_verdicts_do_not_depend_on_order(honest, seed):
    def shuffled(plan):
        return replace(plan, cases=tuple(random.Random(seed).sample(plan.cases, len(plan.cases))))

    _, results, cleaned = play_in_process(LIBRARY, HONEST, order=shuffled)
    assert {result.case.id: result.rung for result in results} == {result.case.id: result.rung for result in honest[1]}
    assert cleaned.left == ()


# ---- the gates ---------------------------------------------------------------------------------------------------


def test_every_defect_is_killed_by_a_case_that_cites_a_clause_it_breaks_or_says_why_none_can(defects):
    assert len(defects) >= 80
    assert {name: result.noticed for name, result in defects.items() if not result.as_planned} == {}


def test_every_clause_a_defect_is_said_to_break_is_one_it_is_killed_for(defects):
    claimed = {
        name: set(result.breaks) - set(result.killers) for name, result in defects.items() if not result.survives
    }
    assert {name: clauses for name, clauses in claimed.items() if clauses} == {}


def test_a_defect_that_survives_is_an_open_question_and_accuses_nobody(defects):
    questions = {erratum.id for erratum in LIBRARY.errata}
    survivors = {name: result for name, result in defects.items() if result.survives}
    out_of_reach = {name for name, result in survivors.items() if result.survives.partition(":")[0] not in questions}
    assert out_of_reach == {"deleted-key-still-decrypts"}
    assert {name: result.noticed for name, result in survivors.items() if result.noticed} == {}
    assert {name for name, result in survivors.items() if not result.recorded} == out_of_reach


def test_every_observable_must_clause_is_broken_by_a_defect_that_a_citing_case_kills(ground, defects):
    proven = {clause for result in defects.values() for clause in result.killers}
    due = {
        clause.id for clause in ground.stage.plan.requirements if clause.level == "must" and clause.observable != "no"
    }
    assert due - proven == set()


def test_every_judging_case_kills_a_defect_or_says_why_none_can(ground, defects):
    killers = {case for result in defects.values() for cases in result.killers.values() for case in cases}
    judging = {case.id for case in ground.stage.plan.cases if judging_checks(case)}
    assert {case for case in judging - killers if not CASES[case].unprovable} == set()
    assert {case for case in killers if CASES[case].unprovable} == set()


def test_no_harmless_variant_turns_a_verdict(results):
    variants = {name: result for (kind, name), result in results.items() if kind == "variant"}
    assert len(variants) >= 20
    assert {name: result.accused for name, result in variants.items() if result.accused} == {}
    assert {name for name, result in variants.items() if not result.reach} == set()


def test_no_pair_of_defects_hides_both(results):
    pairs = {names: killers for (kind, names), killers in results.items() if kind == "pair"}
    assert len(pairs) == PAIRS
    assert {names for names, killers in pairs.items() if not killers} == set()


# ---- two servers without judgement -------------------------------------------------------------------------------


def test_a_server_that_refuses_everything_passes_no_case_and_fails_what_it_lets_be_judged(ground):
    results = tuple(ground.stage.play(DEFECTS["answers-403-to-everything"].seams()))
    assert [result.case.id for result in results if result.rung == "pass"] == []
    due = [result for result in results if may_fail_at_once(result.case)]
    assert len(due) > 70
    assert sum(result.rung in detection.JUDGED for result in due) >= 0.9 * len(due)


def may_fail_at_once(case):
    """Whether the first request of a case is judged and a success is due: set-up and control are not verdicts."""
    first = case.steps[0]
    return first.stage == "step" and any(
        check.word == "status" and check.level != "observe" and 200 in statuses(check.wanted) for check in first.expect
    )


def statuses(wanted):
    return wanted if isinstance(wanted, list | tuple) else (wanted,)


def accepts_all_and_stores_plain():
    """Trusts everybody, allows everything, checks nothing, echoes what was asked for, stores it plain."""

    def whatever(decision, instead):
        def decide(*given):
            try:
                return decision(*given)
            except ObsError:
                return instead

        return decide

    trusting = DEFECTS["signature-not-checked"].seams()
    return replace(
        trusting,
        authenticate=whatever(trusting.authenticate, ANONYMOUS),
        authorize=lambda *_: None,
        wish_of_request=whatever(HONEST.wish_of_request, Wish()),
        decide=whatever(HONEST.decide, PLAIN),
        lock=lambda *_: None,
        check_form=lambda *_: None,
        verify_form=DEFECTS["form-signature-not-checked"].seams().verify_form,
    )


def test_a_server_that_accepts_everything_and_stores_it_plain_fails_what_claims_encryption_or_refusal(ground):
    rungs = {result.case.id: result.rung for result in ground.stage.play(accepts_all_and_stores_plain())}
    claims = [case for case in CASES.values() if case.id in rungs and claims_encryption(case)]
    refusals = [case for case in CASES.values() if case.id in rungs and refusal_by_decision(case)]
    assert len(claims) > 70
    assert len(refusals) > 20
    assert [case.id for case in claims if rungs[case.id] == "pass"] == []
    for due in (claims, refusals):
        assert sum(rungs[case.id] in detection.JUDGED for case in due) >= 0.9 * len(due)


def claims_encryption(case):
    """Whether a judged step reads back that an object is encrypted, and nothing before it could end the case."""
    return not any(step.stage != "step" for step in case.steps) and any(
        step.request.method in {"GET", "HEAD"}
        and check.subject == "header x-obs-server-side-encryption"
        and check.word == "equals"
        and check.level != "observe"
        for step in case.steps
        for check in step.expect
    )


def refusal_by_decision(case):
    """Whether a judged step expects that an upload or a download is refused to somebody."""
    return any(
        check.word == "refused" and 403 in check.wanted["status"]
        for step in case.steps
        if step.stage == "step"
        for check in step.expect
    ) and not any(step.stage == "setup" for step in case.steps)


# ---- how it is found ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["custom-key-ignored", "keys-of-anybody", "policy-binds-all-buckets"])
def test_the_cases_left_out_of_a_defects_play_would_have_gone_as_the_honest_ones(ground, name):
    whole = {result.case.id: result.rung for result in ground.stage.play(DEFECTS[name].seams())}
    played = {result.case.id: result.rung for result in ground.stage.play(DEFECTS[name].seams(), ground.reach[name])}
    assert whole == {**ground.rungs, **played}


@pytest.mark.parametrize("name", ["default-not-inherited-on-copy", "chunked-answers"])
def test_verdicts_through_sockets_are_those_found_in_process(name):
    assert list(disagreements(name)) == []


# ---- what is written ---------------------------------------------------------------------------------------------


def test_the_proofs_beside_the_cases_are_those_found(document):
    assert PROOFS.read_text("utf-8") == proofs_text(proofs_of(document)), REFRESH


def test_the_matrix_in_the_documentation_is_the_one_found(document):
    assert (ROOT / "docs" / "detection-matrix.md").read_text("utf-8") == matrix_text(document), REFRESH


def test_the_page_names_every_clause_defect_variant_and_killing_case(document, tmp_path):
    plain = json.loads(json.dumps(document))
    write_matrix(plain, tmp_path / "matrix.html")
    page = (tmp_path / "matrix.html").read_text("utf-8")
    matrix = read_matrix(plain)
    assert matrix.killed + len(matrix.survivors) == matrix.defects == len(DEFECTS)
    names = {*DEFECTS, *VARIANTS, *(clause["id"] for clause in plain["clauses"])}
    names |= {case for defect in plain["defects"] for cases in defect["killers"].values() for case in cases}
    assert {name for name in names if name not in page} == set()
    assert "src=" not in page
    assert "://" not in page


def test_a_case_is_explained_with_the_defects_it_was_proven_on():
    proof = Proof("some-defect", "It forgets.", ("SSEKMS-S44",), "plausible slip")
    text = explain_case(CASES["KMS-SAMPLE-001"], [], (proof,))
    assert text.endswith("Proven on\n  some-defect: It forgets. (plausible slip)")


def test_a_case_that_nothing_can_prove_is_explained_with_the_reason():
    case = replace(CASES["KMS-SAMPLE-001"], unprovable="no server can be wrong here")
    assert explain_case(case, []).endswith("Proven on nothing: no server can be wrong here")


def test_the_command_plays_what_is_named(command, tmp_path):
    done = command(
        "defects", "form-never-expires", "head-refusals-bare", "--jobs", 1, "--json", tmp_path / "matrix.json"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 1 defects killed" in done.stdout
    assert "0 of 1 harmless variants accused" in done.stdout
    written = json.loads((tmp_path / "matrix.json").read_text("utf-8"))
    assert written["defects"][0]["killers"] == {"OBS0012-S02": ["KMS-FORM-025"]}


def test_the_command_refuses_a_name_it_does_not_know(command):
    done = command("defects", "no-such-thing")
    assert done.returncode == 2
    assert done.stderr == (
        "obs-conformance: no defect or variant named no-such-thing; obs-reference-server --list-defects and --list-variants show them\n"
    )
