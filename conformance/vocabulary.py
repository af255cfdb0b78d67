"""The nouns of the suite as frozen values.

The only types that cross module borders. They ask themselves simple questions and import nothing of ours;
they do not know files, sockets, clocks or what a difference means.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Level = Literal["must", "should", "observe"]
Rung = Literal[
    "pass", "fail", "warn", "observed", "not_applicable", "blocked", "setup_failed", "harness_error", "not_run"
]
KeyAction = Literal["enable-key", "disable-key", "schedule-key-deletion", "cancel-key-deletion"]
SWITCHED = "switched"
"""The key of a target file whose state cases may change."""
ClauseVerdict = Literal["holds", "broken", "weak", "observed", "not_exercised", "not_observable"]
Stage = Literal["setup", "control", "step"]

CEILING: Mapping[str, Level] = {"must": "must", "should": "should", "may": "observe", "info": "observe"}
"""Strongest level at which a case may judge a clause of the given strength."""
STRENGTH: Mapping[str, int] = {"observe": 0, "should": 1, "must": 2}


BODY_KEPT = 2048
"""Bytes of a body that evidence keeps; size and SHA-256 are always those of the whole."""
DOCUMENT_KEPT = 1 << 16
"""Bytes kept of a body that may be a document; a larger one is not read as a document by anybody."""
_DOCUMENT = re.compile(
    rb"\xfe\xff\0[<{\[]|\xff\xfe[<{\[]\0|(?:\xef\xbb\xbf)?\s*[<{\[](?![\0-\xff]{0,255}[\0-\x08\x0b\x0c\x0e-\x1f])"
)
"""How XML and JSON begin: a bracket, in UTF-16 after a byte order mark, else with no control character soon after.

Object bytes that begin with a bracket by chance are none.
"""


class CaseError(Exception):
    """Our data is wrong. The message names file, line, column, rule and remedy."""


class TargetError(Exception):
    """The target file or the target itself cannot be used. The message names what and the remedy."""


class UsageError(Exception):
    """A wrong option value or a file that is not what the option takes; says which and what would be right."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One clause of a page. See ``cases/requirements.schema.json`` for every field."""

    id: str
    page: str
    section: str
    ordinal: int
    says: str
    level: Literal["must", "should", "may", "info"]
    decided_by: str
    decided_why: str
    observable: Literal["yes", "partly", "no"]
    causes: str
    consequence: str
    fix: str
    unobservable: str | None = None
    claims: tuple[str, ...] = ()
    errata: tuple[str, ...] = ()
    untested: str | None = None


@dataclass(frozen=True, slots=True)
class Erratum:
    """What the documents contradict or leave open; see ``cases/errata.schema.json`` for every field.

    ``readings`` are (regular expression for the observed value, what it means).
    """

    id: str
    about: str
    finding: str
    treatment: str
    clauses: tuple[str, ...] = ()
    case: str | None = None
    observation: str | None = None
    unprobed: str | None = None
    readings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """A named, frozen set of clauses: the denominator of a conclusion.

    ``lacks`` are clauses of the page that its dialect does not have, each with the reason; ``levels`` are strengths
    that differ from the page's. An expectation is judged by what remains of the clauses it cites. ``unasked`` is the
    mode that answers may name for objects nobody asked to encrypt; empty where they may name none.
    """

    name: str
    title: str
    clauses: tuple[str, ...]
    lacks: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, Literal["must", "should", "may", "info"]] = field(default_factory=dict)
    unasked: str = ""


