"""Bucket policies: what is accepted as one, and what it does to every call it is about."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from obs import ObsClient, PutObjectHeader, SseKmsHeader

from reference_server.errors import ObsError
from reference_server.identities import ANONYMOUS, Caller
from reference_server.policy import OPERATORS, Question, Verdict, evaluate, parse_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_server.tests.conftest import Rig, Server
    from reference_server.wire import Response

MODE = "x-obs-server-side-encryption"
KMS = ((MODE, "kms"),)
SOURCE = "x-obs-copy-source"
SAMPLE = (
    b'{"Statement":[{"Sid":"DenyUnEncryptedObjectUploads","Effect":"Deny","Principal":"*","Action":"PutObject",'
    b'"Resource":"bucket/*","Condition":{"StringNotEquals":{"x-obs-server-side-encryption":"kms"}}}]}'
)
S3_SAMPLE = (
    b'{"Version":"2008-10-17","Id":"PutObjPolicy","Statement":[{"Sid":"DenyUnEncryptedObjectUploads","Effect":"Deny",'
    b'"Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/*",'
    b'"Condition":{"StringNotEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}}]}'
)
BARE_SAMPLE = SAMPLE.replace(b'"x-obs-server-side-encryption"', b'"server-side-encryption"')
OK, DENIED = (200, ""), (403, "AccessDenied")


def put(rig: Rig, policy: bytes | dict[str, Any], **how: Any) -> Response:
    body = policy if isinstance(policy, bytes) else json.dumps(policy).encode()
    return rig.ask("PUT", "/bucket?policy", (), body, sub="policy", **how)


def get(rig: Rig, **how: Any) -> Response:
    return rig.ask("GET", "/bucket?policy", sub="policy", **how)


def delete(rig: Rig, **how: Any) -> Response:
    return rig.ask("DELETE", "/bucket?policy", sub="policy", **how)


def code(response: Response) -> tuple[int, str]:
    return response.status, response.content().decode().partition("<Code>")[2].partition("</Code>")[0]


def allow(principal: Any, action: Any, *resources: str, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": list(resources)}
    return {"Statement": [{**statement, **more}]}


# ---- the document --------------------------------------------------------------------------------------------------


def test_policy_is_kept_shown_and_removed(rig: Rig) -> None:
    assert code(get(rig)) == (404, "NoSuchBucketPolicy")
    stored = put(rig, SAMPLE)
    assert (stored.status, stored.content()) == (204, b"")
    shown = get(rig)
    assert (shown.status, shown.first("content-type"), shown.content()) == (200, "application/json", SAMPLE)
    for _ in range(2):
        assert delete(rig).status == 204
        assert code(get(rig)) == (404, "NoSuchBucketPolicy")


def test_policy_replaces_the_one_before(rig: Rig) -> None:
    assert put(rig, SAMPLE).status == 204
    assert code(rig.ask("PUT", "/bucket/o", (), b"x")) == DENIED
    assert put(rig, allow("*", "GetObject", "bucket/*")).status == 204
    assert code(rig.ask("PUT", "/bucket/o", (), b"x")) == OK


STATEMENT = {"Effect": "Deny", "Principal": "*", "Action": "PutObject", "Resource": "bucket/*"}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"Statement":[]}',
        b'{"Statement":"x"}',
        b'{"Statement":[1]}',
        b'{"Statement":[' + b"[" * 5000,
        json.dumps({"Statement": [STATEMENT], "Other": 1}).encode(),
        json.dumps({"Version": "2020-01-01", "Statement": [STATEMENT]}).encode(),
        *(
            json.dumps({"Statement": [{**STATEMENT, **change}]}).encode()
            for change in (
                {"Effect": "deny"},
                {"Effect": None},
                {"Sid": 1},
                {"Other": "x"},
                {"Principal": "domain/a:user/b"},
                {"Principal": {"ID": []}},
                {"Principal": {"ID": "user"}},
                {"Principal": {"Other": "*"}},
                {"NotPrincipal": "*"},
                {"Action": "PutObjects"},
                {"Action": []},
                {"Action": 1},
                {"NotAction": "PutObject"},
                {"Resource": "other/*"},
                {"Resource": "bucketish/*"},
                {"Resource": "*"},
                {"Condition": []},
                {"Condition": {"StringEqual": {"x-obs-acl": "x"}}},
                {"Condition": {"StringEquals": "x"}},
                {"Condition": {"StringEquals": {"nonsense": "x"}}},
                {"Condition": {"StringEquals": {"x-obs-acl": {}}}},
                {"Condition": {"StringEquals": {"x-obs-acl": []}}},
                {"Condition": {"NumericEquals": {"max-keys": "ten"}}},
                {"Condition": {"NumericEquals": {"max-keys": "nan"}}},
                {"Condition": {"DateLessThan": {"CurrentTime": "tomorrow"}}},
                {"Condition": {"DateLessThan": {"Referer": "2018-06-07T00:00:00Z"}}},
                {"Condition": {"Bool": {"SecureTransport": "yes"}}},
                {"Condition": {"Bool": {"Referer": "true"}}},
                {"Condition": {"NotIpAddress": {"SourceIp": "10.0.0.0/99"}}},
                {"Condition": {"IpAddress": {"UserAgent": "10.0.0.0/8"}}},
                {"Principal": {"ID": "domain/*:user/a"}},
                {"Principal": {"ID": "domain/a:user/b*"}},
                {"Principal": {"ID": "domain/a:group/b"}},
                {"Principal": {"ID": "domain/"}},
            )
        ),
        *(
            json.dumps({"Statement": [{k: v for k, v in STATEMENT.items() if k != name}]}).encode()
            for name in STATEMENT
        ),
        SAMPLE + b" " * (20 * 1024),
    ],
)
def test_malformed_policy_is_refused_and_changes_nothing(rig: Rig, document: bytes) -> None:
    assert put(rig, SAMPLE).status == 204
    assert code(put(rig, document)) == (400, "MalformedPolicy")
    assert get(rig).content() == SAMPLE


def test_owner_is_bound_but_never_locked_out(rig: Rig) -> None:
    assert put(rig, {"Statement": [{**STATEMENT, "Action": "*", "Resource": ["bucket", "bucket/*"]}]}).status == 204
    assert code(rig.ask("PUT", "/bucket/o", KMS, b"x")) == DENIED
    assert code(rig.ask("GET", "/bucket")) == DENIED
    assert get(rig).status == 200
    assert delete(rig).status == 204
    assert code(rig.ask("PUT", "/bucket/o", KMS, b"x")) == OK


def test_strangers_may_not_touch_the_policy(rig: Rig) -> None:
    for role in ("other_project", "other_account"):
        for answer in (put(rig, SAMPLE, role=role), get(rig, role=role), delete(rig, role=role)):
            assert code(answer) == DENIED


# ---- the page's policy, at every call --------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [SAMPLE, S3_SAMPLE, BARE_SAMPLE], ids=["page", "s3", "bare"])
def test_sample_policy_judges_uploads_by_what_they_say(rig: Rig, policy: bytes) -> None:
    assert put(rig, policy).status == 204
    assert code(rig.ask("PUT", "/bucket/o", (), b"x")) == DENIED
    assert code(rig.ask("PUT", "/bucket/o", ((MODE, "AES256"),), b"x")) == DENIED
    assert code(rig.ask("PUT", "/bucket/o", KMS, b"x")) == OK
    assert code(rig.ask("GET", "/bucket/o")) == (200, "")
    assert delete(rig).status == 204
    assert code(rig.ask("PUT", "/bucket/o", (), b"x")) == OK


def test_sample_policy_leaves_reading_deleting_and_other_buckets_alone(rig: Rig) -> None:
    assert rig.ask("PUT", "/bucket/old", (), b"old").status == 200
    assert rig.ask("PUT", "/other").status == 200
    assert put(rig, SAMPLE).status == 204
    assert rig.ask("GET", "/bucket/old").content() == b"old"
    assert rig.ask("HEAD", "/bucket/old").status == 200
    assert rig.ask("GET", "/bucket").status == 200
    assert rig.ask("DELETE", "/bucket/old").status == 204
    assert rig.ask("PUT", "/other/o", (), b"x").status == 200


def test_inherited_encryption_does_not_meet_a_condition_on_a_header(rig: Rig) -> None:
    body = (
        b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>kms</SSEAlgorithm>"
        b"</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
    )
    assert rig.ask("PUT", "/bucket?encryption", (), body, sub="encryption").status == 200
    assert put(rig, SAMPLE).status == 204
    assert code(rig.ask("PUT", "/bucket/o", (), b"x")) == DENIED


def test_copies_are_judged_at_the_target(rig: Rig) -> None:
    assert rig.ask("PUT", "/bucket/source", (), b"x").status == 200
    assert put(rig, SAMPLE).status == 204
    assert code(rig.ask("PUT", "/bucket/o", ((SOURCE, "/bucket/source"),))) == DENIED
    assert code(rig.ask("PUT", "/bucket/o", ((SOURCE, "/bucket/source"), *KMS))) == OK


def test_copies_are_judged_at_the_source_by_their_circumstances(rig: Rig) -> None:
    assert rig.ask("PUT", "/bucket/source", (), b"x").status == 200
    assert rig.ask("PUT", "/other").status == 200
    elsewhere = {**STATEMENT, "Action": "GetObject", "Condition": {"NotIpAddress": {"SourceIp": "127.0.0.0/8"}}}
    assert put(rig, {"Statement": [elsewhere]}).status == 204
    assert code(rig.ask("PUT", "/other/o", ((SOURCE, "/bucket/source"),))) == OK
    elsewhere["Condition"] = {"IpAddress": {"SourceIp": "127.0.0.0/8"}}
    assert put(rig, {"Statement": [elsewhere]}).status == 204
    assert code(rig.ask("PUT", "/other/o", ((SOURCE, "/bucket/source"),))) == DENIED


def test_mode_in_a_signed_url_counts_as_said(rig: Rig) -> None:
    assert put(rig, SAMPLE).status == 204
    host = (("Host", "obs.example.com"),)
    assert code(rig.bare("PUT", rig.signed_target("PUT", "/bucket/o", f"{MODE}=kms"), host, b"x")) == OK
    assert code(rig.bare("PUT", rig.signed_target("PUT", "/bucket/o"), host, b"x")) == DENIED


def test_uploads_in_parts_are_judged_by_their_initiation(rig: Rig) -> None:
    assert put(rig, SAMPLE).status == 204
    assert code(rig.ask("POST", "/bucket/o?uploads", sub="uploads")) == DENIED
    begun = rig.ask("POST", "/bucket/o?uploads", KMS, sub="uploads")
    upload = begun.content().decode().partition("<UploadId>")[2].partition("<")[0]
    part_sub, sub = f"partNumber=1&uploadId={upload}", f"uploadId={upload}"
    part = rig.ask("PUT", f"/bucket/o?{part_sub}", (), b"x", sub=part_sub)
    assert part.status == 200
    body = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part.first('etag')}</ETag></Part></CompleteMultipartUpload>"
    assert rig.ask("POST", f"/bucket/o?{sub}", (), body.encode(), sub=sub).status == 200
    assert rig.ask("HEAD", "/bucket/o").first(MODE) == "kms"


def test_upload_begun_before_the_policy_is_stopped_by_it(rig: Rig) -> None:
    begun = rig.ask("POST", "/bucket/o?uploads", sub="uploads")
    upload = begun.content().decode().partition("<UploadId>")[2].partition("<")[0]
    assert put(rig, SAMPLE).status == 204
    sub = f"partNumber=1&uploadId={upload}"
    assert code(rig.ask("PUT", f"/bucket/o?{sub}", KMS, b"x", sub=sub)) == DENIED


# ---- principals, actions, resources ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("principal", "other_project", "other_account", "anonymous"),
    [
        ("*", OK, OK, OK),
        ({"ID": "*"}, OK, OK, OK),
        ({"ID": ["domain/{account}:user/*"]}, DENIED, OK, DENIED),
        ({"ID": "domain/{account}:user/{account_user}"}, DENIED, OK, DENIED),
        ({"ID": "domain/{account}:user/other_account"}, DENIED, OK, DENIED),
        ({"ID": "domain/{account}:root"}, DENIED, OK, DENIED),
        ({"ID": "domain/{account}"}, DENIED, OK, DENIED),
        ({"ID": "domain/{domain}:user/*"}, OK, DENIED, DENIED),
        ({"ID": "domain/{domain}"}, DENIED, DENIED, DENIED),
        ({"ID": ["domain/{domain}:user/{project_user}", "domain/{account}:user/x"]}, OK, DENIED, DENIED),
        ({"ID": "domain/{domain}:root"}, DENIED, DENIED, DENIED),
        ({"ID": "domain/{domain}:agency/x"}, DENIED, DENIED, DENIED),
        ({"ID": "domain/{account}:agency/*"}, DENIED, DENIED, DENIED),
    ],
)
def test_principals(rig: Rig, principal: Any, other_project: Any, other_account: Any, anonymous: Any) -> None:
    names = {
        "account": rig.identity("other_account").caller.domain_id,
        "account_user": rig.identity("other_account").caller.user_id,
        "domain": rig.identity("owner").caller.domain_id,
        "project_user": rig.identity("other_project").caller.user_id,
    }
    text = json.dumps(allow(principal, ["PutObject", "GetObject"], "bucket/*"))
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    assert put(rig, text.encode()).status == 204
    assert code(rig.ask("PUT", "/bucket/p", (), b"x", role="other_project")) == other_project
    assert code(rig.ask("PUT", "/bucket/a", (), b"x", role="other_account")) == other_account
    assert code(rig.bare("PUT", "/bucket/n", (("Host", "obs.example.com"),), b"x")) == anonymous
    if other_account == OK:
        assert rig.ask("GET", "/bucket/a", role="other_account").content() == b"x"


def question(
    action: str = "PutObject", resource: str = "bucket/o", caller: Caller = ANONYMOUS, **facts: str
) -> Question:
    return Question(caller, action, resource, {name.replace("_", "-"): value for name, value in facts.items()})


def verdict(statements: list[dict[str, Any]], asked: Question) -> Verdict:
    return evaluate(parse_policy(json.dumps({"Statement": statements}).encode(), "bucket"), asked)


@pytest.mark.parametrize(
    ("change", "asked", "applies"),
    [
        ({"Action": "*"}, question(), True),
        ({"Action": "putobject"}, question(), True),
        ({"Action": "Put*"}, question(), True),
        ({"Action": "Get*"}, question(), False),
        ({"Action": ["GetObject", "PutObject"]}, question(), True),
        ({"Resource": "bucket"}, question(), False),
        ({"Resource": "bucket/a*"}, question(resource="bucket/ab"), True),
        ({"Resource": "bucket/a*"}, question(resource="bucket/ba"), False),
        ({"Resource": "bucket/?"}, question(resource="bucket/a"), True),
        ({"Resource": "bucket/[ab]"}, question(resource="bucket/a"), False),
        ({"Resource": ["bucket/x", "bucket/o"]}, question(), True),
    ],
)
def test_actions_and_resources(change: dict[str, Any], asked: Question, applies: bool) -> None:
    assert verdict([{**STATEMENT, **change}], asked) is (Verdict.DENY if applies else Verdict.NOTHING)


def test_not_forms() -> None:
    body = {"Effect": "Deny", "NotPrincipal": {"ID": "domain/d:user/u"}, "NotAction": "Get*", "NotResource": "bucket/x"}
    assert verdict([body], question()) is Verdict.DENY
    assert verdict([body], question("GetObject")) is Verdict.NOTHING
    assert verdict([body], question(resource="bucket/x")) is Verdict.NOTHING
    assert verdict([body], question(caller=Caller("d", "u", "n", "p"))) is Verdict.NOTHING


def test_deny_beats_allow_in_any_order() -> None:
    statements = [{**STATEMENT, "Effect": "Allow"}, STATEMENT]
    assert verdict(statements, question()) is Verdict.DENY
    assert verdict(statements[::-1], question()) is Verdict.DENY
    assert verdict(statements[:1], question()) is Verdict.ALLOW


SSE = "server-side-encryption"


@pytest.mark.parametrize(
    ("operator", "key", "wanted", "facts", "holds"),
    [
        ("StringEquals", MODE, "kms", {"server_side_encryption": "kms"}, True),
        ("StringEquals", MODE, "kms", {"server_side_encryption": "KMS"}, False),
        ("StringEquals", MODE, "kms", {}, False),
        ("StringEquals", SSE, ["AES256", "kms"], {"server_side_encryption": "kms"}, True),
        ("streq", SSE, "kms", {"server_side_encryption": "kms"}, True),
        ("StringNotEquals", MODE, "kms", {}, True),
        ("StringNotEquals", MODE, ["kms", "${null}"], {}, False),
        ("StringNotEquals", MODE, ["kms", "AES256"], {"server_side_encryption": "AES256"}, False),
        ("StringEquals", MODE, ["${null}"], {}, True),
        ("strneq", SSE, "kms", {"server_side_encryption": "AES256"}, True),
        ("StringEqualsIgnoreCase", SSE, "kms", {"server_side_encryption": "KMS"}, True),
        ("streqi", SSE, "kms", {"server_side_encryption": "KMS"}, True),
        ("StringNotEqualsIgnoreCase", SSE, "kms", {"server_side_encryption": "KMS"}, False),
        ("strneqi", SSE, "kms", {"server_side_encryption": "KMS"}, False),
        ("StringLike", "Referer", "http://a/*", {"referer": "http://a/b"}, True),
        ("StringLike", "Referer", "http://A/*", {"referer": "http://a/b"}, False),
        ("strl", "Referer", "http://?/", {"referer": "http://a/"}, True),
        ("StringNotLike", "Referer", ["http://a/*", "${null}"], {}, False),
        ("StringNotLike", "Referer", ["http://a/*", "${null}"], {"referer": ""}, False),
        ("StringNotLike", "Referer", ["http://a/*", "${null}"], {"referer": "http://b/"}, True),
        ("StringNotLike", "Referer", "http://a/*", {"referer": ""}, True),
        ("StringNotLike", "Referer", "http://a/*", {}, True),
        ("StringNotEquals", "obs:x-obs-server-side-encryption", "kms", {"server_side_encryption": "kms"}, False),
        ("strnl", "Referer", "http://a/*", {"referer": "http://b/"}, True),
        ("NumericLessThanEquals", "max-keys", "10", {"max_keys": "10"}, True),
        ("NumericGreaterThan", "max-keys", 10, {"max_keys": "10"}, False),
        ("NumericEquals", "max-keys", 10, {"max_keys": "ten"}, False),
        ("NumericNotEquals", "max-keys", 10, {"max_keys": "11"}, True),
        ("DateLessThan", "CurrentTime", "2018-06-07T00:00:00Z", {"currenttime": "2018-06-06T09:08:21.000Z"}, True),
        ("DateGreaterThan", "CurrentTime", "2018-06-07T00:00:00Z", {"currenttime": "2018-06-06T09:08:21.000Z"}, False),
        ("DateEquals", "CurrentTime", "2018-06-06T09:08:21Z", {"currenttime": "2018-06-06T09:08:21.000Z"}, True),
        ("DateNotEquals", "CurrentTime", "2018-06-06T09:08:21Z", {"currenttime": "2018-06-06T09:08:21.000Z"}, False),
        ("DateLessThanEquals", "EpochTime", 1528276101, {"epochtime": "1528276101"}, True),
        ("DateGreaterThanEquals", "EpochTime", "2018-06-06T09:08:22Z", {"epochtime": "1528276101"}, False),
        ("NumericGreaterThanEquals", "EpochTime", "1528276101", {"epochtime": "1528276101"}, True),
        ("NumericLessThan", "EpochTime", "1528276101", {"epochtime": "1528276101"}, False),
        ("StringEquals", "versionId", "null", {"versionid": "null"}, True),
        ("Bool", "SecureTransport", "true", {"securetransport": "true"}, True),
        ("Bool", "SecureTransport", True, {"securetransport": "false"}, False),
        ("IpAddress", "SourceIp", "10.0.0.0/8", {"sourceip": "10.1.2.3"}, True),
        ("IpAddress", "SourceIp", "10.0.0.0/8", {"sourceip": "11.1.2.3"}, False),
        ("NotIpAddress", "SourceIp", "10.0.0.0/8", {"sourceip": "11.1.2.3"}, True),
        ("StringEquals", "x-obs-acl", "public-read", {"acl": "public-read"}, True),
        ("StringEquals", "acl", "public-read", {"acl": "public-read"}, True),
        ("StringEquals", "s3:x-amz-server-side-encryption", "aws:kms", {"server_side_encryption": "kms"}, True),
        (
            "StringEquals",
            "s3:x-amz-server-side-encryption-aws-kms-key-id",
            "k",
            {"server_side_encryption_kms_key_id": "k"},
            True,
        ),
    ],
)
def test_conditions(operator: str, key: str, wanted: Any, facts: dict[str, str], holds: bool) -> None:
    expected = Verdict.DENY if holds else Verdict.NOTHING
    assert verdict([{**STATEMENT, "Condition": {operator: {key: wanted}}}], question(**facts)) is expected


def test_header_cannot_stand_for_another_kind_of_fact(rig: Rig) -> None:
    trusted = allow("*", "GetObject", "bucket/*", Condition={"StringEquals": {"Referer": "http://trusted/"}})
    assert rig.ask("PUT", "/bucket/o", (), b"x").status == 200
    assert put(rig, trusted).status == 204
    assert rig.ask("GET", "/bucket/o", (("Referer", "http://trusted/"),), role="other_account").status == 200
    forged = rig.ask("GET", "/bucket/o", (("x-obs-referer", "http://trusted/"),), role="other_account")
    assert code(forged) == DENIED


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Action": "PutObjects"}, "Statement 2: Unknown action: putobjects."),
        ({"Effect": "deny"}, "Statement 2: Effect must be Allow or Deny."),
        ({"Resource": "other/*"}, "Statement 2: The resource other/* is not in this bucket."),
        ({"NotAction": "GetObject"}, "Statement 2: A statement has either Action or NotAction."),
        (
            {"Condition": {"IpAddress": {"SourceIp": "here"}}},
            "Statement 2: IpAddress on SourceIp needs an IP address or network, not here.",
        ),
    ],
)
def test_error_says_what_is_wrong_and_where(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ObsError) as raised:
        verdict([STATEMENT, {**STATEMENT, **change}], question())
    assert (raised.value.status, raised.value.code, raised.value.message) == (400, "MalformedPolicy", message)


def test_error_in_the_json_says_where(rig: Rig) -> None:
    refused = put(rig, b'{"Statement": [\n  {"Sid": "a"},]}')
    assert re.search(rb"<Message>The policy is not JSON: .* in line 2, column 16\.</Message>", refused.content())


def test_every_operator_in_both_spellings() -> None:
    strings = ["streq", "strneq", "streqi", "strneqi", "strl", "strnl"]
    ends = ["eq", "neq", "lt", "lteq", "gt", "gteq"]
    long_strings = [f"String{end}" for end in ("Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase")]
    long_ends = ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"]
    expected = [*strings, *long_strings, "StringLike", "StringNotLike", "Bool", "IpAddress", "NotIpAddress"]
    expected += [begin + end for begin in ("num", "date") for end in ends]
    expected += [begin + end for begin in ("Numeric", "Date") for end in long_ends]
    assert set(OPERATORS) == {name.lower() for name in expected}


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("eq", "Equals"),
        ("neq", "NotEquals"),
        ("lt", "LessThan"),
        ("lteq", "LessThanEquals"),
        ("gt", "GreaterThan"),
        ("gteq", "GreaterThanEquals"),
    ],
)
def test_short_operators_mean_what_the_long_ones_mean(short: str, long: str) -> None:
    moments = {"2018-06-06T09:08:20Z": -1, "2018-06-06T09:08:21Z": 0, "2018-06-06T09:08:22Z": 1}
    meant = {"eq": {0}, "neq": {-1, 1}, "lt": {-1}, "lteq": {-1, 0}, "gt": {1}, "gteq": {0, 1}}[short]
    for moment, place in moments.items():
        rows = (
            ("num", "Numeric", "max-keys", 10, {"max_keys": str(10 + place)}),
            ("date", "Date", "CurrentTime", "2018-06-06T09:08:21Z", {"currenttime": moment}),
        )
        for begin, long_begin, key, wanted, facts in rows:
            for operator in (begin + short, long_begin + long):
                holds = verdict([{**STATEMENT, "Condition": {operator: {key: wanted}}}], question(**facts))
                assert (operator, holds is Verdict.DENY) == (operator, place in meant)


@pytest.mark.parametrize("name", ["StringEquals", "STREQ", "stringequals"])
def test_operators_in_any_case(name: str) -> None:
    condition = {"Condition": {name: {"x-obs-acl": "private"}}}
    assert verdict([{**STATEMENT, **condition}], question(acl="private")) is Verdict.DENY


def test_later_of_two_equal_keys_counts(rig: Rig) -> None:
    once = json.dumps(allow("*", "GetObject", "bucket/*", Condition={"StringEquals": {"Referer": "b"}}))
    policy = once.replace('{"Referer": "b"}', '{"Referer": "a", "Referer": "b"}').encode()
    assert b'"a"' in policy
    rig.ask("PUT", "/bucket/o", (), b"x")
    assert put(rig, policy).status == 204
    got = [rig.ask("GET", "/bucket/o", (("Referer", text),), role="other_account").status for text in "ab"]
    assert got == [403, 200]


# ---- the vendor's client -------------------------------------------------------------------------------------------


def test_sdk_sets_reads_and_removes_the_policy(start: Callable[..., Server]) -> None:
    server = start()
    owner = server.target["identities"]["owner"]
    client = ObsClient(
        access_key_id=owner["access_key"],
        secret_access_key=owner["secret_key"],
        server=f"http://{server.host}:{server.port}",
        signature="obs",
        path_style=True,
        is_secure=False,
        client_mode="workflow",
    )
    assert client.createBucket("bucket").status == 200
    assert client.setBucketPolicy("bucket", SAMPLE.decode()).status == 204
    shown = client.getBucketPolicy("bucket")
    assert (shown.status, json.loads(shown.body.policyJSON)) == (200, json.loads(SAMPLE))
    refused = client.putContent("bucket", "o", "x")
    assert (refused.status, refused.errorCode) == (403, "AccessDenied")
    header = PutObjectHeader(sseHeader=SseKmsHeader.getInstance())
    assert client.putContent("bucket", "o", "x", headers=header).status == 200
    assert client.deleteBucketPolicy("bucket").status == 204
    assert client.putContent("bucket", "o", "x").status == 200
    assert client.getBucketPolicy("bucket").errorCode == "NoSuchBucketPolicy"
    malformed = client.setBucketPolicy("bucket", "{}")
    assert (malformed.status, malformed.errorCode) == (400, "MalformedPolicy")
    client.close()
