"""What a server does instead that misreads the rest of an exchange: who signed, when, on what condition, what is kept.

As `wrong`, whose tools it uses: each function takes the place of an honest one at a seam, or makes a mapping of
replaced seams. Knows neither the names of defects nor the clauses they break.
"""

# ruff: noqa: D102, D103 - the name says what goes wrong, and the registry says it in a sentence

from __future__ import annotations

import hashlib
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from reference_server import signature
from reference_server.dates import parse_http_date
from reference_server.encryption import KEY_ID, MODE, Encryption, Method, Occasion, Wish
from reference_server.encryption import decide as honest_decide
from reference_server.encryption import response_fields as honest_fields
from reference_server.encryption import wish_of_form as honest_form_wish
from reference_server.encryption import wish_of_request as honest_wish
from reference_server.errors import ObsError
from reference_server.keyring import Keyring, KeyState, MasterKey
from reference_server.operations.objects import byte_range as honest_range
from reference_server.policy import Policy, Question, Verdict
from reference_server.policy import evaluate as honest_evaluate
from reference_server.routes import ROUTES
from reference_server.service import refuse as honest_refuse
from reference_server.wire import Address, Head, Headers, Pairs, Query, Response
from reference_server.wrong import finished, is_copy, touches_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from reference_server.encryption import BucketDefault
    from reference_server.identities import Caller, Directory
    from reference_server.world import Call, Outcome, Receiver, RouteKey

PUT: RouteKey = ("PUT", "object", "")
GET: RouteKey = ("GET", "object", "")
HEAD: RouteKey = ("HEAD", "object", "")
PART: RouteKey = ("PUT", "object", "uploadId")
_OK = 200

# ---- tools -------------------------------------------------------------------------------------------------------


def rerouted(
    change: Callable[[Callable[[Call], Outcome], Call], Outcome],
    *keys: RouteKey,
    applies: Callable[[Call], bool] = lambda _: True,
) -> Mapping[str, object]:
    """Some operations are run by a function that is given the honest one; calls to which it does not apply as ever."""

    def wrapped(honest: Callable[[Call], Outcome]) -> Callable[[Call], Outcome]:
        def run(call: Call) -> Outcome:
            return change(honest, call) if applies(call) else honest(call)

        run.applies = applies  # type: ignore[attr-defined]  # for `watch`
        return run

    changed = {key: replace(ROUTES[key], run=wrapped(ROUTES[key].run)) for key in keys}
    return {"routes": MappingProxyType({**ROUTES, **changed})}


def refused_when(condition: Callable[[Call], bool], code: str, *keys: RouteKey) -> Mapping[str, object]:
    """What the documents allow is refused."""

    def run(_honest: Callable[[Call], Outcome], _call: Call) -> Outcome:
        raise ObsError(code)

    return rerouted(run, *keys, applies=condition)


def blind_to(names: tuple[str, ...], *keys: RouteKey) -> Mapping[str, object]:
    """Some operations do not see some headers; they are signed all the same."""

    def run(honest: Callable[[Call], Outcome], call: Call) -> Outcome:
        kept = tuple(pair for pair in call.head.headers.pairs if pair[0].lower() not in names)
        call.head = replace(call.head, headers=Headers(kept))
        return honest(call)

    return rerouted(run, *keys, applies=lambda call: any(call.head.headers.every(name) for name in names))


class Relay:
    """A receiver that passes everything on; the wrong ones change one thing."""

    def __init__(self, inner: Receiver) -> None:
        self.inner = inner

    def feed(self, data: bytes) -> None:
        self.inner.feed(data)

    def finish(self) -> Response | Iterator[Response | None]:
        return self.inner.finish()

    def abort(self) -> None:
        self.inner.abort()


class Sink:
    """A receiver that takes a body, does nothing with it, and answers."""

    def __init__(self, response: Response) -> None:
        self.response = response

    def feed(self, data: bytes) -> None:
        del data

    def finish(self) -> Response:
        return self.response

    def abort(self) -> None:
        """There is nothing to forget."""


