"""The edge at which S3 becomes OBS and OBS becomes S3: which dialect a request speaks, and the way there and back.

Pure: a head, a form's fields or a document go in and the same come out in the server's own words, by the tables of
`s3_words`; what must be said of the original (its signature) travels along as `Foreign`. Nothing behind this edge knows
that there are two dialects, so that there is one owner of the encryption decision, of the policy and of the errors.

Decisions where the documents are silent:

* The signature says the dialect: `OBS` or `AWS...` in Authorization, `AccessKeyId` or `AWSAccessKeyId`/`X-Amz-...` in a
  URL or form. Without a signature, `x-amz-` words mean S3 unless there are `x-obs-` words as well.
* Words of the other dialect are not looked at, except those on encryption: they are refused with 400 InvalidArgument,
  because storing something as plain that was to be encrypted is the worst answer of all.
* A URL of version 4 is good for seven days at most, and not before its date (15 minutes aside).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import replace
from html import escape, unescape
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, unquote_plus

from reference_server.dates import http_date, parse_http_date
from reference_server.errors import ObsError
from reference_server.s3_signature import (
    MAX_DIGITS,
    MAX_VALID_S,
    STREAMING,
    UNSIGNED,
    moment_of,
    moment_text,
    parse_authorization,
    parse_credential,
)
from reference_server.s3_words import (
    ALGORITHM,
    CHECKSUM,
    CODES,
    ELEMENTS,
    LACKING,
    NAMESPACE,
    ONLY_THEIRS,
    OURS,
    ROOTS,
    THEIRS,
    TOKEN_URL,
    URL_PARAMETERS,
    URL_SIGNATURE,
    exchanged,
    our_name,
    their_name,
    their_sentence,
)
from reference_server.wire import Foreign, Head, Headers, Query, decode_octets, encode_octets, parse_query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reference_server.wire import Response

_AUTHORIZATION, _LENGTH = "authorization", "content-length"
_SSE = "server-side-encryption"
_SSE_WORDS = {
    prefix: frozenset(
        prefix + word
        for word in (
            _SSE,
            _SSE + "-kms-key-id",
            _SSE + "-aws-kms-key-id",
            _SSE + "-context",
            _SSE + "-customer-algorithm",
            _SSE + "-customer-key",
            _SSE + "-customer-key-md5",
        )
    )
    for prefix in (OURS, THEIRS)
}
_URL_NAMES = frozenset((*URL_PARAMETERS, URL_SIGNATURE))
_V2_KEY = "AWSAccessKeyId"
_FORM_KEYS = frozenset(("accesskeyid", "obsaccesskeyid"))


# ---- which dialect ---------------------------------------------------------------------------------------------------


def speaks_s3(head: Head) -> bool:
    """Whether a request is S3's, by its signature if it has one, else by its words."""
    authorization = head.headers.first(_AUTHORIZATION)
    if authorization is not None:
        return authorization.startswith(("AWS ", "AWS4-"))
    names = list(_parameter_names(head.target))
    if "AccessKeyId" in names:
        return False
    if any(name == _V2_KEY or name in _URL_NAMES for name in names):
        return True
    words = [*head.headers.names(), *map(str.lower, names)]
    return _begins(words, THEIRS) and not _begins(words, OURS)


def form_speaks_s3(names: Iterable[str]) -> bool:
    """The same of a form, by the names of its fields in lower case."""
    known = set(names)
    if known & _FORM_KEYS:
        return False
    return _V2_KEY.lower() in known or (_begins(known, THEIRS) and not _begins(known, OURS))


def _begins(words: Iterable[str], prefix: str) -> bool:
    return any(word.startswith(prefix) for word in words)


def _parameter_names(target: str) -> Iterator[str]:
    query = target.partition("#")[0].partition("?")[2]
    return (unquote_plus(piece.partition("=")[0]) for piece in query.split("&") if piece)


