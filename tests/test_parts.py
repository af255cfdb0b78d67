"""Shards, merge and resume from outside: parts make the same run as the whole."""

import json
import re
import subprocess
import time

import pytest
from commands import BIN, Outcome, reference_server

SELECTED = ("--select", "KMS-SAMPLE", "--select", "KMS-PUT", "--select", "KMS-DEFAULT-00")
VOLATILE = re.compile(
    r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}|\b(?:obsc-)?[0-9a-f]{10}-[a-z0-9-]+|\b(?:obsc-)[0-9a-f]{10}|Expires=\d+|Signature=\*+|[0-9A-Za-z+/=]{20,}|[A-Z][a-z]{2}, \d\d [A-Za-z]+ \d{4} [0-9:]{8} GMT|\d{4}-\d\d-\d\dT[0-9:.]+Z"
)


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    with reference_server(tmp_path_factory.mktemp("honest")) as (target, _):
        yield target


@pytest.fixture
def run(command, tmp_path, honest):
    def play(name, *arguments, select=SELECTED):
        out = tmp_path / name
        done = command("run", "--no-doctor", "--target", honest, "--out", out, *select, *arguments)
        assert "Traceback" not in done.stderr
        return Outcome(done, out)

    return play


def comparable(lines):
    """The lines of a results file without times, names and what a server makes up."""
    for line in lines:
        kept = {
            word: value
            for word, value in line.items()
            if word not in {"seed", "started", "ended", "duration_ms", "cleanup"}
        }
        for exchange in kept.get("exchanges", ()):
            for word in ("ms", "asked", "judged"):
                exchange.pop(word)
            exchange["received"].pop("content", None)
            for message in (exchange["sent"], exchange["received"]):
                message.pop("body_sha256")
                message.pop("body")
                message.pop("body_size") if message is exchange["received"] else None
                message["head"] = re.sub(r"\r\nContent-Length: \d+", "", message["head"])
        yield VOLATILE.sub("*", json.dumps(kept))


def test_merged_shards_are_the_unsharded_file_but_for_times(run, command, tmp_path):
    whole = run("whole", "--seed", "1")
    shards = [run(f"shard{number}", "--shard", f"{number}/3", "--seed", "1") for number in (1, 2, 3)]
    planned = [shard.lines[0]["planned"] for shard in shards]
    assert sorted(id_ for plan in planned for id_ in plan) == sorted(whole.rungs)
    assert all(plan == list(whole.rungs)[number::3] for number, plan in enumerate(planned))
    assert [shard.lines[0]["shard"] for shard in shards] == [{"part": number, "of": 3} for number in (1, 2, 3)]
    given = [shards[2].out / "results.jsonl", shards[0].out, shards[1].out]
    merged = Outcome(command("merge", *given, "--out", tmp_path / "merged"), tmp_path / "merged")
    assert merged.code == whole.code == 3
    assert merged.stdout.splitlines()[0] == whole.footer["headline"]
    assert list(comparable(merged.lines)) == list(comparable(whole.lines))
    assert (merged.out / "report.html").is_file()
    assert merged.footer["cleanup"]["created"] == sum(shard.footer["cleanup"]["created"] for shard in shards)


def test_cases_that_change_a_key_are_of_one_shard_and_merge_into_their_places(run, command, tmp_path):
    """Shards on several machines cannot take turns at the one key that is there for it."""
    select = ("--select", "KMS-SEQ-00", "--select", "KMS-STATE-00", "--select", "KMS-URL-00")
    whole = run("whole", select=select)
    shards = [run(f"shard{number}", "--shard", f"{number}/2", select=select) for number in (1, 2)]
    plans = [shard.lines[0]["planned"] for shard in shards]
    switching = [id_ for id_ in whole.rungs if id_.startswith("KMS-STATE")]
    assert [id_ for id_ in plans[0] if id_.startswith("KMS-STATE")] == switching
    assert [id_ for id_ in plans[1] if id_.startswith("KMS-STATE")] == []
    others = len(whole.rungs) - len(switching)
    assert abs(others - 2 * len(plans[1])) <= 1
    merged = Outcome(command("merge", *(shard.out for shard in shards), "--out", tmp_path / "m"), tmp_path / "m")
    assert list(merged.rungs) == list(whole.rungs)


def test_a_shard_that_is_left_without_a_case_is_merged_too(run, command, tmp_path):
    select = ("--select", "KMS-STATE-00", "--select", "KMS-SEQ-001")
    shards = [run(f"shard{number}", "--shard", f"{number}/3", select=select) for number in (1, 2, 3)]
    assert [len(shard.lines[0]["planned"]) for shard in shards] == [10, 0, 0]
    merged = Outcome(command("merge", *(shard.out for shard in shards), "--out", tmp_path / "m"), tmp_path / "m")
    assert len(merged.rungs) == 10


def test_a_shard_has_the_same_cases_whenever_and_with_whatever_jobs(run):
    one = run("one", "--shard", "2/5", "--jobs", "1")
    again = run("again", "--shard", "2/5", "--jobs", "8", "--seed", "7")
    assert one.rungs == again.rungs


