"""What differs between an answer and an expectation.

One small function per expectation word; each takes what is wanted and a ``View`` of the answer and yields at most
plain findings of the form (got, difference). None raises and none stops at the first.
Does not know levels, clauses, cases or what a difference means.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from conformance.vocabulary import BytesDue, kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from conformance.vocabulary import Response

_SHOWN = 400


@dataclass(frozen=True)
class View:
    """All that a judgement may look at: the answer, the method it answers, and the case's memory."""

    response: Response
    method: str
    bodies: Mapping[str, bytes]
    earlier: tuple[Response, ...]
    now: float

    @cached_property
    def headers(self) -> Mapping[str, tuple[str, ...]]:
        """All values of each header, in order, by its name in lower case."""
        found: dict[str, tuple[str, ...]] = {}
        for name, value in self.response.headers:
            lowered = name.lower()
            found[lowered] = (*found.get(lowered, ()), value)
        return found

    @cached_property
    def document(self) -> ET.Element | None:
        """The root of the body as XML, None if it is none or more than evidence keeps."""
        document = _document(self.response)
        return None if document is None else parse_xml(document)


@dataclass(frozen=True, slots=True)
class Word:
    """An expectation word: how it judges and how it reads in English."""

    judge: Callable[[str, object, View], Iterator[str]]
    english: Callable[[str, object], str]


def select(selector: str, view: View) -> tuple[str, ...]:
    """The values a selector picks out of an answer; empty when the part is not there."""
    read, of = _reader(selector)
    return read(of, view)


@lru_cache(maxsize=1024)
def _reader(selector: str) -> tuple[Callable[[str, View], tuple[str, ...]], str]:
    kind, _, rest = selector.partition(" ")
    return _SELECTORS[kind], rest.lower() if kind == "header" else rest


def _xml_values(path: str, view: View) -> tuple[str, ...]:
    root = view.document
    if root is None:
        return ()
    first, *rest = path.split("/")
    if _local(root) != first:
        return ()
    level = [root]
    for name in rest:
        level = [child for parent in level for child in parent if _local(child) == name]
    return tuple((element.text or "").strip() for element in level)


def _document(response: Response) -> bytes | None:
    """The body if evidence keeps all of it; what it does not keep is not read, so that anybody can judge again."""
    return response.body if kept(response.body) == response.size else None


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def parse_xml(body: bytes) -> ET.Element | None:
    """The root of a document, or None if it is not well formed or declares a document type.

    A document type is refused because entity declarations are the one way XML makes small input large.
    """
    if b"<" not in body or b"<!DOCTYPE" in body:
        return None
    try:
        return ET.fromstring(body)  # noqa: S314 - document types are refused above
    except ET.ParseError:
        return None


_SELECTORS: Mapping[str, Callable[[str, View], tuple[str, ...]]] = {
    "status": lambda _, view: (str(view.response.status),),
    "code": lambda _, view: _xml_values("Error/Code", view) or view.response.values("x-obs-error-code"),
    "interim": lambda _, view: tuple(str(status) for status in view.response.interim),
    "body": lambda _, view: (str(view.response.size),),
    "header": lambda name, view: view.headers.get(name, ()),
    "xml": _xml_values,
}


def shown(values: tuple[str, ...]) -> str:
    """Values as a reader sees them: each in quotes, cut at a length no honest value reaches."""
    if not values:
        return "(absent)"
    return ", ".join(repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "...") for value in values)


def _status(_: str, wanted: object, view: View) -> Iterator[str]:
    if view.response.status not in _numbers(wanted):
        yield (
            f"status {view.response.status} {view.response.reason}".rstrip()
            + f" where {_english_numbers(wanted)} is due"
        )


def _numbers(wanted: object) -> tuple[int, ...]:
    return tuple(wanted) if isinstance(wanted, list | tuple) else (int(str(wanted)),)


def _english_numbers(wanted: object) -> str:
    return " or ".join(str(number) for number in _numbers(wanted))


def _single(subject: str, values: tuple[str, ...]) -> Iterator[str]:
    if not values:
        yield f"{subject} is absent"
    elif len(values) > 1:
        yield f"{subject} occurs {len(values)} times: {shown(values)}"


