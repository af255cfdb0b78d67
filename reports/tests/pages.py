"""Reads a page as a browser's parser does and tells its structure; and the text that tries to break out of it.

Knows HTML.  Does not know what a page is about.
"""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "br", "input"}
HOSTILE = "<script>alert(1)</script></pre></td><img src=x onerror=alert(2)>\"' {{ 7*7 }}\x00\x1b[31m\u202e"


class Structure(HTMLParser):
    """Tags with the names of their attributes in order, and whether every tag is closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, dict[str, str]]] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.attributes.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
