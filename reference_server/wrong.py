"""What a wrong server does instead: each function here takes the place of an honest one at a seam.

A function that makes such replacements gives a mapping of seams. This module does not know the names of defects nor
the clauses they break (that is `defects`), and nothing in the honest server knows this module.
"""

# ruff: noqa: D102, D103 - the name says what goes wrong, and the registry says it in a sentence

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from reference_server import signature
from reference_server.access import authorize as honest_authorize
from reference_server.encryption import (
    KEY_ID,
    MODE,
    PLAIN,
    BucketDefault,
    CustomerKey,
    Encryption,
    Envelope,
    Method,
    Occasion,
    Wish,
)
from reference_server.encryption import decide as honest_decide
from reference_server.encryption import response_fields as honest_fields
from reference_server.encryption import unlock as honest_unlock
from reference_server.encryption import wish_of_request as honest_wish
from reference_server.errors import ObsError
from reference_server.forms import check_form as honest_form
from reference_server.identities import ANONYMOUS, Caller, Dice, Directory
from reference_server.keyring import KeyReference, Keyring, KeyState, MasterKey, parse_key_reference
from reference_server.operations.multipart import choose_parts as honest_choice
from reference_server.operations.objects import byte_range as honest_range
from reference_server.policy import Policy, Question, Statement, Verdict
from reference_server.policy import evaluate as honest_evaluate
from reference_server.routes import ROUTES
from reference_server.service import HONEST, refuse
from reference_server.wire import Address, Head, Headers, Pairs, Query, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from reference_server.state.records import ObjectRecord, PartRecord
    from reference_server.world import Call, Outcome, Receiver, RouteKey


_Function = TypeVar("_Function", bound="Callable[..., Any]")


def touches_state(function: _Function) -> _Function:
    """Mark a replacement that changes what is stored, so that nobody asks it only to compare (`watch`)."""
    function.touches_state = True  # type: ignore[attr-defined]  # a mark of ours on a function
    return function


# ---- answers -----------------------------------------------------------------------------------------------------


def fields(change: Callable[[Occasion, Pairs], Pairs]) -> Mapping[str, object]:
    return {"response_fields": lambda occasion, encryption: change(occasion, honest_fields(occasion, encryption))}


def without(name: str, occasions: Iterable[Occasion] = tuple(Occasion)) -> Mapping[str, object]:
    silent = frozenset(occasions)
    return fields(lambda occasion, pairs: tuple(pair for pair in pairs if occasion not in silent or pair[0] != name))


def rewritten(name: str, change: Callable[[str], str]) -> Mapping[str, object]:
    return fields(lambda _, pairs: tuple((key, change(value) if key == name else value) for key, value in pairs))


def finished(change: Callable[[Call | None, Response], Response]) -> Mapping[str, object]:
    return {"finish": change}


def header(name: str, change: Callable[[str], str | None]) -> Mapping[str, object]:
    """Change or drop one header of every answer."""

    def finish(_: Call | None, response: Response) -> Response:
        changed = [(key, change(value) if key == name else value) for key, value in response.headers]
        return replace(response, headers=tuple((key, value) for key, value in changed if value is not None))

    return finished(finish)


def region_dropped(long_name: str) -> str:
    return long_name.partition(":")[2]


def bare(long_name: str) -> str:
    return long_name.rpartition("key/")[2]


def copy_only(change: Callable[[Response], Response]) -> Mapping[str, object]:
    def finish(call: Call | None, response: Response) -> Response:
        copies = call is not None and call.head.headers.first("x-obs-copy-source") is not None
        return change(response) if copies and response.status == 200 else response  # noqa: PLR2004 - the status 200

    return finished(finish)


def constant_identifiers(_dice: Dice, _now: float) -> tuple[str, str]:
    return "8DF400000163D45AA81D038B6AE4C482", "32AAAUJAIAABAAAQAAEAABAAAQAAEAABCTv7cHmAnGfBAGXUHeibUsiETTNqlCqC"


def created(call: Call | None, response: Response) -> Response:
    stored = call is not None and call.operation.name == "PutObject" and response.status == 200  # noqa: PLR2004
    return replace(response, status=201) if stored else response