@dataclass(frozen=True, slots=True)
class BodySpec:
    """A request body as the case states it: ``size`` deterministic bytes or literal ``text``."""

    name: str
    size: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class FormSpec:
    """A form upload: fields as ``name: value`` and, if stated, the conditions of its policy as JSON texts."""

    fields: tuple[str, ...]
    conditions: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class BytesDue:
    """What a body must be: the named request bodies one after the other, or a range of that."""

    names: tuple[str, ...]
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """A request with placeholders. Header lines are whole lines without their line end."""

    method: str
    bucket: str
    object: str | None
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    omit: frozenset[str] = frozenset()
    body: BodySpec | None = None
    identity: str = "owner"
    sign: Literal["header", "url", "form", "none"] = "header"
    expires_in: int = 3600
    add_after: tuple[str, ...] = ()
    remove_after: frozenset[str] = frozenset()
    chunked: int | None = None
    form: FormSpec | None = None
    kms: KeyAction | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation: the word that judges it, its subject and what is wanted."""

    word: str
    subject: str
    wanted: object
    cites: tuple[str, ...]
    level: Level


@dataclass(frozen=True, slots=True)
class Step:
    """One exchange of a case. ``name`` is what reports call it, for instance ``step 2``."""

    stage: Stage
    name: str
    request: RequestTemplate
    expect: tuple[Check, ...]
    save: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One independent scenario. ``row`` holds the placeholders of its ``each:`` row.

    ``unprovable`` says why no planted defect can make a judging case fail; empty for nearly all.
    """

    id: str
    says: str
    area: str
    level: Level
    cites: tuple[str, ...]
    needs: tuple[str, ...]
    steps: tuple[Step, ...]
    file: str
    line: int
    row: Mapping[str, str] = field(default_factory=dict)
    own_bucket: bool = False
    unprovable: str = ""

    def switches_key(self) -> bool:
        """Whether the case has the key that is there for changes of state, and so must have it for itself."""
        return f"keys.{SWITCHED}" in self.needs

    def clauses(self) -> tuple[str, ...]:
        """Every clause the case or one of its judged expectations cites, each once."""
        judged = (
            clause for step in self.steps if step.stage == "step" for check in step.expect for clause in check.cites
        )
        return tuple(dict.fromkeys((*self.cites, *judged)))


@dataclass(frozen=True, slots=True)
class Identity:
    """Credentials of one principal of the target."""

    access_key: str
    secret_key: str = field(repr=False)
    domain_id: str | None = None
    principal: str | None = None


Signature = Literal["v2", "v4"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """Another set of words for the same feature, as ``cases/dialects/NAME.yaml`` states them.

    Cases speak OBS. Names are in lower case, ``prefix`` and all pairs are (OBS, wire).

    - ``headers`` and ``parameters``: names that differ in more than the prefix; form fields go by ``headers``.
    - ``values`` and ``elements``: values by header, parameter or field name, and by XML element.
    - ``key_names``, ``key_elements``: where key ids stand; ``key_sent``, ``key_answered``: (regular expression,
      replacement) for the way there and back, the first that fits. Principals of policies have such rules too.
    - ``texts``: pieces of documents, such as a namespace. ``codes``: error codes of the wire and those they count as.
    - ``refusals``: (code of the wire, regular expression for its message, code and status of OBS), where the code
      alone does not tell. ``sizes``: bytes of a body where another limit holds.
    - ``default_key``: by what name a default key goes that answers need not name; empty where they must.
    - ``unasked``: the mode that answers may name for objects nobody asked to encrypt; empty where they may name none.
    - ``withheld``: features that a server may refuse by default; with what status and code, and why.
    - ``policy``: ``action`` and ``resource`` (prefixes), ``version``, ``principal`` (the word for ``ID``) and
      ``condition`` (the prefix of keys).
    - ``signatures``: (sub-resource or "", kind of signature, version), the first that fits.
    - ``shapes`` take the place of those of the library. ``without``: cases that have no counterpart, and why.
    - ``lacks``: clauses, and why; ``alters``: what others mean there; ``levels``: how much they bind.
    """

    name: str
    profile: str
    prefix: tuple[str, str]
    headers: Mapping[str, str]
    parameters: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]]
    elements: Mapping[str, Mapping[str, str]]
    key_names: frozenset[str]
    key_elements: frozenset[str]
    key_sent: tuple[tuple[str, str], ...]
    key_answered: tuple[tuple[str, str], ...]
    texts: tuple[tuple[str, str], ...]
    codes: Mapping[str, str]
    refusals: tuple[tuple[str, str, str, int], ...]
    sizes: Mapping[int, int]
    default_key: str
    unasked: str
    withheld: Mapping[str, tuple[int, str, str]]
    policy: Mapping[str, str]
    principal_sent: tuple[tuple[str, str], ...]
    principal_answered: tuple[tuple[str, str], ...]
    signatures: tuple[tuple[str, str, Signature], ...]
    region: str
    shapes: Mapping[str, str]
    without: Mapping[str, str]
    lacks: Mapping[str, str]
    alters: Mapping[str, str]
    levels: Mapping[str, Literal["must", "should", "may", "info"]]


