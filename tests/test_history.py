"""The history from outside: the installed commands over a store, and what they say of files that are not as they should be."""

import contextlib
import json
import sqlite3
import subprocess
import sys

import alembic.command
import alembic.config
import postgresql
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from commands import ROOT, obs

from reports.history import queries
from reports.history.store import open_store
from reports.history.summaries import Summary, fold
from reports.history.tables import METADATA, RESULTS, RUNS, SUMMARIES
from reports.tests import samples

LONG = "<Error>" + "x" * 600 + "</Error>"


def run_file(folder, day, rung="fail", *, verdict="broken", name="Example", version="1.2.3", body="hello"):
    """A results file of a day of January 2024 in which one case has a rung."""
    records = samples.run()
    records[0]["started"] = f"2024-01-{day:02}T03:04:05Z"
    records[0]["target"]["name"] = name
    records[0]["suite"]["version"] = version
    records[1]["rung"] = rung
    records[1]["exchanges"][0]["received"]["body"] = body
    records[-1]["clauses"]["K-1"]["verdict"] = verdict
    return samples.write(folder / f"{name}-{day}.jsonl", records)


@pytest.fixture(scope="module")
def database():
    """Makes an empty database of PostgreSQL."""
    with postgresql.running() as make:
        yield make


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def ask(request, tmp_path):
    """Asks the history in a store of its own, in either kind."""
    url = str(tmp_path / "h.db")
    if request.param == "PostgreSQL":
        url = request.getfixturevalue("database")()
        open_store(url, str(tmp_path / "evidence")).close()

    def ask(*arguments):
        done = obs("history", *arguments, "--store", url, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        return (
            json.loads(done.stdout)
            if arguments[0] != "add"
            else [json.loads(line) for line in done.stdout.splitlines()]
        )

    return ask


def contents(store):
    """Every row of every table, and every file of the evidence."""
    with store.reading() as connection:
        rows = {table.name: connection.execute(sa.select(table)).all() for table in METADATA.sorted_tables}
    system, root = store.vault._system, store.vault._root
    return rows, {path: system.cat_file(path) for path in system.find(root)} if system.exists(root) else {}


def test_the_installed_command_adds_and_answers_in_columns(command, tmp_path):
    path = run_file(tmp_path, 2)
    added = command("history", "add", path, "--store", "h.db")
    assert (added.returncode, added.stderr) == (0, "")
    assert added.stdout.endswith("  9 cases, added\n")
    told = command("history", "first-failing", "put-1/kms", "--store", "h.db")
    assert "put-1/kms" in told.stdout
    assert added.stdout[:12] in told.stdout


def test_the_same_run_twice_changes_nothing(tmp_path):
    store = open_store(str(tmp_path / "h.db"))
    path = run_file(tmp_path, 2)
    first = store.add(path)
    before = contents(store)
    again = store.add(path)
    assert (first.new, again.new, first.digest) == (True, False, again.digest)
    assert contents(store) == before
    store.close()


def test_questions_about_twelve_runs(ask, tmp_path):
    rungs = ["pass", "pass", "fail", "pass", "fail", "fail", "pass", "fail", "pass", "pass", "fail", "fail"]
    files = [
        run_file(tmp_path, day, rung, verdict="broken" if rung == "fail" else "holds")
        for day, rung in enumerate(rungs, start=1)
    ]
    digests = [row["run"] for row in ask("add", *files)]
    assert [row["verdict"] for row in ask("trend", "K-1")] == [
        "broken" if rung == "fail" else "holds" for rung in rungs
    ]
    (first,) = ask("first-failing", "put-1/kms", "--endpoint", "Example")
    assert (first["first_failed_run"], first["since_run"]) == (digests[2], digests[10])
    assert [(row["case"], row["judged"], row["flips"]) for row in ask("flip-flops")] == [("put-1/kms", 12, 7)]
    assert ask("changed", digests[0][:10], digests[2][:10]) == [{"case": "put-1/kms", "old": "pass", "new": "fail"}]
    assert ask("changed", digests[2], digests[4]) == []
    assert [row["digest"] for row in ask("runs")] == digests[::-1]
    assert {row["case"] for row in ask("slowest")} == {"put-1/kms", "c-pass", "c-warn", "c-observed"}


def test_nine_runs_are_too_few_for_flip_flops(ask, tmp_path):
    ask("add", *(run_file(tmp_path, day, "fail" if day % 2 else "pass") for day in range(1, 10)))
    assert ask("flip-flops") == []


def test_what_changed_between_two_versions_and_two_endpoints(ask, tmp_path):
    ask("add", run_file(tmp_path, 1, "pass", version="1.0.0"), run_file(tmp_path, 2, "fail", version="1.1.0"))
    ask("add", run_file(tmp_path, 3, "warn", name="Other"))
    assert ask("changed", "@1.0.0", "@1.1.0") == [{"case": "put-1/kms", "old": "pass", "new": "fail"}]
    assert ask("changed", "Example", "Other") == [{"case": "put-1/kms", "old": "fail", "new": "warn"}]


def test_a_run_that_comes_late_gives_what_it_would_have_given_in_order(tmp_path):
    files = [run_file(tmp_path, day, "fail" if day in {2, 3} else "pass") for day in range(1, 6)]
    answers = []
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 3, 1]):
        store = open_store(str(tmp_path / f"{order[0]}.db"))
        for number in order:
            store.add(files[number])
        with store.reading() as connection:
            answers.append((queries.first_failing(connection, "put-1/kms"), queries.endpoints(connection)))
        store.close()
    assert answers[0] == answers[1]
    assert answers[0][0][0]["flips"] == 2


