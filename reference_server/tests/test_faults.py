"""What must not break the server: full disks, damaged directories, hostile requests. The real process, spoken to raw."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reference_server.provision import provision
from reference_server.service import Service
from reference_server.state.blobs import MemoryBlobs
from reference_server.state.bodies import StoredBody
from reference_server.state.database import Database
from reference_server.state.objects import Objects
from reference_server.state.records import ObjectRecord
from reference_server.state.store import State
from reference_server.tests.conftest import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reference_server.tests.conftest import Answer, Rig

MIB = 1024 * 1024
KMS = ("x-obs-server-side-encryption", "kms")


def code_of(answer: Any) -> str:
    found = re.search(rb"<Code>(.*?)</Code>", answer.body if hasattr(answer, "whole") else answer.content())
    return found[1].decode() if found else ""


def fingerprint(data: Path) -> dict[str, str]:
    """What a refused start must leave as it is; SQLite's own side files may come and go."""
    return {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(data.rglob("*"))
        if path.is_file() and not path.name.startswith("server.db-")
    }


def refused_start(*options: str, shell: str = "") -> str:
    """The one line of a server that does not start."""
    command = [sys.executable, "-m", "reference_server", *options]
    if shell:
        command = ["sh", "-c", f'{shell}; exec "$@"', "sh", *command]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    (line,) = ended.stderr.splitlines()
    return line.removeprefix("obs-reference-server: ")


# ---- a full disk -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def files_no_longer_than(server: Server, size: int) -> Iterator[None]:
    """No file of the server may grow beyond a size, as if the disk were full there."""
    before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    yield
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)


