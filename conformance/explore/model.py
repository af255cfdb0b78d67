"""The page as a small pure model: from a sequence of calls to a case that says what must come of each.

A call changes the model (bucket default, policy, objects, an upload under way) and yields the steps that do it and
check it: mode and key of the touched object at once, the bytes of every object at the end. A call that makes no sense
where it stands, such as the copy of an object that is not there, yields nothing, so that any part of a sequence is
itself a sequence. Where the documents leave an outcome open, no call asks. Does not know Hypothesis, nor who sends.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from conformance.vocabulary import BodySpec, BytesDue, Case, Check, FormSpec, RequestTemplate, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from conformance.vocabulary import KeyAction, Level

MODE = "x-obs-server-side-encryption"
KEY_ID = "x-obs-server-side-encryption-kms-key-id"
KeyName = Literal["default", "custom", "second", "switched", "obs"]
"""What an object can be under: a key, or ``obs``, the service's own: the mode AES256, which names none."""
KeyState = Literal["enabled", "disabled", "scheduled"]
Via = Literal["header", "url", "query", "form"]

_POLICY = (
    '{"Statement": [{"Sid": "DenyUnEncryptedObjectUploads", "Effect": "Deny", "Principal": "*", "Action": "PutObject", '
    '"Resource": "{bucket}/*", "Condition": {"StringNotEquals": {"x-obs-server-side-encryption": "kms"}}}]}'
)
_DEFAULT = (
    "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>kms</SSEAlgorithm>"
    "%s</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
)


_AGREES, _INHERITED = "SSEKMS-R1", ("SSEKMS-S11", "SSEKMS-R1")


@dataclass(frozen=True, slots=True)
class Put:
    """Upload an object; ``key`` None names none, ``mode`` False asks for no encryption."""

    slot: int
    mode: bool
    key: KeyName | None
    via: Via
    size: int


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy one object over another place, or onto itself."""

    source: int
    target: int
    key: KeyName | None


@dataclass(frozen=True, slots=True)
class Initiate:
    """Begin an upload in parts and send its only part."""

    slot: int
    mode: bool
    key: KeyName | None
    size: int


@dataclass(frozen=True, slots=True)
class Complete:
    """Complete the upload that is under way."""


@dataclass(frozen=True, slots=True)
class SetDefault:
    """Set the bucket's default encryption."""

    key: KeyName | None


@dataclass(frozen=True, slots=True)
class DropDefault:
    """Remove the bucket's default encryption."""


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """Put the page's sample policy in force."""


@dataclass(frozen=True, slots=True)
class DropPolicy:
    """Remove the policy."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object."""

    slot: int


@dataclass(frozen=True, slots=True)
class Read:
    """Read an object, or a range of it, as somebody."""

    slot: int
    identity: Literal["owner", "other_account", "anonymous"]
    first: int | None


@dataclass(frozen=True, slots=True)
class Switch:
    """Change the state of the key that is there for it."""

    action: KeyAction


Call = Put | Copy | Initiate | Complete | SetDefault | DropDefault | SetPolicy | DropPolicy | Delete | Read | Switch

SWITCHES: Mapping[KeyState, Mapping[KeyAction, KeyState]] = {
    "enabled": {"disable-key": "disabled", "schedule-key-deletion": "scheduled"},
    "disabled": {"enable-key": "enabled", "schedule-key-deletion": "scheduled"},
    "scheduled": {"cancel-key-deletion": "disabled"},
}
"""What can be asked of a key in a state, and the state it has then."""


def plainer(call: Call) -> Iterator[Call]:
    """Calls that do less than this one and may differ in the same way."""
    match call:
        case Put():
            yield from _less(call, size=0, via="header", key=None, mode=False)
        case Copy():
            yield Put(call.target, mode=True, key=call.key, via="header", size=0)
            yield from _less(call, key=None)
        case Initiate():
            yield Put(call.slot, mode=call.mode, key=call.key, via="header", size=call.size)
            yield from _less(call, size=0, key=None, mode=False)
        case SetDefault():
            yield from _less(call, key=None)
        case Read():
            yield from _less(call, identity="owner", first=None)
        case Switch():
            yield from _less(call, action="disable-key")
        case _:
            return


