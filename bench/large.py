"""Large objects: throughput against the cost of their bytes, and the memory they take."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import socket
import statistics
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from contestants import BUCKET, Contestant, start_reference
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

MIB = 1024 * 1024
PIECE = os.urandom(MIB)
PARTS = 20
SMALLEST_PART = 100 * 1024
PATIENCE_S = 600


def large(options: argparse.Namespace, folder: Path) -> None:
    """Throughput of large encrypted objects against AES-256-GCM and MD5 of the same bytes on one processor."""
    with ExitStack() as stack:
        server = start_reference(folder / "large")
        stack.callback(server.stop)
        mib, target = options.large_mib, f"/{BUCKET}/large"
        digest = {"Content-MD5": md5_of(mib)}
        acts: dict[str, Callable[[], object]] = {
            "AES-256-GCM + MD5": lambda: aes_and_md5(mib),
            "PUT": lambda: upload(server, target, mib),
            "PUT with Content-MD5": lambda: upload(server, target, mib, digest),
            "GET": lambda: download(server, target, mib),
        }
        times: dict[str, list[float]] = {name: [] for name in acts}
        for _ in range(options.rounds):
            for name, act in acts.items():
                times[name].append(seconds(act))
    first = times["AES-256-GCM + MD5"]
    print(f"\n{mib} MiB, one connection, {options.rounds} rounds; ratios to AES-256-GCM + MD5 of the same bytes\n")
    print(f"{'':28}{'MB/s':>9}{'ratio':>8}")
    for name, found in times.items():
        ratio = statistics.median(floor / own for own, floor in zip(found, first, strict=True))
        print(f"{name:28}{mib * MIB / 1e6 / statistics.median(found):9.0f}{ratio:8.2f}")


def memory(options: argparse.Namespace, folder: Path) -> None:
    """By how much resident memory grows at most while a huge object goes up, down, is copied and comes in parts."""
    with ExitStack() as stack:
        server = start_reference(folder / "memory")
        stack.callback(server.stop)
        mib, target = options.huge_mib, f"/{BUCKET}/huge"
        source = {server.encryption[0]: server.encryption[1], "x-obs-copy-source": target}
        acts: dict[str, Callable[[], object]] = {
            "up": lambda: upload(server, target, mib),
            "down": lambda: download(server, target, mib),
            "copied": lambda: server.ask(server.head("PUT", f"/{BUCKET}/copy", source)),
            f"as {PARTS} parts": lambda: upload_parts(server, f"/{BUCKET}/parts", mib),
            "the parts down": lambda: download(server, f"/{BUCKET}/parts", mib - mib % PARTS),
        }
        idle = server.memory_kib("VmRSS")
        print(f"\n{mib} MiB; growth of resident memory over the {idle / 1024:.0f} MiB of an idle server\n")
        for name, act in acts.items():
            server.forget_peak()
            took = seconds(act)
            growth = (server.memory_kib("VmHWM") - idle) / 1024
            print(f"{name:28}{growth:9.1f} MiB{mib * MIB / 1e6 / took:9.0f} MB/s")


def many_parts(options: argparse.Namespace, folder: Path) -> None:
    """As many parts as the documents allow, each as small as they allow: the time they take, and memory."""
    with ExitStack() as stack:
        server = start_reference(folder / "parts")
        stack.callback(server.stop)
        target, part, entries = f"/{BUCKET}/many", PIECE[:SMALLEST_PART], list[str]()
        idle, upload_id = server.memory_kib("VmRSS"), initiate(server, target)
        server.forget_peak()
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S))
        times = []
        for number in range(1, options.parts + 1):
            started = time.perf_counter()
            connection.sendall(server.put_head(part_of(target, number, upload_id), len(part)) + part)
            entries.append(entry(number, checked(server, connection.recv(65536))))
            times.append((time.perf_counter() - started) * 1000)
        ended = seconds(lambda: complete(server, target, upload_id, entries))
        came = server.ask(server.head("GET", target)).partition(b"\r\n\r\n")[2]
        growth = (server.memory_kib("VmHWM") - idle) / 1024
    if came != part * options.parts:
        raise SystemExit("The object is not what its parts were.")
    tenth = len(times) // 10
    print(f"\n{options.parts} parts of {len(part)} bytes; the object reads back byte for byte\n")
    print(f"{'a part, first tenth':28}{statistics.median(times[:tenth]):9.2f} ms")
    print(f"{'a part, last tenth':28}{statistics.median(times[-tenth:]):9.2f} ms")
    print(f"{'completing them':28}{ended:9.2f} s\n{'growth of memory':28}{growth:9.1f} MiB")


def seconds(act: Callable[[], object]) -> float:
    """How long something takes."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def aes_and_md5(mib: int) -> None:
    """The work that cannot be avoided, if MD5 is owed."""
    cipher, digest = AESGCM(bytes(32)), hashlib.md5(usedforsecurity=False)
    for number in range(mib):
        cipher.encrypt(number.to_bytes(12, "big"), PIECE, None)
        digest.update(PIECE)