def test_a_baseline_is_held_against_the_merged_run(run, command, tmp_path):
    shards = [run(f"shard{number}", "--shard", f"{number}/2", select=("--select", "KMS-SAMPLE")) for number in (1, 2)]
    known = tmp_path / "known.yaml"
    known.write_text(
        "- {id: KMS-SAMPLE-001, fingerprint: '0123456789abcdef', reason: r, owner: kim, expires: 2099-01-01}\n"
    )
    done = command("merge", *(shard.out for shard in shards), "--out", tmp_path / "merged", "--baseline", known)
    assert done.returncode == 1
    assert "KMS-SAMPLE-001 does not fail any more: remove it from the baseline (r; owner kim" in done.stdout


def test_what_does_not_belong_together_is_not_merged(run, command, tmp_path):
    one = run("one", "--shard", "1/2", select=("--select", "KMS-SAMPLE"))
    two = run("two", "--shard", "2/2", select=("--select", "KMS-SAMPLE"))
    whole = run("whole", select=("--select", "KMS-SAMPLE"))
    other = run("other", "--shard", "2/3", select=("--select", "KMS-SAMPLE"))
    cut = tmp_path / "cut.jsonl"
    cut.write_text("".join((two.out / "results.jsonl").read_text().splitlines(keepends=True)[:-1]))
    for given, says in (
        ([one.out], "of 2 shards these are missing: 2"),
        ([one.out, one.out], "the same shard is given twice"),
        ([one.out, whole.out], "is no shard"),
        ([one.out, other.out], "they differ in shard"),
        ([one.out, cut], "its run did not finish; finish it with run --resume"),
        ([tmp_path / "none.jsonl"], "none.jsonl: cannot be read"),
        ([tmp_path / "known.yaml"], "cannot be read"),
    ):
        done = command("merge", *given, "--out", tmp_path / "merged")
        assert done.returncode == 2
        assert says in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0"])
def test_a_shard_that_is_none_is_a_usage_error(command, shard):
    done = command("run", "--shard", shard)
    assert done.returncode == 2
    assert f"{shard!r} is no shard; write I/N, such as 1/3" in done.stderr


# ---- resume ---------------------------------------------------------------------------------------------------------


def kill_half_way(honest, out, lines):
    """A run that is killed as soon as this many lines are in its results file."""
    results = out / "results.jsonl"
    command = [
        BIN / "obs-conformance",
        "run",
        "--no-doctor",
        "--target",
        honest,
        "--out",
        out,
        *SELECTED,
        "--jobs",
        "1",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (results.exists() and results.read_bytes().count(b"\n") >= lines):
            time.sleep(0.001)
        process.kill()
    assert process.returncode == -9


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(run, command, honest, tmp_path):
    whole, out = run("whole"), tmp_path / "killed"
    kill_half_way(honest, out, 6)
    results = out / "results.jsonl"
    before = results.read_text().splitlines()
    results.write_text(results.read_text() + '{"kind": "case", "id": "KMS-')
    done = command("run", "--no-doctor", "--target", honest, "--resume", results)
    resumed = Outcome(done, out)
    assert resumed.code == whole.code
    assert list(resumed.rungs.items()) == list(whole.rungs.items())
    assert resumed.footer["headline"] == whole.footer["headline"]
    assert resumed.footer["clauses"] == whole.footer["clauses"]
    assert (out / "results.jsonl").read_text().splitlines()[: len(before)] == before
    assert f"{len(whole.rungs) - len(before) + 1} cases" in done.stdout
    assert command("sweep", out, "--target", honest).returncode == 0


def test_what_could_not_be_played_is_played_again(run, command, honest):
    first = run("first", "--budget", "0.0001")
    assert set(first.rungs.values()) == {"not_run"}
    done = command("run", "--no-doctor", "--target", honest, "--resume", first.out / "results.jsonl")
    resumed = Outcome(done, first.out)
    assert set(resumed.rungs.values()) <= {"pass", "observed"}
    assert list(resumed.rungs) == list(first.rungs)


def test_results_of_another_run_are_not_gone_on_with(run, command, honest):
    results = run("first", select=("--select", "KMS-SAMPLE-001")).out / "results.jsonl"
    text = results.read_text()
    for old, new, says in (
        ('"endpoint": "http://127.0.0.1', '"endpoint": "http://127.0.0.2', "its endpoint is http://127.0.0.2"),
        ('"digest": "', '"digest": "0', "its library is 0"),
        ('["KMS-SAMPLE-001"]', '["KMS-SAMPLE-0"]', "it planned KMS-SAMPLE-0, which this library does not have"),
        ('"kind": "header"', '"kind": "case"', "not a results file"),
        ('{"kind": "header"', "{kind", "line 1: not JSON"),
    ):
        assert old in text
        results.write_text(text.replace(old, new, 1))
        done = command("run", "--target", honest, "--resume", results)
        assert done.returncode == 2
        assert says in done.stderr
    assert command("run", "--resume", results).returncode == 2
    assert "leave out --shard" in command("run", "--target", honest, "--resume", results, "--shard", "1/2").stderr
