"""The site over the history: pages that only read, and an upload for CI behind a token.

No script at all, one stylesheet, nothing from elsewhere; every text from a results file goes through a template that
escapes. Names stand in queries of links, not in paths, because an id may hold slashes and dots.
"""

from __future__ import annotations

import functools
import hmac
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from flask import Flask, Response, abort, current_app, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from reports.history import queries
from reports.history.store import StoreError, UnknownRunError
from reports.history.vault import EvidenceError
from reports.model import ResultsError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import sqlalchemy as sa

    from reports.history.store import Store

LARGEST_UPLOAD = 256 << 20
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
SYMBOLS = {
    "pass": "✓", "holds": "✓", "conformant": "✓", "fail": "✗", "broken": "✗", "non-conformant": "✗", "warn": "!",
    "weak": "!", "observed": "◦", "not_applicable": "-", "not_exercised": "-", "not_observable": "-", "blocked": "■",
    "setup_failed": "■", "harness_error": "■", "not_run": "■", "inconclusive": "?", "interrupted": "?",
}  # fmt: skip
"""A verdict is always a sign and a word; the colour comes on top."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_HEIGHTS = {"✓": 8, "◦": 8, "!": 20, "?": 20, "-": 20, "■": 20, "✗": 32}
_STEP = 12
_OUT_OF_SERVICE = "The store does not serve at the moment; whoever runs this site finds the reason in its log."


def make_site(
    store: Store, *, token: str | None = None, hosts: Collection[str] | None = None, largest: int = LARGEST_UPLOAD
) -> Flask:
    """The site as a WSGI application.

    :param token: what an upload has to show; None: there is no upload.
    :param hosts: names the site answers to; None: any. On loopback this keeps other sites' pages from reading it
        through a name of theirs that resolves to this machine.
    :param largest: size of an upload in bytes.
    """
    app = Flask(__name__, static_folder=None)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(symbols=SYMBOLS, chart=chart, page_size=queries.PAGE)
    app.jinja_env.filters["day"] = lambda time: str(time)[:16].replace("T", " ")

    @app.before_request
    def _known_host() -> None:
        name = request.host if request.host.endswith("]") else request.host.rpartition(":")[0] or request.host
        if hosts is not None and name not in hosts:
            abort(421, "This site does not answer to that name; start it with --name NAME.")

    @app.after_request
    def _strict(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers[name] = value
        return response

    @app.errorhandler(HTTPException)
    def _refused(error: HTTPException) -> tuple[str, int]:
        return render_template("error.html", title=error.name, says=error.description), error.code or 500

    @app.errorhandler(StoreError)
    def _without_store(error: StoreError) -> tuple[str, int]:
        app.logger.error("%s", error)
        return render_template("error.html", title="Out of service", says=_OUT_OF_SERVICE), 503

    for path, view in _PAGES.items():
        app.add_url_rule(path, path, functools.partial(_answer, store, view))
    app.add_url_rule("/style.css", "style", _style)
    upload = functools.partial(_upload, store, token, largest)
    app.add_url_rule("/api/runs", "upload", upload, methods=["POST"])
    return app


def chart(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The points of a trend: place, sign and words of each run, high what is good; widths in pixels."""
    return [
        {
            "x": _STEP * number + 10,
            "y": _HEIGHTS[SYMBOLS.get(row["verdict"], "?")],
            "sign": SYMBOLS.get(row["verdict"], "?"),
            **row,
        }
        for number, row in enumerate(rows)
    ]


def _answer(store: Store, view: Callable[[Store, sa.Connection], str]) -> str:
    with store.reading() as connection:
        return view(store, connection)


def _style() -> Response:
    return Response((Path(__file__).parent / "templates" / "style.css").read_text("utf-8"), mimetype="text/css")


def _asked(name: str) -> str:
    value = request.args.get(name, "")
    if not value or "\0" in value:
        abort(404, f"The link has no {name}.")
    return value


def _page() -> int:
    return min(max(request.args.get("page", 0, type=int), 0), 1_000_000)


def _overview(_: Store, connection: sa.Connection) -> str:
    found = queries.endpoints(connection)
    return render_template("overview.html", title="Endpoints", endpoints=found, matrix=queries.matrix(connection))


def _runs(_: Store, connection: sa.Connection) -> str:
    return render_template("runs.html", title="Runs", runs=queries.runs(connection, page=_page()), page=_page())


def _endpoint(_: Store, connection: sa.Connection) -> str:
    key = _asked("id")
    runs = queries.runs(connection, key, _page())
    if not runs and not _page():
        abort(404, "No such endpoint in this history.")
    return render_template(
        "endpoint.html",
        title=runs[0]["endpoint"] if runs else "Endpoint",
        key=key,
        runs=runs,
        page=_page(),
        flipping=queries.flipping(connection, key),
        slowest=queries.slowest(connection, key)[:10],
    )


