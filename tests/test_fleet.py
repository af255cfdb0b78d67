"""A fleet from outside: many endpoints, workers that are killed, limits that hold over all of them."""

import contextlib
import itertools
import json
import os
import pickle
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter

import pytest
from commands import BIN, ROOT, heed_sigint, reference_server
from errands import forever, one_turn, secret_in_an_error
from middlebox import Middlebox, UnderWay

from conformance.casefile import load_library
from conformance.engines import LocalProcesses, WorkerLostError
from conformance.fleet import Run, Standing, pieces_of, worst
from conformance.fleet_file import load_fleet
from conformance.fleet_worker import Finding, Piece, shortest
from conformance.target import load_target

KILLS = int(os.environ.get("OBS_CONFORMANCE_FLEET_KILLS", "4"))
"""How often a worker is killed; the nightly environment asks for more."""
SELECT = 'select = ["KMS-PUT-00", "KMS-MULTIPART-00"]'


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """An honest endpoint and one with a defect."""
    first, second = tmp_path_factory.mktemp("honest"), tmp_path_factory.mktemp("wrong")
    with reference_server(first) as (a, _), reference_server(second, "--defect", "put-answers-201") as (b, _):
        yield a, b


def fleet_file(folder, text):
    path = folder / "fleet.toml"
    path.write_text(text, "utf-8")
    return path


def planned(select):
    return [case.id for case in load_library().cases if any(text.lower() in case.id.lower() for text in select)]


def rungs(folder):
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text("utf-8").splitlines()]
    return [line["id"] for line in lines if line["kind"] == "case"], lines


def test_two_endpoints_end_with_reports_a_comparison_and_the_worst_exit_code(servers, command, tmp_path):
    good, wrong = servers
    path = fleet_file(
        tmp_path,
        f"""
[defaults]
schedule = "gate"
[schedules.gate]
shards = 2
{SELECT}
[[endpoints]]
name = "good"
tags = ["north"]
target = "{good}"
[[endpoints]]
name = "wrong"
target = "{wrong}"
""",
    )
    out = tmp_path / "out"
    done = command("fleet", path, "--workers", "2", "--out", out)
    assert (done.returncode, done.stderr) == (1, "")
    for name in ("good", "wrong"):
        ids, lines = rungs(out / name)
        assert sorted(ids) == sorted(planned(["KMS-PUT-00", "KMS-MULTIPART-00"]))
        assert lines[-1]["kind"] == "footer"
        assert (out / name / "report.html").stat().st_size > 1000
    assert re.search(r"^wrong +NOT CONFORMANT ", done.stdout, re.MULTILINE)
    assert re.search(r"^good +inconclusive ", done.stdout, re.MULTILINE)
    assert (out / "comparison.html").exists()
    again = command("fleet", path, "--workers", "1", "--out", out)
    assert (again.returncode, "holds the run of a fleet already" in again.stderr) == (2, True)
    one = command("fleet", path, "--workers", "1", "--tag", "north", "--out", tmp_path / "one")
    assert one.returncode == 3
    assert not (tmp_path / "one" / "wrong").exists()


