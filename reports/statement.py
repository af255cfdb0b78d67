"""Writes a signed statement for people: one page of HTML, or a dozen lines of text.

Knows the words of a statement's document. Does not sign, verify or judge; whatever the document holds is foreign text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from reports.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SHOWN_CLAUSES = 12
_PAGE = Markup(
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    '<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>\n'
    "<style>:root{{color-scheme:light dark}}"
    "body{{font:15px/1.45 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}}"
    "h1{{font-size:1.4rem}}.c{{font-size:1.15rem;border:2px solid;padding:.6rem .8rem}}"
    "dt{{font-weight:600;margin-top:.5rem}}dd{{margin:0;overflow-wrap:anywhere}}"
    "code{{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}}@media print{{body{{margin:0;font-size:11px}}}}"
    "</style></head>\n<body><main><h1>Statement of conformance</h1>\n"
    '<p class="c">{headline}</p>\n<dl>{rows}</dl>\n'
    "<p>To check it: <code>obs-conformance verify statement.json results.jsonl --public-key KEY</code>. "
    "It checks the signature, compares every line of the evidence, and judges the evidence again.</p>\n"
    "</main></body></html>\n"
)


def page(document: Mapping[str, Any]) -> str:
    """The statement as one self-contained page."""
    rows = Markup("\n").join(
        Markup("<dt>{}</dt><dd>{}</dd>").format(name, Markup("<br>").join(map(_seen, values)))
        for name, values in _rows(document)
    )
    headline = _seen(str(document["headline"]))
    return str(_PAGE.format(title=_seen(f"Statement: {document['target']['name']}"), headline=headline, rows=rows))


def _seen(text: str) -> Markup:
    return escape(visible(text))


def text(document: Mapping[str, Any]) -> str:
    """The statement in lines."""
    lines = [f"{name}: {'; '.join(values)}" for name, values in _rows(document)]
    return visible("\n".join([f"Statement: {document['headline']}", *lines]))


def _rows(document: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What a reader of the page is told, in order: a term and its lines."""
    target, profile, run, out = (document[name] for name in ("target", "profile", "run", "exclusions"))
    evidence, suite, library = (document[name] for name in ("evidence", "suite", "library"))
    region = f", region {target['region']}" if target["region"] else ""
    yield "Endpoint", (f"{target['name']}, {target['endpoint']}{region}",)
    yield "Profile", (f"{profile['title']} ({profile['name']}, {profile['clauses']} clauses)",)
    counts = ", ".join(f"{number} {rung.replace('_', ' ')}" for rung, number in document["counts"].items())
    yield "Cases", (counts or "none",)
    yield "Declared exclusions", tuple(f"{name}: {why}" for name, why in out["declared"].items()) or ("none",)
    yield "Cases of the library not run", (str(out["not_planned"]),)
    for word in ("not_exercised", "not_observable"):
        names = list(out[word])
        more = f" and {len(names) - _SHOWN_CLAUSES} more" if len(names) > _SHOWN_CLAUSES else ""
        yield f"Clauses {word.replace('_', ' ')}", (", ".join(names[:_SHOWN_CLAUSES]) + more or "none",)
    yield "Run", (f"{run['started']} to {run['ended']}, seed {run['seed']}{', strict' if run['strict'] else ''}",)
    yield "Suite", (f"{suite['name']} {suite['version']}, case library {library['digest']}",)
    yield "Evidence", (f"{evidence['bytes']} bytes in {len(evidence['lines'])} lines", f"SHA-256 {evidence['sha256']}")
    yield "Issued", (document["issued"],)
    yield f"Signature ({document['algorithm']})", (document["signature"], f"public key {document['public_key']}")