def refuse_all(call: Call | None, response: Response) -> Response:
    if call is None or not 200 <= response.status < 300:  # noqa: PLR2004 - the successful class
        return response
    common = tuple(pair for pair in response.headers if pair[0] in {"Server", "x-obs-request-id", "x-obs-id-2", "Date"})
    refused = refuse(call.head.method, ObsError("AccessDenied"), b"<Error><Code>AccessDenied</Code></Error>")
    length = () if call.head.method == "HEAD" else (("Content-Length", str(len(refused.content()))),)
    return Response(refused.status, (*common, *refused.headers, *length), refused.body)


def accept_all(_: Call | None, response: Response) -> Response:
    kept = tuple(pair for pair in response.headers if pair[0] != "Content-Length")
    return Response(200, (*kept, ("Content-Length", "0")), b"")


# ---- the decision ------------------------------------------------------------------------------------------------


def decides(
    change: Callable[[Occasion, Wish, BucketDefault | None, Keyring, Caller], Encryption],
) -> Mapping[str, object]:
    return {"decide": change}


def forgets(forgotten: Occasion) -> Mapping[str, object]:
    def decide(
        occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
    ) -> Encryption:
        return PLAIN if occasion is forgotten else honest_decide(occasion, wish, default, keyring, caller)

    return decides(decide)


def ignores_key(
    occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
) -> Encryption:
    return honest_decide(occasion, replace(wish, key=None), default, keyring, caller)


class FreshDefault(Keyring):
    """Makes a new default key for every upload."""

    def default_for(self, caller: Caller) -> MasterKey:
        return self.create(caller)


def other_key(
    occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
) -> Encryption:
    decided = honest_decide(occasion, wish, default, keyring, caller)
    own = [key for key in keyring.keys() if key.domain_id == caller.domain_id and key.in_default_project]  # noqa: SIM118 - no dict
    others = [key for key in own if decided.key is not None and key.key_id != decided.key.key_id]
    return replace(decided, key=others[0]) if others else decided


def echoes_but_stores_plain() -> Mapping[str, object]:
    return {"lock": lambda _encryption, _keyring, _dice: None}


def query_ignored() -> Mapping[str, object]:
    return {"wish_of_request": lambda headers, _query: HONEST.wish_of_request(headers, Query())}


def default_as(change: Callable[[Occasion, BucketDefault | None], BucketDefault | None]) -> Mapping[str, object]:
    """Uploads see another default than the bucket's."""

    def decide(
        occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
    ) -> Encryption:
        return honest_decide(occasion, wish, change(occasion, default), keyring, caller)

    return decides(decide)


def not_inherited(forgotten: Occasion) -> Mapping[str, object]:
    return default_as(lambda occasion, default: None if occasion is forgotten else default)


def default_wins(
    occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
) -> Encryption:
    return honest_decide(occasion, wish if default is None else Wish(), default, keyring, caller)


def unknown_key_replaced(
    occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
) -> Encryption:
    try:
        return honest_decide(occasion, wish, default, keyring, caller)
    except ObsError as error:
        if error.code != "KMS.NotFoundException":
            raise
        return honest_decide(occasion, replace(wish, key=None, project_id=""), default, keyring, caller)


def _as_owner_of(key: MasterKey | None, caller: Caller) -> Caller:
    return caller if key is None else replace(caller, domain_id=key.domain_id, user_id=key.owner_id)


def upload_under_any_key(
    occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
) -> Encryption:
    named = wish.key
    if wish.silent and default is not None and default.key_text:
        named = parse_key_reference(default.key_text)
    key = None if named is None else keyring.find(named)
    return honest_decide(occasion, wish, default, keyring, _as_owner_of(key, caller))


def unlock_as_owner(
    envelope: Envelope | None, keyring: Keyring, caller: Caller, customer: CustomerKey | None
) -> tuple[Encryption, bytes | None]:
    key = None if envelope is None else keyring.get(envelope.key_id)
    return honest_unlock(envelope, keyring, _as_owner_of(key, caller), customer)


def unlock_with_deleted_key(
    envelope: Envelope | None, keyring: Keyring, caller: Caller, customer: CustomerKey | None
) -> tuple[Encryption, bytes | None]:
    key = None if envelope is None else keyring.get(envelope.key_id)
    if envelope is None or key is None or key.state is not KeyState.DELETED:
        return honest_unlock(envelope, keyring, caller, customer)
    keyring.permit(replace(key, state=KeyState.ENABLED), caller)
    return Encryption(Method.KMS, key), keyring.unwrap(key, envelope.wrapped)


