"""A case as a generator of requests.

``play`` yields a request, is sent the exchange, judges it and goes on; it returns what it saw. The driver owns the
connection, so a network driver, an in-process driver and a dry run are a few lines each. Knows how a template becomes
exact bytes. Does not know sockets, files or verdicts, and reads no clock but the one it is handed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from conformance import judge, keyservice, signing, speaking, translation
from conformance.bodies import body_bytes
from conformance.placeholders import fill, names_in
from conformance.vocabulary import SWITCHED, Exchange, Finding, Observation, Place, Played, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from conformance.vocabulary import (
        BodySpec,
        Case,
        Check,
        Dialect,
        KeyAction,
        RequestTemplate,
        Response,
        Step,
        Target,
    )


BOUNDARY = "obs-conformance-7b1d0f2e9c64"
"""Between the parts of a form; no generated body contains it but by a chance of one in 2 to the 200."""

_DONE = 200
SKEW_S = 16 * 60
"""One minute beyond the 15 that a request's date may be off (obs_04_0010)."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a case plays: the target, its bucket, a token of its own and a clock (seconds since 1970)."""

    target: Target
    bucket: str
    token: str
    now: Callable[[], float]
    shapes: Mapping[str, str]
    shared_bucket: str = ""

    def at(self, moment: float) -> Scene:
        """The same scene with its clock stopped, so that one request carries one time."""
        return replace(self, now=lambda: moment)

    def values(self, case: Case | None = None) -> dict[str, str]:
        """The placeholders every case has, and those of its row."""
        given = {
            "bucket": self.bucket,
            "bucket.shared": self.shared_bucket or self.bucket,
            "fresh": self.token,
            "region": self.target.region or "",
            "access_key": self.target.identities["owner"].access_key,
        }
        for name, value in self.target.keys.items():
            given |= {f"keys.{name}": value, f"keys.{name}.upper": value.upper()}
        for name, identity in self.target.identities.items():
            given[f"principal.{name}"] = identity.principal or f"domain/{identity.domain_id}:user/*"
        given |= {f"shape.{name}": shape for name, shape in self.shapes.items()}
        if self.target.spoken is not None:
            given |= {f"shape.{name}": shape for name, shape in self.target.spoken.shapes.items()}
        if case is not None:
            given |= {name: fill(value, given) for name, value in case.row.items()}
        return given


@dataclass(slots=True)
class _Memory:
    """What a case has learnt so far."""

    values: dict[str, str]
    bodies: dict[str, bytes] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    exchanges: list[tuple[str, Exchange]] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    place: Place | None = None
    times: list[tuple[float, float]] = field(default_factory=list)

    def played(self, stopped: str = "", *, unanswered: bool = False) -> Played:
        return Played(
            tuple(self.findings),
            tuple(self.observations),
            tuple(self.exchanges),
            stopped,
            unanswered=unanswered,
            place=self.place,
            times=tuple(self.times),
        )


def play(case: Case, scene: Scene) -> Generator[Request, Exchange, Played]:
    """Play a case: yields each request, expects its exchange, returns what was seen.

    It ends early where going on would only repeat one difference: no answer, a failed set-up or control step, or a
    judged status that is not the one due.
    """
    place = Place(scene.bucket, scene.shared_bucket, scene.token)
    memory = _Memory(scene.values(case), place=place)
    for step in case.steps:
        body = _remember_body(step.request.body, memory, scene, case)
        asked = scene.now()
        request = assemble(step.request, scene.at(asked), memory.values, body)
        exchange = yield request
        judged = scene.now()
        memory.exchanges.append((step.name, exchange))
        memory.times.append((asked, judged))
        if exchange.response is None:
            return memory.played(f"{step.name}: no answer: {exchange.outcome}", unanswered=True)
        if step.request.kms is not None and exchange.response.status != _DONE:
            refused = f"{step.name}: the key service answers {exchange.response.status} to {step.request.kms}"
            return memory.played(refused, unanswered=True)
        answer = understood(scene.target, step.request, exchange.response)
        view = judge.View(answer, step.request.method, memory.bodies, tuple(memory.answers), judged)
        broken = _judge(step, view, memory)
        memory.answers.append(answer)
        if any(step.stage != "step" or finding.word in {"status", "refused"} for finding in broken):
            return memory.played()
        for name, selector in step.save:
            found = judge.select(selector, view)
            if len(found) != 1:
                return memory.played("" if broken else f"{step.name}: {selector} cannot be saved")
            memory.values[name] = found[0]
    return memory.played()


