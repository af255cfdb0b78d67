"""The commands ``history`` and ``serve``: runs put into a store, asked about, and shown as a site.

Part of the composition root: the store and the site are of the renderers' room. Prints; judges nothing.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.vocabulary import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    import sqlalchemy as sa

    from reports.history.store import Store

RESULTS = "results.jsonl"
_SHORTEST_TOKEN = 16
_TOKEN = re.compile("[!-~]([ -~]*[!-~])?")
_LARGEST_WITHOUT_UPLOAD = 64 << 10
_CONNECTIONS = 20


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The parsers of these commands."""
    history = commands.add_parser("history", help="keep runs in a store and ask it")
    questions = history.add_subparsers(required=True, metavar="QUESTION")
    add = _question(questions, "add", _add, "put runs in; the same run again changes nothing")
    add.add_argument("results", type=Path, nargs="+", metavar="RESULTS.jsonl")
    _question(questions, "runs", _runs, "the runs, latest first").add_argument("--endpoint", metavar="NAME")
    trend = _question(questions, "trend", _trend, "the verdicts on a clause, run after run")
    trend.add_argument("clause", metavar="CLAUSE")
    trend.add_argument("--endpoint", metavar="NAME", help="name, URL or key of an endpoint (default: all)")
    first = _question(questions, "first-failing", _first, "in which run a case failed first")
    first.add_argument("case", metavar="CASE")
    first.add_argument("--endpoint", metavar="NAME")
    for name, command, text in (
        ("flip-flops", _flipping, "cases that go between passing and failing (10 runs or more)"),
        ("slowest", _slowest, "cases that take longest"),
    ):
        _question(questions, name, command, text).add_argument("--endpoint", metavar="NAME")
    changed = _question(questions, "changed", _changed, "cases that differ between two runs or versions")
    changed.add_argument("old", metavar="OLD", help="beginning of a digest, @VERSION of the suite, or an endpoint")
    changed.add_argument("new", metavar="NEW")
    changed.add_argument("--endpoint", metavar="NAME", help="of which endpoint @VERSION is meant")
    serve = commands.add_parser("serve", help="the history as a site, and a place to upload results to")
    _add_store(serve)
    serve.add_argument("--bind", default="127.0.0.1:8080", metavar="HOST:PORT", help="default: 127.0.0.1:8080")
    serve.add_argument("--name", action="append", default=[], metavar="HOST", help="another name it is reached by")
    serve.add_argument("--upload-token-env", metavar="NAME", help="variable with the token that an upload has to show")
    serve.set_defaults(command=_serve)


