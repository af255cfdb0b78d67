"""The edge: which dialect a request speaks, what becomes of it, and that one server stands behind both faces."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.auth import HmacV1Auth, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_server.defects import DEFECTS
from reference_server.dialect import speaks_s3, understood
from reference_server.s3_words import exchange_key, our_name, their_name
from reference_server.tests.conftest import Clock, Rig
from reference_server.variants import VARIANTS
from reference_server.wire import Head, Headers, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_server.wire import Response

MODE, KEY_ID = "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"
OUR_MODE = "x-obs-server-side-encryption"
BODY = b"the body of an object"
HOST = "obs.example.com"
NO_KEY = "00000000-0000-0000-0000-000000000000"
Lines = tuple[tuple[str, str], ...]


class S3Rig(Rig):
    """A service that is asked in S3, signed by botocore, whose clock is the machine's."""

    def s3(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        role: str = "owner",
        sign: Callable[[Credentials], Any] = lambda credentials: S3SigV4Auth(credentials, "s3", "region"),
        change: Callable[[Request], Request] = lambda request: request,
    ) -> Response:
        identity = self.identity(role)
        signer = sign(Credentials(identity.access_key, identity.secret_key))
        in_url = isinstance(signer, S3SigV4QueryAuth)
        request = AWSRequest(method, f"http://{HOST}{target}", headers or {}, b"" if in_url else body)
        request.auth_path = target.partition("?")[0]
        signer.add_auth(request)
        lines = (("Host", HOST), *request.headers.items())
        sent = str(request.url).removeprefix(f"http://{HOST}")
        if body:
            lines = (*lines, ("Content-Length", str(len(body))))
        return self.service.respond(change(Request.of(method, sent, lines, body)))


@pytest.fixture
def rig() -> S3Rig:
    return fresh()


def fresh(**options: Any) -> S3Rig:
    made = S3Rig(clock=Clock(time.time()), **options)
    assert made.s3("PUT", "/bucket").status == 200
    return made


def of_version_2(credentials: Credentials) -> HmacV1Auth:
    return HmacV1Auth(credentials, None, None)


def by_url(credentials: Credentials) -> S3SigV4QueryAuth:
    return S3SigV4QueryAuth(credentials, "s3", "region", 300)


def code_of(response: Response) -> str:
    return response.content().partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


# ---- which dialect -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "lines", "s3"),
    [
        ("/", (("Authorization", "OBS A:b"),), False),
        ("/", (("Authorization", "OBS A:b"), ("x-amz-acl", "private")), False),
        ("/", (("Authorization", "AWS A:b"),), True),
        ("/", (("Authorization", "AWS A:b"), ("x-obs-acl", "private")), True),
        ("/", (("Authorization", "AWS4-HMAC-SHA256 Credential=A"),), True),
        ("/", (("Authorization", "Bearer A"),), False),
        ("/?AccessKeyId=A&Expires=1&Signature=b", (), False),
        ("/?AccessKeyId=A&Expires=1&Signature=b", (("x-amz-acl", "private"),), False),
        ("/?AWSAccessKeyId=A&Expires=1&Signature=b", (), True),
        ("/?%41WSAccessKeyId=A&Expires=1&Signature=b", (("x-obs-acl", "private"),), True),
        ("/?X-Amz-Signature=b", (), True),
        ("/?x-amz-server-side-encryption=aws:kms", (), True),
        ("/", (("X-Amz-Acl", "private"),), True),
        ("/", (("x-amz-acl", "private"), ("x-obs-acl", "private")), False),
        ("/?x-obs-acl=private", (("x-amz-acl", "private"),), False),
        ("/x-amz-acl", (), False),
        ("/", (), False),
    ],
)
def test_the_dialect_of_a_request(target: str, lines: Lines, s3: bool) -> None:
    head = Head("GET", target, Headers(lines))
    assert speaks_s3(head) is s3
    assert (understood(head) is head) is not s3


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("x-amz-acl", "x-obs-acl"),
        ("X-Amz-Meta-Colour", "X-Obs-Meta-Colour"),
        (KEY_ID, OUR_MODE + "-kms-key-id"),
        ("x-amz-server-side-encryption-customer-key-MD5", OUR_MODE + "-customer-key-MD5"),
        ("Content-Type", "Content-Type"),
    ],
)
def test_names_go_there_and_back(theirs: str, ours: str) -> None:
    assert our_name(theirs) == ours
    assert their_name(ours).lower() == theirs.lower()


