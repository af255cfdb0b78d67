"""Pieces of a fleet beside each other: their buckets, what one endpoint bears, and what is kept when one is spoilt."""

import contextlib
import json
import socket
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from buckets import Account
from commands import reference_server
from middlebox import Middlebox, UnderWay

from conformance import fleet_worker
from conformance.engines import LocalProcesses, WorkerLostError
from conformance.fleet import Run, Standing, pieces_of
from conformance.fleet_file import address_of, load_fleet
from conformance.fleet_worker import Piece, carry_out
from conformance.target import load_target

ADDRESS = "http://127.0.0.1:1"
OWNER = '[endpoints.identities.owner]\naccess_key = "env:A"\nsecret_key = "env:B"\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with reference_server(tmp_path_factory.mktemp("server")) as (target, _):
        yield target


def fleet_file(folder, text):
    path = folder / "fleet.toml"
    path.write_text(text, "utf-8")
    return path


def one_endpoint(folder, target, schedule, limits=""):
    """The fleet file of one endpoint, the endpoint, and its pieces for eight slots."""
    text = f'[schedules.s]\n{schedule}\n[defaults]\nschedule = "s"\n[[endpoints]]\nname = "a"\ntarget = "{target}"\n'
    path = fleet_file(folder, text + limits)
    (member,) = load_fleet(path).members
    return member, tuple(pieces_of(member, Piece(str(path), "", str(folder / "a"), "cases", seed=7), 8))


def entries(folder):
    for path in sorted(folder.rglob("journal.jsonl")):
        yield path, [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_pieces_begun_in_one_instant_have_buckets_of_their_own(server, tmp_path, monkeypatch):
    now = time.time()
    monkeypatch.setattr("conformance.world.time", SimpleNamespace(time=lambda: now))
    _, pieces = one_endpoint(tmp_path, server, 'shards = 2\nselect = ["KMS-SAMPLE-00"]')
    assert [carry_out(piece).code for piece in pieces] == [3, 3]
    made = [{entry["bucket"] for entry in found if "create" in entry} for _, found in entries(tmp_path / "a")]
    assert len(made) == 2
    assert all(made)
    assert not made[0] & made[1]


def test_what_a_lost_attempt_left_is_swept_as_politely_as_it_was_made(server, tmp_path, monkeypatch):
    """By a clock that only waiting moves on, and a middlebox that counts what is under way at once."""
    account, names, rate = Account(server), [f"o{number}" for number in range(12)], 20
    account.make("obsc-00000000ab", *names)
    upstream = int(account.target.endpoint.rpartition(":")[2])
    clock, lock, under_way = [0.0], threading.Lock(), UnderWay()

    def wait(seconds):
        with lock:
            clock[0] += seconds

    monkeypatch.setattr("conformance.polite.time", SimpleNamespace(monotonic=lambda: clock[0], sleep=wait))

    with Middlebox(upstream, instead=under_way.begun, answer=under_way.ended).running() as port:
        target = tmp_path / "target.toml"
        target.touch(mode=0o600)
        target.write_text(server.read_text().replace(f":{upstream}", f":{port}"))
        limits = f"[endpoints.limits]\nconnections = 1\nrequests_per_second = {rate}\n"
        _, (piece,) = one_endpoint(tmp_path, target, "", limits)
        lost = tmp_path / "a" / "pieces" / piece.name / "attempt-x"
        lost.mkdir(parents=True)
        lines = [
            {"endpoint": f"http://127.0.0.1:{port}"},
            {"create": "bucket", "bucket": "obsc-00000000ab", "name": ""},
            *({"create": "object", "bucket": "obsc-00000000ab", "name": name} for name in names),
        ]
        (lost / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        outcome = carry_out(replace(piece, kind="sweep", parts=(piece.name,)))
    assert (outcome.code, outcome.left) == (0, ())
    assert "obsc-00000000ab" not in account.buckets()
    account.close()
    assert under_way.most == 1
    assert clock[0] >= len(names) / rate - 1e-6


def twice(limits):
    entry = f'[[endpoints]]\nname = "%s"\nendpoint = "{ADDRESS}"\n{OWNER}[endpoints.limits]\n{limits}\n'
    return entry % "a" + entry % "b"


def test_endpoints_of_one_address_share_what_it_bears(tmp_path):
    text = twice("connections = 5\nrequests_per_second = 30\nwrong_signature_s = 2")
    other = f'[[endpoints]]\nname = "c"\nendpoint = "{ADDRESS}0"\n{OWNER}[endpoints.limits]\nconnections = 5\n'
    members = load_fleet(fleet_file(tmp_path, text + other)).members
    assert [(one.limits.connections, one.limits.requests_per_second) for one in members] == [(2, 15), (2, 15), (5, 0)]
    assert [one.limits.wrong_signature_s for one in members] == [2, 2, 0]
    assert members[0].address == members[1].address != members[2].address


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("http://OBS.Example.com", "http://obs.example.com"),
        ("HTTP://obs.example.com:80/", "http://obs.example.com"),
        ("https://obs.example.com:443", "https://obs.example.com"),
        ("https://obs.example.com:80", "https://obs.example.com:80"),
        ("http://[2001:DB8::1]:8080", "http://[2001:db8::1]:8080"),
    ],
)
def test_an_address_is_the_same_however_it_is_spelt(endpoint, address):
    assert address_of(endpoint) == address