class DisabledKeysToo(Keyring):
    """Uses keys that are disabled."""

    def permit(self, key: MasterKey, caller: Caller) -> None:
        super().permit(replace(key, state=KeyState.ENABLED) if key.state is KeyState.DISABLED else key, caller)


class ScheduledKeysToo(Keyring):
    """Uses keys that are scheduled for deletion."""

    def permit(self, key: MasterKey, caller: Caller) -> None:
        super().permit(replace(key, state=KeyState.ENABLED) if key.state is KeyState.SCHEDULED else key, caller)


class BareIdsOnly(Keyring):
    """Knows keys by their bare ids only."""

    def find(self, reference: KeyReference) -> MasterKey:
        if reference.region is not None:
            raise ObsError("InvalidArgument")
        return super().find(reference)


class LongIdsOnly(Keyring):
    """Knows keys by their long names only."""

    def find(self, reference: KeyReference) -> MasterKey:
        if reference.region is None:
            raise ObsError("InvalidArgument")
        return super().find(reference)


class AnyRegion(Keyring):
    """Does not look at the region of a long key name."""

    def find(self, reference: KeyReference) -> MasterKey:
        return super().find(replace(reference, region=None))


class AnyDomain(Keyring):
    """Does not look at the account in a long key name."""

    def find(self, reference: KeyReference) -> MasterKey:
        return super().find(replace(reference, domain_id=None))


def key_in_query_ignored(headers: Headers, query: Query) -> Wish:
    return honest_wish(headers, Query(tuple(pair for pair in query.pairs if pair[0] != KEY_ID)))


def unknown_mode_ignored(headers: Headers, query: Query) -> Wish:
    known = all(mode in (Method.KMS, Method.OBS) for mode in headers.every(MODE))
    return honest_wish(headers, query) if known else Wish()


def mode_in_any_case(headers: Headers, query: Query) -> Wish:
    def plain(name: str, value: str) -> str:
        return "kms" if name.lower() == MODE and value.lower() == "kms" else value

    return honest_wish(Headers(tuple((name, plain(name, value)) for name, value in headers.pairs)), query)


def headers_ignored_in_urls(headers: Headers, query: Query) -> Wish:
    return honest_wish(Headers(()) if "Signature" in query else headers, query)


# ---- the bucket's configuration ----------------------------------------------------------------------------------


def routed(key: RouteKey, run: Callable[[Call], Outcome]) -> Mapping[str, object]:
    """One operation does something else."""
    return {"routes": MappingProxyType({**ROUTES, key: replace(ROUTES[key], run=run)})}


@dataclass(frozen=True, slots=True)
class _Tolerant:
    """A receiver that calls every refusal a success."""

    inner: Receiver
    status: int

    def feed(self, data: bytes) -> None:
        self.inner.feed(data)

    def finish(self) -> Response | Iterator[Response | None]:
        try:
            return self.inner.finish()
        except ObsError:
            return Response(self.status)

    def abort(self) -> None:
        self.inner.abort()


def tolerated(key: RouteKey, status: int) -> Mapping[str, object]:
    def run(call: Call) -> Outcome:
        outcome = ROUTES[key].run(call)
        return outcome if isinstance(outcome, Response) else _Tolerant(outcome, status)

    return routed(key, run)


def claims_default_for_old_objects(call: Call | None, response: Response) -> Response:
    reads = call is not None and call.operation.name in ("GetObject", "HeadObject") and response.status < 300  # noqa: PLR2004
    default = call.found_bucket.default if reads and call is not None and call.found_bucket is not None else None
    if default is None or response.first(MODE) is not None:
        return response
    return replace(response, headers=(*response.headers, (MODE, default.mode.value)))


def initiate_echoes_only(call: Call | None, response: Response) -> Response:
    begins = call is not None and call.operation.name == "InitiateMultipartUpload"
    if not begins or call is None or call.head.headers.first(MODE) is not None:
        return response
    return replace(response, headers=tuple(pair for pair in response.headers if pair[0] not in (MODE, KEY_ID)))


def answers_when_absent(key: RouteKey, code: str, response: Response) -> Mapping[str, object]:
    """What is not there is answered as if it were."""

    def run(call: Call) -> Outcome:
        try:
            return ROUTES[key].run(call)
        except ObsError as error:
            if error.code != code:
                raise
            return response

    return routed(key, run)


