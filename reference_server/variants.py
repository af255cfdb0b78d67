"""Named harmless servers: each differs from the honest one in a way the documents allow, and breaks nothing.

What turns a verdict here is a mistake of whoever judges. Each variant says what allows it. Nothing in the honest
server knows this module.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING

from reference_server import wrong
from reference_server.dates import http_date
from reference_server.documents import NAMESPACE
from reference_server.encryption import KEY_ID, Occasion
from reference_server.errors import ObsError
from reference_server.keyring import NO_PRIVILEGE, Keyring, KeyState, MasterKey
from reference_server.misread import answer_of, recoded, with_body
from reference_server.service import HONEST, identifiers
from reference_server.service import refuse as honest_refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reference_server.identities import Caller, Dice
    from reference_server.wire import Response
    from reference_server.world import Call, Seams

HTTP = "RFC 9110 leaves it to the server"
FRAMING = "RFC 9112 leaves it to the server"
OPEN = "no page says it: "


@dataclass(frozen=True, slots=True)
class Variant:
    """One harmless server. `allowed` says by whom; `change` are the replaced seams."""

    name: str
    says: str
    allowed: str
    change: Mapping[str, object]

    def seams(self) -> Seams:
        """The honest seams with this variant's replaced."""
        return replace(HONEST, **dict(self.change))  # type: ignore[arg-type]  # names are checked by a test


def _answers(change: Callable[[Response], Response]) -> Mapping[str, object]:
    return wrong.finished(lambda _, response: change(response))


def _documents(change: Callable[[bytes], bytes]) -> Mapping[str, object]:
    """Every XML document is written in another way."""

    def finish(_: Call | None, response: Response) -> Response:
        body = response.body
        if not isinstance(body, bytes) or response.first("content-type") != "application/xml" or not body:
            return response
        return with_body(response, change(body))

    return wrong.finished(finish)


def _refusals(change: Callable[[bytes], bytes]) -> Mapping[str, object]:
    def refuse(method: str, error: ObsError, body: bytes) -> Response:
        return honest_refuse(method, error, change(body))

    return {"refuse": refuse}


def _cut(text: bytes, element: str) -> bytes:
    before, found, rest = text.partition(f"<{element}>".encode())
    return before + rest.partition(f"</{element}>".encode())[2] if found else text


def _chunked(response: Response) -> Response:
    body = response.body
    if response.first("content-type") != "application/xml" or not isinstance(body, bytes) or not body:
        return response
    pieces = (body[start : start + 100] for start in range(0, len(body), 100))
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    headers = tuple(pair for pair in response.headers if pair[0] != "Content-Length")
    told = response.inner or response
    return replace(response, headers=(*headers, ("Transfer-Encoding", "chunked")), body=framed, inner=told)


@wrong.touches_state
def _slowly(_: Call | None, response: Response) -> Response:
    time.sleep(0.001)
    return response


def _a_minute_behind(response: Response) -> Response:
    earlier = http_date(time.time() - 60)
    changed = tuple((name, earlier if name == "Date" else value) for name, value in response.headers)
    return replace(response, headers=changed)


def _renamed(change: Callable[[str], str]) -> Mapping[str, object]:
    return _answers(
        lambda response: replace(response, headers=tuple((change(name), value) for name, value in response.headers))
    )


def _with(*pairs: tuple[str, str]) -> Mapping[str, object]:
    return _answers(lambda response: replace(response, headers=(*pairs, *response.headers)))


def _bare_head_refusals(method: str, error: ObsError, body: bytes) -> Response:
    refused = honest_refuse(method, error, body)
    return replace(refused, headers=()) if method == "HEAD" else refused


def _random_request_id(dice: Dice, now: float) -> tuple[str, str]:
    return dice(16).hex().upper(), identifiers(dice, now)[1]


def _shorter_second_id(dice: Dice, now: float) -> tuple[str, str]:
    request_id, host_id = identifiers(dice, now)
    return request_id, host_id[:56]


