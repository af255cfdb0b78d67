"""Case, requirement and profile files: parsed YAML to frozen values.

The one place that reads the library from disk. Refuses unknown words and data that contradicts itself; every error
names file, line, column, rule and remedy. Does not know YAML (``strictyaml``) nor how a case is played.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import marshal
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance import cache
from conformance.dialectfile import load_dialect
from conformance.placeholders import names_in
from conformance.vocabulary import (
    CEILING,
    STRENGTH,
    SWITCHED,
    BodySpec,
    BytesDue,
    Case,
    CaseError,
    Check,
    Erratum,
    FormSpec,
    Level,
    Profile,
    RequestTemplate,
    Requirement,
    Stage,
    Step,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from conformance.strictyaml import Document, Place

LIBRARY_ROOT = Path(__file__).resolve().parent.parent / "cases"
RELATIONS = ("equals", "differs", "matches", "one_of", "present", "absent", "unique", "not_md5_of", "http_date")
GIVEN_PLACEHOLDERS = frozenset({
    "bucket", "bucket.shared", "fresh", "host", "date", "date.skewed", "authorization", "length", "md5", "access_key",
    "region",
})  # fmt: skip
_STAGES: tuple[tuple[str, Stage], ...] = (("setup", "setup"), ("control", "control"), ("steps", "step"))
_PLAIN = 2
"""The version of marshal whose bytes depend on the value alone."""
_CASE_START = re.compile(r"^- +id: +([A-Z0-9-]+) *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Library:
    """Everything under ``cases/``: clauses, profiles, cases and the shapes their expectations name."""

    requirements: Mapping[str, Requirement]
    sections: Mapping[str, tuple[str, ...]]
    informative: Mapping[str, Mapping[str, tuple[str, ...]]]
    profiles: Mapping[str, Profile]
    cases: tuple[Case, ...]
    shapes: Mapping[str, str]
    digest: str
    errata: tuple[Erratum, ...] = ()
    pages: Mapping[str, str] = field(default_factory=dict)


def load_library(root: Path = LIBRARY_ROOT) -> Library:
    """Read and check the whole library.

    :raises CaseError: one line for each thing wrong, ``file:line:column: rule and remedy``.
    """
    sources = [(path.relative_to(root), path.read_text("utf-8")) for path in sorted(root.rglob("*.yaml"))]
    schemas = [path.read_bytes() for path in sorted(root.glob("*.schema.json"))]
    key = cache.key(*schemas, *(f"{path.as_posix()}\0{text}".encode() for path, text in sources))
    kept = cache.load(root, key)
    if isinstance(kept, Library):
        return kept
    library = _build(root, sources)
    cache.store(root, key, library)
    return library


def _build(root: Path, sources: list[tuple[Path, str]]) -> Library:
    with cache.nothing_is_garbage():
        return _checked(root, sources)


def _checked(root: Path, sources: list[tuple[Path, str]]) -> Library:
    from conformance.strictyaml import parse_fast

    digest = hashlib.sha256()
    files: dict[str, list[Document]] = {"requirements": [], "profiles": [], "cases": [], "shapes": [], "errata": []}
    problems: list[str] = []
    for relative, text in sources:
        digest.update(f"{relative.as_posix()}\0{text}\0".encode())
        kind = _kind_of(relative)
        if kind is None:
            continue
        try:
            files[kind].append(parse_fast(text, f"cases/{relative.as_posix()}"))
        except CaseError as error:
            problems.append(str(error))
    problems += _schema_problems(root, files)
    if problems:
        raise CaseError("\n".join(problems))
    requirements = _requirements(files["requirements"], problems)
    profiles = _profiles(files["profiles"], requirements, problems)
    shapes = {name: shape for document in files["shapes"] for name, shape in document.value.items()}
    cases = _cases(files["cases"], requirements, shapes, problems)
    errata = _errata(files["errata"], requirements, cases, problems)
    if problems:
        raise CaseError("\n".join(problems))
    return Library(
        requirements=requirements,
        sections={
            document.value["page"]: tuple(document.value.get("sections", ())) for document in files["requirements"]
        },
        informative={
            document.value["page"]: {
                f"informative {number}": tuple(record["claims"])
                for number, record in enumerate(document.value.get("informative", ()), 1)
            }
            for document in files["requirements"]
        },
        profiles=profiles,
        cases=cases,
        shapes=shapes,
        digest=digest.hexdigest(),
        errata=errata,
        pages={document.value["page"]: document.value["title"] for document in files["requirements"]},
    )


def with_cases_of(library: Library, path: Path) -> Library:
    """The library with the cases of one file in place of its own.

    :raises CaseError: the file cannot be read, or as ``load_library`` does.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CaseError(f"{path}: cannot be read: {error}; give a case file in YAML") from error
    from conformance.strictyaml import SchemaCheck, parse_fast

    document = parse_fast(text, str(path.resolve()))
    problems = list(SchemaCheck(LIBRARY_ROOT / "case.schema.json").errors(document))
    if problems:
        raise CaseError("\n".join(problems))
    cases = _cases([document], library.requirements, library.shapes, problems)
    if problems:
        raise CaseError("\n".join(problems))
    digest = hashlib.sha256(f"{library.digest}\0{text}".encode()).hexdigest()
    return dataclasses.replace(library, cases=cases, digest=digest)


