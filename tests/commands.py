"""Drives the installed commands as a user would."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

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
        assert process.stdout.readline().startswith("http")
        yield target, process
    finally:
        process.kill()
        process.communicate()
