"""Writes a signed statement for people: one page of HTML, or a dozen lines of text.

Knows the words of a statement's document. Does not sign, verify or judge; whatever the document holds is foreign text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.selfcontained import render
from reports.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SHOWN_CLAUSES = 12


def page(document: Mapping[str, Any]) -> str:
    """The statement as one self-contained page."""
    return render(
        "statement.html.j2",
        style="statement.css",
        name=document["target"]["name"],
        headline=document["headline"],
        rows=tuple(_rows(document)),
    )


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
