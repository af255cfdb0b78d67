"""The benchmark's own claim, without timing anything: it sees whether a contestant judges."""

import json
import os
import subprocess
import sys

import pytest
from commands import ROOT

BENCH = ROOT / "bench"
CASES = 3


@pytest.fixture(scope="module")
def ports():
    command = [sys.executable, BENCH / "fixed_server.py"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield json.loads(server.stdout.readline())
    server.kill()
    server.communicate()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    code = f"import pathlib, suite; suite.write_library(pathlib.Path({str(folder)!r}), {CASES})"
    subprocess.run([sys.executable, "-c", code], cwd=BENCH, check=True)
    return folder


def contestant(name, port, library):
    arguments = {"yardstick.py": [port, CASES], "suite.py": [port, library]}[name]
    return subprocess.run(
        [sys.executable, BENCH / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(library)},
    )


@pytest.mark.parametrize("name", ["yardstick.py", "suite.py"])
def test_contestant_passes_where_all_is_right_and_fails_on_each_wrong_header(name, ports, library):
    done = contestant(name, ports["right"], library)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(ports["wrong"]) == 5
    assert {
        header: contestant(name, port, library).returncode for header, port in ports["wrong"].items()
    } == dict.fromkeys(ports["wrong"], 1)


def prove(judge, tmp_path):
    """The side-by-side's proof over one contestant that asks for HEAD and exits as the judge says."""
    (tmp_path / "contestant.py").write_text(
        "import http.client, sys\n"
        "connection = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]))\n"
        "connection.request('HEAD', '/')\n"
        "given = connection.getresponse().headers\n"
        f"sys.exit({judge})\n"
    )
    code = (
        "import sys; from pathlib import Path; from measure import *; from side_by_side import *\n"
        f"play = lambda cases, port, folder: measure((PYTHON, {str(tmp_path / 'contestant.py')!r}, port))\n"
        "with fixed_server() as ports:\n"
        "    prove([Contestant('someone', play)], ports, ports['right'])\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=BENCH)


def test_side_by_side_ends_with_1_when_a_contestant_overlooks_a_wrong_header(tmp_path):
    values = {
        "Server": "OBS",
        "ETag": '"d8bffdfbab5345d91ac05141789d2477"',
        "x-obs-request-id": "8DF400000163D45AA81D038B6AE4C482",
        "x-obs-server-side-encryption": "kms",
    }
    done = prove(f"any(given[name] != value for name, value in {values}.items())", tmp_path)
    assert done.returncode == 1
    assert "someone does not see a wrong x-obs-server-side-encryption-kms-key-id" in done.stderr


def test_side_by_side_ends_with_1_when_a_contestant_fails_on_right_answers(tmp_path):
    done = prove("5", tmp_path)
    assert done.returncode == 1
    assert "exit code 5, not (0,)" in done.stderr
