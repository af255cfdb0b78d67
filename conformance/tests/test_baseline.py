"""The truth table of baselines, row by row, and the file that is mended."""

from dataclasses import replace
from datetime import date

import pytest

from conformance.baseline import RED, Entry, exit_code, failing, fingerprint, headline, judge, sentence
from conformance.baseline_file import mended, parse_baseline
from conformance.verdict import tally_of
from conformance.vocabulary import Case, CaseError, CaseResult, Finding, Played, Requirement

TODAY = date(2026, 11, 25)
CASE = Case("KMS-X-001", "says", "x", "must", ("C-1",), (), (), "cases/x.yaml", 1)
STATUS = Finding("step 1", "status", "status", ("C-1",), "must", False, "200", "500 Internal Server Error", "says")
HELD = replace(STATUS, held=True, got="200 OK")
SHOULD = replace(STATUS, level="should")


def result(rung, *findings, case=CASE):
    return CaseResult(case, rung, "why", Played(tuple(findings), (), ()), 1.0)


FAIL, OTHER = result("fail", STATUS), result("fail", replace(STATUS, got="403 Forbidden"))
PASS, WARN = result("pass", HELD), result("warn", SHOULD)
ENTRY = Entry("KMS-X-001", fingerprint(FAIL), "slow team", "kim", "https://issues.example/1", date(2026, 11, 25))
BLOCKED = result("blocked", case=replace(CASE, id="KMS-X-002", cites=("C-2",)))
OVER = replace(ENTRY, expires=date(2026, 11, 24))


@pytest.mark.parametrize(
    ("entry", "played", "strict", "state"),
    [
        (None, FAIL, False, "new"),
        (None, PASS, False, None),
        (None, WARN, False, None),
        (None, WARN, True, "new"),
        (None, result("blocked"), False, None),
        (ENTRY, FAIL, False, "known"),
        (ENTRY, OTHER, False, "different"),
        (ENTRY, PASS, False, "fixed"),
        (ENTRY, WARN, False, "fixed"),
        (ENTRY, WARN, True, "different"),
        (ENTRY, result("observed"), False, "fixed"),
        (ENTRY, result("setup_failed"), False, "not_judged"),
        (ENTRY, result("not_applicable"), False, "not_judged"),
        (ENTRY, result("not_run"), False, "not_judged"),
        (ENTRY, None, False, "not_judged"),
        (OVER, FAIL, False, "expired"),
        (OVER, OTHER, False, "different"),
        (OVER, PASS, False, "fixed"),
        (OVER, None, False, "not_judged"),
        (replace(ENTRY, id="KMS-OLD-9"), None, False, "gone"),
    ],
)
def test_truth_table(entry, played, strict, state):
    entries, results = (entry,) if entry else (), (played,) if played else ()
    rows = judge(entries, results, library={"KMS-X-001"}, today=TODAY, strict=strict)
    assert [row.state for row in rows] == ([state] if state else [])


def clause(name):
    return Requirement(name, "p", "s", 1, "says", "must", "d", "w", "yes", "", "", "")


@pytest.mark.parametrize(
    ("entries", "results", "clauses", "code"),
    [
        ((ENTRY,), (FAIL,), ("C-1",), 0),
        ((), (FAIL,), ("C-1",), 1),
        ((ENTRY,), (OTHER,), ("C-1",), 1),
        ((ENTRY,), (PASS,), ("C-1",), 1),
        ((OVER,), (FAIL,), ("C-1",), 1),
        ((ENTRY,), (FAIL,), ("C-1", "C-2"), 3),
        ((ENTRY,), (FAIL, BLOCKED), ("C-1",), 0),
        ((ENTRY,), (FAIL, BLOCKED), ("C-1", "C-2"), 3),
        ((), (PASS, BLOCKED), ("C-1",), 3),
        ((ENTRY,), (), ("C-1",), 3),
        ((), (PASS,), ("C-1",), 0),
        ((replace(ENTRY, id="KMS-OLD-9"),), (PASS,), ("C-1",), 1),
    ],
)
def test_exit_code(entries, results, clauses, code):
    rows = judge(entries, results, library={"KMS-X-001"}, today=TODAY)
    requirements = [clause(name) for name in clauses]
    assert exit_code(rows, requirements, results, tally_of(results), declared=frozenset(), strict=False) == code


def test_what_is_red_is_what_somebody_must_act_on():
    assert {"new", "different", "fixed", "expired", "gone"} == RED


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("'obsc-00a1b2c3d4-7/x'", "'obsc-99ffeeddcc-7/x'"),
        ("'4f1cd4de-ab64-4807-920a-47fc42e7f0d0'", "'00000000-ab64-4807-920a-47fc42e7f0d1'"),
        ("'Wed, 25 Nov 2026 03:29:41 GMT'", "'Thu, 26 Nov 2026 10:00:00 GMT'"),
        ("12 bytes, SHA-256 " + "0a" * 32, "12 bytes, SHA-256 " + "1b" * 32),
        ("'region:" + "ab1" * 11 + ":key/x'", "'region:" + "cd2" * 11 + ":key/x'"),
    ],
)
def test_the_same_fault_has_the_same_print_in_every_run(one, other):
    prints = {fingerprint(result("fail", replace(STATUS, got=got))) for got in (one, other)}
    assert len(prints) == 1