def test_full_disk_refuses_large_uploads_and_harms_nothing(start: Callable[..., Server], tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start("--data", str(data))
    old, new = os.urandom(900_000), os.urandom(3 * MIB)
    assert server.ask("PUT", "/bucket").status == 200
    assert server.ask("PUT", "/bucket/o", (KMS,), old).status == 200
    blobs = set(data.glob("blobs/*/*"))
    with files_no_longer_than(server, MIB):
        for target in ("/bucket/o", "/bucket/another"):
            wire = server.wire()
            wire.send(server.head("PUT", target, (KMS, ("Content-Length", str(len(new))))))
            with contextlib.suppress(ConnectionError):  # the refusal may come while we are still sending
                wire.send(new)
            answer = wire.answer()
            wire.close()
            assert (answer.status, code_of(answer)) == (503, "ServiceUnavailable")
        assert server.ask("GET", "/bucket/o").body == old
    assert set(data.glob("blobs/*/*")) == blobs
    assert server.ask("HEAD", "/bucket/another").status == 404
    assert server.ask("PUT", "/bucket/o", (KMS,), new).status == 200
    assert server.ask("GET", "/bucket/o").body == new
    code, errors = server.stop()
    assert (code, errors) == (0, "obs-reference-server: a request failed: [Errno 27] File too large\n" * 2)


def test_full_disk_refuses_small_writes_and_the_server_recovers(start: Callable[..., Server], tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = start("--data", str(data))
    assert server.ask("PUT", "/bucket").status == 200
    assert server.ask("PUT", "/bucket/o", (KMS,), b"old").status == 200
    with files_no_longer_than(server, (data / "server.db-wal").stat().st_size):
        for method, target, body in (
            ("PUT", "/bucket/o", b"new"),
            ("DELETE", "/bucket/o", b""),
            ("PUT", "/second", b""),
        ):
            answer = server.ask(method, target, (), body)
            assert (answer.status, code_of(answer)) == (503, "ServiceUnavailable")
        assert server.ask("GET", "/bucket/o").body == b"old"
    for number in range(3):
        assert server.ask("PUT", f"/bucket/{number}", (KMS,), b"new").status == 200
    assert (server.ask("GET", "/bucket/o").body, server.ask("GET", "/bucket/2").body) == (b"old", b"new")
    code, errors = server.stop()
    assert (code, errors) == (0, "obs-reference-server: a request failed: disk I/O error\n" * 3)


def test_full_disk_at_the_start_is_one_clear_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    says = refused_start("--data", str(data), shell="ulimit -f 0")
    assert says == f"The data directory {data} cannot be used: [Errno 27] File too large."
    assert State.at(data, os.urandom).close() is None  # what that start has left over is no hindrance


def test_start_on_a_nearly_full_disk_succeeds_or_is_one_clear_line(tmp_path: Path) -> None:
    """The more files may grow, the further a start comes: to its key, its tables, its accounts, its first answer."""
    outcomes = []
    for kib in (1, 8, 34, 50, 60, 70, 80, 400):
        data = tmp_path / f"data-{kib}"
        command = [sys.executable, "-m", "reference_server", "--data", str(data), "--exit-with-parent"]
        ended = subprocess.run(
            ["bash", "-c", f'ulimit -f {kib}; exec "$@"', "bash", *command],
            capture_output=True,
            text=True,
            timeout=30,
            stdin=subprocess.DEVNULL,
        )
        lines = ended.stderr.splitlines()
        assert (ended.returncode, len(lines)) in ((0, 0), (2, 1)), (kib, ended.stderr)
        outcomes.append(ended.returncode)
        again = State.at(data, os.urandom)  # with room, the same directory does
        again.close()
    assert (outcomes[0], outcomes[-1]) == (2, 0)


class Breaking:
    """A connection on which one statement fails as it does on a full disk."""

    def __init__(self, connection: sqlite3.Connection, statement: str) -> None:
        self._connection = connection
        self._statement = statement

    def execute(self, statement: str, *arguments: Any) -> Any:
        if self._statement and statement.startswith(self._statement):
            self._statement = ""
            raise sqlite3.OperationalError("database or disk is full")
        return self._connection.execute(statement, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.mark.parametrize("statement", ["INSERT OR REPLACE", "INSERT INTO blobs", "COMMIT"])
def test_transaction_that_fails_leaves_nothing_and_hinders_no_other(statement: str) -> None:
    database, dice = Database(None), random.Random(1).randbytes
    blobs = MemoryBlobs(dice)
    objects = Objects(database, blobs)

    def put() -> None:
        writer = blobs.create()
        writer.write(b"body")
        body = StoredBody(4, b"", None, None, writer.commit(), b"")
        record = ObjectRecord(key="o", size=4, etag="e", modified=0.0, domain_id="d", owner_id="u")
        objects.put(1, record, (body,))

    database.connection = Breaking(database.connection, statement)  # type: ignore[assignment]
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        put()
    assert (objects.get(1, "o"), blobs._shelf) == (None, {})
    put()
    assert objects.get(1, "o") is not None
    assert len(blobs._shelf) == 1


def test_real_full_database_is_refused_and_recovers(rig: Rig) -> None:
    sql = rig.state._database.connection
    assert rig.ask("PUT", "/bucket/o", (KMS,), b"old").status == 200
    (pages,) = sql.execute("PRAGMA page_count").fetchone()
    sql.execute(f"PRAGMA max_page_count={pages}")
    answer = rig.ask("PUT", "/bucket/o", (KMS,), bytes(200_000))
    assert (answer.status, code_of(answer)) == (503, "ServiceUnavailable")
    assert [str(error) for error in rig.bugs] == ["database or disk is full"]
    assert rig.ask("GET", "/bucket/o").content() == b"old"
    sql.execute("PRAGMA max_page_count=1000000")
    assert rig.ask("PUT", "/bucket/o", (KMS,), bytes(200_000)).status == 200


def test_accounts_are_made_all_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    state = State.in_memory(random.Random(1).randbytes)
    service = Service.over(state, now=lambda: 0.0, dice=random.Random(2).randbytes)

    def full(_name: str, _value: bytes) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(state.settings, "put", full)
        with pytest.raises(sqlite3.OperationalError):
            provision(service.world)
    assert (state.identities.load(), tuple(state.master_keys.load_keys())) == ((), ())


@pytest.mark.parametrize("durable", [True, False])
def test_durable_upload_is_on_the_disk_before_it_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    state, flushed = State.at(tmp_path, random.Random(1).randbytes, durable=durable), []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    )
    writer = state.blobs.create()
    writer.write(b"body")
    blob = writer.commit()
    folder = tmp_path / "blobs"
    shelf = folder / blob[:2]
    assert flushed == ([str(folder), str(shelf / f"{blob}.part"), str(shelf)] if durable else [])
    (level,) = state._database.connection.execute("PRAGMA synchronous").fetchone()
    assert level == (2 if durable else 1)  # FULL, NORMAL
    state.close()


# ---- a damaged or foreign data directory -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with an object in it, left behind by a server that ended well."""
    folder = tmp_path_factory.mktemp("sound")
    server = Server(folder, "--data", str(folder / "data"))
    server.ask("PUT", "/bucket")
    assert server.ask("PUT", "/bucket/o", (KMS,), os.urandom(600_000)).status == 200
    assert server.stop() == (0, "")
    return folder / "data"


def _overwrite(path: Path, offset: int, octets: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(octets)


def _schema(database: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)
        connection.commit()


def _foreign(data: Path) -> None:
    (data / "server.db").unlink()
    _schema(data / "server.db", "CREATE TABLE accounts (name TEXT)")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: _overwrite(data / "server.db", 0, b"\xff" * 100), "cannot be used: file is not a database"),
        (lambda data: _overwrite(data / "server.db", 4096, b"\xff" * 4096 * 3), "The database is damaged: "),
        (lambda data: os.truncate(data / "server.db", 4096 * 2), "malformed"),
        (lambda data: _schema(data / "server.db", "PRAGMA user_version=99"), "by another version of this server"),
        (_foreign, "The database belongs to another program; nothing has been changed."),
        (lambda data: (data / "server.db").unlink(), "server.db is missing, but"),
        (lambda data: (data / "root.key").write_text("ab" * 32), "root.key does not belong to this data directory"),
        (lambda data: (data / "root.key").write_text("ab"), "is not a root key, which is 64 hexadecimal digits"),
        (lambda data: (data / "root.key").unlink(), "root.key is missing"),
    ],
)
def test_damaged_directory_is_one_clear_line_and_nothing_is_overwritten(
    sound: Path, tmp_path: Path, damage: Callable[[Path], object], says: str
) -> None:
    data = tmp_path / "data"
    shutil.copytree(sound, data)
    damage(data)
    before = fingerprint(data)
    assert len([name for name in before if name.startswith("blobs/")]) == 1
    assert says in refused_start("--data", str(data))
    assert fingerprint(data) == before


