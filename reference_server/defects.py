"""Named wrong servers: each the honest one with a seam or two replaced.

Each defect says which clause it breaks and how realistic it is. This module does not know cases or verdicts, and
nothing in the honest server knows this module.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from reference_server import signature
from reference_server.encryption import KEY_ID, MODE, PLAIN, BucketDefault, Encryption, Method, Occasion, Wish
from reference_server.encryption import decide as honest_decide
from reference_server.encryption import response_fields as honest_fields
from reference_server.errors import ObsError
from reference_server.identities import ANONYMOUS, Caller, Dice, Directory
from reference_server.keyring import Keyring, MasterKey
from reference_server.service import HONEST, refuse
from reference_server.wire import Address, Head, Pairs, Query, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from reference_server.world import Call, Seams

SLIP = "plausible slip"


@dataclass(frozen=True, slots=True)
class Defect:
    """One wrong server. `breaks` are clause ids; `change` are the replaced seams."""

    name: str
    says: str
    breaks: tuple[str, ...]
    realism: str
    change: Mapping[str, object]

    def seams(self) -> Seams:
        """The honest seams with this defect's replaced."""
        return replace(HONEST, **dict(self.change))  # type: ignore[arg-type]  # names are checked by a test


# ---- answers -----------------------------------------------------------------------------------------------------


def _fields(change: Callable[[Occasion, Pairs], Pairs]) -> Mapping[str, object]:
    return {"response_fields": lambda occasion, encryption: change(occasion, honest_fields(occasion, encryption))}


def _without(name: str, occasions: Iterable[Occasion] = tuple(Occasion)) -> Mapping[str, object]:
    silent = frozenset(occasions)
    return _fields(lambda occasion, pairs: tuple(pair for pair in pairs if occasion not in silent or pair[0] != name))


def _rewritten(name: str, change: Callable[[str], str]) -> Mapping[str, object]:
    return _fields(lambda _, pairs: tuple((key, change(value) if key == name else value) for key, value in pairs))


def _finished(change: Callable[[Call | None, Response], Response]) -> Mapping[str, object]:
    return {"finish": change}


def _header(name: str, change: Callable[[str], str | None]) -> Mapping[str, object]:
    """Change or drop one header of every answer."""

    def finish(_: Call | None, response: Response) -> Response:
        changed = [(key, change(value) if key == name else value) for key, value in response.headers]
        return replace(response, headers=tuple((key, value) for key, value in changed if value is not None))

    return _finished(finish)


def _region_dropped(long_name: str) -> str:
    return long_name.partition(":")[2]


def _bare(long_name: str) -> str:
    return long_name.rpartition("key/")[2]


def _copy_only(change: Callable[[Response], Response]) -> Mapping[str, object]:
    def finish(call: Call | None, response: Response) -> Response:
        copies = call is not None and call.head.headers.first("x-obs-copy-source") is not None
        return change(response) if copies and response.status == 200 else response  # noqa: PLR2004 - the status 200

    return _finished(finish)


def _constant_identifiers(_dice: Dice, _now: float) -> tuple[str, str]:
    return "8DF400000163D45AA81D038B6AE4C482", "32AAAUJAIAABAAAQAAEAABAAAQAAEAABCTv7cHmAnGfBAGXUHeibUsiETTNqlCqC"


def _created(call: Call | None, response: Response) -> Response:
    stored = call is not None and call.operation.name == "PutObject" and response.status == 200  # noqa: PLR2004
    return replace(response, status=201) if stored else response


def _refuse_all(call: Call | None, response: Response) -> Response:
    if call is None or not 200 <= response.status < 300:  # noqa: PLR2004 - the successful class
        return response
    common = tuple(pair for pair in response.headers if pair[0] in {"Server", "x-obs-request-id", "x-obs-id-2", "Date"})
    refused = refuse(call.head.method, ObsError("AccessDenied"), b"<Error><Code>AccessDenied</Code></Error>")
    length = () if call.head.method == "HEAD" else (("Content-Length", str(len(refused.content()))),)
    return Response(refused.status, (*common, *refused.headers, *length), refused.body)


def _accept_all(_: Call | None, response: Response) -> Response:
    kept = tuple(pair for pair in response.headers if pair[0] != "Content-Length")
    return Response(200, (*kept, ("Content-Length", "0")), b"")


# ---- the decision ------------------------------------------------------------------------------------------------