def bolder(call: Call, *, switching: bool) -> Iterator[Call]:
    """The same call naming a key of its own, or asking for encryption itself; for what that may save another call."""
    keys: tuple[KeyName | None, ...] = (None, "custom", "switched" if switching else "second")
    if isinstance(call, (Put, Initiate)):
        yield from (asked for key in keys if (asked := replace(call, mode=True, key=key)) != call)
    if isinstance(call, SetDefault):
        yield from (SetDefault(key) for key in keys if key != call.key)


def _less(call: Call, **least: Any) -> Iterator[Call]:  # noqa: ANN401 - fields of the call
    return (replace(call, **{name: value}) for name, value in least.items() if getattr(call, name) != value)


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of an object: the key it is under, or None if it is plain, and the body it must give back.

    ``cites`` are the clauses by which it is under that key.
    """

    key: KeyName | None
    body: str
    size: int
    cites: tuple[str, ...] = (_AGREES,)


@dataclass(frozen=True, slots=True)
class _Upload:
    slot: int
    stored: Stored
    number: int


@dataclass(slots=True)
class Model:
    """What the page says the bucket holds after the calls so far."""

    has_default: bool = False
    default: KeyName | None = None
    policy: bool = False
    objects: dict[int, Stored] = field(default_factory=dict)
    upload: _Upload | None = None
    key_state: KeyState = "enabled"
    default_seen: bool = False
    bodies: int = 0
    steps: list[Step] = field(default_factory=list)

    def inherited(self, key: KeyName | None, *, mode: bool) -> KeyName | None:
        """The key of an upload: its own, else that of the bucket's default, else none (S-11, S-12, S-18)."""
        if mode:
            return key or "default"
        return (self.default or "default") if self.has_default else None

    def stored(self, key: KeyName | None, body: BodySpec, size: int, *, mode: bool) -> Stored:
        """What an upload stores."""
        inherited = not mode and self.has_default
        return Stored(self.inherited(key, mode=mode), body.name, size, _INHERITED if inherited else (_AGREES,))

    def denies(self, key: KeyName | None, *, mode: bool) -> bool:
        """Whether the policy in force, if any, speaks against an upload: it wants the mode kms."""
        return self.policy and (not mode or key == "obs")

    def open(self, *, mode: bool) -> bool:
        """Whether the documents leave open what an upload does: an inherited default under the policy (Q-23)."""
        return self.policy and not mode and self.has_default

    def usable(self, *keys: KeyName | None) -> bool:
        """Whether all of these keys serve."""
        return self.key_state == "enabled" or "switched" not in keys

    def barred(self, request: RequestTemplate, clause: str) -> bool:
        """Ask for what a key that does not serve has refused; False where the documents do not say how."""
        if self.key_state != "disabled":
            return False
        refusal = {"status": [400, 403], "codes": ["KMS.DisabledException", "AccessDenied"]}
        self.step(request, [Check("refused", "refusal", refusal, (clause,), "should")])
        return True

    def switch(self, action: KeyAction) -> None:
        """Have the key's state changed."""
        self.key_state = SWITCHES[self.key_state][action]
        self.step(RequestTemplate("POST", "{bucket}", None, kms=action), ())

    def step(self, request: RequestTemplate, expect: Iterable[Check], save: dict[str, str] | None = None) -> None:
        """One more exchange."""
        number = len(self.steps) + 1
        self.steps.append(Step("step", f"step {number}", request, tuple(expect), tuple((save or {}).items())))

    def body(self, size: int) -> BodySpec:
        """A body no other step has."""
        self.bodies += 1
        return BodySpec(f"b{self.bodies}", size)

    def key_check(self, key: KeyName, cites: tuple[str, ...]) -> tuple[Check, dict[str, str]]:
        """That an answer names a key; the default key is known from the first answer that names it (S-68)."""
        subject = f"header {KEY_ID}"
        if key != "default":
            return Check("matches", subject, f"{{shape.long_key_prefix}}{{keys.{key}}}", cites, "must"), {}
        if self.default_seen:
            return Check("equals", subject, "{default}", (*cites, "SSEKMS-R3"), "must"), {}
        self.default_seen = True
        return Check("matches", subject, "{shape.long_key_id}", cites, "must"), {"default": subject}

    def encryption(self, key: KeyName | None, cites: tuple[str, ...]) -> tuple[list[Check], dict[str, str]]:
        """That an answer reports the encryption due."""
        if key is None:
            return [_absent(f"header {MODE}", "OBS0083-S10")], {}
        if key == "obs":
            return [Check("equals", f"header {MODE}", "AES256", cites, "must")], {}
        named, save = self.key_check(key, cites)
        return [Check("equals", f"header {MODE}", "kms", cites, "must"), named], save

    def verify(self, slot: int) -> None:
        """HEAD: the object is there with the mode and key due, or not there."""
        stored = self.objects.get(slot)
        if stored is not None and not self.usable(stored.key):
            return  # whether HEAD needs the key is nowhere said
        request = RequestTemplate("HEAD", "{bucket}", _name(slot))
        if stored is None:
            self.step(request, [_refused(404, "NoSuchKey")])
            return
        checks, save = self.encryption(stored.key, stored.cites)
        self.step(request, [_status(200, _AGREES), *checks], save)

    def verify_all(self) -> None:
        """GET: every object gives back its bytes, mode and key, once its key serves."""
        while self.key_state != "enabled":
            self.switch("cancel-key-deletion" if self.key_state == "scheduled" else "enable-key")
        for slot, stored in sorted(self.objects.items()):
            checks, save = self.encryption(stored.key, stored.cites)
            due = Check("body_is", "body", BytesDue((stored.body,)), ("SSEKMS-R7",), "must")
            request = RequestTemplate("GET", "{bucket}", _name(slot))
            self.step(request, [_status(200, "SSEKMS-R7"), *checks, due], save)


