"""What a server has no part of, found out before the run, in a bucket made for it alone.

A feature that is refused honestly (501, 405, or another document under the same URL) is one finding; its cases do not
apply. A feature that is accepted counts as there, and is judged. Also looks, where nothing can be lost, for what
half-built servers do with a sub-resource they do not know: delete the bucket, or create one. Everything is journalled
before it may come to be, and what its removal leaves standing is left to the run's clean-up. Judges no clause.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from conformance.doctor import Check, code_of
from conformance.judge import parse_xml
from conformance.play import Scene, assemble, understood
from conformance.removal import Remover, write_down
from conformance.vocabulary import BodySpec, FormSpec, RequestTemplate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from conformance.journal import Journal
    from conformance.transport import Transport
    from conformance.vocabulary import Exchange, Response, Target
    from conformance.world import World

CAPABILITY = "capability "
"""How the names of checks begin that say a feature is not there; the feature follows."""
DECLARED, DANGER = "declared ", "danger "
"""The same for what contradicts the target file, and for what clients should be kept from."""
_REFUSES = frozenset({405, 501})
_REFUSAL = frozenset({"NotImplemented", "ServiceNotImplemented", "MethodNotAllowed"})
_OK, _REFUSED = range(200, 300), range(400, 500)
_CONFIGURATION = (
    "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>kms</SSEAlgorithm>"
    "</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
)
_POLICY = (
    '{"Statement": [{"Sid": "Probe", "Effect": "Deny", "Principal": "*", "Action": "PutObject", '
    '"Resource": "{bucket}/probed-by-nobody"}]}'
)


@dataclass(frozen=True, slots=True)
class Probe:
    """A feature of the target file's ``without``: what asks for it, and the document that the last answer has.

    ``root`` is the name of an XML root, or "{" for JSON; empty where the status alone tells. ``called`` is what
    findings say of a request without a parameter.
    """

    feature: str
    asks: tuple[RequestTemplate, ...]
    root: str = ""
    called: str = ""


def _to(method: str, query: str, text: str | None = None, name: str | None = None) -> RequestTemplate:
    return RequestTemplate(
        method, "{bucket}", name, (query,), body=None if text is None else BodySpec("body", text=text)
    )


_CUSTOMER_KEY = (
    "x-obs-server-side-encryption-customer-algorithm: AES256",
    "x-obs-server-side-encryption-customer-key: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "x-obs-server-side-encryption-customer-key-MD5: tP/LI3N87DFaSk0aoqYgzg==",
)
"""The key is of the bytes 0 to 31."""

PROBES = (
    Probe(
        "bucket-default",
        (_to("PUT", "encryption", _CONFIGURATION), _to("GET", "encryption")),
        "ServerSideEncryptionConfiguration",
    ),
    Probe("bucket-policy", (_to("PUT", "policy", _POLICY), _to("GET", "policy")), "{"),
    Probe("multipart", (_to("POST", "uploads", name="parts"),), "InitiateMultipartUploadResult"),
    Probe("acl", (_to("GET", "acl"),), "AccessControlPolicy"),
    Probe(
        "sse-c",
        (
            RequestTemplate(
                "PUT",
                "{bucket}",
                "sealed",
                headers=_CUSTOMER_KEY,
                body=BodySpec("body", text="probe"),
            ),
        ),
        called="with a customer key",
    ),
    Probe(
        "post-form",
        (
            RequestTemplate(
                "POST",
                "{bucket}",
                None,
                sign="form",
                form=FormSpec(("key: form",)),
                body=BodySpec("body", text="form"),
            ),
        ),
        called="of a form",
    ),
)


class Discovery:
    """Probes one target in buckets of its own."""

    def __init__(self, target: Target, world: World, journal: Journal, transport: Transport) -> None:
        self._target, self._world, self._journal, self._transport = target, world, journal, transport
        self._bucket = f"obsc-{world.run}-probe"
        self._other = f"obsc-{world.run}-nobody"

    def find(self) -> Iterator[Check]:
        """One check for each feature that is not there, each disagreement and each danger; none when all is well."""
        self._journal.will_create("bucket", self._bucket)
        made = self._ask(RequestTemplate("PUT", self._bucket, None))
        if made.response is None or made.response.status not in _OK:
            if made.response is not None and made.response.status in _REFUSED:  # whose bucket it is, it is not ours
                self._journal.removed("bucket", self._bucket)
            return
        for probe in PROBES:
            yield from self._examined(probe)
        yield from self._dangers()
        remover = Remover(self._journal, self._administer)
        for bucket in (self._bucket, self._other):
            if self._journal.owns_bucket(bucket):
                remover.remove(bucket)

    def _examined(self, probe: Probe) -> Iterator[Check]:
        why = self._missing(probe)
        declared = self._target.without.get(probe.feature)
        name = f"{CAPABILITY}{probe.feature}"
        if why and declared is None:
            yield Check(name, "note", f"not supported: {why}")
        elif not why and declared is not None:
            says = f"the target file goes without {probe.feature} ({declared}), yet the endpoint accepts it"
            yield Check(f"{DECLARED}{probe.feature}", "note", says, "if it is there, take it out of [without]")

    def _missing(self, probe: Probe) -> str:
        """Why a feature counts as absent; empty when it is accepted, or fails in another way, which cases judge."""
        withheld = {} if self._target.spoken is None else self._target.spoken.withheld
        status, code, reason = withheld.get(probe.feature, (0, "", ""))
        answer = None
        for template in probe.asks:
            asked = f"{template.method} {'?' + template.query[0] if template.query else probe.called}"
            exchange = self._ask(template)
            if exchange.response is None:
                return ""
            answer = understood(self._target, template, exchange.response)
            answered = f"{asked} is answered {answer.status} {code_of(answer)}".rstrip()
            if answer.status in _REFUSES or code_of(answer) in _REFUSAL:
                return answered
            if (answer.status, code_of(answer)) == (status, code):
                return f"{answered}: {reason}"
            if answer.status not in _OK:
                return ""
        if probe.root and answer is not None and (found := _root(answer)) != probe.root and found:
            return f"{asked} is answered with the document {found}, which is another resource's"
        return ""

    def _dangers(self) -> Iterator[Check]:
        """What becomes of a bucket under DELETE ?encryption, and whether PUT ?encryption makes one."""
        gone = self._ask(_to("DELETE", "encryption"))
        head = self._ask(RequestTemplate("HEAD", "{bucket}", None))
        if head.response is not None and head.response.status == 404:  # noqa: PLR2004 - not found
            status = "no answer" if gone.response is None else gone.response.status
            says = f"DELETE ?encryption deletes the bucket itself (answered {status})"
            yield Check(f"{DANGER}delete-encryption", "note", says, "keep clients that reset a default away from it")
        elif head.response is None:
            yield Check(f"{DANGER}dies", "note", f"after DELETE ?encryption the server does not answer: {head.outcome}")
        self._journal.will_create("bucket", self._other)
        template = replace(_to("PUT", "encryption", _CONFIGURATION), bucket=self._other)
        self._ask(template)
        head = self._ask(RequestTemplate("HEAD", self._other, None))
        if head.response is not None and head.response.status in _OK:
            yield Check(f"{DANGER}put-encryption", "note", "PUT ?encryption creates a bucket where there is none")
        elif head.response is not None and head.response.status in _REFUSED:
            self._journal.removed("bucket", self._other)

    def _administer(self, method: str, bucket: str, name: str | None = None, query: tuple[str, ...] = ()) -> Exchange:
        return self._ask(RequestTemplate(method, bucket, name, query))

    def _ask(self, template: RequestTemplate) -> Exchange:
        bucket = self._bucket if template.bucket == "{bucket}" else template.bucket
        scene = Scene(self._target, bucket, "", self._world.now, {})
        text = "" if template.body is None else template.body.text or ""
        body = None if template.body is None else text.replace("{bucket}", bucket).encode()
        request = assemble(template, scene, scene.values(), body)
        write_down(self._journal, request)
        return self._transport.exchange(request)


def _root(answer: Response) -> str:
    """The local name of a document's root, "{" for JSON, empty for anything else."""
    if answer.body.lstrip()[:1] == b"{":
        return "{"
    root = parse_xml(answer.body) if answer.body else None
    return "" if root is None else root.tag.rpartition("}")[2]


def absent(checks: Iterable[Check]) -> Mapping[str, str]:
    """The features that probes have found absent, and why, as a target file's ``without`` would have them."""
    return {
        check.name.removeprefix(CAPABILITY): f"{check.says} (found by a probe)"
        for check in checks
        if check.name.startswith(CAPABILITY)
    }