def _kind_of(relative: Path) -> str | None:
    if relative.name in {"shapes.yaml", "errata.yaml"}:
        return relative.stem
    first = relative.parts[0]
    kinds = {
        "requirements": "requirements",
        "profiles": "profiles",
        "signing": None,
        "dialects": None,
        "passive.yaml": None,
        "properties.yaml": None,
    }
    return kinds.get(first, "cases")


def _schema_problems(root: Path, files: Mapping[str, list[Document]]) -> list[str]:
    from conformance.strictyaml import SchemaCheck

    schemas = {
        "requirements": "requirements.schema.json",
        "profiles": "profile.schema.json",
        "cases": "case.schema.json",
        "errata": "errata.schema.json",
    }
    return [
        line
        for kind, schema in schemas.items()
        if files[kind]
        for check in [SchemaCheck(root / schema)]
        for document in files[kind]
        for line in check.errors(document)
    ]


def _requirements(documents: list[Document], problems: list[str]) -> dict[str, Requirement]:
    found: dict[str, Requirement] = {}
    for document in documents:
        for index, clause in enumerate(document.value["clauses"]):
            if clause["id"] in found:
                problems.append(f"{document.at(('clauses', index, 'id'))}: clause id {clause['id']} is used twice")
            found[clause["id"]] = Requirement(
                id=clause["id"],
                page=document.value["page"],
                section=clause["place"]["section"],
                ordinal=clause["place"]["ordinal"],
                says=clause["says"],
                level=clause["level"],
                decided_by=clause["decided"]["by"],
                decided_why=clause["decided"]["why"],
                observable=clause["observable"],
                causes=clause["causes"],
                consequence=clause["consequence"],
                fix=clause["fix"],
                unobservable=clause.get("unobservable"),
                claims=tuple(clause.get("claims", ())),
                errata=tuple(clause.get("errata", ())),
                untested=clause.get("untested"),
            )
    return found


def _profiles(
    documents: list[Document], requirements: Mapping[str, Requirement], problems: list[str]
) -> dict[str, Profile]:
    found: dict[str, Profile] = {}
    for document in documents:
        value = document.value
        problems += [
            f"{document.at(('clauses', index))}: unknown clause {clause}{_nearest(clause, requirements)}"
            for index, clause in enumerate(value.get("clauses", ()))
            if clause not in requirements
        ]
        found[value["name"]] = Profile(value["name"], value["title"], tuple(value.get("clauses", ())))
    for document in documents:
        if "base" in document.value:
            found[document.value["name"]] = _derived(document, found, requirements, problems)
    return found


def _derived(
    document: Document,
    profiles: Mapping[str, Profile],
    requirements: Mapping[str, Requirement],
    problems: list[str],
) -> Profile:
    """A profile that takes its clauses from another, without those that its dialect lacks."""
    value = document.value
    name, title, base, dialect = value["name"], value["title"], value["base"], None
    try:
        dialect = load_dialect(value["dialect"])
    except CaseError as error:
        problems.append(f"{document.at(('dialect',))}: {error}")
    if base not in profiles:
        problems.append(f"{document.at(('base',))}: no profile named {base!r}{_nearest(base, profiles)}")
    if dialect is None or base not in profiles:
        return Profile(name, title, ())
    unknown = [clause for clause in (*dialect.lacks, *dialect.alters) if clause not in requirements]
    problems += [
        f"cases/dialects/{dialect.name}.yaml: unknown clause {clause}{_nearest(clause, requirements)}"
        for clause in unknown
    ]
    clauses = tuple(clause for clause in profiles[base].clauses if clause not in dialect.lacks)
    return Profile(name, title, clauses, dialect.lacks, dialect.levels, dialect.unasked)


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def _cases(
    documents: list[Document],
    requirements: Mapping[str, Requirement],
    shapes: Mapping[str, str],
    problems: list[str],
) -> tuple[Case, ...]:
    ids: dict[str, str] = {}
    built: list[Case] = []
    read_before: dict[object, _Read] = {}
    given = GIVEN_PLACEHOLDERS | {f"shape.{name}" for name in shapes}
    for document in documents:
        lines = _lines_of_cases(document)
        for index, data in enumerate(document.value["cases"]):
            place: Place = ("cases", index)
            line = lines.get(data["id"]) or document.marks[(*place, "id")][0]
            if data["id"] in ids:
                problems.append(
                    f"{document.at((*place, 'id'))}: case id {data['id']} is used already at {ids[data['id']]}"
                )
            ids[data["id"]] = f"{document.file}:{line}"
            reader = _CaseReader(document, place, data, requirements, given, read_before)
            built += reader.cases(line)
            problems += reader.problems
    return tuple(built)


