"""Tests of the page as it is before any script runs: what it says, that it needs nothing else, that text stays text."""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from reports.html import MESSAGES, TEMPLATES, say, write_html
from reports.model import ResultsError
from reports.page import mark
from reports.tests import samples
from reports.text import visible

if TYPE_CHECKING:
    from pathlib import Path

RUN = samples.run()
VOID = {"meta", "br", "input", "rect"}
APART = {
    "td",
    "th",
    "dt",
    "dd",
    "p",
    "br",
    "li",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "a",
    "code",
    "span",
    "strong",
    "summary",
}
HOSTILE = "<script>alert(1)</script></pre></td><img src=x onerror=alert(2)>\"' {{ 7*7 }}\x00\x1b[31m\u202e"


class Page(HTMLParser):
    """Collects the tags, the text and the anchors of a page, and whether every tag is closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.packed: list[str] = []
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

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in APART:
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)
        elif self.attributes[-1][1].get("type") == "text/plain":
            self.packed.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.attributes if name in attributes]

    @property
    def meta(self) -> dict[str, Any]:
        (data,) = re.findall(r'<script type="application/json" id="meta">(.*?)</script>', self.source, re.DOTALL)
        return json.loads(data)  # type: ignore[no-any-return]

    @property
    def index(self) -> list[list[Any]]:
        return json.loads(gzip.decompress(base64.b64decode(self.packed[0])))  # type: ignore[no-any-return]

    @property
    def evidence(self) -> list[str]:
        return [line for block in self.packed[1:] for line in _lines(block)]


def _lines(block: str) -> list[str]:
    return gzip.decompress(base64.b64decode(block)).decode().splitlines()


def render(tmp_path: Path, records: list[samples.Record], **options: Any) -> Page:
    out = tmp_path / "report.html"
    write_html(samples.write(tmp_path / "results.jsonl", records), out, **options)
    return Page(out.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return render(tmp_path_factory.mktemp("page"), RUN)


def test_conclusion_comes_first_in_words(page: Page) -> None:
    assert page.text.partition("Light / dark ✕ ")[2].startswith("Not conformant 1 MUST failed.")
    assert page.source.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    "fact",
    [
        "Profile : SSE-KMS 2024 sse-kms-2024-01", "2 of 3 MUST clauses exercised", "1 clauses broken",
        "9 of 9 cases with a result", "6 root causes", "https://obs.example.com", "obs-conformance 1.2.3",
        samples.DIGEST, "4711", "2024-01-02T03:04:05Z", "2024-01-02T03:05:05Z", "5 resources created, 4 removed",
        "Left behind on the target bucket/left", "post-form not offered", "R1 header x-mode has another value",
        "Root : put-1/kms put-1/kms states a fact the mode differs Clauses : K-1",
        "Consequence consequence of K-1 Likely causes causes of K-1 How to fix fix of K-1",
        "c3 K-3 ○ not exercised MUST K-3 is paraphrased nobody asked Cases : none",
        "E-01 who serves two names are shown s a letter put-1/kms No. 1, step 1",
        "Q-02 what cannot be asked no call shows it it needs two regions",
        "Requests 1 Bytes sent 42 Bytes received 92 Key-service calls",
    ],
)  # fmt: skip
def test_page_says(page: Page, fact: str) -> None:
    assert fact in page.text


def test_value_outside_the_readings_is_named_so(tmp_path: Path) -> None:
    page = render(tmp_path, samples.put(RUN, (1, "observations", 0, "value"), "S3"))
    assert "S3 none of the readings that were thought of put-1/kms" in page.text


def test_only_broken_clauses_are_explained(page: Page) -> None:
    assert "causes of K-2" not in page.text
    assert "causes of K-3" not in page.text


def test_clauses_stand_in_page_order_under_their_section(page: Page) -> None:
    ids = [name for name in page.values("id") if name.startswith("clause-")]
    assert ids == ["clause-K-1", "clause-K-2", "clause-K-3"]
    at = [page.text.index(words) for words in ("Writing c1 K-1 ✕ broken", "c2 K-2 ✓ holds", "Reading c3 K-3")]
    assert at == sorted(at)


def test_outcome_table_counts_by_level_and_every_number_opens_its_cases(page: Page) -> None:
    (table,) = re.findall(r'<table class="outcomes">.*?</table>', page.source, re.DOTALL)
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", table)
    cells = [[int(number) for number in re.findall(r">(\d+)<", row)] for row in rows]
    assert cells == [[1, 1, 0, 1, 1, 1, 1, 1, 1, 8], [0, 0, 1, 0, 0, 0, 0, 0, 0, 1], [0] * 10, [1] * 9 + [9]]
    assert 'href="#cases&amp;q=level%3Amust%20status%3Afail"' in rows[0]
    assert 'href="#cases&amp;q=status%3Awarn"' in rows[3]


def test_cases_are_packed_line_by_line_as_the_file_has_them(page: Page) -> None:
    assert [json.loads(line) for line in page.evidence] == RUN[1:-1]
    assert page.meta["starts"] == [0]
    assert [row[0] for row in page.index] == [record["id"] for record in RUN[1:-1]]
    assert page.index[0] == [
        "put-1/kms", 1, 0, "put", "put-1/kms states a fact", "The mode is wrong.", ["K-1", "K-2"], "x-key x-mode",
    ]  # fmt: skip


def test_many_cases_fall_into_blocks_that_lose_none(tmp_path: Path) -> None:
    cases = [samples.case(f"c-{number}", reason="x" * 900) for number in range(500)]
    records = [{**RUN[0], "planned": [case["id"] for case in cases]}, *cases, RUN[-1]]
    page = render(tmp_path, records)
    starts = page.meta["starts"]
    assert len(starts) > 3
    assert [json.loads(_lines(block)[0])["id"] for block in page.packed[1:]] == [f"c-{start}" for start in starts]
    assert [json.loads(line)["id"] for line in page.evidence] == [row[0] for row in page.index] == records[0]["planned"]


def test_cards_number_the_cases_they_gather(page: Page) -> None:
    assert page.meta["causes"][0] == [1]
    assert sorted(number for members in page.meta["causes"] for number in members) == [1, 3, 6, 7, 8, 9]


def test_what_changed_since_an_earlier_run_comes_second(tmp_path: Path) -> None:
    earlier = samples.write(
        tmp_path / "earlier.jsonl", samples.put(samples.put(RUN, (1, "rung"), "pass"), (2, "id"), "gone")
    )
    page = render(tmp_path, RUN, previous=earlier)
    expected = (
        "Since the run of 2024-01-02T03:04:05Z That run ended: ✕ Not conformant "
        "1 New failures put-1/kms 1 New cases c-pass 1 Removed cases gone"
    )
    assert expected in page.text
    assert page.text.index("Since the run") < page.text.index("Outcomes by level")
    assert page.meta["was"] == {"put-1/kms": "pass"}
    assert page.meta["changes"] == {"new_cases": ["c-pass"], "differently": []}
    same = render(tmp_path, RUN, previous=samples.write(tmp_path / "same.jsonl", RUN))
    assert "Nothing changed since the run of 2024-01-02T03:04:05Z." in same.text


def test_page_text_is_shown_with_every_claimed_sentence_judged(tmp_path: Path) -> None:
    text = tmp_path / "page.txt"
    text.write_text("Writing\nFirst <b>saying</b>. Second saying.\nThird saying.\n", "utf-8")
    records = samples.put(RUN, (0, "clauses", 0, "claims"), [mark("Writing", "First <b>saying</b>.")])
    records[0]["clauses"][1]["claims"] = [mark("Writing", "Third saying."), mark("Writing", "lost")]
    records[0]["pages"] = {"sse-kms": {"title": "SSE", "sections": ["Writing"]}}
    page = render(tmp_path, records, pages=[text])
    assert "2 of 3 claims found their sentence" in page.text
    assert "Writing First <b>saying</b>. K-1 ✕ broken Second saying. Third saying. K-2 ✓ holds" in page.text
    assert 'class="judged broken"' in page.source
    text.write_text("nothing the clauses claim", "utf-8")
    with pytest.raises(ResultsError, match=r"page.txt.*no clause of the results file claims a sentence"):
        render(tmp_path, records, pages=[text])
    with pytest.raises(ResultsError, match=r"nowhere.*cannot be read as text"):
        render(tmp_path, records, pages=[tmp_path / "nowhere"])


@pytest.mark.parametrize("place", [(1, "checks", 0, "subject"), (1, "exchanges", 0, "sent"), (1, "rung"), (1, "cites")])
def test_a_line_that_is_not_of_the_schema_is_named(tmp_path: Path, place: tuple[str | int, ...]) -> None:
    source = tmp_path / "results.jsonl"
    source.write_text("".join(json.dumps(record) + "\n" for record in samples.put(RUN, place, 7)), "utf-8")
    with pytest.raises(ResultsError, match=r"results.jsonl, line 2: case"):
        write_html(source, tmp_path / "report.html")


@pytest.mark.parametrize(
    ("name", "conclusion", "cause"),
    [
        ("reference-server", "conformant", "Nothing is wrong."),
        ("key-id-header-missing", "non-conformant", "header x-obs-server-side-encryption-kms-key-id is absent"),
        ("stores-in-the-clear", "non-conformant", "header x-obs-server-side-encryption is absent"),
        ("copy-forgets-encryption", "non-conformant", "header x-obs-server-side-encryption is absent"),
    ],
)
def test_published_examples_say_what_they_are_examples_of(name: str, conclusion: str, cause: str) -> None:
    example = Page((TEMPLATES.parent / "examples" / f"{name}.html").read_text("utf-8"))
    assert f'<div class="hero {conclusion}">' in example.source
    assert cause in example.text.partition("Root causes")[2]
    assert len(example.evidence) == len(example.index) > 400


@pytest.mark.parametrize("text", ["", "\n", json.dumps(RUN[1]) + "\n"])
def test_a_file_without_a_header_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.jsonl").write_text(text, "utf-8")
    with pytest.raises(ResultsError, match=r"results.jsonl, line 1: the header is missing"):
        write_html(tmp_path / "results.jsonl", tmp_path / "report.html")


def test_a_run_that_was_killed_in_the_middle_of_a_line_is_shown_up_to_there(tmp_path: Path) -> None:
    lines = [json.dumps(record) + "\n" for record in RUN[:3]] + [json.dumps(RUN[3])[:90]]
    (tmp_path / "results.jsonl").write_text("".join(lines), "utf-8")
    write_html(tmp_path / "results.jsonl", tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert [json.loads(line) for line in page.evidence] == RUN[1:3]
    assert "2 of 9 planned cases have a result" in page.text


def test_every_link_leads_somewhere_and_every_id_is_unique(page: Page) -> None:
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    cases = {f"case-{record['id']}" for record in RUN[1:-1]}
    links = {unquote(link.removeprefix("#").partition("&")[0]) for link in page.values("href")}
    assert links <= set(ids) | cases
    assert {"case-put-1/kms", "R1", "c1", "clause-K-1", "erratum-E-01"} <= links
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
    assert {values.get("type", "") for tag, values in page.attributes if tag == "script"} == {
        "application/json", "text/plain", "",
    }  # fmt: skip


def test_headings_descend_by_one_and_tables_name_their_headers(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all("scope" in names for tag, names in page.tags if tag == "th")
    assert {"header", "nav", "main", "footer", "title"} <= {tag for tag, _ in page.tags}
    assert ("html", {"lang": "en"}) in page.attributes


SCRIPTS = {path.name: path.read_text("utf-8") for path in sorted((TEMPLATES / "script").glob("*.js"))}
FAMILIES = {
    "rung_",
    "level_",
    "verdict_",
    "conclusion_",
    "view_",
    "change_",
    "cause_",
    "tab_",
    "form_",
    "why_",
    "check_",
    "observable_",
}


def test_both_languages_have_every_message_with_the_same_values() -> None:
    english, chinese = MESSAGES["en"], MESSAGES["zh"]
    assert list(english) == list(chinese)
    for key, text in english.items():
        assert text.strip()
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", chinese[key])), key
    untranslated = {key for key in english if english[key] == chinese[key]}
    assert untranslated == {"filter_placeholder", "cause_is", "cause_reason", "form_curl", "form_python"}


def test_every_message_that_is_used_is_there_and_every_one_that_is_there_is_used() -> None:
    template = (TEMPLATES / "report.html.j2").read_text("utf-8")
    source = template + "".join(SCRIPTS.values())
    named = set(re.findall(r'\b(?:t|T|label|say)\("(\w+)"[,)]', source)) | set(re.findall(r'"(why_\w+)"', source))
    assert named <= set(MESSAGES["en"])
    left = {
        key for key in MESSAGES["en"]
        if not re.search(rf'["\'(]{re.escape(key.removesuffix("_one"))}["\']', source)
        and not any(key.startswith(family) for family in FAMILIES)
    }  # fmt: skip
    assert left == set()


@pytest.mark.parametrize(("number", "text"), [(1, "1 case"), (2, "2 cases")])
def test_one_of_a_thing_is_said_as_one(number: int, text: str) -> None:
    assert say("cause_count", n=number) == text


def test_script_has_no_way_to_make_markup_of_text() -> None:
    for name, source in SCRIPTS.items():
        found = re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|srcdoc|DOMParser", source
        )
        assert found == [], name


PALETTE = (TEMPLATES / "report.css").read_text(encoding="utf-8")
INKS = ("ink", "quiet", "link")
PAIRS = [(ink, ground) for ink in INKS for ground in ("ground", "panel", "sunk")]
PAIRS += [(tone, f"{tone}-ground") for tone in ("good", "bad", "doubt", "seen", "idle")]
PAIRS += [("ink", f"{tone}-ground") for tone in ("good", "bad", "doubt", "seen", "idle")]
PAIRS += [(tone, "panel") for tone in ("good", "bad", "doubt", "idle")] + [("link", "bad-ground"), ("panel", "ink")]


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_colours_have_contrast_in_light_and_dark(ink: str, ground: str) -> None:
    colours = [
        re.findall(rf"--{name}: light-dark\((#[0-9a-f]{{6}}), (#[0-9a-f]{{6}})\)", PALETTE) for name in (ink, ground)
    ]
    ((inks,), (grounds,)) = colours
    for one, other in zip(inks, grounds, strict=True):
        low, high = sorted((luminance(one), luminance(other)))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_run_that_did_not_finish_says_so_first_and_shows_no_verdict(tmp_path: Path) -> None:
    page = render(tmp_path, RUN[:2])
    assert page.text.startswith("The run did not finish: Example, SSE-KMS 2024")
    body = page.text.partition("Light / dark ■ ")[2]
    assert body.startswith(
        "The run did not finish The run did not finish: 1 of 9 planned cases have a result, and nothing"
    )
    assert "c2 K-2 ? no verdict MUST K-2 is paraphrased The run did not finish. Cases : none" in page.text
    assert "Planned, but without a result c-pass c-warn" in page.text
    assert "Not conformant" not in page.text


PLACES: list[tuple[str | int, ...]] = [
    (0, "target", "name"),
    (0, "target", "endpoint"),
    (0, "target", "region"),
    (0, "target", "without", "post-form"),
    (0, "clauses", 0, "says"),
    (0, "clauses", 0, "causes"),
    (0, "clauses", 0, "section"),
    (0, "errata", 0, "about"),
    (0, "errata", 1, "unprobed"),
    (1, "says"),
    (1, "checks", 1, "subject"),
    (1, "checks", 1, "says"),
    (1, "observations", 0, "step"),
    (1, "observations", 0, "value"),
    (9, "reason"),
    (-1, "headline"),
    (-1, "cleanup", "left", 0),
    (-1, "clauses", "K-3", "reason"),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_hostile_text_is_shown_and_stays_text(tmp_path: Path, place: tuple[str | int, ...]) -> None:
    benign = render(tmp_path, samples.put(RUN, place, "benign"))
    hostile = render(tmp_path, samples.put(RUN, place, HOSTILE))
    assert hostile.tags == benign.tags
    assert visible(HOSTILE).lower() in "".join(hostile.words).lower()
    assert not {"\x00", "\x1b", "\u202e"} & set(hostile.source)


def test_hostile_ids_stay_anchors(tmp_path: Path, page: Page) -> None:
    records = samples.put(RUN, (1, "id"), HOSTILE)
    records[0]["planned"][0] = HOSTILE
    records[0]["errata"][0]["case"] = HOSTILE.partition("/")[0]
    records[-1]["clauses"]["K-1"]["cases"] = [HOSTILE]
    hostile = render(tmp_path, records)
    assert hostile.tags == page.tags
    assert "case-" + visible(HOSTILE) in {unquote(link.removeprefix("#")) for link in hostile.values("href")}


@pytest.mark.parametrize("side", ["sent", "received"])
@pytest.mark.parametrize("part", ["head", "body"])
def test_hostile_evidence_is_packed_out_of_reach(tmp_path: Path, page: Page, side: str, part: str) -> None:
    hostile = render(
        tmp_path, samples.put(RUN, (1, "exchanges", 0, side, part), "</script><script>alert(1)</script>\x00")
    )
    assert hostile.tags == page.tags
    assert "alert(1)" not in hostile.source
    assert "alert(1)" in hostile.evidence[0]