def test_sound_directory_starts(sound: Path, tmp_path: Path, start: Callable[..., Server]) -> None:
    """The control: the copy that the others damage starts and has its object."""
    shutil.copytree(sound, tmp_path / "data")
    assert start("--data", str(tmp_path / "data")).ask("HEAD", "/bucket/o").first("content-length") == "600000"


@pytest.mark.parametrize("folder", ["/proc/self", "/sys/kernel", "/dev/null/data"])
def test_unwritable_directory_is_one_clear_line(folder: str) -> None:
    assert refused_start("--data", folder).startswith(f"The data directory {folder} cannot be used: [Errno ")


# ---- requests that smuggle others ----------------------------------------------------------------------------------------

SMUGGLING = {
    "both-lengths": "Content-Length: 4\r\nTransfer-Encoding: chunked",
    "both-lengths-the-other-way": "Transfer-Encoding: chunked\r\nContent-Length: 4",
    "no-length-and-chunked": "Content-Length: 0\r\nTransfer-Encoding: chunked",
    "two-lengths": "Content-Length: 0\r\nContent-Length: 4",
    "two-equal-lengths": "Content-Length: 4\r\nContent-Length: 4",
    "list-of-lengths": "Content-Length: 4, 4",
    "signed-length": "Content-Length: +4",
    "hexadecimal-length": "Content-Length: 0x4",
    "length-with-letters": "Content-Length: 4abc",
    "blank-in-the-length": "Content-Length: 4 4",
    "unknown-coding": "Transfer-Encoding: xchunked",
    "chunked-not-last": "Transfer-Encoding: chunked, identity",
    "chunked-twice": "Transfer-Encoding: chunked, chunked",
    "two-codings": "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "quoted-coding": 'Transfer-Encoding: "chunked"',
    "blank-before-colon": "Transfer-Encoding : chunked",
    "folded-coding": "Transfer-Encoding:\r\n chunked",
    "coding-behind-tab": "X: y\r\n\tTransfer-Encoding: chunked",
    "bare-line-feed": "X: y\nContent-Length: 0",
    "bare-carriage-return": "X: y\rContent-Length: 0",
    "nul-in-a-header": "X: \0y\r\nContent-Length: 0",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_request_with_doubtful_framing_is_refused_and_what_it_hides_is_not_done(server: Server, name: str) -> None:
    hidden = server.head("PUT", "/smuggled")
    visible = f"PUT /shared/visible HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n{SMUGGLING[name]}\r\n\r\n".encode()
    wire = server.wire()
    with contextlib.suppress(ConnectionError):
        wire.send(visible + b"0\r\n\r\n" + hidden)
    answers: list[Answer] = []
    with contextlib.suppress(EOFError):
        while True:
            answers.append(wire.answer())
    assert [answer.status for answer in answers if not 400 <= answer.status < 502] == []
    assert server.ask("HEAD", "/smuggled").status == 404
    assert server.ask("HEAD", "/shared/visible").status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"-1\r\nx\r\n0\r\n\r\n",
        b"FFFFFFFFFFFFFFFFF\r\nx\r\n0\r\n\r\n",
        b"0x1\r\nx\r\n0\r\n\r\n",
        b"1\r\nxx\r\n0\r\n\r\n",
        b"1 \r\nx\r\n0\r\n\r\n",
        b"\r\n\r\n",
    ],
)
def test_bad_chunks_store_nothing(server: Server, body: bytes) -> None:
    wire = server.wire()
    with contextlib.suppress(ConnectionError):
        wire.send(server.head("PUT", "/shared/chunks", (("Transfer-Encoding", "chunked"),)) + body)
        wire.send(server.head("PUT", "/smuggled"))
    with contextlib.suppress(EOFError):
        assert 400 <= wire.answer().status < 500
    assert server.ask("HEAD", "/shared/chunks").status == 404
    assert server.ask("HEAD", "/smuggled").status == 404