def _value_test(test: Callable[[str, str], bool], verb: str) -> Callable[[str, object, View], Iterator[str]]:
    def judge(subject: str, wanted: object, view: View) -> Iterator[str]:
        values = select(subject, view)
        yield from _single(subject, values)
        for value in values:
            if not test(value, str(wanted)):
                yield f"{subject} is {shown((value,))}, which {verb} '{wanted}'"

    return judge


def _one_of(subject: str, wanted: object, view: View) -> Iterator[str]:
    values = select(subject, view)
    yield from _single(subject, values)
    options = tuple(wanted) if isinstance(wanted, list | tuple) else (wanted,)
    for value in values:
        if value not in options:
            yield f"{subject} is {shown((value,))}, none of {', '.join(map(repr, options))}"


def _present(subject: str, _: object, view: View) -> Iterator[str]:
    if not any(select(subject, view)):
        yield f"{subject} is absent or empty"


def _absent(subject: str, wanted: object, view: View) -> Iterator[str]:
    """``wanted`` is True, or the values that count as good as none (in a dialect, see ``profiles``)."""
    values = select(subject, view)
    if values and not (isinstance(wanted, tuple) and set(values) <= set(wanted)):
        yield f"{subject} is there, with {shown(values)}"


def _english_absent(subject: str, wanted: object) -> str:
    return f"{subject} is absent" + (f" or {', '.join(wanted)}" if isinstance(wanted, tuple) else "")


def _unique(subject: str, _: object, view: View) -> Iterator[str]:
    values = select(subject, view)
    yield from _single(subject, values)
    kind, _sep, name = subject.partition(" ")
    earlier = {value for response in view.earlier for value in response.values(name)} if kind == "header" else set()
    for value in values:
        if value in earlier:
            yield f"{subject} repeats {value!r} of an earlier answer"


def _http_date(subject: str, wanted: object, view: View) -> Iterator[str]:
    values = select(subject, view)
    yield from _single(subject, values)
    for value in values:
        seconds = http_date(value)
        if seconds is None:
            yield f"{subject} is {shown((value,))}, not an HTTP date"
        elif abs(seconds - view.now) > int(str(wanted)):
            yield f"{subject} is {value!r}, {abs(seconds - view.now):.0f} s from the clock, more than {wanted} s"


_IMF_FIXDATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")


def http_date(value: str) -> float | None:
    """Seconds since 1970 of an IMF-fixdate (RFC 9110 section 5.6.7), None for anything else."""
    if not _IMF_FIXDATE.fullmatch(value):
        return None
    try:
        return parsedate_to_datetime(value).timestamp()
    except ValueError:
        return None


def _not_md5_of(subject: str, wanted: object, view: View) -> Iterator[str]:
    values = select(subject, view)
    yield from _single(subject, values)
    digest = hashlib.md5(view.bodies[str(wanted)], usedforsecurity=False).hexdigest()
    for value in values:
        if digest in value.lower():
            yield f"{subject} is {shown((value,))}, the MD5 of the body {wanted!r}"


def _bytes_due(due: BytesDue, view: View) -> bytes:
    whole = b"".join(view.bodies[name] for name in due.names)
    return whole[due.first : None if due.last is None else due.last + 1]


def _body_is(_: str, wanted: object, view: View) -> Iterator[str]:
    due = wanted if isinstance(wanted, BytesDue) else BytesDue((str(wanted),))
    right, came = _bytes_due(due, view), view.response
    if came.body == right if came.whole is None else came.whole == (len(right), hashlib.sha256(right).hexdigest()):
        return
    sizes = f"{came.size} bytes and differs from the {len(right)} bytes written"
    yield f"body has {sizes} {_where(came, right)} (SHA-256 {came.sha256})"


def _where(came: Response, right: bytes) -> str:
    """Where two unequal bodies part, as far as the evidence that is kept can tell."""
    prefix = came.body[: kept(came.body)]
    at = next((index for index, pair in enumerate(zip(prefix, right, strict=False)) if pair[0] != pair[1]), None)
    if at is not None:
        return f"at offset {at}"
    if came.size <= len(right) and came.sha256 == hashlib.sha256(right[: came.size]).hexdigest():
        return f"at offset {came.size}"
    if len(prefix) >= len(right):
        return f"at offset {len(right)}"
    return f"beyond offset {len(prefix) - 1}"