def test_key_names_are_exchanged() -> None:
    ours = "region:domain:key/id"
    assert exchange_key("arn:aws:kms:" + ours) == ours
    assert exchange_key(ours) == "arn:aws:kms:" + ours
    assert exchange_key("id") == "id"


# ---- one server behind both faces --------------------------------------------------------------------------------


def test_what_one_face_stores_the_other_reads(rig: S3Rig) -> None:
    key_id, long_name = rig.made.keys["custom"], rig.long_name("custom")
    put = rig.s3("PUT", "/bucket/o", {MODE: "aws:kms", KEY_ID: key_id, "x-amz-meta-colour": "red"}, BODY)
    assert (put.status, put.first(MODE), put.first(KEY_ID)) == (200, "aws:kms", f"arn:aws:kms:{long_name}")
    got = rig.ask("GET", "/bucket/o")
    assert (got.content(), got.first(OUR_MODE), got.first(OUR_MODE + "-kms-key-id")) == (BODY, "kms", long_name)
    assert got.first("x-obs-meta-colour") == "red"
    assert rig.ask("PUT", "/bucket/p", ((OUR_MODE, "kms"),), BODY).status == 200
    theirs = rig.s3("GET", "/bucket/p")
    assert (theirs.content(), theirs.first(MODE)) == (BODY, "aws:kms")
    names = {name.lower() for name, _ in theirs.headers}
    assert {"x-amz-request-id", "x-amz-id-2", "server"} <= names
    assert not [name for name in names if name.startswith("x-obs-")]


def test_documents_that_are_objects_are_left_alone(rig: S3Rig) -> None:
    document = b'<?xml version="1.0"?>\n<Location xmlns="x"><Code>ServiceNotImplemented</Code></Location>'
    assert rig.s3("PUT", "/bucket/o", {"Content-Type": "application/xml"}, document).status == 200
    assert rig.s3("GET", "/bucket/o").content() == document
    assert rig.ask("GET", "/bucket/o").content() == document