def _decides(
    change: Callable[[Occasion, Wish, BucketDefault | None, Keyring, Caller], Encryption],
) -> Mapping[str, object]:
    return {"decide": change}


def _forgets(forgotten: Occasion) -> Mapping[str, object]:
    def decide(
        occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
    ) -> Encryption:
        return PLAIN if occasion is forgotten else honest_decide(occasion, wish, default, keyring, caller)

    return _decides(decide)


def _ignores_key(
    occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
) -> Encryption:
    return honest_decide(occasion, replace(wish, key=None), default, keyring, caller)


class _FreshDefault(Keyring):
    """Makes a new default key for every upload."""

    def default_for(self, caller: Caller) -> MasterKey:
        return self.create(caller)


def _other_key(
    occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
) -> Encryption:
    decided = honest_decide(occasion, wish, default, keyring, caller)
    own = [key for key in keyring.keys() if key.domain_id == caller.domain_id and key.in_default_project]  # noqa: SIM118 - no dict
    others = [key for key in own if decided.key is not None and key.key_id != decided.key.key_id]
    return replace(decided, key=others[0]) if others else decided


def _echoes_but_stores_plain() -> Mapping[str, object]:
    return {"lock": lambda _encryption, _keyring, _dice: None}


def _query_ignored() -> Mapping[str, object]:
    return {"wish_of_request": lambda headers, _query: HONEST.wish_of_request(headers, Query())}


# ---- who is calling ----------------------------------------------------------------------------------------------


def _trusting(head: Head, _address: Address, query: Query, directory: Directory, _now: float) -> Caller:
    claim = signature.claim_of(head, query)
    identity = directory.find(claim.access_key)
    return ANONYMOUS if identity is None else identity.caller


