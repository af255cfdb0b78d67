"""XML in and out: the documents of the API as trees, and trees as plain values.

Reading refuses document types and entities, so that no entity can expand; it compares local names, since a namespace
may be absent or present (section 4.2). This module does not know what the documents are for.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, TypeAlias

from reference_server.errors import ObsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from xml.etree.ElementTree import Element, TreeBuilder

NAMESPACE = "http://obs.myhwclouds.com/doc/2015-06-30/"
DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'

Content: TypeAlias = "str | Sequence[Node]"
"""What is in an element: its text or its children."""

Node = tuple[str, Content]
"""An element: its name and its content."""

MAX_DEPTH = 32
"""The deepest document of the API has 5 levels."""

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}


_SPECIAL = re.compile("[&<>\r]|[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What is escaped, and what XML 1.0 cannot hold at all; names with such characters need `encoding-type=url`."""


def _escape(text: str) -> str:
    return _SPECIAL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[0], "\N{REPLACEMENT CHARACTER}")


def _render(content: Content) -> str:
    if isinstance(content, str):
        return _escape(content)
    return "".join(f"<{name}>{_render(inner)}</{name}>" for name, inner in content)


def document(root: str, content: Content, *, namespace: str = NAMESPACE) -> bytes:
    """A whole document."""
    opening = f'{root} xmlns="{namespace}"' if namespace else root
    return f"{DECLARATION}<{opening}>{_render(content)}</{root}>".encode()


def error_document(error: ObsError, *, resource: str, request_id: str, host_id: str) -> bytes:
    """The error document of obs_04_0115, its elements in the order of the sample there, then further ones."""
    children: list[Node] = [
        ("Code", error.code),
        ("Message", error.message),
        ("Resource", resource),
        ("RequestId", request_id),
        ("HostId", host_id),
        *error.details,
    ]
    return document("Error", children, namespace="")


@functools.cache
def _shallow_builder() -> type[TreeBuilder]:
    from xml.etree.ElementTree import TreeBuilder

    class Shallow(TreeBuilder):
        """Builds no deeper than any document is: a tree takes seventy times the memory of its tags."""

        depth = 0

        def start(self, tag: str, attrs: dict[str, str], /) -> Element:
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise ValueError(f"more than {MAX_DEPTH} levels")
            return super().start(tag, attrs)

        def end(self, tag: str, /) -> Element:
            self.depth -= 1
            return super().end(tag)

    return Shallow


def read_document(body: bytes, root: str, *, code: str = "MalformedXML") -> Element:
    """The root element of a document that must have this root, or a refusal with the code."""
    # Imported here because a server that never reads a document need not pay for the parser at its start.
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    if not body.strip():
        raise ObsError("MissingRequestBodyError")
    parser = DefusedXMLParser(target=_shallow_builder()(), forbid_dtd=True)
    try:
        parser.feed(body)
        tree: Element = parser.close()
    except (DefusedXmlException, SyntaxError, ValueError, LookupError, RecursionError) as error:
        raise ObsError(code) from error
    finally:
        vars(parser).clear()  # it and expat hold each other, and with them all that was read, until the next collection
    if local_name(tree) != root:
        raise ObsError(code, f"The root element must be {root}.")
    return tree


def local_name(element: Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def text_of(element: Element) -> str:
    """The text of an element without outer blanks."""
    return (element.text or "").strip()


def children_of(
    element: Element, allowed: Mapping[str, bool] | None = None, *, code: str = "MalformedXML"
) -> list[Element]:
    """The children of an element; with `allowed`, only these names, those marked False at most once."""
    children = list(element)
    if allowed is not None:
        names = [local_name(child) for child in children]
        for name in names:
            if name not in allowed:
                raise ObsError(code, f"Unknown element {name}.")
            if not allowed[name] and names.count(name) > 1:
                raise ObsError(code, f"More than one {name}.")
    return children


def leaves_of(element: Element, allowed: Iterable[str], *, code: str = "MalformedXML") -> dict[str, str]:
    """The texts of an element's children by name, each at most once."""
    return {
        local_name(child): text_of(child) for child in children_of(element, dict.fromkeys(allowed, False), code=code)
    }