def _question(
    questions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    command: Callable[[argparse.Namespace, Store], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = questions.add_parser(name, help=text)
    _add_store(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")

    def ask(options: argparse.Namespace) -> int:
        with _opened(options, make=command is _add or options.store is None or options.evidence is not None) as store:
            return command(options, store)

    parser.set_defaults(command=ask)
    return parser


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", metavar="URL", help="SQLAlchemy URL, SQLite file, or env:NAME (default: your own)")
    parser.add_argument(
        "--evidence", metavar="URL", help="where a new store keeps evidence: folder, or fsspec location"
    )


@contextlib.contextmanager
def _opened(options: argparse.Namespace, *, make: bool = True) -> Iterator[Store]:
    try:
        from reports.history.store import StoreError, open_store
        from reports.history.vault import EvidenceError
    except ModuleNotFoundError as error:
        raise UsageError(f"this needs the extra: pip install 'obs-conformance[history]' (no {error.name})") from error
    from reports.model import ResultsError

    try:
        store = open_store(options.store, options.evidence, make=make)
        with contextlib.closing(store):
            yield store
    except (StoreError, EvidenceError, ResultsError) as error:
        raise UsageError(str(error)) from error


def _add(options: argparse.Namespace, store: Store) -> int:
    paths = list(_files(options.results))
    if not paths:
        raise UsageError("no results to add; give a results.jsonl, or a folder that a run or a fleet wrote")
    for path in store.ordered(paths):
        added = store.add(path)
        if options.json:
            print(json.dumps({"run": added.digest, "cases": added.cases, "new": added.new, "file": str(path)}))
        else:
            told = f"{added.digest[:12]}  {added.cases} cases, {'added' if added.new else 'was there'}"
            print(told if len(paths) == 1 else f"{told}  {path}")
    return 0


def _files(given: Sequence[Path]) -> Iterator[Path]:
    """The results files meant by paths: of a run's folder its own, of a fleet's those of its endpoints."""
    for path in given:
        own = path / RESULTS if path.is_dir() else path
        nested = [] if own.exists() else sorted(path.glob(f"*/{RESULTS}"))
        if path.is_dir() and not own.exists() and not nested:
            print(f"{path}: holds no {RESULTS}; left out", file=sys.stderr)
        else:
            yield from nested or (own,)


def _told(
    options: argparse.Namespace,
    store: Store,
    ask: Callable[[sa.Connection], list[dict[str, Any]]],
    most: int | None = None,
) -> int:
    """Print the rows of an answer: all as JSON, or in columns, and then how many more there are than *most*."""
    with store.reading() as connection:
        found = ask(connection)
    rows = found[:most]
    if options.json:
        print(json.dumps(found, indent=1))
    elif rows:
        table = [
            [name.replace("_", " ") for name in rows[0]],
            *([_cell(value) for value in row.values()] for row in rows),
        ]
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        for row in table:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if len(found) > len(rows):
            print(f"and {len(found) - len(rows)} more, which --json shows")
    else:
        print("none")
    return 0


def _cell(value: object) -> str:
    """A value in a column: digests short, numbers to a tenth, and nothing that moves the cursor."""
    text = f"{value:.1f}" if isinstance(value, float) else "-" if value is None else str(value)
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text[:12] if len(text) == 64 and text.isalnum() else text[:60]  # noqa: PLR2004 - hex digits of SHA-256


def _runs(options: argparse.Namespace, store: Store) -> int:
    from reports.history import queries

    return _told(options, store, lambda connection: queries.runs(connection, options.endpoint), queries.PAGE)


def _trend(options: argparse.Namespace, store: Store) -> int:
    from reports.history import queries

    return _told(options, store, lambda connection: queries.clause_trend(connection, options.clause, options.endpoint))


def _first(options: argparse.Namespace, store: Store) -> int:
    from reports.history import queries

    return _told(options, store, lambda connection: queries.first_failing(connection, options.case, options.endpoint))


def _flipping(options: argparse.Namespace, store: Store) -> int:
    from reports.history import queries

    return _told(options, store, lambda connection: queries.flipping(connection, options.endpoint))


def _slowest(options: argparse.Namespace, store: Store) -> int:
    from reports.history import queries

    return _told(options, store, lambda connection: queries.slowest(connection, options.endpoint))


def _changed(options: argparse.Namespace, store: Store) -> int:
    from reports.history import queries

    def ask(connection: sa.Connection) -> list[dict[str, Any]]:
        old, new = (queries.resolved(connection, said, options.endpoint) for said in (options.old, options.new))
        return queries.changed(connection, old, new)

    return _told(options, store, ask)


def _serve(options: argparse.Namespace) -> int:
    """Serve until interrupted; prints the address when it answers."""
    host, port = _bind(options.bind)
    token = _token(options.upload_token_env)
    with _opened(options) as store:
        try:
            import waitress

            from reports.history.site import LOOPBACK, make_site
        except ModuleNotFoundError as error:
            raise UsageError(
                f"this needs the extra: pip install 'obs-conformance[history]' (no {error.name})"
            ) from error
        shown = f"[{host}]" if ":" in host else host
        hosts = {*LOOPBACK, shown, *options.name} if _is_loopback(host) or options.name else None
        site = make_site(store, token=token, hosts=hosts)
        try:
            server = waitress.create_server(site, host=host, port=port, ident=None, **_limits(token))
        except OSError as error:
            raise UsageError(f"--bind {options.bind}: {error.strerror or error}") from error
        except ValueError as error:
            raise UsageError(f"--bind {options.bind}: there is no such host; give HOST:PORT") from error
        print(f"http://{shown}:{_port(server)}", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        server.run()
        server.close()
    return 0


def _limits(token: str | None) -> dict[str, int]:
    """What waitress takes of a request before the site sees it, in bytes, and of how many at once.

    It writes a body down before anybody asks for the token: without uploads nobody has one to send, and with them it is
    the number of connections that bounds what the temporary folder has to hold.
    """
    from reports.history.site import LARGEST_UPLOAD

    if token is None:
        return {"max_request_body_size": _LARGEST_WITHOUT_UPLOAD}
    return {"max_request_body_size": LARGEST_UPLOAD + 1, "connection_limit": _CONNECTIONS}


def _port(server: Any) -> int:  # noqa: ANN401 - waitress has no types
    """Where a server listens; at the first of its addresses, if its name has several."""
    several = getattr(server, "effective_listen", None)
    port: int = several[0][1] if several else server.effective_port
    return port


def _bind(said: str) -> tuple[str, int]:
    host, colon, port = said.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - the last port
        raise UsageError(f"--bind {said}: give HOST:PORT, as 127.0.0.1:8080")
    return host.strip("[]"), int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token(variable: str | None) -> str | None:
    if variable is None:
        return None
    token = os.environ.get(variable, "")
    if len(token) < _SHORTEST_TOKEN:
        raise UsageError(
            f"--upload-token-env {variable}: the variable has to hold {_SHORTEST_TOKEN} characters or more"
        )
    if not _TOKEN.fullmatch(token):
        raise UsageError(f"--upload-token-env {variable}: a header carries only printable ASCII, no space at its ends")
    return token
