"""Wrong servers that are wrong only after something else has happened, and what they remember to be so.

As `slips`, but no single request shows these: each needs a sequence of calls, the shortest of which is told where the
defect is planted. What a wrong server remembers belongs to one bucket of one state and ends with it. Nothing in the
honest server knows this module.
"""

# ruff: noqa: D103 - the name says what goes wrong, and the registry below says it in a sentence

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from reference_server.access import authorize as honest_authorize
from reference_server.access import facts_of_request
from reference_server.defect import SLIP, Defect
from reference_server.encryption import KEY_ID, MODE, BucketDefault, Method, Occasion, Wish, rewrap, unlock
from reference_server.encryption import decide as honest_decide
from reference_server.errors import ObsError
from reference_server.misread import GET, PUT, Relay, with_body
from reference_server.routes import ROUTES
from reference_server.wire import Headers, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from reference_server.encryption import Envelope
    from reference_server.state.records import ObjectRecord
    from reference_server.state.store import State
    from reference_server.world import Call, Outcome, Receiver, RouteKey

    Memory = dict[Any, Any]
    Before = Callable[[Call, Memory], None]
    After = Callable[[Call, Memory, Response], Response | None]

DELETE: RouteKey = ("DELETE", "object", "")
FORM: RouteKey = ("POST", "bucket", "")
INITIATE: RouteKey = ("POST", "object", "uploads")
COMPLETE: RouteKey = ("POST", "object", "uploadId")
ABORT: RouteKey = ("DELETE", "object", "uploadId")
SET_DEFAULT: RouteKey = ("PUT", "bucket", "encryption")
DROP_DEFAULT: RouteKey = ("DELETE", "bucket", "encryption")
SET_POLICY: RouteKey = ("PUT", "bucket", "policy")
DROP_POLICY: RouteKey = ("DELETE", "bucket", "policy")
UPLOADS = (PUT, FORM, INITIATE)

_MODE_SAID = MODE.removeprefix("x-obs-")
"""The mode among what an upload in parts remembers of its initiation."""

_memories: WeakKeyDictionary[State, dict[tuple[str, float], Memory]] = WeakKeyDictionary()


def memory(call: Call) -> Memory:
    """What the wrong server remembers of the bucket a call addresses."""
    bucket = call.bucket
    return _memories.setdefault(call.world.state, {}).setdefault((bucket.name, bucket.created), {})


# ---- tools -------------------------------------------------------------------------------------------------------


def _never(_: Call) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Act:
    """What happens at some operations: before the honest one runs, and after it has succeeded.

    ``shows`` tells by the honest server's state whether the defect may show from this call on (`watch`).
    """

    keys: tuple[RouteKey, ...]
    before: Before | None = None
    after: After | None = None
    shows: Callable[[Call], bool] = _never


class _Noted(Relay):
    """A receiver whose success is noted."""

    def __init__(self, inner: Receiver, then: Callable[[Response], Response]) -> None:
        super().__init__(inner)
        self._then = then

    def finish(self) -> Response | Iterator[Response | None]:
        outcome = self.inner.finish()
        if isinstance(outcome, Response):
            return self._then(outcome)
        return (None if response is None else self._then(response) for response in outcome)


def sequence(*acts: Act) -> Mapping[str, object]:
    """Operations that remember, or act upon what was remembered."""

    def wrapped(act: Act, honest: Callable[[Call], Outcome]) -> Callable[[Call], Outcome]:
        def run(call: Call) -> Outcome:
            if act.before is not None:
                act.before(call, memory(call))
            outcome = honest(call)
            after = act.after
            if after is None:
                return outcome

            def then(response: Response) -> Response:
                return after(call, memory(call), response) or response

            return then(outcome) if isinstance(outcome, Response) else _Noted(outcome, then)

        run.applies = act.shows  # type: ignore[attr-defined]  # for `watch`
        return run

    changed = {key: replace(ROUTES[key], run=wrapped(act, ROUTES[key].run)) for act in acts for key in act.keys}
    return {"routes": MappingProxyType({**ROUTES, **changed})}


