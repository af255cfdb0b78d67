"""Writes a results file as one HTML page that needs nothing else.

Knows what a reader asks first and in which order, and that everything an endpoint sent is hostile.  Reads the file
once, front to back: the cases go into the page as packed lines, so neither memory nor the page's start depends on how
many there are.  Does not know what is conformant: every verdict on the page is the file's own.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import json
import re
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.causes import TROUBLED, Cause, Symptom, causes, symptom
from reports.changes import Changes, Standing, changes, standing
from reports.evidence import Packer
from reports.model import UNFINISHED, Clause, Erratum, Level, ResultsError, Rung, Stream
from reports.page import JudgedPage, judge_page
from reports.text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TEMPLATES = Path(__file__).parent / "templates"
MESSAGES: Mapping[str, Mapping[str, str]] = json.loads((TEMPLATES / "messages.json").read_text("utf-8"))
RUNGS: tuple[Rung, ...] = get_args(Rung)
LEVELS: tuple[Level, ...] = get_args(Level)
WORST_FIRST = ("broken", "weak", "not_exercised", "no_verdict", "observed", "holds", "not_observable")
EXPLAINED = frozenset({"broken", "weak"})
GLYPHS = {
    "pass": "✓", "fail": "✕", "warn": "!", "observed": "◉", "not_applicable": "∅", "blocked": "⊘", "setup_failed": "⚑",
    "harness_error": "⚙", "not_run": "○", "holds": "✓", "broken": "✕", "weak": "!", "not_exercised": "○",
    "not_observable": "∅", "no_verdict": "?", "met": "✓", "unmet": "✕",
    "conformant": "✓", "non-conformant": "✕", "inconclusive": "?", "interrupted": "■", "unfinished": "■",
}  # fmt: skip
_SHOWN_CASES = 12
"""How many cases a clause or a card names before it points to the list."""
_MUST_COUNTED = frozenset({"holds", "broken", "weak"})


def write_html(
    source: Path | str, path: Path | str, *, previous: Path | None = None, pages: Sequence[Path] = ()
) -> None:
    """Write the results file *source* to *path* as one self-contained page.

    :param previous: results of an earlier run; what changed since is the second thing the page says.
    :param pages: texts of pages whose clauses the profile holds; each is shown with its sentences judged.
    :raises ResultsError: a file cannot be read, is no results file, or is a page of which no clause claims a sentence.
    """
    stream = Stream(source)
    judged = tuple(_judged_page(page, stream) for page in pages)
    before = _previous(previous)
    with tempfile.TemporaryFile() as spool:
        probes = frozenset((erratum.case, erratum.observation) for erratum in stream.header.errata)
        seen = _Seen(keep_standings=before is not None, probes=probes)
        with Packer(spool) as packer:
            for line, record in stream.cases():
                packer.add(line, seen.take(stream, record))
            index = packer.index()
        page = _page(stream, seen, before, judged, packer.starts)
        opening = _render(page)
        with Path(path).open("wb") as out:
            out.write(opening.encode())
            out.write(b'<script type="text/plain" id="index">')
            out.write(index)
            out.write(b"</script>\n")
            spool.seek(0)
            shutil.copyfileobj(spool, out, 1 << 20)
            out.write(f"<script>{_script()}</script>\n</body>\n</html>\n".encode())


@dataclass(frozen=True, slots=True)
class _Previous:
    """An earlier run: when it began, its conclusion, and where its cases stood."""

    started: str
    conclusion: str
    standings: Mapping[str, Standing]


def _previous(path: Path | None) -> _Previous | None:
    if path is None:
        return None
    stream = Stream(path)
    standings = {record["id"]: _standing(stream, record) for _, record in stream.cases()}
    conclusion = stream.footer.conclusion if stream.footer else "unfinished"
    return _Previous(stream.header.started, conclusion, standings)


def _standing(stream: Stream, record: Mapping[str, Any]) -> Standing:
    """Where a case stands; only one in trouble has differences, and only that one is worth reading to the bottom."""
    rung = record["rung"]
    return standing(stream.decode(record)) if rung in TROUBLED or rung not in _RUNG_NUMBER else Standing(rung)


def _judged_page(path: Path, stream: Stream) -> JudgedPage:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(
            file=path, line=0, problem=f"cannot be read as text ({error})", remedy="Give the page as UTF-8 text"
        ) from error
    page = judge_page(text, stream.header)
    if page is None:
        problem = "no clause of the results file claims a sentence of this text"
        raise ResultsError(file=path, line=0, problem=problem, remedy="Give the text of a page the profile judges")
    return page


@dataclass(slots=True)
class _Seen:
    """What is counted while the cases go by."""

    keep_standings: bool
    probes: frozenset[tuple[str | None, str | None]]
    """Case and observation of every open question: no other observation is kept."""
    number: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    symptoms: list[Symptom] = field(default_factory=list)
    standings: dict[str, Standing] = field(default_factory=dict)
    answers: dict[tuple[str | None, str | None], list[Answer]] = field(default_factory=dict)
    requests: int = 0
    sent: int = 0
    received: int = 0
    key_service: int = 0
    milliseconds: float = 0.0

    def take(self, stream: Stream, record: Mapping[str, Any]) -> str:
        """Count a case; return its row of the index as JSON."""
        try:
            return self._take(stream, record)
        except (KeyError, TypeError, AttributeError):
            stream.decode(record)
            raise

    def _take(self, stream: Stream, record: Mapping[str, Any]) -> str:
        self.number += 1
        rung, level = record["rung"], record["level"]
        self.outcomes[level, rung] += 1
        if rung in TROUBLED:
            self.symptoms.append(symptom(self.number, stream.decode(record)))
        if self.keep_standings:
            self.standings[record["id"]] = _standing(stream, record)
        for exchange in record["exchanges"]:
            self._weigh(exchange)
        for seen in record["observations"]:
            probe = (record["id"].partition("/")[0], seen["name"])
            if probe in self.probes:
                answer = Answer(self.number, record["id"], seen["step"], seen["value"])
                self.answers.setdefault(probe, []).append(answer)
        headers = {  # those the case looked at
            check["subject"][7:].lower() for check in record["checks"] if check["subject"][:7] == "header "
        }
        cites = ",".join(map(_quoted, record["cites"]))
        names = _quoted(" ".join(sorted(headers)))
        return (
            f"[{_quoted(record['id'])},{_RUNG_NUMBER[rung]},{_LEVEL_NUMBER[level]},{_quoted(record['area'])},"
            f"{_quoted(record['says'])},{_quoted(record['reason'])},[{cites}],{names}]"
        )

    def _weigh(self, exchange: Mapping[str, Any]) -> None:
        sent, received = exchange["sent"], exchange["received"]
        self.requests += 1
        self.sent += len(sent["head"]) + sent["body_size"]
        self.received += len(received["head"]) + received["body_size"]
        self.key_service += _names_sse_kms(sent["head"]) or _names_sse_kms(received["head"])
        self.milliseconds += exchange["ms"]


_quoted = json.encoder.encode_basestring_ascii
_RUNG_NUMBER: Mapping[str, int] = {rung: number for number, rung in enumerate(RUNGS)}
_LEVEL_NUMBER: Mapping[str, int] = {level: number for number, level in enumerate(LEVELS)}
_SSE_KMS = re.compile(r"server-side-encryption(?::|=)\s*kms", re.IGNORECASE)


def _names_sse_kms(head: str) -> bool:
    """Whether a head names SSE-KMS, which costs the endpoint at least one call of its key service."""
    return "server-side-encryption" in head and _SSE_KMS.search(head) is not None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one case observed for an open question."""

    number: int
    case: str
    step: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseView:
    """One clause with its number on the page, its verdict and its cases."""

    number: int
    clause: Clause
    verdict: str
    cases: tuple[str, ...]
    reason: str
    explained: bool

    @property
    def shown(self) -> tuple[str, ...]:
        """The cases that are named; the list has the rest."""
        return self.cases[:_SHOWN_CASES]


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionView:
    """The clauses of one section of one page."""

    page: str
    title: str
    clauses: tuple[ClauseView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerView:
    """An answer to an open question, and which defensible reading it is; empty when it is none."""

    answer: Answer
    means: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErratumView:
    """One open question with the endpoint's answers."""

    erratum: Erratum
    answers: tuple[AnswerView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanView:
    """A sentence of a page with its verdict; a sentence no clause claims has none."""

    text: str
    verdict: str
    clauses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParagraphView:
    """A line of a page."""

    heading: bool
    spans: tuple[SpanView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextView:
    """A page's own text, judged."""

    page: JudgedPage
    paragraphs: tuple[ParagraphView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """All that the template sees."""

    stream: Stream
    seen: _Seen
    conclusion: str
    headline: str
    exercised: int
    musts: int
    broken: int
    missing: tuple[str, ...]
    outcomes: tuple[tuple[str, tuple[int, ...], int], ...]
    shares: tuple[tuple[str, int, float], ...]
    causes: tuple[Cause, ...]
    changes: Changes | None
    previous: _Previous | None
    sections: tuple[SectionView, ...]
    verdicts: tuple[tuple[str, int], ...]
    texts: tuple[TextView, ...]
    errata: tuple[ErratumView, ...]
    known_clauses: frozenset[str]
    meta: Markup


def _page(
    stream: Stream, seen: _Seen, before: _Previous | None, judged: Sequence[JudgedPage], starts: list[int]
) -> Page:
    header, footer = stream.header, stream.footer
    sections = _sections(stream)
    views = {view.clause.id: view for section in sections for view in section.clauses}
    musts = [view for view in views.values() if view.clause.level == "must" and view.clause.observable != "no"]
    found = causes(seen.symptoms)
    changed = changes(before.standings, seen.standings) if before is not None else None
    missing = stream.missing
    done = len(header.planned) - len(missing)
    counts = Counter(view.verdict for view in views.values())
    return Page(
        stream=stream,
        seen=seen,
        conclusion=footer.conclusion if footer else "unfinished",
        headline=_without_label(footer.headline, footer.conclusion)
        if footer
        else UNFINISHED.format(done=done, planned=len(header.planned)),
        exercised=sum(view.verdict in _MUST_COUNTED for view in musts),
        musts=len(musts),
        broken=counts["broken"],
        missing=missing,
        outcomes=_outcomes(seen.outcomes),
        shares=_shares(seen),
        causes=found,
        changes=changed,
        previous=before,
        sections=sections,
        verdicts=tuple((verdict, counts[verdict]) for verdict in WORST_FIRST if counts[verdict]),
        texts=tuple(_text(page, views) for page in judged),
        errata=tuple(_erratum(erratum, seen) for erratum in header.errata),
        known_clauses=frozenset(views),
        meta=_meta(stream, seen, found, before, changed, starts),
    )


def _without_label(headline: str, conclusion: str) -> str:
    """The sentence without the conclusion that stands above it in large letters."""
    begins = f"{say(f'conclusion_{conclusion}')}: "
    rest = headline.removeprefix(begins)
    return rest[:1].upper() + rest[1:]


def _outcomes(counts: Counter[tuple[str, str]]) -> tuple[tuple[str, tuple[int, ...], int], ...]:
    rows: list[tuple[str, tuple[int, ...]]] = [
        (level, tuple(counts[level, rung] for rung in RUNGS)) for level in LEVELS
    ]
    rows.append(("all", tuple(map(sum, zip(*(row for _, row in rows), strict=True)))))
    return tuple((level, row, sum(row)) for level, row in rows)


def _shares(seen: _Seen) -> tuple[tuple[str, int, float], ...]:
    """Rung, number of cases and percentage, for the bar; what is not there is left out."""
    totals = [(rung, sum(seen.outcomes[level, rung] for level in LEVELS)) for rung in RUNGS]
    return tuple((rung, count, round(100 * count / seen.number, 3)) for rung, count in totals if count)


def _sections(stream: Stream) -> tuple[SectionView, ...]:
    """Return the clauses in page order; a section that is taken up again is shown again."""
    numbered = enumerate(stream.header.clauses, start=1)
    grouped = itertools.groupby(numbered, key=lambda item: (item[1].page, item[1].section))
    return tuple(
        SectionView(page=page, title=section, clauses=tuple(_clause(number, item, stream) for number, item in clauses))
        for (page, section), clauses in grouped
    )


def _clause(number: int, clause: Clause, stream: Stream) -> ClauseView:
    result = stream.footer.clauses.get(clause.id) if stream.footer else None
    if result is None:
        reason = "The footer does not name this clause." if stream.footer else "The run did not finish."
        return ClauseView(number=number, clause=clause, verdict="no_verdict", cases=(), reason=reason, explained=False)
    return ClauseView(
        number=number,
        clause=clause,
        verdict=result.verdict,
        cases=result.cases,
        reason=result.reason,
        explained=result.verdict in EXPLAINED,
    )


def _text(page: JudgedPage, views: Mapping[str, ClauseView]) -> TextView:
    return TextView(
        page=page,
        paragraphs=tuple(
            ParagraphView(
                heading=paragraph.heading,
                spans=tuple(
                    SpanView(
                        text=sentence.text,
                        verdict=_worst([views[clause].verdict for clause in sentence.clauses]),
                        clauses=sentence.clauses,
                    )
                    for sentence in paragraph.sentences
                ),
            )
            for paragraph in page.paragraphs
        ),
    )


def _worst(verdicts: Sequence[str]) -> str:
    return min(verdicts, key=WORST_FIRST.index, default="")


def _erratum(erratum: Erratum, seen: _Seen) -> ErratumView:
    """Return an open question with what the cases that probe it, rows included, observed."""
    found = seen.answers.get((erratum.case, erratum.observation), ())
    answers = tuple(AnswerView(answer=answer, means=_meaning(erratum, answer.value)) for answer in found)
    return ErratumView(erratum=erratum, answers=answers)


def _meaning(erratum: Erratum, value: str) -> str:
    """Return the reading a value stands for; the library promises that its patterns compile."""
    return next((reading.means for reading in erratum.readings if re.fullmatch(reading.value, value)), "")


def _meta(  # noqa: PLR0913, PLR0917 - the parts of the page's data
    stream: Stream,
    seen: _Seen,
    found: tuple[Cause, ...],
    before: _Previous | None,
    changed: Changes | None,
    starts: list[int],
) -> Markup:
    """Return what the script has to know, as JSON that cannot end its element."""
    header = stream.header
    was = {
        name: before.standings[name].rung
        for name in seen.standings
        if before is not None and name in before.standings and before.standings[name].rung != seen.standings[name].rung
    }
    data = {
        "rungs": RUNGS,
        "levels": LEVELS,
        "glyphs": GLYPHS,
        "messages": MESSAGES,
        "starts": starts,
        "endpoint": header.target.endpoint,
        "addressing": header.target.addressing,
        "dialect": header.target.dialect,
        "region": header.target.region,
        "started": header.started,
        "previous": before.started if before else None,
        "was": was,
        "changes": {"new_cases": changed.new_cases, "differently": changed.differently} if changed else None,
        "causes": [[item.number for item in cause.cases] for cause in found],
        "clauses": {
            clause.id: {
                "level": clause.level,
                "says": clause.says,
                "causes": clause.causes,
                "consequence": clause.consequence,
                "fix": clause.fix,
            }
            for clause in header.clauses
        },
    }
    return Markup(_inert(json.dumps(data, separators=(",", ":"))))  # noqa: S704 - made inert


def _inert(text: str) -> str:
    """JSON without the characters that could end a script element or open a comment in one."""
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def _render(page: Page) -> str:
    style, script = _own("report.css"), _script()
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            page=page, style=style, policy=_policy(style, script), say_conclusion=say(f"conclusion_{page.conclusion}")
        )
    )


def _own(name: str) -> Markup:
    """Return a file of ours, which alone is put on the page unescaped."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - no foreign text is in it


@functools.cache
def _script() -> str:
    """Return our script, its parts in the order of their names."""
    return "\n".join(path.read_text("utf-8") for path in sorted((TEMPLATES / "script").glob("*.js")))


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["fragment"] = lambda name: quote(visible(name), safe="")
    environment.filters["grouped"] = "{:,}".format
    environment.globals.update(t=translated, say=say, label=label, glyphs=GLYPHS, rungs=RUNGS, shown_cases=_SHOWN_CASES)
    return environment


def _finalize(value: object) -> object:
    """Make unseen characters visible in everything that is put on the page, before it is escaped."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def say(key: str, language: str = "en", /, **values: object) -> str:
    """A message of the catalogue with its values filled in; the script does the same for the other language."""
    words = MESSAGES[language]
    text = words.get(f"{key}_one", words[key]) if values.get("n") == 1 else words[key]
    return re.sub(r"\{(\w+)\}", lambda match: str(values[match[1]]), text)


def translated(key: str, **values: object) -> Markup:
    """A message as an element that the script can put into another language."""
    given: dict[str, object] = {
        name: visible(value) if isinstance(value, str) else value for name, value in values.items()
    }
    data = Markup(' data-a="{}"').format(json.dumps(given)) if given else ""
    return Markup('<span data-t="{}"{}>{}</span>').format(key, data, say(key, "en", **given))


def label(key: str, attribute: str = "aria-label") -> Markup:
    """An attribute of the catalogue, as translatable as ``translated``."""
    return Markup('{}="{}" data-t-{}="{}"').format(attribute, say(key), attribute.rpartition("-")[2], key)


def _policy(style: str, script: str) -> str:
    """Return a content security policy under which only our own style and script, by hash, do anything."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