@pytest.mark.parametrize("where", ["memory", "folder"])
def test_evidence_comes_back_whole_and_long_texts_are_stored_once(tmp_path, where):
    location = f"memory://{tmp_path.name}" if where == "memory" else str(tmp_path / "evidence")
    store = open_store(str(tmp_path / "h.db"), location)
    files = [run_file(tmp_path, day, body=LONG) for day in (1, 2)]
    digests = [store.add(path).digest for path in files]
    for path, digest in zip(files, digests, strict=True):
        with store.reading() as connection:
            place = queries.place(connection, digest, "put-1/kms")
        line = json.loads(path.read_text("utf-8").splitlines()[1])
        assert store.vault.case(digest, place["at"], place["size"]) == line
    _, kept = contents(store)
    assert sum("/texts/" in path for path in kept) == 1
    assert sum("/runs/" in path for path in kept) == 2
    store.close()


def test_what_the_migrations_make_in_postgresql_is_what_the_tables_say(database, tmp_path):
    store = open_store(database(), str(tmp_path / "evidence"))
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    store.close()


def test_two_who_add_at_once_to_postgresql_both_add(database, tmp_path):
    url = database()
    open_store(url, str(tmp_path / "evidence")).close()
    files = [run_file(tmp_path, day) for day in (1, 2)]
    adding = [
        subprocess.Popen([sys.executable, "-m", "conformance", "history", "add", path, "--store", url])
        for path in files
    ]
    assert [process.wait(60) for process in adding] == [0, 0]
    store = open_store(url)
    with store.reading() as connection:
        assert len(queries.runs(connection)) == 2
    store.close()


def damaged(how):
    """A results file with something wrong with it, and what has to be said."""
    header, first, *rest = (json.dumps(record) + "\n" for record in samples.run())
    case = json.loads(first)
    with_case = lambda **changes: [header, json.dumps(case | changes) + "\n", *rest]  # noqa: E731 - a table's word
    return {
        "interrupted": (
            [header, first, *rest[:-1], rest[-1].replace("non-conformant", "interrupted")],
            "did not finish",
        ),
        "planned and not there": ([header, *rest], "1 of 9 planned cases have no result, first 'put-1/kms'"),
        "digits": (with_case(duration_ms=10**400), "case.duration_ms is a number with too many digits"),
        "deep last line": ([header, first, *rest[:-1], '{"kind": "footer", "x": ' + "[" * 100_000], "did not finish"),
        "deep member": ([header, json.dumps(case)[:-1] + ', "x": ' + "[" * 101 + "]" * 101 + "}\n", *rest], "too deep"),
        "kind of no kind": ([header, first, '{"kind": []}\n', *rest], "unknown kind of line: []"),
        "escapes twice": ([header, *with_case(id="\x1b[2J")[1:2] * 2, *rest], r"second result for case '\x1b[2J'"),
        "no footer": ([header, first, *rest[:-1]], "did not finish"),
        "newer format": ([header.replace('"format": 1', '"format": 99'), first, *rest], "unknown format version: 99"),
        "not json": ([header, first, "{]\n", *rest], "not JSON"),
        "empty": ([], "header is missing"),
        "case twice": ([header, first, first, *rest], "second result"),
        "wrong deep inside": (with_case(exchanges=[{"step": 1}]), "exchanges"),
        "nan": (with_case(duration_ms=float("nan")), "no duration"),
        "id without end": (with_case(id="x" * 400), "longer than 300"),
        "id with a line feed": (with_case(id="a\nb"), "cannot be printed"),
        "no time": ([header.replace("2024-01-02T03:04:05Z", "soon"), first, *rest], "header.started is no time"),
        "nested": ([header, first, "[" * 100_000 + "\n", *rest], "not JSON"),
        "binary": ([header, "\x00\x01\udcff\n", *rest], "not JSON"),
    }[how]


