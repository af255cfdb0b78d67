"""The peers: how each says the same work, how it is installed and how it is started.

Those that cannot sign get signatures made beforehand, in their favour.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from work import BODY, EXACT, PATTERNS, headers, path

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
PINS = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]["bench"]
OK = 200


@dataclass(frozen=True, slots=True)
class Peer:
    """One tool.

    :param pin: its name in the extra ``bench``; empty for a program that is not a Python package.
    :param besides: what it needs in its environment in a version of its own.
    :param write: writes the work for a number of cases and a port into a folder.
    :param command: what is run in that folder, from the folder of its programs, the number of cases and the port.
    :param slow: so slow that it plays in the first round only.
    """

    name: str
    pin: str
    write: Callable[[Path, int, int], None]
    command: Callable[[Path, int, int], list[object]]
    besides: tuple[str, ...] = ()
    slow: bool = False
    more: dict[str, str] = field(default_factory=dict)


def _write_pytest(folder: Path, cases: int, port: int) -> None:
    text = (HERE / "peer_test.py.txt").read_text("utf-8")
    (folder / "test_peer.py").write_text(text.replace("@CASES@", str(cases)).replace("@PORT@", str(port)), "utf-8")
    (folder / "work.py").write_bytes((HERE / "work.py").read_bytes())


def _write_tavern(folder: Path, cases: int, port: int) -> None:
    (folder / "body.bin").write_bytes(BODY)
    # tavern formats every string
    unformatted = {name: pattern.replace("{", "{{").replace("}", "}}") for name, pattern in PATTERNS.items()}
    documents = []
    for number in range(cases):
        url = f"http://127.0.0.1:{port}{path(number)}"
        put, head = headers("PUT", number), headers("HEAD", number)
        checks = "".join(f"        {name}: {json.dumps(value)}\n" for name, value in EXACT.items())
        shapes = "".join(
            f"      - function: tavern.helpers:validate_regex\n"
            f"        extra_kwargs: {{expression: {json.dumps(f'^{pattern}$')}, header: {name}}}\n"
            for name, pattern in unformatted.items()
        )
        documents.append(
            f"test_name: case {number}\nstages:\n"
            f"  - name: put\n    request:\n      url: {url}\n      method: PUT\n      headers: {json.dumps(put)}\n"
            f"      file_body: body.bin\n    response:\n      status_code: {OK}\n"
            f"  - name: head\n    request:\n      url: {url}\n      method: HEAD\n      headers: {json.dumps(head)}\n"
            f"    response:\n      status_code: {OK}\n      headers:\n{checks}"
            f"      verify_response_with:\n{shapes}"
        )
    (folder / "test_peer.tavern.yaml").write_text("---\n".join(documents), "utf-8")


def _write_gabbi(folder: Path, cases: int, port: int) -> None:
    del port  # given on the command line
    (folder / "body.bin").write_bytes(BODY)
    wanted = {**EXACT, **{name: f"/^{pattern}$/" for name, pattern in PATTERNS.items()}}
    tests = []
    for number in range(cases):
        octets = {"Content-Type": "application/octet-stream"}
        tests += [
            {
                "name": f"put {number}",
                "PUT": path(number),
                "request_headers": {**headers("PUT", number), **octets},
                "data": "<@body.bin",
                "status": OK,
            },
            {
                "name": f"head {number}",
                "HEAD": path(number),
                "request_headers": headers("HEAD", number),
                "status": OK,
                "response_headers": wanted,
            },
        ]
    (folder / "peer.yaml").write_text(yaml.dump({"tests": tests}), "utf-8")


def _write_schemathesis(folder: Path, cases: int, port: int) -> None:
    del port  # given on the command line
    shapes = {
        **{name: {"type": "string", "enum": [value]} for name, value in EXACT.items()},
        **{name: {"type": "string", "pattern": f"^{pattern}$"} for name, pattern in PATTERNS.items()},
    }
    checked = {name: {"required": True, "schema": shape} for name, shape in shapes.items()}

    def given(method: str, number: int) -> list[dict[str, object]]:
        return [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "example": value}
            for name, value in headers(method, number).items()
        ]

    body = {"schema": {"type": "string", "format": "binary"}, "example": BODY.decode()}
    paths = {
        path(number): {
            "put": {
                "parameters": given("PUT", number),
                "requestBody": {"required": True, "content": {"application/octet-stream": body}},
                "responses": {str(OK): {"description": "stored"}},
            },
            "head": {
                "parameters": given("HEAD", number),
                "responses": {str(OK): {"description": "there", "headers": checked}},
            },
        }
        for number in range(cases)
    }
    description = {"openapi": "3.0.3", "info": {"title": "peer", "version": "1"}, "paths": paths}
    (folder / "openapi.json").write_text(json.dumps(description), "utf-8")


def _write_hurl(folder: Path, cases: int, port: int) -> None:
    (folder / "body.bin").write_bytes(BODY)
    checks = [f'header "{name}" == "{value}"' for name, value in EXACT.items()]
    checks += [
        f'header "{name}" matches /^{pattern.replace("/", chr(92) + "/")}$/' for name, pattern in PATTERNS.items()
    ]
    asserts = "\n".join(checks)
    for number in range(cases):
        url = f"http://127.0.0.1:{port}{path(number)}"
        put, head = (
            "".join(f"{name}: {value}\n" for name, value in headers(method, number).items())
            for method in ("PUT", "HEAD")
        )
        (folder / f"c{number:06}.hurl").write_text(
            f"PUT {url}\n{put}file,body.bin;\nHTTP {OK}\n\nHEAD {url}\n{head}HTTP {OK}\n[Asserts]\n{asserts}\n", "utf-8"
        )


def _hurl_files(cases: int) -> list[str]:
    return [f"c{number:06}.hurl" for number in range(cases)]


PEERS: tuple[Peer, ...] = (
    Peer(
        "pytest + requests",
        "requests",
        _write_pytest,
        lambda programs, _, __: [programs / "pytest", "-q", "-p", "no:cacheprovider", "test_peer.py"],
        ("pytest==9.2.0",),
    ),
    Peer(
        "tavern",
        "tavern",
        _write_tavern,
        lambda programs, _, __: [programs / "pytest", "-q", "-p", "no:cacheprovider", "test_peer.tavern.yaml"],
        ("pytest==8.4.2",),  # tavern 3.7 imports a module that pytest 9 no longer has
    ),
    Peer(
        "gabbi -k",
        "gabbi",
        _write_gabbi,
        lambda programs, _, port: [programs / "gabbi-run", "-q", "-k", f"127.0.0.1:{port}", "--", "peer.yaml"],
    ),
    Peer(
        "gabbi",
        "gabbi",
        _write_gabbi,
        lambda programs, _, port: [programs / "gabbi-run", "-q", f"127.0.0.1:{port}", "--", "peer.yaml"],
        slow=True,
    ),
    Peer(
        "schemathesis",
        "schemathesis",
        _write_schemathesis,
        lambda programs, _, port: [
            programs / "schemathesis", "run", "openapi.json", "--url", f"http://127.0.0.1:{port}", "--phases=examples",
            "--checks=status_code_conformance,response_headers_conformance", "--no-color",
        ],
    ),
    Peer("hurl, 1 job", "", _write_hurl, lambda hurl, n, _: [hurl, "--test", "--jobs", 1, *_hurl_files(n)]),
    Peer("hurl", "", _write_hurl, lambda hurl, n, _: [hurl, "--test", *_hurl_files(n)]),
    Peer(
        "hurl, 1 job, report",
        "",
        _write_hurl,
        lambda hurl, n, _: [hurl, "--test", "--jobs", 1, "--report-html", "report", *_hurl_files(n)],
    ),
)  # fmt: skip


def installed(peer: Peer, cache: Path) -> tuple[Path, str]:
    """The folder of a Python peer's programs, installed into an environment of its own if need be, and its version."""
    wanted = [pin for pin in PINS if re.split(r"[<>=~!\[]", pin)[0] == peer.pin]
    if not wanted:
        raise SystemExit(f"the extra bench of pyproject.toml has no {peer.pin}")
    wanted += peer.besides
    digest = hashlib.sha256(f"{sys.version}\0{wanted}".encode()).hexdigest()[:12]
    folder = cache / f"{peer.pin}-{digest}"
    if not (folder / "complete").exists():
        print(f"installing {', '.join(wanted)} into {folder}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "-q", *wanted], check=True)
        (folder / "complete").touch()
    names = [re.split(r"[<>=~!\[]", pin)[0] for pin in wanted]
    code = f"from importlib.metadata import version\nprint(*(name + ' ' + version(name) for name in {names}), sep=', ')"
    done = subprocess.run([str(folder / "bin" / "python"), "-c", code], check=True, capture_output=True, text=True)
    return folder / "bin", done.stdout.strip()


def found(program: Path) -> str:
    """The version of a program that is not a Python package."""
    done = subprocess.run([str(program), "--version"], check=True, capture_output=True, text=True)
    return " ".join(done.stdout.split()[:2])
