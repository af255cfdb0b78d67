"""The second face: the same cases in the S3 dialect, in process, over sockets, judged again, and at half-built ones."""

import json
import socket

import pytest
import yaml
from commands import obs, reference_server
from half_built import half_built_server

from conformance import dialectfile, translation
from conformance.casefile import LIBRARY_ROOT, load_library
from conformance.discovery import Discovery, absent
from conformance.doctor import code_of
from conformance.journal import Journal
from conformance.selftest import play_in_process
from conformance.transport import open_transport
from conformance.vocabulary import CaseError, Identity, Response, Target
from conformance.world import World
from reference_server.service import HONEST

LIBRARY = load_library()
DIALECTS = ("obs-s3", "aws-s3")
S3 = dialectfile.load_dialect("obs-s3")
AWS = dialectfile.load_dialect("aws-s3")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_bundled_server_passes_every_case_of_the_dialect(dialect):
    campaign, results, cleaned = play_in_process(LIBRARY, HONEST, dialect=dialect)
    rungs = {result.case.id: (result.rung, result.reason) for result in results}
    wrong = {id_: said for id_, said in rungs.items() if said[0] not in {"pass", "observed", "not_applicable"}}
    assert wrong == {}
    assert sum(rung == "pass" for rung, _ in rungs.values()) > 320
    assert cleaned.left == ()
    skipped = {id_.partition("/")[0] for id_, said in rungs.items() if said[0] == "not_applicable"}
    assert skipped <= set(campaign.target.spoken.without)


@pytest.fixture(scope="module")
def s3_run(tmp_path_factory):
    """A run over sockets in the S3 dialect, as a user would make it."""
    folder = tmp_path_factory.mktemp("s3")
    with reference_server(folder) as (target, _):
        text = target.read_text().replace('dialect = "obs"', 'dialect = "obs-s3"')
        target.write_text(text.replace('profile = "sse-kms-2024-01"', 'profile = "obs-s3-2024"'))
        chosen = (
            "--select",
            "KMS-PUT-00",
            "--select",
            "KMS-DEFAULT-00",
            "--select",
            "KMS-URL-0",
            "--select",
            "KMS-FORM",
        )
        done = obs("run", "--target", target, "--out", folder, "--jobs", "2", *chosen)
    return done, folder


def cases_of(folder):
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text("utf-8").splitlines()]
    return lines[0], {line["id"]: line for line in lines if line["kind"] == "case"}


def test_results_show_the_bytes_of_the_wire_and_clauses_as_in_obs(s3_run):
    header, cases = cases_of(s3_run[1])
    assert {case["rung"] for case in cases.values()} <= {"pass", "observed"}
    assert header["target"]["dialect"] == "obs-s3"
    sent = cases["KMS-PUT-001"]["exchanges"][0]["sent"]["head"]
    received = cases["KMS-PUT-001"]["exchanges"][0]["received"]["head"]
    assert "x-amz-server-side-encryption: aws:kms" in sent
    assert "x-obs-" not in sent + received
    assert "arn:aws:kms:" in received
    assert "SSEKMS-S44" in cases["KMS-PUT-001"]["cites"]


def test_no_signature_of_the_dialect_stays_in_results(s3_run):
    text = (s3_run[1] / "results.jsonl").read_text()
    for mark in ("Signature=", 'name=\\"x-amz-signature\\"\\r\\n\\r\\n'):
        shown = {piece[:64] for piece in text.split(mark)[1:]}
        assert shown
        assert {piece for piece in shown if not piece.startswith("*")} <= {'"'} | {
            piece for piece in shown if piece[:1] in "\"'\\{"
        }


def test_results_of_the_dialect_are_judged_again_bit_for_bit(s3_run, tmp_path):
    results = s3_run[1] / "results.jsonl"
    done = obs("rejudge", results, "--out", tmp_path / "again.jsonl")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "again.jsonl").read_bytes() == results.read_bytes()


@pytest.mark.parametrize("name", ["x-obs-server-side-encryption", "x-obs-server-side-encryption-kms-key-id"])
def test_names_are_exchanged_with_their_letter_case(name):
    wire = translation.name_sent(S3, name)
    assert translation.name_sent(S3, name.upper()) == wire.upper()
    assert translation.header_answered(S3, wire.title(), "x") == (name, "x")


