"""The command `obs-reference-server`: options in, one server out.

This module does not know what any request means.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import traceback
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from reference_server.access_log import AccessLog
from reference_server.defects import DEFECTS
from reference_server.errors import StartError
from reference_server.http_server import HttpServer, Patience
from reference_server.provision import provision
from reference_server.service import HONEST, Service
from reference_server.state.store import State
from reference_server.target_file import admin_file, target_file, write_private
from reference_server.variants import VARIANTS

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Sequence

    from reference_server.config_file import Config
    from reference_server.http_server import Responder
    from reference_server.provision import Provision
    from reference_server.world import Seams

USAGE = 2
_DOMAIN_ID = re.compile(r"[0-9a-z]{32}")
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")
_MAX_PORT = 65535
_TEMPORARY, _MARK = "obs-reference-server-", "temporary"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until it is told to stop; the exit code."""
    options = _parser().parse_args(arguments)
    if options.list_defects:
        _list_defects(as_json=options.json)
        return 0
    if options.list_variants:
        for variant in VARIANTS.values():
            print(f"{variant.name:40} {variant.says}")
        return 0
    try:
        _check(options)
        _runner()(_serve(options))
    except StartError as error:
        print(f"obs-reference-server: {error}", file=sys.stderr)
        return USAGE
    except sqlite3.Error as error:  # before the first request or after the last; between them requests are refused
        print(f"obs-reference-server: The database cannot be written: {error}.", file=sys.stderr)
        return USAGE
    return 0


def _runner() -> Callable[[Coroutine[object, object, None]], None]:
    """What runs the loop: uvloop where it is installed (the extra `fast`), else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    run: Callable[[Coroutine[object, object, None]], None] = uvloop.run
    return run


class _Parser(argparse.ArgumentParser):
    """Complains in one line, as everything else here does."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="obs-reference-server", description="A small, honest OBS on this machine.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="port to listen on (default 0: a free one)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep everything here (default: nothing is kept)")
    parser.add_argument(
        "--durable", action="store_true", help="answer only when the disk has it: survives power failures"
    )
    parser.add_argument("--config", type=Path, metavar="FILE.toml", help="identities and keys there shall be")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--defect", metavar="NAME", help="be wrong in this named way")
    ways.add_argument("--variant", metavar="NAME", help="be different in this named, harmless way")
    parser.add_argument("--target-file", type=Path, metavar="OUT.toml", help="write endpoint, identities and keys here")
    parser.add_argument("--region", help="id of the region (default: region)")
    parser.add_argument("--domain-id", help="id of the owner's account, 32 characters (default: a random one)")
    parser.add_argument("--domain", help="base host name for virtual-host style (default: the address)")
    parser.add_argument("--kms-port", type=int, metavar="N", help="serve the key service's API here (0: a free port)")
    parser.add_argument(
        "--admin-file", type=Path, metavar="OUT.toml", help="write the key service's address and token here"
    )
    parser.add_argument("--tls", action="store_true", help="serve HTTPS, with a certificate made here")
    parser.add_argument("--tls-certificate", type=Path, metavar="FILE.pem", help="serve HTTPS with this certificate")
    parser.add_argument("--tls-key", type=Path, metavar="FILE.pem", help="the key of --tls-certificate")
    parser.add_argument(
        "--require-https-for-sse", action="store_true", help="refuse requests for encrypted objects over plain HTTP"
    )
    parser.add_argument("--access-log", metavar="FILE", help="append a line of JSON for each request (-: to stdout)")
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="append each exchange as a HAR entry; obs-conformance client reads it",
    )
    parser.add_argument(
        "--grace",
        type=float,
        default=5.0,
        metavar="S",
        help="seconds that requests in flight have at the end (default: 5)",
    )
    parser.add_argument(
        "--client-timeout",
        type=float,
        metavar="S",
        help="seconds a client may be silent (default: 30 to 120, by place)",
    )
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when standard input ends")
    parser.add_argument("--list-defects", action="store_true", help="list the named wrong servers")
    parser.add_argument("--list-variants", action="store_true", help="list the named harmless servers")
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
        print(f"{defect.name:40} {defect.says}")


