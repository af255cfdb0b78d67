"""Cases that change the state of a key: one at a time, put back afterwards, and by sweep after a crash."""

import json
import re
import time
import tomllib
import urllib.error
import urllib.request

import pytest
from commands import Outcome, reference_server

from conformance import keyservice
from conformance.target import load_target

CASES = ("--select", "key-states", "--no-doctor")


@pytest.fixture
def server(tmp_path):
    with reference_server(tmp_path) as (target, _):
        yield target


def ask(path, action):
    """Ask the key service of a target file for an action on the key that is there for it; its status and document."""
    target = load_target(path)
    made = keyservice.request(action, target.kms, target.identities["owner"], target.keys["switched"], time.time())
    first, *lines = made.head.decode().rstrip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    asked = urllib.request.Request(target.kms.endpoint + first.split()[1], made.body, headers)
    try:
        with urllib.request.urlopen(asked) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_many_at_a_time_they_still_take_turns_and_leave_the_key_usable(command, server, tmp_path):
    done = Outcome(command("run", "--target", server, "--jobs", "16", "--out", tmp_path / "o", *CASES), tmp_path / "o")
    assert set(done.rungs.values()) == {"pass", "observed"}
    assert done.footer["cleanup"]["left"] == []
    assert ask(server, "enable-key")[1]["error"]["error_code"] == "KMS.1201"
    assert "the key service" not in done.stdout


def test_a_target_without_a_key_service_is_told_so(command, server, tmp_path):
    without = tmp_path / "without.toml"
    without.write_text(re.sub(r"\[kms\][^\[]*", "", server.read_text()))
    without.chmod(0o600)
    done = Outcome(command("run", "--target", without, "--out", tmp_path / "o", *CASES), tmp_path / "o")
    assert set(done.rungs.values()) == {"not_applicable"}
    assert done.code == 3
    assert {line["reason"] for line in done.lines if line["kind"] == "case"} == {"the target file names no key service"}


def test_a_key_that_a_killed_run_left_disabled_is_put_back_by_sweep(command, server, tmp_path):
    key, endpoint = (tomllib.loads(server.read_text())[name] for name in ("keys", "endpoint"))
    journal = tmp_path / "journal.jsonl"
    lines = [{"endpoint": endpoint}, {"create": "key", "bucket": "obsc-0123456789", "name": key["switched"]}]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for action in ("disable-key", "schedule-key-deletion"):
        assert ask(server, action)[0] == 200
    swept = command("sweep", journal, "--target", server)
    assert swept.returncode == 0, swept.stderr
    assert ask(server, "enable-key")[1]["error"]["error_code"] == "KMS.1201"
    assert json.loads(journal.read_text().splitlines()[-1])["removed"] == "key"


def test_what_sweep_cannot_put_back_is_named(command, server, tmp_path):
    test_a_key_that_a_killed_run_left_disabled_is_put_back_by_sweep(command, server, tmp_path)
    journal = tmp_path / "again.jsonl"
    lines = (tmp_path / "journal.jsonl").read_text().splitlines()[:2]
    journal.write_text("\n".join(lines) + "\n")
    broken = tmp_path / "broken.toml"
    broken.write_text(server.read_text().replace('project_id = "', 'project_id = "0'))
    broken.chmod(0o600)
    swept = command("sweep", journal, "--target", broken)
    assert swept.returncode == 1
    assert "left behind: the state of key " in swept.stderr


def test_their_results_are_judged_again_without_network_as_they_were(command, server, tmp_path):
    command("run", "--target", server, "--out", tmp_path / "o", *CASES)
    again = command("rejudge", tmp_path / "o" / "results.jsonl")
    assert "13 cases judged again, 0 changed" in again.stdout