@pytest.mark.parametrize(
    "change", [{"got": "403 Forbidden"}, {"step": "step 2"}, {"subject": "header ETag"}, {"word": "refused"}]
)
def test_another_fault_has_another_print(change):
    assert fingerprint(result("fail", replace(STATUS, **change))) != fingerprint(FAIL)


def test_what_held_is_no_part_of_the_print():
    assert fingerprint(result("fail", HELD, STATUS)) == fingerprint(FAIL)
    assert failing(FAIL, strict=False)


def test_an_expired_entry_is_told_with_its_owner_and_a_known_one_with_its_days():
    (row,) = judge((OVER,), (FAIL,), library={CASE.id}, today=TODAY)
    assert sentence(row, TODAY) == (
        "KMS-X-001 fails as known, but the baseline's day has passed "
        "(slow team; owner kim; https://issues.example/1; expired on 2026-11-24)"
    )
    (row,) = judge((ENTRY,), (FAIL,), library={CASE.id}, today=date(2026, 11, 20))
    assert "owner kim" in sentence(row, date(2026, 11, 20))
    assert "5 days left" in sentence(row, date(2026, 11, 20))
    assert headline([row]) == "Baseline: 1 known."


# ---- the file -------------------------------------------------------------------------------------------------------

FILE = """\
# ours, please keep sorted

- id: KMS-A-1
  fingerprint: 0123456789abcdef   # seen since June
  reason: 'two words'
  owner: kim
  link:
  expires: 2027-01-31
# the next one is almost done
- id: KMS-B-2
  reason: >-
    folded
    text
  owner: lee
  expires: 2027-01-31
  fingerprint: "aaaaaaaaaaaaaaaa"

# last
- {id: KMS-C-3, fingerprint: '1111111111111111', reason: r, owner: o, expires: 2027-01-31}
"""


def row(id_, state, print_="ffffffffffffffff"):
    from conformance.baseline import Row

    return Row(id_, state, print_, "")


def test_reading():
    entries = parse_baseline(FILE, "b.yaml")
    assert [entry.id for entry in entries] == ["KMS-A-1", "KMS-B-2", "KMS-C-3"]
    assert entries[0] == Entry("KMS-A-1", "0123456789abcdef", "two words", "kim", "", date(2027, 1, 31))
    assert entries[1].reason == "folded text"


def test_nothing_to_do_changes_nothing():
    assert mended(FILE, [row("KMS-A-1", "known"), row("KMS-B-2", "expired")], {}, "b.yaml") == FILE


def test_a_changed_print_changes_one_line_and_keeps_its_comment():
    changed = mended(FILE, [row("KMS-A-1", "different")], {}, "b.yaml")
    assert changed == FILE.replace("0123456789abcdef", "f" * 16)
    assert mended(FILE, [row("KMS-B-2", "different")], {}, "b.yaml") == FILE.replace("a" * 16, "f" * 16)


def test_fixed_entries_are_cut_out_and_the_comments_of_others_stay():
    cut = mended(FILE, [row("KMS-A-1", "fixed"), row("KMS-C-3", "gone")], {}, "b.yaml")
    assert cut == FILE[: FILE.index("- id: KMS-A-1")] + FILE[FILE.index("# the next") : FILE.index("- {id")]
    assert [entry.id for entry in parse_baseline(cut, "b")] == ["KMS-B-2"]


def test_new_entries_are_appended_and_read_back():
    entry = Entry("KMS-N-1", "0000000000000001", 'says "no": # it', "kim: x", "", date(2027, 2, 1))
    grown = mended(FILE.rstrip("\n"), [row("KMS-N-1", "new")], {"KMS-N-1": entry}, "b.yaml")
    assert grown.startswith(FILE)
    assert parse_baseline(grown, "b")[-1] == entry
    assert parse_baseline(mended("", [], {"KMS-N-1": entry}, "b"), "b") == (entry,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id: x", "b.yaml, line 1: a baseline is a list"),
        ("- x", "b.yaml, line 1: an entry has the words id, fingerprint"),
        ("[]", "b.yaml, line 1: write the list without brackets"),
        ("- [", "b.yaml: not YAML"),
        (FILE.replace("owner: lee", "owner: ''"), "b.yaml, line 10: owner is missing"),
        (FILE.replace("owner: lee", "who: lee"), "b.yaml, line 14: unknown word who; known: id"),
        (FILE.replace("owner: lee", "owner: [lee]"), "b.yaml, line 14: owner is a text"),
        (FILE.replace("KMS-B-2", "KMS-A-1"), "b.yaml, line 10: KMS-A-1 stands here a second time"),
        (FILE.replace("2027-01-31\n#", "soon\n#"), "b.yaml, line 3: expires soon is not a date"),
        (FILE.replace('"aaaaaaaaaaaaaaaa"', "abc"), "b.yaml, line 10: fingerprint abc is not 16"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text, says):
    with pytest.raises(CaseError) as caught:
        parse_baseline(text, "b.yaml")
    assert str(caught.value).startswith(says)