def refuse_mixture(head: Head, query: Query) -> None:
    """Refuse what a request says of encryption in the other dialect, and what only S3 can ask for and nobody does."""
    if head.foreign is None:
        _refuse_others(head.headers, THEIRS)
        if query.pairs:
            _refuse_others(_lines(query.pairs), THEIRS)
        return
    said = _lines((theirs, value) for _, theirs, value in head.foreign.parameters)
    for fields in (head.foreign.head.headers, said):
        refuse_lacking(fields)
        _refuse_others(fields, OURS)


def _lines(parameters: Iterable[tuple[str, str | None]]) -> Headers:
    return Headers(tuple((name, value or "") for name, value in parameters))


def _refuse_others(fields: Headers, prefix: str) -> None:
    words = _SSE_WORDS[prefix]
    if fields.mentions(words):
        found = next(name for name in fields.names() if name in words)
        raise ObsError("InvalidArgument", f"{found} belongs to the dialect that this request does not speak.")


# ---- requests --------------------------------------------------------------------------------------------------------


def understood(head: Head) -> Head:
    """A head in the server's own words; one that is in them already comes back as it is."""
    if not speaks_s3(head):
        return head
    try:
        query = parse_query(head.target.partition("#")[0].partition("?")[2])
    except ObsError:
        return replace(head, foreign=Foreign(head))  # whoever reads the target refuses it
    try:
        foreign = _signed(head, query)
    except ObsError as error:
        foreign = Foreign(head, fault=error)
    parameters = tuple(_parameters(query, foreign))
    foreign = replace(foreign, parameters=tuple((ours, theirs, value) for ours, theirs, value, _ in parameters))
    target = head.target
    if query.pairs:
        kept = "&".join(_spelled(ours, ours_value) for ours, _, _, ours_value in parameters if ours)
        path = target.partition("#")[0].partition("?")[0]
        target = f"{path}?{kept}" if kept else path
    return replace(head, target=target, headers=Headers(tuple(_headers(head, foreign))), foreign=foreign)


def _spelled(name: str, value: str | None) -> str:
    return quote(name, safe="-_.~") if value is None else f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"


def _signed(head: Head, query: Query) -> Foreign:
    """Which version of the signature a request has, and what of it the inner reading has no place for."""
    authorization = head.headers.first(_AUTHORIZATION) or ""
    if authorization.startswith(ALGORITHM):
        return _signed_in_head(head, authorization)
    if any(name in _URL_NAMES for name, _ in query.pairs):
        return _signed_in_url(head, query)
    return Foreign(head, "V2" if authorization or _V2_KEY in query else "")


def _signed_in_head(head: Head, authorization: str) -> Foreign:
    credential, names, given = parse_authorization(authorization)
    sent = head.headers.first(THEIRS + "date")
    if sent is None:
        seconds = parse_http_date(head.headers.first("date") or "")
        moment = "" if seconds is None else moment_text(seconds)
    else:
        moment = sent
    access_key, scope = parse_credential(credential, moment)
    payload = head.headers.first(THEIRS + "content-sha256")
    if payload is None:
        raise ObsError("InvalidRequest", "A request signed with version 4 needs x-amz-content-sha256.")
    return Foreign(head, "V4", scope, names, moment, payload, access_key=access_key, signature=given)


def _signed_in_url(head: Head, query: Query) -> Foreign:
    """What a URL says; whether it has credential, expiry and signature is `signature.claim_of`'s to ask."""
    values = {name: query.every(name) for name in (*URL_PARAMETERS, URL_SIGNATURE)}
    algorithm, credential, moment, valid, names, given = (found[0] if found else "" for found in values.values())
    if algorithm != ALGORITHM or not names or any(len(found) > 1 for found in values.values()):
        raise ObsError("AccessDenied", f"A URL signed with version 4 has {', '.join(values)}, each once.")
    seconds = moment_of(moment)
    if seconds is None:
        raise ObsError("AccessDenied", "X-Amz-Date must be YYYYMMDDTHHMMSSZ.")
    access_key, scope = parse_credential(credential, moment) if credential else ("", "")
    return Foreign(
        head,
        "V4",
        scope,
        tuple(names.split(";")),
        moment,
        UNSIGNED,
        access_key=access_key,
        signature=given,
        expires=str(seconds + _valid_s(valid)) if valid else "",
    )