def test_a_default_set_in_one_face_is_shown_in_the_other(rig: S3Rig) -> None:
    document = (
        '<s:ServerSideEncryptionConfiguration xmlns:s="http://s3.amazonaws.com/doc/2006-03-01/"><s:Rule>'
        "<s:ApplyServerSideEncryptionByDefault><s:SSEAlgorithm> aws&#58;kms </s:SSEAlgorithm>"
        f"<s:KMSMasterKeyID>arn:aws:kms:{rig.long_name('custom')}</s:KMSMasterKeyID>"
        "</s:ApplyServerSideEncryptionByDefault><s:BucketKeyEnabled>false</s:BucketKeyEnabled></s:Rule>"
        "</s:ServerSideEncryptionConfiguration>"
    ).encode()
    assert rig.s3("PUT", "/bucket?encryption", {}, document).status == 200
    ours = rig.ask("GET", "/bucket?encryption", sub="encryption").content()
    assert b"<SSEAlgorithm>kms</SSEAlgorithm>" in ours
    assert f"<KMSMasterKeyID>{rig.long_name('custom')}<".encode() in ours
    theirs = rig.s3("GET", "/bucket?encryption").content()
    assert b"<SSEAlgorithm>aws:kms</SSEAlgorithm>" in theirs
    assert f"<KMSMasterKeyID>arn:aws:kms:{rig.long_name('custom')}<".encode() in theirs
    assert b'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"' in theirs
    for wrong, code in ((b" aws&#58;kms ", b"kms"), (b"<s:Rule>", b"<s:Rule><s:ProjectID>p</s:ProjectID>")):
        assert rig.s3("PUT", "/bucket?encryption", {}, document.replace(wrong, code)).status == 400


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({MODE: "kms"}, "InvalidArgument"),
        ({MODE: "aws:kms:dsse"}, "InvalidArgument"),
        ({MODE: "aws:kms", KEY_ID: "region:domain:key/" + NO_KEY}, "InvalidArgument"),
        ({MODE: "aws:kms", KEY_ID: NO_KEY}, "KMS.NotFoundException"),
        ({MODE: "aws:kms", MODE + "-context": "e30="}, "NotImplemented"),
        ({MODE: "aws:kms", "x-amz-sse-kms-key-project-id": "p"}, "NotImplemented"),
        ({OUR_MODE: "kms"}, "InvalidArgument"),
        ({MODE + "-customer-algorithm": "AES256"}, "InvalidArgument"),
        ({"x-amz-content-sha256": "STREAMING-UNKNOWN"}, "NotImplemented"),
    ],
)
def test_what_is_not_done_is_refused(rig: S3Rig, headers: dict[str, str], code: str) -> None:
    sign = of_version_2 if "x-amz-content-sha256" in headers else S3SigV4
    answer = rig.s3("PUT", "/bucket/o", headers, BODY, sign=sign)
    assert code_of(answer) == code
    assert rig.s3("HEAD", "/bucket/o").status == 404


def S3SigV4(credentials: Credentials) -> S3SigV4Auth:  # noqa: N802 - as botocore calls it
    return S3SigV4Auth(credentials, "s3", "region")


def test_refusals_speak_of_what_was_sent(rig: S3Rig) -> None:
    text = rig.s3("PUT", "/bucket/o", {MODE: "x"}, BODY).content().decode()
    assert f"<Message>{MODE} must be aws:kms or AES256.</Message>" in text
    assert "x-obs-" not in text
    head = rig.s3("HEAD", "/bucket/none")
    assert (head.status, head.first("x-amz-error-code")) == (404, "NoSuchKey")


def test_encryption_in_the_words_of_the_other_dialect_is_refused(rig: S3Rig) -> None:
    assert code_of(rig.ask("PUT", "/bucket/o", ((MODE, "aws:kms"),), BODY)) == "InvalidArgument"
    target = rig.signed_target("PUT", "/bucket/o") + f"&{MODE}=aws:kms"
    assert code_of(rig.bare("PUT", target, (("Host", HOST),), BODY)) == "InvalidArgument"
    assert code_of(rig.s3("PUT", f"/bucket/o?{OUR_MODE}=kms", {}, BODY)) == "InvalidArgument"
    assert rig.ask("PUT", "/bucket/o", (("x-amz-acl", "public-read"),), BODY).status == 200
    assert rig.bare("GET", "/bucket/o", (("Host", HOST),)).status == 403


# ---- signatures --------------------------------------------------------------------------------------------------


def test_bodies_are_held_against_their_hash(rig: S3Rig) -> None:
    def other(request: Request) -> Request:
        return Request(request.head, BODY[::-1])

    assert code_of(rig.s3("PUT", "/bucket/o", {}, BODY, change=other)) == "XAmzContentSHA256Mismatch"
    assert rig.s3("HEAD", "/bucket/o").status == 404


def without(name: str) -> Callable[[Request], Request]:
    def change(request: Request) -> Request:
        kept = tuple(pair for pair in request.head.headers.pairs if pair[0].lower() != name)
        return Request.of(request.head.method, request.head.target, kept, request.body)

    return change


