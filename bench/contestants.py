"""The servers that `server.py` compares: how each is started, how its requests are signed, how it is stopped.

What a peer needs is looked for, not installed; a peer that is not there is left out, and the table says so.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).resolve().parent
BUCKET = "bench"
TICKS_S = 1 / os.sysconf("SC_CLK_TCK")
START_PATIENCE_S = 60
WITH_UVLOOP = ("-m", "reference_server")
WITHOUT = (
    "-c",
    "import runpy, sys; sys.modules['uvloop'] = None; runpy.run_module('reference_server', run_name='__main__')",
)
AWS_KMS = ("x-amz-server-side-encryption", "aws:kms")


def signature(secret: str, method: str, headers: Mapping[str, str], target: str, own: str) -> str:
    """The signature OBS and version 2 of AWS have in common; `own` is the prefix of the vendor's headers.

    The target is the resource: every parameter used here is one that is signed, and they are in order.
    """
    lines = [method, headers.get("Content-MD5", ""), headers.get("Content-Type", ""), headers.get("Date", "")]
    lines += [f"{name}:{value}" for name, value in sorted(headers.items()) if name.startswith(own)]
    text = "\n".join([*lines, target])
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode()


@dataclass
class Contestant:
    """A server under load: a dialect, a key pair, and the process.

    `weight` is the share of the requests it gets, since some are slow; `forgiven` the share of answers that may fail.
    """

    name: str
    scheme: str = "OBS"
    own: str = "x-obs-"
    access_key: str = "AK"
    secret_key: str = "secret"  # noqa: S105 - of servers that live for a minute
    encryption: tuple[str, str] = ("x-obs-server-side-encryption", "kms")
    date: str = "Date"
    port: int = 0
    process: subprocess.Popen[str] | None = None
    weight: float = 1.0
    forgiven: float = 0.0

    def put(self, target: str, body: bytes) -> bytes:
        """A whole upload with the digest of its content."""
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        return self.put_head(target, len(body), {"Content-MD5": digest}) + body

    def put_head(self, target: str, length: int, more: Mapping[str, str] | None = None) -> bytes:
        """The head of an encrypted upload."""
        mode = dict((self.encryption,))
        return self.head(
            "PUT", target, {"Content-Length": str(length), "Content-Type": "text/plain", **mode, **(more or {})}
        )

    def head(self, method: str, target: str, headers: Mapping[str, str] | None = None) -> bytes:
        """The signed head of any request."""
        lines = {"Host": f"127.0.0.1:{self.port}", self.date: formatdate(usegmt=True), **(headers or {})}
        signed = signature(self.secret_key, method, lines, target, self.own)
        lines["Authorization"] = f"{self.scheme} {self.access_key}:{signed}"
        texts = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
        return "\r\n".join([*texts, "\r\n"]).encode()

    def ask(self, request: bytes) -> bytes:
        """One exchange over a connection of its own; everything that came back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=600) as connection:
            connection.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            pieces = []
            while piece := connection.recv(65536):
                pieces.append(piece)
        answer = b"".join(pieces)
        if not answer.startswith(b"HTTP/1.1 20"):
            raise SystemExit(f"{self.name}: {answer[:400]!r}")
        return answer

    def run(self, arguments: Sequence[object], *, first_line: bool = False, root: Path | None = None) -> str:
        """Start the process; with `first_line`, wait for what it prints when it is ready."""
        self.process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdout=subprocess.PIPE if first_line else subprocess.DEVNULL,
            stderr=None if first_line else subprocess.DEVNULL,
            text=True,
            cwd=root,
        )
        return self.process.stdout.readline().strip() if self.process.stdout else ""

    def wait_for_port(self) -> None:
        """Wait until somebody listens."""
        until = time.monotonic() + START_PATIENCE_S
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise SystemExit(f"{self.name} does not start.")

    def cpu_s(self) -> float:
        """Processor time the server has used, in seconds."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICKS_S

    def memory_kib(self, name: str) -> int:
        """A line of the process's memory status: VmRSS or VmHWM."""
        return next(int(line.split()[1]) for line in self._proc("status").splitlines() if line.startswith(name))

    def forget_peak(self) -> None:
        """Begin a new peak of resident memory."""
        Path(f"/proc/{self._pid}/clear_refs").write_text("5", "ascii")

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self._pid}/{name}").read_text("ascii")

    @property
    def _pid(self) -> int:
        if self.process is None:
            raise SystemExit(f"{self.name} does not run.")
        return self.process.pid

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start_reference(
    folder: Path, name: str = "reference server", root: Path = HERE.parent, *, uvloop: bool = False
) -> Contestant:
    """The server of this checkout, or of another one; without uvloop, even if it is installed, unless asked for."""
    folder.mkdir(exist_ok=True)
    target = folder / "target.toml"
    server = Contestant(name)
    url = server.run(
        (sys.executable, *(WITH_UVLOOP if uvloop else WITHOUT), "--data", folder / "data", "--target-file", target),
        first_line=True,
        root=root,
    )
    server.port = int(url.rpartition(":")[2])
    owner = tomllib.loads(target.read_text("utf-8"))["identities"]["owner"]
    server.access_key, server.secret_key = owner["access_key"], owner["secret_key"]
    server.ask(server.head("PUT", f"/{BUCKET}/", {"Content-Length": "0"}))
    return server


def start_floor(folder: Path, *options: str, name: str = "floor") -> Contestant:
    """The whole work on a bare protocol."""
    folder.mkdir(exist_ok=True)
    server = Contestant(name)
    server.port = int(server.run((sys.executable, HERE / "floor.py", folder, *options), first_line=True))
    return server


def start_moto() -> Contestant | None:
    """moto_server, from the extra `bench`; it does not check signatures, and its threads now and then collide (500)."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        return None
    server = Contestant("moto_server", "AWS", "x-amz-", encryption=AWS_KMS, weight=0.1, forgiven=0.02)
    server.port = _free_port()
    server.run((sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", server.port))
    server.wait_for_port()
    server.ask(server.head("PUT", f"/{BUCKET}", {"Content-Length": "0"}))
    return server


def start_s3rver(folder: Path) -> Contestant | None:
    """s3rver, from `npm install` in this folder; it checks signatures, and stores as files without encrypting."""
    script = HERE / "node_modules" / "s3rver" / "bin" / "s3rver.js"
    node = shutil.which("node")
    if node is None or not script.exists():
        return None
    server = Contestant("s3rver", "AWS", "x-amz-", "S3RVER", "S3RVER", AWS_KMS, "x-amz-date", weight=0.25)
    server.port = _free_port()
    options = ("--silent", "-a", "127.0.0.1", "-p", server.port, "-d", folder, "--configure-bucket", BUCKET)
    server.run((node, script, *options))
    server.wait_for_port()
    return server


def seconds_to_first_answer(folder: Path) -> float:
    """From the start of the process to the whole answer to a first request, in seconds."""
    server = Contestant("reference server")
    started = time.perf_counter()
    url = server.run((sys.executable, "-m", "reference_server", "--data", folder), first_line=True, root=HERE.parent)
    server.port = int(url.rpartition(":")[2])
    server.ask(b"HEAD /?apiversion HTTP/1.1\r\nHost: localhost\r\n\r\n")
    took = time.perf_counter() - started
    server.stop()
    return took
