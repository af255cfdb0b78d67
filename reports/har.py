"""Writes the exchanges of a run as an HTTP Archive (HAR 1.2): a case is a page, an exchange an entry.

Knows the members of HAR.  Bodies that the results file keeps in part are written in part, and say so; an exchange
without an answer has the status 0, as browsers write it.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from reports.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reports.model import Case, Content, Exchange, Message, Results

Pairs = list[dict[str, str]]


def write_har(results: Results, path: Path) -> None:
    """Write *results* to *path*."""
    path.write_text(json.dumps(har(results), indent=1, ensure_ascii=True) + "\n", "utf-8", newline="\n")


def har(results: Results) -> dict[str, Any]:
    """The archive."""
    header = results.header
    played = [case for case in results.cases if case.exchanges]
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": header.suite.name, "version": header.suite.version},
            "pages": [_page(case, header.started) for case in played],
            "entries": [entry for case in played for entry in _entries(case, results)],
            "comment": visible(results.headline),
        }
    }


def _page(case: Case, started: str) -> dict[str, Any]:
    return {
        "startedDateTime": _time(case.exchanges[0].asked, started),
        "id": case.id,
        "title": f"{case.id} {case.rung}: {case.says}",
        "pageTimings": {},
    }


def _time(seconds: float | None, otherwise: str) -> str:
    if seconds is None:
        return otherwise
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _entries(case: Case, results: Results) -> Iterator[dict[str, Any]]:
    for exchange in case.exchanges:
        yield {
            "pageref": case.id,
            "startedDateTime": _time(exchange.asked, results.header.started),
            "time": exchange.ms,
            "request": _request(exchange, results.header.target.endpoint),
            "response": _response(exchange),
            "cache": {},
            "timings": {"send": 0, "wait": exchange.ms, "receive": 0},
            "comment": visible(f"{case.id}, {exchange.step}: {exchange.outcome}"),
        }


def _request(exchange: Exchange, endpoint: str) -> dict[str, Any]:
    line, headers = _head(exchange.sent.head)
    method, _, rest = line.partition(" ")
    target, _, version = rest.rpartition(" ")
    host = next((pair["value"] for pair in headers if pair["name"].lower() == "host"), urlsplit(endpoint).netloc)
    request = {
        "method": method,
        "url": f"{urlsplit(endpoint).scheme}://{host}{target}",
        "httpVersion": version,
        "cookies": [],
        "headers": headers,
        "queryString": [
            {"name": name, "value": value}
            for name, value in parse_qsl(target.partition("?")[2], keep_blank_values=True)
        ],
        "headersSize": len(exchange.sent.head),
        "bodySize": exchange.sent.body_size,
    }
    if exchange.sent.body_size:
        text = exchange.sent.body.decode("utf-8", "replace")
        request["postData"] = {
            "mimeType": _value(headers, "content-type"),
            "params": [],
            "text": text,
            "comment": _kept(exchange.sent),
        }
    return request


def _response(exchange: Exchange) -> dict[str, Any]:
    received = exchange.received
    line, headers = _head(_final(received.head))
    version, _, rest = line.partition(" ")
    status, _, reason = rest.partition(" ")
    answered = exchange.outcome == "answered" and status.isdecimal()
    return {
        "status": int(status) if answered else 0,
        "statusText": visible(reason if answered else exchange.outcome),
        "httpVersion": version if answered else "",
        "cookies": [],
        "headers": headers if answered else [],
        "content": _content(received.content or received, _value(headers, "content-type")),
        "redirectURL": _value(headers, "location"),
        "headersSize": len(received.head),
        "bodySize": received.body_size,
    }


def _final(head: bytes) -> bytes:
    """The head of the final answer: interim answers come before it."""
    return head.rstrip(b"\r\n").rpartition(b"\r\n\r\n")[2]


def _head(head: bytes) -> tuple[str, Pairs]:
    """Start line and header lines; bytes above 127 as the code points of the same number."""
    first, *lines = head.rstrip(b"\r\n").decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if ":" in line)
    return first, [{"name": name, "value": value.strip()} for name, _, value in pairs]


def _value(headers: Pairs, name: str) -> str:
    return next((pair["value"] for pair in headers if pair["name"].lower() == name), "")


def _content(body: Message | Content, kind: str) -> dict[str, Any]:
    content: dict[str, Any] = {"size": body.body_size, "mimeType": kind or "x-unknown", "comment": _kept(body)}
    try:
        return content | {"text": body.body.decode("utf-8")}
    except UnicodeDecodeError:
        return content | {"text": base64.b64encode(body.body).decode(), "encoding": "base64"}


def _kept(body: Message | Content) -> str:
    if len(body.body) == body.body_size:
        return "whole"
    return f"the first {len(body.body)} of {body.body_size} bytes; SHA-256 of the whole: {body.body_sha256}"
