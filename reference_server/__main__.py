"""The command `obs-reference-server`: options in, one server out.

This module does not know what any request means.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from reference_server.defects import DEFECTS
from reference_server.errors import StartError
from reference_server.http_server import HttpServer
from reference_server.provision import provision, target_file, write_private
from reference_server.service import HONEST, Service
from reference_server.state.store import State

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

USAGE = 2
_DOMAIN_ID = re.compile(r"[0-9a-z]{32}")
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")
_MAX_PORT = 65535


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until it is told to stop; the exit code."""
    options = _parser().parse_args(arguments)
    if options.list_defects:
        _list_defects(as_json=options.json)
        return 0
    try:
        _check(options)
        _runner()(_serve(options))
    except StartError as error:
        print(f"obs-reference-server: {error}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(
            f"obs-reference-server: cannot listen on {options.host}:{options.port}: {error.strerror}", file=sys.stderr
        )
        return USAGE
    return 0


def _runner() -> Callable[[Coroutine[object, object, None]], None]:
    """What runs the loop: uvloop where it is installed (the extra `fast`), else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


class _Parser(argparse.ArgumentParser):
    """Complains in one line, as everything else here does."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="obs-reference-server", description="A small, honest OBS on this machine.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="port to listen on (default 0: a free one)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep everything here (default: nothing is kept)")
    parser.add_argument("--defect", metavar="NAME", help="be wrong in this named way")
    parser.add_argument("--target-file", type=Path, metavar="OUT.toml", help="write endpoint, identities and keys here")
    parser.add_argument("--region", default="region", help="id of the region (default: region)")
    parser.add_argument("--domain-id", help="id of the owner's account, 32 characters (default: a random one)")
    parser.add_argument("--domain", help="base host name for virtual-host style (default: the address)")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when standard input ends")
    parser.add_argument("--list-defects", action="store_true", help="list the named wrong servers")
    parser.add_argument("--json", action="store_true", help="with --list-defects: as JSON")
    return parser


def _list_defects(*, as_json: bool) -> None:
    if as_json:
        rows = [
            {"name": defect.name, "says": defect.says, "breaks": list(defect.breaks), "realism": defect.realism}
            for defect in DEFECTS.values()
        ]
        print(json.dumps(rows, indent=1))
        return
    for defect in DEFECTS.values():
        print(f"{defect.name:32} {defect.says}")


def _check(options: argparse.Namespace) -> None:
    if options.defect is not None and options.defect not in DEFECTS:
        raise StartError(f"There is no defect {options.defect!r}; --list-defects shows them.")
    if not 0 <= options.port <= _MAX_PORT:
        raise StartError(f"--port {options.port} is not a port.")
    if options.domain_id is not None and not _DOMAIN_ID.fullmatch(options.domain_id):
        raise StartError("--domain-id is 32 characters of a-z and 0-9.")
    if not _REGION.fullmatch(options.region):
        raise StartError("--region is letters, digits and dashes.")


async def _serve(options: argparse.Namespace) -> None:
    with ExitStack() as stack:
        folder = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="obs-reference-server-")))
        state = State.at(folder, os.urandom)
        stack.callback(state.close)
        service = Service.over(
            state,
            now=time.time,
            dice=os.urandom,
            region=options.region,
            hosts=tuple(dict.fromkeys((options.domain or options.host, options.host, "localhost"))),
            seams=HONEST if options.defect is None else DEFECTS[options.defect].seams(),
            on_bug=_report_bug,
        )
        made = provision(service.world, domain_id=options.domain_id)
        server = HttpServer(service)
        authority = f"[{options.host}]" if ":" in options.host else options.host
        endpoint = f"http://{authority}:{await server.start(options.host, options.port)}"
        if options.target_file is not None:
            write_private(options.target_file, target_file(service.world, made, endpoint))
        stop = _stop_event(with_parent=options.exit_with_parent)
        print(endpoint, flush=True)
        await stop.wait()
        await server.stop()


def _report_bug(error: BaseException) -> None:
    traceback.print_exception(error, file=sys.stderr)


def _stop_event(*, with_parent: bool) -> asyncio.Event:
    """Set by SIGTERM, SIGINT and, if asked for, the end of standard input."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def wait_for_end() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        loop.call_soon_threadsafe(stop.set)

    if with_parent:
        threading.Thread(target=wait_for_end, daemon=True).start()
    return stop


if __name__ == "__main__":
    sys.exit(main())
