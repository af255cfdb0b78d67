"""Target files, results file, journal, page text: what stands at the edge of the engine."""

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from conformance.campaign import lacking, make_plan
from conformance.casefile import load_library
from conformance.journal import Journal
from conformance.requirements import compare_page, fingerprint, split_page
from conformance.results import Redactor
from conformance.target import load_target, target_from_endpoint
from conformance.vocabulary import TargetError

GOOD = """\
endpoint = "http://127.0.0.1:1"
[identities.owner]
access_key = "env:AK"
secret_key = "env:SK"
"""
ENVIRONMENT = {"TINY": "abc", "AK": "a", "SK": "secret"}


def target(tmp_path, text, environment=ENVIRONMENT):
    path = tmp_path / "t.toml"
    path.write_text(text)
    path.chmod(0o644)
    return load_target(path, environment)


def test_target_file_with_credentials_from_the_environment(tmp_path):
    read = target(tmp_path, GOOD)
    assert (read.name, read.identities["owner"].secret_key, read.jobs) == ("t", "secret", 8)
    assert "'s'" not in repr(read)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD + "[limit]\n", "unknown word limit; did you mean 'limits'?"),
        ('adressing = "path"\n' + GOOD, "unknown word adressing; did you mean 'addressing'?"),
        ("region = 7\n" + GOOD, "region = 7 is no text; put it into quotes"),
        ('addressing = "vhost"\n' + GOOD, "addressing = 'vhost' is none of path, virtual-host"),
        (GOOD.replace("http://127.0.0.1:1", "127.0.0.1"), "endpoint: '127.0.0.1' is not an address"),
        (GOOD.replace("http://127.0.0.1:1", "http://h/b"), "is not an address"),
        (GOOD.replace("env:SK", "env:NOPE"), "identities.owner.secret_key: the environment variable NOPE is not set"),
        (GOOD.replace('secret_key = "env:SK"\n', ""), "identities.owner.secret_key is missing"),
        (GOOD.replace("env:SK", "plain"), "holds a secret key but others can read it (mode 0644); run: chmod 600"),
        (GOOD.replace("env:SK", "env:TINY"), "identities.owner.secret_key is shorter than 4 characters"),
        (GOOD + "[limits]\njobs = 0\n", "limits.jobs = 0 is not a positive number"),
        ("= 1", "not TOML"),
        ('endpoint = "http://h"', "OBS_ACCESS_KEY_ID and OBS_SECRET_ACCESS_KEY is not set"),
        (GOOD + "keys = 1\n", "unknown word identities.owner.keys"),
    ],
)
def test_bad_target_file_is_explained(tmp_path, text, says):
    with pytest.raises(TargetError) as caught:
        target(tmp_path, text)
    assert says in str(caught.value)
    assert "t.toml" in str(caught.value)


def test_missing_target_file_is_explained(tmp_path):
    with pytest.raises(TargetError, match="cannot be read: No such file"):
        load_target(tmp_path / "none.toml")


def test_private_file_may_hold_a_secret(tmp_path):
    path = tmp_path / "t.toml"
    path.write_text(GOOD.replace("env:SK", "plain"))
    path.chmod(0o600)
    assert load_target(path, ENVIRONMENT).identities["owner"].secret_key == "plain"


def test_endpoint_alone_takes_credentials_from_the_environment():
    environment = {"OBS_ACCESS_KEY_ID": "a", "OBS_SECRET_ACCESS_KEY": "secret"}
    assert target_from_endpoint("https://h:1/", environment).endpoint == "https://h:1"
    with pytest.raises(TargetError, match="OBS_SECRET_ACCESS_KEY is not set"):
        target_from_endpoint("https://h", {"OBS_ACCESS_KEY_ID": "a"})
    with pytest.raises(TargetError, match="OBS_SECRET_ACCESS_KEY is shorter than 4 characters"):
        target_from_endpoint("https://h", environment | {"OBS_SECRET_ACCESS_KEY": "abc"})


def test_what_a_target_does_not_supply_makes_a_case_not_applicable(tmp_path):
    case = next(case for case in load_library().cases if case.id == "KMS-SAMPLE-002")
    assert lacking(case, target(tmp_path, GOOD)) == ("the target file supplies no keys.custom", False)
    declared = target(tmp_path, GOOD + '[without]\n"keys.custom" = "not sold"\n')
    assert lacking(case, declared) == ("the target goes without keys.custom: not sold", True)
    assert lacking(case, target(tmp_path, GOOD + '[keys]\ncustom = "x"\n')) is None


def test_selection_by_id_area_and_clause():
    library = load_library()
    ids = {
        text: [case.id for case in make_plan(library, "sse-kms-2024-01", [text]).cases]
        for text in ("sample-003", "ssekms-s65", "samples")
    }
    assert ids["sample-003"] == ["KMS-SAMPLE-003"]
    assert ids["ssekms-s65"] == [case.id for case in library.cases if "SSEKMS-S65" in case.clauses()]
    assert "KMS-SAMPLE-006" in ids["ssekms-s65"]
    assert ids["samples"] == [case.id for case in library.cases if case.area == "samples"]


