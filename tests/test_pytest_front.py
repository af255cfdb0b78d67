"""The second front end: pytest --pyargs conformance, as a user would type it."""

import html
import json
import os
import re
import subprocess

import pytest
from commands import BIN, reference_server

from conformance.casefile import load_library

CASES = {case.id: case for case in load_library().cases}


@pytest.fixture
def front(tmp_path):
    def run(*arguments, **environment):
        return subprocess.run(
            [BIN / "pytest", "-p", "no:cacheprovider", "--pyargs", "conformance", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env={**os.environ, **environment},
        )

    return run


def test_every_case_is_an_item_and_the_conclusion_is_told(front):
    done = front("-v")
    assert done.returncode == 0, done.stdout
    assert "cases/sse-kms/samples.yaml::KMS-SAMPLE-001 PASSED" in done.stdout
    assert re.search(r"^=+ \d+ passed in", done.stdout, re.MULTILINE)
    assert re.search(r"Conformant: (\d+) of \1 MUST clauses exercised, none failed\.", done.stdout)


def test_failure_is_told_in_english_with_clause_and_both_sides(front, tmp_path):
    with reference_server(tmp_path, "--defect", "bare-key-id-in-answer") as (target, _):
        done = front("--obs-target", target, "-k", "SAMPLE-001")
    assert done.returncode == 1
    assert "SSEKMS-S46" in done.stdout
    assert "wanted: header x-obs-server-side-encryption-kms-key-id matches" in done.stdout
    assert "Traceback" not in done.stdout


def test_html_has_columns_and_the_exchange_without_secrets_and_stays_light(front, tmp_path):
    with reference_server(tmp_path, "--defect", "range-off-by-one") as (target, _):
        secret = next(line for line in target.read_text().splitlines() if line.startswith("secret_key")).split('"')[1]
        done = front("--obs-target", target, "--html", tmp_path / "p.html", "--self-contained-html")
    assert done.returncode == 1
    page = (tmp_path / "p.html").read_text("utf-8")
    assert secret not in page
    blob = re.search(r'data-jsonblob="([^"]*)"', page)
    tests = {name: rows[-1] for name, rows in json.loads(html.unescape(blob[1]))["tests"].items()}
    rows = {name.rpartition("::")[2]: row for name, row in tests.items()}
    cells = {name: [re.sub("<.*?>", "", cell) for cell in row["resultsTableRow"]] for name, row in rows.items()}
    assert cells["KMS-SAMPLE-001"][2:5] == [", ".join(CASES["KMS-SAMPLE-001"].clauses()), "must", "pass"]
    assert cells["KMS-READ-004"][2:5] == [", ".join(CASES["KMS-READ-004"].clauses()), "must", "fail"]
    assert cells["KMS-URL-044"][3:5] == ["observe", "observed"]
    (extra,) = rows["KMS-SAMPLE-001"]["extras"]
    assert "\n&gt; x-obs-server-side-encryption:kms\n" in extra["content"]
    assert "\n&lt; HTTP/1.1 200 OK\n" in extra["content"]
    assert len(page) / len(rows) < 8000  # bytes a case: a thousand cases are 8 MB at most


def test_failures_are_told_without_looking_through_the_reports_of_every_case_for_each(front, tmp_path):
    (tmp_path / "watch.py").write_text(
        "import pytest\n"
        "@pytest.hookimpl(trylast=True)\n"
        "def pytest_terminal_summary(terminalreporter):\n"
        "    print('looked through:', len(terminalreporter.stats.get('', [])))\n"
    )
    with reference_server(tmp_path, "--defect", "bare-key-id-in-answer") as (target, _):
        done = front("-p", "watch", "--obs-target", target, "-k", "SAMPLE", PYTHONPATH=tmp_path)
    assert re.search(r"\d+ failed, \d+ passed", done.stdout)
    assert "wanted: header x-obs-server-side-encryption-kms-key-id matches" in done.stdout
    assert "looked through: 0\n" in done.stdout


def test_of_many_cases_only_those_that_fail_carry_their_exchanges(front, tmp_path):
    with reference_server(tmp_path, "--defect", "bare-key-id-in-answer") as (target, _):
        arguments = ("--obs-target", target, "-k", "SAMPLE", "--html", tmp_path / "p.html", "--self-contained-html")
        for attach, carrying in (("1000", {"Passed", "Failed"}), ("1", {"Failed"})):
            front(*arguments, "--obs-attach", attach)
            data = re.search(r'data-jsonblob="([^"]*)"', (tmp_path / "p.html").read_text("utf-8"))[1]
            tests = [test for of_id in json.loads(html.unescape(data))["tests"].values() for test in of_id]
            assert {
                test["resultsTableRow"][0].split(">")[1].split("<")[0] for test in tests if test["extras"]
            } == carrying


def test_bad_target_file_ends_the_session_with_a_sentence(front, tmp_path):
    done = front("--obs-target", tmp_path / "none.toml")
    assert done.returncode == 2
    assert "none.toml: cannot be read" in done.stdout + done.stderr


def test_unreachable_target_is_never_green(front, tmp_path):
    path = tmp_path / "t.toml"
    path.write_text('endpoint = "http://127.0.0.1:1"\n[identities.owner]\naccess_key = "a"\nsecret_key = "secret"\n')
    path.chmod(0o600)
    done = front("--obs-target", path)
    assert done.returncode == 3
    assert "port 1 of 127.0.0.1 cannot be reached" in done.stdout
    done = front("--obs-target", path, "--obs-no-doctor", "-k", "SAMPLE")
    assert done.returncode == 1
    assert "Nothing was measured" in done.stdout


def test_other_pytest_runs_are_left_alone(tmp_path):
    (tmp_path / "test_x.py").write_text("def test_x():\n    pass\n")
    done = subprocess.run([BIN / "pytest", "-q", "test_x.py"], capture_output=True, text=True, cwd=tmp_path)
    assert "1 passed" in done.stdout
    assert "obs-conformance" not in done.stdout


def test_the_doctor_stops_a_session_whose_set_up_is_wrong(front, tmp_path):
    with reference_server(tmp_path) as (target, _):
        target.write_text(
            re.sub(r'secret_key = "[^"]*"', 'secret_key = "of-somebody-else"', target.read_text(), count=1)
        )
        done = front("--obs-target", target, "-k", "SAMPLE-001")
        skipped = front("--obs-target", target, "-k", "SAMPLE-001", "--obs-no-doctor")
    assert done.returncode == 3
    assert "is not accepted. Remedy:" in done.stdout
    assert "of-somebody-else" not in done.stdout
    assert skipped.returncode == 1  # a case that could not be set up, as before
    assert "KMS-SAMPLE-001 setup_failed" in skipped.stdout