def _check(options: argparse.Namespace) -> None:
    ports = (("--port", options.port), ("--kms-port", options.kms_port or 0))
    times = (("--grace", options.grace, 0), ("--client-timeout", options.client_timeout or 1, 0.01))
    wrong = (
        (
            options.defect is not None and options.defect not in DEFECTS,
            f"There is no defect {options.defect!r}; --list-defects shows them.",
        ),
        (
            options.variant is not None and options.variant not in VARIANTS,
            f"There is no variant {options.variant!r}; --list-variants shows them.",
        ),
        (
            options.defect in DEFECTS and DEFECTS[options.defect].reads is not None,
            f"The defect {options.defect} exists in process only; obs-conformance defects plays it.",
        ),
        (
            options.domain_id is not None and not _DOMAIN_ID.fullmatch(options.domain_id),
            "--domain-id is 32 characters of a-z and 0-9.",
        ),
        (
            options.region is not None and not _REGION.fullmatch(options.region),
            "--region is letters, digits and dashes.",
        ),
        (
            (options.tls_certificate is None) != (options.tls_key is None),
            "--tls-certificate and --tls-key belong together; give both, or --tls alone.",
        ),
        *((not 0 <= port <= _MAX_PORT, f"{name} {port} is not a port.") for name, port in ports),
        *(
            (not least <= seconds < float("inf"), f"{name} {seconds} is not a number of seconds.")
            for name, seconds, least in times
        ),
    )
    complaint = next((message for holds, message in wrong if holds), None)
    if complaint is not None:
        raise StartError(complaint)


def _region(options: argparse.Namespace, config: Config | None) -> str:
    said: str = (config.region if config is not None else "") or ""
    if config is not None and said and options.region not in (None, said):
        raise config.wrong("region", f"is not the {options.region} of --region; give one of them")
    return said or options.region or "region"


def _seams(options: argparse.Namespace) -> Seams:
    if options.variant is not None:
        return VARIANTS[options.variant].seams()
    return HONEST if options.defect is None else DEFECTS[options.defect].seams()


async def _serve(options: argparse.Namespace) -> None:
    with ExitStack() as stack:
        config = _config(options)
        folder = options.data or _temporary(stack)
        state = State.at(folder, os.urandom, durable=options.durable)
        stack.callback(state.close)
        hosts = tuple(dict.fromkeys((options.domain or options.host, options.host, "localhost")))
        service = Service.over(
            state,
            now=time.time,
            dice=os.urandom,
            region=_region(options, config),
            hosts=hosts,
            seams=_seams(options),
            require_https=options.require_https_for_sse,
            on_bug=_report,
        )
        made = provision(service.world, domain_id=options.domain_id, config=config)
        tls, ca_bundle = _tls(options, folder, hosts)
        log = _access_log(options, service, stack)
        asyncio.get_running_loop().set_exception_handler(_report_of_loop)
        responder = service if options.record is None else _recorder(options.record, service, stack)
        listening = _Listening(options, service, made, responder=responder, log=log, tls=tls, ca_bundle=ca_bundle)
        try:
            await listening.begin()
            stop = _stop_event(listening.hurry, with_parent=options.exit_with_parent)
            print(listening.endpoint, flush=True)
            await stop.wait()
        finally:
            service.stopping = True
            await listening.end(options.grace)
            _ignore_signals()


class _Listening:
    """The one or two ports of a server."""

    def __init__(  # noqa: PLR0913 - what is served, to whom, and how
        self,
        options: argparse.Namespace,
        service: Service,
        made: Provision,
        *,
        responder: Responder,
        log: AccessLog | None,
        tls: ssl.SSLContext | None,
        ca_bundle: str,
    ) -> None:
        self._options = options
        self._service = service
        self._made = made
        self._responder = responder
        self._log = log
        self._tls = tls
        self._ca_bundle = ca_bundle
        self._servers: list[HttpServer] = []
        self.endpoint = ""

    async def begin(self) -> None:
        """Listen, and write the files that say where."""
        options = self._options
        self.endpoint = await self._listen(self._responder, options.port)
        if any(wish is not None for wish in (options.kms_port, options.admin_file, options.target_file)):
            await self._begin_administration()

    async def _begin_administration(self) -> None:
        """The second port, and the files, which name it too."""
        from reference_server.admin_api import AdminService

        options, token = self._options, os.urandom(32).hex()
        told: dict[str, Any] = {} if self._log is None else {"on_answer": self._log.tell}
        administration = AdminService(self._service.world, token, on_bug=_report, **told)
        address = await self._listen(administration, options.kms_port or 0)
        if options.target_file is not None:
            text = target_file(
                self._service.world, self._made, self.endpoint, kms_endpoint=address, ca_bundle=self._ca_bundle
            )
            write_private(options.target_file, text)
        if options.admin_file is not None:
            text = admin_file(
                self._service.world,
                self._made,
                endpoint=self.endpoint,
                kms_endpoint=address,
                token=token,
                ca_bundle=self._ca_bundle,
            )
            write_private(options.admin_file, text, what="The admin file")

    async def _listen(self, responder: Responder, port: int) -> str:
        host, limit = self._options.host, self._options.client_timeout
        patience = Patience() if limit is None else Patience(limit, limit, limit)
        server = HttpServer(responder, log=self._log, patience=patience)
        try:
            bound = await server.start(host, port, tls=self._tls)
        except OSError as error:
            raise StartError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        self._servers.append(server)
        authority = f"[{host}]" if ":" in host else host
        return f"{'http' if self._tls is None else 'https'}://{authority}:{bound}"

    async def end(self, grace_s: float) -> None:
        """Stop listening; requests in flight have the grace to finish."""
        await asyncio.gather(*(server.stop(grace_s) for server in self._servers))

    def hurry(self) -> None:
        """Wait for nobody any more."""
        for server in self._servers:
            server.hurry()