def understood(target: Target, template: RequestTemplate, response: Response) -> Response:
    """An answer in the words of OBS, whatever dialect it came in."""
    if target.spoken is None:
        return response
    content = template.method == "GET" and template.object is not None
    return translation.answer(target.spoken, response, content=content)


def _remember_body(spec: BodySpec | None, memory: _Memory, scene: Scene, case: Case) -> bytes | None:
    if spec is None:
        return None
    if spec.text is not None:
        memory.bodies[spec.name] = fill(spec.text, memory.values).encode()
    elif spec.name not in memory.bodies:
        size = spec.size or 0
        if scene.target.spoken is not None:
            size = scene.target.spoken.sizes.get(size, size)
        memory.bodies[spec.name] = body_bytes(f"{scene.token}/{case.id}/{spec.name}", size)
    return memory.bodies[spec.name]


def _judge(step: Step, view: judge.View, memory: _Memory) -> tuple[Finding, ...]:
    broken: list[Finding] = []
    for check in step.expect:
        if check.word == "observe":
            values = judge.select(check.subject, view)
            shown = ", ".join(values) if values else "(absent)"
            memory.observations.append(Observation(step.name, str(check.wanted), shown, check.cites))
            continue
        for finding in _findings(step, check, view, memory.values):
            memory.findings.append(finding)
            broken += [] if finding.held else [finding]
    return tuple(broken)


def _findings(step: Step, check: Check, view: judge.View, values: Mapping[str, str]) -> tuple[Finding, ...]:
    wanted = _filled(check, values)
    differences = judge.differences(check.word, check.subject, wanted, view)
    got = judge.evidence(check.word, check.subject, view)
    english = judge.WORDS[check.word].english(check.subject, wanted)
    return tuple(
        Finding(step.name, check.word, check.subject, check.cites, check.level, not says, english, got, says)
        for says in (differences or ("",))
    )


def _filled(check: Check, values: Mapping[str, str]) -> object:
    if check.word == "matches":
        names = names_in(str(check.wanted))
        return fill(str(check.wanted), {name: _pattern(name, values[name]) for name in names if name in values})
    if isinstance(check.wanted, str):
        return fill(check.wanted, values)
    if isinstance(check.wanted, tuple):
        return tuple(fill(item, values) if isinstance(item, str) else item for item in check.wanted)
    return check.wanted


def _pattern(name: str, value: str) -> str:
    """A value as a regular expression: a shape is one, any other stands for itself with its dashes left readable."""
    if name.startswith("shape."):
        return value
    return re.sub(r"[.^$*+?{}\[\]\\|()]", r"\\\g<0>", value)


def assemble(template: RequestTemplate, scene: Scene, values: Mapping[str, str], body: bytes | None) -> Request:
    """The exact bytes of a request: placeholders filled, missing standard lines added, signed.

    Added unless listed or omitted: Host first; Date, Authorization and Content-Length at the end, in this order.
    """
    if template.kms is not None:
        return _to_key_service(template.kms, scene)
    bucket = fill(template.bucket, values)
    name = None if template.object is None else fill(template.object, values)
    host, path = address(scene.target, bucket, name)
    spoken = scene.target.spoken
    if template.form is not None:
        body = form_body(template, scene, {**values, "bucket": bucket}, body or b"")
    elif spoken is not None and body and name is None:
        body = translation.document_sent(spoken, body)
    wire_body = _chunked(body or b"", template.chunked) if template.chunked else body or b""
    known = _Known(values, host, body or b"", scene.now)
    query = tuple(_parameter(fill(text, known)) for text in template.query)
    lines, expects = _lines_of(template, has_body=body is not None)
    if spoken is None:
        query, lines = _signed(template, scene, (bucket, name), query, lines, known)
    else:
        known["authorization"] = speaking.AUTHORIZATION
        said = speaking.Said(
            template.method,
            path,
            bucket,
            name,
            query,
            tuple(fill(line, known) for line in lines),
            body or b"",
            template.sign,
            template.expires_in,
            tuple(_parameter(fill(text, known)) for text in template.add_after),
            template.remove_after,
        )
        query, lines = speaking.request(_speaker(spoken, template, scene), said)
    target = f"{path}?{signing.encode_query(query)}" if query else path
    head = [f"{template.method} {target} HTTP/1.1", *lines, "", ""]
    return Request(
        template.method,
        "\r\n".join(head).encode(),
        wire_body,
        expects and bool(body),
        bucket,
        _form_key(template, values) or name,
    )


