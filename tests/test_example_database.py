"""What one exploration found, another one plays first: over a folder, and over a Redis that both reach."""

import os
import re

import pytest
import redis_server
from commands import free_port, reference_server

PASSWORD = "canary-8e1f6d"
WRONG = ("explore", "--defect", "copy-forgets-encryption", "--only", "sequences", "--stop-after", "1")


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with redis_server.running(PASSWORD, tmp_path_factory.mktemp("redis") / "log") as port:
        yield port


def url(port, database, password=PASSWORD):
    return f"redis://:{password}@127.0.0.1:{port}/{database}"


def requests_until_found(command, seed, place, out):
    environment = {**os.environ, "EXAMPLES": place}
    done = command(*WRONG, "--seed", seed, "--database", "env:EXAMPLES", "--out", out / str(seed), env=environment)
    assert done.returncode == 1, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return int(re.search(r", (\d+) requests, 1 causes", done.stdout)[1])


@pytest.mark.parametrize("kind", ["folder", "redis"])
def test_what_one_exploration_found_another_one_plays_first(kind, redis, command, tmp_path):
    full, empty = (url(redis, 0), url(redis, 1)) if kind == "redis" else (str(tmp_path / "a"), str(tmp_path / "b"))
    searched = requests_until_found(command, 1, full, tmp_path)
    healthy = ("explore", "--only", "sequences", "--requests", "60", "--database", "env:EXAMPLES")
    assert command(*healthy, env={**os.environ, "EXAMPLES": full}).returncode == 0  # where nothing of it is wrong
    told = {requests_until_found(command, seed, full, tmp_path) for seed in (2, 3)}
    alone = requests_until_found(command, 3, empty, tmp_path)
    assert len(told) == 1, "whatever the seed, the same examples come first"
    assert max(told) < min(searched, alone)


def test_a_fleet_shares_examples_over_a_redis_whose_password_is_nowhere(redis, command, tmp_path):
    (tmp_path / "server").mkdir()
    with reference_server(tmp_path / "server", "--defect", "copy-forgets-encryption") as (target, _):
        path = tmp_path / "fleet.toml"
        path.write_text(
            f"""
database = "env:EXAMPLES"
[schedules.s]
cases = false
explore_seeds = 2
explore_requests = 100
explore_only = ["sequences"]
[defaults]
schedule = "s"
[[endpoints]]
name = "a"
target = "{target}"
[endpoints.limits]
requests_per_second = 1000
""",
            "utf-8",
        )
        environment = {**os.environ, "EXAMPLES": url(redis, 2)}
        # With this seed both find something within a hundred requests, so that neither takes a second turn, in which
        # Hypothesis would drop an example of what is no longer new.
        words = "--workers", "2", "--seed", "3", "--out", tmp_path / "out"
        done = command("fleet", path, *words, env=environment)
    assert done.returncode == 1, done.stderr + done.stdout
    assert list((tmp_path / "out" / "a" / "findings").glob("finding-*.yaml"))
    assert requests_until_found(command, 5, url(redis, 2), tmp_path) < requests_until_found(
        command, 5, url(redis, 3), tmp_path
    )
    written = b"".join(file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file())
    assert b"copy-object" in written
    assert PASSWORD.encode() not in written
    assert PASSWORD not in done.stdout + done.stderr


def test_a_redis_that_cannot_be_used_is_said_in_a_line_without_its_password(redis, command):
    for place, says in (
        (url(redis, 0, "canary-wrong"), f"no Redis can be used at 127.0.0.1:{redis}: invalid username-password pair"),
        (url(free_port(), 0), "no Redis can be used at 127.0.0.1:"),
        (url("none", 0), "is no URL; write redis://HOST:PORT/NUMBER"),
        (url(redis, 0, "canary/half"), "has an @ behind the host"),
        (url(redis, 0, "canary[half"), "is no URL; write redis://HOST:PORT/NUMBER"),
        (f"http://:{PASSWORD}@host/0", "'host/0' is no folder and no redis://"),
    ):
        done = command(*WRONG, "--database", "env:EXAMPLES", env={**os.environ, "EXAMPLES": place})
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert f"database: {says}" in done.stderr
        assert "canary" not in done.stdout + done.stderr
    done = command(*WRONG, "--database", url(redis, 0))
    assert (done.returncode, "--database holds a password" in done.stderr, PASSWORD in done.stderr) == (2, True, False)
    done = command(*WRONG, "--database", "env:EXAMPLES", env={**os.environ, "EXAMPLES": ""})
    assert (done.returncode, done.stderr) == (
        2,
        "obs-conformance: database: the environment variable EXAMPLES is not set\n",
    )
