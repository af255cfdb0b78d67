"""Strict loading: every mistake has an error that names file, line, column, rule and remedy."""

import json
import re
import shutil

import platformdirs
import pytest

from conformance import cache, casefile
from conformance.casefile import LIBRARY_ROOT, load_library
from conformance.strictyaml import parse
from conformance.vocabulary import CaseError

CLAUSES = """\
page: p
title: P
source: {document: d, edition: e}
clauses:
- id: P-1
  place: {section: S, ordinal: 1}
  says: s
  implied: i
  level: must
  decided: {by: sentence, why: w}
  observable: 'yes'
  causes: c
  consequence: k
  fix: f
- id: P-3
  place: {section: S, ordinal: 3}
  says: s
  implied: i
  level: must
  decided: {by: sentence, why: w}
  observable: 'yes'
  causes: c
  consequence: k
  fix: f
- id: P-2
  place: {section: S, ordinal: 2}
  says: s
  implied: i
  level: should
  decided: {by: sample, why: w}
  observable: 'yes'
  causes: c
  consequence: k
  fix: f
"""
CASE = """\
format: 1
area: a
cases:
- id: A-001
  says: a fact
  cites: [P-1]
  level: must
  steps:
  - request: {method: PUT, object: '{fresh}', headers: ['x-obs-a: 1'], body: {size: 3}}
    expect:
    - status: 200
    - {header: ETag, matches: '{shape.etag}'}
    save: {tag: header ETag}
  - request: {method: GET, object: '{fresh}'}
    expect:
    - {body: {is: body}}
    - {header: ETag, equals: '{tag}'}
"""