def _valid_s(text: str) -> int:
    """For how many seconds a URL of version 4 is good."""
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and 0 < int(text) <= MAX_VALID_S):
        raise ObsError("AccessDenied", f"X-Amz-Expires must be 1 to {MAX_VALID_S} seconds.")
    return int(text)


def _parameters(query: Query, foreign: Foreign) -> Iterator[tuple[str, str, str | None, str | None]]:
    """Every parameter as (our name or nothing, theirs, its value as sent, its value in our words)."""
    signed = {"X-Amz-Credential": ("AccessKeyId", foreign.access_key), URL_SIGNATURE: ("Signature", foreign.signature)}
    signed["X-Amz-Expires"] = ("Expires", foreign.expires)
    for theirs, value in query.pairs:
        if theirs in signed:
            ours, new = signed[theirs]
            yield ours, theirs, value, new
        elif theirs in _URL_NAMES or theirs.lower() in LACKING or theirs.lower().startswith(OURS):
            yield "", theirs, value, None
        elif theirs == _V2_KEY:
            yield "AccessKeyId", theirs, value, value
        elif theirs == TOKEN_URL:
            yield OURS + "security-token", theirs, value, value
        elif theirs.lower().startswith(CHECKSUM) or theirs.lower() in ONLY_THEIRS:
            yield "", theirs, value, None
        elif theirs == "continuation-token":
            yield "marker", theirs, value, _marker_of(value or "")
        elif theirs == "start-after":
            yield "" if "continuation-token" in query else "marker", theirs, value, value
        else:
            ours = our_name(theirs.lower()) if theirs.lower().startswith(THEIRS) else theirs
            yield ours, theirs, value, None if value is None else exchanged(ours, value)


def _headers(head: Head, foreign: Foreign) -> Iterator[tuple[str, str]]:
    in_chunks = (head.headers.first(THEIRS + "content-sha256") or "").startswith(STREAMING)
    size = head.headers.first(THEIRS + "decoded-content-length") or ""
    for name, value in head.headers.pairs:
        lower = name.lower()
        if lower.startswith((OURS, CHECKSUM)) or lower in ONLY_THEIRS or lower in LACKING:
            continue
        if lower == _AUTHORIZATION:
            yield name, _authorization(value, foreign)
        elif lower == THEIRS + "date":
            seconds = moment_of(value)
            yield OURS + "date", value if seconds is None else http_date(seconds)
        elif lower == _LENGTH and in_chunks:
            continue
        elif lower == "content-encoding":
            rest = ",".join(word for word in value.split(",") if word.strip().lower() != "aws-chunked").strip()
            if rest:
                yield name, rest
        else:
            ours = our_name(name)
            yield ours, exchanged(ours, value)
    if in_chunks and size.isascii() and size.isdigit() and len(size) <= MAX_DIGITS:
        yield "Content-Length", size


def _authorization(value: str, foreign: Foreign) -> str:
    if foreign.flavour == "V4":
        return f"OBS {foreign.access_key}:{foreign.signature}"
    return "OBS " + value.removeprefix("AWS ")


def refuse_lacking(headers: Headers) -> None:
    """Refuse what only this dialect can ask for and nothing here does."""
    for name, asks in LACKING.items():
        if any(asks(value) for value in headers.every(name)):
            raise ObsError("ServiceNotImplemented", f"{name} is not implemented here.")


# ---- forms -----------------------------------------------------------------------------------------------------------


