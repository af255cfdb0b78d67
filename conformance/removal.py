"""What requests may create, written down before they leave, and its removal: one place for campaign, doctor and probes.

A journal is all it goes by: what does not stand there is not touched. Single deletes only. Does not know who created
what or why, nor how a request is signed and sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import starmap
from typing import TYPE_CHECKING, Protocol

from conformance.judge import parse_xml
from conformance.workers import side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from conformance.journal import Journal, Kind
    from conformance.vocabulary import Exchange, Request

    Entry = tuple[Kind, str, str]

_WRITES = frozenset({"PUT", "POST"})
_GONE = frozenset({200, 204, 404})
_LISTED = frozenset({200, 404, 405, 501})
"""A listing of uploads, or the word that there is none; any other answer tells nothing of what is open."""
_STUMBLES = 500
_GIVES_UP = 3
"""Requests without any answer, one after the other, before the rest is left to ``sweep``."""


class Ask(Protocol):
    """Sends a request as the owner: method, bucket, object or None, query."""

    def __call__(self, method: str, bucket: str, name: str | None = None, query: tuple[str, ...] = ()) -> Exchange:
        """What came of it."""


@dataclass(frozen=True, slots=True)
class CleanUp:
    """How many resources the run created and removed, and what it could not remove."""

    created: int
    removed: int
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A resource that was not removed, and what came of trying; None where nothing is tried any more."""

    kind: Kind
    bucket: str
    name: str
    exchange: Exchange | None

    @property
    def stumbled(self) -> bool:
        """Whether the server failed, rather than said no."""
        answer = None if self.exchange is None else self.exchange.response
        return answer is not None and answer.status >= _STUMBLES


def write_down(journal: Journal, request: Request) -> None:
    """Journal what a request into a bucket of ours may create in it; call it before the request leaves."""
    if request.method in _WRITES and request.object is not None:
        kinds: tuple[Kind, ...] = ("upload", "object") if _initiates(request) else ("object",)
        for kind in kinds:
            journal.will_create(kind, request.bucket, request.object)


def _initiates(request: Request) -> bool:
    """Whether a request begins a multipart upload, however it is signed."""
    query = request.head.split(b" ", 2)[1].partition(b"?")[2]
    return any(part.partition(b"=")[0] == b"uploads" for part in query.split(b"&"))


def tally(journal: Journal) -> CleanUp:
    """What a journal says of clean-up: a key in it was not created, its state is what may be left."""
    standing = tuple(journal.standing())
    kept = sum(kind != "key" for kind, _, _ in standing)
    return CleanUp(journal.created, journal.created - kept, tuple(starmap(_called, standing)))


def _called(kind: Kind, bucket: str, name: str) -> str:
    """How a resource that is left is called."""
    if kind == "key":
        return f"the state of key {name}"
    return f"{bucket}/{name}" if name else bucket


def _no_key(_: str) -> bool:
    return False


class Remover:
    """Removes what stands in a journal; ``restored`` makes a key usable again and tells whether it is."""

    def __init__(self, journal: Journal, ask: Ask, restored: Callable[[str], bool] = _no_key) -> None:
        self._journal, self._asks, self._restored = journal, ask, restored
        self._unanswered = 0

    @property
    def gave_up(self) -> bool:
        """Whether nothing is tried any more because nothing is answered."""
        return self._unanswered >= _GIVES_UP

    def remove(self, bucket: str, jobs: int = 1, *, policy: bool = True) -> Refused | None:
        """Remove a bucket of ours and what the journal says is in it; the first thing that was not removed.

        :param policy: a policy may stand in the way, and goes first.
        """
        if policy:
            self._ask("DELETE", bucket, query=("policy",))
        inside = (entry for entry in self._journal.standing(bucket) if entry[0] != "bucket")
        refused = self._note(side_by_side(self._removed, inside, jobs))
        # s3rver, for one, fails where two objects of one folder go at a time: what failed is asked for again, alone.
        again = [(one.kind, one.bucket, one.name) for one in refused if one.stumbled]
        refused = [one for one in refused if not one.stumbled] + self._note(map(self._removed, again))
        if self._journal.owns_bucket(bucket):
            refused += self._note([self._removed(("bucket", bucket, ""))])
        return refused[0] if refused else None

    def _note(self, done: Iterable[tuple[Entry, Refused | None]]) -> list[Refused]:
        """Journal what is removed; the rest."""
        refused = []
        for entry, why in done:
            if why is None:
                self._journal.removed(*entry)
            else:
                refused.append(why)
        return refused

    def _removed(self, entry: Entry) -> tuple[Entry, Refused | None]:
        """Put a key back, or remove an upload, an object or a bucket."""
        kind, bucket, name = entry
        if self.gave_up:
            return entry, Refused(kind, bucket, name, None)
        if kind == "key":
            return entry, None if self._restored(name) else Refused(kind, bucket, name, None)
        failed = self._abort_uploads(bucket, name) if kind == "upload" else self._delete(bucket, name or None)
        return entry, None if failed is None else Refused(kind, bucket, name, failed)

    def _delete(self, bucket: str, name: str | None, query: tuple[str, ...] = ()) -> Exchange | None:
        """The exchange if it did not remove anything."""
        exchange = self._ask("DELETE", bucket, name, query)
        return None if exchange.response is not None and exchange.response.status in _GONE else exchange

    def _abort_uploads(self, bucket: str, name: str) -> Exchange | None:
        """Abort the uploads of one object that are still open; a server without the listing has nothing to abort."""
        listing = self._ask("GET", bucket, query=("uploads", f"prefix={name}"))
        if listing.response is None or listing.response.status not in _LISTED:
            return listing
        ids = upload_ids(listing.response.body, name)
        failed = [self._delete(bucket, name, (f"uploadId={id_}",)) for id_ in ids]
        return next((exchange for exchange in failed if exchange is not None), None)

    def _ask(self, method: str, bucket: str, name: str | None = None, query: tuple[str, ...] = ()) -> Exchange:
        exchange = self._asks(method, bucket, name, query)
        self._unanswered = self._unanswered + 1 if exchange.response is None else 0
        return exchange


def upload_ids(document: bytes, name: str) -> tuple[str, ...]:
    """The ids of an object's open uploads in a ListMultipartUploadsResult (obs_04_0097)."""
    root = parse_xml(document)
    if root is None:
        return ()
    uploads = (
        {child.tag.rpartition("}")[2]: child.text or "" for child in element}
        for element in root
        if element.tag.rpartition("}")[2] == "Upload"
    )
    return tuple(upload["UploadId"] for upload in uploads if upload.get("Key") == name and "UploadId" in upload)