def _headers_trusted(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    authorization = head.headers.first("authorization") or ""
    identity = directory.find(authorization.removeprefix("OBS ").partition(":")[0])
    return identity.caller if identity else signature.authenticate(head, address, query, directory, now)


def _dated_urls(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    if "Signature" in query:
        signature.check_skew(head.headers, now)
    return signature.authenticate(head, address, query, directory, now)


def _no_urls(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    if "Signature" in query:
        raise ObsError("AccessDenied")
    return signature.authenticate(head, address, query, directory, now)


# ---- bytes -------------------------------------------------------------------------------------------------------


def _first_byte_flipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    first = next(pieces, b"")
    yield bytes((first[0] ^ 1,)) + first[1:] if first else first
    yield from pieces


_UPLOADS = (Occasion.PUT, Occasion.FORM, Occasion.COPY, Occasion.INITIATE)
_LIST = (
    Defect(
        "kms-header-missing-on-put",
        "The answer to an upload does not echo the mode.",
        ("SSEKMS-S44",),
        SLIP,
        _without(MODE, _UPLOADS),
    ),
    Defect(
        "key-id-header-missing",
        "No answer names the key.",
        ("SSEKMS-S45",),
        "seen in the wild: floci-io/floci#2144",
        _without(KEY_ID),
    ),
    Defect(
        "bare-key-id-in-answer",
        "Answers name the key by its bare id.",
        ("SSEKMS-S46",),
        SLIP,
        _rewritten(KEY_ID, _bare),
    ),
    Defect(
        "region-dropped-from-key-id",
        "Answers name the key without its region.",
        ("SSEKMS-S46",),
        SLIP,
        _rewritten(KEY_ID, _region_dropped),
    ),
    Defect(
        "wrong-mode-in-answer",
        "Answers name the mode AES256 for an SSE-KMS object.",
        ("SSEKMS-S44",),
        SLIP,
        _rewritten(MODE, lambda _: Method.OBS.value),
    ),
    Defect(
        "head-forgets-encryption",
        "HEAD tells nothing of the encryption.",
        ("SSEKMS-R1",),
        SLIP,
        _fields(lambda occasion, pairs: () if occasion is Occasion.HEAD else pairs),
    ),
    Defect(
        "copy-forgets-encryption",
        "A copy is stored plain whatever its headers say.",
        ("SSEKMS-S60",),
        "seen in the wild: moto #4172, sivchari/kumo #841",
        _forgets(Occasion.COPY),
    ),
    Defect(
        "copy-answer-without-key-id",
        "A copy is encrypted, but its answer does not name the key.",
        ("SSEKMS-S60",),
        "seen in the wild: floci-io/floci #2145",
        _without(KEY_ID, (Occasion.COPY,)),
    ),
    Defect(
        "copy-answers-without-document",
        "A copy is answered without CopyObjectResult.",
        ("OBS0082-S01",),
        "as the copy sample of the page itself (E-06)",
        _copy_only(
            lambda response: replace(
                response,
                body=b"",
                headers=tuple(
                    (name, "0" if name == "Content-Length" else value)
                    for name, value in response.headers
                    if name != "Content-Type"
                ),
            )
        ),
    ),
    Defect(
        "signed-url-ignores-mode",
        "The mode in the query of a signed URL is ignored.",
        ("SSEKMS-S63",),
        SLIP,
        _query_ignored(),
    ),
    Defect("signed-url-refused", "No signed URL is accepted.", ("SSEKMS-S62",), SLIP, {"authenticate": _no_urls}),
    Defect(
        "signed-url-checks-date",
        "A signed URL is refused if its Date line is not current.",
        ("SSEKMS-S65",),
        SLIP,
        {"authenticate": _dated_urls},
    ),
    Defect(
        "stores-in-the-clear",
        "Uploads echo the encryption, but the object is stored plain.",
        ("SSEKMS-R1",),
        SLIP,
        _echoes_but_stores_plain(),
    ),
    Defect(
        "new-default-key-per-upload",
        "Every upload without a key id gets a new key.",
        ("SSEKMS-S68",),
        SLIP,
        {"keyring": _FreshDefault},
    ),
    Defect(
        "custom-key-ignored",
        "The key id of a request is ignored; the default key is used.",
        ("SSEKMS-S53",),
        SLIP,
        _decides(_ignores_key),
    ),
    Defect(
        "uses-another-key",
        "Another key of the account is used than the one due.",
        ("SSEKMS-S61",),
        SLIP,
        _decides(_other_key),
    ),
    Defect(
        "signature-not-checked", "A known access key is enough.", ("SSEKMS-S37",), SLIP, {"authenticate": _trusting}
    ),
    Defect(
        "header-signature-not-checked",
        "The signature in the Authorization header is not looked at.",
        ("SSEKMS-S37",),
        SLIP,
        {"authenticate": _headers_trusted},
    ),
    Defect(
        "wrong-bytes-read-back",
        "The first byte of every download is wrong.",
        ("SSEKMS-R7",),
        SLIP,
        {"outgoing": _first_byte_flipped},
    ),
    Defect(
        "etag-unquoted",
        "The ETag has no quotes.",
        ("SSEKMS-S43",),
        SLIP,
        _header("ETag", lambda value: value.strip('"')),
    ),
    Defect("etag-weak", "The ETag is a weak one.", ("SSEKMS-S43",), SLIP, _header("ETag", lambda value: f"W/{value}")),
    Defect(
        "request-id-missing",
        "Answers have no request id.",
        ("SSEKMS-S42",),
        SLIP,
        _header("x-obs-request-id", lambda _: None),
    ),
    Defect(
        "repeats-request-id",
        "Every answer has the same request id.",
        ("SSEKMS-R6",),
        "as samples 1 and 2 of the page itself (E-04)",
        {"identifiers": _constant_identifiers},
    ),
    Defect("id-2-missing", "Answers have no x-obs-id-2.", ("SSEKMS-S47",), SLIP, _header("x-obs-id-2", lambda _: None)),
    Defect(
        "server-not-named", "Answers do not name the server.", ("SSEKMS-S41",), SLIP, _header("Server", lambda _: None)
    ),
    Defect(
        "date-not-http",
        "The Date of an answer is an ISO date.",
        ("SSEKMS-S48",),
        SLIP,
        _header("Date", lambda _: "2018-06-06T09:08:21Z"),
    ),
    Defect("put-answers-201", "An upload is answered 201 Created.", ("SSEKMS-S40",), SLIP, _finished(_created)),
    Defect(
        "answers-403-to-everything", "Whatever would succeed is refused.", ("SSEKMS-S36",), SLIP, _finished(_refuse_all)
    ),
    Defect(
        "answers-200-to-everything", "Every answer is 200 without a body.", ("SSEKMS-R7",), SLIP, _finished(_accept_all)
    ),
)

DEFECTS: Mapping[str, Defect] = MappingProxyType({defect.name: defect for defect in _LIST})
"""All wrong servers by name."""