def said(call: Call) -> bool:
    """Whether the headers or parameters of an upload ask for encryption; a form's fields are not known yet."""
    return call.head.headers.first(MODE) is not None or call.query.first(MODE) is not None


def named(call: Call) -> str | None:
    """The key an upload names."""
    return call.head.headers.first(KEY_ID) or call.query.first(KEY_ID)


def nameless(call: Call) -> bool:
    """Whether an upload asks for SSE-KMS under whatever key there is."""
    mode = call.head.headers.first(MODE) or call.query.first(MODE)
    return mode == Method.KMS and named(call) is None


def naming(call: Call, key_id: str) -> None:
    """Let an upload name a key."""
    call.head = replace(call.head, headers=Headers((*call.head.headers.pairs, (KEY_ID, key_id))))


def with_default(call: Call, default: BucketDefault | None) -> None:
    """Let a call meet another default than its bucket has."""
    call.found_bucket = replace(call.bucket, default=default)


def change_bucket(call: Call, **change: Any) -> None:  # noqa: ANN401 - fields of a record
    """Store a bucket with other settings."""
    stored = call.world.state.buckets.get(call.bucket.name)
    if stored is not None:
        call.world.state.buckets.change(replace(stored, **change))


def key_of(record: ObjectRecord | None) -> str | None:
    """The master key of an SSE-KMS object."""
    if record is None or record.envelope is None or record.envelope.method is not Method.KMS:
        return None
    return record.envelope.key_id


def is_copy(call: Call) -> bool:
    return call.head.headers.first("x-obs-copy-source") is not None


def onto_itself(call: Call) -> bool:
    source = call.head.headers.first("x-obs-copy-source") or ""
    return source.removeprefix("/") == f"{call.bucket.name}/{call.address.key}"


def relocked(call: Call, envelope: Envelope, default: BucketDefault) -> Envelope:
    """The same data key under the master key of a bucket's default, or as it was if that cannot be had."""
    world = call.world
    try:
        _, data_key = unlock(envelope, world.keyring, call.caller, None)
        encryption = honest_decide(Occasion.COMPLETE, Wish(), default, world.keyring, call.caller)
    except ObsError:
        return envelope
    if data_key is None or encryption.key is None or encryption.key.key_id == envelope.key_id:
        return envelope
    return rewrap(encryption, data_key, world.keyring, world.dice)


# ---- what goes wrong ---------------------------------------------------------------------------------------------


def default_lives_on() -> Mapping[str, object]:
    def meet(call: Call, kept: Memory) -> None:
        if call.bucket.default is not None:
            kept["met"] = call.bucket.default
        elif "met" in kept:
            with_default(call, kept["met"])

    return sequence(Act(UPLOADS, before=meet), Act((DROP_DEFAULT,), shows=lambda call: call.bucket.default is not None))


def first_default_stays() -> Mapping[str, object]:
    def set_again(call: Call, kept: Memory) -> None:
        if call.bucket.default is not None:
            kept.setdefault("first", call.bucket.default)

    def meet(call: Call, kept: Memory) -> None:
        if call.bucket.default is not None and "first" in kept:
            with_default(call, kept["first"])

    def forget(_call: Call, kept: Memory, _response: Response) -> None:
        kept.pop("first", None)

    return sequence(
        Act((SET_DEFAULT,), before=set_again, shows=lambda call: call.bucket.default is not None),
        Act(UPLOADS, before=meet),
        Act((DROP_DEFAULT,), after=forget),
    )


def default_unset_by_named_key() -> Mapping[str, object]:
    def meet(call: Call, kept: Memory) -> None:
        default = call.bucket.default
        if default is not None and kept.get("named"):
            with_default(call, BucketDefault(default.mode))

    def note(call: Call, kept: Memory, _response: Response) -> None:
        if named(call) is not None:
            kept["named"] = True

    def forget(_call: Call, kept: Memory, _response: Response) -> None:
        kept.pop("named", None)

    return sequence(
        Act((PUT, INITIATE), before=meet, after=note, shows=lambda call: bool(call.bucket.default and named(call))),
        Act((FORM,), before=meet),
        Act((SET_DEFAULT,), after=forget),
    )