def with_line(name: str, value: str) -> Callable[[Request], Request]:
    def change(request: Request) -> Request:
        head = request.head
        return Request.of(head.method, head.target, (*without(name)(request).head.headers.pairs, (name, value)))

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (without("x-amz-content-sha256"), "InvalidRequest"),
        (without("x-amz-date"), "AccessDenied"),
        (with_line("x-amz-date", "20130524T000000Z"), "AccessDenied"),
        (with_line("x-amz-acl", "public-read"), "AccessDenied"),
        (with_line("authorization", "AWS4-HMAC-SHA256 Credential=A"), "AccessDenied"),
        (with_line("authorization", "AWS4-HMAC-SHA256 Credential=A/b,SignedHeaders=c,Signature=d"), "AccessDenied"),
        (with_line("authorization", "AWS A"), "AccessDenied"),
        (with_line("authorization", "AWS A:b"), "InvalidAccessKeyId"),
        (with_line("range", "bytes=0-1"), "NoSuchKey"),
    ],
)
def test_requests_that_are_not_as_they_were_signed(rig: S3Rig, change: Callable[[Request], Request], code: str) -> None:
    assert code_of(rig.s3("GET", "/bucket/o", change=change)) == code


@pytest.mark.parametrize("sign", [S3SigV4, of_version_2])
def test_an_old_date_and_a_wrong_secret(rig: S3Rig, sign: Callable[[Credentials], Any]) -> None:
    def wrong(credentials: Credentials) -> Any:
        return sign(Credentials(credentials.access_key, "wrong"))

    assert code_of(rig.s3("GET", "/bucket", sign=wrong)) == "SignatureDoesNotMatch"
    rig.clock.seconds += 901
    assert code_of(rig.s3("GET", "/bucket", sign=sign)) == "RequestTimeTooSkewed"


@pytest.mark.parametrize(
    ("valid_s", "later_s", "code"),
    [(300, 290, "NoSuchKey"), (300, 310, "AccessDenied"), (300, -910, "AccessDenied"), (604_801, 0, "AccessDenied")],
)
def test_how_long_a_url_is_good(rig: S3Rig, valid_s: int, later_s: int, code: str) -> None:
    rig.clock.seconds += later_s
    answer = rig.s3("GET", "/bucket/none", sign=lambda one: S3SigV4QueryAuth(one, "s3", "region", valid_s))
    assert code_of(answer) == code