# ---- names that lead elsewhere -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server with a data directory, and the directory."""
    folder = tmp_path_factory.mktemp("keeping")
    server = Server(folder, "--data", str(folder / "data"))
    assert server.ask("PUT", "/bucket").status == 200
    yield server, folder / "data"
    assert server.stop() == (0, "")


@pytest.mark.parametrize(
    "key",
    [
        "../../../../escaped",
        "%2e%2e/%2e%2e/escaped",
        "..%2f..%2fescaped",
        "..%5c..%5cescaped",
        ".",
        "..",
        "%2fetc%2fpasswd",
        "a//b",
        "a/./b/../c",
        "%0d%0aX-Injected:%20yes",
        "%01%7f",
        "%f0%9f%94%91",
        "~root",
        "$(id)",
        "';DROP%20TABLE%20objects;--",
        "a" * 1024,
    ],
)
def test_any_name_is_a_name_and_never_a_path(keeping: tuple[Server, Path], key: str) -> None:
    server, folder = keeping
    before = {path for path in folder.parent.rglob("*") if folder not in path.parents}
    body = random.Random(key).randbytes(300_000)
    assert server.ask("PUT", f"/bucket/{key}", (KMS,), body).status == 200
    got = server.ask("GET", f"/bucket/{key}")
    assert (got.status, got.body, got.first("x-injected")) == (200, body, None)
    assert {path for path in folder.parent.rglob("*") if folder not in path.parents} == before
    assert {path.name for path in folder.iterdir()} <= {
        "blobs",
        "lock",
        "root.key",
        "server.db",
        "server.db-shm",
        "server.db-wal",
    }
    assert all(re.fullmatch("[0-9a-f]{32}", path.name) for path in folder.glob("blobs/*/*"))
    assert server.ask("DELETE", f"/bucket/{key}").status == 204


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/shared/a%00b", "BadRequest"),
        ("/shared/%00", "BadRequest"),
        ("/shared/%c0%ae%c0%ae/x", "BadRequest"),
        ("/shared/%ed%a0%80", "BadRequest"),
        ("/shared/%ff", "BadRequest"),
        ("/shared/" + "a" * 1025, "KeyTooLongError"),
        ("/shared/" + "%c3%a9" * 513, "KeyTooLongError"),
        ("/%2e%2e/o", "InvalidBucketName"),
        ("/../o", "InvalidBucketName"),
        ("/..", "InvalidBucketName"),
        ("//o", "InvalidBucketName"),
        ("/sha%00red/o", "BadRequest"),
    ],
)
def test_name_that_cannot_be_is_refused(server: Server, target: str, code: str) -> None:
    answer = server.ask("PUT", target, (), b"x")
    assert (answer.status, code_of(answer)) == (400, code)


