"""Tests of the page: what it says, that it needs nothing else, and that hostile text stays text."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from reports.html import TEMPLATES, write_html
from reports.model import read_results
from reports.tests import samples
from reports.text import visible

if TYPE_CHECKING:
    from pathlib import Path

RUN = samples.run()
VOID = {"meta", "br"}
APART = {"td", "th", "dt", "dd", "p", "br", "li"}
HOSTILE = "<script>alert(1)</script></pre></td><img src=x onerror=alert(2)>\"' {{ 7*7 }}\x00\x1b[31m\u202e"
ESCAPED = (
    "&lt;script&gt;alert(1)&lt;/script&gt;&lt;/pre&gt;&lt;/td&gt;&lt;img src=x onerror=alert(2)&gt;&#34;&#39; {{ 7*7 }}"
)


class Page(HTMLParser):
    """Collects the tags, the text and the anchors of a page, and whether every tag is closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.attributes.append((tag, {name: value or "" for name, value in attrs}))
        if tag in APART:
            self.words.append(" ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.attributes if name in attributes]


def render(tmp_path: Path, records: list[samples.Record]) -> Page:
    out = tmp_path / "report.html"
    write_html(read_results(samples.write(tmp_path / "results.jsonl", records)), out)
    return Page(out.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return render(tmp_path_factory.mktemp("page"), RUN)


def test_conclusion_comes_first_in_words(page: Page) -> None:
    body = page.text.partition("Conformance of Example to SSE-KMS 2024 ")[2]
    assert body.startswith("Non-conformant. 1 MUST failed.")
    assert page.source.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    "fact",
    [
        "(sse-kms-2024-01)", "Clauses exercised 2 of 3", "9 of 9 planned, 42 in the library", "https://obs.example.com",
        "obs-conformance 1.2.3", samples.DIGEST, "4711", "2024-01-02T03:04:05Z", "2024-01-02T03:05:05Z",
        "5 resources created, 4 removed; left behind: bucket/left", "post-form: not offered",
        "put-1/kms states a fact", "The mode is wrong.", "MUST, area put, cites K-1, K-2",
        "NOT MET step 1 header x-mode (equals) kms wrong the mode differs must K-1",
        "met step 1 status (equals) 200 200 must K-1", "step 1, server: s (K-2)", "step 1: answered, 3.2 ms, NOT MET",
        "100 Continue came before the body", "NOT MET: no header line X-Key came.",
        "K-3 not exercised MUST K-3 is paraphrased nobody asked Cases: none",
        "Likely causes causes of K-1 Consequence consequence of K-1 Fix fix of K-1",
        "fail put-1/kms: The mode is wrong.", f"Body: 5 bytes, SHA-256 {samples.DIGEST}; text. hello",
        "hex dump. 00000000 00 ff 3c 62 3e", "E-01 who serves two names are shown put-1/kms, step 1: s: a letter",
        "Q-02 what cannot be asked no call shows it it needs two regions",
    ],
)  # fmt: skip
def test_page_says(page: Page, fact: str) -> None:
    assert fact in page.text


def test_value_outside_the_readings_is_named_so(tmp_path: Path) -> None:
    page = render(tmp_path, samples.put(RUN, (1, "observations", 0, "value"), "S3"))
    assert "put-1/kms, step 1: S3: none of the readings that were thought of" in page.text


def test_only_broken_clauses_are_explained(page: Page) -> None:
    assert "causes of K-2" not in page.text
    assert "causes of K-3" not in page.text


def test_clauses_stand_in_page_order_under_their_section(page: Page) -> None:
    ids = [name for name in page.values("id") if name.startswith("clause-")]
    assert ids == ["clause-K-1", "clause-K-2", "clause-K-3"]
    assert page.text.index("Writing (sse-kms)") < page.text.index("K-1 broken") < page.text.index("Reading (sse-kms)")


def test_outcome_table_counts_by_level(page: Page) -> None:
    rows = re.findall(r'<tr><th scope="row">(\w+)</th>(.*?)</tr>', page.source)
    counts = {level: [int(count) for count in re.findall(r">(\d+)<", cells)] for level, cells in rows}
    assert counts == {
        "must": [1, 1, 0, 1, 1, 1, 1, 1, 1, 8],
        "should": [0, 0, 1, 0, 0, 0, 0, 0, 0, 1],
        "observe": [0] * 10,
        "all": [1, 1, 1, 1, 1, 1, 1, 1, 1, 9],
    }


def test_received_head_shows_every_line_end_and_marks_the_failing_line_only(page: Page) -> None:
    (received,) = re.findall(r'<h5>Received</h5>\s*<pre class="head">(.*?)</pre>', page.source, re.DOTALL)
    assert re.sub(r"<[^>]+>", "", received).splitlines() == [
        "HTTP/1.1 100 Continue CR LF",
        "X-Mode: interim CR LF",
        " CR LF",
        "HTTP/1.1 200 OK CR LF",
        "X-Mode: wrong ◀ NOT MET CR LF",
        r"Server: s\xe9 LF",
        " CR LF",
    ]
    assert received.count("<mark>") == 1


def test_every_link_leads_somewhere_and_every_id_is_unique(page: Page) -> None:
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {"put-1/kms", "c-pass"} <= set(ids)
    assert {link.removeprefix("#") for link in page.values("href")} <= set(ids)
    assert all(link.startswith("#") for link in page.values("href"))


def test_page_needs_no_network_and_the_policy_allows_only_our_own_style_and_script(page: Page) -> None:
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object", "embed", "base", "form"}
    assert page.values("src") == []
    (policy,) = [
        meta["content"] for tag, meta in page.attributes if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (source,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page.source, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert page.values("style") == []


def test_headings_descend_by_one_and_tables_name_their_headers(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all("scope" in names for tag, names in page.tags if tag == "th")
    assert {"header", "nav", "main", "footer", "title"} <= {tag for tag, _ in page.tags}
    assert ("html", {"lang": "en"}) in page.attributes


PALETTE = (TEMPLATES / "report.css").read_text(encoding="utf-8")
PAIRS = [(ink, "ground") for ink in ("ink", "quiet", "link", "good", "bad", "doubt")]
PAIRS += [(ink, "panel") for ink in ("ink", "quiet", "link", "bad")] + [("markink", "mark"), ("quiet", "mark")]


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_colours_have_contrast_in_light_and_dark(ink: str, ground: str) -> None:
    inks, grounds = (re.findall(rf"--{name}: (#[0-9a-f]{{6}})", PALETTE) for name in (ink, ground))
    assert len(inks) == len(grounds) == 2
    for one, other in zip(inks, grounds, strict=True):
        low, high = sorted((luminance(one), luminance(other)))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_run_that_did_not_finish_says_so_first_and_shows_no_verdict(tmp_path: Path) -> None:
    page = render(tmp_path, RUN[:2])
    title, _, body = page.text.partition("The run did not finish: 1 of 9 planned cases have a result")
    assert title == "Run did not finish: Example, SSE-KMS 2024 "
    assert body.startswith(", and nothing is concluded.")
    assert "not known, the run did not finish; the profile has 3" in page.text
    assert "K-2 no verdict MUST K-2 is paraphrased The run did not finish. Cases: put-1/kms" in page.text
    assert "no result c-pass: planned" in page.text
    assert "onformant" not in page.text


PLACES: list[tuple[str | int, ...]] = [
    (0, "target", "name"),
    (0, "target", "endpoint"),
    (0, "target", "region"),
    (0, "target", "without", "post-form"),
    (0, "clauses", 0, "says"),
    (0, "clauses", 0, "causes"),
    (0, "errata", 0, "about"),
    (0, "errata", 0, "readings", 0, "means"),
    (0, "errata", 1, "unprobed"),
    (1, "says"),
    (1, "reason"),
    (1, "area"),
    (1, "file"),
    (1, "checks", 1, "step"),
    (1, "checks", 1, "word"),
    (1, "checks", 0, "subject"),
    (1, "checks", 1, "wanted"),
    (1, "checks", 1, "got"),
    (1, "checks", 1, "says"),
    (1, "observations", 0, "step"),
    (1, "observations", 0, "name"),
    (1, "observations", 0, "value"),
    (1, "exchanges", 0, "outcome"),
    (1, "exchanges", 0, "received", "body_sha256"),
    (-1, "headline"),
    (-1, "cleanup", "left", 0),
    (-1, "clauses", "K-3", "reason"),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_hostile_text_is_shown_and_stays_text(tmp_path: Path, place: tuple[str | int, ...]) -> None:
    benign = render(tmp_path, samples.put(RUN, place, "benign"))
    hostile = render(tmp_path, samples.put(RUN, place, HOSTILE))
    assert hostile.tags == benign.tags
    assert ESCAPED + r"\x00\x1b[31m\u202e" in hostile.source
    assert not {"\x00", "\x1b", "\u202e"} & set(hostile.source)


def test_hostile_ids_stay_anchors(tmp_path: Path, page: Page) -> None:
    records = samples.put(RUN, (1, "id"), HOSTILE)
    records[0]["planned"][0] = HOSTILE
    records[0]["errata"][0]["case"] = HOSTILE.partition("/")[0]
    records[-1]["clauses"]["K-1"]["cases"] = [HOSTILE]
    hostile = render(tmp_path, records)
    assert hostile.tags == page.tags
    assert ESCAPED in hostile.source
    targets = {unquote(link.removeprefix("#")) for link in hostile.values("href")}
    assert visible(HOSTILE) in targets
    assert targets <= set(hostile.values("id"))


LATIN = "</pre><script>alert(1)</script>\x00\x1b\x9b"
HEADS = "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nX-Mode: {}\r\n{}: 1\r\n\r\n"


@pytest.mark.parametrize("side", ["sent", "received"])
def test_hostile_head_stays_text(tmp_path: Path, side: str) -> None:
    place = (1, "exchanges", 0, side, "head")
    benign = render(tmp_path, samples.put(RUN, place, HEADS.format("a", "b")))
    hostile = render(tmp_path, samples.put(RUN, place, HEADS.format(LATIN, LATIN)))
    assert hostile.tags == benign.tags
    assert hostile.source.count(r"&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;\x00\x1b\x9b") == 2
    assert not {"\x00", "\x1b", "\x9b"} & set(hostile.source)


@pytest.mark.parametrize("side", ["sent", "received"])
@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("\n</pre><script>alert(1)</script>\r\n", "\n\n&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;\\x0d\n</pre>"),
        ("\x00\x1b\x00</pre><script>", "...&lt;/pre&gt;&lt;script"),
    ],
)
def test_hostile_body_stays_text(tmp_path: Path, page: Page, side: str, body: str, shown: str) -> None:
    place = (1, "exchanges", 0, side)
    hostile = render(tmp_path, samples.put(RUN, place, samples.message(RUN[1]["exchanges"][0][side]["head"], body)))
    assert hostile.tags == page.tags
    assert shown in hostile.source
    assert not {"\x00", "\x1b"} & set(hostile.source)


def test_body_that_was_cut_says_how_much_is_shown(tmp_path: Path) -> None:
    cut = samples.put(RUN, (1, "exchanges", 0, "sent", "body_size"), 1_000_000)
    assert "Body: 1,000,000 bytes" in render(tmp_path, cut).text
    assert "only the first 5 bytes are shown" in render(tmp_path, cut).text


def test_status_line_is_marked_when_the_status_is_wrong(tmp_path: Path) -> None:
    page = render(tmp_path, samples.put(RUN, (1, "checks", 0, "held"), False))
    assert "<mark>HTTP/1.1 200 OK <strong" in page.source
