"""The explorer's commands, driven as installed."""

import contextlib
import json

import pytest
import yaml
from commands import free_port, reference_server

MODE = "x-obs-server-side-encryption"


def test_probe_shows_both_directions_with_clauses_and_leaves_nothing(command, tmp_path):
    done = command("probe", "PUT", "{bucket}/{object}", "-H", f"{MODE}:kms", "--size", "5242")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith(f"> {MODE}:kms") and "SSEKMS-S14" in line for line in lines)
    assert any(line.startswith(f"< {MODE}: kms") and "SSEKMS-S44" in line for line in lines)
    assert any(line.startswith("< HTTP/1.1 200 OK") and "SSEKMS-S40" in line for line in lines)
    assert "again: obs-conformance probe PUT '{bucket}/{object}'" in done.stdout
    assert not list(tmp_path.glob("*.jsonl"))


def test_probe_of_a_wrong_server_names_clause_and_line(command, defective):
    with defective("bare-key-id-in-answer") as target:
        done = command("probe", "PUT", "{bucket}/o", "-H", f"{MODE}: kms", "--size", "1", "--target", target)
    assert done.returncode == 1
    assert "    ^ BROKEN SSEKMS-S46: header x-obs-server-side-encryption-kms-key-id is" in done.stdout


def test_saved_probe_is_a_case_that_passes_on_the_honest_server_and_fails_on_a_wrong_one(command, defective, tmp_path):
    saved = tmp_path / "p.yaml"
    asked = ("-H", f"{MODE}:kms", "-H", f"{MODE}-kms-key-id: {{keys.custom}}", "--size", "70000", "--save", saved)
    assert command("probe", "PUT", "{bucket}/{object}", *asked).returncode == 0
    assert yaml.safe_load(saved.read_text("utf-8"))["cases"][0]["needs"] == ["keys.custom"]
    honest = command("run", "--cases", saved, "--out", tmp_path / "honest")
    assert "PROBE-001  recorded, not judged" in honest.stdout
    with defective("custom-key-ignored") as target:
        wrong = command("run", "--cases", saved, "--out", tmp_path / "wrong", "--target", target)
    assert wrong.returncode == 1
    assert "FAIL  PROBE-001" in wrong.stdout


def test_where_nobody_listens_nothing_is_called_left_and_no_journal_stays(command, tmp_path):
    target = tmp_path / "t.toml"
    target.write_text(
        f'endpoint = "http://127.0.0.1:{free_port()}"\n[identities.owner]\naccess_key = "A"\nsecret_key = "0123456789"\n'
    )
    target.chmod(0o600)
    done = command("probe", "PUT", "{bucket}/{object}", "--target", target)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "the target could not be used: could not connect: " in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["t.toml"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("PUT", "elsewhere/o"), "only {bucket} is touched"),
        (("GET", "{bucket}/{nothing}"), "{nothing} has no value"),
        (("GET", "{bucket}/o", "--as", "nobody"), "the target has the identities owner"),
        (("GET", "{bucket}/o", "--keep", "a=b"), "write NAME="),
        (("GET", "{bucket}/o", "--keep", "a=header X-None"), "0 of header X-None"),
    ],
)
def test_what_cannot_be_probed_is_said_in_a_line(command, words, says):
    done = command("probe", *words)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_shell_keeps_values_between_steps_and_writes_the_session_as_a_case(installed_shell, command, tmp_path):
    saved = tmp_path / "s.yaml"
    typed = [
        f"PUT {{bucket}}/{{object}} -H '{MODE}: kms' --size 10 --keep key='header {MODE}-kms-key-id'",
        f"PUT {{bucket}}/second -H '{MODE}: kms' -H '{MODE}-kms-key-id: {{key}}' --size 10",
        "values",
        "explain SSEKMS-S44",
        "explain NOTHING-1",
        "bogus",
        "PUT {bucket}/x -H 'unclosed",
        f"write {saved}",
        "quit",
        "never read",
    ]
    done = installed_shell("\n".join(typed) + "\n")
    assert done.returncode == 0, done.stderr
    for text in ("  {key}  region:", "Level decided by", "no case or clause has the id 'NOTHING-1'", "'bogus' is no command",
                 "close every quote"):  # fmt: skip
        assert text in done.stdout
    played = command("run", "--cases", saved, "--out", tmp_path / "out")
    assert "PROBE-001  recorded, not judged" in played.stdout


def test_a_client_is_judged_by_what_it_sent(command, tmp_path):
    def recording(mode):
        headers = [{"name": MODE, "value": mode}]
        entry = {
            "startedDateTime": "2018-06-06T09:08:21Z",
            "request": {"method": "PUT", "url": "http://h/b/o", "headers": headers},
        }
        (tmp_path / "r.har").write_text(json.dumps({"log": {"entries": [entry]}}), "utf-8")
        return tmp_path / "r.har"

    good = command("client", recording("kms"), "--json")
    assert good.returncode == 0, good.stderr
    assert {rule["id"]: rule["verdict"] for rule in json.loads(good.stdout)["rules"]}["PASSIVE-Q01"] == "respected"
    bad = command("client", recording("aws:kms"))
    assert bad.returncode == 1
    assert "BROKEN  PASSIVE-Q01" in bad.stdout
    assert command("client", tmp_path / "missing.har").returncode == 2


