"""What a killed run leaves is removed from its journal alone, and nothing else is touched."""

import json
import os
import random
import subprocess
import time

import pytest
from buckets import Account
from commands import BIN, reference_server
from middlebox import Middlebox, error

KILLS = int(os.environ.get("OBS_CONFORMANCE_KILLS", "10"))
"""How often a run is killed; the nightly environment asks for more."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with reference_server(tmp_path_factory.mktemp("server")) as (target, _):
        yield target


@pytest.fixture
def account(server):
    opened = Account(server)
    yield opened
    opened.close()


def start(target, out, *arguments):
    return subprocess.Popen(
        [BIN / "obs-conformance", "run", "--target", target, "--out", out, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


SELECTED = ("--select", "KMS-MULTIPART-00", "--select", "KMS-DEFAULT-00", "--jobs", "4")


def started(target, out):
    """A run that has just written the first line of its journal."""
    run = start(target, out, *SELECTED)
    while not (out / "journal.jsonl").exists():
        time.sleep(0.002)
    return run


@pytest.fixture(scope="module")
def span(server, tmp_path_factory):
    """How long a run of the selection touches the target, in seconds."""
    run = started(server, tmp_path_factory.mktemp("whole"))
    begun = time.monotonic()
    run.communicate()
    return time.monotonic() - begun


@pytest.mark.parametrize("seed", range(KILLS))
def test_after_a_kill_at_a_random_point_sweep_leaves_nothing_and_the_decoys(
    server, account, span, command, tmp_path, seed
):
    out, before = tmp_path / "out", account.buckets()
    run = started(server, out)
    time.sleep(random.Random(seed).uniform(0, span))
    run.kill()
    run.communicate()
    entries = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]
    own = next((entry["bucket"] for entry in entries if "create" in entry), "obsc-0123456789")[:15]
    decoys = {f"{own}-decoy", f"{own[:-1]}{'0' if own[-1] != '0' else '1'}"}
    for decoy in decoys:
        account.make(decoy, "kept", "kept/too")
    done = command("sweep", out / "journal.jsonl", "--target", server)
    assert (done.returncode, done.stderr) == (0, "")
    assert account.buckets() - before == decoys
    for decoy in decoys:
        assert account.objects(decoy) == {"kept", "kept/too"}
        for name in ("kept", "kept/too", None):
            account.send("DELETE", decoy, name)


def test_an_object_of_somebody_else_in_a_bucket_of_ours_is_not_touched(server, account, command, tmp_path):
    bucket = "obsc-00000000aa"
    account.make(bucket, "ours", "theirs")
    journal = tmp_path / "journal.jsonl"
    lines = [
        {"endpoint": account.target.endpoint},
        {"create": "bucket", "bucket": bucket, "name": ""},
        {"create": "object", "bucket": bucket, "name": "ours"},
    ]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"create": "obj')
    done = command("sweep", tmp_path, "--target", server)
    assert done.returncode == 1
    assert f"left behind: {bucket}" in done.stderr
    assert account.objects(bucket) == {"theirs"}
    assert account.send("DELETE", bucket, "theirs").status == 204
    again = command("sweep", tmp_path, "--target", server)
    assert again.returncode == 0
    assert bucket not in account.buckets()


def test_a_bucket_that_could_not_be_created_is_not_ours_to_delete(server, account, tmp_path, conformance):
    def taken(seen, _):
        return error("409 Conflict", "BucketAlreadyExists") if seen.method == "PUT" else None

    box = Middlebox(int(account.target.endpoint.rpartition(":")[2]), instead=taken)
    with box.running() as port:
        text = server.read_text().replace(account.target.endpoint, f"http://127.0.0.1:{port}")
        target = tmp_path / "target.toml"
        target.write_text(text)
        target.chmod(0o600)
        outcome = conformance("--target", target, "--select", "KMS-PUT-001", "--no-doctor")
    assert outcome.rungs == {"KMS-PUT-001": "setup_failed"}
    assert [seen.path for seen in box.seen if seen.method == "DELETE"] == []


def test_only_single_deletes_are_sent(server, account, tmp_path, conformance):
    box = Middlebox(int(account.target.endpoint.rpartition(":")[2]))
    with box.running() as port:
        text = server.read_text().replace(account.target.endpoint, f"http://127.0.0.1:{port}")
        target = tmp_path / "target.toml"
        target.write_text(text)
        target.chmod(0o600)
        outcome = conformance("--target", target, "--select", "KMS-PUT-001", "--select", "KMS-MULTIPART-001")
        assert outcome.footer["cleanup"]["left"] == []
    methods = [(seen.method, seen.path) for seen in box.seen]
    assert [path for method, path in methods if method == "DELETE" and path.count("/") > 1]
    assert [path for method, path in methods if path.partition("?")[2].startswith("delete")] == []


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('{"endpoint": "http://elsewhere.example"}\n', "is of http://elsewhere.example, and the target is"),
        ('{"create": "bucket", "bucket": "obsc-0123456789", "name": ""}\n', "names no endpoint"),
        (
            '{"endpoint": "E"}\n{"create": "bucket", "bucket": "my-photos", "name": ""}\n',
            "line 2: not a line of a journal",
        ),
        ('{"endpoint": "E"}\n{"create": "account", "bucket": "obsc-0123456789", "name": ""}\n', "line 2: not a line"),
        ('{"endpoint": "E"}\n{"create": "object", "bucket": "obsc-0123456789", "name": 5}\n', "line 2: not a line"),
        ('{"kind": "header"\n{}\n', "line 1: not a line of a journal"),
        ("", "names no endpoint"),
    ],
)
def test_what_is_no_journal_of_this_target_is_refused(server, account, command, tmp_path, lines, says):
    journal = tmp_path / "journal.jsonl"
    journal.write_text(lines.replace('"E"', json.dumps(account.target.endpoint)))
    done = command("sweep", journal, "--target", server)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_journal_and_a_missing_target_are_usage_errors(server, command, tmp_path):
    assert "none.jsonl: cannot be read" in command("sweep", tmp_path / "none.jsonl", "--target", server).stderr
    assert command("sweep", tmp_path / "none.jsonl").returncode == 2
