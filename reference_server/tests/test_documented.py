"""The page about running the server says what the server does: its options, its log, its commands."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from reference_server import kms_api
from reference_server.__main__ import _parser
from reference_server.access_log import Carried, Told, line
from reference_server.config_file import read_config
from reference_server.wire import Response

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference-server.md").read_text("utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> set[str]:
    """The words in code in the first column of the tables."""
    rows = [row.split("|")[1] for row in text.splitlines() if row.startswith("| `")]
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def test_every_option_is_in_the_table_and_no_other() -> None:
    known = {name for action in _parser()._actions for name in action.option_strings if name.startswith("--")}
    listed = {word for cell in first_cells(section("Options")) for word in re.findall(r"--[a-z-]+", cell)}
    assert listed == known - {"--help"}


def test_every_field_of_the_log_is_in_the_table_and_no_other() -> None:
    text = line(
        Told(Response(200), None, ""), Carried(0, 0, 0.0, complete=True), moment=0, head=None, peer="", secure=False
    )
    assert first_cells(section("Access log")) == set(json.loads(text))


def test_codes_on_the_page_are_those_of_the_key_service() -> None:
    listed = {f"KMS.{number}" for number in re.findall(r"\b(\d{4}) [A-Za-z]", section("Key service"))}
    own = {code for code in kms_api.STATUS_AND_TEXT if code.startswith("KMS.")}
    assert listed <= own
    assert len(listed) == 16
    calls = set(re.findall(r"(?:kms|\.\.\.)/([a-z-]+)`", section("Key service")))
    assert calls == set(kms_api.OPERATIONS)


def test_configuration_on_the_page_can_be_read(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", section("Identities and keys from a file"), re.DOTALL)
    path = tmp_path / "config.toml"
    path.write_text(example)
    config = read_config(path, {"OBS_ACCESS_KEY_ID": "AK", "OBS_SECRET_ACCESS_KEY": "long-enough"})
    assert set(config.keys) == {"custom", "other_project", "disabled"}


def test_commands_on_the_page_do_what_they_say(tmp_path: Path) -> None:
    (commands,) = re.findall(r"```sh\n(.*?)```", section("Key service"), re.DOTALL)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    shell = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", commands.replace("--kms-port 8081", "--kms-port 0") + "\nkill %1; wait"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said = shell.communicate(timeout=30)[0]
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
    states = re.findall(r'"key_state": "(\d)"\}', said)
    assert re.match(r'https?://\S+\n\{"key_info": \{"key_id": ', said)
    assert states[-3:] == ["3", "4", "3"]