def test_limits_and_turns_know_an_address_alike(tmp_path, monkeypatch):
    """Two spellings of one address: half of the connections each, and one file to take turns over."""
    monkeypatch.setenv("A", "access")
    monkeypatch.setenv("B", "secret")
    turns = set()

    @contextlib.contextmanager
    def shared_turn(path, _):
        turns.add(path)
        yield

    def forges(campaign, *_, **__):
        with campaign._turns._gate():
            return 0

    monkeypatch.setattr(fleet_worker, "shared_turn", shared_turn)
    monkeypatch.setattr(fleet_worker, "play_run", forges)
    entry = '[[endpoints]]\nname = "%s"\nendpoint = "%s"\n' + OWNER + "[endpoints.limits]\nconnections = 4\n"
    path = fleet_file(tmp_path, entry % ("a", "http://LOCALHOST:80") + entry % ("b", "http://localhost"))
    members = load_fleet(path).members
    assert [member.limits.connections for member in members] == [2, 2]
    for member in members:
        assert carry_out(Piece(str(path), member.name, str(tmp_path / member.name), "cases")).code == 0
    assert len(turns) == 1


def test_endpoints_of_one_address_need_a_connection_each(command, tmp_path):
    done = command("fleet", fleet_file(tmp_path, twice("connections = 1")))
    assert done.returncode == 2
    assert f"endpoint b: limits.connections: 1 for {ADDRESS}, which 2 endpoints share; write at least 2" in done.stderr


def test_a_lost_exploration_takes_nothing_from_the_cases(server, tmp_path):
    class Losing(LocalProcesses):
        def submit(self, function, /, *arguments):
            future = super().submit(function, *arguments)
            if arguments[0].kind == "explore":
                future.result()
                future = type(future)()
                future.set_exception(WorkerLostError("lost"))
            return future

    schedule = 'select = ["KMS-SAMPLE-00"]\nexplore_seeds = 1\nexplore_requests = 2'
    member, pieces = one_endpoint(tmp_path, server, schedule)
    engine = Losing(1, 1)
    try:
        standing = Standing(member, tmp_path / "a", pieces)
        Run([standing], engine, attempts=1, tick=lambda _: None).play()
    finally:
        engine.close()
    assert standing.code == 3
    assert "explore-1 lost its worker 1 times" in standing.says
    assert "MUST clauses exercised" in standing.says
    assert (tmp_path / "a" / "report.html").exists()


def test_what_the_suite_throws_is_said_without_secrets_on_every_engine(server, tmp_path, monkeypatch):
    secret = load_target(server).identities["owner"].secret_key

    def throws(*_):
        raise ValueError(f"bad {secret}")

    monkeypatch.setattr(fleet_worker, "make_plan", throws)
    _, (piece,) = one_endpoint(tmp_path, server, "")
    outcome = carry_out(piece)
    assert outcome.code == 3
    assert "ValueError" in outcome.says
    assert secret not in outcome.says


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("redis://user:canary@host/0", 'database: holds a password; write "env:NAME"'),
        ("redis://:canary/x@host/0", "database: has an @ behind the host; if it ends a password, write / as %2F"),
        ("redis://:canary?x@host/0", "database: has an @ behind the host"),
        ("http://:canary#x@host/0", "database: has an @ behind the host"),
        ("redis://host/0?password=canary", 'database: holds a password; write "env:NAME"'),
        ("redis://[::1", "database: is no URL; write redis://HOST:PORT/NUMBER"),
        ("redis://host:canary/0", "database: is no URL"),
        ("http://host", "database: 'http://host' is no folder and no redis://; write one"),
        ("env:NOT_SET", "database: the environment variable NOT_SET is not set"),
    ],
)
def test_the_place_of_examples_is_checked_and_never_holds_a_password(command, server, tmp_path, place, says):
    text = f'database = "{place}"\n[[endpoints]]\nname = "a"\ntarget = "{server}"\n'
    done = command("fleet", fleet_file(tmp_path, text), "--workers", "1", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert says in done.stderr
    assert "canary" not in done.stdout + done.stderr
    assert done.stderr.count("\n") == 1


def test_a_connection_ends_with_its_thread(server, monkeypatch):
    """Otherwise clean-up, which has threads of its own, would go beyond what the endpoint bears."""
    opened, connect = [], socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda *of: opened.append(connect(*of)) or opened[-1])
    account, seen = Account(server), []
    for _ in range(3):
        asking = threading.Thread(target=lambda: seen.append(account.send("GET").status))
        asking.start()
        asking.join()
    assert seen == [200, 200, 200]
    assert [connection.fileno() == -1 for connection in opened] == [True, True, False]
    account.close()
    assert opened[-1].fileno() == -1


def test_pieces_take_turns_at_the_key_whose_state_changes(server, tmp_path, monkeypatch):
    """Every case of a shard or an exploration that disables the one key there is for it waits for the same turn."""
    entered = []

    def turn(path, _spacing):
        entered.append(path)
        return contextlib.nullcontext()

    monkeypatch.setattr(fleet_worker, "shared_turn", turn)
    words = 'explore_seeds = 1\nexplore_requests = 60\nexplore_only = ["key-states"]\nselect = ["KMS-STATE-00"]'
    _, pieces = one_endpoint(tmp_path, server, words, "[endpoints.limits]\nrequests_per_second = 2000\n")
    counts = []
    for piece in pieces:
        before = len(entered)
        assert carry_out(piece).attempt
        counts.append(sum(path.name.startswith("switched-key-") for path in entered[before:]))
    played, drawn = counts
    assert (played, drawn > 0) == (9, True)
    assert len({path for path in entered if path.name.startswith("switched-key-")}) == 1
