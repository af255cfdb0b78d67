"""What the library sees of wrong and of harmless servers in another dialect, and what of it has no counterpart there."""

import pytest
from commands import obs

from conformance import judge
from conformance.casefile import load_library
from conformance.counterparts import why_none
from conformance.dialectfile import load_dialect
from conformance.profiles import cases_of, seen
from conformance.vocabulary import Check, Response

LIBRARY = load_library()
AWS = load_dialect("aws-s3")
AWS_PROFILE = LIBRARY.profiles["aws-s3"]
CASES = {case.id: case for case in LIBRARY.cases}
MODE = "header x-obs-server-side-encryption"

KILLED = {
    "obs-s3": (
        "bare-key-id-in-answer",
        "copy-forgets-encryption",
        "http-date-refused",
        "key-id-header-missing",
        "server-not-named",
        "signed-url-ignores-mode",
        "stores-in-the-clear",
        "unsigned-forms-accepted",
    ),
    "aws-s3": (
        "claims-encryption-for-plain-objects",
        "copy-forgets-encryption",
        "default-survives-delete",
        "http-date-refused",
        "key-owner-rule-missing-on-download",
        "removed-default-lives-on",
        "unsigned-forms-accepted",
        "wrong-region-in-answer",
    ),
}
WITHOUT = {
    "obs-s3": {"long-validity-refused": "OBS0011-S07: a URL signed"},
    "aws-s3": {
        "server-not-named": "SSEKMS-S41: the header Server names AmazonS3",
        "bare-key-id-in-answer": "SSEKMS-S46: The key in the answer is its id, as documented",
        "no-default-answers-200": "OBS0063-S02: A bucket always has a default",
        "signed-url-ignores-mode": "SSEKMS-S63: AWS documents the encryption of an upload as a header",
    },
}


@pytest.mark.parametrize("dialect", ["obs-s3", "aws-s3"])
def test_defects_are_killed_in_the_dialect_or_it_is_said_why_not_and_no_framing_is_accused(dialect):
    killed, without = KILLED[dialect], WITHOUT[dialect]
    done = obs("defects", "--dialect", dialect, "--jobs", "1", *killed, *without, "chunked-answers")
    said = {name: told.strip() for name, _, told in (line.partition(" ") for line in done.stdout.splitlines())}
    assert said["chunked-answers"] == "harmless, accused by nobody", done.stdout + done.stderr
    assert {name: said[name] for name in killed if not said[name].startswith("killed by ")} == {}
    for name, why in without.items():
        assert said[name].startswith(f"no counterpart, {why}"), said[name]
    assert f"\n{len(without)} have no counterpart in {dialect}, 0 are missed\n" in done.stdout
    assert done.returncode == 0


def check(*cites, word="equals", subject="header Server", wanted="OBS", level="must"):
    return Check(word, subject, wanted, cites, level)


@pytest.mark.parametrize(
    ("cites", "level", "left"),
    [
        (("SSEKMS-S41",), "observe", ()),
        (("SSEKMS-S41", "SSEKMS-S44"), "must", ("SSEKMS-S44",)),
        (("SSEKMS-S44", "OBS0063-S02"), "observe", ()),
        (("SSEKMS-S44",), "must", ("SSEKMS-S44",)),
    ],
)
def test_an_expectation_is_judged_under_the_clauses_that_the_dialect_has(cites, level, left):
    found = seen(check(*cites), "step", AWS_PROFILE)
    assert (found.level, found.cites) == (level, left)
    assert seen(check(*cites), "control", AWS_PROFILE) == check(*cites)


@pytest.mark.parametrize(
    ("dialect", "mode", "held"),
    [("aws-s3", None, True), ("aws-s3", "AES256", True), ("aws-s3", "kms", False), ("obs-s3", "AES256", False)],
)
def test_what_nobody_asked_to_encrypt_may_name_the_mode_of_the_dialect_and_no_other(dialect, mode, held):
    absent = check("SSEKMS-S56", word="absent", subject=MODE, wanted=True)
    wanted = seen(absent, "step", LIBRARY.profiles[load_dialect(dialect).profile]).wanted
    headers = () if mode is None else (("x-obs-server-side-encryption", mode),)
    view = judge.View(Response(200, "", headers, b""), "GET", {}, (), 0)
    assert (judge.differences("absent", MODE, wanted, view) == ()) is held


def test_every_expectation_that_a_plain_object_names_no_mode_knows_the_mode_of_the_dialect():
    profile = LIBRARY.profiles["aws-s3"]
    found = [
        one.wanted
        for case in cases_of(LIBRARY, profile)
        for step in case.steps
        for one in step.expect
        if (one.word, one.subject) == ("absent", MODE)
    ]
    assert len(found) > 15
    assert set(found) == {("AES256",)}


def test_a_defect_that_the_dialect_could_condemn_is_not_excused():
    assert why_none(("SSEKMS-S44",), [CASES["KMS-PUT-001"]], AWS, AWS_PROFILE) == ""
    excused, judged = CASES["KMS-URL-001"], CASES["KMS-FORM-027"]
    assert "nowhere as a query parameter" in why_none(("SSEKMS-S63",), [excused], AWS, AWS_PROFILE)
    assert why_none(("SSEKMS-S63", "OBS0012-S01"), [excused, judged], AWS, AWS_PROFILE) == ""