def default_waits_for_uploads() -> Mapping[str, object]:
    def uploads_open(call: Call) -> bool:
        return call.world.state.uploads.any_in(call.bucket.number)

    def set_while_open(call: Call, kept: Memory) -> None:
        if uploads_open(call):
            kept.setdefault("before", call.bucket.default)

    def meet(call: Call, kept: Memory) -> None:
        if "before" in kept and uploads_open(call):
            with_default(call, kept["before"])

    def forget(call: Call, kept: Memory, _response: Response) -> None:
        if not uploads_open(call):
            kept.pop("before", None)

    return sequence(
        Act((SET_DEFAULT,), before=set_while_open, shows=uploads_open),
        Act(UPLOADS, before=meet),
        Act((COMPLETE, ABORT), after=forget),
    )


def default_goes_with_objects() -> Mapping[str, object]:
    def emptied(call: Call, _kept: Memory, _response: Response) -> None:
        if not call.world.state.objects.any_in(call.bucket.number):
            change_bucket(call, default=None)

    return sequence(Act((DELETE,), after=emptied, shows=lambda call: call.bucket.default is not None))


def policy_write_loses_default() -> Mapping[str, object]:
    def written(call: Call, _kept: Memory, _response: Response) -> None:
        change_bucket(call, default=None)

    return sequence(Act((SET_POLICY,), after=written, shows=lambda call: call.bucket.default is not None))


def default_removal_lifts_policy() -> Mapping[str, object]:
    def removed(call: Call, _kept: Memory, _response: Response) -> None:
        change_bucket(call, policy=None, policy_text=b"")

    return sequence(Act((DROP_DEFAULT,), after=removed, shows=lambda call: call.bucket.policy is not None))


def policy_refuses_once_more() -> Mapping[str, object]:
    def removal(call: Call, kept: Memory) -> None:
        if call.bucket.policy is not None:
            kept["old"] = call.bucket

    def upload(call: Call, kept: Memory) -> None:
        old = kept.pop("old", None)
        if old is None or call.bucket.policy is not None:
            return
        now, call.found_bucket = call.bucket, replace(call.bucket, policy=old.policy, policy_text=old.policy_text)
        facts = facts_of_request(call.head, call.query, call.world.now())
        call.world.seams.authorize(call, call.operation.action, facts)
        call.found_bucket = now

    return sequence(
        Act((DROP_POLICY,), before=removal, shows=lambda call: call.bucket.policy is not None),
        Act((PUT, INITIATE), before=upload),
    )


def overwriting_evades_policy(call: Call, action: str, facts: Mapping[str, str]) -> None:
    now = call.bucket
    if action == "PutObject" and now.policy is not None and call.existing() is not None:
        call.found_bucket = replace(now, policy=None)
    try:
        honest_authorize(call, action, facts)
    finally:
        call.found_bucket = now


def overwriting_keeps_key(*, copies: bool) -> Mapping[str, object]:
    def old_key(call: Call) -> str | None:
        return key_of(call.existing()) if nameless(call) and is_copy(call) is copies else None

    def upload(call: Call, _kept: Memory) -> None:
        key = old_key(call)
        if key is not None:
            naming(call, key)

    return sequence(Act((PUT,), before=upload, shows=lambda call: old_key(call) is not None))


def key_outlives_object() -> Mapping[str, object]:
    def deletion(call: Call, kept: Memory) -> None:
        key = key_of(call.existing())
        if key is not None:
            kept[call.address.key] = key

    def upload(call: Call, kept: Memory) -> None:
        key = kept.pop(call.address.key, None)
        if key is not None and nameless(call):
            naming(call, key)

    return sequence(
        Act((DELETE,), before=deletion, shows=lambda call: key_of(call.existing()) is not None),
        Act((PUT,), before=upload),
    )


def copied_key_is_next() -> Mapping[str, object]:
    def upload(call: Call, kept: Memory) -> None:
        key = kept.pop("copied", None)
        if key is not None and nameless(call) and not is_copy(call):
            naming(call, key)

    def note(call: Call, kept: Memory, _response: Response) -> None:
        if is_copy(call) and named(call) is not None:
            kept["copied"] = named(call)

    return sequence(
        Act((PUT,), before=upload, after=note, shows=lambda call: is_copy(call) and named(call) is not None)
    )