ENDPOINT = '[[endpoints]]\nname = "a"\nendpoint = "http://127.0.0.1:1"\n'
OWNER = "[endpoints.identities.owner]\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("= 1", "fleet.toml: not TOML"),
        ("", "endpoints: there is none; write [[endpoints]]"),
        ("endpoint = 1\n" + ENDPOINT, "endpoint: unknown word; did you mean 'endpoints'?"),
        ('[[endpoints]]\nname = "a/b"\n', "endpoints[1].name: 'a/b' names a folder too"),
        ('[[endpoints]]\nname = "Comparison.html"\n', "endpoints[1].name: 'Comparison.html' is a file that every run"),
        ('[[endpoints]]\nname = ".shared"\n', "endpoints[1].name: '.shared' names a folder too"),
        ('[[endpoints]]\nname = "a"\n', "endpoint a: write either target"),
        (ENDPOINT + 'target = "x.toml"\n', "endpoint a: write either target"),
        (ENDPOINT + ENDPOINT, "endpoints[2].name: 'a' is there twice"),
        (ENDPOINT + 'tags = "x"\n', "endpoint a: tags: 'x' is no list of texts"),
        (ENDPOINT + 'schedule = "gate"\n', "endpoint a: schedule: 'gate' is not there; write [schedules.gate]"),
        (ENDPOINT + "[endpoints.limits]\nconnections = 1.5\n", "endpoint a: limits.connections: 1.5 is no whole number"),
        (ENDPOINT + "[endpoints.limits]\nrequests_per_second = -1\n", "limits.requests_per_second: -1 is no number from 0"),
        (ENDPOINT + "[schedules.x]\nshard = 2\n", "schedules.x.shard: unknown word; did you mean 'shards'?"),
        (ENDPOINT + "[schedules.x]\nshards = 0\n", "schedules.x.shards: 0 is no whole number from 1"),
        (ENDPOINT + "[schedules.x]\ncases = false\n", "schedules.x: nothing is played"),
        (ENDPOINT + OWNER + 'access_key = "K"\n', 'identities.owner.access_key: is a credential; write "env:NAME"'),
        (ENDPOINT + OWNER + 'access_key = "env:K"\nsecret_key = "S"\n', "identities.owner.secret_key: is a credential"),
        (ENDPOINT + OWNER + 'access_key = "env:NOT_SET"\nsecret_key = "env:NOT_SET"\n', "NOT_SET is not set"),
        ('[[endpoints]]\nname = "a"\ntarget = "none.toml"\n', "none.toml: cannot be read"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_fleet_file_is_said_in_a_line(command, tmp_path, text, says):
    done = command("fleet", fleet_file(tmp_path, text))
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_endpoint_says_what_a_target_file_says(tmp_path, monkeypatch):
    monkeypatch.setenv("A", "access")
    monkeypatch.setenv("S", "secret")
    owner = OWNER + 'access_key = "env:A"\nsecret_key = "env:S"\n'
    words = 'dialect = "aws-s3"\n[endpoints.kms]\nendpoint = "http://127.0.0.1:2"\nproject_id = "p"\n'
    (member,) = load_fleet(fleet_file(tmp_path, ENDPOINT + words + owner)).members
    target = member.open()
    assert (target.dialect, target.kms.endpoint) == ("aws-s3", "http://127.0.0.1:2")


EXPLORING = "cases = false\nexplore_seeds = 1\n"


@pytest.mark.parametrize(
    ("schedule", "profile", "says"),
    [
        (EXPLORING, "nope", "fleet.toml: endpoint a: profile: 'nope' is not there; there are: "),
        ("", "nope", "fleet.toml: endpoint a: profile: 'nope' is not there; there are: "),
        (
            'select = ["NO-SUCH-CASE"]',
            None,
            "fleet.toml: schedules.s.select: no case matches; see obs-conformance list",
        ),
        (
            EXPLORING + 'explore_only = ["nope"]',
            None,
            "fleet.toml: schedules.s.explore_only: nope: there are sequences",
        ),
    ],
)
def test_what_is_to_be_played_is_looked_for_before_anything_is(servers, command, tmp_path, schedule, profile, says):
    named = f'profile = "{profile}"\n' if profile else ""
    text = f'[schedules.s]\n{schedule}\n[[endpoints]]\nname = "a"\nschedule = "s"\n{named}target = "{servers[0]}"\n'
    done = command("fleet", fleet_file(tmp_path, text), "--out", tmp_path / "out")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert says in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("there", ["pieces", "results.jsonl", "findings"])
def test_a_folder_with_anything_of_an_earlier_run_is_refused(servers, command, tmp_path, there):
    (tmp_path / "out" / "a" / there).mkdir(parents=True)
    path = fleet_file(tmp_path, f'[[endpoints]]\nname = "a"\ntarget = "{servers[0]}"\n')
    done = command("fleet", path, "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds the run of a fleet already; choose another folder" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--tag", "south"), "--tag south: no endpoint has it; there are: none"),
        (("--schedule", "x"), "--schedule x: the fleet file has no such schedule"),
        (("--workers", "0"), "--workers 0: at least 1"),
        (("--dask", "tcp://127.0.0.1:1", "--workers", "1"), "--workers is for local processes"),
    ],
)
def test_options_that_cannot_be_are_said_in_a_line(command, tmp_path, words, says):
    done = command("fleet", fleet_file(tmp_path, ENDPOINT), *words)
    assert (done.returncode, says in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("codes", "one"), [((0, 0), 0), ((0, 3), 3), ((3, 1, 0), 1), ((1, 2), 2), ((2, 130), 130), ((), 0)]
)
def test_the_worst_exit_code_wins(codes, one):
    assert worst(codes) == one


def test_a_cause_found_twice_is_kept_once_with_the_fewest_requests():
    found = (Finding("x", 4, "1"), Finding("y", 1, "2"), Finding("x", 2, "3"))
    assert shortest(found) == {"x": Finding("x", 2, "3"), "y": Finding("y", 1, "2")}


