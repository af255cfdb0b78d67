"""The main job from outside: the installed command against good, bad and absent servers."""

import base64
import contextlib
import gc
import gzip
import http.server
import json
import re
import signal
import socket
import subprocess
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest
from buckets import Account
from commands import BIN, ROOT, heed_sigint, obs, reference_server

from conformance.casefile import load_library
from conformance.cli import main

TARGET = """\
endpoint = "http://127.0.0.1:{port}"
[identities.owner]
access_key = "AKEXAMPLE00000000000"
secret_key = "CANARY/secret+key/of/the/target/file1234"
[keys]
custom = "4f1cd4de-ab64-4807-920a-47fc42e7f0d0"
[limits]
timeout_s = 1
"""
CASES = [case.id for case in load_library().cases]
CONFORMANT = re.compile(r"Conformant: (\d+) of \1 MUST clauses exercised, none failed\.")
CANARY = "CANARY/secret+key/of/the/target/file1234"


@pytest.fixture
def target_for(tmp_path):
    def write(port):
        path = tmp_path / "target.toml"
        path.write_text(TARGET.format(port=port))
        path.chmod(0o600)
        return path

    return write


def test_without_a_target_the_bundled_server_is_conformant_and_everything_is_left_for_the_reader(conformance):
    outcome = conformance()
    assert outcome.code == 0
    assert CONFORMANT.search(outcome.stdout)
    schema = json.loads((ROOT / "reports" / "results.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    for line in outcome.lines:
        validator.validate(line)
    assert [line["kind"] for line in outcome.lines] == ["header", *["case"] * len(CASES), "footer"]
    assert outcome.lines[0]["planned"] == list(outcome.rungs) == CASES
    assert outcome.footer["cleanup"]["left"] == []
    assert outcome.footer["cleanup"]["created"] == outcome.footer["cleanup"]["removed"] > 5
    headline = CONFORMANT.search(outcome.stdout)[0].removeprefix("Conformant: ")
    assert headline in (outcome.out / "report.html").read_text("utf-8")
    suite = ET.parse(outcome.out / "junit.xml").getroot()
    assert len(list(suite.iter("testcase"))) == len(CASES)
    assert not list(suite.iter("failure")) + list(suite.iter("error"))


def test_the_wire_of_sample_one_is_in_the_evidence(conformance):
    outcome = conformance("--select", "KMS-SAMPLE-001")
    case = next(line for line in outcome.lines if line["kind"] == "case")
    sent, received = case["exchanges"][0]["sent"], case["exchanges"][0]["received"]
    assert "\r\nx-obs-server-side-encryption:kms\r\n" in sent["head"]
    assert sent["head"].endswith("\r\nExpect: 100-continue\r\n\r\n")
    assert sent["body_size"] == 5242
    assert received["head"].startswith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert case["exchanges"][0]["continued"] is True


def test_a_selection_alone_is_never_called_conformant(conformance):
    outcome = conformance("--select", "KMS-SAMPLE-001")
    assert outcome.code == 3
    assert "Inconclusive" in outcome.stdout


def test_verdicts_do_not_depend_on_jobs_or_seed(conformance):
    runs = [conformance("--jobs", jobs, "--seed", seed).rungs for jobs, seed in ((1, 1), (8, 2), (3, 1))]
    assert runs[0] == runs[1] == runs[2]


def test_both_transports_give_the_same_verdicts_and_exchanges(conformance, tmp_path):
    with reference_server(tmp_path) as (target, _):
        wire = conformance("--target", target)
        text = target.read_text()
        target.write_text('transport = "requests"\n' + text)
        target.chmod(0o600)
        requests = conformance("--target", target)
    assert wire.code == requests.code == 0

    def seen(outcome):
        for case in (line for line in outcome.lines if line["kind"] == "case"):
            for check in case["checks"]:
                yield case["id"], check["step"], check["word"], check["subject"], check["held"]
            for exchange in case["exchanges"]:
                names = [line.partition(":")[0] for line in exchange["sent"]["head"].split("\r\n")[1:]]
                yield case["id"], exchange["step"], exchange["outcome"], names, exchange["sent"]["body_size"]
                yield [line.partition(":")[0] for line in exchange["received"]["head"].split("\r\n")]

    assert list(seen(wire)) == list(seen(requests))


def test_virtual_host_style_is_conformant_too(conformance, tmp_path):
    with reference_server(tmp_path) as (target, _):
        target.write_text(target.read_text().replace('addressing = "path"', 'addressing = "virtual-host"'))
        target.chmod(0o600)
        outcome = conformance("--target", target)
    assert outcome.code == 0
    assert "\r\nHost: obsc-" in outcome.lines[1]["exchanges"][0]["sent"]["head"]


def test_a_missing_key_is_a_gap_that_keeps_the_run_from_being_green(conformance, tmp_path):
    with reference_server(tmp_path) as (target, _):
        text = "\n".join(line for line in target.read_text().splitlines() if not line.startswith("custom ="))
        target.write_text(text)
        target.chmod(0o600)
        outcome = conformance("--target", target)
    assert (outcome.code, outcome.rungs["KMS-SAMPLE-002"]) == (3, "not_applicable")
    assert "SSEKMS-S50" in outcome.stdout


def test_a_declared_gap_does_not(conformance, tmp_path):
    with reference_server(tmp_path) as (target, _):
        target.write_text(target.read_text() + '\n[without]\npost-form = "not offered by this product"\n')
        target.chmod(0o600)
        outcome = conformance("--target", target)
    assert outcome.code == 0
    assert outcome.rungs["KMS-FORM-001"] == "not_applicable"


# ---- servers that are none ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def raw_server(answer):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


@contextlib.contextmanager
def http_server(status):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    for method in ("PUT", "GET", "HEAD", "DELETE", "POST"):
        setattr(Handler, f"do_{method}", Handler.answer)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_closed_port_measures_nothing(conformance, target_for):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = conformance("--target", target_for(port))
    assert outcome.code == 3
    assert f"Nothing was measured: connect: port {port} of 127.0.0.1 cannot be reached" in outcome.stdout
    assert set(outcome.rungs.values()) - {"not_applicable"} == {"not_run"}
    assert outcome.stdout.count("NOT_RUN") == 1


@pytest.mark.parametrize("answer", [b"\x16\x03\x01garbage", b"SSH-2.0-OpenSSH_9.6\r\n", b""])
def test_garbage_measures_nothing(conformance, target_for, answer):
    with raw_server(answer) as port:
        outcome = conformance("--target", target_for(port))
    assert outcome.code == 3
    assert "Nothing was measured" in outcome.stdout


def test_403_to_everything_measures_nothing_and_is_a_set_up_matter(conformance, target_for):
    with http_server(403) as port:
        outcome = conformance("--target", target_for(port), "--no-doctor")
    assert outcome.code == 3
    assert "Nothing was measured: creating the run's bucket was answered 403" in outcome.stdout
    assert set(outcome.rungs.values()) - {"not_applicable"} == {"setup_failed"}


def test_200_to_everything_is_not_conformant(conformance, target_for):
    with http_server(200) as port:
        outcome = conformance("--target", target_for(port))
    assert outcome.code == 1
    assert outcome.rungs["KMS-SAMPLE-001"] == "fail"
    assert "pass" not in outcome.rungs.values()


def test_server_that_stops_half_way_is_never_conformant(tmp_path):
    """The server is stopped as soon as the first case line is in the results file."""
    out = tmp_path / "out"
    with reference_server(tmp_path) as (target, server):
        server.send_signal(signal.SIGSTOP)
        target.write_text(target.read_text() + "[limits]\ntimeout_s = 2\njobs = 1\n")
        target.chmod(0o600)
        run = subprocess.Popen(
            [BIN / "obs-conformance", "run", "--no-doctor", "--target", target, "--out", out],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        results = out / "results.jsonl"
        deadline = time.time() + 20
        while time.time() < deadline and not (results.exists() and results.read_text().count("\n") >= 1):
            time.sleep(0.01)
        server.send_signal(signal.SIGCONT)
        while time.time() < deadline and results.read_text().count("\n") < 2:
            time.sleep(0.0005)
        server.kill()
        stdout, stderr = run.communicate(timeout=60)
    assert "Traceback" not in stdout + stderr
    rungs = [json.loads(line)["rung"] for line in results.read_text().splitlines()[1:-1]]
    assert "not_run" in rungs
    assert run.returncode == 3
    assert "Conformant" not in stdout
    assert "left behind on the target: " in stderr


def test_interrupted_run_keeps_what_it_has(tmp_path):
    out = tmp_path / "out"
    with raw_hanging_server() as port:
        path = tmp_path / "target.toml"
        path.write_text(TARGET.format(port=port).replace("timeout_s = 1", "timeout_s = 3"))
        path.chmod(0o600)
        run = subprocess.Popen(
            [BIN / "obs-conformance", "run", "--no-doctor", "--target", path, "--out", out, "--jobs", "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_sigint,
        )
        deadline = time.time() + 10
        while time.time() < deadline and not (out / "results.jsonl").exists():
            time.sleep(0.01)
        time.sleep(0.3)
        run.send_signal(signal.SIGINT)
        stdout, stderr = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "Interrupted" in stdout
    assert "Traceback" not in stderr
    assert json.loads((out / "results.jsonl").read_text().splitlines()[-1])["conclusion"] == "interrupted"
    assert (out / "report.html").is_file()


@contextlib.contextmanager
def raw_hanging_server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


# ---- secrets and leftovers ------------------------------------------------------------------------------------------


def test_no_secret_is_in_any_artefact(conformance, tmp_path):
    with reference_server(tmp_path) as (target, _):
        secret = next(line for line in target.read_text().splitlines() if line.startswith("secret_key")).split('"')[1]
        outcome = conformance("--target", target)
    for path in outcome.out.iterdir():
        assert secret not in path.read_text("utf-8"), path.name
    packed = re.findall(r">(H4sI[\w+/=]+)<", (outcome.out / "report.html").read_text("utf-8"))
    unpacked = "".join(gzip.decompress(base64.b64decode(block)).decode() for block in packed)
    assert "Authorization: OBS " in unpacked
    assert secret not in unpacked
    assert secret not in outcome.stdout + outcome.stderr
    assert "Authorization: OBS " in (outcome.out / "results.jsonl").read_text("utf-8")


def test_nothing_is_left_in_the_server(conformance, tmp_path):
    data = tmp_path / "data"
    with reference_server(tmp_path, "--data", data) as (target, _):
        outcome = conformance("--target", target)
        bucket = next(
            line["bucket"]
            for line in map(json.loads, (outcome.out / "journal.jsonl").read_text().splitlines())
            if "bucket" in line
        )
        again = conformance("--target", target)
    assert bucket.startswith("obsc-")
    assert again.code == 0
    assert not [path for path in (data / "blobs").rglob("*") if path.is_file()] if (data / "blobs").exists() else True


def test_no_child_is_left_when_the_command_is_killed(tmp_path):
    marker = f"obs-conformance-{tmp_path.name}"
    run = subprocess.Popen(
        [BIN / "obs-conformance", "run", "--out", tmp_path / marker], stdout=subprocess.PIPE, text=True
    )
    run.stdout.readline()
    children = _children_of(run.pid)
    run.kill()
    run.communicate()
    deadline = time.time() + 10
    while time.time() < deadline and any(Path(f"/proc/{pid}").exists() for pid in children):
        time.sleep(0.05)
    assert children
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def _children_of(pid):
    listing = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listing.stdout.split()]


# ---- usage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--target", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["run", "--endpoint", "ftp://x"], "--endpoint: 'ftp://x' is not an address"),
        (["run", "--endpoint", "http://me:hunter2@x"], "--endpoint: an address holds no name and no password"),
        (["run", "--endpoint", "http://x"], "OBS_ACCESS_KEY_ID and OBS_SECRET_ACCESS_KEY is not set"),
        (["run", "--profile", "other"], "no profile named 'other'; there are: aws-s3, obs-s3-2024, sse-kms-2024-01"),
        (["run", "--select", "nothing-like-it"], "no case matches --select nothing-like-it"),
        (["run", "--select", ""], "--select is empty; leave it out"),
        (["run", "--jobs", "0"], "--jobs 0"),
        (["run", "--jobs", "many"], "invalid int value"),
        (["explain", "KMS-NOPE"], "no case or clause has the id 'KMS-NOPE'"),
        (["spec", "nowhere.txt"], "nowhere.txt: cannot be read"),
        (["report", "nowhere.jsonl"], "nowhere.jsonl"),
        ([], "required"),
        (["runn"], "invalid choice"),
    ],
)
def test_usage_errors_say_what_is_wrong_and_exit_2(command, arguments, says):
    done = command(*arguments, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_a_target_file_given_for_another_is_shown_to_nobody(command, tmp_path):
    target = tmp_path / "t.toml"
    target.write_text(TARGET.format(port=1), "utf-8")
    target.chmod(0o600)
    for words, says in (
        (("run", "--cases", target), "t.toml:1:1: the file is no table of words"),
        (("spec", target), "t.toml: no clause claims a sentence of it"),
    ):
        done = command(*words)
        assert (done.returncode, CANARY in done.stdout + done.stderr) == (2, False)
        assert says in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "[limits]",
            '[without]\nsigned-uri = "not offered"\n[limits]',
            "without.signed-uri; did you mean 'signed-url'?",
        ),
        (CANARY, "anything", "a secret of the target is part of the name KMS-FORM-017/anything"),
    ],
)
def test_a_target_file_that_does_not_fit_the_library_is_refused_before_anything_is_played(
    command, tmp_path, old, new, says
):
    target = tmp_path / "t.toml"
    target.write_text(TARGET.format(port=1).replace(old, new), "utf-8")
    target.chmod(0o600)
    done = command("run", "--target", target, "--out", tmp_path / "out")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert says in done.stderr