def nothing_done(
    condition: Callable[[Call], bool], response: Callable[[Call], Response], *keys: RouteKey
) -> Mapping[str, object]:
    """A success is claimed and nothing is done."""
    return rerouted(lambda _, call: Sink(response(call)), *keys, applies=condition)


def let_pass(codes: tuple[str, ...], response: Response, *keys: RouteKey) -> Mapping[str, object]:
    """Refusals with these codes become a success."""

    class Tolerant(Relay):
        def finish(self) -> Response | Iterator[Response | None]:
            try:
                return self.inner.finish()
            except ObsError as error:
                if error.code not in codes:
                    raise
                return response

    def run(honest: Callable[[Call], Outcome], call: Call) -> Outcome:
        try:
            outcome = honest(call)
        except ObsError as error:
            if error.code not in codes:
                raise
            return Sink(response)
        return outcome if isinstance(outcome, Response) else Tolerant(outcome)

    return rerouted(run, *keys)


def answer_of(name: str, change: Callable[[Call, Response], Response]) -> Mapping[str, object]:
    """The successful answers of one operation are changed."""

    def finish(call: Call | None, response: Response) -> Response:
        if call is None or call.operation.name != name or response.status >= 400:  # noqa: PLR2004 - refusals stay
            return response
        return change(call, response)

    return finished(finish)


def with_body(response: Response, body: bytes) -> Response:
    """Another body, with its length."""
    headers = tuple((name, str(len(body)) if name == "Content-Length" else value) for name, value in response.headers)
    return replace(response, headers=headers, body=body)


def body_of(name: str, old: bytes, new: bytes) -> Mapping[str, object]:
    """A text in the documents of one operation is another one."""
    return answer_of(name, lambda _, response: with_body(response, response.content().replace(old, new)))


def without_element(name: str, *elements: str) -> Mapping[str, object]:
    """The documents of one operation lack elements."""

    def change(_: Call, response: Response) -> Response:
        body = response.content()
        for element in elements:
            before, found, rest = body.partition(f"<{element}>".encode())
            body = before + rest.partition(f"</{element}>".encode())[2] if found else body
        return with_body(response, body)

    return answer_of(name, change)


def recoded(codes: tuple[str, ...], code: str) -> Mapping[str, object]:
    """A refusal is made with another code and status than the documented ones."""

    def refuse(method: str, error: ObsError, body: bytes) -> Response:
        if error.code not in codes:
            return honest_refuse(method, error, body)
        return honest_refuse(method, ObsError(code), body.replace(error.code.encode(), code.encode()))

    return {"refuse": refuse}


# ---- who is calling, and when ------------------------------------------------------------------------------------


def the_owner(directory: Directory) -> Caller:
    return next(identity.caller for identity in directory if identity.caller.administrator)


def _signed_whenever(head: Head, address: Address, query: Query, directory: Directory) -> Caller:
    claim = signature.claim_of(head, query)
    identity = signature.known_identity(claim.access_key, directory)
    signature.check_signature(head, address, query, claim, identity)
    return identity.caller


def _date(head: Head) -> float | None:
    text = head.headers.first(signature.DATE) or head.headers.first("date")
    return None if text is None else parse_http_date(text)


