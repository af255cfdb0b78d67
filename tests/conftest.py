"""Fixtures over the installed commands."""

import contextlib
import subprocess

import pytest
from buckets import Account
from commands import BIN, Outcome, reference_server


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


@pytest.fixture
def account(servers):
    """The owner's account at the first of a module's servers."""
    opened = Account(servers[0])
    yield opened
    opened.close()


@pytest.fixture
def defective(tmp_path):
    """A running reference server with a named defect; yields its target file."""

    @contextlib.contextmanager
    def start(name):
        with reference_server(tmp_path, "--defect", name) as (target, _):
            yield target

    return start


@pytest.fixture
def installed_shell(tmp_path):
    """The shell, fed from standard input."""

    def run(typed):
        return subprocess.run(
            [BIN / "obs-conformance", "shell"], input=typed, capture_output=True, text=True, timeout=60, cwd=tmp_path
        )

    return run
