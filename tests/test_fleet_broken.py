"""A fleet when something breaks: a disk, a database, a shard, a sweep, the engine, the user's patience."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import threading
import time
from concurrent.futures import Future

import pytest
from commands import BIN, heed_sigint, reference_server
from hypothesis.database import InMemoryExampleDatabase
from middlebox import Middlebox

from conformance import cli, fleet_command, fleet_worker
from conformance.fleet import Run, Standing, pieces_of
from conformance.fleet_file import load_fleet
from conformance.fleet_worker import Outcome, Piece, carry_out

LIMIT = 300_000
"""Bytes that a file may have where the disk is said to be full: more than a header, less than results."""
SMALL = 'select = ["KMS-SAMPLE-00"]'


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """An honest endpoint, and one at which an exploration soon finds something."""
    first, second = tmp_path_factory.mktemp("honest"), tmp_path_factory.mktemp("wrong")
    defect = "--defect", "copy-forgets-encryption"
    with reference_server(first) as (a, _), reference_server(second, *defect) as (b, _):
        yield a, b


def fleet_file(folder, target, schedule):
    path = folder / "fleet.toml"
    path.write_text(
        f'[schedules.s]\n{schedule}\n[defaults]\nschedule = "s"\n[[endpoints]]\nname = "a"\ntarget = "{target}"\n',
        "utf-8",
    )
    return path


def standing_of(folder, target, schedule):
    """How one endpoint stands before anything was played."""
    path = fleet_file(folder, target, schedule)
    (member,) = load_fleet(path).members
    base = Piece(str(path), "", str(folder / "a"), "cases", seed=7)
    return Standing(member, folder / "a", tuple(pieces_of(member, base, 1)))


class LostError(Exception):
    """What the engine below raises for a worker that was lost."""


class GoneError(Exception):
    """What it raises when it went away itself."""


class Here:
    """An engine that has things done in this thread, or fails as ``do`` raises."""

    slots, lost, gone, local = 1, (LostError,), (GoneError,), True

    def __init__(self, do=carry_out):
        self.do = do

    def submit(self, _, piece):
        future = Future()
        try:
            future.set_result(self.do(piece))
        except Exception as error:  # noqa: BLE001 - as an engine does
            future.set_exception(error)
        return future

    def there(self):
        return True


def played(standing, engine):
    run = Run([standing], engine, attempts=2, tick=lambda _: None)
    run.play()
    return run


def journal_with(account, bucket, folder):
    """A bucket at the endpoint, and the journal of an attempt that created it."""
    account.make(bucket)
    folder.mkdir(parents=True)
    lines = {"endpoint": account.target.endpoint}, {"create": "bucket", "bucket": bucket, "name": ""}
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(folder / "journal.jsonl")


# ---- a piece that breaks off ----------------------------------------------------------------------------------------


def test_a_full_disk_is_inconclusive_and_leaves_nothing(servers, account, tmp_path):
    before = account.buckets()

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))

    path, out = fleet_file(tmp_path, servers[0], 'select = ["KMS-PUT-00", "KMS-MULTIPART-00"]'), tmp_path / "out"
    command = [BIN / "obs-conformance", "fleet", path, "--workers", "1", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, preexec_fn=small_files)
    assert (done.returncode, done.stderr) == (3, "")
    assert "cases-1 broke off: [Errno 27] File too large" in done.stdout
    (journal,) = out.glob("a/pieces/cases-1/attempt-*/journal.jsonl")
    assert '"create"' in journal.read_text("utf-8")
    assert account.buckets() == before


def test_what_cannot_be_swept_after_a_piece_broke_off_is_named(servers, account, tmp_path, monkeypatch):
    before = account.buckets()

    def full(campaign, *_, **__):
        campaign.prepare()
        raise OSError(28, "No space left on device")

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fleet_worker, "play_run", full)
    monkeypatch.setattr(fleet_worker, "sweep", fails)
    standing = standing_of(tmp_path, servers[0], SMALL)
    run = played(standing, Here())
    assert (standing.code, standing.says) == (3, "cases-1 broke off: [Errno 28] No space left on device")
    (journal,) = tmp_path.glob("a/pieces/cases-1/attempt-*/journal.jsonl")
    assert run.left == [str(journal)]
    monkeypatch.undo()
    assert carry_out(Piece(standing.pieces[0].fleet, "a", str(tmp_path / "a"), "sweep", parts=("cases-1",))).left == ()
    assert account.buckets() == before


def test_what_was_found_before_the_shared_database_went_away_counts(servers, tmp_path, monkeypatch):
    class Leaving(InMemoryExampleDatabase):
        def fetch(self, key):
            if list(tmp_path.rglob("finding-*.yaml")):
                raise ConnectionError("nobody answers")
            return super().fetch(key)

    monkeypatch.setattr(fleet_worker, "open_database", lambda _: Leaving())
    monkeypatch.setattr("conformance.fleet.EXPLORE_RATE", 5000.0)
    schedule = 'cases = false\nexplore_seeds = 1\nexplore_s = 600\nexplore_only = ["sequences"]'
    standing = standing_of(tmp_path, servers[1], schedule)
    run = played(standing, Here())
    assert standing.code == 1
    says = "1 causes found by exploring; exploration 1/1 broke off: ConnectionError: nobody answers"
    assert standing.says == says
    assert len(list((tmp_path / "a" / "findings").iterdir())) == 1
    assert run.left == []


def test_nothing_found_before_the_database_went_away_is_inconclusive(servers, tmp_path, monkeypatch):
    class Gone(InMemoryExampleDatabase):
        def fetch(self, _):
            raise ConnectionError("nobody answers")

    monkeypatch.setattr(fleet_worker, "open_database", lambda _: Gone())
    standing = standing_of(tmp_path, servers[0], "cases = false\nexplore_seeds = 1\nexplore_requests = 2")
    played(standing, Here())
    assert (standing.code, "broke off: ConnectionError: nobody answers" in standing.says) == (3, True)


def test_an_exploration_of_an_endpoint_that_does_not_answer_says_why_and_names_its_journal(servers, account, tmp_path):
    """It closes every connection once it has read a request: whether a bucket was created nobody knows."""
    upstream = int(account.target.endpoint.rpartition(":")[2])
    with Middlebox(upstream, instead=lambda *_: b"").running() as port:
        target = tmp_path / "target.toml"
        target.touch(mode=0o600)
        target.write_text(servers[0].read_text().replace(f":{upstream}", f":{port}"))
        standing = standing_of(tmp_path, target, "cases = false\nexplore_seeds = 1")
        run = played(standing, Here())
    assert standing.code == 3
    assert "exploration 1/1 broke off: the target could not be used" in standing.says
    (journal,) = tmp_path.glob("a/pieces/explore-1/attempt-*/journal.jsonl")
    assert run.left == [str(journal)]


# ---- shards, sweeps and the engine ----------------------------------------------------------------------------------


def test_a_shard_that_failed_counts_where_another_one_is_spoilt(servers, tmp_path):
    def do(piece):
        if piece.kind == "cases" and piece.number == 2:
            raise LostError
        return Outcome(*((1, "shard 1/2 does not conform", "x") if piece.kind == "cases" else (0, "")))

    standing = standing_of(tmp_path, servers[0], "shards = 2")
    played(standing, Here(do))
    assert standing.code == 1
    assert standing.says == "shard 1/2 does not conform; cases-2 lost its worker 2 times"


@pytest.mark.parametrize("sweeping", [Outcome(2, "a word is wrong"), LostError(), RuntimeError("in a worker")])
def test_a_sweep_that_fails_names_the_journals(servers, account, tmp_path, sweeping):
    """The outcome of a sweep has the journals itself; where none came they are looked for."""
    journal = journal_with(account, "obsc-00000000ac", tmp_path / "a" / "pieces" / "cases-1" / "attempt-x")
    empty = tmp_path / "a" / "pieces" / "cases-1" / "attempt-y"
    empty.mkdir()
    (empty / "journal.jsonl").write_text(json.dumps({"endpoint": account.target.endpoint}) + "\n")

    def do(piece):
        if piece.kind == "cases":
            raise LostError
        if piece.kind != "sweep":
            return carry_out(piece)
        if isinstance(sweeping, Exception):
            raise sweeping
        with fleet_file_spoilt(piece):
            return carry_out(piece)

    @contextlib.contextmanager
    def fleet_file_spoilt(piece):
        path = type(tmp_path)(piece.fleet)
        text = path.read_text("utf-8")
        path.write_text(text.replace("server.toml", "none.toml"), "utf-8")
        yield
        path.write_text(text, "utf-8")

    run = played(standing_of(tmp_path, servers[0], SMALL), Here(do))
    assert set(run.left) == {journal}
    account.send("DELETE", "obsc-00000000ac")


def cancelled():
    future = Future()
    future.cancel()
    future.set_running_or_notify_cancel()
    return future


def failed():
    future = Future()
    future.set_exception(GoneError())
    return future


@pytest.mark.parametrize("last", [cancelled, failed, Future])
def test_when_the_engine_goes_away_what_is_open_is_inconclusive_and_what_is_done_stays(
    servers, account, tmp_path, last
):
    """The first shard is done and does not conform, the second is under way; ``Future``: and never answered."""
    standing = standing_of(tmp_path, servers[0], "shards = 2\n" + SMALL)

    class Leaving(Here):
        gone_away = False

        def submit(self, function, piece):
            if piece.number == 1:
                return super().submit(function, piece)
            self.journal = journal_with(
                account, "obsc-00000000ad", standing.folder / "pieces" / piece.name / "attempt-x"
            )
            self.gone_away = last is Future
            return last()

        def there(self):
            return not self.gone_away

    engine = Leaving(lambda _: Outcome(1, "shard 1/2 does not conform", "x"))
    run = played(standing, engine)
    assert standing.code == 1
    assert standing.says == "shard 1/2 does not conform; cases-2: the cluster went away"
    assert run.left == [engine.journal]
    account.send("DELETE", "obsc-00000000ad")


# ---- Ctrl-C, and other ends -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def a_fleet(path, out):
    """The command as a terminal has it: Ctrl-C reaches all of its processes."""
    process = subprocess.Popen(
        [BIN / "obs-conformance", "fleet", path, "--workers", "1", "--out", out],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_sigint,
        start_new_session=True,
    )
    try:
        yield process, lambda: os.killpg(process.pid, signal.SIGINT)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def until(there, process):
    while not there():
        assert process.poll() is None
        time.sleep(0.005)


def test_ctrl_c_while_the_workers_start_ends_with_130(servers, account, tmp_path):
    before, out = account.buckets(), tmp_path / "out"
    with a_fleet(fleet_file(tmp_path, servers[0], ""), out) as (process, ctrl_c):
        until(out.exists, process)
        ctrl_c()
        said, complained = process.communicate(timeout=60)
    assert (process.returncode, complained) == (130, "")
    assert "a  interrupted" in said
    assert account.buckets() == before


def test_ctrl_c_right_after_the_first_line_ends_with_130(servers, account, tmp_path):
    before = account.buckets()
    with a_fleet(fleet_file(tmp_path, servers[0], ""), tmp_path / "out") as (process, ctrl_c):
        process.stdout.readline()
        ctrl_c()
        said, complained = process.communicate(timeout=60)
    assert (process.returncode, complained) == (130, "")
    assert "a  interrupted" in said
    assert account.buckets() == before


def test_a_second_ctrl_c_names_the_journals_of_what_is_still_there(servers, account, command, tmp_path):
    """The endpoint is silent about removals while they are swept."""
    before, out = account.buckets(), tmp_path / "out"
    stopped, over = threading.Event(), threading.Event()

    def silent(seen, _):
        if not stopped.is_set() or over.is_set() or seen.method != "DELETE":
            return None
        over.wait()
        return b""

    upstream = int(account.target.endpoint.rpartition(":")[2])
    with Middlebox(upstream, instead=silent).running() as port:
        target = tmp_path / "target.toml"
        target.touch(mode=0o600)
        target.write_text(servers[0].read_text().replace(f":{upstream}", f":{port}"))
        with a_fleet(fleet_file(tmp_path, target, ""), out) as (process, ctrl_c):
            until(lambda: list(out.glob("a/pieces/*/*/progress.json")), process)
            stopped.set()
            ctrl_c()
            (journal,) = out.glob("a/pieces/*/*/journal.jsonl")
            until(lambda: journal.read_text("utf-8").count('"endpoint"') > 1, process)  # sweeping has opened it again
            ctrl_c()
            over.set()
            said, complained = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "a  interrupted" in said
        assert complained == f"left behind on a target: obs-conformance sweep {journal} removes it\n"
        assert command("sweep", journal, "--target", target).returncode == 0
    assert account.buckets() == before


def test_a_reader_that_goes_away_has_everything_stopped_and_swept(servers, account, tmp_path, monkeypatch):
    before, out = account.buckets(), tmp_path / "out"

    def tick(*_):
        if list(out.glob("a/pieces/*/*/progress.json")):
            raise BrokenPipeError

    monkeypatch.setattr(fleet_command.Board, "tick", tick)
    path = fleet_file(tmp_path, servers[0], "")
    with path.open("a") as file:  # so slowly that nothing ends of itself while an engine is closed
        file.write("[endpoints.limits]\nrequests_per_second = 50\n")
    words = ["fleet", str(path), "--workers", "1", "--out", str(out)]
    options = cli._parser().parse_args(words)
    with pytest.raises(BrokenPipeError):
        options.command(options)
    assert account.buckets() == before