def _name(slot: int) -> str:
    return f"{{fresh}}/{slot}"


def _status(status: int | tuple[int, ...], *cites: str, level: Level = "must") -> Check:
    return Check("status", "status", list(status) if isinstance(status, tuple) else status, cites, level)


def _present(subject: str, *cites: str) -> Check:
    return Check("present", subject, wanted=True, cites=cites, level="must")


def _absent(subject: str, *cites: str) -> Check:
    return Check("absent", subject, wanted=True, cites=cites, level="should")


def _refused(status: int, *codes: str) -> Check:
    cites = ("SSEKMS-S32", "SSEKMS-S34") if status == 403 else ("OBS0115-S01",)  # noqa: PLR2004 - the status 403
    return Check("refused", "refusal", {"status": [status], "codes": list(codes)}, cites, "must")


def _fields(key: KeyName | None, *, mode: bool) -> tuple[tuple[str, str], ...]:
    if key == "obs":
        return ((MODE, "AES256"),) if mode else ()
    named = {name: f"{{keys.{name}}}" for name in ("custom", "second", "switched")} | {"default": "{default}"}
    return ((MODE, "kms"), *(((KEY_ID, named[key]),) if key else ())) if mode else ()


def _put_request(call: Put, model: Model) -> RequestTemplate:
    fields = _fields(call.key, mode=call.mode)
    base = RequestTemplate("PUT", "{bucket}", _name(call.slot), body=model.body(call.size))
    lines = tuple(f"{name}: {value}" for name, value in fields)
    match call.via:
        case "header":
            return replace(base, headers=lines)
        case "url":
            return replace(base, headers=lines, sign="url")
        case "query":  # the mode as the page's sample has it, the key id as a header, which every reading signs
            query = tuple(f"{name}={value}" for name, value in fields if name == MODE)
            return replace(base, query=query, headers=lines[1:], sign="url")
        case "form":
            form = FormSpec((f"key: {_name(call.slot)}", *lines))
            return replace(base, method="POST", object=None, sign="form", form=form)