def _config(options: argparse.Namespace) -> Config | None:
    if options.config is None:
        return None
    from reference_server.config_file import read_config

    config: Config = read_config(options.config)
    return config


def _temporary(stack: ExitStack) -> Path:
    """A folder for a server that keeps nothing; those that killed servers have left over are removed."""
    try:
        for mark in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*/{_MARK}"):
            if State.abandoned(mark.parent):
                shutil.rmtree(mark.parent, ignore_errors=True)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_TEMPORARY)))
        (folder / _MARK).touch()
    except OSError as error:
        raise StartError(f"A temporary folder cannot be made: {error.strerror}; name one with --data.") from error
    return folder


def _tls(options: argparse.Namespace, folder: Path, hosts: tuple[str, ...]) -> tuple[ssl.SSLContext | None, str]:
    """The context for HTTPS, if that is wanted, and the certificates a client shall trust for it."""
    if options.tls_certificate is None and not options.tls:
        return None, ""
    from reference_server.tls import made_here, server_context

    if options.tls_certificate is not None:
        return server_context(options.tls_certificate, options.tls_key), ""
    try:
        certificate, key, authority = made_here(folder / "tls", hosts)
    except OSError as error:
        raise StartError(f"The certificate cannot be kept in {folder / 'tls'}: {error.strerror}.") from error
    return server_context(certificate, key), str(authority.resolve())


def _access_log(options: argparse.Namespace, service: Service, stack: ExitStack) -> AccessLog | None:
    if options.access_log is None:
        return None
    if options.access_log == "-":
        descriptor = sys.stdout.fileno()
    else:
        descriptor = _appending(options.access_log, "access log", stack)
    log = AccessLog(_line_writer(descriptor, f"access log {options.access_log}"), time.time)
    service.watch(log.watching)
    return log


def _recorder(path: Path, service: Service, stack: ExitStack) -> Responder:
    from reference_server.recorder import Recorder

    descriptor = _appending(path, "recording", stack)
    return Recorder(service, _line_writer(descriptor, f"recording {path}"), time.time)


def _appending(path: str | Path, what: str, stack: ExitStack) -> int:
    """A descriptor of a file that only its owner reads, to append to while the stack stands."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise StartError(f"The {what} {path} cannot be written: {error.strerror}.") from error
    stack.callback(os.close, descriptor)
    return descriptor


def _line_writer(descriptor: int, name: str) -> Callable[[str], None]:
    """Writes each line at once; a file that cannot be written is complained of once and holds up nobody."""
    complained = False

    def write(line: str) -> None:
        nonlocal complained
        try:
            os.write(descriptor, line.encode())
        except OSError as error:
            if not complained:
                print(f"obs-reference-server: the {name} cannot be written: {error}", file=sys.stderr)
            complained = True

    return write


def _report(error: BaseException) -> None:
    """Trouble with disk and database is one line; whatever else gets here is a bug of ours and looks like one."""
    if isinstance(error, (OSError, sqlite3.Error)):
        print(f"obs-reference-server: a request failed: {error}", file=sys.stderr)
    else:
        traceback.print_exception(error, file=sys.stderr)


def _report_of_loop(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    _report(context.get("exception") or RuntimeError(context["message"]))


def _stop_event(hurry: Callable[[], None], *, with_parent: bool) -> asyncio.Event:
    """Set by SIGTERM, SIGINT and, if asked for, the end of standard input; a second signal hurries."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def signalled() -> None:
        if stop.is_set():
            hurry()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)

    def wait_for_end() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        with suppress(RuntimeError):  # the loop may have ended before standard input did
            loop.call_soon_threadsafe(stop.set)

    if with_parent:
        threading.Thread(target=wait_for_end, daemon=True).start()
    return stop


def _ignore_signals() -> None:
    """What is left to do at the end is short, and must not be cut off by an impatient second signal."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