@pytest.mark.parametrize("name", ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"])
def test_a_url_has_all_its_parameters_once(rig: S3Rig, name: str) -> None:
    def rewritten(change: Callable[[str], str]) -> Callable[[Request], Request]:
        def changed(request: Request) -> Request:
            path, _, query = request.head.target.partition("?")
            pieces = [change(piece) if f"-{name}=" in piece else piece for piece in query.split("&")]
            return Request.of("GET", f"{path}?{'&'.join(filter(None, pieces))}", (("Host", HOST),))

        return changed

    assert code_of(rig.s3("GET", "/bucket/o", sign=by_url)) == "NoSuchKey"
    for change in (lambda _: "", lambda piece: f"{piece}&{piece}"):
        assert code_of(rig.s3("GET", "/bucket/o", sign=by_url, change=rewritten(change))) == "AccessDenied"


def test_a_url_carries_and_covers_encryption(rig: S3Rig) -> None:
    put = rig.s3("PUT", f"/bucket/o?{MODE}=aws%3Akms", sign=by_url, body=BODY)
    assert (put.status, put.first(MODE)) == (200, "aws:kms")

    def more(request: Request) -> Request:
        return Request.of("PUT", request.head.target + f"&{MODE}=AES256", request.head.headers.pairs, BODY)

    assert code_of(rig.s3("PUT", "/bucket/o", sign=by_url, change=more)) == "SignatureDoesNotMatch"


def test_two_ways_of_signing_are_refused(rig: S3Rig) -> None:
    both = with_line("authorization", "AWS A:b")
    assert code_of(rig.s3("GET", "/bucket", sign=by_url, change=both)) == "InvalidArgument"


def test_a_server_that_insists_wants_version_4_for_master_keys() -> None:
    rig = fresh()
    world = rig.service.world
    rig.service.world = type(world)(
        **{name: getattr(world, name) for name in world.__slots__ if name != "require_https"}, require_https=True
    )

    def over_tls(request: Request) -> Request:
        head = request.head
        return Request(Head(head.method, head.target, head.headers, secure=True), request.body)

    for sign, status in ((of_version_2, 400), (by_url, 200)):
        answer = rig.s3("PUT", "/bucket/o", {MODE: "aws:kms"}, BODY, sign=sign, change=over_tls)
        assert answer.status == status
    assert rig.s3("PUT", "/bucket/o", {MODE: "AES256"}, BODY, sign=of_version_2, change=over_tls).status == 200


def test_a_token_pages_through_names_that_need_escapes(rig: S3Rig) -> None:
    names = ["a&amp;b", "a b", "a+b"]
    for name in names:
        assert (
            rig.s3("PUT", "/bucket/" + name.replace("&", "%26").replace(" ", "%20").replace("+", "%2B")).status == 200
        )
    found, token = [], ""
    for _ in names:
        more = f"&continuation-token={token}" if token else ""
        text = rig.s3("GET", f"/bucket?list-type=2&max-keys=1{more}").content().decode()
        found.append(text.partition("<Key>")[2].partition("</Key>")[0])
        token = text.partition("<NextContinuationToken>")[2].partition("</")[0].replace("=", "%3D")
        assert "<KeyCount>1</KeyCount>" in text
    assert found == ["a b", "a&amp;amp;b", "a+b"]
    assert not token


# ---- anything at all ---------------------------------------------------------------------------------------------

WORDS = """
    AWS OBS AWS4-HMAC-SHA256 Credential= , SignedHeaders=host Signature= / : ; = & ? % %zz %C3%A4 20130524 s3
    20130524T000000Z aws4_request X-Amz-Algorithm X-Amz-Credential X-Amz-Date X-Amz-Expires X-Amz-SignedHeaders
    X-Amz-Signature AWSAccessKeyId AccessKeyId Expires continuation-token start-after list-type=2 encryption
    x-amz-server-side-encryption x-amz-acl x-obs-acl aws:kms STREAMING-AWS4-HMAC-SHA256-PAYLOAD -1 0 21
    UNSIGNED-PAYLOAD STREAMING-UNSIGNED-PAYLOAD-TRAILER x-amz-checksum-crc32 x-amz-checksum-x
    """.split()  # noqa: SIM905 - as words
NAMES = """
    Authorization x-amz-date x-amz-content-sha256 x-amz-decoded-content-length x-amz-trailer Content-Encoding Date
    x-amz-checksum-crc32 x-amz-server-side-encryption x-amz-meta-a x-amz-copy-source x-obs-acl
    """.split()  # noqa: SIM905 - as words
TEXTS = st.lists(st.sampled_from([*WORDS, " ", "\udcff", "9" * 5000]) | st.text(max_size=3), max_size=12).map("".join)
BODIES = (b"", BODY, b"15\r\n" + BODY + b"\r\n0\r\n\r\n", b"<A>", b"\xff<SSEAlgorithm>\xff</SSEAlgorithm>")


@settings(deadline=None)
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "HEAD"]),
    query=TEXTS | st.sampled_from(["", "encryption", "acl", "policy", "delete", "list-type=2"]),
    lines=st.lists(st.tuples(st.sampled_from(NAMES), TEXTS), max_size=6),
    body=st.sampled_from(BODIES),
)
def test_nothing_that_is_said_makes_the_server_stumble(
    method: str, query: str, lines: list[tuple[str, str]], body: bytes
) -> None:
    signed = ("Authorization", f"AWS {STURDY.made.identities['owner']}:x")
    for sent in (lines, [signed, *(line for line in lines if line[0] != "Authorization")]):
        for key in ("", "/o"):
            request = Request.of(method, f"/bucket{key}?{query}", (("Host", HOST), *sent), body)
            assert STURDY.service.respond(request).status != 500
            assert STURDY.bugs == []


