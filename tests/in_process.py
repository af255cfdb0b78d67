"""The campaign over a reference server without a socket: the whole library in well under a second."""

import hashlib
import itertools
import time
import tomllib

from conformance.campaign import Campaign, make_plan
from conformance.casefile import load_library
from conformance.journal import Journal
from conformance.vocabulary import Exchange, Identity, Response, Target
from conformance.world import World
from reference_server.provision import provision, target_file
from reference_server.service import HONEST, Service
from reference_server.state.store import State
from reference_server.wire import Request as ServerRequest

LIBRARY = load_library()


class ServiceTransport:
    """Exchanges with ``Service.respond``."""

    def __init__(self, service):
        self.service = service

    def exchange(self, request):
        line, *lines = request.head[:-4].decode().split("\r\n")
        method, target, _ = line.split(" ")
        pairs = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        body = _unchunked(request.body) if ("Transfer-Encoding", "chunked") in pairs else request.body
        answer = self.service.respond(ServerRequest.of(method, target, pairs, body))
        head = f"HTTP/1.1 {answer.status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
        content = answer.content()
        response = Response(answer.status, "", tuple(answer.headers), content)
        return Exchange(request, head.encode() + b"\r\n", content, response, "answered", 0.0)

    def close(self):
        pass


def _unchunked(body):
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        whole += rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]
    return whole


def dice():
    """Deterministic bytes that do not repeat within a test."""
    counter = itertools.count()

    def draw(size):
        return hashlib.shake_128(str(next(counter)).encode()).digest(size)

    return draw


class Rig:
    """A state with the bundled accounts and keys, over which servers of any seams can be stood."""

    def __init__(self, now):
        self._dice, self._now = dice(), now
        self.state = State.in_memory(self._dice)
        honest = self.serve(HONEST)
        made = provision(honest.world)
        data = tomllib.loads(target_file(honest.world, made, "http://127.0.0.1:1"))
        self.target = Target(
            name="in process",
            endpoint=data["endpoint"],
            identities={name: Identity(**value) for name, value in data["identities"].items()},
            keys=data["keys"],
            region=data["region"],
        )

    def serve(self, seams):
        return Service.over(self.state, now=self._now, dice=self._dice, seams=seams)


class SwitchingTransport:
    """Plays through one server while a case is being driven and administers through another otherwise."""

    def __init__(self, honest, played):
        self._honest, self._played, self.playing = ServiceTransport(honest), ServiceTransport(played), False

    def exchange(self, request):
        return (self._played if self.playing else self._honest).exchange(request)

    def close(self):
        pass


def run(seams=HONEST, *, cases=None, folder, select=(), administer=HONEST, seed=1):
    """Play the profile's cases against a server of these seams; returns the campaign and its results."""
    rig = Rig(time.time)
    plan = make_plan(LIBRARY, "sse-kms-2024-01", select)
    if cases is not None:
        plan = type(plan)(plan.profile, plan.requirements, tuple(cases(plan.cases)))
    journal = Journal(folder / "journal.jsonl", "in process")
    transport = SwitchingTransport(rig.serve(administer), rig.serve(seams))
    campaign = SwitchingCampaign(plan, LIBRARY, rig.target, transport, World.from_seed(seed), journal)
    campaign.prepare()
    results = list(campaign.run(1))
    cleaned = campaign.clean_up()
    journal.close()
    return campaign, results, cleaned


class SwitchingCampaign(Campaign):
    """Tells its transport when a case is being driven."""

    def _drive(self, case, bucket):
        self._transport.playing = True
        try:
            return super()._drive(case, bucket)
        finally:
            self._transport.playing = False
