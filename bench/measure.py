"""Whole processes from outside: wall time, CPU, memory, exit code; and the server they talk to."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HERE = Path(__file__).resolve().parent
PYTHON = sys.executable


@dataclass(frozen=True, slots=True)
class Measured:
    """A process, or several at once, that ran to the end.

    ``wall_s`` of all of them, ``cpu_s`` (user and system) of all of them, ``peak_mb`` of the largest, ``code`` the
    highest exit code, ``said`` what they printed.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    code: int
    said: str

    def told(self) -> dict[str, Any]:
        """The JSON line that our own programs print last."""
        told: dict[str, Any] = json.loads(self.said.splitlines()[-1])
        return told


def measure(*commands: Sequence[object], cwd: Path | None = None, more: Mapping[str, str] | None = None) -> Measured:
    """Run commands at once and wait for all."""
    environment = {**os.environ, **(more or {})}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # nobody is to compile anew in every round
    with tempfile.TemporaryFile("w+") as output:
        started = time.perf_counter()
        running = [
            subprocess.Popen(
                [str(part) for part in command],
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            for command in commands
        ]
        ended = [os.wait4(process.pid, 0) for process in running]
        wall = time.perf_counter() - started
        for process, (_, status, _) in zip(running, ended, strict=True):
            process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        usages = [usage for _, _, usage in ended]
        return Measured(
            wall,
            sum(usage.ru_utime + usage.ru_stime for usage in usages),
            max(usage.ru_maxrss for usage in usages) / 1024,
            max(abs(process.returncode) for process in running),
            output.read(),
        )


def must(measured: Measured, codes: Sequence[int] = (0,)) -> Measured:
    """The same, or the end of the benchmark when it exited otherwise than it should."""
    if measured.code not in codes:
        raise SystemExit(f"exit code {measured.code}, not {codes}:\n{measured.said[-3000:]}")
    return measured


@contextlib.contextmanager
def fixed_server(latency_ms: float = 0) -> Iterator[dict[str, Any]]:
    """The fixed servers; yields their ports."""
    command = [PYTHON, str(HERE / "fixed_server.py"), "--latency", str(latency_ms)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None  # noqa: S101 - asked for above
        ports: dict[str, Any] = json.loads(server.stdout.readline())
        yield ports
    finally:
        server.kill()
        server.communicate()


def counts(port: int) -> tuple[int, int]:
    """Exchanges and connections that a port has seen since it was last asked."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/counts")
    told = json.loads(connection.getresponse().read())
    connection.close()
    return told["exchanges"], told["connections"]
