"""Both front ends see the same in a server that has no part of some features."""

import json
import os
import re
import subprocess

import pytest
from commands import BIN, Outcome, obs
from half_built import half_built_server

LISTENER = """\
import json
verdicts = {}
def pytest_runtest_logreport(report):
    if report.when == "call":
        reason = report.longrepr[2] if report.skipped else ""
        verdicts[report.nodeid.rpartition("::")[2]] = [getattr(report, "obs_verdict", "none"), reason]
def pytest_unconfigure():
    with open("verdicts.json", "w") as file:
        json.dump(verdicts, file)
"""


@pytest.fixture
def target(tmp_path):
    with half_built_server() as (port, _):
        path = tmp_path / "target.toml"
        path.write_text(
            f'endpoint = "http://127.0.0.1:{port}"\ndialect = "aws-s3"\n'
            '[identities.owner]\naccess_key = "ak"\nsecret_key = "secret-key"\n[keys]\ncustom = "no-key"\n'
        )
        path.chmod(0o600)
        yield path


def test_run_and_pytest_give_every_case_the_same_status(target, tmp_path):
    ran = Outcome(obs("run", "--target", target, "--out", tmp_path / "out"), tmp_path / "out")
    (tmp_path / "listener.py").write_text(LISTENER)
    done = subprocess.run(
        [BIN / "pytest", "-p", "no:cacheprovider", "-p", "listener", "--pyargs", "conformance", "--obs-target", target],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    played = json.loads((tmp_path / "verdicts.json").read_text())
    verdicts = {name: verdict for name, (verdict, _) in played.items() if verdict != "none"}
    assert verdicts == ran.rungs
    assert len(set(verdicts.values())) > 2
    assert "PUT ?policy is answered 501 ServiceNotImplemented" in played["KMS-POLICY-001"][1]
    assert {reason for verdict, reason in played.values() if verdict == "none"} == {
        "Skipped: profile aws-s3 has no clause that this case exercises"
    }
    for said in (ran.stdout, done.stdout):
        assert re.search(r"note  capability bucket-policy +not supported: PUT \?policy is answered 501", said)
    assert ran.footer["headline"] in done.stdout