def _body_json(_: str, wanted: object, view: View) -> Iterator[str]:
    document = _document(view.response)
    try:
        came = json.loads(b"" if document is None else document)
    except (ValueError, RecursionError):
        yield "the body is not JSON"
        return
    if _plain_json(came) != _plain_json(json.loads(str(wanted))):
        yield f"the body is the JSON document {json.dumps(came)[:_SHOWN]}"


def _plain_json(value: object) -> object:
    """A JSON value in which a single value and a list of it are the same."""
    if isinstance(value, dict):
        return {key: _plain_json(item) for key, item in value.items()}
    if isinstance(value, list):
        items = [_plain_json(item) for item in value]
        return items[0] if len(items) == 1 else items
    return value


def _body_empty(_: str, __: object, view: View) -> Iterator[str]:
    if view.response.size:
        yield f"body has {view.response.size} bytes where none is due"


def _refused(_: str, wanted: object, view: View) -> Iterator[str]:
    spec = wanted if isinstance(wanted, dict) else {}
    statuses, codes = _numbers(spec["status"]), tuple(spec["codes"])
    if view.response.status not in statuses:
        yield f"status {view.response.status} where a refusal with {_english_numbers(statuses)} is due"
    if view.method == "HEAD":
        return
    code = _xml_values("Error/Code", view)
    if not code:
        yield "the body is not an error document with a Code element"
    elif code[0] not in codes:
        yield f"error code {code[0]!r}, none of {', '.join(map(repr, codes))}"


def _english_due(wanted: object) -> str:
    due = wanted if isinstance(wanted, BytesDue) else BytesDue((str(wanted),))
    names = " + ".join(map(repr, due.names))
    if due.first is None and due.last is None:
        return f"{names} as it was written"
    return f"{names} as it was written, from {due.first or 0} to {'the end' if due.last is None else due.last}"


def _fits(value: str, pattern: str) -> bool:
    return re.fullmatch(pattern, value) is not None


WORDS: Mapping[str, Word] = {
    "status": Word(_status, lambda _, wanted: f"the status is {_english_numbers(wanted)}"),
    "equals": Word(
        _value_test(lambda value, wanted: value == wanted, "is not"),
        lambda subject, wanted: f"{subject} is exactly {wanted!r}",
    ),
    "differs": Word(
        _value_test(lambda value, wanted: value != wanted, "must not be"),
        lambda subject, wanted: f"{subject} is not {wanted!r}",
    ),
    "matches": Word(_value_test(_fits, "does not match"), lambda subject, wanted: f"{subject} matches {wanted}"),
    "one_of": Word(_one_of, lambda subject, wanted: f"{subject} is one of {wanted}"),
    "present": Word(_present, lambda subject, _: f"{subject} is there and not empty"),
    "absent": Word(_absent, _english_absent),
    "unique": Word(_unique, lambda subject, _: f"{subject} is new in every answer"),
    "http_date": Word(_http_date, lambda subject, wanted: f"{subject} is an HTTP date within {wanted} s of the clock"),
    "not_md5_of": Word(_not_md5_of, lambda subject, wanted: f"{subject} is not the MD5 of the body {wanted!r}"),
    "body_is": Word(_body_is, lambda _, wanted: f"the body is byte for byte {_english_due(wanted)}"),
    "body_json": Word(_body_json, lambda _, wanted: f"the body is JSON equal to {wanted}"),
    "body_empty": Word(_body_empty, lambda _, __: "the body is empty"),
    "refused": Word(_refused, lambda _, wanted: f"the request is refused: {wanted}"),
}
"""Expectation words. ``observe`` is not among them: it records and cannot differ."""


def differences(word: str, subject: str, wanted: object, view: View) -> tuple[str, ...]:
    """Every difference an expectation word finds, in plain English; empty when it holds."""
    return tuple(WORDS[word].judge(subject, wanted, view))


def evidence(word: str, subject: str, view: View) -> str:
    """What came, for the column beside what was wanted."""
    if word.startswith("body"):
        return f"{view.response.size} bytes, SHA-256 {view.response.sha256}"
    if word in {"status", "refused"}:
        code = select("code", view)
        return f"{view.response.status} {view.response.reason}".rstrip() + (f", code {code[0]}" if code else "")
    return shown(select(subject, view))