def _to_key_service(action: KeyAction, scene: Scene) -> Request:
    service, key_id = scene.target.kms, scene.target.keys.get(SWITCHED)
    if service is None or key_id is None:  # what a case needs is asked before it plays
        raise ValueError(f"{action} needs [kms] and keys.{SWITCHED} in the target file")
    return keyservice.request(action, service, scene.target.identities["owner"], key_id, scene.now())


def _signed(  # noqa: PLR0913, PLR0917 - what a signature is made of
    template: RequestTemplate,
    scene: Scene,
    place: tuple[str, str | None],
    query: tuple[tuple[str, str | None], ...],
    lines: tuple[str, ...],
    known: _Known,
) -> tuple[tuple[tuple[str, str | None], ...], tuple[str, ...]]:
    """Query and filled header lines, signed in OBS's own way."""
    unsigned = tuple(_header(fill(line, known)) for line in lines)
    if template.sign == "url":
        query = _signed_query(template, scene, place, query, unsigned)
    elif template.sign == "header":
        known["authorization"] = _authorization(template, scene, place, query, unsigned)
    query = tuple(item for item in query if item[0] not in template.remove_after)
    query += tuple(_parameter(fill(text, known)) for text in template.add_after)
    return query, tuple(fill(line, known) for line in lines)


def _speaker(dialect: Dialect, template: RequestTemplate, scene: Scene) -> speaking.Speaker:
    identity = scene.target.identities[template.identity]
    return speaking.Speaker(dialect, identity, scene.now(), scene.target.region or dialect.region)


def _form_key(template: RequestTemplate, values: Mapping[str, str]) -> str | None:
    """The name of the object a form upload makes, or None for any other request."""
    fields = () if template.form is None else template.form.fields
    names = (value.strip() for name, _, value in (text.partition(":") for text in fields) if name.lower() == "key")
    return next((fill(name, values) for name in names), None)


def address(target: Target, bucket: str, name: str | None) -> tuple[str, str]:
    """Host header value and path of a bucket or object in the target's addressing style."""
    host, encoded = urlsplit(target.endpoint).netloc, signing.encode_path(name or "")
    if target.addressing == "virtual-host":
        return f"{bucket}.{host}", f"/{encoded}"
    return host, f"/{bucket}" if name is None else f"/{bucket}/{encoded}"


