"""Dialect files: ``cases/dialects/NAME.yaml`` to a frozen ``Dialect``.

The one reader of dialects. Refuses unknown words, sources that are not listed and clauses that do not exist; every
error names file, line and remedy. Does not translate anything.
"""

from __future__ import annotations

import difflib
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.vocabulary import CaseError, Dialect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.strictyaml import Document

ROOT = Path(__file__).resolve().parent.parent / "cases"
OWN = "obs"
"""The dialect in which the cases are written; it has no file."""


def names(root: Path = ROOT) -> tuple[str, ...]:
    """The dialects there are, OBS's own first."""
    return (OWN, *sorted(path.stem for path in (root / "dialects").glob("*.yaml")))


@lru_cache(maxsize=8)
def load_dialect(name: str, root: Path = ROOT) -> Dialect | None:
    """A dialect by its name; None for OBS's own.

    :raises CaseError: no such dialect, or one line for each thing wrong with its file.
    """
    if name == OWN:
        return None
    if name not in names(root):
        raise CaseError(f"no dialect named {name!r}; there are: {', '.join(names(root))}")
    value = _merged(root, name)
    prefix = value["prefix"]
    return Dialect(
        name=value["name"],
        profile=value["profile"],
        prefix=(prefix["obs"], prefix["wire"]),
        headers=_pairs(value, "headers"),
        parameters=_pairs(value, "parameters"),
        values=_by_name(value, "values"),
        elements=_by_name(value, "elements"),
        key_names=frozenset(value["keys"]["names"]),
        key_elements=frozenset(value["keys"]["elements"]),
        key_sent=_rules(value, "keys", "sent"),
        key_answered=_rules(value, "keys", "answered"),
        texts=tuple((item["obs"], item["wire"]) for item in value.get("texts", ())),
        codes={item["wire"]: item["obs"] for item in reversed(value.get("codes", ()))},
        refusals=tuple(
            (item["wire"], item["message"], item["obs"], item["status"]) for item in value.get("refusals", ())
        ),
        sizes={item["obs"]: item["wire"] for item in reversed(value.get("sizes", ()))},
        default_key=value.get("default_key", {}).get("name", ""),
        unasked=value.get("unasked", {}).get("mode", ""),
        withheld={
            item["feature"]: (item["status"], item["code"], item["why"]) for item in reversed(value.get("withheld", ()))
        },
        policy={word: text for word, text in value["policy"].items() if word != "source"},
        principal_sent=_rules(value, "principals", "sent"),
        principal_answered=_rules(value, "principals", "answered"),
        signatures=tuple(
            (item.get("sub_resource", ""), item["kind"], item["version"]) for item in value.get("signatures", ())
        ),
        region=value["region"],
        shapes={item["name"]: item["is"] for item in reversed(value.get("shapes", ()))},
        without={item["case"]: item["why"] for item in value.get("without", ())},
        lacks={item["clause"]: item["why"] for item in value.get("lacks", ())},
        alters={item["clause"]: item["says"] for item in reversed(value.get("alters", ()))},
        levels={item["clause"]: item["level"] for item in reversed(value.get("alters", ())) if "level" in item},
    )


def _merged(root: Path, name: str) -> dict[str, Any]:
    """The entries of a dialect and, behind them, those of the one it extends."""
    document = _document(root, name)
    value: dict[str, Any] = document.value
    if "extends" not in value:
        return value
    base = _merged(root, value["extends"])
    lists = {
        word: [*value.get(word, ()), *base.get(word, ())]
        for word in {*value, *base}
        if isinstance(value.get(word, base.get(word)), list)
    }
    return {**base, **value, **lists}


def _document(root: Path, name: str) -> Document:
    # Imported here because most runs are in OBS's own dialect, and none of the start-up is to be spent on YAML then.
    from conformance.strictyaml import SchemaCheck, parse_fast

    path = root / "dialects" / f"{name}.yaml"
    document = parse_fast(path.read_text("utf-8"), f"cases/dialects/{name}.yaml")
    problems = [*SchemaCheck(root / "dialect.schema.json").errors(document)]
    problems = problems or [*_contradictions(document, name)]
    if problems:
        raise CaseError("\n".join(problems))
    return document


def _contradictions(document: Document, name: str) -> Iterator[str]:
    value = document.value
    if value["name"] != name:
        yield f"{document.at(('name',))}: the dialect {value['name']!r} stands in {name}.yaml; name both alike"
    for place, source in _sources(value, ()):
        if source not in value["sources"]:
            near = difflib.get_close_matches(source, value["sources"], n=1)
            hint = f"did you mean {near[0]!r}?" if near else "list it under sources"
            yield f"{document.at(place)}: unknown source {source!r}; {hint}"
    for what, way in ((what, way) for what in ("keys", "principals") for way in ("sent", "answered")):
        for index, item in enumerate(value.get(what, {}).get(way, ())):
            try:
                re.compile(item["from"])
            except re.error as error:
                yield f"{document.at((what, way, index, 'from'))}: not a regular expression: {error}"


def _sources(value: object, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if key == "source":
            yield from (((*place, key), one) for one in ([item] if isinstance(item, str) else item))
        else:
            yield from _sources(item, (*place, key))


def _pairs(value: dict[str, Any], word: str) -> dict[str, str]:
    return {item["obs"].lower(): item["wire"] for item in reversed(value.get(word, ()))}


def _rules(value: dict[str, Any], what: str, way: str) -> tuple[tuple[str, str], ...]:
    return tuple((rule["from"], rule["to"]) for rule in value[what][way])


def _by_name(value: dict[str, Any], word: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for item in reversed(value.get(word, ())):
        found.setdefault(item["of"], {})[item["obs"]] = item["wire"]
    return found
