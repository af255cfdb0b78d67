"""Progress lines and annotations, as literals."""

import io

import pytest

from conformance.annotations import github
from conformance.progress import Progress, line
from conformance.vocabulary import Case, CaseResult, Played


def test_counts_and_time_left():
    assert line("x", {"pass": 40, "not_run": 10}, 200, 25.0) == "x: 50/200, 10 not run, 40 pass, 1:15 left"


def follow(total, *, live, ticks):
    stream, now = io.StringIO(), iter(ticks)
    progress = Progress("x", total, stream, live=live, clock=lambda: next(now))
    for _ in range(total):
        progress.step("pass")
    progress.close()
    return stream.getvalue()


def test_plain_progress_is_ten_lines_without_control_characters():
    text = follow(100, live=False, ticks=[0.0] * 100)
    assert [part.split(",")[0] for part in text.splitlines()] == [f"x: {done}/100" for done in range(10, 101, 10)]
    assert text.isprintable() is False
    assert "\r" not in text
    assert "\x1b" not in text


def test_a_short_run_has_a_line_a_case():
    assert len(follow(3, live=False, ticks=[0.0] * 10).splitlines()) == 3


def test_live_progress_redraws_one_line_and_takes_it_away():
    text = follow(3, live=True, ticks=[0.1 * tick for tick in range(1, 99)])
    assert "\n" not in text
    assert text.count("\r\x1b[Kx: ") == 3
    assert text.endswith("\r\x1b[K")


CASE = Case("KMS-X-1", "says 100%", "x", "must", (), (), (), "cases/a,b:c.yaml", 12)


@pytest.mark.parametrize(
    ("rung", "known", "due"),
    [
        ("fail", (), "::error file=cases/a%2Cb%3Ac.yaml,line=12,title=KMS-X-1 fail::says 100%25: one%0Atwo"),
        (
            "fail",
            ("KMS-X-1",),
            "::notice file=cases/a%2Cb%3Ac.yaml,line=12,title=KMS-X-1 fail%2C known::says 100%25: one%0Atwo",
        ),
        ("warn", (), "::warning file=cases/a%2Cb%3Ac.yaml,line=12,title=KMS-X-1 warn::says 100%25: one%0Atwo"),
        (
            "setup_failed",
            (),
            "::warning file=cases/a%2Cb%3Ac.yaml,line=12,title=KMS-X-1 setup failed::says 100%25: one%0Atwo",
        ),
        ("pass", (), None),
        ("observed", (), None),
        ("not_applicable", (), None),
    ],
)
def test_annotation(rung, known, due):
    result = CaseResult(CASE, rung, "one\ntwo", Played((), (), ()), 1.0)
    assert list(github([result], known)) == ([due] if due else [])
