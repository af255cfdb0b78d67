"""Whatever bytes come, they are answered or refused: the request parser, the policy evaluator and the XML reader.

A few examples in the ordinary tests; `tox -e nightly` plays 100,000 of each property.
"""

import asyncio
import json
import re
from email.utils import formatdate
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reference_server.documents import document, read_document
from reference_server.errors import STATUS_AND_TEXT, ObsError
from reference_server.http_server import Connection, HttpServer
from reference_server.identities import ANONYMOUS, Caller
from reference_server.policy import ACTIONS, OPERATORS, Policy, Question, Verdict, evaluate, parse_policy
from reference_server.tests.conftest import Rig, hmac_sha1, resource_of, text_to_sign

fuzz = settings(deadline=None)  # a shared machine may stop for longer than any example takes

# ---- the request parser ----------------------------------------------------------------------------------------------


class Recorder(asyncio.Transport):
    """Where a connection writes: keeps everything, sends nothing."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.ended = False

    def get_extra_info(self, name, default=None):
        return ("127.0.0.1", 1) if name == "peername" else default

    def write(self, data):
        assert not self.ended, "bytes after the end"
        self.written += data

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.ended = True

    def close(self):
        self.ended = True

    abort = close

    def pause_reading(self):
        pass

    resume_reading = pause_reading


async def converse(server, pieces):
    """Everything a connection answers to pieces of bytes, and whether it closed."""
    connection, transport = Connection(server), Recorder()
    connection.connection_made(transport)
    for piece in pieces:
        if transport.ended:
            break
        connection.get_buffer(len(piece))[: len(piece)] = piece
        connection.buffer_updated(len(piece))
        for _ in range(3):
            await asyncio.sleep(0)
    connection.eof_received()
    await asyncio.sleep(0)
    connection.connection_lost(None)
    return transport.written


class Talk:
    """A service with a bucket and an object, and a loop to talk to it in."""

    def __init__(self):
        self.rig = Rig()
        self.server = HttpServer(self.rig.service)
        self.loop = asyncio.new_event_loop()

    def say(self, pieces):
        self.rig.ask("PUT", "/bucket")
        self.rig.ask("PUT", "/bucket/key", body=b"0123456789")
        return self.loop.run_until_complete(converse(self.server, pieces))


@pytest.fixture(scope="module")
def talk():
    made = Talk()
    yield made
    made.loop.close()


NAMES = st.sampled_from((
    "Content-Type", "Content-MD5", "Range", "If-Match", "If-None-Match", "If-Modified-Since", "Expect", "Connection",
    "Upgrade", "x-obs-acl", "x-obs-date", "x-obs-grant-read", "x-obs-storage-class", "x-obs-meta-a",
    "x-obs-server-side-encryption", "x-obs-server-side-encryption-kms-key-id", "x-obs-sse-kms-key-project-id",
    "x-obs-server-side-data-encryption", "x-obs-server-side-encryption-customer-algorithm",
    "x-obs-server-side-encryption-customer-key", "x-obs-server-side-encryption-customer-key-MD5",
    "x-obs-copy-source", "x-obs-copy-source-range", "x-obs-metadata-directive", "x-obs-content-sha256", "Origin",
))  # fmt: skip
FRAMING_NAMES = st.sampled_from(("Host", "Content-Length", "Transfer-Encoding", "Authorization", "Trailer", "TE"))
VALUES = st.one_of(
    st.sampled_from((
        "kms", "AES256", "obs", "/bucket/key", "bucket%2Fkey", "bytes=0-1", "bytes=-5", "100-continue", "close",
        "chunked", "*", "private", "public-read", "WARM", "REPLACE", "id=a", "Wed, 06 Jun 2018 09:08:21 GMT",
        "multipart/form-data; boundary=x", "application/json", "0", "5", "-1", "99999999999999999999", "h2c",
    )),
    st.text(st.characters(codec="latin-1", exclude_categories=("Cc",)), max_size=30),
)  # fmt: skip
TARGETS = st.one_of(
    st.sampled_from((
        "/", "/bucket", "/bucket/", "/bucket/key", "/bucket/%E2%82%AC", "/bucket/%00", "/bucket/..%2F..%2Fetc", "/%FF",
        "*", "http://localhost/bucket/key", "http://", "/?apiversion", "/bucket?acl", "/bucket?encryption",
        "/bucket?policy", "/bucket?location", "/bucket?uploads", "/bucket?delete", "/bucket?max-keys=x", "/bucket/k?acl",
        "/bucket/k?uploads", "/bucket/k?uploadId=1", "/bucket/k?partNumber=1&uploadId=1", "/bucket/k?versionId=null",
        "/bucket?delimiter=%2F&prefix=a", "/bucket/key?x-obs-server-side-encryption=kms", "/bucket?nothing", "/bucket?acl&policy",
        "/bucket/key?response-content-type=%0D%0A", "/bucket?marker=%F0%9F%98%80&encoding-type=url",
    )),
    st.text(st.sampled_from("/?&=%#abAB09.-_~+\u20ac "), max_size=30).map(lambda text: "/bucket/" + text),
)  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        (
            b"<Delete><Object><Key>key</Key></Object></Delete>",
            b"<ServerSideEncryptionConfiguration/>",
            b'{"Statement": []}',
            b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--x--',
            b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        )
    ),
)
FRAMINGS = st.sampled_from((*("length",) * 8, *("chunked",) * 4, "none", "both", "short", "long", "bad"))
EDITS = st.lists(st.tuples(st.integers(0, 600), st.binary(max_size=3), st.integers(0, 3)), min_size=1, max_size=3)
METHODS = st.sampled_from((*("GET", "PUT", "HEAD", "DELETE", "POST") * 3, "OPTIONS", "PATCH", "CONNECT", "get"))


@st.composite
def requests(draw):
    """Method, target, header lines, body, framing, whether it is signed, and how the bytes are spoilt and cut."""
    lines = draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))
    if draw(st.integers(0, 4)) == 0:
        lines += [draw(st.tuples(FRAMING_NAMES, VALUES))]
    edits = draw(EDITS) if draw(st.integers(0, 4)) == 0 else []
    cuts = draw(st.lists(st.integers(1, 700), max_size=4))
    signed = draw(st.integers(0, 3)) > 0
    return draw(METHODS), draw(TARGETS), tuple(lines), draw(BODIES), draw(FRAMINGS), signed, edits, cuts


def octets_of(request, identity):
    method, target, lines, body, framing, signed, edits, cuts = request
    head = [("Host", "obs.example.com"), *lines]
    if signed:
        date = formatdate(1_528_276_101.0, usegmt=True)
        text = text_to_sign(method, date, resource_of(target, target.partition("?")[2]), lines)
        head += [("Date", date), ("Authorization", f"OBS {identity.access_key}:{hmac_sha1(identity.secret_key, text)}")]
    if framing in {"length", "both", "short", "long"}:
        head.append(("Content-Length", str(len(body) + {"short": -1, "long": 1}.get(framing, 0))))
    if framing in {"chunked", "both"}:
        head.append(("Transfer-Encoding", "chunked"))
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    if framing == "bad":
        head.append(("Content-Length", "1_0"))
    octets = "\r\n".join([f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in head), "\r\n"])
    raw = octets.encode("latin-1", "replace") + body
    for position, inserted, removed in edits:
        raw = raw[:position] + inserted + raw[position + removed :]
    places = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    return [raw[start:end] for start, end in pairwise(places)]


def check_answers(written):
    """Whole answers one after the other, each with a documented status and the body it announces."""
    while written:
        head, found, written = written.partition(b"\r\n\r\n")
        assert found, head
        status = re.match(rb"HTTP/1\.1 (\d{3}) [A-Za-z -]+(?:\r\n[!-9;-~]+: [^\r\n\0]*)*\Z", head)
        assert status, head
        number = int(status[1])
        assert number in {100, 200, 204, 206, 304} | {status for status, _ in STATUS_AND_TEXT.values()} - {500, 503}, (
            head
        )
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        if number != 100 and written and not written.startswith(b"HTTP/1.1 "):
            assert length, head
            assert len(written) >= int(length[1])
            written = written[int(length[1]) :]


@fuzz
@given(st.lists(requests(), min_size=1, max_size=2))
@example([("GET", "/%FF", (), b"", "none", False, [], [])])
@example([("PUT", "/bucket/a", (("x-obs-meta-a", "\xe9"),), b"body", "chunked", True, [], [1, 90])])
@example(
    [("POST", "/bucket?delete", (), b"<!DOCTYPE a [<!ENTITY b 'c'>]><Delete>&b;</Delete>", "length", True, [], [])]
)
@example([("GET", "/bucket/key", (("Range", "bytes=2-3"),), b"", "none", True, [], [])] * 2)
def test_every_request_however_spoilt_is_answered_in_http_and_as_documented(talk, several):
    check_answers(talk.say([piece for request in several for piece in octets_of(request, talk.rig.identity())]))
    assert talk.rig.bugs == []
    assert talk.server.connections == set()


# ---- the policy evaluator --------------------------------------------------------------------------------------------

WORDS = st.one_of(
    st.text(max_size=8), st.sampled_from(("*", "bucket", "bucket/*", "bucket/a?", "kms", "${null}", "", "["))
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=8,
)
PRINCIPALS = st.sampled_from(("*", "domain/d:user/u", "domain/d:user/*", "domain/d:root", "domain/e:user/u"))
RESOURCES = st.sampled_from(("bucket", "bucket/*", "bucket/a*", "arn:aws:s3:::bucket/?", "bucket/[a]"))
FACTS = (
    "sourceip", "referer", "securetransport", "currenttime", "epochtime", "prefix", "acl", "server-side-encryption",
    "server-side-encryption-kms-key-id", "meta-a",
)  # fmt: skip
KEYS = st.sampled_from((
    "SourceIp", "obs:SourceIp", "Referer", "SecureTransport", "CurrentTime", "EpochTime", "prefix", "acl", "x-obs-acl",
    "s3:x-amz-server-side-encryption", "x-obs-server-side-encryption", "obs:x-obs-meta-a",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
))  # fmt: skip
MEANT = st.one_of(
    st.sampled_from(("kms", "aws:kms", "127.0.0.1", "10.0.0.0/8", "::1", "2018-06-06T09:08:21Z", "5", "-1e400", "true", "*", "a?c")),
    st.text(max_size=6),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.text(max_size=5), min_size=1, max_size=3),
)  # fmt: skip


@st.composite
def statements(draw):
    """A statement as the grammar has it."""
    negated = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    principal = draw(
        st.one_of(st.just("*"), st.fixed_dictionaries({"ID": st.lists(PRINCIPALS, min_size=1, max_size=2)}))
    )
    action = draw(
        st.lists(st.sampled_from((*ACTIONS[:40], "*", "Get*", "s3:Put?bject", "*Object")), min_size=1, max_size=2)
    )
    values = (principal, action, draw(st.lists(RESOURCES, min_size=1, max_size=2)))
    names = [
        ("Not" if no else "") + name for no, name in zip(negated, ("Principal", "Action", "Resource"), strict=True)
    ]
    conditions = draw(
        st.dictionaries(
            st.sampled_from(tuple(OPERATORS)), st.dictionaries(KEYS, MEANT, min_size=1, max_size=2), max_size=2
        )
    )
    effect = draw(st.sampled_from(("Allow", "Deny")))
    return {"Effect": effect, **dict(zip(names, values, strict=True)), "Condition": conditions}


@st.composite
def questions(draw):
    caller = draw(st.sampled_from((
        ANONYMOUS, Caller("d", "u", "name"), Caller("d", "v", "u"), Caller("d", "a", "b", administrator=True), Caller("e", "u", "n"),
    )))  # fmt: skip
    facts = st.one_of(st.sampled_from(("kms", "127.0.0.1", "5", "true", "2018-06-06T09:08:21Z")), st.text(max_size=6))
    return Question(
        caller,
        draw(st.sampled_from(ACTIONS)),
        draw(st.one_of(st.sampled_from(("bucket", "bucket/a", "bucket/[a]")), st.text(max_size=6).map("bucket/{}".format))),
        draw(st.dictionaries(st.sampled_from(FACTS), facts, max_size=4)),
    )  # fmt: skip


def read(value):
    return parse_policy(json.dumps({"Statement": value}).encode(), "bucket")


def fits(statement):
    """Whether each operator of a statement has a value that it can compare."""
    try:
        read([statement])
    except ObsError:
        return False
    return True


@fuzz
@given(st.one_of(st.binary(max_size=40), JSON.map(lambda tree: json.dumps(tree).encode())), questions())
@example(b"[" * 20_000, Question(ANONYMOUS, "GetObject", "bucket/a", {}))
@example(b"1" * 10_000, Question(ANONYMOUS, "GetObject", "bucket/a", {}))
def test_bytes_that_are_no_policy_are_malformed(octets, question):
    with pytest.raises(ObsError, match="MalformedPolicy"):
        parse_policy(octets, "bucket")
    assert evaluate(Policy(()), question) is Verdict.NOTHING


@fuzz
@given(
    statements(),
    st.sampled_from(("Effect", "Principal", "Action", "Resource", "Condition", "Sid", "Other")),
    JSON,
    questions(),
)
def test_a_statement_with_one_wrong_field_is_read_or_malformed_and_then_still_answers(
    statement, field, value, question
):
    try:
        policy = read([statement | {field: value}])
    except ObsError as error:
        assert error.code == "MalformedPolicy"
    else:
        assert evaluate(policy, question) in Verdict


@fuzz
@given(st.lists(statements().filter(fits), min_size=1, max_size=4), questions())
def test_deny_wins_in_any_order_and_an_allow_takes_nothing_away(written, question):
    verdict = evaluate(read(written), question)
    assert evaluate(read(written[::-1]), question) is verdict
    alone = [evaluate(read([statement]), question) for statement in written]
    assert verdict is (
        Verdict.DENY if Verdict.DENY in alone else Verdict.ALLOW if Verdict.ALLOW in alone else Verdict.NOTHING
    )
    everything = {"Principal": "*", "Action": "*", "Resource": ["bucket", "bucket/*"]}
    assert evaluate(read([*written, {"Effect": "Deny", **everything}]), question) is Verdict.DENY
    allowed = evaluate(read([{"Effect": "Allow", **everything}, *written]), question)
    assert allowed is (Verdict.DENY if verdict is Verdict.DENY else Verdict.ALLOW)


# ---- the XML reader --------------------------------------------------------------------------------------------------

ELEMENTS = st.text(st.sampled_from("AbcXyz"), min_size=1, max_size=5)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn")), max_size=12)
TREES = st.recursive(
    TEXTS, lambda inner: st.lists(st.tuples(ELEMENTS, inner), min_size=1, max_size=3).map(tuple), max_leaves=8
)
FRAGMENTS = st.sampled_from((
    b"<a>", b"</a>", b"<a/>", b"<?xml version='1.0'?>", b"<?xml version='1.0' encoding='utf-16'?>", b"<!DOCTYPE a>", b"&amp;",
    b"<!DOCTYPE a [<!ENTITY b 'cc'><!ENTITY c '&b;&b;'>]>", b"&b;", b"&#0;", b"&#x41;", b"<![CDATA[x]]>", b"<!-- -->", b" xmlns='u'",
    b"<a b='c'>", b"\xff\xfe", b"\xef\xbb\xbf", b"<a:a xmlns:a='u'>", b"</a:a>", b"text", b"\0",
))  # fmt: skip


@fuzz
@given(st.one_of(st.binary(max_size=60), st.lists(FRAGMENTS, max_size=8).map(b"".join)))
@example(b"<a>" * 100_000)
@example(b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>")
@example(b"<!DOCTYPE a><a/>")
def test_any_bytes_are_a_document_or_a_documented_refusal(octets):
    try:
        tree = read_document(octets, "a")
    except ObsError as error:
        assert error.code in {"MalformedXML", "MissingRequestBodyError"}
    else:
        assert tree.tag in {"a", "{u}a"}
        assert b"<!DOCTYPE" not in octets.split(b"<a", 1)[0]


def tree_of(element):
    children = list(element)
    return (
        tuple((child.tag.rpartition("}")[2], tree_of(child)) for child in children) if children else element.text or ""
    )


@fuzz
@given(TREES, st.sampled_from(("", "urn:x")))
def test_what_is_written_as_a_document_reads_back_the_same(content, namespace):
    assert tree_of(read_document(document("Root", content, namespace=namespace), "Root")) == content
