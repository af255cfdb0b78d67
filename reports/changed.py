"""Writes what changed between two runs: as text, JSON, Markdown and HTML.

Knows how each form looks.  What counts as a change, and as a regression, is decided by ``changes``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.changes import compare
from reports.markdown import code, prose
from reports.selfcontained import render
from reports.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from reports.changes import Changes
    from reports.model import Case, Results

KIND = "obs-conformance comparison"
FORMAT = 1
TITLES: Mapping[str, str] = {
    "new_failures": "New failures",
    "new_cases_failing": "New cases that fail",
    "differently": "Failing differently",
    "fixed": "Fixed",
    "moved": "Changed otherwise",
    "new_cases": "New cases",
    "removed_cases": "Removed cases",
}
"""The groups of ``Changes``, what makes the newer run worse first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One case of a group; a side without the case is None."""

    id: str
    old: Case | None
    new: Case | None

    @property
    def says(self) -> str:
        """What the case states."""
        case = self.new or self.old
        return case.says if case else ""

    @property
    def rungs(self) -> str:
        """Where it stood and stands."""
        names = [case.rung.replace("_", " ") if case else "not there" for case in (self.old, self.new)]
        return " -> ".join(dict.fromkeys(names))

    @property
    def why(self) -> tuple[str, ...]:
        """What is not met now, or else the reason of the newer rung."""
        if self.new is None:
            return ()
        unmet = tuple(f"{check.step}: {check.says or check.wanted}" for check in self.new.unmet)
        return unmet or ((self.new.reason,) if self.new.reason else ())


@dataclass(frozen=True, slots=True)
class Changed:
    """Two runs and what changed, ready to be written."""

    old: Results
    new: Results
    changes: Changes
    groups: Mapping[str, tuple[Entry, ...]]

    @property
    def sentence(self) -> str:
        """All of it in a sentence."""
        if self.changes.none:
            return "Nothing changed."
        counts = [f"{len(entries)} {TITLES[name].lower()}" for name, entries in self.groups.items() if entries]
        unworse = "Not worse" if self.new.finished else "Inconclusive, for the new run did not finish"
        return f"{'Worse' if self.changes.regressed else unworse}: {', '.join(counts)}."


def changed(old: Results, new: Results) -> Changed:
    """What changed from *old* to *new*."""
    found = compare(old, new)
    before, after = ({case.id: case for case in run.cases} for run in (old, new))
    groups = {
        name: tuple(Entry(id_, before.get(id_), after.get(id_)) for id_ in getattr(found, name)) for name in TITLES
    }
    return Changed(old, new, found, groups)


def as_text(found: Changed) -> str:
    """Lines for a terminal."""
    return visible("\n".join([found.sentence, *_lines(found)])) + "\n"


def _lines(found: Changed) -> Iterator[str]:
    yield from (f"note: {note}" for note in notes(found))
    for name, entries in found.groups.items():
        if entries:
            yield f"\n{TITLES[name]} ({len(entries)})"
            for entry in entries:
                yield f"  {entry.id}  {entry.rungs}  {entry.says}"
                yield from (f"      {why}" for why in entry.why)


def notes(found: Changed) -> tuple[str, ...]:
    """What a reader must know before believing the difference."""
    old, new = found.old.header, found.new.header
    facts = (
        ("target", old.target.endpoint, new.target.endpoint),
        ("profile", old.profile.name, new.profile.name),
        ("case library", old.library.digest[:12], new.library.digest[:12]),
    )
    told = [f"the {what} was {then} and is {now}" for what, then, now in facts if then != now]
    return (
        *told,
        *(
            f"the {name} run did not finish"
            for name, run in (("old", found.old), ("new", found.new))
            if not run.finished
        ),
    )


def as_json(found: Changed) -> str:
    """The document: see docs/formats.md."""
    document = {
        "kind": KIND,
        "format": FORMAT,
        "regressed": found.changes.regressed,
        "sentence": found.sentence,
        "notes": list(notes(found)),
        "old": _run(found.old),
        "new": _run(found.new),
        **{name: [_entry(entry) for entry in entries] for name, entries in found.groups.items()},
    }
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


def _run(results: Results) -> dict[str, Any]:
    return {
        "target": results.header.target.name,
        "endpoint": results.header.target.endpoint,
        "profile": results.header.profile.name,
        "library": results.header.library.digest,
        "started": results.header.started,
        "headline": results.headline,
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "says": entry.says,
        "old": entry.old.rung if entry.old else None,
        "new": entry.new.rung if entry.new else None,
        "why": list(entry.why),
    }


def as_markdown(found: Changed) -> str:
    """Markdown for a job summary or a pull request."""
    lines = [f"## {prose(found.sentence)}", ""]
    lines += [f"- {prose(note)}" for note in notes(found)]
    for name, entries in found.groups.items():
        if entries:
            lines += ["", f"### {TITLES[name]} ({len(entries)})", ""]
            for entry in entries:
                lines += [f"- {code(entry.id)} {prose(entry.rungs)}: {prose(entry.says)}"]
                lines += [f"  - {code(why)}" for why in entry.why]
    return "\n".join(lines) + "\n"


def as_html(found: Changed) -> str:
    """One self-contained page."""
    return render("changed.html.j2", style="comparison.css", found=found, titles=TITLES, notes=notes(found))


FORMATS: Mapping[str, Callable[[Changed], str]] = {
    "text": as_text,
    "json": as_json,
    "markdown": as_markdown,
    "html": as_html,
}
