"""One request of one's own, step by step within a session, judged by the passive rules.

A session owns a bucket on the target like any run: journalled, removed at the end; nothing else is ever written to.
Does not know the command line or the terminal.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from conformance.bodies import body_bytes
from conformance.explain import explain_id
from conformance.judge import View, select
from conformance.passive import KEY_ID, Traffic, judge_traffic
from conformance.placeholders import UnknownPlaceholderError, fill, names_in
from conformance.play import Scene, assemble
from conformance.results import Redactor
from conformance.vocabulary import BodySpec, RequestTemplate

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence

    from conformance.campaign import Campaign
    from conformance.casefile import Library
    from conformance.passive import Rule
    from conformance.vocabulary import Check, Exchange, Finding

OBJECT = "{fresh}/object"


class ProbeError(Exception):
    """A probe that cannot be sent; the message says what to write instead."""


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """A request as asked for and what came of it."""

    template: RequestTemplate
    keep: tuple[tuple[str, str], ...]
    exchange: Exchange
    judged: tuple[tuple[Rule, Finding], ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings without their rules."""
        return tuple(finding for _, finding in self.judged)


class ProbeSession:
    """Probes one after the other, with the values kept from earlier answers."""

    def __init__(self, campaign: Campaign, library: Library, rules: Sequence[Rule]) -> None:
        self._campaign, self._library, self._rules = campaign, library, rules
        target, world = campaign.target, campaign.world
        self._scene = Scene(target, campaign.bucket, world.token("probe"), world.now, library.shapes)
        self.values = self._scene.values()
        self.probes: list[Probe] = []
        self._redactor = Redactor(target.secrets())

    def send(self, words: argparse.Namespace) -> Probe:
        """Sign, send, judge, and keep what is to be kept.

        :param words: as ``exploring.add_probe_words`` reads them.
        :raises ProbeError: a placeholder or identity nobody knows, or a bucket that is not the session's to change.
        """
        template = self._template(words)
        keep = tuple(_kept(text) for text in words.keep)
        if template.identity not in self._campaign.target.identities:
            known = ", ".join(self._campaign.target.identities)
            raise ProbeError(f"--as {template.identity}: the target has the identities {known}")
        try:
            body = self._body(template.body)
            request = assemble(template, self._scene, self.values, body)
        except UnknownPlaceholderError as error:
            names = ", ".join(sorted(name for name in self.values if not name.startswith("shape.")))
            raise ProbeError(f"{{{error.args[0]}}} has no value; there are: {names}") from error
        if request.bucket != self._campaign.bucket:
            raise ProbeError(f"bucket {request.bucket} was not made by this session; only {{bucket}} is touched")
        exchange = self._campaign.transmit(request)
        traffic = traffic_of(exchange, template, self._scene.now())
        judged = tuple(judge_traffic(self._rules, self._library.shapes, traffic))
        probe = Probe(template, keep, exchange, judged)
        self._keep(probe)
        self.probes.append(probe)
        return probe

    def redact(self, text: str) -> str:
        """A line for the reader, without secrets and usable signatures."""
        return self._redactor.text(text)

    def explain(self, id_: str) -> str:
        """A clause or case in English.

        :raises ProbeError: nothing has this id.
        """
        text = explain_id(self._library, id_, {})
        if text is None:
            raise ProbeError(f"no case or clause has the id {id_!r}")
        return text

    def _template(self, words: argparse.Namespace) -> RequestTemplate:
        bucket, _, name = words.place.partition("/")
        sized = words.size is not None
        spec = BodySpec("body", words.size, words.text) if sized or words.text is not None else None
        return RequestTemplate(
            method=words.method,
            bucket=bucket,
            object=name.replace("{object}", OBJECT) or None,
            query=tuple(words.query),
            headers=tuple(words.headers),
            omit=frozenset(words.omit),
            body=spec,
            identity=words.identity,
            sign=words.sign,
        )

    def _body(self, spec: BodySpec | None) -> bytes | None:
        if spec is None:
            return None
        if spec.text is not None:
            return fill(spec.text, self.values).encode()
        return body_bytes(f"{self._scene.token}/{len(self.probes)}", spec.size or 0)

    def _keep(self, probe: Probe) -> None:
        if probe.exchange.response is None:
            return
        view = View(probe.exchange.response, probe.template.method, {}, (), 0.0)
        for name, selector in probe.keep:
            found = select(selector, view)
            if len(found) != 1:
                raise ProbeError(f"--keep {name}: the answer has {len(found)} of {selector}, not one")
            self.values[name] = found[0]


def _kept(text: str) -> tuple[str, str]:
    name, _, selector = text.partition("=")
    if not selector.startswith(("header ", "xml ", "status", "code")):
        raise ProbeError(f"--keep {text}: write NAME='header ETag' or NAME='xml Path/To/Element'")
    return name, selector


