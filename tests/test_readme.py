"""What the README tells its reader to type does what it says."""

import re
import subprocess
import tomllib

import pytest
from commands import ROOT, reference_server


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