@pytest.mark.parametrize(
    "how",
    ["interrupted", "planned and not there", "no footer", "newer format", "not json", "empty", "case twice",
     "wrong deep inside", "nan", "id without end", "id with a line feed", "digits", "deep last line", "deep member",
     "kind of no kind", "escapes twice", "no time", "nested", "binary"],
)  # fmt: skip
def test_a_damaged_file_gives_one_line_and_leaves_nothing(tmp_path, how):
    lines, said = damaged(how)
    path = tmp_path / "bad.jsonl"
    path.write_text("".join(lines), "utf-8", errors="surrogateescape")
    store = open_store(str(tmp_path / "h.db"))
    before = contents(store)
    done = obs("history", "add", path, "--store", tmp_path / "h.db")
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.endswith("\n")
    assert done.stderr[:-1].isprintable()
    assert contents(store) == before
    store.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["runs", "--store", "postgresql://me:hidden@h/x"], "env:NAME"),
        (["runs", "--store", "postgresql://h/x?password=hidden"], "env:NAME"),
        (["runs", "--store", "postgresql://h/x?sslpassword=hidden"], "env:NAME"),
        (["runs", "--store", "postgresql://h/x?passfile=hidden"], "env:NAME"),
        (["runs", "--store", "env:NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE"),
        (["runs", "--store", "nosuch://x/y"], "does not serve"),
        (["runs", "--store", "sqlite://"], "needs a file"),
        (["add", "x", "--store", "/dev/null/x/h.db"], "no store can be kept in /dev/null/x: Not a directory"),
        (["add", "x", "--store", "sqlite:///h.db?timeout=abc"], "does not serve: could not convert"),
        (["runs", "--store", "h.db", "--evidence", "ftp://me:hidden@h/x"], "--evidence has a password"),
        (["runs", "--store", "h.db", "--evidence", "nosuch://x"], "no evidence can be kept"),
        (["runs", "--store", "h.db", "--evidence", "FTP://me:hidden@h/x"], "--evidence has a password"),
        (["runs", "--store", "h.db", "--evidence", "simplecache::ftp://me:hidden@h/x"], "--evidence has a password"),
        (["runs", "--store", "h.db", "--evidence", "/dev/null/x"], "no evidence can be kept"),
        (["changed", "abcdef", "@9", "--store", "h.db"], "no run is meant by 'abcdef'"),
        (["add", "nowhere.jsonl", "--store", "h.db"], "cannot be read"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line_without_the_password(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "changed":
        open_store("h.db").close()
    done = obs("history", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
    assert "hidden" not in done.stderr
    assert not any(b"hidden" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("place", ["nosuch://x", "/dev/null/x", "ftp://me:hidden@h/x"])
def test_a_place_of_evidence_that_is_none_is_not_remembered(tmp_path, place):
    assert obs("history", "runs", "--store", tmp_path / "h.db", "--evidence", place).returncode == 2
    done = obs("history", "add", run_file(tmp_path, 1), "--store", tmp_path / "h.db")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_store_that_is_not_there_is_made_by_what_adds_and_by_no_question(tmp_path):
    store = tmp_path / "typo.db"
    done = obs("history", "runs", "--store", store)
    assert (done.returncode, store.exists()) == (2, False)
    assert f"there is no store at {store}; history add and serve make one" in done.stderr


def test_the_folder_of_a_fleet_means_its_endpoints_and_one_without_results_is_left_out_aloud(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "fleet" / name).mkdir(parents=True)
        run_file(tmp_path, 1, name=name).rename(tmp_path / "fleet" / name / "results.jsonl")
    (tmp_path / "empty").mkdir()
    done = obs("history", "add", tmp_path / "fleet", tmp_path / "empty", "--store", tmp_path / "h.db")
    assert (done.returncode, done.stdout.count(", added")) == (0, 2)
    assert done.stderr == f"{tmp_path / 'empty'}: holds no results.jsonl; left out\n"
    done = obs("history", "add", tmp_path / "empty", "--store", tmp_path / "h.db")
    assert (done.returncode, "no results to add" in done.stderr) == (2, True)


def test_who_only_asks_does_not_wait_for_who_adds(command, tmp_path):
    open_store(str(tmp_path / "h.db")).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "h.db", isolation_level=None)) as adding:
        adding.execute("BEGIN IMMEDIATE")
        done = command("history", "runs", "--store", "h.db", timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "none\n", "")


def test_a_store_that_does_not_serve_is_named_by_scheme_host_and_database_alone(tmp_path, monkeypatch):
    query = f"host={tmp_path}&password=hidden1&sslpassword=hidden2&bogus=hidden1"
    monkeypatch.setenv("HISTORY", f"postgresql://me:hidden3@there.example/runs?{query}")
    done = obs("history", "runs", "--store", "env:HISTORY")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "the store postgresql+psycopg://there.example/runs does not serve" in done.stderr
    assert "hidden" not in done.stderr


def test_a_store_of_a_newer_version_is_left_alone(tmp_path):
    store = open_store(str(tmp_path / "h.db"))
    with store.engine.begin() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    store.close()
    done = obs("history", "runs", "--store", tmp_path / "h.db")
    assert done.returncode == 2
    assert "newer version" in done.stderr


def migrated_to(revision, engine):
    """Tables as an older version of the program made them."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(ROOT / "reports" / "history" / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_a_store_of_the_first_version_is_brought_up_to_date_and_holds_large_packs(request, tmp_path, kind):
    url = f"sqlite:///{tmp_path / 'h.db'}" if kind == "SQLite" else request.getfixturevalue("database")()
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    migrated_to("0001", engine)
    engine.dispose()
    store = open_store(url, str(tmp_path / "evidence"))
    digest = store.add(run_file(tmp_path, 1)).digest
    with store.engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        connection.execute(sa.update(RESULTS).values(at=5 << 30))
        assert queries.place(connection, digest, "put-1/kms")["at"] == 5 << 30
    store.close()


def test_runs_beyond_the_first_300_are_told_of_and_are_in_json(tmp_path):
    store = open_store(str(tmp_path / "h.db"))
    digest = store.add(run_file(tmp_path, 1)).digest
    with store.engine.begin() as connection:
        row = dict(connection.execute(sa.select(RUNS)).mappings().one())
        rows = [row | {"id": number, "digest": f"{number:064}"} for number in range(2, 303)]
        connection.execute(sa.insert(RUNS), rows)
    store.close()
    told = obs("history", "runs", "--store", tmp_path / "h.db").stdout.splitlines()
    assert (len(told), told[-1]) == (302, "and 2 more, which --json shows")
    answer = json.loads(obs("history", "runs", "--store", tmp_path / "h.db", "--json").stdout)
    assert len(answer) == 302
    assert digest in {run["digest"] for run in answer}


def test_files_go_in_as_their_runs_started_and_what_is_none_comes_last(tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n", "utf-8")
    files = [run_file(tmp_path, day) for day in (3, 1, 2)]
    done = obs("history", "add", bad, *files, "--store", tmp_path / "h.db")
    assert done.returncode == 2
    assert "bad.jsonl" in done.stderr
    assert [line.rpartition("-")[2] for line in done.stdout.splitlines()] == ["1.jsonl", "2.jsonl", "3.jsonl"]


def test_without_the_extra_the_command_names_it(tmp_path):
    script = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "from conformance.cli import main; sys.exit(main(['history', 'runs', '--store', 'h.db']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    assert "pip install 'obs-conformance[history]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_migrations_make_the_tables_that_the_queries_know(tmp_path):
    store = open_store(str(tmp_path / "h.db"))
    with store.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    store.close()


def test_what_judges_nothing_neither_flips_nor_ends_a_row():
    summary = Summary()
    for run, rung in enumerate(["pass", "blocked", "pass", "fail", "not_run", "fail", "warn"], start=1):
        summary = fold(summary, run, rung, 2.0)
    assert summary == Summary(5, 2, "warn", 7, 4, 10.0, 2.0)


def test_a_large_run_goes_in_batch_by_batch(tmp_path):
    records = samples.run()
    cases = [samples.case(f"c-{number}") for number in range(1200)]
    records[0]["planned"] = [case["id"] for case in cases]
    path = samples.write(tmp_path / "large.jsonl", [records[0], *cases, records[-1]])
    store = open_store(str(tmp_path / "h.db"))
    assert store.add(path).cases == 1200
    with store.reading() as connection:
        for table in (RESULTS, SUMMARIES):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 1200
    store.close()