def answered_with(name: str, status: int) -> Mapping[str, object]:
    """A success of one operation gets another status."""

    def finish(call: Call | None, response: Response) -> Response:
        if call is None or call.operation.name != name or response.status >= 400:  # noqa: PLR2004 - refusals stay
            return response
        framed = response.first("content-length") is not None or status == 204  # noqa: PLR2004 - has no length
        length = () if framed else (("Content-Length", "0"),)
        return replace(response, status=status, headers=(*response.headers, *length))

    return finished(finish)


def with_request_header(key: RouteKey, name: str, value: str | None) -> Mapping[str, object]:
    """One operation sees another header than was sent, or none."""

    def run(call: Call) -> Outcome:
        kept = tuple(pair for pair in call.head.headers.pairs if pair[0].lower() != name)
        if value is not None:
            kept = (*kept, (name, value))
        call.head = replace(call.head, headers=Headers(kept))
        return ROUTES[key].run(call)

    run.applies = lambda call: call.head.headers.first(name) != value  # type: ignore[attr-defined]  # for `watch`
    return routed(key, run)


@touches_state
def moves(call: Call | None, response: Response) -> Response:
    if call is not None and is_copy(call) and response.status == 200:  # noqa: PLR2004 - the status 200
        bucket_name, _, key = (call.head.headers.first("x-obs-copy-source") or "").lstrip("/").partition("/")
        bucket = call.world.state.buckets.get(bucket_name)
        if bucket is not None and key != call.address.key:
            call.world.state.objects.delete(bucket.number, key)
    return response


@touches_state
def refusal_deletes(call: Call | None, response: Response) -> Response:
    refused = call is not None and call.operation.name == "PutObject" and response.status >= 400  # noqa: PLR2004
    if refused and call is not None and call.found_bucket is not None:
        call.world.state.objects.delete(call.found_bucket.number, call.address.key)
    return response


# ---- parts and forms ---------------------------------------------------------------------------------------------


def in_any_order(wanted: Sequence[tuple[int, str]], parts: Sequence[PartRecord]) -> Sequence[PartRecord]:
    return honest_choice(sorted(wanted), parts)


def whatever_etag(wanted: Sequence[tuple[int, str]], parts: Sequence[PartRecord]) -> Sequence[PartRecord]:
    known = {part.number: part.etag for part in parts}
    return honest_choice([(number, known[number]) for number, _ in wanted if number in known], parts)


def of_any_size(wanted: Sequence[tuple[int, str]], parts: Sequence[PartRecord]) -> Sequence[PartRecord]:
    sizes = {part.number: part.size for part in parts}
    chosen = honest_choice(wanted, [replace(part, size=max(part.size, 5 * 1024**3)) for part in parts])
    return [replace(part, size=sizes[part.number]) for part in chosen]


def as_they_arrived(wanted: Sequence[tuple[int, str]], parts: Sequence[PartRecord]) -> Sequence[PartRecord]:
    return sorted(honest_choice(wanted, parts), key=lambda part: part.modified)


def count_left_out(_: Call, record: ObjectRecord) -> ObjectRecord:
    return replace(record, etag=record.etag.partition("-")[0])


def uncovered_fields_pass(policy: bytes, fields: Headers, bucket: str, now: float) -> tuple[int, int] | None:
    named = base64.b64decode(policy).lower().decode()
    return honest_form(policy, Headers(tuple(pair for pair in fields.pairs if pair[0].lower() in named)), bucket, now)


def form_never_expires(policy: bytes, fields: Headers, bucket: str, _now: float) -> tuple[int, int] | None:
    return honest_form(policy, fields, bucket, 0.0)


# ---- who may -----------------------------------------------------------------------------------------------------


def without_policy(forgotten: Callable[[Call], bool]) -> Mapping[str, object]:
    """Some calls are judged as if the bucket had no policy."""

    def authorize(call: Call, action: str, facts: Mapping[str, str]) -> None:
        bucket = call.bucket
        if forgotten(call):
            call.found_bucket = replace(bucket, policy=None)
        try:
            honest_authorize(call, action, facts)
        finally:
            call.found_bucket = bucket

    return {"authorize": authorize}


def is_copy(call: Call) -> bool:
    return call.head.headers.first("x-obs-copy-source") is not None


def absent_passes(policy: Policy, question: Question) -> Verdict:
    def met(statement_facts: Iterable[str]) -> bool:
        return all(fact in question.facts for fact in statement_facts)

    kept = tuple(entry for entry in policy.statements if met(condition.fact for condition in entry.conditions))
    return honest_evaluate(Policy(kept), question)


