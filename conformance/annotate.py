"""An exchange with its verdicts beside the lines they are about.

Pure text. Knows where on the wire a finding's subject stands; does not judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conformance.vocabulary import Exchange, Finding

_WIDTH = 72
_BODY_SHOWN = 2048
_BROKEN = {"must": "BROKEN", "should": "weak", "observe": "noted"}


def annotated(exchange: Exchange, findings: Sequence[Finding]) -> Iterator[str]:
    """Both directions line by line, ``>`` sent and ``<`` received, each line followed by the clauses it bears on."""
    asked = [finding for finding in findings if finding.step == "request"]
    given = [finding for finding in findings if finding.step != "request"]
    yield from _message(">", exchange.request.head, exchange.request.body if exchange.sent_body else b"", asked)
    if exchange.response is None:
        yield f"< nothing that is an HTTP answer: {exchange.outcome}"
        return
    yield from _message("<", exchange.received_head, exchange.response.body, given)


def _message(mark: str, head: bytes, body: bytes, findings: Sequence[Finding]) -> Iterator[str]:
    lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    told: set[int] = set()
    for number, line in enumerate(lines):
        name = "status" if number == 0 else f"header {line.partition(':')[0]}".lower()
        about = [finding for finding in findings if _stands_at(finding, name, line, first=number == 0)]
        told.update(map(id, about))
        yield from _with_verdicts(f"{mark} {visible(line)}", about)
    if body:
        text = body[:_BODY_SHOWN]
        shown = visible(text.decode()) if _is_text(text) else f"({len(body)} bytes)"
        cut = f" ... ({len(body)} bytes)" if len(body) > _BODY_SHOWN and _is_text(text) else ""
        about = [finding for finding in findings if id(finding) not in told and finding.subject.startswith("xml")]
        told.update(map(id, about))
        yield from _with_verdicts(f"{mark} {shown}{cut}", about)
    for finding in findings:
        if id(finding) not in told:
            yield from _with_verdicts(f"{mark} (no line: {finding.subject})", [finding])


def _stands_at(finding: Finding, name: str, line: str, *, first: bool) -> bool:
    kind, _, subject = finding.subject.lower().partition(" ")
    if kind in {"query", "field"} and first and f"{subject}=" in line.lower():
        return True
    return f"{kind} {subject}".replace("field ", "header ", 1).strip() == name


def _with_verdicts(line: str, findings: Sequence[Finding]) -> Iterator[str]:
    held = ", ".join(clause for finding in findings if finding.held for clause in finding.clauses)
    yield f"{line:<{_WIDTH}}  ok {held}" if held else line
    for finding in findings:
        if not finding.held:
            yield f"    ^ {_BROKEN[finding.level]} {', '.join(finding.clauses)}: {finding.says}"


def _is_text(body: bytes) -> bool:
    try:
        return body.decode().isprintable() or all(c.isprintable() or c in "\r\n\t" for c in body.decode())
    except UnicodeDecodeError:
        return False


def visible(text: str) -> str:
    """Text that cannot move the cursor or colour the terminal of whoever reads it."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