# ---- documents that blow up --------------------------------------------------------------------------------------------------

LAUGHS = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(10))
BOMBS = {
    "billion-laughs": f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><ROOT>&l10;</ROOT>',
    "quadratic": f'<!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]><ROOT>{"&a;" * 10_000}</ROOT>',
    "external-entity": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><ROOT>&a;</ROOT>',
    "external-dtd": '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><ROOT/>',
    "parameter-entity": '<!DOCTYPE x [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]><ROOT/>',
    "recursive-entity": '<!DOCTYPE x [<!ENTITY a "&b;"><!ENTITY b "&a;">]><ROOT>&a;</ROOT>',
    "deep": "<ROOT>" + "<a>" * 140_000 + "</a>" * 140_000 + "</ROOT>",
    "one-long-name": f"<{'a' * 1_000_000}/>",
    "cut-off": "<ROOT><a>",
    "not-xml": "\0\1\2",
    "utf-16": '<?xml version="1.0" encoding="UTF-16"?><ROOT/>',
    "no-such-encoding": '<?xml version="1.0" encoding="klingon"?><ROOT/>',
}
DOCUMENTS = {
    "PUT /shared?encryption": "ServerSideEncryptionConfiguration",
    "PUT /shared?acl": "AccessControlPolicy",
    "POST /shared?delete": "Delete",
    "PUT /bucket-to-be": "CreateBucketConfiguration",
}


@pytest.mark.parametrize("place", DOCUMENTS)
def test_xml_that_blows_up_is_refused_in_flat_memory(server: Server, place: str) -> None:
    method, target = place.split()
    sub = target.partition("?")[2]
    server.ask("GET", "/shared")
    before = server.memory_kib("VmHWM")
    for name, text in BOMBS.items():
        answer = server.ask(method, target, (), text.replace("ROOT", DOCUMENTS[place]).encode(), sub=sub)
        assert (answer.status, code_of(answer)[:9]) == (400, "Malformed"), name
        assert b"root:" not in answer.body
    assert server.memory_kib("VmHWM") - before < 64 * 1024
    assert server.ask("HEAD", "/bucket-to-be").status == 404


POLICY_BOMBS = {
    "huge": b'{"Statement": [' + b'{"Effect": "Allow"},' * 100_000 + b"{}]}",
    "deep-lists": b"[" * 20_000,
    "deep-objects": b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    "huge-number": b'{"Statement": ' + b"9" * 19_000 + b"}",
    "exponent": b'{"Statement": 1e999999999}',
    "nan": b'{"Statement": NaN}',
    "null": b"null",
    "surrogate": b'{"Statement": "\\ud800"}',
    "not-utf-8": b'{"Statement": "\xff"}',
    "utf-16": '{"Statement": []}'.encode("utf-16"),
    "cut-off": b'{"Statement": [{"Effect": "Al',
}


