"""Fixtures over the installed commands."""

import subprocess

import pytest
from commands import BIN, Outcome


@pytest.fixture
def command(tmp_path):
    """Runs an installed command in an empty folder."""

    def run(*arguments, name="obs-conformance", timeout=60, env=None):
        return subprocess.run(
            [BIN / name, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, cwd=tmp_path, env=env
        )

    return run


@pytest.fixture
def conformance(command, tmp_path):
    """Runs the suite and collects what it left."""

    def run(*arguments, **kwargs):
        out = tmp_path / "out"
        outcome = Outcome(command("run", "--out", out, *arguments, **kwargs), out)
        assert "Traceback" not in outcome.stderr + outcome.stdout
        return outcome

    return run