def test_exploration_finds_a_planted_defect_and_its_case_tells_right_from_wrong(command, defective, tmp_path):
    wrong = ("explore", "--defect", "copy-forgets-encryption", "--only", "sequences", "--seed", "1")
    done = command(*wrong, "--seconds", "60", "--stop-after", "1", "--out", tmp_path / "found")
    assert done.returncode == 1, done.stderr
    assert "1. copy-object: " in done.stdout
    assert command(*wrong, "--seconds", "60", "--stop-after", "1", "--out", tmp_path / "found").returncode == 1
    assert {path.name for path in (tmp_path / "found").iterdir()} == {"finding-1.yaml", "finding-2.yaml"}
    saved = tmp_path / "found" / "finding-1.yaml"
    with defective("copy-forgets-encryption") as target:
        assert command("run", "--cases", saved, "--target", target, "--out", tmp_path / "wrong").returncode == 1
    honest = command("run", "--cases", saved, "--out", tmp_path / "right")
    assert (honest.returncode, "FAIL" in honest.stdout) == (3, False)


def test_a_property_finds_the_server_that_takes_any_key(command, tmp_path):
    wrong = ("explore", "--defect", "unknown-key-accepted", "--only", "PROPERTY-005", "--seconds", "60")
    done = command(*wrong, "--stop-after", "1", "--out", tmp_path / "found")
    assert done.returncode == 1, done.stderr
    assert "refused refusal" in done.stdout


def test_nothing_is_found_on_the_honest_server_over_http_and_nothing_left(command, tmp_path):
    with reference_server(tmp_path) as (target, _):
        done = command(
            "explore", "--target", target, "--seconds", "3", "--requests", "60", "--rate", "400", "--seed", "5"
        )
    assert done.returncode == 0, done.stderr
    assert " 0 causes; 0 could not be judged" in done.stdout
    assert not list(tmp_path.glob("*.journal.jsonl"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--defect", "none-such"), "no defect named none-such"),
        (("--only", "PROPERTY-999"), "--only PROPERTY-999: there are sequences"),
        (("--endpoint", "http://127.0.0.1:1", "--defect", "x"), "--defect is for the server in process"),
    ],
)
def test_what_cannot_be_explored_is_said_in_a_line(command, words, says):
    done = command("explore", *words, "--seconds", "1")
    assert done.returncode == 2
    assert says in done.stderr


def test_a_target_differs_from_itself_in_nothing_and_from_a_wrong_one_first_in_the_defect(command, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with reference_server(tmp_path / "a") as (first, _):
        asked = ("--select", "copy", "--select", "put", "--generated", "10", "--seed", "3")
        same = command("diff", "--target", first, "--target", first, *asked)
        assert (same.returncode, " 0 causes, 0 differences" in same.stdout) == (0, True), same.stdout
        with reference_server(tmp_path / "b", "--defect", "put-answers-201") as (second, _):
            wrong = command("diff", "--target", first, "--target", second, *asked, "--wires")
    assert wrong.returncode == 1
    assert wrong.stdout.startswith("put-object: status differs  [")
    assert "< HTTP/1.1 201" in wrong.stdout


@pytest.fixture(scope="module")
def in_s3(tmp_path_factory):
    """A target file in a dialect, of a server that is honest or has a defect."""
    with contextlib.ExitStack() as stack:

        def start(dialect, *arguments):
            folder = tmp_path_factory.mktemp("server")
            target, _ = stack.enter_context(reference_server(folder, *arguments))
            text = target.read_text().replace('dialect = "obs"', f'dialect = "{dialect}"')
            target.write_text(text.replace('profile = "sse-kms-2024-01"\n', ""))
            return target

        yield start


def test_exploring_in_a_dialect_accuses_no_honest_server(command, in_s3):
    asked = ("--seed", "1", "--seconds", "60", "--requests", "300", "--rate", "1000")
    done = command("explore", "--target", in_s3("aws-s3"), *asked)
    assert (done.returncode, " 0 causes;" in done.stdout) == (0, True), done.stdout


def test_exploring_in_a_dialect_finds_a_defect(command, in_s3):
    asked = ("--seed", "1", "--seconds", "60", "--rate", "1000", "--stop-after", "1")
    done = command("explore", "--target", in_s3("aws-s3", "--defect", "custom-key-ignored"), *asked)
    assert done.returncode == 1, done.stdout


def test_what_reads_the_words_of_obs_alone_refuses_another_dialect_in_a_line(command, in_s3):
    target = in_s3("obs-s3")
    for words, said in (
        (("probe", "GET", "{bucket}/o", "--target", target), "read OBS's own dialect alone"),
        (("shell", "--target", target), "read OBS's own dialect alone"),
        (("diff", "--target", target), "speaks obs"),
    ):
        done = command(*words)
        assert (done.returncode, done.stdout, done.stderr.count("\n"), said in done.stderr) == (2, "", 1, True)


@pytest.mark.parametrize(
    "request_",
    [
        {"headers": [{"name": "Authorization", "value": "AWS4-HMAC-SHA256 Credential=a"}], "url": "http://h/b/o"},
        {"headers": [], "url": "http://h/b/o?X-Amz-Signature=a"},
        {"headers": [{"name": "X-Amz-Server-Side-Encryption", "value": "aws:kms"}], "url": "http://h/b/o"},
    ],
)
def test_a_recording_in_the_s3_dialect_is_refused_in_a_line(command, tmp_path, request_):
    entry = {
        "startedDateTime": "2026-01-01T00:00:00Z",
        "time": 1,
        "request": {"method": "PUT", "httpVersion": "HTTP/1.1", "queryString": [], **request_},
        "response": {"status": 200, "statusText": "OK", "headers": [], "content": {"size": 0, "text": ""}},
    }
    (tmp_path / "r.har").write_text(json.dumps({"log": {"version": "1.2", "entries": [entry]}}))
    done = command("client", "r.har")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "speaks the S3 dialect" in done.stderr