def _policy_in_lists(_: Call, response: Response) -> Response:
    document_ = json.loads(response.content())
    for statement in document_["Statement"]:
        for word in ("Action", "Resource"):
            if isinstance(statement.get(word), str):
                statement[word] = [statement[word]]
    return with_body(response, json.dumps(document_, indent=2, sort_keys=True).encode())


def _other_bytes_in_etag(digest: bytes, md5: bytes | None) -> str:
    del md5
    return hashlib.sha256(digest).hexdigest()[:32]


def _foreign_as_unknown(method: str, error: ObsError, body: bytes) -> Response:
    if error.message != NO_PRIVILEGE:
        return honest_refuse(method, error, body)
    other = ObsError("KMS.NotFoundException")
    return honest_refuse(method, other, body.replace(error.code.encode(), other.code.encode()))


class _DeletedAsDisabled(Keyring):
    """Tells nobody that a key is deleted rather than disabled."""

    def permit(self, key: MasterKey, caller: Caller) -> None:
        super().permit(replace(key, state=KeyState.DISABLED) if key.state is KeyState.DELETED else key, caller)


_PROJECT = "x-obs-sse-kms-key-project-id"
_ON_THE_WAY = (Occasion.PART, Occasion.COPY_PART, Occasion.COMPLETE)