def foreign_form(fields: Headers, head: Head) -> Foreign | None:
    """What a form is if it is not in the server's own words; its signature's version if it has one."""
    if head.foreign is None and not form_speaks_s3(fields.names()):
        return None
    flavour = "V4" if fields.first(THEIRS + "signature") else "V2" if fields.first(_V2_KEY.lower()) else ""
    return replace(head.foreign or Foreign(head), flavour=flavour)


def understood_form(fields: Headers, foreign: Foreign | None) -> Headers:
    """A form's fields in the server's own words.

    A signature of version 4 is told from others by what stands before it: algorithm and scope (`verify_form`).
    """
    if foreign is None:
        _refuse_others(fields, THEIRS)
        return fields
    _refuse_others(fields, OURS)
    refuse_lacking(fields)
    found: list[tuple[str, str]] = []
    if foreign.flavour == "V4":
        if fields.first(THEIRS + "algorithm") != ALGORITHM:
            raise ObsError("AccessDenied", f"The form must have x-amz-algorithm: {ALGORITHM}.")
        moment = fields.first(THEIRS + "date") or ""
        access_key, scope = parse_credential(fields.first(THEIRS + "credential") or "", moment)
        given = fields.first(THEIRS + "signature")
        found += [("AccessKeyId", access_key), ("Signature", f"{ALGORITHM} {scope} {given}")]
    for name, value in fields.pairs:
        lower = name.lower()
        if lower in _FORM_OF_V4 or lower.startswith((OURS, CHECKSUM)) or lower in ONLY_THEIRS or lower in LACKING:
            continue
        ours = "AccessKeyId" if lower == _V2_KEY.lower() else our_name(name)
        found.append((ours, exchanged(ours, value)))
    return Headers(tuple(found))


_FORM_OF_V4 = frozenset(THEIRS + name for name in ("algorithm", "credential", "date", "signature"))


# ---- documents of requests -------------------------------------------------------------------------------------------


_EVERYONE, _ALL_USERS = "<Canned>Everyone</Canned>", "http://acs.amazonaws.com/groups/global/AllUsers"
_GROUP = re.compile(rb"<((?:[\w.-]+:)?)URI>\s*%b\s*</\1URI>" % re.escape(_ALL_USERS.encode()), re.ASCII)
_TEXT = re.compile(rb"<(?:[\w.-]+:)?(\w+)(?:\s[^<>]*)?>([^<>]*)</(?:[\w.-]+:)?\1\s*>", re.ASCII)
_NOT_OURS = re.compile(rb"BucketKeyEnabled|Checksum\w+|ProjectID", re.ASCII)


def understood_document(body: bytes) -> bytes:
    """A document in the server's own words: values exchanged, checksums and a false `BucketKeyEnabled` gone."""
    if not body.lstrip(b"\xef\xbb\xbf\t\r\n ").startswith(b"<"):
        return body
    return _TEXT.sub(_understood_element, _GROUP.sub(rb"<\1Canned>Everyone</\1Canned>", body))


def _understood_element(found: re.Match[bytes]) -> bytes:
    name, text = found[1].decode(), found[2]
    value = unescape(decode_octets(text)).strip()
    if name == "BucketKeyEnabled":
        if value != "false":
            raise ObsError("ServiceNotImplemented", "Bucket keys are not implemented here.")
        return b""
    if name == "ProjectID":
        raise ObsError("MalformedXML", "Unknown element ProjectID.")
    if _NOT_OURS.fullmatch(found[1]):
        return b""
    exchange = ELEMENTS.get(name)
    if exchange is None:
        return found[0]
    start = found.start(2) - found.start()
    end = found.end(2) - found.start()
    return found[0][:start] + encode_octets(escape(exchange(value))) + found[0][end:]


# ---- the second kind of listing --------------------------------------------------------------------------------------