def _put(call: Put, model: Model) -> None:
    if call.key == "obs" and call.via == "query":
        return  # the parameter is shown with the value kms alone
    if model.open(mode=call.mode) or (call.key == "default" and not model.default_seen):
        return
    request = _put_request(call, model)
    if model.denies(call.key, mode=call.mode):
        model.step(request, [_refused(403, "AccessDenied")])
        model.verify(call.slot)
        return
    assert request.body is not None  # noqa: S101 - an upload has one
    key = model.inherited(call.key, mode=call.mode)
    if not model.usable(key):
        if model.barred(request, "KMS-S01"):
            model.verify(call.slot)
        return
    model.objects[call.slot] = model.stored(call.key, request.body, call.size, mode=call.mode)
    if call.via == "form":
        model.step(request, [_status(204, "OBS0081-S02")])
    else:
        # Whether the answer shows an encryption that was inherited is open; HEAD does.
        cites = ("SSEKMS-S12",) if key == "obs" else ("SSEKMS-S44", "SSEKMS-S46")
        checks, save = model.encryption(key, cites) if call.mode else ([], {})
        model.step(request, [_status(200, "SSEKMS-S40"), *checks], save)
    model.verify(call.slot)


def _copy(call: Copy, model: Model) -> None:
    source = model.objects.get(call.source)
    if source is None or (call.key == "default" and not model.default_seen):
        return
    fields = (f"{name}: {value}" for name, value in _fields(call.key, mode=True))
    directive = ("x-obs-metadata-directive: REPLACE",) if call.source == call.target else ()
    headers = (*fields, f"x-obs-copy-source: /{{bucket}}/{_name(call.source)}", *directive)
    request = RequestTemplate(
        "PUT", "{bucket}", _name(call.target), headers=headers, omit=frozenset({"Content-Length"})
    )
    if not model.usable(source.key, call.key):
        if model.barred(request, "KMS-S10" if not model.usable(source.key) else "KMS-S01"):
            model.verify(call.target)
        return
    if model.denies(call.key, mode=True):
        model.step(request, [_refused(403, "AccessDenied")])
        model.verify(call.target)
        return
    model.objects[call.target] = replace(source, key=call.key or "default", cites=(_AGREES,))
    cites = ("SSEKMS-S56",) if call.key == "obs" else ("SSEKMS-S60",)
    checks, save = model.encryption(call.key or "default", cites)
    model.step(request, [_status(200, *cites), *checks], save)
    model.verify(call.target)
    if call.source != call.target:
        model.verify(call.source)


def _initiate(call: Initiate, model: Model) -> None:
    if model.upload or model.open(mode=call.mode) or (call.key == "default" and not model.default_seen):
        return
    lines = tuple(f"{name}: {value}" for name, value in _fields(call.key, mode=call.mode))
    request = RequestTemplate("POST", "{bucket}", _name(call.slot), ("uploads",), lines)
    if model.denies(call.key, mode=call.mode):
        model.step(request, [_refused(403, "AccessDenied")])
        return
    if not model.usable(model.inherited(call.key, mode=call.mode)):
        return  # which of the calls is refused is nowhere said
    number = model.bodies + 1
    upload = "xml InitiateMultipartUploadResult/UploadId"
    model.step(request, [_status(200, "OBS0098-S01"), _present(upload, "OBS0098-S01")], {f"upload{number}": upload})
    if model.policy:
        # Whether a part, which has no mode, meets the policy is open: the part is sent while there is none.
        model.step(RequestTemplate("DELETE", "{bucket}", None, ("policy",)), [_status((200, 204), "OBS0029-S01")])
        model.policy = False
    body = model.body(call.size)
    part = RequestTemplate(
        "PUT", "{bucket}", _name(call.slot), ("partNumber=1", f"uploadId={{upload{number}}}"), body=body
    )
    model.step(
        part, [_status(200, "OBS0099-S01"), _present("header ETag", "OBS0099-S01")], {f"etag{number}": "header ETag"}
    )
    model.upload = _Upload(call.slot, model.stored(call.key, body, call.size, mode=call.mode), number)
    model.verify(call.slot)


