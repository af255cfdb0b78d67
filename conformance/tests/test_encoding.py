"""A line of a results file is JSON in ASCII, whatever it says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.results import encoded

TEXT = st.text(st.characters(codec=None, categories=None))


@given(st.dictionaries(TEXT, TEXT | st.integers() | st.lists(TEXT) | st.booleans() | st.none(), max_size=5))
def test_every_value_is_one_line_of_ascii_that_reads_back(value):
    line = encoded(value)
    assert json.loads(line) == value
    assert line.isascii()
    assert line.splitlines() == [line]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\xcc\x85", '{"t":"\\u00cc\\u0085"}'),
        ("a\u2028b", '{"t":"a\\u2028b"}'),
        ("\U0001f511", '{"t":"\\ud83d\\udd11"}'),
        ("\ud83d", '{"t":"\\ud83d"}'),
        ("\x00\x7f\r\n", '{"t":"\\u0000\x7f\\r\\n"}'),
    ],
)
def test_what_ascii_has_not_is_escaped(text, line):
    assert encoded({"t": text}) == line
