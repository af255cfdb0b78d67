"""Planted defects of configuration, parts, forms, ownership and URLs: each is told from the honest server by what it does."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from reference_server.defects import _LIST, DEFECTS
from reference_server.keyring import KeyState
from reference_server.tests.conftest import Rig, hmac_sha1

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_server.tests.conftest import Lines
    from reference_server.wire import Response

MODE = "x-obs-server-side-encryption"
KEY_ID = "x-obs-server-side-encryption-kms-key-id"
SOURCE = "x-obs-copy-source"
KMS: Lines = ((MODE, "kms"),)
HOST: Lines = (("Host", "obs.example.com"),)
BODY = b"0123456789"
POLICY = (
    b'{"Statement":[{"Effect":"Deny","Principal":"*","Action":"PutObject","Resource":"bucket/*",'
    b'"Condition":{"StringNotEquals":{"x-obs-server-side-encryption":"kms"}}}]}'
)
OPEN = b'{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":["bucket","bucket/*"]}]}'


class Play:
    """One server, asked in words."""

    def __init__(self, defect: str | None) -> None:
        self.rig = Rig() if defect is None else Rig(seams=DEFECTS[defect].seams())
        assert self.put_bucket().status == 200

    def put_bucket(self) -> Response:
        return self.rig.ask("PUT", "/bucket")

    def key(self, role: str) -> str:
        return self.rig.made.keys[role]

    def put(self, *headers: tuple[str, str], key: str = "o", role: str = "owner") -> Response:
        return self.rig.ask("PUT", f"/bucket/{key}", headers, BODY, role=role)

    def copy(self, *headers: tuple[str, str], key: str = "copied") -> Response:
        return self.rig.ask("PUT", f"/bucket/{key}", ((SOURCE, "/bucket/source"), *headers))

    def ask(self, method: str = "HEAD", key: str = "o", *headers: tuple[str, str], role: str = "owner") -> Response:
        return self.rig.ask(method, f"/bucket/{key}", headers, role=role)

    def configure(self, sub: str, body: bytes = b"", method: str = "PUT") -> Response:
        return self.rig.ask(method, f"/bucket?{sub}", (), body, sub=sub)

    def default(self, role: str = "custom") -> None:
        body = (
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>kms</SSEAlgorithm>"
            f"<KMSMasterKeyID>{self.key(role)}</KMSMasterKeyID>"
            "</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
        )
        assert self.configure("encryption", body.encode()).status == 200

    def policy(self, document: bytes = POLICY) -> None:
        assert self.configure("policy", document).status == 204

    def parts(self, *headers: tuple[str, str]) -> list[Response]:
        begun = self.rig.ask("POST", "/bucket/o?uploads", headers, sub="uploads")
        if begun.status != 200:
            return [begun]
        upload = begun.content().decode().partition("<UploadId>")[2].partition("<")[0]
        sub = f"partNumber=1&uploadId={upload}"
        part = self.rig.ask("PUT", f"/bucket/o?{sub}", (), BODY, sub=sub)
        body = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part.first('etag')}</ETag></Part></CompleteMultipartUpload>"
        done = self.rig.ask("POST", f"/bucket/o?uploadId={upload}", (), body.encode(), sub=f"uploadId={upload}")
        return [begun, part, done, self.ask()]

    def form(self, *fields: tuple[str, str], covered: bool = True, signature: str = "") -> Response:
        pairs = [("key", "o"), *fields]
        identity = self.rig.identity()
        conditions = [{"bucket": "bucket"}, *({name: value} for name, value in (pairs if covered else pairs[:1]))]
        document = json.dumps({"expiration": "2018-06-06T09:13:21Z", "conditions": conditions})
        policy = base64.b64encode(document.encode()).decode()
        given = signature or hmac_sha1(identity.secret_key, policy)
        pairs += [("AccessKeyId", identity.access_key), ("policy", policy), ("signature", given), ("file", "x")]
        body = "".join(
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in pairs
        )
        lines = (*HOST, ("Content-Type", "multipart/form-data; boundary=b"))
        return self.rig.bare("POST", "/bucket", lines, f"{body}--b--".encode())

    def url(self, query: str = "", *, change: Callable[[str], str] = lambda url: url, valid_s: int = 300) -> Response:
        made = change(self.rig.signed_target("PUT", "/bucket/o", query, valid_s=valid_s))
        return self.rig.bare("PUT", made, HOST, BODY)

    def delete_key(self, role: str) -> None:
        keyring = self.rig.service.world.keyring
        key = keyring.get(self.key(role))
        assert key is not None
        keyring.change_state(key, KeyState.DELETED)

    def seen(self, *answers: Any) -> list[tuple[Any, ...]]:
        """Of each answer its status, what it says of encryption, its error code and, of a download, its body."""
        roles = {key: role for role, key in self.rig.made.keys.items()}

        def role(name: str | None) -> str | None:
            return None if name is None else roles.get(name.rpartition("/")[2], "default")

        def said(answer: Response) -> str:
            content = answer.content().decode()
            code = re.search("<Code>(.*?)</Code>", content)
            return code[1] if code else "" if content.startswith("<") else content

        return [
            answer
            if isinstance(answer, tuple)
            else (answer.status, answer.first(MODE), role(answer.first(KEY_ID)), said(answer))
            for answer in answers
        ]


def plain(play: Play) -> list[Response]:
    return [play.put(), play.ask(), play.ask("GET")]


def inherits(play: Play) -> list[Response]:
    play.put(key="source")
    play.default()
    return [play.put(), play.ask(), play.copy(), *play.parts(), play.form(), play.ask("HEAD", "source")]


def explicit(play: Play) -> list[Response]:
    play.default()
    return [play.put(*KMS, (KEY_ID, play.key("second"))), play.put((MODE, "AES256"))]


def deletes_default(play: Play) -> list[Response]:
    play.default()
    return [
        play.configure("encryption", method="DELETE"),
        play.rig.ask("HEAD", "/bucket"),
        play.put(),
        play.ask(),
        play.configure("encryption", method="GET"),
    ]


def configured(play: Play) -> list[Response]:
    play.default()
    return [play.put()]


def closed(play: Play) -> list[Response]:
    return [
        play.rig.ask("DELETE", "/bucket?encryption", sub="encryption", role="other_account"),
        play.rig.ask("DELETE", "/bucket?policy", sub="policy", role="other_account"),
        play.configure("policy", method="GET"),
        play.configure("policy", POLICY),
    ]


def granted(play: Play) -> list[Response]:
    play.policy()
    answers = [play.put(), play.put((MODE, "AES256")), play.put(*KMS)]
    play.policy(POLICY.replace(b"StringNotEquals", b"StringEquals").replace(b'"kms"', b'"AES256"'))
    answers.append(play.put())
    play.policy(POLICY.replace(b"bucket/*", b"bucket/a*"))
    answers.append(play.put())
    allow = b'{"Effect":"Allow","Principal":"*","Action":"PutObject","Resource":"bucket/*"}'
    play.policy(b'{"Statement":[%s]}' % allow)
    answers.append(play.put(role="other_account"))
    play.policy(b'{"Statement":[%s,%s]}' % (allow, allow.replace(b"Allow", b"Deny")))
    return [*answers, play.put(role="other_account")]


def fact(value: object) -> Any:
    """Something else an answer says, as if it were a body."""
    return (200, None, None, str(value))


def copied(play: Play) -> list[Any]:
    play.put(("x-obs-meta-colour", "blue"), key="source")
    directive, red = "x-obs-metadata-directive", ("x-obs-meta-colour", "red")
    answers: list[Any] = [play.copy(red)]
    answers.append(fact(play.ask("HEAD", "copied").first("x-obs-meta-colour")))
    play.put(key="source") if play.ask("HEAD", "source").status != 200 else None
    answers.append(play.copy(red, (directive, "REPLACE")))
    answers.append(fact(play.ask("HEAD", "copied").first("x-obs-meta-colour")))
    answers.append(play.copy((directive, "MOVE")))
    answers.append(play.rig.ask("PUT", "/bucket/copied", ((SOURCE, "/bucket/copied"),)))
    return [*answers, play.ask("HEAD", "source")]


def refused(play: Play) -> list[Response]:
    play.put()
    return [
        play.put(*KMS, (KEY_ID, play.key("unknown"))),
        play.ask("GET"),
        play.put(("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")),
    ]


def pieces(play: Play) -> list[Any]:
    first = b"x" * 102_400
    bodies = {1: first, 2: b"two", 3: b"three"}

    def begin(*numbers: int) -> tuple[str, dict[int, str]]:
        begun = play.rig.ask("POST", "/bucket/p?uploads", sub="uploads").content().decode()
        upload, etags = begun.partition("<UploadId>")[2].partition("<")[0], {}
        for number in numbers:
            play.rig.clock.seconds += 1
            sub = f"partNumber={number}&uploadId={upload}"
            etags[number] = play.rig.ask("PUT", f"/bucket/p?{sub}", (), bodies[number], sub=sub).first("etag") or ""
        return upload, etags

    def complete(upload: str, *parts: tuple[int, str]) -> Response:
        inner = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
        body = f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>".encode()
        return play.rig.ask("POST", f"/bucket/p?uploadId={upload}", (), body, sub=f"uploadId={upload}")

    answers: list[Any] = []
    for order in ((2, 1), (1, 0), (2, 3)):
        upload, etags = begin(1, 2, 3)
        answers.append(complete(upload, *((number or 2, etags.get(number, "0" * 32)) for number in order)))
    upload, etags = begin(2, 1)
    answers.append(complete(upload, *sorted(etags.items())))
    got = play.ask("GET", "p")
    text = got.content().replace(first, b"one").decode()
    answers += [fact(text), fact((got.first("etag") or "")[33:].strip('"'))]
    upload, _ = begin()
    play.rig.ask("DELETE", f"/bucket/p?uploadId={upload}", sub=f"uploadId={upload}")
    return [*answers, complete(upload, (1, "x"))]


def answered(play: Play) -> list[Response]:
    stored = play.form(("success_action_status", "201"))
    play.rig.clock.seconds += 400
    return [stored, play.form()]


def garbage(play: Play) -> list[Response]:
    return [play.configure("encryption", b"<garbage/>"), play.configure("policy", b"{}")]


def judged(play: Play) -> list[Response]:
    play.put(key="source")
    play.policy()
    return [
        play.put(),
        play.put((MODE, "AES256")),
        play.put(*KMS),
        play.copy(),
        *play.parts(),
        play.form(),
        play.ask("GET", "source"),
        play.ask("DELETE", "source"),
        play.configure("policy", method="DELETE"),
        play.put(),
    ]


def in_parts(play: Play) -> list[Response]:
    return play.parts(*KMS, (KEY_ID, play.key("custom")))


def by_form(play: Play) -> list[Response]:
    return [play.form(*KMS), play.ask(), play.form(*KMS, covered=False), play.form(signature="A" * 27 + "=")]


def owned(play: Play) -> list[Response]:
    play.policy(OPEN)
    theirs = (*KMS, (KEY_ID, play.key("other_project")))
    play.put(*KMS, ("x-obs-acl", "public-read"), key="public")
    play.put(*theirs, key="theirs", role="other_project")
    play.configure("policy", method="DELETE")
    return [
        play.put(*theirs),
        play.ask("GET", "theirs"),
        play.rig.bare("GET", "/bucket/public", HOST),
    ]


def keys(play: Play) -> list[Response]:
    domain = play.rig.identity().caller.domain_id
    names = [
        *(play.key(role) for role in ("custom", "unknown", "disabled", "scheduled", "deleted")),
        *(
            f"{region}:{account}:key/{play.key('custom')}"
            for region, account in (("region", domain), ("elsewhere", domain), ("region", "0" * 32))
        ),
    ]
    return [play.put(*KMS, (KEY_ID, name)) for name in names]


def deleted(play: Play) -> list[Response]:
    play.put(*KMS, (KEY_ID, play.key("custom")))
    play.delete_key("custom")
    return [play.ask("GET"), play.put(*KMS, (KEY_ID, play.key("custom")))]


def modes(play: Play) -> list[Response]:
    return [play.put((MODE, mode)) for mode in ("kms", "KMS", "Kms", "aws:kms", "sm4")]


def urls(play: Play) -> list[Response]:
    return [
        play.url(f"{MODE}=kms"),
        play.url(f"{MODE}=kms&{KEY_ID}={play.key('custom')}"),
        play.url(f"{MODE}=kms", valid_s=-1),
        play.url(f"{MODE}=kms", change=lambda url: url.replace("=kms", "=AES256")),
        play.url(change=lambda url: f"{url}&{MODE}=kms"),
        play.url(valid_s=366 * 24 * 3600),
        play.rig.bare("PUT", play.rig.signed_target("PUT", "/bucket/o", headers=KMS), (*HOST, *KMS), BODY),
    ]


def reads(play: Play) -> list[Response]:
    play.put(*KMS, ("x-obs-meta-colour", "blue"))
    colour = play.ask("HEAD").first("x-obs-meta-colour")
    return [play.ask("HEAD" if colour else "GET"), play.ask("GET"), play.ask("GET", "o", ("range", "bytes=2-4"))]


OK, PLAIN, DENIED = (200, "kms", "default", ""), (200, None, None, ""), (403, None, None, "AccessDenied")
CUSTOM = (200, "kms", "custom", "")
BAD = (400, None, None, "InvalidArgument")
NOT_FOUND, DISABLED = (400, None, None, "KMS.NotFoundException"), (400, None, None, "KMS.DisabledException")
UNSIGNED = (403, None, None, "SignatureDoesNotMatch")
FORM = (204, "kms", "default", "")

SCENES: dict[Callable[[Play], list[Response]], list[tuple[Any, ...]]] = {
    plain: [PLAIN, PLAIN, (200, None, None, BODY.decode())],
    inherits: [CUSTOM, CUSTOM, CUSTOM, *[CUSTOM] * 4, (204, "kms", "custom", ""), PLAIN],
    explicit: [(200, "kms", "second", ""), (200, "AES256", None, "")],
    deletes_default: [(204, None, None, ""), PLAIN, PLAIN, PLAIN, (404, None, None, "NoSuchEncryptionConfiguration")],
    configured: [CUSTOM],
    closed: [DENIED, DENIED, (404, None, None, "NoSuchBucketPolicy"), (204, None, None, "")],
    granted: [DENIED, DENIED, OK, PLAIN, PLAIN, PLAIN, DENIED],
    copied: [PLAIN, fact("blue"), PLAIN, fact("red"), BAD, (400, None, None, "InvalidRequest"), PLAIN],
    refused: [NOT_FOUND, (200, None, None, BODY.decode()), (400, None, None, "BadDigest")],
    pieces: [
        (400, None, None, "InvalidPartOrder"),
        (400, None, None, "InvalidPart"),
        (400, None, None, "EntityTooSmall"),
        PLAIN,
        fact("onetwo"),
        fact("-2"),
        (404, None, None, "NoSuchUpload"),
    ],
    answered: [(201, None, None, ""), DENIED],
    garbage: [(400, None, None, "MalformedXML"), (400, None, None, "MalformedPolicy")],
    judged: [
        DENIED,
        DENIED,
        OK,
        DENIED,
        DENIED,
        DENIED,
        (200, None, None, BODY.decode()),
        *[(204, None, None, "")] * 2,
        PLAIN,
    ],
    in_parts: [CUSTOM] * 4,
    by_form: [FORM, OK, (400, None, None, "InvalidPolicyDocument"), UNSIGNED],
    owned: [DENIED, DENIED, DENIED],
    keys: [CUSTOM, NOT_FOUND, DISABLED, DISABLED, NOT_FOUND, CUSTOM, NOT_FOUND, NOT_FOUND],
    deleted: [NOT_FOUND, NOT_FOUND],
    modes: [OK, BAD, BAD, BAD, BAD],
    urls: [OK, CUSTOM, DENIED, UNSIGNED, UNSIGNED, PLAIN, OK],
    reads: [OK, (200, "kms", "default", BODY.decode()), (206, "kms", "default", "234")],
}
"""What the honest server answers in each scene."""

SEEN: dict[str, dict[Callable[[Play], list[Response]], dict[int, tuple[Any, ...]]]] = {
    "get-forgets-encryption": {
        reads: {1: (200, None, None, BODY.decode()), 2: (206, None, None, "234")},
    },
    "claims-encryption-for-plain-objects": {
        plain: {0: (200, "kms", None, ""), 1: (200, "kms", None, ""), 2: (200, "kms", None, BODY.decode())},
    },
    "object-headers-forgotten": {
        reads: {0: (200, "kms", "default", BODY.decode())},
        copied: {1: fact(None), 3: fact(None)},
    },
    "range-off-by-one": {reads: {2: (206, "kms", "default", "23")}},
    "range-ignored": {reads: {2: (200, "kms", "default", BODY.decode())}},
    "unknown-mode-stored-plain": {modes: dict.fromkeys(range(1, 5), PLAIN)},
    "mode-case-insensitive": {modes: {1: OK, 2: OK}},
    "key-id-in-query-ignored": {urls: {1: OK}},
    "long-key-id-refused": {keys: dict.fromkeys((5, 6, 7), BAD)},
    "bare-key-id-refused": {keys: dict.fromkeys(range(5), BAD)},
    "foreign-region-accepted": {keys: {6: CUSTOM}},
    "foreign-domain-accepted": {keys: {7: CUSTOM}},
    "unknown-key-accepted": {
        keys: dict.fromkeys((1, 4, 6, 7), OK),
        deleted: {1: OK},
        refused: {0: OK, 1: (200, "kms", "default", BODY.decode())},
    },
    "disabled-key-accepted": {keys: {2: (200, "kms", "disabled", "")}},
    "scheduled-key-accepted": {keys: {3: (200, "kms", "scheduled", "")}},
    "refused-upload-deletes-old-object": {
        refused: {1: (404, None, None, "NoSuchKey")},
        copied: {5: (404, None, None, "NoSuchKey")},
    },
    "content-md5-not-verified": {refused: {2: PLAIN}},
    "copy-moves": {
        inherits: {8: (404, None, None, "")},
        copied: {4: (404, None, None, "NoSuchKey"), 6: (404, None, None, "")},
    },
    "metadata-directive-ignored": {copied: {3: fact("blue"), 4: PLAIN}},
    "metadata-always-replaced": {copied: {1: fact("red"), 4: PLAIN, 5: PLAIN}},
    "default-not-kept": {configured: {0: PLAIN}},
    "no-default-answers-200": {deletes_default: {4: PLAIN}},
    "encryption-delete-answers-200": {deletes_default: {0: PLAIN}},
    "strangers-may-configure": {closed: {0: (204, None, None, ""), 1: (204, None, None, "")}},
    "policy-inverted": {granted: {0: PLAIN, 1: (200, "AES256", None, ""), 2: DENIED, 3: DENIED}},
    "policy-absent-header-meets-all": {granted: {3: DENIED}},
    "policy-resource-ignored": {granted: {4: DENIED}},
    "policy-allow-outweighs-deny": {granted: {6: PLAIN}},
    "policy-grants-nothing": {granted: {5: DENIED}},
    "policy-put-answers-200": {closed: {3: PLAIN}},
    "no-policy-answers-200": {closed: {2: (200, None, None, '{"Statement":[]}')}},
    "part-order-not-checked": {pieces: {0: PLAIN}},
    "part-etag-not-checked": {pieces: {1: PLAIN}},
    "part-size-not-checked": {pieces: {2: PLAIN}},
    "parts-joined-as-they-arrived": {pieces: {4: fact("twoone")}},
    "multipart-etag-without-count": {pieces: {5: fact("")}},
    "abort-keeps-upload": {pieces: {6: (400, None, None, "InvalidPart")}},
    "form-uncovered-field-accepted": {by_form: {2: FORM}},
    "form-never-expires": {answered: {1: (204, None, None, "")}},
    "form-status-ignored": {answered: {0: (204, None, None, "")}},
    "signed-url-ignores-headers": {urls: {6: PLAIN}},
    "long-validity-refused": {urls: {5: DENIED}},
    "deleted-key-still-decrypts": {deleted: {0: (200, "kms", "custom", BODY.decode())}},
    "key-owner-rule-missing-on-upload": {owned: {0: (200, "kms", "other_project", "")}},
    "key-owner-rule-missing-on-download": {owned: {1: (200, "kms", "other_project", BODY.decode())}},
    "strangers-may-read-kms": {
        owned: {1: (200, "kms", "other_project", BODY.decode()), 2: (200, "kms", "default", BODY.decode())},
    },
    "expiry-not-checked": {urls: {2: OK}},
    "altered-url-accepted": {urls: {3: (200, "AES256", None, ""), 4: OK}},
    "url-parameters-unsigned": {urls: {0: UNSIGNED, 1: UNSIGNED, 4: OK}},
    "default-not-inherited-on-put": {inherits: {0: PLAIN, 1: PLAIN}, configured: {0: PLAIN}},
    "default-not-inherited-on-copy": {inherits: {2: PLAIN}},
    "default-not-inherited-on-multipart": {inherits: dict.fromkeys(range(3, 7), PLAIN)},
    "default-not-inherited-on-form": {inherits: {7: (204, None, None, "")}},
    "default-key-ignored": {inherits: dict.fromkeys(range(7), OK) | {7: FORM}, configured: {0: OK}},
    "default-overrides-explicit-header": {explicit: {0: CUSTOM, 1: CUSTOM}},
    "default-claimed-for-old-objects": {inherits: {8: (200, "kms", None, "")}},
    "default-survives-delete": {deletes_default: {2: CUSTOM, 3: CUSTOM, 4: PLAIN}},
    "delete-encryption-deletes-bucket": {
        deletes_default: {
            1: (404, None, None, ""),
            2: (404, None, None, "NoSuchBucket"),
            3: (404, None, None, ""),
            4: (404, None, None, "NoSuchBucket"),
        },
    },
    "encryption-put-accepts-garbage": {garbage: {0: PLAIN}},
    "policy-put-accepts-garbage": {garbage: {1: (204, None, None, "")}},
    "policy-survives-delete": {judged: {9: DENIED}},
    "policy-not-enforced-on-put": {
        judged: {0: PLAIN, 1: (200, "AES256", None, "")},
        granted: {0: PLAIN, 1: (200, "AES256", None, ""), 5: DENIED},
        owned: {1: (404, None, None, "NoSuchKey")},
    },
    "policy-not-enforced-on-copy": {judged: {3: PLAIN}},
    "policy-not-enforced-on-form": {judged: {5: (204, None, None, "")}},
    "policy-binds-reads-too": {judged: {6: DENIED, 7: DENIED}},
    "multipart-forgets-encryption": {
        inherits: dict.fromkeys(range(3, 7), PLAIN),
        in_parts: dict.fromkeys(range(4), PLAIN),
    },
    "multipart-fields-missing-at-initiate": {inherits: {3: PLAIN}, in_parts: {0: PLAIN}},
    "initiate-hides-inherited-default": {inherits: {3: PLAIN}},
    "part-fields-missing": {inherits: {4: PLAIN}, in_parts: {1: PLAIN}},
    "complete-fields-missing": {inherits: {5: PLAIN}, in_parts: {2: PLAIN}},
    "form-ignores-mode": {by_form: {0: (204, None, None, ""), 1: PLAIN}},
    "form-policy-not-checked": {by_form: {2: FORM}, answered: {1: (204, None, None, "")}},
    "form-signature-not-checked": {by_form: {3: (204, None, None, "")}},
    "form-answer-without-fields": {inherits: {7: (204, None, None, "")}, by_form: {0: (204, None, None, "")}},
}
"""The answers in which each wrong server differs, and no others."""

EVERYWHERE = {
    "claims-encryption-for-plain-objects",
    "bare-key-id-refused",
    "default-not-kept",
    "policy-inverted",
    "policy-absent-header-meets-all",
    "policy-grants-nothing",
    "policy-put-answers-200",
}
"""Defects that many scenes meet in passing; they are looked at in theirs only."""

LONGER = {"policy-not-enforced", "policy-not-enforced-on-initiate", "policy-absent-header-passes"}
"""Defects that let an upload in parts go on where the honest server stops it, so that there are more answers."""


def test_every_defect_of_these_areas_is_here() -> None:
    """The others are those of uploads as such, in test_defects.py, and those that the library alone is shown (`slips`)."""
    assert set(SEEN) | LONGER <= set(DEFECTS)
    assert len(_LIST) == len(set(SEEN) | LONGER) + 29


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_honest_server(scene: Callable[[Play], list[Response]]) -> None:
    play = Play(None)
    assert play.seen(*scene(play)) == SCENES[scene]
    assert play.rig.bugs == []


@pytest.mark.parametrize("name", SEEN)
def test_defect_differs_in_these_answers_only(name: str) -> None:
    for scene, honest in SCENES.items():
        changed = SEEN[name].get(scene, {})
        if name in EVERYWHERE and scene not in SEEN[name]:
            continue
        play = Play(name)
        expected = [changed.get(index, answer) for index, answer in enumerate(honest)]
        assert play.seen(*scene(play)) == expected, scene.__name__
        assert play.rig.bugs == []


@pytest.mark.parametrize("name", sorted(LONGER))
def test_defect_lets_an_upload_in_parts_go_on(name: str) -> None:
    play = Play(name)
    answers = play.seen(*judged(play))
    assert len(answers) == len(SCENES[judged]) + 3
    put, aes, kms, copied, *parts, form, read, _, _, last = answers
    # An honest part is judged by what its initiation said, so that the upload comes to nothing all the same.
    stopped = [PLAIN, DENIED, DENIED, OK]
    assert parts == (stopped if name == "policy-not-enforced-on-initiate" else [PLAIN] * 4)
    assert (kms, read, last) == (OK, SCENES[judged][6], PLAIN)
    everything = name == "policy-not-enforced"
    absent = name == "policy-absent-header-passes"
    assert aes == ((200, "AES256", None, "") if everything else DENIED)
    assert (put, copied) == ((PLAIN, PLAIN) if everything or absent else (DENIED, DENIED))
    assert form == ((204, None, None, "") if everything or absent else DENIED)
