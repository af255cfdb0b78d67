"""What operations work with: the world they stand in, the call they answer, and the seams at which servers differ.

A seam is a function that could be written wrongly in a few lines; a planted defect is the same world with one seam
replaced. This module does not know what any operation does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from reference_server.errors import ObsError
from reference_server.identities import ANONYMOUS, Caller, Dice, Directory
from reference_server.wire import Address, Head, Headers, Pairs, Query, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from reference_server.encryption import (
        BucketDefault,
        CustomerKey,
        Encryption,
        Envelope,
        Occasion,
        Wish,
    )
    from reference_server.keyring import Keyring
    from reference_server.policy import Policy, Question, Verdict
    from reference_server.state.records import BucketRecord, ObjectRecord, PartRecord
    from reference_server.state.store import State


class Receiver(Protocol):
    """An operation that wants the request's body."""

    def feed(self, data: bytes) -> None:
        """More of the body; an ObsError ends the exchange."""

    def finish(self) -> Response | Iterator[Response | None]:
        """The answer; or, where it takes long, an iterator that gives None until it gives the answer."""

    def abort(self) -> None:
        """The body will not be complete: leave no trace."""


Outcome = Response | Receiver


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its name in logs, the action a policy must allow, and the function that does it.

    `anonymous` operations are answered before anybody asks who is calling; `checks_itself` ones ask for permission
    themselves, because what they need to ask is in the body or concerns more than the bucket.
    """

    name: str
    action: str
    run: Callable[[Call], Outcome]
    needs_bucket: bool = True
    anonymous: bool = False
    checks_itself: bool = False


RouteKey = tuple[str, str, str]
"""Method, kind of resource (`service`, `bucket`, `object`), sub-resource (empty for none)."""


@dataclass(frozen=True, slots=True)
class Seams:
    """The replaceable decisions."""

    routes: Mapping[RouteKey, Operation]
    keyring: type[Keyring]
    authenticate: Callable[[Head, Address, Query, Directory, float], Caller]
    verify_form: Callable[[str, str, str, Directory], Caller]
    check_form: Callable[[bytes, Headers, str, float], tuple[int, int] | None]
    authorize: Callable[[Call, str, Mapping[str, str]], None]
    evaluate: Callable[[Policy, Question], Verdict]
    wish_of_request: Callable[[Headers, Query], Wish]
    wish_of_form: Callable[[Headers], Wish]
    decide: Callable[[Occasion, Wish, BucketDefault | None, Keyring, Caller], Encryption]
    lock: Callable[[Encryption, Keyring, Dice], tuple[bytes, Envelope] | None]
    unlock: Callable[[Envelope | None, Keyring, Caller, CustomerKey | None], tuple[Encryption, bytes | None]]
    recall: Callable[[Envelope | None, Keyring, CustomerKey | None], Encryption]
    response_fields: Callable[[Occasion, Encryption], Pairs]
    etag: Callable[[bytes, bytes | None], str]
    keep: Callable[[Call, ObjectRecord], ObjectRecord]
    choose_parts: Callable[[Sequence[tuple[int, str]], Sequence[PartRecord]], Sequence[PartRecord]]
    byte_range: Callable[[str, int], tuple[int, int] | None]
    outgoing: Callable[[Iterator[bytes]], Iterator[bytes]]
    refuse: Callable[[str, ObsError, bytes], Response]
    finish: Callable[[Call | None, Response], Response]
    frame: Callable[[Response], Response]
    identifiers: Callable[[Dice, float], tuple[str, str]]


@dataclass(frozen=True, slots=True)
class World:
    """Everything an operation may touch; the clock and the dice come in here and nowhere else."""

    state: State
    keyring: Keyring
    directory: Directory
    region: str
    hosts: tuple[str, ...]
    now: Callable[[], float]
    dice: Dice
    seams: Seams
    require_https: bool = False


@dataclass(slots=True)
class Call:
    """One request on its way through the server, with what has been found out about it so far."""

    world: World
    head: Head
    address: Address
    query: Query
    operation: Operation
    request_id: str
    host_id: str
    caller: Caller = ANONYMOUS
    found_bucket: BucketRecord | None = None
    found_object: ObjectRecord | None = None
    looked_for_object: bool = False

    @property
    def signature_reading(self) -> str:
        """How the caller signed, and which reading of the rules made it right; empty for nobody."""
        return self.caller.reading

    @property
    def bucket(self) -> BucketRecord:
        """The bucket the call addresses."""
        if self.found_bucket is None:
            raise ObsError("NoSuchBucket")
        return self.found_bucket

    def existing(self) -> ObjectRecord | None:
        """The object the call addresses, looked up once, or None."""
        if not self.looked_for_object:
            self.found_object = self.world.state.objects.get(self.bucket.number, self.address.key)
            self.looked_for_object = True
        return self.found_object

    def target(self) -> ObjectRecord:
        """The object the call addresses, which must exist."""
        record = self.existing()
        if record is None:
            raise ObsError("NoSuchKey")
        return record