def traffic_of(exchange: Exchange, template: RequestTemplate, now: float) -> Traffic:
    """An exchange of ours as the passive rules see one."""
    line, *lines = exchange.request.head[:-4].decode("latin-1").split("\r\n")
    pairs = tuple((name, value.strip()) for name, _, value in (text.partition(":") for text in lines))
    query = tuple(parse_qsl(urlsplit(line.split(" ")[1]).query, keep_blank_values=True))
    kind = "bucket" if template.object is None else "object"
    return Traffic(template.method, kind, query, pairs, exchange.request.body, exchange.response, now)


def case_text(probes: Sequence[Probe], says: str) -> str:
    """Probes as a case file of one case: what the rules demand is judged, the status is recorded."""
    cites = dict.fromkeys(
        clause for probe in probes for rule, _ in probe.judged if rule.side == "answer" for clause in rule.cites
    )
    lines = [
        "format: 1",
        "area: probe",
        "cases:",
        "- id: PROBE-001",
        f"  says: {json.dumps(says)}",
        f"  cites: [{', '.join(cites)}]",
        "  level: observe",
        "  steps:",
    ]
    needs = sorted({need for probe in probes for need in _needs(probe.template)})
    if needs:
        lines.insert(6, f"  needs: [{', '.join(needs)}]")
    for number, probe in enumerate(probes, 1):
        lines += _step_lines(probe, number)
    return "\n".join(lines) + "\n"


def _needs(template: RequestTemplate) -> Iterator[str]:
    texts = (template.bucket, template.object or "", *template.query, *template.headers)
    for name in {name for text in texts for name in names_in(text)}:
        if name.startswith("keys."):
            yield name.removesuffix(".upper")
    if template.identity != "owner":
        yield f"identities.{template.identity}"


def _step_lines(probe: Probe, number: int) -> Iterator[str]:
    template = probe.template
    request: dict[str, object] = {"method": template.method}
    if template.bucket != "{bucket}":
        request["bucket"] = template.bucket
    if template.object is not None:
        request["object"] = template.object
    request |= {"query": list(template.query)} if template.query else {}
    request |= {"headers": list(template.headers)} if template.headers else {}
    request |= {"omit": sorted(template.omit)} if template.omit else {}
    if template.body is not None:
        body: dict[str, object] = {"name": f"body{number}"}
        body |= {"size": template.body.size} if template.body.text is None else {"text": template.body.text}
        request["body"] = body
    request |= {"sign": template.sign} if template.sign != "header" else {}
    request |= {"as": template.identity} if template.identity != "owner" else {}
    yield f"  - request: {json.dumps(request, ensure_ascii=False)}"
    yield "    expect:"
    yield f"    - {{observe: status, as: status-{number}, cites: [{', '.join(_some_cites(probe))}]}}"
    for check in _checks(probe, number):
        yield f"    - {json.dumps(check, ensure_ascii=False)}"
    if probe.keep:
        yield f"    save: {json.dumps(dict(probe.keep), ensure_ascii=False)}"


def _some_cites(probe: Probe) -> tuple[str, ...]:
    return next(rule.cites for rule, _ in probe.judged if rule.side == "answer")


def _checks(probe: Probe, number: int) -> Iterator[dict[str, object]]:
    """What the answer rules that applied demand, in the words of a case; what is kept must be there."""
    applied = {rule.id: rule for rule, _ in probe.judged if rule.side == "answer"}
    for rule in applied.values():
        for check in rule.expect:
            word, wanted = _in_a_case(check, probe)
            said: dict[str, object] = {"cites": list(check.cites), "level": check.level}
            if check.word == "body_empty":
                yield {"body": {"empty": True}, **said}
            elif check.word == "status":
                yield {"status": wanted, **said}
            elif word != "not_md5_of" or probe.template.body is not None:
                kind, _, name = check.subject.partition(" ")
                yield {kind: name, word: f"body{number}" if word == "not_md5_of" else wanted, **said}
    for _, selector in probe.keep:
        kind, _, name = selector.partition(" ")
        if name:
            yield {kind: name, "present": True, "cites": list(_some_cites(probe)), "level": "observe"}


def _in_a_case(check: Check, probe: Probe) -> tuple[str, object]:
    """Relation and wanted value of a rule's expectation, in which the key asked for is spelled as the probe did.

    A placeholder that stands for a long form has no bare id to name; what it stands for comes back as it is (S-61).
    """
    if not (isinstance(check.wanted, str) and "{asked_key}" in check.wanted):
        return check.word, check.wanted
    typed = next(_values(probe.template.headers, KEY_ID), "")
    sent = next(_values(probe.exchange.request.head.decode("latin-1").split("\r\n"), KEY_ID), "")
    if "/" in sent and "/" not in typed:
        return "equals", typed
    return check.word, check.wanted.replace("{asked_key}", typed.rpartition("/")[2])


def _values(lines: Iterable[str], wanted: str) -> Iterator[str]:
    pairs = (line.partition(":") for line in lines)
    return (value.strip() for name, _, value in pairs if name.strip().lower() == wanted)