def test_the_example_is_sound():
    fleet = load_fleet(ROOT / "examples" / "fleet.toml")
    assert [member.limits.requests_per_second for member in fleet.members] == [100, 20]
    assert [member.name for member in fleet.chosen(["v2"], "night").members] == ["south-v2"]


def test_what_an_endpoint_bears_is_divided_among_its_pieces(tmp_path):
    limits = "[endpoints.limits]\nconnections = 7\nrequests_per_second = 30\n"
    text = '[schedules.s]\nshards = 5\nexplore_seeds = 1\n[defaults]\nschedule = "s"\n' + ENDPOINT + limits
    (member,) = load_fleet(fleet_file(tmp_path, text + OWNER + 'access_key="env:A"\nsecret_key="env:B"')).members
    pieces = pieces_of(member, Piece("f", "", "d", "cases"), 3)
    assert [(piece.kind, piece.number, piece.jobs, piece.rate) for piece in pieces] == [
        *(("cases", number, 1, 10.0) for number in range(1, 6)),
        ("explore", 1, 1, 10.0),
    ]


def test_limits_hold_over_all_workers(servers, command, tmp_path):
    """Counted by a middlebox: requests under way at once, and those in the time from the first to the last."""
    upstream = int(load_target(servers[0]).endpoint.rpartition(":")[2])
    under_way, rate = UnderWay(), 60
    with Middlebox(upstream, instead=under_way.begun, answer=under_way.ended).running() as port:
        target = tmp_path / "target.toml"
        target.write_text(servers[0].read_text().replace(f":{upstream}", f":{port}"))
        target.chmod(0o600)
        text = f'[schedules.s]\nshards = 3\nselect = ["KMS-PUT-00"]\n[defaults]\nschedule = "s"\n[[endpoints]]\nname = "a"\ntarget = "{target}"\n'
        limits = f"[endpoints.limits]\nconnections = 4\nrequests_per_second = {rate}\n"
        done = command("fleet", fleet_file(tmp_path, text + limits), "--workers", "3", "--out", tmp_path / "out")
    assert done.returncode == 3, done.stderr
    assert under_way.most <= 4
    played = sum(
        len(json.loads(line)["exchanges"])
        for line in (tmp_path / "out" / "a" / "results.jsonl").read_text("utf-8").splitlines()
        if '"kind": "case"' in line
    )
    times = under_way.times
    assert len(times) > played > 30
    assert max(times) - min(times) >= (played - 3) / rate


def test_turns_are_taken_one_after_the_other_by_all_processes(tmp_path):
    spacing = 0.02
    engine = LocalProcesses(2, 2)
    try:
        futures = [engine.submit(one_turn, tmp_path / "turn", spacing) for _ in range(8)]
        spans = sorted(future.result() for future in futures)
    finally:
        engine.close()
    assert all(end + spacing <= begin + 1e-3 for (_, end), (begin, _) in itertools.pairwise(spans))


def test_a_killed_worker_is_said_to_be_lost_and_replaced_and_an_error_keeps_its_words_to_itself():
    engine = LocalProcesses(1, 2)
    try:
        stuck = engine.submit(forever)
        (pid,) = engine.pids()
        os.kill(pid, 9)
        assert isinstance(stuck.exception(timeout=30), WorkerLostError)
        assert engine.submit(abs, -3).result(timeout=30) == 3
        assert "canary" not in repr(engine.submit(secret_in_an_error).exception(timeout=30))
    finally:
        engine.close()


def kill_now_and_then(engine, over, dice, kills):
    for _ in range(kills):
        if over.wait(dice.uniform(0.05, 0.5)):
            return
        pids = engine.pids()
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(dice.choice(pids), 9)


def test_workers_killed_at_random_moments_lose_nothing_double_nothing_and_leave_nothing(servers, account, tmp_path):
    before = account.buckets()
    names = [f"e{number}" for number in range(4)]
    entries = "".join(f'[[endpoints]]\nname = "{name}"\ntarget = "{servers[0]}"\n' for name in names)
    path = fleet_file(tmp_path, f'[schedules.s]\nshards = 2\n{SELECT}\n[defaults]\nschedule = "s"\n{entries}')
    engine = LocalProcesses(2, 2)
    over = threading.Event()
    killer = threading.Thread(target=kill_now_and_then, args=(engine, over, random.Random(KILLS), KILLS))
    try:
        standings = [
            Standing(
                member,
                tmp_path / member.name,
                tuple(
                    pieces_of(member, Piece(str(path), "", str(tmp_path / member.name), "cases", seed=7), engine.slots)
                ),
            )
            for member in load_fleet(path).members
        ]
        run = Run(standings, engine, attempts=1000, tick=lambda _: None)
        killer.start()
        run.play()
    finally:
        over.set()
        killer.join()
        engine.close()
    expected = Counter(planned(["KMS-PUT-00", "KMS-MULTIPART-00"]))
    for standing in standings:
        ids, lines = rungs(standing.folder)
        assert Counter(ids) == expected
        assert {line["rung"] for line in lines if line["kind"] == "case"} <= {"pass", "observed"}
    assert run.left == []
    assert account.buckets() == before