_MARKER = re.compile(r"<Marker>[^<]*</Marker>")
_NEXT_MARKER = re.compile(r"<NextMarker>([^<]*)</NextMarker>")
_PLAIN, _ENCODED = "p", "u"


def _marker_of(token: str) -> str:
    """The marker a continuation token stands for."""
    try:
        text = base64.urlsafe_b64decode(encode_octets(token)).decode("utf-8")
    except (binascii.Error, ValueError):
        text = ""
    if not text.startswith((_PLAIN, _ENCODED)):
        return token
    return unquote(text[1:]) if text[0] == _ENCODED else text[1:]


def _second_listing(text: str) -> str:
    """The same page as `list-type=2` wants it: a token for the next marker, and the number of entries."""
    encoding = _ENCODED if "<EncodingType>url</EncodingType>" in text else _PLAIN

    def token(found: re.Match[str]) -> str:
        marker = encode_octets(encoding + unescape(found[1]))
        return f"<NextContinuationToken>{base64.urlsafe_b64encode(marker).decode()}</NextContinuationToken>"

    count = text.count("<Contents>") + text.count("<CommonPrefixes>")
    return _NEXT_MARKER.sub(token, _MARKER.sub(f"<KeyCount>{count}</KeyCount>", text, count=1), count=1)


# ---- answers ---------------------------------------------------------------------------------------------------------


_ANSWERED_TEXT = re.compile(rf"<({'|'.join(ELEMENTS)}|Code|Message|Condition)>([^<]*)</")
_REFUSED = 400
_WITH_GRANTS = frozenset(("GetBucketAcl", "GetObjectAcl"))
_GRANTEE = '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="{}">'
_ROOT = re.compile(r'<(\w+) xmlns="[^"]*">', re.ASCII)


def answered(response: Response, operation: str, foreign: Foreign) -> Response:
    """An answer in the words of S3."""
    headers = tuple((their_name(name, operation), _their_value(name, value)) for name, value in response.headers)
    body = response.body
    has_document = operation != "GetObject" or response.status >= _REFUSED
    if isinstance(body, bytes) and body and has_document and response.first("content-type") == "application/xml":
        body = _their_document(body, operation, foreign)
        size = str(len(body))
        headers = tuple((name, size if name.lower() == _LENGTH else value) for name, value in headers)
    return replace(response, headers=headers, body=body, inner=response)


def _their_value(name: str, value: str) -> str:
    if name == OURS + "error-code":
        return CODES.get(value, value)
    if name == OURS + "error-message":
        return their_sentence(value)
    return exchanged(name, value)


def _their_document(body: bytes, operation: str, foreign: Foreign) -> bytes:
    text = _ANSWERED_TEXT.sub(_their_element, body.decode("utf-8", "surrogateescape"))
    text = _ROOT.sub(lambda found: f'<{ROOTS.get(found[1], found[1])} xmlns="{NAMESPACE}">', text, count=1)
    for ours, theirs in ROOTS.items():
        if text.endswith(f"</{ours}>"):
            text = text.removesuffix(f"</{ours}>") + f"</{theirs}>"
    if operation in _WITH_GRANTS:
        text = text.replace("<Grantee><ID>", _GRANTEE.format("CanonicalUser") + "<ID>")
        text = text.replace("<Grantee>" + _EVERYONE, _GRANTEE.format("Group") + f"<URI>{_ALL_USERS}</URI>")
    if operation == "ListObjects" and "list-type" in Query(
        tuple((name, value) for _, name, value in foreign.parameters)
    ):
        text = _second_listing(text)
    return encode_octets(text)


def _their_element(found: re.Match[str]) -> str:
    name, text = found[1], found[2]
    if name == "Code":
        text = CODES.get(text, text)
    elif name in ("Message", "Condition"):
        text = their_sentence(text)
    else:
        text = ELEMENTS[name](text)
    return f"<{name}>{text}</"