SECRETS = ("s3cr3t/+key with=odd chars", 'quo"ted\\and\ttabbed', "gehe\u00efm-\u79d8")


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "spell",
    [
        str,
        lambda secret: secret.encode().decode("latin-1"),
        lambda secret: quote(secret, safe=""),
        lambda secret: base64.b64encode(secret.encode()).decode(),
    ],
    ids=["plain", "as received", "percent", "base64"],
)
def test_secret_is_redacted_from_a_json_line_however_it_is_spelled(secret, spell):
    line = Redactor([secret]).text(json.dumps({"a": [f"x {spell(secret)} y"], "n": 1}))
    value = json.loads(line)
    assert spell(secret) not in value["a"][0]
    assert value["a"][0].strip("*").startswith("x ")
    assert set(value["a"][0][2:-2]) == {"*"}
    assert value["n"] == 1


@pytest.mark.parametrize(
    "text",
    ["Authorization: OBS AKEXAMPLE:c2ln/bmF0+dXJl=\r\n", "PUT /o?Expires=1&Signature=c2ln%2FbmF0dXJl%3D HTTP/1.1"],
)
def test_signatures_are_redacted_and_the_rest_stays(text):
    redacted = Redactor([]).text(text)
    assert "c2ln" not in redacted
    assert len(redacted) == len(text)
    assert redacted[:20] == text[:20]


def test_journal_is_written_before_and_lists_objects_before_buckets(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, "http://h")
    journal.will_create("bucket", "b")
    journal.will_create("object", "b", "o")
    journal.will_create("object", "b", "o")
    assert [json.loads(line) for line in path.read_text().splitlines()][1:] == [
        {"create": "bucket", "bucket": "b", "name": ""},
        {"create": "object", "bucket": "b", "name": "o"},
    ]
    assert tuple(journal.standing()) == (("object", "b", "o"), ("bucket", "b", ""))
    assert journal.owns_bucket("b")
    assert not journal.owns_bucket("c")
    journal.removed("object", "b", "o")
    assert tuple(journal.standing()) == (("bucket", "b", ""),)
    journal.close()


def test_a_journal_of_very_many_names_takes_them_back_in_any_order(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl", "http://h")
    journal.will_create("bucket", "b")
    names = [f"o{number}" for number in range(3000)] + ["", "o", "a b\n\u00ff\ud800"]
    for name in names:
        journal.will_create("object", "b", name)
    journal.will_create("object", "b", "o0")  # written so long ago that it is noted once more
    for name in ("o2999", "o1", *names[2:2999]):
        journal.removed("object", "b", name)
    left = [("object", "b", name) for name in ("o0", "", "o", "a b\n\u00ff\ud800", "o0")]
    assert list(journal.standing("b")) == [*left, ("bucket", "b", "")]
    assert journal.created == 3005
    journal.removed("object", "b", "o1")  # it is gone already, and no other goes for it
    assert sum(1 for _ in journal.standing()) == 6
    again = Journal(tmp_path / "other.jsonl", "http://h")
    again.recall([(True, "object", "c", "x"), (True, "object", "c", "x"), (True, "bucket", "c", "")])
    assert (again.created, tuple(again.standing())) == (2, (("object", "c", "x"), ("bucket", "c", "")))
    journal.close()
    again.close()


PAGE = "Head line\n\nOne\n\nFirst sentence. second one.\n 1\n 2\nTwo\nFirst sentence.\nFirst   sentence.\n"


def test_page_falls_into_sections_and_sentences():
    sentences = split_page(PAGE, ["One", "Two"])
    assert [(s.section, s.ordinal, s.text) for s in sentences] == [
        ("(head)", 1, "Head line"),
        ("One", 1, "One"),
        ("One", 2, "First sentence."),
        ("One", 3, "second one."),
        ("Two", 1, "Two"),
        ("Two", 2, "First sentence."),
    ]
    assert len({sentence.fingerprint for sentence in sentences}) == 6


def test_changed_sentence_is_lost_and_unclaimed():
    claims = {"C-1": [fingerprint("One", "First sentence.")], "C-2": [fingerprint("One", "second one.")]}
    same = compare_page(
        PAGE.replace("First sentence. second", "First\n  sentence. second").replace("First\n ", "First "),
        ["One", "Two"],
        claims,
    )
    assert same.lost == ()
    changed = compare_page(PAGE.replace("second one", "third one"), ["One", "Two"], claims)
    assert [owner for owner, _ in changed.lost] == ["C-2"]
    assert "third one." in [sentence.text for sentence in changed.unclaimed]


def test_no_prose_of_the_page_is_in_the_library():
    """The longest texts of the clauses are ours: none is a sentence whose fingerprint is claimed."""
    library = load_library()
    claimed = {mark for requirement in library.requirements.values() for mark in requirement.claims}
    sections = library.sections["sse-kms"]
    for requirement in library.requirements.values():
        for text in (requirement.says, requirement.consequence, requirement.fix):
            assert not {fingerprint(section, text) for section in sections} & claimed


def test_every_observable_clause_of_the_profile_is_exercised_by_a_case():
    library = load_library()
    exercised = {clause for case in library.cases for clause in case.clauses()}
    for profile in library.profiles.values():
        idle = set(profile.clauses) - exercised
        assert {library.requirements[clause].observable for clause in idle} <= {"no"}


def test_package_data_is_where_the_loader_looks():
    from conformance.casefile import LIBRARY_ROOT

    assert Path(LIBRARY_ROOT).name == "cases"
    assert (LIBRARY_ROOT / "case.schema.json").is_file()