def _lines_of_cases(document: Document) -> dict[str, int]:
    """Line, from 1, of each case that begins in the usual way; any other is found through the document's marks."""
    found: dict[str, int] = {}
    twice: set[str] = set()
    line, seen = 1, 0
    for match in _CASE_START.finditer(document.text):
        line += document.text.count("\n", seen, match.start())
        seen = match.start()
        if match[1] in found:
            twice.add(match[1])
        found[match[1]] = line
    return {id_: line for id_, line in found.items() if id_ not in twice}


def _errata(
    documents: list[Document], requirements: Mapping[str, Requirement], cases: tuple[Case, ...], problems: list[str]
) -> tuple[Erratum, ...]:
    """Open questions, each tied to an observation that some case makes."""
    observed = {
        (case.id.partition("/")[0], str(check.wanted))
        for case in cases
        for step in case.steps
        for check in step.expect
        if check.word == "observe"
    }
    found: list[Erratum] = []
    for document in documents:
        for index, data in enumerate(document.value["records"]):
            place: Place = ("records", index)
            probe = data.get("probe", {})
            if probe and (probe["case"], probe["observation"]) not in observed:
                named = f"observation {probe['observation']!r} in case {probe['case']}"
                problems.append(f"{document.at((*place, 'probe'))}: {data['id']}: there is no {named}")
            problems += [
                f"{document.at((*place, 'clauses'))}: unknown clause {clause}{_nearest(clause, requirements)}"
                for clause in data.get("clauses", ())
                if clause not in requirements
            ]
            if data["id"] in {erratum.id for erratum in found}:
                problems.append(f"{document.at((*place, 'id'))}: id {data['id']} is used twice")
            found.append(
                Erratum(
                    id=data["id"],
                    about=data["about"],
                    finding=data["finding"],
                    treatment=data["treatment"],
                    clauses=tuple(data.get("clauses", ())),
                    case=probe.get("case"),
                    observation=probe.get("observation"),
                    unprobed=data.get("unprobed"),
                    readings=tuple((reading["value"], reading["means"]) for reading in data.get("readings", ())),
                )
            )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Read:
    """A step without fault, and what a case knows after it; ``key`` tells it from every other."""

    step: Step
    known: frozenset[str]
    bodies: frozenset[str]
    key: int