@pytest.mark.parametrize(
    ("ours", "wire"),
    [
        ("x-obs-server-side-encryption:kms", "x-amz-server-side-encryption:aws:kms"),
        ("x-obs-server-side-encryption: aws:kms", "x-amz-server-side-encryption: kms"),
        ("x-obs-server-side-encryption: AES256", "x-amz-server-side-encryption: AES256"),
        (
            "x-obs-server-side-encryption-kms-key-id: r:d:key/k",
            "x-amz-server-side-encryption-aws-kms-key-id: arn:aws:kms:r:d:key/k",
        ),
        ("x-obs-meta-colour: kms", "x-amz-meta-colour: kms"),
        ("Content-Type: kms", "Content-Type: kms"),
    ],
)
def test_header_lines_are_translated(ours, wire):
    assert translation.header_line(S3, ours) == wire


def test_a_policy_comes_back_as_it_was():
    policy = {
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": {"ID": ["domain/d:user/u"]},
                "Action": "PutObject",
                "Resource": ["b/*"],
                "Condition": {"StringNotEquals": {"x-obs-server-side-encryption": "kms"}},
            }
        ]
    }
    wire = json.loads(translation.document_sent(S3, json.dumps(policy).encode()))
    assert wire == {
        "Version": "2008-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": {"AWS": ["arn:aws:iam::d:user/u"]},
                "Action": "s3:PutObject",
                "Resource": ["arn:aws:s3:::b/*"],
                "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
            }
        ],
    }
    assert json.loads(translation.document_answered(S3, json.dumps(wire).encode())) == policy
    aws = json.loads(translation.document_sent(AWS, json.dumps(policy).encode()))
    assert aws == {**wire, "Version": "2012-10-17"}


def test_a_malformed_document_stays_malformed():
    assert translation.document_sent(S3, b"<Rule><SSEAlgorithm>kms</Rule>") == b"<Rule><SSEAlgorithm>aws:kms</Rule>"
    assert translation.document_sent(S3, b'{"Statement": [') == b'{"Statement": ['


def test_the_words_of_obs_on_the_wire_are_wrong_in_the_dialect():
    assert translation.header_answered(S3, "x-amz-server-side-encryption", "kms")[1] == "aws:kms"
    assert translation.key_answered(S3, "r:d:key/k") == "arn:aws:kms:r:d:key/k"


def refused(code, message="m", status=404):
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    return Response(status, "", (), body)


def test_codes_and_refusals_that_count_as_equal():
    code = "ServerSideEncryptionConfigurationNotFoundError"
    assert code_of(translation.answer(AWS, refused(code), content=False)) == "NoSuchEncryptionConfiguration"
    assert code_of(translation.answer(S3, refused(code), content=False)) == code
    said = translation.answer(AWS, refused("AccessDenied", "Invalid according to Policy: x", 403), content=True)
    assert (said.status, code_of(said)) == (400, "InvalidPolicyDocument")
    plain = translation.answer(AWS, refused("AccessDenied", "Access Denied", 403), content=True)
    assert (plain.status, code_of(plain)) == (403, "AccessDenied")
    unsigned = "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4."
    said = translation.answer(AWS, refused("InvalidArgument", unsigned, 400), content=True)
    assert (said.status, code_of(said)) == (403, "AccessDenied")
    other = translation.answer(AWS, refused("InvalidArgument", "Unknown metadata directive.", 400), content=True)
    assert (other.status, code_of(other)) == (400, "InvalidArgument")


def test_the_bytes_of_an_object_are_nobodys_words():
    body = b"<Error><Code>NotImplemented</Code></Error>"
    assert translation.answer(S3, Response(200, "", (), body), content=True).body == body