_LIST = (
    Variant(
        "headers-reversed",
        "Header lines come in the opposite order.",
        HTTP,
        _answers(lambda response: replace(response, headers=response.headers[::-1])),
    ),
    Variant("names-in-lower-case", "The names of headers are in lower case.", HTTP, _renamed(str.lower)),
    Variant("names-in-upper-case", "The names of headers are in upper case.", HTTP, _renamed(str.upper)),
    Variant("names-in-title-case", "The names of headers are in title case.", HTTP, _renamed(str.title)),
    Variant(
        "more-headers",
        "Answers have headers of a proxy and of a browser's security.",
        HTTP,
        _with(("Via", "1.1 front"), ("X-Frame-Options", "DENY"), ("Vary", "Origin"), ("X-Cache", "MISS")),
    ),
    Variant(
        "keep-alive-announced",
        "Answers say that the connection stays open.",
        FRAMING,
        _with(("Connection", "keep-alive"), ("Keep-Alive", "timeout=30")),
    ),
    Variant(
        "connection-closed",
        "The connection is closed after each answer.",
        FRAMING,
        _answers(lambda response: replace(response, close=True)),
    ),
    Variant("chunked-answers", "Documents are sent in chunks of 100 bytes.", FRAMING, {"frame": _chunked}),
    Variant("slow-answers", "Every answer takes a little longer.", "nothing promises a speed", wrong.finished(_slowly)),
    Variant(
        "other-reason-phrases",
        "The reason phrase is another one.",
        HTTP,
        _answers(lambda response: replace(response, reason=f"As you wish {response.status}")),
    ),
    Variant(
        "reason-phrases-in-capitals",
        "The reason phrase is in capitals.",
        HTTP,
        _answers(lambda response: replace(response, reason=HTTPStatus(response.status).phrase.upper())),
    ),
    Variant(
        "clock-a-minute-behind",
        "The clock that dates answers is a minute behind.",
        "requests may be 15 minutes off, and so may answers",
        _answers(_a_minute_behind),
    ),
    Variant(
        "etag-of-another-digest",
        "The ETag is cut from another digest.",
        "obs_04_0105: it is not the MD5 of the content, and nothing says what it is",
        {"etag": _other_bytes_in_etag},
    ),
    Variant(
        "request-ids-without-time",
        "Request ids are all chance.",
        "E-07: what is in a request id is nobody's business",
        {"identifiers": _random_request_id},
    ),
    Variant(
        "shorter-second-id",
        "The second id, x-obs-id-2, has 56 characters.",
        "E-14: lengths differ in the documents",
        {"identifiers": _shorter_second_id},
    ),
    Variant(
        "documents-declared",
        "Documents begin with an XML declaration and a line feed.",
        "XML 1.0, section 2.8",
        _documents(
            lambda body: (
                b'<?xml version="1.0" encoding="UTF-8"?>\n' + body.partition(b"?>")[2].lstrip()
                if body.startswith(b"<?xml")
                else b'<?xml version="1.0" encoding="UTF-8"?>\n' + body
            )
        ),
    ),
    Variant(
        "documents-indented",
        "Documents have line feeds between their elements.",
        "blanks between elements mean nothing",
        _documents(lambda body: body.replace(b"><", b">\n  <")),
    ),
    Variant(
        "documents-commented",
        "Documents end with a comment.",
        "XML 1.0, section 2.5",
        _documents(lambda body: body + b"<!-- served by node 7 -->"),
    ),
    Variant(
        "refusals-in-other-words",
        "The message of a refusal is in other words.",
        "no page fixes the words of a message",
        _refusals(lambda body: _cut(body, "Message").replace(b"</Error>", b"<Message>No.</Message></Error>")),
    ),
    Variant(
        "refusals-with-more-elements",
        "The document of a refusal has further elements.",
        "obs_04_0115 names what must be there, not what must not",
        _refusals(lambda body: body.replace(b"</Error>", b"<Hint>Read the manual.</Hint></Error>")),
    ),
    Variant(
        "refusals-without-resource",
        "The document of a refusal does not name the resource.",
        "obs_04_0115 asks for code, message and request id",
        _refusals(lambda body: _cut(body, "Resource")),
    ),
    Variant(
        "head-refusals-bare",
        "A refused HEAD has a status and nothing else.",
        "Q-29: " + OPEN + "how a refused HEAD names its error",
        {"refuse": _bare_head_refusals},
    ),
    Variant(
        "foreign-keys-like-unknown-ones",
        "A key the caller may not use is refused as one that does not exist.",
        "Q-10: " + OPEN + "which of the two codes it is",
        {"refuse": _foreign_as_unknown},
    ),
    Variant(
        "deleted-keys-like-disabled-ones",
        "A deleted key is refused as one that is disabled.",
        "Q-09: " + OPEN + "which of the two codes it is",
        {"keyring": _DeletedAsDisabled},
    ),
    Variant(
        "signatures-refused-as-access",
        "A wrong signature is refused with AccessDenied.",
        "obs_04_0115 lists both codes for requests that are not authorized",
        recoded(("SignatureDoesNotMatch", "RequestTimeTooSkewed", "InvalidAccessKeyId"), "AccessDenied"),
    ),
    Variant(
        "project-of-the-key-told",
        "Answers tell the project of the key beside its id.",
        "Q-17: " + OPEN + "whether it is told",
        wrong.fields(
            lambda _, pairs: (*pairs, (_PROJECT, "0" * 32)) if any(name == KEY_ID for name, _ in pairs) else pairs
        ),
    ),
    Variant(
        "mode-before-the-rest",
        "The headers of encryption come first, the key before the mode.",
        HTTP,
        wrong.fields(lambda _, pairs: pairs[::-1]),
    ),
    Variant(
        "parts-and-completions-silent",
        "Answers to parts and completions do not tell the encryption.",
        "Q-14: the table of the page has the fields, its sample has not",
        wrong.fields(lambda occasion, pairs: () if occasion in _ON_THE_WAY else pairs),
    ),
    Variant(
        "policies-read-back-in-lists",
        "A policy is read back indented, its keys sorted, its single values in lists.",
        "obs_04_0028: the meaning counts",
        answer_of("GetBucketPolicy", _policy_in_lists),
    ),
    Variant(
        "documents-without-namespace",
        "Documents are in no namespace.",
        "obs_04_0063: syntax and samples differ",
        _documents(lambda body: body.replace(f' xmlns="{NAMESPACE}"'.encode(), b"")),
    ),
    Variant(
        "accept-ranges-announced",
        "Objects are announced as open to ranges.",
        HTTP,
        answer_of(
            "GetObject",
            lambda _, response: replace(response, headers=(*response.headers, ("Accept-Ranges", "bytes"))),
        ),
    ),
)

VARIANTS: Mapping[str, Variant] = MappingProxyType({variant.name: variant for variant in _LIST})
"""All harmless servers by name."""
