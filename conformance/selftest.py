"""The library played against the bundled server in process, without a socket.

Part of the composition root beside ``cli.py``: it sees the engine and the reference server.
Does not decide what a defect is or what a case means.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.campaign import Campaign, Plan, make_plan
from conformance.dialectfile import OWN, load_dialect
from conformance.journal import Journal
from conformance.vocabulary import Exchange, Identity, KeyService, Response, Target
from conformance.world import World
from reference_server.admin_api import AdminService
from reference_server.provision import provision
from reference_server.service import HONEST, Service
from reference_server.state.store import State
from reference_server.target_file import target_file
from reference_server.wire import Request as ServerRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conformance.casefile import Library
    from conformance.removal import CleanUp
    from conformance.vocabulary import CaseResult, Request
    from reference_server.world import Seams

SEED = 1
"""Names are drawn from it; nothing in a verdict depends on them."""


class ServiceTransport:
    """Exchanges with a reference server that has no socket."""

    def __init__(self, service: Service, reads: Callable[[bytes], bytes] = lambda head: head) -> None:
        """``reads`` is what becomes of the bytes of a request's head before the server parses them."""
        self._service, self._reads = service, reads
        self._keys = AdminService(service.world, os.urandom(32).hex(), on_bug=service.report)

    def exchange(self, request: Request) -> Exchange:
        """Answer a request. Interim answers belong to sockets and do not occur here."""
        line, *lines = self._reads(request.head)[:-4].decode().split("\r\n")
        method, target, _ = line.split(" ")
        pairs = tuple((name, value.strip()) for name, _, value in (text.partition(":") for text in lines))
        chunked = any(name.lower() == "transfer-encoding" for name, _ in pairs)
        body = unchunked(request.body) if chunked else request.body
        asked = ServerRequest.of(method, target, pairs, body)
        if request.service == "kms":
            answer = self._keys.respond(asked.head, asked.body)
        else:
            answer = self._service.respond(asked)
        head = f"HTTP/1.1 {answer.status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
        content = answer.content()
        framed = any(name.lower() == "transfer-encoding" for name, _ in answer.headers)
        body = unchunked(content) if framed else content
        response = Response(answer.status, answer.reason, tuple(answer.headers), body)
        return Exchange(request, f"{head}\r\n".encode(), content, response, "answered", 0.0)

    def close(self) -> None:
        """There is nothing to close."""


def unchunked(body: bytes) -> bytes:
    """The content of a body in the chunked coding we wrote ourselves."""
    pieces = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        pieces.append(rest[: int(size, 16)])
        body = rest[int(size, 16) + 2 :]
    return b"".join(pieces)


class Rig:
    """A state with the bundled accounts and keys, over which servers of any seams can be stood.

    ``bugs`` is what they threw that was no refusal: a wrong server is wrong, it does not crash.
    """

    def __init__(
        self, dice: Callable[[int], bytes] = os.urandom, now: Callable[[], float] = time.time, dialect: str = OWN
    ) -> None:
        self._now, self._dice = now, dice
        self._state = State.in_memory(dice)
        self.bugs: list[BaseException] = []
        honest = self.serve(HONEST)
        made = provision(honest.world)
        data = tomllib.loads(target_file(honest.world, made, "http://127.0.0.1:1", kms_endpoint="http://127.0.0.1:2"))
        spoken = load_dialect(dialect)
        self.target = Target(
            name="in process",
            endpoint=data["endpoint"],
            identities={name: Identity(**value) for name, value in data["identities"].items()},
            keys=data["keys"],
            region=data["region"],
            kms=KeyService(**data["kms"]),
            dialect=dialect,
            spoken=spoken,
            profile=data["profile"] if spoken is None else spoken.profile,
        )

    def lay_bare(self, name: str) -> None:
        """Take policy and default encryption from a bucket, so that nothing of a case outlives it but its objects."""
        bucket = self._state.buckets.get(name)
        if bucket is not None:
            self._state.buckets.change(replace(bucket, policy=None, policy_text=b"", default=None))

    def serve(self, seams: Seams) -> Service:
        """A server over the common state."""
        return Service.over(self._state, now=self._now, dice=self._dice, seams=seams, on_bug=self.bugs.append)

    def forget(self, bucket: str) -> None:
        """Take a bucket and all that is in it out of the state."""
        record, state = self._state.buckets.get(bucket), self._state
        if record is None:
            return
        for upload in state.uploads.page(record.number, prefix="", after=("", ""), limit=-1):
            state.uploads.abort(upload.upload_id)
        for entry in state.objects.page(record.number, prefix="", marker="", delimiter="", limit=1000).objects:
            state.objects.delete(record.number, entry.key)
        state.buckets.delete(record)


def play_in_process(
    library: Library,
    seams: Seams,
    *,
    select: Sequence[str] = (),
    order: Callable[[Plan], Plan] | None = None,
    dialect: str = OWN,
) -> tuple[Campaign, tuple[CaseResult, ...], CleanUp]:
    """Play the library against a server of these seams; buckets are made and removed by an honest server.

    The campaign, its results in plan order, and what clean-up left.
    """
    rig = Rig(dialect=dialect)
    plan = make_plan(library, rig.target.profile, select)
    with tempfile.TemporaryDirectory(prefix="obs-conformance-") as folder:
        journal = Journal(Path(folder) / "journal.jsonl", rig.target.endpoint)
        campaign = Campaign(
            order(plan) if order else plan,
            library,
            rig.target,
            World.from_seed(SEED),
            journal,
            transport=ServiceTransport(rig.serve(seams)),
            administration=ServiceTransport(rig.serve(HONEST)),
        )
        campaign.prepare()
        results = tuple(campaign.run(1))
        cleaned = campaign.clean_up()
        journal.close()
    return campaign, results, cleaned


class _Forgetting(Campaign):
    """A campaign over a state that ends with it: what it leaves is taken out of the state without asking a server."""

    forget: Callable[[str], None]

    def _remove(self, bucket: str, jobs: int = 1) -> None:  # noqa: ARG002 - there is no server to be quick with
        self.forget(bucket)
        for kind, _, name in self._journal.standing(bucket):
            self._journal.removed(kind, bucket, name)


@contextlib.contextmanager
def campaign_in_process(
    library: Library, seams: Seams, seed: int, reads: Callable[[bytes], bytes] = lambda head: head
) -> Iterator[Campaign]:
    """A campaign without cases of its own against a server of these seams, for whoever plays cases one by one."""
    rig = Rig()
    journal = Journal(Path(os.devnull), rig.target.endpoint)
    transport, honest = ServiceTransport(rig.serve(seams), reads), ServiceTransport(rig.serve(HONEST))
    plan = Plan(library.profiles[rig.target.profile], (), ())
    world = World.from_seed(seed)
    campaign = _Forgetting(plan, library, rig.target, world, journal, transport=transport, administration=honest)
    campaign.forget = rig.forget
    campaign.prepare()
    try:
        yield campaign
    finally:
        journal.close()