STURDY = Rig(seams=DEFECTS["signature-not-checked"].seams())
"""It lets everybody in, so that everything behind the signature is reached."""
assert STURDY.ask("PUT", "/bucket").status == 200


# ---- defects -----------------------------------------------------------------------------------------------------


def script(rig: S3Rig) -> list[tuple[int, str | None, str | None, bytes]]:
    """What every defect below shows in, in S3 words."""
    custom = {MODE: "aws:kms", KEY_ID: rig.made.keys["custom"]}
    gone = {MODE: "aws:kms", KEY_ID: rig.made.keys["disabled"]}
    answers = [
        rig.s3("PUT", "/bucket/default", {MODE: "aws:kms"}, BODY),
        rig.s3("PUT", "/bucket/custom", custom, BODY),
        rig.s3("PUT", "/bucket/unknown", {MODE: "nonsense"}, BODY),
        rig.s3("PUT", "/bucket/gone", gone, BODY),
        rig.s3("PUT", "/bucket/copy", {"x-amz-copy-source": "/bucket/custom", **custom}),
        rig.s3("PUT", f"/bucket/url?{MODE}=aws%3Akms", {}, BODY, sign=by_url),
        *(rig.s3(method, f"/bucket/{key}") for key in ("custom", "copy", "url") for method in ("HEAD", "GET")),
        rig.s3("GET", "/bucket/custom", sign=lambda one: S3SigV4(Credentials(one.access_key, "wrong"))),
        rig.s3("GET", "/bucket/custom", role="other_account"),
        rig.s3("GET", "/bucket?encryption"),
    ]
    names = rig.made.keys
    return [
        (
            answer.status,
            answer.first(MODE),
            (answer.first(KEY_ID) or "").replace(names["custom"], "custom"),
            answer.content() if b"<Error>" not in answer.content() else code_of(answer).encode(),
        )
        for answer in answers
    ]


@pytest.mark.parametrize(
    "name",
    [
        "kms-header-missing-on-put",
        "bare-key-id-in-answer",
        "head-forgets-encryption",
        "copy-forgets-encryption",
        "signed-url-ignores-mode",
        "signed-url-refused",
        "custom-key-ignored",
        "signature-not-checked",
        "header-signature-not-checked",
        "wrong-bytes-read-back",
        "unknown-mode-stored-plain",
        "disabled-key-accepted",
        "strangers-may-read-kms",
        "no-default-answers-200",
    ],
)
def test_a_defect_shows_in_both_dialects(name: str) -> None:
    assert script(fresh(seams=DEFECTS[name].seams())) != script(fresh())


# ---- framing -----------------------------------------------------------------------------------------------------


def test_a_document_is_translated_before_it_is_framed() -> None:
    bodies = []
    for change in ({}, {"seams": VARIANTS["chunked-answers"].seams()}):
        one = fresh(**change)
        document = (
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>"
            f"<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>arn:aws:kms:{one.long_name('custom')}</KMSMasterKeyID>"
            "</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
        )
        assert one.s3("PUT", "/bucket?encryption", {}, document.encode()).status == 200
        bodies.append(one.s3("GET", "/bucket?encryption"))
    plain, chunked = bodies
    assert b">aws:kms</" in plain.content()
    assert chunked.first("transfer-encoding") == "chunked"
    assert chunked.first("content-length") is None
    assert in_chunks(chunked.content()) == plain.content()


def in_chunks(body: bytes) -> bytes:
    """The content of a body in chunks of the stated sizes (RFC 9112, 7.1)."""
    size, _, rest = body.partition(b"\r\n")
    length = int(size, 16)
    assert rest[length : length + 2] == b"\r\n"
    return rest[:length] + (in_chunks(rest[length + 2 :]) if length else b"")