def test_who_stops_reading_changes_neither_the_outcome_nor_what_is_left(defective, tmp_path):
    with defective("put-answers-201") as target:
        words = ("run", "--target", target, "--select", "KMS-PUT", "--out", tmp_path / "out")
        with subprocess.Popen([BIN / "obs-conformance", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
            assert run.stdout.readline().endswith(b"\n")
            run.stdout.close()
            assert (run.stderr.read(), run.wait(60)) == (b"", 1)
        account = Account(target)
        assert account.buckets() == set()
        account.close()
    assert json.loads((tmp_path / "out" / "results.jsonl").read_text("utf-8").splitlines()[-1])["exit"] == 1
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyError("nope"), 3, "obs-conformance: the suite failed, which is an error of its own: KeyError('nope') ("),
        (KeyboardInterrupt(), 130, "obs-conformance: interrupted\n"),
    ],
)
def test_an_error_of_the_suite_is_no_verdict_and_no_traceback(monkeypatch, capsys, error, code, says):
    def broken(_):
        raise error

    monkeypatch.setattr("conformance.cli.load_library", lambda: broken(None))
    assert main(["list"]) == code
    told = capsys.readouterr()
    assert told.err.startswith(says)
    assert told.err.count("\n") == 1


def test_list_explain_coverage_and_check(command):
    assert "KMS-SAMPLE-004" in command("list").stdout
    explained = command("explain", "KMS-SAMPLE-007").stdout
    for part in ("Control 1: PUT", "Step 1: PUT", "SSEKMS-S37 (must)", "why it matters:", "how to fix:"):
        assert part in explained
    clause = command("explain", "SSEKMS-S44").stdout
    for part in ("Level decided by", "Usual causes:", "Consequence:", "How to fix:", "KMS-SAMPLE-001"):
        assert part in clause
    coverage = json.loads(command("coverage", "--json").stdout)
    assert "KMS-SAMPLE-003" in coverage["clauses"]["SSEKMS-S57"]
    assert command("check").stdout.strip().endswith("sound")


def test_a_report_can_be_made_again_from_the_results_file_alone(conformance, command, tmp_path):
    outcome = conformance()
    done = command("report", outcome.out / "results.jsonl", "--out", tmp_path / "again")
    assert done.returncode == 0
    assert (tmp_path / "again" / "report.html").read_bytes() == (outcome.out / "report.html").read_bytes()


def test_spec_notices_a_changed_page(command, tmp_path):
    page = tmp_path / "page.txt"
    page.write_text("Functions\n\nSomething new.\n")
    done = command("spec", page)
    assert done.returncode == 1
    assert "unclaimed: " in done.stdout
    assert "lost: SSEKMS-S44 claims" in done.stdout


def test_a_run_pins_nothing_in_the_memory_of_its_process(tmp_path):
    """Whoever plays many runs in one process would keep the garbage of each."""
    assert obs("run", "--select", "KMS-PUT-001", "--out", tmp_path / "out").returncode == 3
    assert gc.get_freeze_count() == 0