def test_a_piece_that_loses_every_worker_is_inconclusive_and_swept(servers, account, tmp_path):
    """The workers of this engine do their piece and are lost before they can say so."""
    before = account.buckets()

    class Losing(LocalProcesses):
        def submit(self, function, /, *arguments):
            (piece,) = arguments
            if piece.kind == "cases":
                future = super().submit(forever)
                os.kill(self.pids()[0], 9)
                return future
            return super().submit(function, *arguments)

    path = fleet_file(tmp_path, f'[[endpoints]]\nname = "a"\ntarget = "{servers[0]}"\n')
    left = tmp_path / "a" / "pieces" / "cases-1" / "attempt-x"
    left.mkdir(parents=True)
    account.make("obsc-00000000fe", "ours")
    (left / "journal.jsonl").write_text(
        "".join(
            json.dumps(line) + "\n"
            for line in (
                {"endpoint": account.target.endpoint},
                {"create": "bucket", "bucket": "obsc-00000000fe", "name": ""},
                {"create": "object", "bucket": "obsc-00000000fe", "name": "ours"},
            )
        )
    )
    engine = Losing(1, 1)
    try:
        (member,) = load_fleet(path).members
        pieces = pieces_of(member, Piece(str(path), "", str(tmp_path / "a"), "cases"), 1)
        standing = Standing(member, tmp_path / "a", tuple(pieces))
        Run([standing], engine, attempts=2, tick=lambda _: None).play()
    finally:
        engine.close()
    assert (standing.code, standing.says, standing.lost) == (3, "cases-1 lost its worker 2 times", 2)
    assert account.buckets() == before


@pytest.fixture
def canary(servers, tmp_path):
    """A fleet whose owner's credentials are in the environment only; the file, the environment, the secrets."""
    owner = load_target(servers[0])
    identity = owner.identities["owner"]
    text = f"""
[schedules.s]
select = ["KMS-PUT-00", "KMS-URL-00"]
explore_seeds = 2
explore_requests = 30
shards = 2
[defaults]
schedule = "s"
[[endpoints]]
name = "a"
endpoint = "{owner.endpoint}"
[endpoints.identities.owner]
access_key = "env:CANARY_AK"
secret_key = "env:CANARY_SK"
"""
    more = {"CANARY_AK": identity.access_key, "CANARY_SK": identity.secret_key}
    return fleet_file(tmp_path, text), {**os.environ, **more}, identity.secret_key


