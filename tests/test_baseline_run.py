"""Baselines from outside: what a known, new, changed, fixed or expired failure returns."""

import datetime as dt
import re
from types import SimpleNamespace

import pytest
from commands import reference_server

FAILING = ["KMS-URL-023", "KMS-URL-024", "KMS-URL-025"]


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    folders = [tmp_path_factory.mktemp(name) for name in ("broken", "honest")]
    with (
        reference_server(folders[0], "--defect", "expiry-not-checked") as (broken, _),
        reference_server(folders[1]) as (honest, _),
    ):
        yield SimpleNamespace(broken=broken, honest=honest)


@pytest.fixture
def select(conformance, tmp_path):
    def run(target, *arguments):
        return conformance("--no-doctor", "--target", target, "--select", "KMS-URL-02", *arguments)

    run.file = tmp_path / "known.yaml"
    run.write = ("--write-baseline", run.file, "--owner", "kim", "--link", "https://issues.example/7")
    return run


def test_the_first_run_writes_a_baseline_and_is_green_under_it(conformance, select, servers):
    outcome = conformance("--no-doctor", "--target", servers.broken, *select.write)
    assert outcome.code == 0
    assert [id_ for id_, rung in outcome.rungs.items() if rung == "fail"] == FAILING
    assert "known.yaml: 3 added, 0 changed, 0 removed" in outcome.stdout
    assert "Baseline: 3 known." in outcome.stdout
    assert "Not conformant: 3 of" in outcome.stdout
    assert (outcome.footer["conclusion"], outcome.footer["exit"]) == ("non-conformant", 0)
    assert [row["id"] for row in outcome.footer["baseline"]["rows"]] == FAILING
    assert {row["owner"] for row in outcome.footer["baseline"]["rows"]} == {"kim"}
    due = dt.date.today() + dt.timedelta(days=90)  # noqa: DTZ011 - the day of this place
    assert select.file.read_text().count(f"expires: {due}") == 3


def test_known_is_reported_and_not_red_while_everything_else_is(select, servers):
    assert select(servers.broken, *select.write).code == 3  # a selection alone is never conformant
    written = select.file.read_text()
    known = select(servers.broken, "--baseline", select.file)
    assert (known.code, known.stdout.count("fails as known (")) == (3, 3)
    assert "days left" in known.stdout

    one = re.search(r"- id: KMS-URL-024\n(?:  .*\n)+", written)[0]
    select.file.write_text("# kept\n" + written.replace(one, ""))
    new = select(servers.broken, "--baseline", select.file)
    assert new.code == 1
    assert "KMS-URL-024 fails and is not in the baseline: " in new.stdout

    print_ = re.search(r"[0-9a-f]{16}", one)[0]
    select.file.write_text(written.replace(print_, "0" * 16, 1))
    changed = select(servers.broken, "--baseline", select.file)
    assert changed.code == 1
    assert "fails in another way than the baseline says" in changed.stdout

    select.file.write_text(re.sub(r"expires: .*", "expires: 2026-01-01", written, count=1))
    expired = select(servers.broken, "--baseline", select.file)
    assert expired.code == 1
    assert re.search(r"KMS-URL-023 fails as known, but the baseline's day has passed \(.*owner kim;", expired.stdout)


def test_fixed_is_stale_until_it_is_written_out(select, servers):
    select(servers.broken, *select.write)
    select.file.write_text("# ours\n" + select.file.read_text() + "# the end\n")
    stale = select(servers.honest, "--baseline", select.file)
    assert stale.code == 1
    assert stale.stdout.count("does not fail any more: remove it from the baseline") == 3
    assert stale.footer["conclusion"] == "inconclusive"
    written = select(servers.honest, *select.write)
    assert "0 added, 0 changed, 3 removed" in written.stdout
    assert written.code == 3
    assert select.file.read_text().splitlines()[0] == "# ours"
    assert select.file.read_text().splitlines()[-1] == "# the end"
    assert "- id" not in select.file.read_text()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "known.yaml: cannot be read"),
        ("- id: X\n", "known.yaml, line 1: fingerprint is missing"),
    ],
)
def test_a_bad_baseline_is_a_usage_error_before_anything_is_played(select, servers, command, tmp_path, text, says):
    if text is not None:
        select.file.write_text(text)
    done = command("run", "--target", servers.honest, "--baseline", select.file, "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_writing_without_an_owner_is_a_usage_error(command, tmp_path):
    done = command(
        "run", "--write-baseline", tmp_path / "absent" / "b.yaml", "--owner", "kim", "--out", tmp_path / "out"
    )
    assert (done.returncode, list((tmp_path / "out").iterdir())) == (2, [])
    assert "--write-baseline cannot write it" in done.stderr
    done = command("run", "--write-baseline", tmp_path / "b.yaml")
    assert done.returncode == 2
    assert "--write-baseline needs --owner NAME" in done.stderr
