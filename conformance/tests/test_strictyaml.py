"""The fast reader and the strict one are one language: same values, same refusals."""

import itertools

import pytest

from conformance import strictyaml
from conformance.strictyaml import parse, parse_fast
from conformance.vocabulary import CaseError

SCALARS = (
    "plain", "two words", "kms", "0", "12", "-7", "+7", "012", "0x1f", "0b11", "0o17", "1_000", "1.5", ".5", "1e3", "12:30:45",
    "2018-06-06", "2018-06-06T09:08:21Z", "true", "True", "TRUE", "false", "yes", "No", "on", "OFF", "y", "n", "null", "Null",
    "~", "", ".inf", "-.INF", ".nan", "=", "<<", "!!str 12", "&a x", "*a", "'on'", "'12'", '"12"', '"a\\tb"', "'it''s'", "it's",
    "'{a}:b'", "a: b", "12 # remark", "on # remark", "'on' # remark", "x-obs:kms", "|\n    12\n    on", ">-\n    a\n    12:30:45",
    "%x", "@x", "`x`", "- 1", "? x", "1,2", "[1]", "{}", "\x07",
)  # fmt: skip
FRAMES = ("k: {}\n", "- {}\n", "k: [{}]\n", "k: [a, {}, 'b']\n", "k: {{a: {}}}\n", "k: {{a: b, c: {}, d: e}}\n", "a: 'it: on'\nk: {}\n",
          "{}: v\n", "k:\n  - {}\n  - x\n", "says: don't, and\n  k won't\nk: {}\n", "k: x\nk: {}\n")  # fmt: skip


def outcome(read, text):
    try:
        return read(text, "f.yaml").value
    except CaseError as error:
        return f"refused: {error}"


@pytest.mark.parametrize("frame", FRAMES)
def test_both_readers_agree_on_every_scalar_in_every_place(frame):
    texts = [frame.format(scalar) for scalar in SCALARS]
    assert [outcome(parse_fast, text) for text in texts] == [outcome(parse, text) for text in texts]


def test_pairs_of_scalars_agree_in_a_flow_mapping():
    texts = [f"k: {{a: {one}, b: {two}}}\n" for one, two in itertools.product(SCALARS, repeat=2)]
    differing = [text for text in texts if outcome(parse_fast, text) != outcome(parse, text)]
    assert differing == []


def test_ordinary_text_never_needs_the_slow_reader(monkeypatch):
    monkeypatch.setattr(strictyaml, "parse", lambda *_: pytest.fail("the slow reader was asked"))
    text = "cases:\n- id: A-1\n  level: must\n  own_bucket: true\n  headers: ['Range: bytes=0-9', \"a: 1\"]\n  size: 5242\n"
    assert parse_fast(text, "f").value["cases"][0]["size"] == 5242


def test_marks_are_there_when_an_error_needs_them():
    assert parse_fast("a: x\nb:\n- {c: y}\n", "f").at(("b", 0, "c")) == "f:3:4"