def reads_as_uploads(policy: Policy, question: Question) -> Verdict:
    reads = question.action in ("GetObject", "DeleteObject")
    return honest_evaluate(policy, replace(question, action="PutObject") if reads else question)


def inverted(policy: Policy, question: Question) -> Verdict:
    def turned(statement: Statement) -> Statement:
        conditions = tuple(replace(condition, negated=not condition.negated) for condition in statement.conditions)
        return replace(statement, conditions=conditions)

    return honest_evaluate(Policy(tuple(turned(entry) for entry in policy.statements)), question)


def absence_meets_all(policy: Policy, question: Question) -> Verdict:
    def without(statement: Statement) -> Statement:
        conditions = tuple(condition for condition in statement.conditions if condition.fact in question.facts)
        return replace(statement, conditions=conditions)

    return honest_evaluate(Policy(tuple(without(entry) for entry in policy.statements)), question)


def whole_bucket(policy: Policy, question: Question) -> Verdict:
    wide = tuple(replace(entry, resources=("*",), not_resources=False) for entry in policy.statements)
    return honest_evaluate(Policy(wide), question)


def allow_outweighs(policy: Policy, question: Question) -> Verdict:
    allowing = Policy(tuple(entry for entry in policy.statements if entry.allows))
    allowed = honest_evaluate(allowing, question) is Verdict.ALLOW
    return Verdict.ALLOW if allowed else honest_evaluate(policy, question)


def grants_nothing(policy: Policy, question: Question) -> Verdict:
    verdict = honest_evaluate(policy, question)
    return Verdict.NOTHING if verdict is Verdict.ALLOW else verdict


def configured_by_anybody(call: Call, action: str, facts: Mapping[str, str]) -> None:
    if not action.endswith(("EncryptionConfiguration", "BucketPolicy")):
        honest_authorize(call, action, facts)


def authorize_as_if_plain(call: Call, action: str, facts: Mapping[str, str]) -> None:
    record = call.existing() if action == "GetObject" else None
    if record is not None:
        call.found_object = replace(record, envelope=None)
    try:
        honest_authorize(call, action, facts)
    finally:
        call.found_object = record or call.found_object


def any_form_signature(access_key: str, _policy: str, _signature: str, directory: Directory) -> Caller:
    return signature.known_identity(access_key, directory).caller


# ---- who is calling ----------------------------------------------------------------------------------------------


def trusting(head: Head, _address: Address, query: Query, directory: Directory, _now: float) -> Caller:
    claim = signature.claim_of(head, query)
    identity = directory.find(claim.access_key)
    return ANONYMOUS if identity is None else identity.caller


def headers_trusted(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    authorization = head.headers.first("authorization") or ""
    identity = directory.find(authorization.removeprefix("OBS ").partition(":")[0])
    return identity.caller if identity else signature.authenticate(head, address, query, directory, now)


def dated_urls(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    if "Signature" in query:
        signature.check_skew(head.headers, now)
    return signature.authenticate(head, address, query, directory, now)


def no_urls(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    if "Signature" in query:
        raise ObsError("AccessDenied")
    return signature.authenticate(head, address, query, directory, now)


def no_expiry(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    return signature.authenticate(head, address, query, directory, 0.0 if "Signature" in query else now)


def a_week_at_most(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    expires = query.first("Expires") or ""
    if expires.isdigit() and int(expires) > now + 7 * 24 * 3600:
        raise ObsError("AccessDenied")
    return signature.authenticate(head, address, query, directory, now)


def altered_urls(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    claim = signature.claim_of(head, query)
    if claim.kind != "url":
        return signature.authenticate(head, address, query, directory, now)
    signature.check_expiry(claim.expires, now)
    return signature.known_identity(claim.access_key, directory).caller


def parameters_unsigned(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    if "Signature" in query:
        query = Query(tuple(pair for pair in query.pairs if not pair[0].lower().startswith(signature.HEADER_PREFIX)))
    return signature.authenticate(head, address, query, directory, now)


# ---- bytes -------------------------------------------------------------------------------------------------------


def first_byte_flipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    first = next(pieces, b"")
    yield bytes((first[0] ^ 1,)) + first[1:] if first else first
    yield from pieces


def last_byte_left_out(text: str, size: int) -> tuple[int, int] | None:
    found = honest_range(text, size)
    return None if found is None else (found[0], max(found[1] - 1, found[0] + 1))
