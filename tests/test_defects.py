"""Planted defects: each makes exactly those of the sample cases fail that can see it, in process and over HTTP."""

import pytest
from commands import reference_server

from conformance.casefile import LIBRARY_ROOT
from conformance.detection import ground_of
from reference_server.defects import DEFECTS

ALL = {f"KMS-SAMPLE-00{number}" for number in range(1, 8)}
F, W, S, B, P = "fail", "warn", "setup_failed", "blocked", "pass"


def row(one=P, two=P, three=P, four=P, six=P, seven=P, five="observed"):
    numbers = {1: one, 2: two, 3: three, 4: four, 5: five, 6: six, 7: seven}
    return {f"KMS-SAMPLE-00{number}": rung for number, rung in numbers.items()}


EXPECTED = {
    "kms-header-missing-on-put": row(F, F, F, F, W),
    "key-id-header-missing": row(F, F, S, S),
    "bare-key-id-in-answer": row(F, F, S, S),
    "region-dropped-from-key-id": row(F, F, S, S),
    "wrong-mode-in-answer": row(F, F, F, F, W),
    "head-forgets-encryption": row(F, F, F, F),
    "copy-forgets-encryption": row(three=F),
    "copy-answer-without-key-id": row(three=F),
    "copy-answers-without-document": row(three=W),
    "signed-url-ignores-mode": row(four=F, six=W),
    "signed-url-refused": row(four=F, six=W),
    "signed-url-checks-date": row(six=W),
    "stores-in-the-clear": row(F, F, F, F),
    "new-default-key-per-upload": row(four=W),
    "custom-key-ignored": row(two=F),
    "uses-another-key": row(two=F, three=F),
    "signature-not-checked": row(seven=F),
    "header-signature-not-checked": row(seven=F),
    "wrong-bytes-read-back": row(F, F, F, F, W),
    "etag-unquoted": row(F, F, P, F),
    "etag-weak": row(F, F, P, F),
    "request-id-missing": row(F, F, F, F),
    "repeats-request-id": row(F, F, F, F),
    "id-2-missing": row(F, F, F, F),
    "server-not-named": row(W, W, W, W),
    "date-not-http": row(F, F, F, F),
    "put-answers-201": row(F, S, S, S, W, B),
    "answers-403-to-everything": dict.fromkeys(sorted(ALL), S),
    "answers-200-to-everything": row(F, F, F, F, W, F),
}


OVER_HTTP = ("copy-forgets-encryption", "put-answers-201", "answers-403-to-everything", "answers-200-to-everything")
"""Statuses, a document and a whole server that refuses; the rest are of the same kinds and play in process."""


@pytest.fixture(scope="module")
def stage():
    return ground_of(LIBRARY_ROOT).stage


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - {"answers-403-to-everything"}))
def test_defect_makes_exactly_the_right_sample_cases_fail(name, stage):
    results = stage.play(DEFECTS[name].seams(), frozenset(ALL))
    assert {result.case.id: result.rung for result in results} == EXPECTED[name]


@pytest.mark.parametrize("name", OVER_HTTP)
def test_defect_makes_the_same_sample_cases_fail_over_http(name, conformance, tmp_path):
    with reference_server(tmp_path, "--defect", name) as (target, _):
        outcome = conformance("--no-doctor", "--target", target, "--select", "samples")
    assert outcome.rungs == EXPECTED[name]
    assert outcome.code == (1 if F in EXPECTED[name].values() else 3)
    broken = {clause for clause, value in outcome.footer["clauses"].items() if value["verdict"] in {"broken", "weak"}}
    if {F, W} & set(EXPECTED[name].values()):
        assert set(DEFECTS[name].breaks) & broken


def test_every_judging_sample_is_seen_to_fail_on_some_defect():
    """What has never been seen to fail is not a case; KMS-SAMPLE-005 only records."""
    seen = {case for rungs in EXPECTED.values() for case, rung in rungs.items() if rung in {F, W}}
    assert seen == ALL - {"KMS-SAMPLE-005"}


def test_a_broken_should_fails_only_a_strict_run(conformance, tmp_path):
    with reference_server(tmp_path, "--defect", "server-not-named") as (target, _):
        assert conformance("--no-doctor", "--target", target, "--select", "samples", "--strict").code == 1