def md5_of(mib: int) -> str:
    """The Content-MD5 of so many pieces."""
    digest = hashlib.md5(usedforsecurity=False)
    for _ in range(mib):
        digest.update(PIECE)
    return base64.b64encode(digest.digest()).decode()


def upload(server: Contestant, target: str, mib: int, more: Mapping[str, str] | None = None) -> bytes:
    """PUT so many mebibytes; the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as connection:
        connection.sendall(server.put_head(target, mib * MIB, more))
        for _ in range(mib):
            connection.sendall(PIECE)
        return checked(server, connection.recv(65536))


def download(server: Contestant, target: str, mib: int) -> None:
    """GET so many mebibytes and count them."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as connection:
        connection.sendall(server.head("GET", target))
        buffer = bytearray(MIB)
        got = connection.recv_into(buffer)
        got -= checked(server, bytes(buffer[:got])).index(b"\r\n\r\n") + 4
        while got < mib * MIB:
            received = connection.recv_into(buffer)
            if not received:
                raise SystemExit(f"Only {got} bytes came.")
            got += received


def upload_parts(server: Contestant, target: str, mib: int) -> None:
    """The same bytes in equal parts."""
    upload_id = initiate(server, target)
    entries = [
        entry(number, upload(server, part_of(target, number, upload_id), mib // PARTS))
        for number in range(1, PARTS + 1)
    ]
    complete(server, target, upload_id, entries)


def initiate(server: Contestant, target: str) -> str:
    """The id of a new upload."""
    answer = server.ask(server.head("POST", f"{target}?uploads", dict((server.encryption,))))
    found = re.search(rb"<UploadId>([^<]+)", checked(server, answer))
    return found[1].decode() if found else ""


def part_of(target: str, number: int, upload_id: str) -> str:
    """The target of a part."""
    return f"{target}?partNumber={number}&uploadId={upload_id}"


def entry(number: int, answer: bytes) -> str:
    """What the end of an upload says of a part."""
    etag = re.search(rb'ETag: ("[^"]+")', answer)
    return f"<Part><PartNumber>{number}</PartNumber><ETag>{etag[1].decode() if etag else ''}</ETag></Part>"


def complete(server: Contestant, target: str, upload_id: str, entries: Iterable[str]) -> None:
    """End an upload."""
    body = f"<CompleteMultipartUpload>{''.join(entries)}</CompleteMultipartUpload>".encode()
    length = {"Content-Length": str(len(body))}
    checked(server, server.ask(server.head("POST", f"{target}?uploadId={upload_id}", length) + body))


def checked(server: Contestant, answer: bytes) -> bytes:
    """An answer, if it is a good one."""
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"{server.name}: {answer[:400]!r}")
    return answer
