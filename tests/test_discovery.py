"""What the probes of a run leave behind: nothing, or what they name, and what sweep then removes."""

import re
import subprocess
import tomllib
from urllib.parse import parse_qsl, urlsplit

import pytest
from buckets import Account
from commands import BIN, Outcome, obs, reference_server
from middlebox import Middlebox, error


def no_customer_keys(seen, _):
    """On the way to an honest server: who brings a key is refused, as AWS refuses it in new buckets since 2026."""
    brings = seen.method == "PUT" and re.search(rb"\r\nx-amz-\S*customer-key:", seen.head, re.IGNORECASE)
    return error(403, "AccessDenied") if brings else None


class Busy:
    """On the way to an honest server: a bucket with an open upload cannot be deleted; ``stubborn``, nor is one aborted."""

    def __init__(self):
        self.open, self.stubborn = {}, False

    def instead(self, seen, _):
        parts = urlsplit(seen.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if seen.method != "DELETE":
            return None
        if self.stubborn and "uploadId" in query:
            return error(403, "AccessDenied")
        self.open.pop(query.get("uploadId"), None)
        deletes_bucket = parts.path.count("/") == 1 and not query
        return error(409, "BucketNotEmpty") if deletes_bucket and parts.path[1:] in self.open.values() else None

    def answer(self, seen, head, body):
        begun = re.search(rb"<Bucket>(.*?)</Bucket>.*?<UploadId>(.*?)</UploadId>", body, re.DOTALL)
        if seen.method == "POST" and begun:
            self.open[begun[2].decode()] = begun[1].decode()
        return head + body


@pytest.fixture
def busy(tmp_path):
    """A busy server's target file, in the S3 dialect, and what it does."""
    does = Busy()
    with reference_server(tmp_path) as (target, _):
        endpoint = tomllib.loads(target.read_text())["endpoint"]
        box = Middlebox(int(endpoint.rpartition(":")[2]), instead=does.instead, answer=does.answer)
        with box.running() as port:
            text = target.read_text().replace(endpoint, f"http://127.0.0.1:{port}")
            text = re.sub("^profile = .*$", 'profile = "obs-s3-2024"', text, flags=re.MULTILINE)
            target.write_text(text.replace('dialect = "obs"', 'dialect = "obs-s3"'))
            yield target, does


def run(target, out):
    return Outcome(obs("run", "--target", target, "--out", out, "--select", "KMS-PUT-001"), out)


def test_the_upload_that_a_probe_begins_does_not_keep_its_bucket(busy, tmp_path):
    target, _ = busy
    done = run(target, tmp_path / "out")
    assert done.rungs == {"KMS-PUT-001": "pass"}
    assert done.footer["cleanup"]["left"] == []
    account = Account(target)
    assert account.buckets() == set()
    account.close()


def test_an_upload_that_cannot_be_aborted_is_named_with_its_bucket_and_swept_later(busy, tmp_path):
    target, does = busy
    does.stubborn = True
    out = tmp_path / "out"
    done = run(target, out)
    bucket = f"obsc-{done.lines[1]['place']['bucket'].partition('-')[2]}-probe"
    assert done.rungs == {"KMS-PUT-001": "pass"}
    assert done.footer["cleanup"]["left"] == [f"{bucket}/parts", bucket]
    assert f"left behind on the target: 2 resources, among them {bucket}/parts, {bucket};" in done.stderr
    does.stubborn = False
    swept = obs("sweep", out, "--target", target)
    assert (swept.returncode, swept.stderr) == (0, "")
    assert "2 of 2 resources removed" in swept.stdout
    account = Account(target)
    assert account.buckets() == set()
    account.close()


def test_the_other_front_end_names_it_too_and_keeps_its_journal(busy, tmp_path):
    target, does = busy
    does.stubborn = True
    words = ("-p", "no:cacheprovider", "--pyargs", "conformance", "--obs-target", target, "-k", "PUT-001")
    done = subprocess.run([BIN / "pytest", *words], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    (journal,) = tmp_path.glob("obs-conformance-*.journal.jsonl")
    bucket = f"obsc-{journal.name.split('.')[0].rpartition('-')[2]}-probe"
    assert f"left behind on the target: {bucket}/parts, {bucket} (see {journal.name})" in done.stderr
    does.stubborn = False
    assert obs("sweep", journal, "--target", target).returncode == 0
    account = Account(target)
    assert account.buckets() == set()
    account.close()


@pytest.mark.parametrize(("dialect", "rung"), [("aws-s3", "not_applicable"), ("obs-s3", "fail")])
def test_what_a_dialect_lets_a_server_withhold_is_absent_there_and_a_failure_elsewhere(tmp_path, dialect, rung):
    with reference_server(tmp_path) as (target, _):
        settings = tomllib.loads(target.read_text())
        box = Middlebox(int(settings["endpoint"].rpartition(":")[2]), instead=no_customer_keys)
        with box.running() as port:
            text = target.read_text().replace(settings["endpoint"], f"http://127.0.0.1:{port}")
            text = re.sub("^profile = .*\n", "", text, flags=re.MULTILINE)
            target.write_text(text.replace('dialect = "obs"', f'dialect = "{dialect}"'))
            done = Outcome(
                obs("run", "--target", target, "--out", tmp_path / "out", "--select", "KMS-DEFAULT-034"),
                tmp_path / "out",
            )
    assert done.rungs == {"KMS-DEFAULT-034": rung}
    noted = [line for line in done.stdout.splitlines() if "capability sse-c" in line]
    assert len(noted) == (rung == "not_applicable")
    assert all("403 AccessDenied: buckets made since April 2026 take no customer keys" in line for line in noted)
