"""What the README tells its reader to type does what it says."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib

import pytest
from commands import BIN, ROOT, free_port, reference_server


def snippet(heading):
    """The first shell block under a heading of the README."""
    section = (ROOT / "README.md").read_text("utf-8").partition(f"# {heading}\n")[2]
    return re.search(r"```sh\n(.*?)```", section, re.DOTALL)[1]


@pytest.fixture
def typed(tmp_path):
    """The curl snippet, typed against a server of one's own, with its keys."""
    with reference_server(tmp_path) as (target, _):
        settings = tomllib.loads(target.read_text("utf-8"))
        owner = settings["identities"]["owner"]
        text = snippet("With plain curl")
        text, endpoints = re.subn(r"http://127\.0\.0\.1:8080", settings["endpoint"], text)
        text = text.replace("OBS_ACCESS_KEY_ID=...", f"OBS_ACCESS_KEY_ID={owner['access_key']}")
        text = text.replace("OBS_SECRET_ACCESS_KEY=...", f"OBS_SECRET_ACCESS_KEY={owner['secret_key']}")
        assert (endpoints, "=..." in text) == (1, False)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], capture_output=True, text=True, cwd=tmp_path, timeout=30
        )
    assert (done.returncode, done.stderr) == (0, "")
    return owner, done.stdout


def test_curl_uploads_encrypted_by_header_and_by_url_and_reads_back(typed):
    owner, said = typed
    assert said.count("HTTP/1.1 200 OK") == 2
    assert said.count("x-obs-server-side-encryption: kms\n") == 2
    keys = re.findall(r"x-obs-server-side-encryption-kms-key-id: (\S+)", said)
    assert len(set(keys)) == 1
    assert len(keys) == 2
    assert keys[0].startswith(f"region:{owner['domain_id']}:key/")
    assert said.endswith("for your eyes only\n")


MOTO = """\
#!{python}
import sys, threading, time
sys.path.insert(0, "{tests}")
from half_built import half_built_server
time.sleep(1)  # a server takes its time to start; a script that does not wait for it comes too early
with half_built_server(int(sys.argv[sys.argv.index("-p") + 1])):
    threading.Event().wait()
"""


@pytest.fixture
def checkout(tmp_path):
    """The examples on a machine without node, on a free port, and a stand-in for moto; runs a line in bash there."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    port = free_port()
    for name in ("start-peers.sh", "moto.toml"):
        path = tmp_path / "examples" / "targets" / name
        text, count = re.subn(r"\b5601\b", str(port), path.read_text("utf-8"))
        assert count
        path.write_text(text, "utf-8")
    moto = tmp_path / "bin" / "moto_server"
    moto.parent.mkdir()
    moto.write_text(MOTO.format(python=sys.executable, tests=ROOT / "tests"))
    moto.chmod(0o755)

    def typed(text):
        env = {"PATH": f"{moto.parent}:{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path)}
        return subprocess.run(
            ["bash", "-c", text], capture_output=True, text=True, cwd=tmp_path, timeout=60, env=env, check=False
        )

    typed.port, typed.moto = port, moto
    return typed


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_the_s3_example_plays_against_a_server_that_it_starts_and_stops(checkout, tmp_path):
    text = snippet("Against an S3 server").replace("pip install", ": installed")
    assert text.rstrip().endswith(" --target examples/targets/moto.toml")
    done = checkout(
        f"trap '' TERM; {text.rstrip()} --select KMS-PUT-001 --out out"
    )  # as CI runners start what they run
    header, case, _ = (
        json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text("utf-8").splitlines()
    )
    assert (header["target"]["name"], case["rung"]) == ("moto", "fail")
    assert {check["check"]: check["state"] for check in header["doctor"]}["connect"] == "ok"
    assert (done.returncode, "s3rver: not installed, left out" in done.stderr) == (1, True)
    assert not answers(checkout.port)


def test_a_server_that_cannot_be_started_is_said_in_a_line(checkout):
    script = "examples/targets/start-peers.sh echo played"
    with socket.create_server(("127.0.0.1", checkout.port)):
        taken = checkout(script)
    assert (taken.returncode, taken.stdout) == (2, "")
    assert f"moto: port {checkout.port} is taken" in taken.stderr
    checkout.moto.write_text("#!/bin/sh\necho no such option >&2\nexit 1\n")
    broken = checkout(script)
    assert (broken.returncode, broken.stdout, broken.stderr) == (2, "", "no such option\nmoto: does not start\n")