def test_a_dialect_with_an_unknown_source_is_refused(tmp_path):
    (tmp_path / "dialects").mkdir()
    text = (LIBRARY_ROOT / "dialects" / "obs-s3.yaml").read_text()
    (tmp_path / "dialects" / "obs-s3.yaml").write_text(
        text.replace("wire: x-amz-, source: sse", "wire: x-amz-, source: ss")
    )
    (tmp_path / "dialect.schema.json").write_text((LIBRARY_ROOT / "dialect.schema.json").read_text())
    with pytest.raises(CaseError, match=r"obs-s3.yaml:\d+:\d+: unknown source 'ss'; did you mean 'sse'"):
        dialectfile.load_dialect("obs-s3", tmp_path)


def test_each_of_several_sources_has_to_be_listed(tmp_path):
    (tmp_path / "dialects").mkdir()
    text = (LIBRARY_ROOT / "dialects" / "obs-s3.yaml").read_text()
    (tmp_path / "dialects" / "obs-s3.yaml").write_text(text.replace("source: [policy, sse]", "source: [policy, sie]"))
    (tmp_path / "dialect.schema.json").write_text((LIBRARY_ROOT / "dialect.schema.json").read_text())
    with pytest.raises(CaseError, match=r"obs-s3.yaml:\d+:\d+: unknown source 'sie'; did you mean 'sse'"):
        dialectfile.load_dialect("obs-s3", tmp_path)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_source_of_a_dialect_is_idle(dialect):
    file = yaml.safe_load((LIBRARY_ROOT / "dialects" / f"{dialect}.yaml").read_text("utf-8"))

    def cited(value):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if key == "source":
                yield from [item] if isinstance(item, str) else item
            elif isinstance(item, dict | list):
                yield from cited(item)

    assert set(cited({word: value for word, value in file.items() if word != "sources"})) == set(file["sources"])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_a_dialect_names_exists(dialect):
    spoken, cases = dialectfile.load_dialect(dialect), {case.id for case in LIBRARY.cases}
    ids = cases | {id_.partition("/")[0] for id_ in cases}
    assert set(spoken.without) <= ids
    assert set(spoken.shapes) <= set(LIBRARY.shapes)


def test_an_unknown_dialect_in_a_target_file_is_one_line(tmp_path):
    path = tmp_path / "target.toml"
    path.write_text('endpoint = "http://127.0.0.1:1"\ndialect = "s4"\n')
    done = obs("doctor", "--target", path)
    assert done.returncode == 2
    assert "dialect = 's4' is none of obs, aws-s3, obs-s3" in done.stderr


@pytest.fixture
def half_built():
    with half_built_server() as (port, buckets):
        yield port, buckets


def examined(port, tmp_path, without=None):
    target = Target(
        "half built",
        f"http://127.0.0.1:{port}",
        {"owner": Identity("ak", "secret-key")},
        dialect="aws-s3",
        spoken=AWS,
        without=without or {},
    )
    journal, transport = Journal(tmp_path / "journal.jsonl", target.endpoint), open_transport(target)
    checks = tuple(Discovery(target, World.from_seed(1), journal, transport).find())
    transport.close()
    journal.close()
    return checks, tuple(journal.standing())


def test_a_half_built_server_is_named_plainly_and_nothing_of_others_is_touched(half_built, tmp_path):
    port, buckets = half_built
    checks, left = examined(port, tmp_path)
    said = {check.name: check.says for check in checks}
    assert said["capability bucket-policy"] == "not supported: PUT ?policy is answered 501 ServiceNotImplemented"
    assert "the document ListBucketResult" in said["capability bucket-default"]
    assert "deletes the bucket itself" in said["danger delete-encryption"]
    assert said["danger put-encryption"] == "PUT ?encryption creates a bucket where there is none"
    assert set(absent(checks)) >= {"bucket-default", "bucket-policy"}
    assert buckets == {"precious"}
    assert left == ()


def test_a_declared_gap_that_is_none_is_shown(half_built, tmp_path):
    checks, _ = examined(half_built[0], tmp_path, {"post-form": "we think so", "bucket-policy": "not yet"})
    names = [check.name for check in checks]
    assert "declared post-form" in names
    assert "capability bucket-policy" not in names


def test_probing_a_server_that_is_gone_ends_quietly(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert examined(port, tmp_path)[0] == ()