def _clause(_: Store, connection: sa.Connection) -> str:
    found = queries.named(connection, "clause", _asked("id"))
    if found is None:
        abort(404, "No such clause in this history.")
    trend = queries.clause_trend(connection, found["name"])
    return render_template("trend.html", title=found["name"], about=found, trend=trend, kind="clause", summaries=[])


def _case(_: Store, connection: sa.Connection) -> str:
    found = queries.named(connection, "case", _asked("id"))
    if found is None:
        abort(404, "No such case in this history.")
    trend = queries.case_trend(connection, found["name"])
    summaries = queries.first_failing(connection, found["name"])
    return render_template(
        "trend.html", title=found["name"], about=found, trend=trend, kind="case", summaries=summaries
    )


def _run(_: Store, connection: sa.Connection) -> str:
    found = queries.run(connection, _asked("id"))
    if found is None:
        abort(404, "No such run in this history.")
    cases = queries.results(connection, found["id"], _page())
    title = f"Run {found['digest'][:12]}"
    return render_template("run.html", title=title, run=found, cases=cases, page=_page())


def _evidence(store: Store, connection: sa.Connection) -> str:
    digest, case = _asked("run"), _asked("case")
    found = queries.place(connection, digest, case)
    if found is None:
        abort(404, "No such case in this run.")
    try:
        record, lost = store.vault.case(digest, found["at"], found["size"]), ""
    except EvidenceError as error:
        record, lost = {}, str(error)
    return render_template("evidence.html", title=case, digest=digest, case=case, found=found, record=record, lost=lost)


def _changed(_: Store, connection: sa.Connection) -> str:
    old, new = request.args.get("old", ""), request.args.get("new", "")
    rows, problem = [], ""
    if old and new:
        try:
            old, new = queries.resolved(connection, old), queries.resolved(connection, new)
            rows = queries.changed(connection, old, new)
        except UnknownRunError as error:
            problem = str(error)
    return render_template("changed.html", title="What changed", old=old, new=new, rows=rows, problem=problem)


def _flipping(_: Store, connection: sa.Connection) -> str:
    rows = queries.flipping(connection)
    return render_template("cases.html", title="Flip-flops", rows=rows, least=queries.FLIPPING_FROM)


def _slowest(_: Store, connection: sa.Connection) -> str:
    return render_template("cases.html", title="Slowest cases", rows=queries.slowest(connection), least=0)


def _search(_: Store, connection: sa.Connection) -> str:
    words = request.args.get("q", "").strip().replace("\0", "")[:200]
    found = queries.search(connection, words) if words else None
    return render_template("search.html", title="Search", words_asked=words, found=found)


_PAGES: Mapping[str, Callable[[Store, sa.Connection], str]] = {
    "/": _overview,
    "/runs": _runs,
    "/endpoint": _endpoint,
    "/clause": _clause,
    "/case": _case,
    "/run": _run,
    "/evidence": _evidence,
    "/changed": _changed,
    "/flipping": _flipping,
    "/slowest": _slowest,
    "/search": _search,
}


def _upload(store: Store, token: str | None, largest: int) -> tuple[Response, int]:
    """Take a results file as the body of a request; what is wrong with it goes back in a sentence."""
    if token is None:
        return jsonify(error="this site takes no uploads; start it with --upload-token-env"), 403
    shown = request.headers.get("Authorization", "").encode("utf-8", "replace")
    if not hmac.compare_digest(shown, f"Bearer {token}".encode()):
        return jsonify(error="a bearer token is needed, and this is not the one"), 401
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        if not _received(file, largest):
            return jsonify(error=f"more than {largest} bytes"), 413
        file.flush()
        return _added(store, Path(file.name))


def _added(store: Store, path: Path) -> tuple[Response, int]:
    try:
        added = store.add(path)
    except ResultsError as error:
        return jsonify(error=f"line {error.line}: {error.problem}. {error.remedy}."), 400
    except (StoreError, EvidenceError) as error:
        current_app.logger.error("%s", error)  # noqa: TRY400 - a sentence; the trace would hold the statement's values
        return jsonify(error="the store did not take it"), 503
    return jsonify(run=added.digest, cases=added.cases, new=added.new), 201 if added.new else 200


def _received(file: IO[bytes], largest: int) -> bool:
    """Write the body of the request to a file; False once it is too large."""
    size = request.content_length or 0
    left = largest
    while size <= largest and (piece := request.stream.read(1 << 20)):
        left -= len(piece)
        if left < 0:
            return False
        file.write(piece)
    return size <= largest