@dataclass(frozen=True, slots=True)
class KeyService:
    """Where the keys of a target can be administered, in the habits of the vendor's KMS API v1.0."""

    endpoint: str
    project_id: str


@dataclass(frozen=True, slots=True)
class Target:
    """The endpoint under test and all that its owner says about it.

    ``spoken`` is the dialect that ``dialect`` names; None for OBS's own.
    """

    name: str
    endpoint: str
    identities: Mapping[str, Identity]
    keys: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None
    addressing: Literal["path", "virtual-host"] = "path"
    dialect: str = "obs"
    profile: str = "sse-kms-2024-01"
    transport: Literal["wire", "requests"] = "wire"
    without: Mapping[str, str] = field(default_factory=dict)
    ca_bundle: str | None = None
    client_certificate: str | None = None
    timeout_s: float = 10.0
    case_timeout_s: float = 60.0
    jobs: int = 8
    own_buckets: int = 4
    kms: KeyService | None = None
    spoken: Dialect | None = None

    def secrets(self) -> tuple[str, ...]:
        """Everything that may never be written anywhere."""
        return tuple(identity.secret_key for identity in self.identities.values())


@dataclass(frozen=True, slots=True)
class Request:
    """A request ready for the wire: ``head`` is every byte up to and with the empty line.

    ``bucket`` and ``object`` are the names it addresses, for the journal; ``service`` is whom it is for.
    """

    method: str
    head: bytes
    body: bytes
    expects_continue: bool
    bucket: str
    object: str | None
    service: Literal["obs", "kms"] = "obs"


@dataclass(frozen=True, slots=True)
class Response:
    """A final answer, parsed. Header values have no blanks around them; order and repetition are kept.

    ``whole`` is (size in bytes, SHA-256 in hex) of the body where ``body`` is only its beginning, as in evidence.
    """

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    interim: tuple[int, ...] = ()
    whole: tuple[int, str] | None = None

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        return len(self.body) if self.whole is None else self.whole[0]

    @property
    def sha256(self) -> str:
        """Of the whole body, in hex."""
        return hashlib.sha256(self.body).hexdigest() if self.whole is None else self.whole[1]

    def values(self, name: str) -> tuple[str, ...]:
        """All values of a header, in order, its name compared without regard to case."""
        lowered = name.lower()
        return tuple(value for key, value in self.headers if key.lower() == lowered)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came of it, with the exact bytes of both directions.

    ``response`` is None when no complete HTTP answer came; ``outcome`` then says in words what happened.
    ``received_body`` is as on the wire, chunk framing included. ``earlier`` are attempts that the target asked to
    repeat.
    """

    request: Request
    received_head: bytes
    received_body: bytes
    response: Response | None
    outcome: str
    ms: float
    continued: bool | None = None
    sent_body: bool = True
    earlier: tuple[Exchange, ...] = ()


ANSWERED, NOT_CONNECTED = "answered", "could not connect: "
"""The outcome of an exchange with an answer, and how that of one begins of which nothing was sent."""


def kept(body: bytes) -> int:
    """How many bytes of a body are evidence: what is judged may depend on these, the size and the SHA-256 alone."""
    cap = DOCUMENT_KEPT if _DOCUMENT.match(body) else BODY_KEPT
    return min(cap, len(body))


@dataclass(frozen=True, slots=True)
class Finding:
    """One judged expectation: held or not, what was wanted and what came."""

    step: str
    word: str
    subject: str
    clauses: tuple[str, ...]
    level: Level
    held: bool
    wanted: str
    got: str
    says: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """A recorded value where nothing is judged."""

    step: str
    name: str
    value: str
    clauses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a case played: its bucket, the bucket of the run, and the token its names were made of."""

    bucket: str
    shared_bucket: str
    token: str


@dataclass(frozen=True, slots=True)
class Played:
    """What playing a case left behind, before it is graded.

    ``stopped`` says why a case ended before its last step, or is empty. ``place`` and ``times``, for each exchange
    the clock at asking and at judging, are what it takes to play the case again without the target.
    """

    findings: tuple[Finding, ...]
    observations: tuple[Observation, ...]
    exchanges: tuple[tuple[str, Exchange], ...]
    stopped: str = ""
    unanswered: bool = False
    place: Place | None = None
    times: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case and its rung on the ladder."""

    case: Case
    rung: Rung
    reason: str
    played: Played
    duration_ms: float