@lru_cache(maxsize=4096)
def _lines_of(template: RequestTemplate, *, has_body: bool) -> tuple[tuple[str, ...], bool]:
    """The header lines of a template with the standard ones that it lacks, and whether one of them is Expect."""
    listed = {_header(line)[0].lower() for line in template.headers}
    wanted = {"Host": "{host}", "Date": "{date}"}
    if template.sign == "header":
        wanted["Authorization"] = "{authorization}"
    if template.form is not None:
        wanted["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
    if template.chunked:
        wanted["Transfer-Encoding"] = "chunked"
    elif has_body or template.method in {"PUT", "POST"}:
        wanted["Content-Length"] = "{length}"
    added = [
        f"{name}: {value}" for name, value in wanted.items() if name.lower() not in listed | _lowered(template.omit)
    ]
    first = [line for line in added if line.startswith("Host:")]
    return (*first, *template.headers, *(line for line in added if line not in first)), "expect" in listed


class _Known(dict[str, str]):
    """The placeholders of a request: those of its case and those that follow from the request, made when asked for."""

    def __init__(self, values: Mapping[str, str], host: str, body: bytes, now: Callable[[], float]) -> None:
        super().__init__(values, host=host, authorization="")
        self._body, self._now = body, now

    def __missing__(self, name: str) -> str:
        value = self[name] = _DERIVED[name](self._body, self._now())
        return value


@lru_cache(maxsize=8)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


_DERIVED: Mapping[str, Callable[[bytes, float], str]] = {
    "date": lambda _, now: _http_date(int(now)),
    "date.skewed": lambda _, now: _http_date(int(now) - SKEW_S),
    "length": lambda body, _: str(len(body)),
    "md5": lambda body, _: base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
}


def _chunked(body: bytes, size: int) -> bytes:
    """The chunked coding of RFC 9112 section 7.1."""
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def form_body(template: RequestTemplate, scene: Scene, values: Mapping[str, str], file: bytes) -> bytes:
    """A multipart/form-data body: the fields, the signed policy if there is one, the file last (obs_04_0081)."""
    form = template.form
    if form is None:
        return file
    fields = [(name, value.strip()) for name, _, value in (fill(text, values).partition(":") for text in form.fields)]
    spoken = scene.target.spoken
    if template.sign == "form":
        fields += _signed_form(template, scene, values, fields)
    elif spoken is not None:
        fields = speaking.form_fields(_speaker(spoken, template, scene), fields)
    opening = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    parts = [f'{opening}"{name}"\r\n\r\n{value}\r\n' for name, value in fields]
    parts.append(f'{opening}"file"; filename="file"\r\nContent-Type: application/octet-stream\r\n\r\n')
    return "".join(parts).encode() + file + f"\r\n--{BOUNDARY}--\r\n".encode()


def _signed_form(
    template: RequestTemplate, scene: Scene, values: Mapping[str, str], fields: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """AccessKeyId, policy and signature (obs_04_0012); the policy covers what the case says, or every field."""
    identity = scene.target.identities[template.identity]
    stated = template.form.conditions if template.form is not None else None
    conditions: list[object] = (
        [{"bucket": values["bucket"]}, *({name: value} for name, value in fields)]
        if stated is None
        else [json.loads(fill(text, values)) for text in stated]
    )
    if scene.target.spoken is not None:
        speaker = _speaker(scene.target.spoken, template, scene)
        fields[:] = speaking.form_fields(speaker, fields)
        return speaking.signed_form(speaker, conditions, template.expires_in)
    policy = signing.form_policy(conditions, scene.now() + template.expires_in)
    signature = signing.signature(identity.secret_key, policy)
    return [("AccessKeyId", identity.access_key), ("policy", policy), ("signature", signature)]


def _lowered(names: frozenset[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip()


def _parameter(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    return name, value if equals else None


def _authorization(
    template: RequestTemplate,
    scene: Scene,
    place: tuple[str, str | None],
    query: tuple[tuple[str, str | None], ...],
    headers: tuple[tuple[str, str], ...],
) -> str:
    identity = scene.target.identities[template.identity]
    text = signing.string_to_sign(template.method, headers, signing.canonical_resource(*place, query))
    return f"OBS {identity.access_key}:{signing.signature(identity.secret_key, text)}"


def _signed_query(
    template: RequestTemplate,
    scene: Scene,
    place: tuple[str, str | None],
    query: tuple[tuple[str, str | None], ...],
    headers: tuple[tuple[str, str], ...],
) -> tuple[tuple[str, str | None], ...]:
    """The query of a signed URL in the order of the page's sample: parameters sorted, the signature last (E-12)."""
    identity = scene.target.identities[template.identity]
    expires = str(int(scene.now()) + template.expires_in)
    resource = signing.canonical_resource(*place, query)
    text = signing.string_to_sign(template.method, headers, resource, date_slot=expires)
    signed = sorted([("AccessKeyId", identity.access_key), ("Expires", expires), *query], key=lambda item: item[0])
    return (*signed, ("Signature", signing.signature(identity.secret_key, text)))
