"""What the tests share: a hand-written signer, a server in process, and one as a child process spoken to by socket.

Nothing here signs, parses or frames with the code under test.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import random
import signal
import socket
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings

from reference_server.provision import provision
from reference_server.service import HONEST, Service
from reference_server.state.store import State
from reference_server.wire import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reference_server.world import Seams

settings.register_profile(
    "nightly", max_examples=100_000, deadline=None, suppress_health_check=(HealthCheck.too_slow,), print_blob=True
)

Lines = tuple[tuple[str, str], ...]

NOW = 1_528_276_101.0
"""Wed, 06 Jun 2018 09:08:21 GMT, the moment of the page's first sample."""


def hmac_sha1(secret_key: str, text: str) -> str:
    return base64.b64encode(hmac.new(secret_key.encode(), text.encode(), hashlib.sha1).digest()).decode()


def text_to_sign(method: str, slot: str, resource: str, headers: Lines) -> str:
    """obs_04_0010 by hand: verb, MD5, type, date slot, sorted x-obs- lines, resource."""
    known = {name.lower(): value for name, value in headers}
    own = sorted(name for name in known if name.startswith("x-obs-"))
    lines = [method, known.get("content-md5", ""), known.get("content-type", ""), slot]
    return "\n".join([*lines, *(f"{name}:{known[name]}" for name in own), resource])


def resource_of(target: str, sub: str) -> str:
    path = target.partition("?")[0]
    if path.count("/") == 1 and path != "/":
        path += "/"
    return f"{path}?{sub}" if sub else path


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    seconds: float = NOW

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Rig:
    """A provisioned service in process, asked in one line."""

    seams: Seams = HONEST
    seed: int = 1
    clock: Clock = field(default_factory=Clock)
    bugs: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        dice = random.Random(self.seed).randbytes
        self.state = State.in_memory(dice)
        self.service = Service.over(
            self.state,
            now=self.clock,
            dice=dice,
            hosts=("obs.example.com", "localhost"),
            seams=self.seams,
            on_bug=self.bugs.append,
        )
        self.made = provision(self.service.world)

    def identity(self, role: str = "owner") -> Any:
        return self.service.world.directory.find(self.made.identities[role])

    def long_name(self, role: str) -> str:
        key = self.service.world.keyring.get(self.made.keys[role])
        return "" if key is None else key.long_name

    def ask(
        self,
        method: str,
        target: str,
        headers: Lines = (),
        body: bytes = b"",
        *,
        role: str = "owner",
        sub: str = "",
        resource: str = "",
        host: str = "obs.example.com",
        spoil: Callable[[str], str] = lambda signature: signature,
    ) -> Response:
        """A request with a signature in its header; `sub` is the signed part of the query."""
        date = formatdate(self.clock.seconds, usegmt=True)
        text = text_to_sign(method, date, resource or resource_of(target, sub), headers)
        identity = self.identity(role)
        signature = spoil(hmac_sha1(identity.secret_key, text))
        lines: Lines = (
            ("Host", host),
            ("Date", date),
            ("Authorization", f"OBS {identity.access_key}:{signature}"),
            *headers,
        )
        return self.bare(method, target, lines, body)

    def bare(self, method: str, target: str, lines: Lines = (), body: bytes = b"") -> Response:
        """A request just as it is said."""
        if body:
            lines = (*lines, ("Content-Length", str(len(body))))
        return self.service.respond(Request.of(method, target, lines, body))

    def signed_target(
        self, method: str, path: str, query: str = "", *, valid_s: int = 300, headers: Lines = (), role: str = "owner"
    ) -> str:
        """A signed URL; the whole given query is signed."""
        expires = str(int(self.clock.seconds) + valid_s)
        identity = self.identity(role)
        signature = hmac_sha1(identity.secret_key, text_to_sign(method, expires, resource_of(path, query), headers))
        quoted = signature.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
        rest = f"AccessKeyId={identity.access_key}&Expires={expires}&Signature={quoted}"
        return f"{path}?{query}&{rest}" if query else f"{path}?{rest}"


@pytest.fixture
def new_rig() -> Callable[..., Rig]:
    return Rig


@pytest.fixture
def rig() -> Rig:
    """A service with one bucket."""
    made = Rig()
    assert made.ask("PUT", "/bucket").status == 200
    return made


@pytest.fixture
def sign_by_hand() -> Callable[[str, str], str]:
    return hmac_sha1