def _complete(_: Complete, model: Model) -> None:
    upload = model.upload
    if upload is None or model.policy or not model.usable(upload.stored.key):
        return
    document = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{{etag{upload.number}}}</ETag></Part>"
        "</CompleteMultipartUpload>"
    )
    query, body = (f"uploadId={{upload{upload.number}}}",), BodySpec(f"list{upload.number}", text=document)
    request = RequestTemplate("POST", "{bucket}", _name(upload.slot), query, body=body)
    model.step(request, [_status(200, "OBS0102-S01")])
    model.objects[upload.slot], model.upload = upload.stored, None
    model.verify(upload.slot)


def _set_default(call: SetDefault, model: Model) -> None:
    if call.key == "obs":
        return  # not every service offers AES256 as a default (OBS0062-S09)
    if (call.key == "default" and not model.default_seen) or not model.usable(call.key):
        return
    named = dict(_fields(call.key, mode=True)).get(KEY_ID, "")
    element = f"<KMSMasterKeyID>{named}</KMSMasterKeyID>" if named else ""
    model.bodies += 1
    body = BodySpec(f"b{model.bodies}", text=_DEFAULT % element)
    request = RequestTemplate("PUT", "{bucket}", None, ("encryption",), body=body)
    model.step(request, [_status((200, 204), "OBS0062-S01")])
    model.has_default, model.default = True, call.key
    _verify_default(model)


def _drop_default(_: DropDefault, model: Model) -> None:
    if model.has_default:
        model.step(RequestTemplate("DELETE", "{bucket}", None, ("encryption",)), [_status((200, 204), "OBS0064-S01")])
        model.has_default, model.default = False, None
        _verify_default(model)


def _verify_default(model: Model) -> None:
    request = RequestTemplate("GET", "{bucket}", None, ("encryption",))
    if not model.has_default:
        model.step(request, [_refused(404, "NoSuchEncryptionConfiguration")])
        return
    path = "xml ServerSideEncryptionConfiguration/Rule/ApplyServerSideEncryptionByDefault"
    checks = [_status(200, "OBS0063-S01"), Check("equals", f"{path}/SSEAlgorithm", "kms", ("OBS0063-S01",), "must")]
    if model.default in {"custom", "second", "switched"}:
        wanted = f"({{shape.long_key_prefix}})?{{keys.{model.default}}}"
        checks.append(Check("matches", f"{path}/KMSMasterKeyID", wanted, ("OBS0063-S01",), "must"))
    model.step(request, checks)


def _set_policy(_: SetPolicy, model: Model) -> None:
    model.bodies += 1
    body = BodySpec(f"b{model.bodies}", text=_POLICY)
    request = RequestTemplate("PUT", "{bucket}", None, ("policy",), body=body)
    model.step(request, [_status((200, 204), "SSEKMS-S31")])
    model.policy = True


def _drop_policy(_: DropPolicy, model: Model) -> None:
    if model.policy:
        model.step(RequestTemplate("DELETE", "{bucket}", None, ("policy",)), [_status((200, 204), "OBS0029-S01")])
        model.policy = False


def _delete(call: Delete, model: Model) -> None:
    if call.slot in model.objects:
        model.step(RequestTemplate("DELETE", "{bucket}", _name(call.slot)), [_status((200, 204), "SSEKMS-S35")])
        del model.objects[call.slot]
        model.verify(call.slot)