def everything_written(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_no_secret_is_in_results_logs_output_or_pieces(canary, command, tmp_path):
    path, environment, secret = canary
    out = tmp_path / "out"
    done = command("fleet", path, "--workers", "2", "--out", out, env=environment)
    assert done.returncode == 3, done.stderr
    written = everything_written(out)
    assert b"KMS-PUT-001" in written
    assert secret.encode() not in written
    assert secret not in done.stdout + done.stderr
    (member,) = load_fleet(path).members
    payload = pickle.dumps(pieces_of(member, Piece(str(path), "", str(out), "cases"), 4))
    assert b"a" in payload
    assert not {b"CANARY", secret.encode()} & {part for part in (b"CANARY", secret.encode()) if part in payload}


@contextlib.contextmanager
def dask(folder, environment):
    """A scheduler and two workers as one starts them by hand; yields the address and the three processes."""
    file = folder / "scheduler.json"
    scheduler = [
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--dashboard-address",
        "127.0.0.1:0",
        "--no-show",
        "--scheduler-file",
        file,
    ]
    worker = [
        "worker",
        "--host",
        "127.0.0.1",
        "--scheduler-file",
        file,
        "--nthreads",
        "2",
        "--no-nanny",
        "--no-dashboard",
        "--dashboard-address",
        "127.0.0.1:0",
    ]
    with contextlib.ExitStack() as stack:

        def start(arguments, number):
            log = stack.enter_context((folder / f"dask-{number}.log").open("w"))
            process = subprocess.Popen(
                [BIN / "dask", *arguments], stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        def until(there, process):
            while not there():
                assert process.poll() is None
                time.sleep(0.02)

        first = start(scheduler, 0)
        until(lambda: file.exists() and file.read_text().rstrip().endswith("}"), first)
        workers = [start([*worker, "--local-directory", folder / f"local-{number}"], number) for number in (1, 2)]
        for number, process in enumerate(workers, start=1):
            log = folder / f"dask-{number}.log"
            until(lambda log=log: "Registered to" in log.read_text(), process)
        yield json.loads(file.read_text())["address"], (first, *workers)


def begun_on(address, path, out, environment, *, pieces):
    """The command, playing on a cluster, once so many pieces have begun."""
    process = subprocess.Popen(
        [BIN / "obs-conformance", "fleet", path, "--dask", address, "--out", out],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=heed_sigint,
    )
    while process.poll() is None and len(list(out.glob("a/pieces/*/*/journal.jsonl"))) < pieces:
        time.sleep(0.01)
    return process


def test_a_dask_cluster_plays_a_fleet_and_repeats_what_a_killed_worker_had(canary, account, tmp_path):
    path, environment, secret = canary
    before = account.buckets()
    without = {name: value for name, value in environment.items() if not name.startswith("CANARY")}
    (tmp_path / "cluster").mkdir()
    out = tmp_path / "out"
    with dask(tmp_path / "cluster", environment) as (address, (_, worker, _)):
        process = begun_on(address, path, out, without, pieces=4)
        worker.kill()
        said, complained = process.communicate(timeout=60)
    assert process.returncode == 3, complained
    ids, _ = rungs(out / "a")
    assert Counter(ids) == Counter(planned(["KMS-PUT-00", "KMS-URL-00"]))
    assert "4 pieces at once" in said
    logs = "".join(log.read_text() for log in (tmp_path / "cluster").glob("*.log"))
    assert secret.encode() not in everything_written(out)
    assert secret not in said + complained + logs
    assert account.buckets() == before


def test_a_dask_scheduler_that_goes_away_is_inconclusive(canary, tmp_path):
    path, environment, secret = canary
    (tmp_path / "cluster").mkdir()
    out = tmp_path / "out"
    with dask(tmp_path / "cluster", environment) as (address, (scheduler, *_)):
        process = begun_on(address, path, out, environment, pieces=1)
        scheduler.kill()
        said, complained = process.communicate(timeout=60)
    assert process.returncode == 3, complained
    assert re.search(r"^a +inconclusive .*: the cluster went away$", said, re.MULTILINE)
    assert "Traceback" not in complained, complained
    assert secret not in said + complained


def cleaned_up(journal):
    """Whether a piece is over: cases have a footer by then, an exploration has removed its first bucket."""
    results = journal.with_name("results.jsonl")
    if "cases-" in journal.parent.parent.name:
        return results.exists() and '"kind": "footer"' in results.read_text("utf-8")
    bucket = re.search(r'"create": "bucket", "bucket": "([^"]+)"', journal.read_text("utf-8"))
    return bucket is not None and f'"removed": "bucket", "bucket": "{bucket[1]}"' in journal.read_text("utf-8")


def test_ctrl_c_takes_back_what_a_cluster_has_not_begun_and_lets_the_rest_clean_up(canary, account, tmp_path):
    path, environment, _ = canary
    before, out = account.buckets(), tmp_path / "out"
    (tmp_path / "cluster").mkdir()
    with dask(tmp_path / "cluster", environment) as (address, _):
        process = begun_on(address, path, out, environment, pieces=4)
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=60)
        until = time.monotonic() + 60
        journals = list(out.glob("a/pieces/*/*/journal.jsonl"))
        while time.monotonic() < until and not all(map(cleaned_up, journals)):
            time.sleep(0.05)
    assert (process.returncode, "Traceback" in complained) == (130, False), complained
    assert re.search(r"^a +interrupted", said, re.MULTILINE)
    assert account.buckets() == before


def test_ctrl_c_ends_with_130_and_nothing_left(servers, account, tmp_path):
    before = account.buckets()
    path = fleet_file(tmp_path, f'[[endpoints]]\nname = "a"\ntarget = "{servers[0]}"\n')
    command = [BIN / "obs-conformance", "fleet", path, "--workers", "1", "--out", tmp_path / "out"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_sigint
    )
    while process.poll() is None and not list(tmp_path.glob("out/a/pieces/*/*/progress.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said, complained = process.communicate(timeout=60)
    assert (process.returncode, complained) == (130, "")
    assert re.search(r"^a +interrupted", said, re.MULTILINE)
    assert account.buckets() == before