# ---- a child process ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """A response off the wire: names in the case and order they came in."""

    status: int
    headers: Lines
    body: bytes
    whole: bool = True

    def first(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


class Wire:
    """One raw connection; those a test leaves open are closed behind it."""

    left_open: ClassVar[list[Wire]] = []

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=10)
        self.left = b""
        self.left_open.append(self)

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def more(self) -> bool:
        try:
            piece = self.socket.recv(65536)
        except ConnectionError:
            return False
        self.left += piece
        return bool(piece)

    def head(self) -> tuple[int, Lines]:
        while b"\r\n\r\n" not in self.left:
            if not self.more():
                raise EOFError(self.left)
        head, _, self.left = self.left.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/1.1 ")
        pairs = (line.partition(": ") for line in lines)
        return int(first.split(" ")[1]), tuple((name, value) for name, _, value in pairs)

    def answer(self, *, method: str = "GET") -> Answer:
        """One final answer; a body that ends early is marked."""
        status, headers = self.head()
        length = 0
        if method != "HEAD" and status >= 200:
            length = int(next((value for name, value in headers if name.lower() == "content-length"), "0"))
        pieces, got = [self.left], len(self.left)
        while got < length:
            self.left = b""
            if not self.more():
                break
            pieces.append(self.left)
            got += len(self.left)
        octets = b"".join(pieces)
        self.left = octets[length:]
        return Answer(status, headers, octets[:length], whole=got >= length)

    def ended(self) -> bool:
        """Whether the server closes without another byte."""
        try:
            return not self.left and self.socket.recv(1) == b""
        except ConnectionError:
            return not self.left

    def close(self) -> None:
        self.socket.close()

    @classmethod
    def close_all(cls) -> None:
        while cls.left_open:
            cls.left_open.pop().close()


class Server:
    """`python -m reference_server` as a child process."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.target_file = folder / "target.toml"
        if "--target-file" in options:
            self.target_file = Path(options[options.index("--target-file") + 1])
        else:
            options = (*options, "--target-file", str(self.target_file))
        command = [sys.executable, "-m", "reference_server", *options]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.ready_line = self.process.stdout.readline()
        assert self.ready_line, self.process.communicate()[1]
        self.target = tomllib.loads(self.target_file.read_text())
        self.host, _, port = self.ready_line.strip().partition("://")[2].rpartition(":")
        self.port = int(port)

    def wire(self) -> Wire:
        return Wire(self.host, self.port)

    def head(
        self, method: str, target: str, headers: Lines = (), *, role: str = "owner", resource: str = "", sub: str = ""
    ) -> bytes:
        """The head of a signed request, as octets."""
        identity = self.target["identities"][role]
        date = formatdate(time.time(), usegmt=True)
        text = text_to_sign(method, date, resource or resource_of(target, sub), headers)
        lines = [
            f"{method} {target} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            f"Date: {date}",
            f"Authorization: OBS {identity['access_key']}:{hmac_sha1(identity['secret_key'], text)}",
            *(f"{name}:{value}" for name, value in headers),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def ask(self, method: str, target: str, headers: Lines = (), body: bytes = b"", **how: str) -> Answer:
        """One signed request on a connection of its own."""
        wire = self.wire()
        try:
            lines = (*headers, ("Content-Length", str(len(body)))) if body else headers
            wire.send(self.head(method, target, lines, **how) + body)
            return wire.answer(method=method)
        finally:
            wire.close()

    def memory_kib(self, name: str = "VmRSS") -> int:
        """A figure of /proc/PID/status."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:  # noqa: PTH123 - not a file of ours
            return next(int(line.split()[1]) for line in status if line.startswith(name + ":"))

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End it; exit code and what it said on standard error."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        if self.process.stdin is not None and self.process.stdin.closed:
            self.process.stdin = None  # else communicate() flushes what is closed
        _, errors = self.process.communicate(timeout=10)
        return self.process.returncode, errors


@pytest.fixture(autouse=True)
def _close_wires() -> Iterator[None]:
    yield
    Wire.close_all()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers of one's own; all are stopped at the end."""
    servers: list[Server] = []
    numbers = itertools.count()

    def begin(*options: str) -> Server:
        servers.append(Server(tmp_path / f"server-{next(numbers)}", *options))
        return servers[-1]

    yield begin
    Wire.close_all()  # a request left half-said would be waited for
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it as it was; it must end cleanly and have had nothing to complain of."""
    running = Server(tmp_path_factory.mktemp("shared"))
    assert running.ask("PUT", "/shared").status == 200
    yield running
    assert running.stop() == (0, "")


@pytest.fixture(scope="module")
def _names_below_localhost() -> Iterator[None]:
    """Names below localhost are this machine, whatever the resolver here thinks of them (RFC 6761, 6.3)."""
    honest = socket.getaddrinfo

    def lookup(host: Any, *rest: Any, **options: Any) -> Any:
        below = isinstance(host, str) and host.endswith("localhost")
        return honest("127.0.0.1" if below else host, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lookup)
        yield
