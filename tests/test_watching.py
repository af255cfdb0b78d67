"""Playing again when case files change, seen from outside and with a clock of our own."""

import signal
import subprocess
import threading

import pytest
from commands import BIN, heed_sigint

from conformance.vocabulary import CaseError, UsageError
from conformance.watching import changes, whenever_changed

CASE = """\
format: 1
area: watched
cases:
- id: WATCHED-001
  says: An upload is read back
  cites: [SSEKMS-R7]
  level: must
  steps:
  - request: {{method: PUT, object: '{{fresh}}/a', body: {{size: {size}}}}}
    expect:
    - {{status: {status}}}
"""


def test_an_edited_case_is_played_again_and_a_mistake_in_it_is_waited_out(tmp_path):
    cases = tmp_path / "watched.yaml"
    cases.write_text(CASE.format(size=1, status=200), "utf-8")
    process = subprocess.Popen(
        [BIN / "obs-conformance", "run", "--cases", cases, "--watch", "--out", tmp_path / "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=heed_sigint,
        cwd=tmp_path,
    )
    guard = threading.Timer(60, process.kill)
    guard.start()
    try:
        first = until_waiting(process)
        assert not any("FAIL" in line for line in first)
        cases.write_text(CASE.format(size=2, status=201), "utf-8")
        second = until_waiting(process)
        assert second[0] == "changed: watched.yaml\n"
        assert any("FAIL  WATCHED-001" in line for line in second)
        cases.write_text("format: 1\nnothing: else\n", "utf-8")
        assert any("watched.yaml:2" in line for line in until_waiting(process))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 2
    finally:
        guard.cancel()
        process.kill()
        process.communicate()


def until_waiting(process):
    lines = []
    for line in process.stdout:
        if line.startswith("waiting for changes"):
            return lines
        lines.append(line)
    raise AssertionError(f"it ended: {lines}")


def test_changes_are_told_when_they_have_come_to_rest(tmp_path):
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text("a", "utf-8")
    writes = iter([None, lambda: one.write_text("ab", "utf-8"), lambda: other.write_text("c", "utf-8")])

    def sleep(_):
        write = next(writes, None)
        if write is not None:
            write()

    (tmp_path / "notes.txt").write_text("not looked at", "utf-8")
    assert next(changes(tmp_path, sleep)) == (one, other)


def interrupted(_seconds):
    raise KeyboardInterrupt


@pytest.mark.parametrize("code", [0, 1, 130])
def test_the_last_exit_code_counts_and_an_interrupted_replay_ends_it(tmp_path, code):
    said = []
    assert whenever_changed(tmp_path, lambda: code, said.append, interrupted) == code
    assert bool(said) is (code != 130)


def test_a_mistake_is_said_and_counts_as_one(tmp_path):
    def broken():
        raise CaseError("x.yaml:1: wrong")

    said = []
    assert whenever_changed(tmp_path, broken, said.append, interrupted) == 2
    assert said[0] == "x.yaml:1: wrong"


def test_a_wrong_option_ends_it_at_once_and_a_selection_that_a_change_made_empty_is_waited_out(tmp_path):
    file, said = tmp_path / "one.yaml", []
    file.write_text("a", "utf-8")
    outcomes = iter([0, UsageError("no case matches"), 0])
    moments = iter([lambda: file.write_text("ab", "utf-8"), str, lambda: file.write_text("abc", "utf-8"), str])

    def replay():
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def sleep(_):
        next(moments, lambda: interrupted(0))()

    assert whenever_changed(tmp_path, replay, said.append, sleep) == 0
    assert "no case matches" in said
    outcomes = iter([UsageError("--out: cannot be made")])
    with pytest.raises(UsageError):
        whenever_changed(tmp_path, replay, said.append, sleep)