def any_time(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    if signature.claim_of(head, query).kind == "header" and _date(head) is not None:
        return _signed_whenever(head, address, query, directory)
    return signature.authenticate(head, address, query, directory, now)


def date_not_needed(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    if signature.claim_of(head, query).kind == "header" and _date(head) is None:
        return _signed_whenever(head, address, query, directory)
    return signature.authenticate(head, address, query, directory, now)


def iso_dates_only(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    if signature.claim_of(head, query).kind == "header" and head.headers.first("date"):
        raise ObsError("AccessDenied")
    return signature.authenticate(head, address, query, directory, now)


def vendor_date_unknown(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    kept = tuple(pair for pair in head.headers.pairs if pair[0].lower() != signature.DATE)
    return signature.authenticate(replace(head, headers=Headers(kept)), address, query, directory, now)


def names_as_spelled(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    caller = signature.authenticate(head, address, query, directory, now)
    vendor = [name for name, _ in head.headers.pairs if name.lower().startswith(signature.HEADER_PREFIX)]
    if not caller.anonymous and any(name != name.lower() for name in vendor):
        raise ObsError("SignatureDoesNotMatch")
    return caller


def order_as_sent(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    caller = signature.authenticate(head, address, query, directory, now)
    vendor = [name.lower() for name, _ in head.headers.pairs if name.lower().startswith(signature.HEADER_PREFIX)]
    if not caller.anonymous and vendor != sorted(vendor):
        raise ObsError("SignatureDoesNotMatch")
    return caller


def expecting_refused(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    if head.headers.first("expect") is not None:
        raise ObsError("InvalidRequest")
    return signature.authenticate(head, address, query, directory, now)


def unknown_keys_are_the_owners(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    claim = signature.claim_of(head, query)
    if claim.kind != "anonymous" and directory.find(claim.access_key) is None:
        return the_owner(directory)
    return signature.authenticate(head, address, query, directory, now)


def nobody_is_the_owner(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    caller = signature.authenticate(head, address, query, directory, now)
    return the_owner(directory) if caller.anonymous else caller


def urls_are_the_owners(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    caller = signature.authenticate(head, address, query, directory, now)
    return the_owner(directory) if "Signature" in query else caller


def two_of_three_will_do(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    present = [name for name in ("AccessKeyId", "Signature", "Expires") if name in query]
    if len(present) != 2:  # noqa: PLR2004 - of three
        return signature.authenticate(head, address, query, directory, now)
    identity = directory.find(query.first("AccessKeyId") or "")
    return the_owner(directory) if identity is None else identity.caller


def overrides_unsigned(head: Head, address: Address, query: Query, directory: Directory, now: float) -> Caller:
    try:
        return signature.authenticate(head, address, query, directory, now)
    except ObsError as error:
        if error.code != "SignatureDoesNotMatch" or "Signature" not in query:
            raise
        kept = Query(tuple(pair for pair in query.pairs if not pair[0].startswith("response-")))
        return signature.authenticate(head, address, kept, directory, now)


def forms_are_the_owners(access_key: str, policy: str, given: str, directory: Directory) -> Caller:
    signature.verify_form(access_key, policy, given, directory)
    return the_owner(directory)


_SIGNERS_OF_FORMS = (b'name="AccessKeyId"', b'name="AWSAccessKeyId"', b'name="x-amz-credential"')
"""The fields that name who signed a form, in either dialect and version."""


def unsigned_forms_are_the_owners() -> Mapping[str, object]:
    def run(honest: Callable[[Call], Outcome], call: Call) -> Outcome:
        outcome = honest(call)
        return outcome if isinstance(outcome, Response) else Unsigned(outcome, call)

    class Unsigned(Relay):
        def __init__(self, inner: Receiver, call: Call) -> None:
            super().__init__(inner)
            self.call = call

        def feed(self, data: bytes) -> None:
            if not any(name in data for name in _SIGNERS_OF_FORMS):
                self.call.caller = the_owner(self.call.world.directory)
            self.inner.feed(data)

    return rerouted(run, ("POST", "bucket", ""))


# ---- the decision ------------------------------------------------------------------------------------------------


def no_default_key(
    occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
) -> Encryption:
    decided = honest_decide(occasion, wish, default, keyring, caller)
    if wish.mode is Method.KMS and wish.key is None:
        raise ObsError("KMS.NotFoundException")
    return decided


def broken_without_key(
    occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
) -> Encryption:
    if wish.mode is Method.KMS and wish.key is None:
        raise ObsError("InternalError")
    return honest_decide(occasion, wish, default, keyring, caller)


def default_key_not_by_id(
    occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
) -> Encryption:
    decided = honest_decide(occasion, wish, default, keyring, caller)
    if wish.key is not None and decided.key is not None and decided.key.is_default:
        raise ObsError("AccessDenied")
    return decided


def long_form_means_default(
    occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
) -> Encryption:
    kept = replace(wish, key=None) if wish.key is not None and wish.key.region is not None else wish
    return honest_decide(occasion, kept, default, keyring, caller)


def mode_header_unknown(
    occasion: Occasion, wish: Wish, default: BucketDefault | None, keyring: Keyring, caller: Caller
) -> Encryption:
    kept = Wish() if occasion is Occasion.PUT and wish.mode is Method.KMS else wish
    return honest_decide(occasion, kept, default, keyring, caller)


def unreadable_key_means_default(headers: Headers, query: Query) -> Wish:
    try:
        return honest_wish(headers, query)
    except ObsError:
        if headers.first(MODE) != "kms":
            raise
        return honest_wish(Headers(tuple(pair for pair in headers.pairs if pair[0].lower() != KEY_ID)), query)


def form_key_ignored(fields: Headers) -> Wish:
    return replace(honest_form_wish(fields), key=None)


class DeletedKeysToo(Keyring):
    """Uses keys that have been deleted."""

    def permit(self, key: MasterKey, caller: Caller) -> None:
        super().permit(replace(key, state=KeyState.ENABLED) if key.state is KeyState.DELETED else key, caller)


class KeysOfAnybody(Keyring):
    """Does not ask whose key it is."""

    def permit(self, key: MasterKey, caller: Caller) -> None:
        super().permit(key, replace(caller, domain_id=key.domain_id, user_id=key.owner_id))


def fields_by_key(change: Callable[[Occasion, MasterKey, Pairs], Pairs]) -> Mapping[str, object]:
    """What an answer says about an object depends on its key."""

    def said(occasion: Occasion, encryption: Encryption) -> Pairs:
        honest = honest_fields(occasion, encryption)
        return honest if encryption.key is None else change(occasion, encryption.key, honest)

    return {"response_fields": said}


def mode_of_default_key_only(occasion: Occasion, key: MasterKey, pairs: Pairs) -> Pairs:
    del occasion
    return pairs if key.is_default else tuple(pair for pair in pairs if pair[0] != MODE)


def other_region(_occasion: Occasion, key: MasterKey, pairs: Pairs) -> Pairs:
    wrong = f"elsewhere:{key.long_name.partition(':')[2]}"
    return tuple((name, wrong if name == KEY_ID else value) for name, value in pairs)


def domain_of_the_bucket(call: Call, response: Response) -> Response:
    domain = hashlib.sha256(call.address.bucket.encode()).hexdigest()[:32]

    def told(name: str, value: str) -> str:
        region, _, rest = value.partition(":")
        return f"{region}:{domain}:{rest.partition(':')[2]}" if name == KEY_ID else value

    return replace(response, headers=tuple((name, told(name, value)) for name, value in response.headers))


def other_key_told_by(occasion: Occasion) -> Mapping[str, object]:
    """One operation names a key that is not the object's."""

    def change(here: Occasion, key: MasterKey, pairs: Pairs) -> Pairs:
        turned = key.long_name[:-12] + key.long_name[-12:][::-1]
        return tuple((name, turned if name == KEY_ID and here is occasion else value) for name, value in pairs)

    return fields_by_key(change)


def bare_key_in_url_answers(call: Call | None, response: Response) -> Response:
    if call is None or "Signature" not in call.query or call.operation.name != "PutObject":
        return response
    headers = tuple((name, value.rpartition("/")[2] if name == KEY_ID else value) for name, value in response.headers)
    return replace(response, headers=headers)


# ---- objects -----------------------------------------------------------------------------------------------------


def overwriting(call: Call) -> bool:
    return not is_copy(call) and call.existing() is not None


def as_it_was(call: Call) -> Response:
    record = call.target()
    world = call.world
    told = honest_fields(Occasion.PUT, world.seams.recall(record.envelope, world.keyring, None))
    return Response(_OK, (("ETag", f'"{record.etag}"'), *told))


def onto_itself(call: Call) -> bool:
    source = (call.head.headers.first("x-obs-copy-source") or "").lstrip("/")
    return source == f"{call.address.bucket}/{call.address.key}"


def self_copy_makes_plain(honest: Callable[[Call], Outcome], call: Call) -> Outcome:
    try:
        return honest(call)
    except ObsError:
        call.world.state.objects.change(call.bucket.number, replace(call.target(), envelope=None))
        return Sink(Response(_OK, (("Content-Type", "application/xml"),), b"<CopyObjectResult/>"))


@touches_state
def copy_undone(call: Call | None, response: Response) -> Response:
    if call is not None and is_copy(call) and call.operation.name == "PutObject" and response.status == _OK:
        call.world.state.objects.delete(call.bucket.number, call.address.key)
    return response


@touches_state
def initiation_deletes(call: Call | None, response: Response) -> Response:
    if call is not None and call.operation.name == "InitiateMultipartUpload" and response.status == _OK:
        call.world.state.objects.delete(call.bucket.number, call.address.key)
    return response


def from_encrypted(call: Call) -> bool:
    bucket_name, _, key = (call.head.headers.first("x-obs-copy-source") or "").lstrip("/").partition("/")
    bucket = call.world.state.buckets.get(bucket_name) if is_copy(call) else None
    record = None if bucket is None else call.world.state.objects.get(bucket.number, key)
    return record is not None and record.envelope is not None


def encrypted_and_unsaid(call: Call) -> bool:
    record = call.existing()
    return record is not None and record.envelope is not None and call.head.headers.first(MODE) is None


def in_chunks(call: Call) -> bool:
    return call.head.headers.first("transfer-encoding") is not None


def framing_kept(honest: Callable[[Call], Outcome], call: Call) -> Outcome:
    outcome = honest(call)
    return outcome if isinstance(outcome, Response) else _Framed(outcome)


class _Framed(Relay):
    """Stores the chunk framing with the body."""

    def feed(self, data: bytes) -> None:
        self.inner.feed(b"%x\r\n%b\r\n" % (len(data), data))

    def finish(self) -> Response | Iterator[Response | None]:
        self.inner.feed(b"0\r\n\r\n")
        return self.inner.finish()


class _Digesting(Relay):
    """Tells the MD5 of a body as its ETag."""

    def __init__(self, inner: Receiver) -> None:
        super().__init__(inner)
        self.digest = hashlib.md5(usedforsecurity=False)

    def feed(self, data: bytes) -> None:
        self.digest.update(data)
        self.inner.feed(data)

    def finish(self) -> Response | Iterator[Response | None]:
        response = self.inner.finish()
        if not isinstance(response, Response):
            return response
        etag = f'"{self.digest.hexdigest()}"'
        return replace(
            response, headers=tuple((name, etag if name == "ETag" else value) for name, value in response.headers)
        )


def md5_as_etag(honest: Callable[[Call], Outcome], call: Call) -> Outcome:
    outcome = honest(call)
    return outcome if isinstance(outcome, Response) else _Digesting(outcome)


def turned_etag(_: Call, response: Response) -> Response:
    turned = tuple((key, f'"{value[-2:0:-1]}"' if key == "ETag" else value) for key, value in response.headers)
    return replace(response, headers=turned)


def longer_by_a_tag(call: Call, response: Response) -> Response:
    if response.first(MODE) is None or call.operation.name != "HeadObject":
        return response
    headers = tuple(
        (name, str(int(value) + 16) if name == "Content-Length" else value) for name, value in response.headers
    )
    return replace(response, headers=headers)


def beyond_the_end_refused(text: str, size: int) -> tuple[int, int] | None:
    last = text.strip().rpartition("-")[2]
    if last.isdigit() and int(last) >= size and not text.strip().startswith("bytes=-"):
        raise ObsError("InvalidRange")
    return honest_range(text, size)


def behind_the_end_ignored(text: str, size: int) -> tuple[int, int] | None:
    try:
        return honest_range(text, size)
    except ObsError:
        return None


def suffix_from_the_front(text: str, size: int) -> tuple[int, int] | None:
    stripped = text.strip()
    if stripped.startswith("bytes=-") and stripped[7:].isdigit():
        return 0, min(int(stripped[7:]), size)
    return honest_range(text, size)


def condition_unnamed(method: str, error: ObsError, body: bytes) -> Response:
    before, found, rest = body.partition(b"<Condition>")
    return honest_refuse(method, error, before + rest.partition(b"</Condition>")[2] if found else body)


def refusal_without_document(method: str, error: ObsError, body: bytes) -> Response:
    del body
    return replace(honest_refuse(method, error, b""), headers=())


# ---- the bucket's configuration ----------------------------------------------------------------------------------


class _Reading(Relay):
    """Refuses a configuration in whose text something stands."""

    def __init__(self, inner: Receiver, unwanted: tuple[bytes, ...], code: str) -> None:
        super().__init__(inner)
        self.unwanted, self.code, self.text = unwanted, code, b""

    def feed(self, data: bytes) -> None:
        self.text += data
        self.inner.feed(data)

    def finish(self) -> Response | Iterator[Response | None]:
        if any(piece in self.text for piece in self.unwanted):
            raise ObsError(self.code)
        return self.inner.finish()


def refused_text(key: RouteKey, code: str, *unwanted: bytes) -> Mapping[str, object]:
    """A configuration with a text that the documents allow is refused."""

    def run(honest: Callable[[Call], Outcome], call: Call) -> Outcome:
        outcome = honest(call)
        return outcome if isinstance(outcome, Response) else _Reading(outcome, unwanted, code)

    return rerouted(run, key)


def default_of_any_bucket(honest: Callable[[Call], Outcome], call: Call) -> Outcome:
    if call.bucket.default is None:
        others = call.world.state.buckets.all_of(call.bucket.domain_id)
        found = next((bucket.default for bucket in others if bucket.default is not None), None)
        call.found_bucket = replace(call.bucket, default=found)
    return honest(call)


def policy_of_any_bucket(call: Call, action: str, facts: Mapping[str, str]) -> None:
    from reference_server.access import authorize

    authorize(call, action, facts)
    for bucket in call.world.state.buckets.all_of(call.bucket.domain_id):
        resource = f"{bucket.name}/{call.address.key}"
        question = Question(call.caller, action, resource, facts)
        if bucket.policy is not None and honest_evaluate(bucket.policy, question) is Verdict.DENY:
            raise ObsError("AccessDenied")


def not_denied_is_allowed(policy: Policy, question: Question) -> Verdict:
    verdict = honest_evaluate(policy, question)
    return Verdict.ALLOW if verdict is Verdict.NOTHING else verdict


def only_first_statement(policy: Policy, question: Question) -> Verdict:
    return honest_evaluate(Policy(policy.statements[:1]), question)


def deletes_as_uploads(policy: Policy, question: Question) -> Verdict:
    deletes = question.action == "DeleteObject"
    return honest_evaluate(policy, replace(question, action="PutObject") if deletes else question)


# ---- parts -------------------------------------------------------------------------------------------------------


def known_part(call: Call) -> bool:
    number = call.query.first("partNumber") or ""
    upload = call.query.first("uploadId") or ""
    return any(str(part.number) == number for part in call.world.state.uploads.parts(upload))


def first_part(call: Call) -> Response:
    number, upload = call.query.first("partNumber"), call.query.first("uploadId") or ""
    etag = next(part.etag for part in call.world.state.uploads.parts(upload) if str(part.number) == number)
    return Response(_OK, (("ETag", f'"{etag}"'),))


def part_of_encrypted(call: Call) -> bool:
    upload = call.world.state.uploads.get(call.bucket.number, call.address.key, call.query.first("uploadId") or "")
    encrypted = upload is not None and upload.envelope is not None
    return encrypted and call.head.headers.first(MODE) is None and not is_copy(call)


def open_upload_as_empty(honest: Callable[[Call], Outcome], call: Call) -> Outcome:
    try:
        return honest(call)
    except ObsError as error:
        under_way = call.world.state.uploads.page(call.bucket.number, prefix=call.address.key, after=("", ""), limit=1)
        if error.code != "NoSuchKey" or not under_way:
            raise
        return Response(_OK, (("ETag", f'"{"0" * 32}"'),))
