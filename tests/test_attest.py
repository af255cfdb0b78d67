"""Evidence that is there already, from outside: rejudge, statement and verify."""

import json
import shutil

import pytest
from commands import ROOT, obs, reference_server

SAMPLES = "KMS-SAMPLE"


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Results of the sample cases against the bundled server, and a statement about them."""
    folder = tmp_path_factory.mktemp("samples")
    obs("run", "--select", SAMPLES, "--out", folder)
    done = obs("statement", folder / "results.jsonl", "--key", folder / "key", "--new-key")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def library(tmp_path):
    """A copy of the case library and a way to change one text of it."""
    shutil.copytree(ROOT / "cases", tmp_path / "cases")

    def change(file, old, new):
        path = tmp_path / "cases" / file
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")
        return tmp_path / "cases"

    return change


@pytest.mark.parametrize(
    ("defect", "transport", "select"),
    [("wrong-bytes-read-back", "wire", "KMS"), ("range-ignored", "requests", "KMS-READ")],
)
def test_recorded_evidence_gives_the_same_file_bit_for_bit(tmp_path, defect, transport, select):
    with reference_server(tmp_path, "--defect", defect) as (target, _):
        target.write_text(f'transport = "{transport}"\n{target.read_text()}')
        run = obs("run", "--target", target, "--select", select, "--out", tmp_path / "out")
    assert run.returncode == 1
    done = obs("rejudge", tmp_path / "out" / "results.jsonl", "--out", tmp_path / "again.jsonl")
    assert done.returncode == 0, done.stdout
    assert " 0 changed" in done.stdout
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "out" / "results.jsonl").read_bytes()
    assert done.stdout.splitlines()[-1] in run.stdout


def test_a_changed_expectation_changes_exactly_its_rows_and_says_why(samples, library, tmp_path):
    cases = library("sse-kms/samples.yaml", "header: Server, equals: OBS", "header: Server, equals: Other")
    done = obs("rejudge", samples / "results.jsonl", "--cases", cases, "--out", tmp_path / "now.jsonl")
    assert done.returncode == 1
    then, now = (
        [json.loads(line) | {"source": ""} for line in path.read_text().splitlines()]
        for path in (samples / "results.jsonl", tmp_path / "now.jsonl")
    )
    changed = [new["id"] for old, new in zip(then, now, strict=True) if old["kind"] == "case" and old != new]
    assert len(changed) == 1
    assert f"{changed[0]} (line " in done.stdout
    assert "expected now 'header Server is exactly 'Other''" in done.stdout
    assert "then 'header Server is exactly 'OBS'' (should, SSEKMS-S41): not held: header Server is 'OBS'" in done.stdout
    assert f"{len(then) - 2} cases judged again, 1 changed" in done.stdout
    assert {line["rung"] for line in now if line.get("id") == changed[0]} == {"warn"}
    assert now[-1]["counts"]["warn"] == 1


def test_a_changed_request_is_not_judged_by_the_answer_to_another(samples, library):
    cases = library("sse-kms/samples.yaml", "method: PUT", "method: POST")
    done = obs("rejudge", samples / "results.jsonl", "--cases", cases)
    assert done.returncode == 1
    assert "the evidence is of another request: it sends 'POST " in done.stdout
    assert "pass -> not_run" in done.stdout


def test_another_profile_judges_its_own_cases_and_names_the_rest(samples, library):
    cases = library("shapes.yaml", "", "")
    (cases / "profiles" / "tiny.yaml").write_text('name: tiny\ntitle: "Two"\nclauses: [SSEKMS-S44, SSEKMS-S65]\n')
    done = obs("rejudge", samples / "results.jsonl", "--cases", cases, "--profile", "tiny")
    assert done.returncode == 1
    assert "KMS-SAMPLE-006: recorded" not in done.stdout
    assert "recorded, and not a case of this library and profile" in done.stdout
    assert "a case of profile tiny, and not recorded" in done.stdout
    assert done.stdout.endswith("Conformant: 1 of 1 MUST clauses exercised, none failed.\n")


def test_usage_errors_are_one_line(samples, tmp_path):
    (tmp_path / "open-key").write_bytes((samples / "key").read_bytes())
    (tmp_path / "open-key").chmod(0o644)
    results, stated = samples / "results.jsonl", samples / "statement.json"
    unfinished = tmp_path / "unfinished.jsonl"
    unfinished.write_bytes(b"".join(results.read_bytes().splitlines(keepends=True)[:-1]))
    for arguments, says in (
        (("rejudge", tmp_path / "none"), "none: cannot be read: No such file"),
        (
            ("rejudge", results, "--profile", "none"),
            "no profile named 'none'; there are: aws-s3, obs-s3-2024, sse-kms-2024-01",
        ),
        (("rejudge", results, "--cases", results), "not YAML"),
        (("statement", "--key", samples / "key"), "give the RESULTS"),
        (("statement", "--key", samples / "key", "--new-key"), "is there already"),
        (("statement", results, "--key", tmp_path / "open-key"), "chmod 600"),
        (("statement", results, "--key", tmp_path / "none"), "--new-key makes one"),
        (("statement", unfinished, "--key", samples / "key"), "the run did not finish"),
        (("verify", results, results), "not a statement"),
        (("verify", stated, tmp_path / "none"), "cannot be read"),
        (("verify", stated, results, "--public-key", "x"), "not an Ed25519 public key"),
    ):
        done = obs(*arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert says in done.stderr


def test_a_statement_says_the_run_on_one_page_and_is_verified(samples):
    document = json.loads((samples / "statement.json").read_text())
    header, *_, footer = [json.loads(line) for line in (samples / "results.jsonl").read_text().splitlines()]
    assert document["headline"] == footer["headline"]
    assert (document["suite"], document["library"]) == (header["suite"], header["library"])
    assert document["profile"]["name"] == "sse-kms-2024-01"
    assert document["target"]["endpoint"] == header["target"]["endpoint"]
    assert len(document["exclusions"]["not_exercised"]) > 10
    page = (samples / "statement.html").read_text("utf-8")
    for text in (
        footer["headline"],
        header["library"]["digest"],
        document["evidence"]["sha256"],
        document["signature"],
    ):
        assert text in page
    assert (samples / "key").stat().st_mode & 0o777 == 0o600
    for arguments, says in (
        (("--public-key", samples / "key.pub"), "the key you gave"),
        ((), "nothing here vouches for"),
    ):
        done = obs("verify", samples / "statement.json", samples / "results.jsonl", *arguments)
        assert done.returncode == 0, done.stdout
        assert f"verified: {footer['headline']}" in done.stdout
        assert says in done.stdout


def test_what_is_not_what_was_signed_is_named(samples, tmp_path):
    lines = (samples / "results.jsonl").read_bytes().splitlines(keepends=True)
    name = json.loads(lines[2])["id"]
    dropped = json.loads(lines[3])["id"]
    altered = lines[2].replace(b"HTTP/1.1 200 OK", b"HTTP/1.1 500 OK")
    assert altered != lines[2]
    (tmp_path / "bad.jsonl").write_bytes(b"".join([*lines[:2], altered, *lines[4:]]))
    done = obs("verify", samples / "statement.json", tmp_path / "bad.jsonl")
    assert done.returncode == 1
    assert f"line 3, {name}: altered" in done.stdout
    assert f"{dropped}: dropped" in done.stdout
    assert f"{name} (line 3): " in done.stdout  # the altered answer, judged again, gives another verdict
    assert "not verified" in done.stdout


def test_another_profile_and_a_forged_conclusion_are_named(samples, tmp_path):
    other = (samples / "results.jsonl").read_bytes().replace(b'"name": "sse-kms-2024-01"', b'"name": "sse-kms-2099-01"')
    (tmp_path / "other.jsonl").write_bytes(other)
    done = obs("verify", samples / "statement.json", tmp_path / "other.jsonl")
    assert done.returncode == 1
    assert "line 1, header: altered" in done.stdout
    assert "profile: the evidence is of 'sse-kms-2099-01'" in done.stdout
    document = json.loads((samples / "statement.json").read_text())
    document["conclusion"] = "conformant"
    (tmp_path / "forged.json").write_text(json.dumps(document))
    done = obs("verify", tmp_path / "forged.json", samples / "results.jsonl")
    assert done.returncode == 1
    assert "signature: it does not fit" in done.stdout
    assert 'conclusion: the statement says "conformant", the evidence gives "inconclusive"' in done.stdout


def test_nothing_is_signed_that_the_evidence_does_not_show(samples, tmp_path):
    text = (samples / "results.jsonl").read_text()
    (tmp_path / "wishful.jsonl").write_text(text.replace('"conclusion": "inconclusive"', '"conclusion": "conformant"'))
    done = obs("statement", tmp_path / "wishful.jsonl", "--key", samples / "key")
    assert done.returncode == 1
    assert "the conclusion differs in conclusion" in done.stdout
    assert "not signed" in done.stdout
    assert not (tmp_path / "statement.json").exists()


def test_what_was_not_played_stays_as_it_was(tmp_path):
    """Against a closed port nothing is played; against a target of few keys and a declared gap some is not."""
    target = tmp_path / "closed.toml"
    target.write_text(
        'endpoint = "http://127.0.0.1:1"\n[identities.owner]\naccess_key = "a"\nsecret_key = "a-secret-that-nobody-has"\n'
    )
    target.chmod(0o600)
    obs("run", "--target", target, "--select", "KMS-SAMPLE", "--out", tmp_path / "closed")
    with reference_server(tmp_path) as (served, _):
        text = "\n".join(line for line in served.read_text().splitlines() if not line.startswith("custom"))
        served.write_text(f'{text}\n[without]\nregion = "there is only one"\n')
        obs("run", "--target", served, "--select", "KMS-SAMPLE", "--out", tmp_path / "poor", "--strict")
    for name, rungs in (("closed", {"not_run", "not_applicable"}), ("poor", {"not_applicable", "pass", "observed"})):
        results = tmp_path / name / "results.jsonl"
        found = {json.loads(line)["rung"] for line in results.read_text().splitlines()[1:-1]}
        assert {"not_applicable"} < found <= rungs
        done = obs("rejudge", results, "--out", tmp_path / "again.jsonl")
        assert done.returncode == 0, done.stdout
        assert (tmp_path / "again.jsonl").read_bytes() == results.read_bytes()


def _without(record, place):
    for part in place[:-1]:
        record = record[part]
    del record[place[-1]]


HEADER_PLACES = [
    ("profile",),
    ("profile", "clauses"),
    ("library", "digest"),
    ("suite", "name"),
    ("planned",),
    ("seed",),
    ("started",),
    ("target", "keys"),
    ("target", "identities", "owner", "access_key"),
]
CASE_PLACES = [
    ("rung",),
    ("checks", 0, "wanted"),
    ("checks", 0, "clauses"),
    ("observations", 0, "value"),
    ("place", "token"),
    ("exchanges", 0, "asked"),
    ("exchanges", 0, "received", "head"),
    ("exchanges", 0, "sent", "body_size"),
    ("duration_ms",),
]


@pytest.mark.parametrize(
    ("line", "place"), [(0, place) for place in HEADER_PLACES] + [(1, place) for place in CASE_PLACES]
)
def test_evidence_that_lacks_something_is_told_by_line_and_never_a_traceback(samples, tmp_path, line, place):
    records = [json.loads(text) for text in (samples / "results.jsonl").read_text().splitlines()[:2]]
    _without(records[line], place)
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    done = obs("rejudge", tmp_path / "r.jsonl")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert f"r.jsonl, line {line + 1}: {place[-1]}" in done.stderr