def second_copy_onto_itself() -> Mapping[str, object]:
    def copy(call: Call, kept: Memory) -> None:
        if onto_itself(call) and ("itself", call.address.key) in kept:
            pairs = tuple(pair for pair in call.head.headers.pairs if pair[0].lower() != KEY_ID)
            call.head = replace(call.head, headers=Headers(pairs))

    def note(call: Call, kept: Memory, _response: Response) -> None:
        kept.pop(("itself", call.address.key), None)
        if onto_itself(call):
            kept["itself", call.address.key] = True

    return sequence(Act((PUT,), before=copy, after=note, shows=onto_itself))


def parts_meet_default_late(call: Call, record: ObjectRecord) -> ObjectRecord:
    upload = _upload_of(call)
    default = call.bucket.default
    if upload is None or record.envelope is None or default is None or _MODE_SAID in dict(upload.said):
        return record
    return replace(record, envelope=relocked(call, record.envelope, default))


def default_overrules_parts(call: Call, record: ObjectRecord) -> ObjectRecord:
    upload = _upload_of(call)
    default = call.bucket.default
    if upload is None or key_of(record) is None or record.envelope is None or default is None:
        return record
    return (
        replace(record, envelope=relocked(call, record.envelope, default))
        if _MODE_SAID in dict(upload.said)
        else record
    )


def completion_keeps_key(call: Call, record: ObjectRecord) -> ObjectRecord:
    key = key_of(call.existing()) if _upload_of(call) is not None else None
    if key is None or record.envelope is None or key_of(record) is None:
        return record
    return replace(record, envelope=relocked(call, record.envelope, BucketDefault(Method.KMS, key)))


def _upload_of(call: Call) -> Any:  # noqa: ANN401 - an upload's record, or None outside completions
    if call.operation.name != ROUTES[COMPLETE].name:
        return None
    return call.world.state.uploads.get(call.bucket.number, call.address.key, call.query.first("uploadId") or "")


def old_ranges() -> Mapping[str, object]:
    def answered(call: Call, kept: Memory, response: Response) -> Response | None:
        asked = call.head.headers.first("range")
        if asked is None or response.status != _PARTIAL:
            return None
        body = response.content()
        old: bytes = kept.setdefault((call.address.key, asked), body)
        return with_body(response, old if len(old) == len(body) else body)

    return sequence(Act((GET,), after=answered, shows=lambda call: call.head.headers.first("range") is not None))


def deletion_aborts_uploads() -> Mapping[str, object]:
    def own_uploads(call: Call) -> list[str]:
        page = call.world.state.uploads.page(call.bucket.number, prefix=call.address.key, after=("", ""), limit=1000)
        return [upload.upload_id for upload in page if upload.key == call.address.key]

    def deleted(call: Call, _kept: Memory, _response: Response) -> None:
        for upload_id in own_uploads(call):
            call.world.state.uploads.abort(upload_id)

    return sequence(Act((DELETE,), after=deleted, shows=lambda call: bool(own_uploads(call))))


def upload_holds_object() -> Mapping[str, object]:
    def holds(call: Call) -> bool:
        page = call.world.state.uploads.page(call.bucket.number, prefix=call.address.key, after=("", ""), limit=1000)
        return any(upload.key == call.address.key for upload in page)

    def run(call: Call) -> Outcome:
        return Response(204) if holds(call) else ROUTES[DELETE].run(call)

    run.applies = holds  # type: ignore[attr-defined]  # for `watch`
    return {"routes": MappingProxyType({**ROUTES, DELETE: replace(ROUTES[DELETE], run=run)})}


_PARTIAL = 206
_CACHE = "as caches do that are not told of changes"
_LOST_UPDATE = "as settings do that are read, changed and written back as one record"

