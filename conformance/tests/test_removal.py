"""Removing what a journal holds, from literals: order, refusals, second tries, and what is never asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from conformance.journal import Journal
from conformance.removal import Remover, tally, write_down
from conformance.vocabulary import Exchange, Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUEST = Request("DELETE", b"", b"", expects_continue=False, bucket="b", object=None)
LISTING = (
    b"<R><Upload><Key>o</Key><UploadId>7</UploadId></Upload><Upload><Key>o2</Key><UploadId>8</UploadId></Upload></R>"
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.jsonl", "http://h")
    journal.will_create("bucket", "b")
    yield journal
    journal.close()


class Server:
    """Answers each request by the next status it has for it, 200 or 204 by default; 0 is no answer."""

    def __init__(self, **statuses: list[int]) -> None:
        self.asked: list[str] = []
        self._statuses = statuses

    def __call__(self, method: str, bucket: str, name: str | None = None, query: tuple[str, ...] = ()) -> Exchange:
        self.asked.append(" ".join((method, f"{bucket}/{name}" if name else bucket, *query)))
        left = self._statuses.get(name or bucket, [])
        status = left.pop(0) if left else 200 if method == "GET" else 204
        body = LISTING if query[:1] == ("uploads",) else b""
        answer = Response(status, "", (), body) if status else None
        return Exchange(REQUEST, b"", b"", answer, "answered", 0.0)


def test_uploads_go_before_objects_and_the_bucket_last(journal: Journal) -> None:
    journal.will_create("object", "b", "o")
    journal.will_create("upload", "b", "o")
    server = Server()
    assert Remover(journal, server).remove("b") is None
    assert server.asked == [
        "DELETE b policy", "GET b uploads prefix=o", "DELETE b/o uploadId=7", "DELETE b/o", "DELETE b",
    ]  # fmt: skip
    assert tally(journal).left == ()


@pytest.mark.parametrize(("status", "left"), [(500, 1), (403, 1), (400, 1), (0, 1), (404, 0), (405, 0), (501, 0)])
def test_an_upload_is_gone_only_if_the_listing_says_so_or_there_is_none(
    journal: Journal, status: int, left: int
) -> None:
    journal.will_create("upload", "b", "o")
    server = Server(b=[status] * 2)
    Remover(journal, server).remove("b", policy=False)
    assert [kind for kind, _, _ in journal.standing("b")].count("upload") == left


def test_what_a_server_failed_at_is_asked_for_again_and_what_it_refused_is_not(journal: Journal) -> None:
    for name in ("fails-once", "forbidden", "fails"):
        journal.will_create("object", "b", name)
    server = Server(**{"fails-once": [500, 404], "forbidden": [403], "fails": [500, 503], "b": [409]})
    refused = Remover(journal, server).remove("b", 2, policy=False)
    assert refused is not None
    assert (refused.kind, refused.name) == ("object", "forbidden")
    assert sorted(server.asked) == ["DELETE b"] + ["DELETE b/fails"] * 2 + ["DELETE b/fails-once"] * 2 + [
        "DELETE b/forbidden"
    ]
    assert tally(journal).left == ("b/forbidden", "b/fails", "b")


def test_a_bucket_that_does_not_stand_in_the_journal_is_not_deleted(journal: Journal) -> None:
    journal.will_create("object", "others", "o")
    server = Server()
    assert Remover(journal, server).remove("others", policy=False) is None
    assert server.asked == ["DELETE others/o"]


def test_without_answers_it_gives_up(journal: Journal) -> None:
    for number in range(9):
        journal.will_create("object", "b", f"o{number}")
    server = Server(**{f"o{number}": [0] for number in range(9)})
    remover = Remover(journal, server)
    assert remover.remove("b", policy=False) is not None
    assert remover.gave_up
    assert server.asked == ["DELETE b/o0", "DELETE b/o1", "DELETE b/o2"]
    assert len(tally(journal).left) == 10


@pytest.mark.parametrize(
    ("line", "name", "kinds"),
    [
        (b"POST /b/o?uploads HTTP/1.1", "o", ["upload", "object"]),
        (b"POST /b/o?AccessKeyId=a&uploads&Signature=s HTTP/1.1", "o", ["upload", "object"]),
        (b"POST /b/o?uploadId=7 HTTP/1.1", "o", ["object"]),
        (b"PUT /b/o HTTP/1.1", "o", ["object"]),
        (b"PUT /b?policy HTTP/1.1", None, []),
        (b"GET /b/o HTTP/1.1", "o", []),
    ],
)
def test_what_a_request_may_create_is_written_down(
    journal: Journal, line: bytes, name: str | None, kinds: list[str]
) -> None:
    method = line.split(b" ")[0].decode()
    write_down(journal, replace(REQUEST, method=method, head=line + b"\r\nHost: h\r\n\r\n", object=name))
    assert [(kind, of) for kind, _, of in journal.standing("b")][:-1] == [(kind, name) for kind in kinds]