class _CaseReader:
    """One case of a document, read and checked against clauses and placeholders."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a case is checked against
        self,
        document: Document,
        place: Place,
        data: dict[str, Any],
        requirements: Mapping[str, Requirement],
        given: frozenset[str],
        read_before: dict[object, _Read],
    ) -> None:
        self.document, self.place, self.data = document, place, data
        self.requirements, self.read_before = requirements, read_before
        self.problems: list[str] = []
        self.rows: list[dict[str, str]] = data.get("each", [{}])
        self.known = set(given)
        for kind, _, name in (need.partition(".") for need in data.get("needs", ())):
            self.known |= {"keys": {f"keys.{name}", f"keys.{name}.upper"}, "identities": {f"principal.{name}"}}.get(
                kind, set()
            )
        self.bodies: set[str] = set()
        self.so_far: object = marshal.dumps([data.get(word) for word in ("cites", "level", "needs", "each")], _PLAIN)

    def problem(self, place: Iterable[str | int], text: str) -> None:
        self.problems.append(f"{self.document.at((*self.place, *place))}: {text}")

    def cases(self, line: int) -> list[Case]:
        data = self.data
        self._check_rows()
        self._check_level((), data["cites"], data["level"])
        steps = tuple(
            self._read_step(stage, (word, index), number, step)
            for word, stage in _STAGES
            for number, (index, step) in enumerate(enumerate(data.get(word, ())), 1)
        )
        judged = {clause for step in steps if step.stage == "step" for check in step.expect for clause in check.cites}
        for clause in data["cites"]:
            if clause not in judged:
                self.problem(("cites",), f"{clause} is cited, but every expectation of the steps cites something else")
        return [
            Case(
                id=f"{data['id']}/{row['row']}" if row else data["id"],
                says=f"{data['says']} ({row['row']})" if row else data["says"],
                area=self.document.value["area"],
                level=data["level"],
                cites=tuple(data["cites"]),
                needs=tuple(data.get("needs", ())),
                steps=steps,
                file=self.document.file,
                line=line,
                row={name: value for name, value in row.items() if name != "row"},
                own_bucket=data.get("own_bucket", False),
                unprovable=data.get("unprovable", ""),
            )
            for row in self.rows
        ]

    def _check_rows(self) -> None:
        names = [set(row) for row in self.rows]
        for index, row in enumerate(self.rows):
            if set(row) != names[0]:
                self.problem(("each", index), "rows of one table have the same words; this one differs from the first")
            for name, value in row.items():
                self._check_names(("each", index, name), value)
        self.known |= names[0] - {"row"}
        rows = [row.get("row") for row in self.rows]
        if len(set(rows)) != len(rows):
            self.problem(("each",), "two rows have the same name")

    def _check_level(self, place: Place, cites: Iterable[str], level: str) -> None:
        for clause in cites:
            requirement = self.requirements.get(clause)
            if requirement is None:
                self.problem((*place, "cites"), f"unknown clause {clause}{_nearest(clause, self.requirements)}")
            elif STRENGTH[level] > STRENGTH[CEILING[requirement.level]]:
                self.problem(
                    (*place, "level"),
                    f"level {level} is stronger than clause {clause}, which is a {requirement.level} clause; "
                    f"use {CEILING[requirement.level]}",
                )

    def _check_names(self, place: Place, text: str) -> None:
        for name in sorted(names_in(text) - self.known):
            need = f"; add {name} to needs" if name.startswith("keys.") else _nearest(name, self.known)
            self.problem(place, f"unknown placeholder {{{name}}}{need}")

    def _read_step(self, stage: Stage, place: Place, number: int, data: dict[str, Any]) -> Step:
        """A step; one that stands alike after the same steps of another case is read once for both."""
        key = (self.so_far, stage, number, marshal.dumps(data, _PLAIN))
        found = self.read_before.get(key)
        if found is None:
            faults = len(self.problems)
            step = self._step(stage, place, number, data)
            found = _Read(step, frozenset(self.known), frozenset(self.bodies), len(self.read_before))
            if len(self.problems) == faults:
                self.read_before[key] = found
        self.known, self.bodies, self.so_far = set(found.known), set(found.bodies), found.key
        return found.step

    def _step(self, stage: Stage, place: Place, number: int, data: dict[str, Any]) -> Step:
        self._check_key_service((*place, "request"), data["request"])
        request = self._request((*place, "request"), data["request"])
        expect = tuple(
            self._check((*place, "expect", index), check) for index, check in enumerate(data.get("expect", ()))
        )
        save = data.get("save", {})
        judged = {check.subject for check in expect if check.word != "observe"}
        for name, selector in save.items():
            if selector.partition(" ")[0] in {"header", "xml"} and selector not in judged:
                self.problem(
                    (*place, "save", name), f"{selector} is saved but no expectation of the step says it is there"
                )
        self.known |= set(save)
        return Step(stage, f"{stage} {number}", request, expect, tuple(save.items()))

    def _request(self, place: Place, data: dict[str, Any]) -> RequestTemplate:
        for word in ("bucket", "object"):
            self._check_names((*place, word), data.get(word, ""))
        for word in ("query", "headers"):
            for index, text in enumerate(data.get(word, ())):
                self._check_names((*place, word, index), text)
        form = data.get("form")
        for word in ("fields", "conditions"):
            for index, text in enumerate((form or {}).get(word, ())):
                self._check_names((*place, "form", word, index), text)
        if form is not None and "body" not in data:
            self.problem((*place, "form"), "a form upload needs a body, its file")
        if data.get("sign") == "form" and form is None:
            self.problem((*place, "sign"), "sign: form needs the word form")
        after = data.get("after_signing", {})
        for index, text in enumerate(after.get("add", ())):
            self._check_names((*place, "after_signing", "add", index), text)
        body = data.get("body")
        if body is not None:
            self._check_names((*place, "body"), body.get("text", ""))
            self.bodies.add(body.get("name", "body"))
        return RequestTemplate(
            method=data["method"],
            bucket=data.get("bucket", "{bucket}"),
            object=data.get("object"),
            query=tuple(data.get("query", ())),
            headers=tuple(data.get("headers", ())),
            omit=frozenset(data.get("omit", ())),
            body=None if body is None else BodySpec(body.get("name", "body"), body.get("size"), body.get("text")),
            identity=data.get("as", "owner"),
            sign=data.get("sign", "header"),
            expires_in=data.get("expires_in", 3600),
            add_after=tuple(after.get("add", ())),
            remove_after=frozenset(after.get("remove", ())),
            chunked=data.get("chunked"),
            form=None if form is None else FormSpec(tuple(form["fields"]), _optional_tuple(form.get("conditions"))),
            kms=data.get("kms"),
        )

    def _check_key_service(self, place: Place, data: dict[str, Any]) -> None:
        if "kms" not in data:
            return
        if data["method"] != "POST" or len(data) > 2:  # noqa: PLR2004 - method and kms
            self.problem((*place, "kms"), "takes method: POST and no other word")
        lacking = [need for need in ("kms", f"keys.{SWITCHED}") if need not in self.data.get("needs", ())]
        if lacking:
            self.problem((*place, "kms"), f"add {' and '.join(lacking)} to needs")

    def _check(self, place: Place, data: dict[str, Any]) -> Check:
        cites = tuple(data.get("cites", self.data["cites"]))
        level: Level = data.get("level", self.data["level"])
        word, subject, wanted = self._word(place, data)
        if "observe" not in data and ("cites" in data or "level" in data):
            self._check_level(place, cites, level)
        elif "observe" in data:
            self._check_level(place, cites, "observe")
        for text in _texts(wanted):
            self._check_names(place, text)
        return Check(word, subject, wanted, cites, level)

    def _word(self, place: Place, data: dict[str, Any]) -> tuple[str, str, object]:
        relations = [word for word in RELATIONS if word in data]
        if "header" in data or "xml" in data:
            if len(relations) != 1:
                self.problem(place, f"needs exactly one of: {', '.join(RELATIONS)}")
                return "present", "", True
            kind = "header" if "header" in data else "xml"
            wanted = data[relations[0]]
            if relations[0] == "not_md5_of":
                self._check_body(place, wanted)
            if relations[0] == "matches":
                self._check_regex(place, wanted)
            return relations[0], f"{kind} {data[kind]}", tuple(wanted) if isinstance(wanted, list) else wanted
        if relations:
            self.problem((*place, relations[0]), f"{relations[0]} needs a subject: header or xml")
        if "observe" in data:
            return "observe", data["observe"], data["as"]
        if "body" in data:
            return self._body(place, data["body"])
        if "refused" in data:
            return "refused", "refusal", data["refused"]
        return "status", "status", data["status"]

    def _body(self, place: Place, data: dict[str, Any]) -> tuple[str, str, object]:
        kinds = [word for word in ("is", "json", "empty") if word in data]
        if len(kinds) != 1 or ("is" not in data and {"from", "to"} & set(data)):
            self.problem((*place, "body"), "needs exactly one of: is (with from, to), json, empty")
        if "json" in data:
            self._check_json((*place, "body", "json"), data["json"])
            return "body_json", "body", data["json"]
        if "is" not in data:
            return "body_empty", "body", ""
        names = tuple(data["is"]) if isinstance(data["is"], list) else (data["is"],)
        for name in names:
            self._check_body((*place, "body", "is"), name)
        return "body_is", "body", BytesDue(names, data.get("from"), data.get("to"))

    def _check_body(self, place: Place, name: str) -> None:
        if name not in self.bodies:
            self.problem(place, f"no earlier request has a body named {name!r}")

    def _check_json(self, place: Place, text: str) -> None:
        try:
            json.loads(text)
        except ValueError as error:
            self.problem(place, f"not JSON: {error}")

    def _check_regex(self, place: Place, pattern: str) -> None:
        try:
            re.compile(re.sub(r"\{[a-z][a-z0-9_.]*\}", "x", pattern))
        except re.error as error:
            self.problem((*place, "matches"), f"not a regular expression: {error}")


def _optional_tuple(value: list[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


def _texts(wanted: object) -> tuple[str, ...]:
    if isinstance(wanted, str):
        return (wanted,)
    return tuple(text for text in wanted if isinstance(text, str)) if isinstance(wanted, tuple) else ()