STATEFUL = (
    Defect(
        "removed-default-lives-on",
        "A default that an upload has met stays in force after its removal.",
        ("OBS0064-S04",),
        _CACHE,
        default_lives_on(),
    ),
    Defect(
        "first-default-stays",
        "Uploads follow the first default of a bucket although it was replaced.",
        ("OBS0062-S05",),
        _CACHE,
        first_default_stays(),
    ),
    Defect(
        "named-key-unsets-default-key",
        "Once an upload has named a key, the bucket's default forgets its own.",
        ("SSEKMS-S11",),
        SLIP,
        default_unset_by_named_key(),
    ),
    Defect(
        "default-waits-for-uploads",
        "A default set while an upload in parts is under way counts only when that is over.",
        ("SSEKMS-S11",),
        _CACHE,
        default_waits_for_uploads(),
    ),
    Defect(
        "default-goes-with-last-object",
        "When the last object of a bucket is deleted, its default encryption goes too.",
        ("SSEKMS-S11",),
        SLIP,
        default_goes_with_objects(),
    ),
    Defect(
        "policy-write-loses-default",
        "Setting a policy removes the bucket's default encryption.",
        ("SSEKMS-S11",),
        _LOST_UPDATE,
        policy_write_loses_default(),
    ),
    Defect(
        "default-removal-lifts-policy",
        "Removing the default encryption removes the bucket's policy.",
        ("SSEKMS-S34",),
        _LOST_UPDATE,
        default_removal_lifts_policy(),
    ),
    Defect(
        "removed-policy-refuses-once-more",
        "The first upload after the removal of a policy is still judged by it.",
        ("OBS0029-S01",),
        _CACHE,
        policy_refuses_once_more(),
    ),
    Defect(
        "overwriting-evades-policy",
        "The policy is asked for new objects only; overwriting needs no mode.",
        ("SSEKMS-S34",),
        SLIP,
        {"authorize": overwriting_evades_policy},
    ),
    Defect(
        "overwriting-keeps-key",
        "An upload that names no key keeps the key of the object it replaces.",
        ("SSEKMS-S18", "SSEKMS-R3"),
        SLIP,
        overwriting_keeps_key(copies=False),
    ),
    Defect(
        "copying-over-keeps-key",
        "A copy that names no key keeps the key of the object it replaces.",
        ("SSEKMS-S18", "SSEKMS-R3"),
        SLIP,
        overwriting_keeps_key(copies=True),
    ),
    Defect(
        "key-outlives-its-object",
        "An upload under a deleted object's name takes over that object's key.",
        ("SSEKMS-S18", "SSEKMS-R3"),
        _CACHE,
        key_outlives_object(),
    ),
    Defect(
        "copied-key-is-next",
        "The key that a copy named is used by the next upload that names none.",
        ("SSEKMS-S18", "SSEKMS-R3"),
        "as settings do that one request leaves behind for the next",
        copied_key_is_next(),
    ),
    Defect(
        "second-copy-onto-itself-loses-key",
        "A second copy of an object onto itself does not see the key it names.",
        ("SSEKMS-S56", "SSEKMS-S60"),
        SLIP,
        second_copy_onto_itself(),
    ),
    Defect(
        "parts-meet-default-late",
        "An upload in parts takes the key of the default in force when it is completed.",
        ("OBS0099-S01",),
        SLIP,
        {"keep": parts_meet_default_late},
    ),
    Defect(
        "default-overrules-parts",
        "A default in force at the completion replaces the key that the initiation named.",
        ("SSEKMS-S12", "OBS0099-S01"),
        SLIP,
        {"keep": default_overrules_parts},
    ),
    Defect(
        "completion-keeps-key",
        "The completion of an upload in parts keeps the key of the object it replaces.",
        ("OBS0080-S05", "OBS0099-S01"),
        SLIP,
        {"keep": completion_keeps_key},
    ),
    Defect(
        "old-ranges",
        "A range that was read once is answered with the old bytes after the object was overwritten.",
        ("SSEKMS-R7", "OBS0083-S01"),
        _CACHE,
        old_ranges(),
    ),
    Defect(
        "deletion-aborts-uploads",
        "Deleting an object cancels the uploads in parts under way for its name.",
        ("OBS0102-S01",),
        SLIP,
        deletion_aborts_uploads(),
    ),
    Defect(
        "upload-holds-object",
        "An object cannot be deleted while an upload in parts is under way for its name, and nobody is told.",
        ("SSEKMS-S35",),
        SLIP,
        upload_holds_object(),
    ),
)
