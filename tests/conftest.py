"""Helpers that drive the installed commands as a user would."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


class Outcome:
    """What a command printed and how it ended, with the results it left."""

    def __init__(self, done, out):
        self.code, self.stdout, self.stderr, self.out = done.returncode, done.stdout, done.stderr, out

    @property
    def lines(self):
        return [json.loads(line) for line in (self.out / "results.jsonl").read_text("utf-8").splitlines()]

    @property
    def rungs(self):
        return {line["id"]: line["rung"] for line in self.lines if line["kind"] == "case"}

    @property
    def footer(self):
        return self.lines[-1]


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


@contextmanager
def reference_server(folder, *arguments):
    """A reference server on a free port; yields its target file and process."""
    target = folder / "server.toml"
    process = subprocess.Popen(
        [BIN / "obs-reference-server", "--target-file", target, "--exit-with-parent", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline().startswith("http://")
        yield target, process
    finally:
        process.kill()
        process.communicate()