def test_policy_that_blows_up_is_refused(server: Server) -> None:
    for name, body in POLICY_BOMBS.items():
        wire = server.wire()
        wire.send(server.head("PUT", "/shared?policy", (("Content-Length", str(len(body))),), sub="policy"))
        with contextlib.suppress(ConnectionError):
            wire.send(body)
        answer = wire.answer()
        assert (answer.status, code_of(answer)) == (400, "MalformedPolicy"), name
    assert server.ask("GET", "/shared?policy", sub="policy").status == 404


def test_policy_of_many_stars_is_evaluated_soon(rig: Rig) -> None:
    stars = '{"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "GetObject", "Resource": "bucket/%s"}]}'
    assert rig.ask("PUT", "/bucket?policy", (), (stars % ("*a" * 500 + "*b")).encode(), sub="policy").status == 204
    assert rig.ask("PUT", "/bucket/" + "a" * 1000, (), b"x").status == 200
    assert rig.ask("GET", "/bucket/" + "a" * 1000).content() == b"x"


# ---- ten thousand parts -------------------------------------------------------------------------------------------------------


def test_ten_thousand_parts_are_kept_listed_and_judged(rig: Rig) -> None:
    """Parts of one octet: all are stored and listed; completing them is refused, since all but the last are too small."""
    begun = rig.ask("POST", "/bucket/o?uploads", (KMS,), sub="uploads")
    upload = re.search(rb"<UploadId>(.*)</UploadId>", begun.content())
    assert upload is not None
    sub = f"uploadId={upload[1].decode()}"
    etags = []
    for number in range(1, 10_001):
        named = f"partNumber={number}&{sub}"
        etags.append(rig.ask("PUT", f"/bucket/o?{named}", (), b"x", sub=named).first("etag"))
    assert None not in etags
    page = rig.ask("GET", f"/bucket/o?part-number-marker=9500&{sub}", sub=sub).content()
    assert (page.count(b"<Part>"), b"<IsTruncated>false</IsTruncated>" in page) == (500, True)
    beyond = f"partNumber=10001&{sub}"
    assert rig.ask("PUT", f"/bucket/o?{beyond}", (), b"x", sub=beyond).status == 400
    parts = [f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>" for n, etag in enumerate(etags, 1)]

    def complete(listed: list[str]) -> tuple[int, str]:
        document = f"<CompleteMultipartUpload>{''.join(listed)}</CompleteMultipartUpload>".encode()
        answer = rig.ask("POST", f"/bucket/o?{sub}", (), document, sub=sub)
        return answer.status, code_of(answer)

    assert complete(parts) == (400, "EntityTooSmall")
    assert complete([*parts, parts[-1]])[0] == 400
    assert complete(parts[-1:]) == (200, "")
    assert rig.ask("GET", "/bucket/o").content() == b"x"


# ---- all of it again and again ------------------------------------------------------------------------------------------------


def test_hostile_clients_leave_memory_flat_and_nothing_on_standard_error(start: Callable[..., Server]) -> None:
    server = start("--client-timeout", "5")
    assert server.ask("PUT", "/bucket").status == 200
    octets = os.urandom(700_000)

    def round_of_faults() -> None:
        for text in (BOMBS["billion-laughs"], BOMBS["deep"]):
            server.ask("PUT", "/bucket?encryption", (), text.encode(), sub="encryption")
        for raw in (
            server.head("PUT", "/bucket/o", (KMS, ("Content-Length", str(2 * len(octets))))) + octets,  # then leaves
            b"GET /bucket HTTP/1.1\r\nHost: h\r\n" + (b"a: " + b"b" * 1000 + b"\r\n") * 1046 + b"\r\n",
            b"GET /" + b"a" * MIB + b" HTTP/1.1\r\nHost: h\r\n\r\n",
            b"PUT /bucket/o HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            os.urandom(100_000),
        ):
            wire = server.wire()
            with contextlib.suppress(ConnectionError):
                wire.send(raw)
            wire.close()

    for _ in range(3):
        round_of_faults()
    before = server.memory_kib()
    for _ in range(12):
        round_of_faults()
    assert server.ask("PUT", "/bucket/o", (KMS,), octets).status == 200
    assert server.ask("GET", "/bucket/o").body == octets
    assert server.memory_kib() - before < 8 * 1024
    assert server.stop() == (0, "")