def load(folder, case=CASE, clauses=CLAUSES):
    for name in ("case.schema.json", "requirements.schema.json", "profile.schema.json", "shapes.yaml"):
        shutil.copy(LIBRARY_ROOT / name, folder / name)
    for name, text in {
        "requirements/p.yaml": clauses,
        "profiles/p.yaml": "name: p\ntitle: P\nclauses: [P-1]\n",
        "a/a.yaml": case,
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return load_library(folder)


def test_a_sound_library_loads(tmp_path):
    library = load(tmp_path)
    (case,) = library.cases
    assert (case.id, case.file, case.line, case.level) == ("A-001", "cases/a/a.yaml", 4, "must")
    assert [step.name for step in case.steps] == ["step 1", "step 2"]
    assert case.steps[0].expect[1].subject == "header ETag"


def change(old, new):
    assert CASE.count(old) == 1, old
    return CASE.replace(old, new)


MISTAKES = [
    ("unknown word", change("  says: a fact", "  syas: a fact"), "a/a.yaml:5:3: unknown word 'syas' in cases/0; did you mean 'says'?"),
    ("unknown word deep", change("method: GET,", "metod: GET,"), "unknown word 'metod' in cases/0/steps/1/request; did you mean 'method'?"),
    ("duplicate key", change("  level: must\n", "  level: must\n  level: must\n"), "a/a.yaml:8:3: key 'level' stands twice"),
    ("missing expectation", change("    expect:\n    - {body: {is: body}}\n    - {header: ETag, equals: '{tag}'}\n", "    expect: []\n"), "a/a.yaml:15:5: cases/0/steps/1/expect is empty; a step states at least one expectation"),
    ("no expectation at all", change("    expect:\n    - {body: {is: body}}\n    - {header: ETag, equals: '{tag}'}\n", ""), "lacks the word 'expect'"),
    ("unknown clause", change("cites: [P-1]", "cites: [P-7]"), "a/a.yaml:6:3: unknown clause P-7; did you mean P-"),
    ("level too strong", change("cites: [P-1]", "cites: [P-1, P-2]"), "a/a.yaml:7:3: level must is stronger than clause P-2, which is a should clause; use should"),
    ("check level too strong", change("- status: 200", "- {status: 200, cites: [P-2], level: must}"), "level must is stronger than clause P-2"),
    ("number", change("equals: '{tag}'", "equals: 12"), "cases/0/steps/1/expect/1/equals is 12, not a string; write it in quotes"),
    ("date", change("equals: '{tag}'", "equals: 2018-06-06"), "2018-06-06 reads as a timestamp to YAML; write it in quotes"),
    ("boolean of YAML 1.1", change("equals: '{tag}'", "equals: on"), "on reads as a bool to YAML; write it in quotes"),
    ("boolean", change("equals: '{tag}'", "equals: true"), "is true, not a string; write it in quotes"),
    ("sexagesimal", change("equals: '{tag}'", "equals: 12:30:45"), "12:30:45 reads as a int to YAML; write it in quotes"),
    ("octal", change("equals: '{tag}'", "equals: 0123"), "0123 reads as a int to YAML; write it in quotes"),
    ("null", change("equals: '{tag}'", "equals: ~"), "~ reads as a null to YAML; write it in quotes"),
    ("empty value", change("  says: a fact", "  says:"), "an empty value reads as a null to YAML"),
    ("two subjects", change("- status: 200", "- {status: 200, header: ETag, present: true}"), "needs exactly one of: status, header, xml"),
    ("no relation", change("{header: ETag, equals: '{tag}'}", "{header: ETag}"), "needs exactly one of: equals, differs"),
    ("two relations", change("equals: '{tag}'}", "equals: '{tag}', present: true}"), "needs exactly one of: equals, differs"),
    ("relation without subject", change("- status: 200", "- {status: 200, present: true}"), "present needs a subject: header or xml"),
    ("unknown placeholder", change("equals: '{tag}'", "equals: '{tags}'"), "unknown placeholder {tags}; did you mean tag?"),
    ("key without need", change("equals: '{tag}'", "equals: '{keys.custom}'"), "unknown placeholder {keys.custom}; add keys.custom to needs"),
    ("unknown body", change("{body: {is: body}}", "{body: {is: other}}"), "no earlier request has a body named 'other'"),
    ("bad regex", change("matches: '{shape.etag}'", "matches: '('"), "not a regular expression"),
    ("saved but not judged", change("header ETag}", "header Date}"), "header Date is saved but no expectation of the step says it is there"),
    ("not YAML", change("area: a", "area: [a"), "not YAML"),
    ("cited but not judged", change("  level: must\n", "  level: must\n").replace("cites: [P-1]", "cites: [P-1, P-3]").replace("- status: 200", "- {status: 200, cites: [P-1]}").replace("'{shape.etag}'}", "'{shape.etag}', cites: [P-1]}").replace("{is: body}}", "{is: body}, cites: [P-1]}").replace("'{tag}'}", "'{tag}', cites: [P-1]}"), "a/a.yaml:6:3: P-3 is cited, but every expectation of the steps cites something else"),
    ("wrong id", change("id: A-001", "id: a-1"), "cases/0/id"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "says"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_mistake_is_named_with_its_place(tmp_path, case, says):
    with pytest.raises(CaseError) as caught:
        load(tmp_path, case)
    assert says in str(caught.value)
    assert str(caught.value).startswith("cases/a/a.yaml:")


def test_duplicate_id_names_the_first_place(tmp_path):
    twice = CASE + CASE.split("cases:\n")[1]
    with pytest.raises(CaseError, match=r"a\.yaml:18:3: case id A-001 is used already at cases/a/a\.yaml:4$"):
        load(tmp_path, twice)


def test_duplicate_clause_id_is_refused(tmp_path):
    with pytest.raises(CaseError, match="clause id P-1 is used twice"):
        load(tmp_path, clauses=CLAUSES.replace("P-2", "P-1"))


def test_all_mistakes_are_told_at_once(tmp_path):
    with pytest.raises(CaseError) as caught:
        load(tmp_path, CASE.replace("says: a fact", "syas: a fact").replace("method: GET", "metod: GET"))
    assert {"'syas'", "'metod'"} <= set(str(caught.value).split())


SECOND = CASE.partition("cases:\n")[2].replace("A-001", "A-002")


def test_steps_that_stand_alike_are_one(tmp_path):
    first, second = load(tmp_path, CASE + SECOND).cases
    assert first.id != second.id
    assert all(one is other for one, other in zip(first.steps, second.steps, strict=True))


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (SECOND.replace("    save: {tag: header ETag}\n", ""), ":30:7: unknown placeholder {tag}"),
        (SECOND.replace("body: {size: 3}", "body: {size: 3, name: other}"), "no earlier request has a body named"),
        (SECOND.replace("cites: [P-1]", "cites: [P-2]"), "stronger than clause P-2"),
    ],
    ids=["not saved here", "no such body here", "another clause"],
)
def test_a_step_that_stands_alike_is_judged_by_what_its_own_case_knows(tmp_path, second, says):
    with pytest.raises(CaseError, match=re.escape(says)):
        load(tmp_path, CASE + second)


def test_a_fault_that_stands_twice_is_told_twice(tmp_path):
    with pytest.raises(CaseError) as error:
        load(tmp_path, (CASE + SECOND).replace("object: '{fresh}'}", "object: '{frsh}'}"))
    assert [line.partition(": ")[0].split(":")[1] for line in str(error.value).splitlines()] == ["14", "28"]


def test_rows_multiply_a_case(tmp_path):
    rows = "  each:\n  - {row: one, value: '1'}\n  - {row: two, value: '2'}\n"
    case = change("  steps:\n", rows + "  steps:\n").replace("'x-obs-a: 1'", "'x-obs-a: {value}'")
    library = load(tmp_path, case)
    assert [case.id for case in library.cases] == ["A-001/one", "A-001/two"]
    assert [case.row for case in library.cases] == [{"value": "1"}, {"value": "2"}]


def test_rows_with_different_words_are_refused(tmp_path):
    rows = "  each:\n  - {row: one, value: '1'}\n  - {row: two, other: '2'}\n"
    with pytest.raises(CaseError, match="rows of one table have the same words"):
        load(tmp_path, change("  steps:\n", rows + "  steps:\n"))


def test_quoted_scalars_stay_strings():
    assert parse("a: 'on'\nb: \"12\"\nc: '2018-06-06'\n", "f").value == {"a": "on", "b": "12", "c": "2018-06-06"}


def test_the_shipped_library_is_sound_and_names_its_schema():
    library = load_library()
    assert len(library.cases) >= 7
    for path in [
        *LIBRARY_ROOT.glob("sse-kms/*.yaml"),
        *LIBRARY_ROOT.glob("requirements/*.yaml"),
        *LIBRARY_ROOT.glob("profiles/*.yaml"),
    ]:
        first = path.read_text("utf-8").splitlines()[0]
        assert first.startswith("# yaml-language-server: $schema=../")
        assert (path.parent / first.partition("=")[2]).is_file()


def undescribed(schema, place="", *, in_properties=False):
    """Places of words without a description, for editors that show it."""
    if isinstance(schema, dict):
        if in_properties:
            for word, meaning in schema.items():
                if "description" not in meaning and "$ref" not in meaning and "const" not in meaning:
                    yield f"{place}/{word}"
                yield from undescribed(meaning, f"{place}/{word}")
            return
        for key, value in schema.items():
            if key != "if":  # a condition repeats a word that is described where it is defined
                yield from undescribed(value, f"{place}/{key}", in_properties=key == "properties")
    elif isinstance(schema, list):
        for index, value in enumerate(schema):
            yield from undescribed(value, f"{place}/{index}")


def open_objects(schema, place=""):
    if isinstance(schema, dict):
        if "properties" in schema and "type" in schema and "additionalProperties" not in schema:
            yield place
        for key, value in schema.items():
            yield from open_objects(value, f"{place}/{key}")


@pytest.mark.parametrize(
    "name", ["case.schema.json", "requirements.schema.json", "profile.schema.json", "vectors.schema.json"]
)
def test_schema_is_closed_and_describes_every_word(name):
    schema = json.loads((LIBRARY_ROOT / name).read_text("utf-8"))
    assert list(undescribed(schema)) == []
    assert list(open_objects(schema)) == []


# ---- the kept library: used only for the very content it was made from, and broken it costs time alone


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *_, **__: str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_second_load_builds_nothing_and_is_equal(own_cache, tmp_path, monkeypatch):
    first = load(tmp_path)
    monkeypatch.setattr(casefile, "_build", lambda *_: pytest.fail("built again"))
    assert load_library(tmp_path) == first
    assert len(list(own_cache.iterdir())) == 1


def test_changed_content_is_read_again(own_cache, tmp_path):
    assert [case.id for case in load(tmp_path).cases] == ["A-001"]
    assert [case.id for case in load(tmp_path, CASE.replace("A-001", "A-002")).cases] == ["A-002"]
    assert len(list(own_cache.iterdir())) == 1


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:32] + b"junk", lambda _: b""])
def test_damaged_cache_is_no_cache(own_cache, tmp_path, damage):
    first = load(tmp_path)
    (file,) = own_cache.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert load_library(tmp_path) == first


def test_unwritable_cache_does_not_matter(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way", "utf-8")
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *_, **__: str(tmp_path / "file"))
    assert load(tmp_path).cases


def test_key_depends_on_where_one_content_ends_and_the_next_begins():
    assert cache.key(b"ab", b"c") != cache.key(b"a", b"bc")