def _read(call: Read, model: Model) -> None:
    stored = model.objects.get(call.slot)
    if stored is None:
        return
    unsigned = call.identity == "anonymous"
    who = RequestTemplate(
        "GET",
        "{bucket}",
        _name(call.slot),
        identity="owner" if unsigned else call.identity,
        sign="none" if unsigned else "header",
    )
    if not model.usable(stored.key):
        if call.identity == "owner":
            model.barred(who, "KMS-S10")
        return
    if call.identity != "owner":
        refusal = {"status": [401, 403] if unsigned else [403], "codes": ["AccessDenied", "InvalidAccessKeyId"]}
        model.step(who, [Check("refused", "refusal", refusal, ("OBS0010-S06",), "must")])
        return
    if call.first is None or call.first >= stored.size:
        checks, save = model.encryption(stored.key, stored.cites)
        due = Check("body_is", "body", BytesDue((stored.body,)), ("SSEKMS-R7",), "must")
        model.step(who, [_status(200, "SSEKMS-R7"), *checks, due], save)
        return
    due = Check("body_is", "body", BytesDue((stored.body,), call.first), ("SSEKMS-R7",), "must")
    part = replace(who, headers=(f"Range: bytes={call.first}-",))
    model.step(part, [_status(206, "OBS0083-S01"), due])


def _switch(call: Switch, model: Model) -> None:
    if call.action in SWITCHES[model.key_state]:
        model.switch(call.action)


_CALLS = {
    Put: _put,
    Copy: _copy,
    Initiate: _initiate,
    Complete: _complete,
    SetDefault: _set_default,
    DropDefault: _drop_default,
    SetPolicy: _set_policy,
    DropPolicy: _drop_policy,
    Delete: _delete,
    Read: _read,
    Switch: _switch,
}


def apply(call: Call, model: Model) -> None:
    """What a call changes and asks; nothing if it makes no sense."""
    _CALLS[type(call)](call, model)  # type: ignore[operator]  # the table pairs each call with its function


def sensible(model: Model) -> tuple[type[Call], ...]:
    """The kinds of call that can make sense after the calls so far, those that much hangs on twice.

    Under a policy little is allowed, so it shall not last long.
    """
    kinds: list[type[Call]] = [Put, Put, SetDefault]
    kinds += [Copy, Delete, Read] if model.objects else []
    kinds += [DropDefault] if model.has_default else []
    kinds += [DropPolicy, DropPolicy] if model.policy else [SetPolicy]
    kinds += [Initiate] if model.upload is None else [] if model.policy else [Complete, Complete]
    return tuple(kinds)


def sensible_with_keys(model: Model) -> tuple[type[Call], ...]:
    """As ``sensible``, where the state of a key changes; without policies, which say nothing of keys."""
    kinds = [kind for kind in sensible(model) if kind not in {SetPolicy, DropPolicy}]
    return (*kinds, Switch, Switch)


def case_of(calls: Sequence[Call], *, id_: str = "EXPLORE-001") -> Case | None:
    """The case a sequence of calls is, judged by the model; None if no call of it makes sense."""
    model = Model()
    for call in calls:
        apply(call, model)
    model.verify_all()
    if not model.steps:
        return None
    steps = tuple(model.steps)
    musts = (check for step in steps for check in step.expect if check.level == "must")
    cites = tuple(dict.fromkeys(clause for check in musts for clause in check.cites))
    return Case(
        id=id_,
        says="A sequence of calls leaves every object with the mode, the key and the bytes due",
        area="explore",
        level="must",
        cites=cites,
        needs=tuple(_needs(steps)),
        steps=steps,
        file="explore",
        line=1,
        own_bucket=True,
    )


def _needs(steps: Iterable[Step]) -> Iterator[str]:
    texts = {
        text
        for step in steps
        for text in (
            *step.request.headers,
            *(check.wanted for check in step.expect),
            step.request.body and step.request.body.text,
        )
        if isinstance(text, str)
    } | {text for step in steps if step.request.form for text in step.request.form.fields}
    if any(step.request.kms for step in steps) or any("{keys.switched}" in text for text in texts):
        yield from ("kms", "keys.switched")
    if any("AES256" in text for text in texts):
        yield "sse-obs"
    for name in ("custom", "second"):
        if any(f"{{keys.{name}}}" in text for text in texts):
            yield f"keys.{name}"
    if any(step.request.identity == "other_account" for step in steps):
        yield "identities.other_account"
