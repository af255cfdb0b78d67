"""Tests of making text and bytes visible."""

from __future__ import annotations

import pytest

from reports.text import TEXT_LIMIT, excerpt, head_lines, hex_dump, visible, written


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\t\n\u00e9\u4e2d", "plain\t\n\u00e9\u4e2d"),
        ("\x00\x1b\r\x7f\x9b", r"\x00\x1b\x0d\x7f\x9b"),
        ("\u202e\u200b\ufeff\ud800\uffff", r"\u202e\u200b\ufeff\ud800\uffff"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_visible_escapes_exactly_what_cannot_be_seen(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_written_bytes_never_read_two_ways() -> None:
    assert written(b"a\\x00\x00\r\n\t\xff~") == r"a\\x00\x00\r\n\t\xff~"
    assert len({written(bytes([byte])) for byte in range(256)}) == 256


def test_head_lines_keep_every_byte_and_name_every_end() -> None:
    lines = head_lines(b"HTTP/1.1 200 OK\r\nA: b\rc\nlast")
    assert [(line.text, line.end) for line in lines] == [
        ("HTTP/1.1 200 OK", "CR LF"),
        (r"A: b\rc", "LF"),
        ("last", "no line end"),
    ]


def test_only_the_final_answer_is_marked_and_folded_lines_with_it() -> None:
    head = b"HTTP/1.1 103 Hints\r\nA: 1\r\n\r\nHTTP/1.1 200 OK\r\na : 2\r\n folded\r\nB: 3\r\n\r\n"
    marked = [line.text for line in head_lines(head, names=frozenset({"a"})) if line.marked]
    assert marked == ["a : 2", " folded"]
    assert [line.text for line in head_lines(head, status=True) if line.marked] == ["HTTP/1.1 200 OK"]


def test_empty_head_has_no_lines() -> None:
    assert head_lines(b"", names=frozenset({"a"}), status=True) == ()


def test_text_body_is_text_even_when_a_character_is_cut() -> None:
    assert excerpt("\u00e9\\".encode(), 3).shown == "\u00e9\\\\"
    assert (excerpt(b"ab\xc3", 10).form, excerpt(b"ab\xc3", 3).form) == ("text", "hex dump")


def test_long_body_is_cut_and_says_so() -> None:
    found = excerpt(b"x" * (TEXT_LIMIT + 1), TEXT_LIMIT + 1)
    assert (found.count, found.whole) == (TEXT_LIMIT, False)
    assert excerpt(b"x", 1).whole


def test_hex_dump_has_offset_bytes_and_ascii() -> None:
    assert hex_dump(b"0123456789abcdef\x00<") == (
        "00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef\n"
        "00000010  00 3c                                            .<"
    )
