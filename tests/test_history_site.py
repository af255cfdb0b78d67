"""The site over the history, live: every page over HTTP and in Chromium, with hostile results files, and the upload."""

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import urllib.parse

import postgresql
import pytest
import sqlalchemy as sa
from browser import Reader
from commands import BIN, heed_sigint

from conformance import history_command
from reports.history.store import open_store
from reports.tests import samples
from reports.tests.pages import HOSTILE

TOKEN = "a-token-that-nobody-else-knows"
ODD = "../a//b?c=d&e#f%2F/<i>'\"/"
CANARY = "canary-secret-7f3a"


HEADER, CASE, *_, FOOTER = (json.dumps(record).encode() + b"\n" for record in samples.run())


def hostile(day, rung):
    """A run with markup in every text that an endpoint or a case file can choose."""
    records = samples.run()
    header, case = records[0], records[1]
    header["started"] = f"2024-01-{day:02}T03:04:05Z"
    header["target"] |= {"name": HOSTILE, "endpoint": f"javascript:{HOSTILE}"}
    header["profile"]["name"] = header["suite"]["version"] = records[-1]["headline"] = HOSTILE
    header["clauses"][0]["says"] = HOSTILE
    case |= {"id": ODD, "says": HOSTILE, "reason": HOSTILE * 200, "rung": rung}
    header["planned"][0] = ODD
    case["checks"][1] |= {"says": HOSTILE, "got": HOSTILE, "wanted": HOSTILE, "subject": HOSTILE}
    case["exchanges"][0] |= {"outcome": HOSTILE, "step": HOSTILE}
    case["exchanges"][0]["received"]["head"] = f"HTTP/1.1 200 {HOSTILE[:-1]}\r\nLong: {'y' * 100_000}\r\n\r\n"
    return records


class Site:
    """A running site, asked over one connection at a time."""

    def __init__(self, url, digests):
        self.url, self.digests = url, digests
        self.address = urllib.parse.urlsplit(url).netloc

    def ask(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer, data.decode()

    @property
    def pages(self):
        quoted = urllib.parse.quote(ODD, safe="")
        run = self.digests[0]
        _, overview = self.ask("/runs")
        key = re.search(r"/endpoint\?id=(\w{16})", overview)[1]
        return [
            "/", "/runs", f"/endpoint?id={key}", "/clause?id=K-1", f"/case?id={quoted}", f"/run?id={run}",
            f"/evidence?run={run}&case={quoted}", f"/changed?old={run}&new={self.digests[1]}", "/changed", "/flipping", "/slowest",
            "/search", "/search?q=put", f"/search?q={urllib.parse.quote(HOSTILE)}", "/nowhere", "/run?id=0", f"/changed?old={quoted}&new=x",
        ]  # fmt: skip


@contextlib.contextmanager
def serving(*arguments, program=(BIN / "obs-conformance",), **variables):
    """The address of a site that runs, and a list that holds afterwards what it said."""
    process = subprocess.Popen(
        [*program, "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
        preexec_fn=heed_sigint,
    )
    said = []
    try:
        yield process.stdout.readline().strip(), said
    finally:
        process.send_signal(signal.SIGINT)
        said += process.communicate(timeout=60)
    assert "Traceback" not in "".join(said)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    store = open_store(str(folder / "h.db"))
    digests = [
        store.add(samples.write(folder / f"{day}.jsonl", hostile(day, "fail" if day % 2 else "pass"))).digest
        for day in range(1, 13)
    ]
    store.close()
    options = ("--store", folder / "h.db", "--bind", "127.0.0.1:0", "--upload-token-env", "T")
    with serving(*options, T=TOKEN) as (url, said):
        yield Site(url, digests)
    assert TOKEN not in "".join(said)


@pytest.fixture(scope="module")
def reader():
    reader = Reader()
    yield reader
    reader.close()


def test_every_page_answers_strictly_and_escapes_what_results_say(site):
    statuses = []
    for path in site.pages:
        answer, text = site.ask(path)
        statuses.append(answer.status)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "<script" not in text.lower()
        assert "<img" not in text.lower()
        assert "javascript:" not in "".join(re.findall(r'href="[^"]*"', text))
        assert TOKEN not in text
    assert statuses == [200] * 14 + [404, 404, 200]


def test_links_lead_where_they_say_even_with_odd_ids(site):
    seen, left = set(), ["/"]
    while left:
        path = left.pop()
        seen.add(path)
        answer, text = site.ask(path)
        assert answer.status == 200, path
        found = {link.replace("&amp;", "&") for link in re.findall(r'href="(/[^"]+)"', text)}
        left += sorted(link for link in found if link not in seen and link not in left and len(seen) < 60)
    assert any(path.startswith("/evidence") for path in seen)
    assert any(urllib.parse.quote(ODD, safe="") in path for path in seen)


def test_the_site_only_reads_but_for_the_upload(site):
    for path in ("/", "/run", "/search"):
        for method in ("POST", "PUT", "DELETE"):
            assert site.ask(path, method)[0].status == 405


def test_another_name_that_leads_to_loopback_is_not_served(site):
    assert site.ask("/", Host="evil.example")[0].status == 421
    assert site.ask("/", Host=f"localhost:{site.address.rpartition(':')[2]}")[0].status == 200


def test_no_visitor_learns_where_the_store_is_and_the_log_has_no_password(tmp_path):
    with postgresql.running() as make:
        store = f"{make()}&password=hunter2"
        open_store(store, str(tmp_path / "evidence"), given=False).close()
        with serving("--store", "env:HISTORY", "--bind", "127.0.0.1:0", HISTORY=store) as (url, said):
            site = Site(url, [])
            unknown = [site.ask(f"/changed?old={old}&new=x") for old in ("%00", "abcd%00", "@%00")]
            engine = sa.create_engine(store.replace("postgresql:", "postgresql+psycopg:"))
            with engine.begin() as connection:
                connection.execute(sa.text("drop table endpoints cascade"))
            engine.dispose()
            answer, text = site.ask("/")
    for known, page in unknown:
        assert known.status == 200
        assert "no run is meant by" in page
    assert answer.status == 503
    assert "does not serve at the moment" in text
    for shown in (text, *(page for _, page in unknown)):
        assert not re.search("hunter2|postgres|history_|endpoints.*exist", shown)
    assert "postgresql+psycopg:///history_" in said[1]
    assert "endpoints" in said[1]
    assert "hunter2" not in "".join(said)


@pytest.mark.parametrize(
    "shown", [None, "", "Bearer", "Bearer wrong", TOKEN, f"bearer {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xff"]
)
def test_an_upload_without_the_token_is_refused(site, shown):
    before = site.ask("/runs")[1]
    body = "".join(json.dumps(record) + "\n" for record in samples.run())
    answer, text = site.ask("/api/runs", "POST", body, **({} if shown is None else {"Authorization": shown}))
    assert answer.status == 401
    assert TOKEN not in text
    assert site.ask("/runs")[1] == before


def test_an_upload_is_in_the_history_once(site):
    records = samples.run()
    records[0]["target"]["name"] = "Uploaded"
    body = "".join(json.dumps(record) + "\n" for record in records)
    answers = [site.ask("/api/runs", "POST", body, Authorization=f"Bearer {TOKEN}") for _ in range(2)]
    assert [answer.status for answer, _ in answers] == [201, 200]
    digest = json.loads(answers[0][1])["run"]
    assert "Uploaded" in site.ask(f"/run?id={digest}")[1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "header is missing"),
        (b"{]\n", "not JSON"),
        (b'{"kind": "header", "format": 99}\n', "format version: 99"),
        (HEADER + b'{"kind": []}\n' + FOOTER, "unknown kind of line: []"),
        (HEADER + CASE.replace(b"12.5", b"1" * 400) + FOOTER, "too many digits"),
        (HEADER + CASE + b'{"kind": "footer", "x": ' + b"[" * 100_000, "did not finish"),
        (HEADER + CASE[:-2] + b', "x": ' + b"[" * 101 + b"]" * 101 + b"}\n" + FOOTER, "too deep"),
    ],
    ids=["empty", "no JSON", "format", "kind", "digits", "deep end", "deep member"],
)
def test_an_upload_that_is_no_results_file_is_told_why(site, body, said):
    answer, text = site.ask("/api/runs", "POST", body, Authorization=f"Bearer {TOKEN}")
    assert answer.status == 400
    assert said in json.loads(text)["error"]
    assert "/tmp" not in text


def test_the_history_holds_only_what_the_results_file_holds(tmp_path, monkeypatch):
    """A secret of the environment stands nowhere: neither plain, nor encoded, nor inside what is compressed."""
    monkeypatch.setenv("OBS_SECRET_ACCESS_KEY", CANARY)
    store = open_store(str(tmp_path / "h.db"))
    digest = store.add(samples.write(tmp_path / "r.jsonl", samples.run())).digest
    with store.reading() as connection:
        dump = "\n".join(connection.connection.driver_connection.iterdump())
    assert digest in dump
    store.close()
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for spelling in (CANARY.encode(), base64.b64encode(CANARY.encode())):
        assert not any(spelling in data for data in files)
    assert CANARY not in dump


TWO_ADDRESSES = """
import socket, sys
from conformance.cli import main
one = socket.getaddrinfo
socket.getaddrinfo = lambda host, *a, **k: [
    found for name in (("127.0.0.1", "127.0.0.2") if host == "localhost" else (host,)) for found in one(name, *a, **k)
]
sys.exit(main(sys.argv[1:]))
"""


def test_a_name_with_two_addresses_is_served_at_both(tmp_path):
    program = (sys.executable, "-c", TWO_ADDRESSES)
    with serving("--store", tmp_path / "h.db", "--bind", "localhost:0", program=program) as (url, _):
        assert Site(url.replace("localhost", "127.0.0.1"), []).ask("/")[0].status == 200
    assert url.startswith("http://localhost:")


def test_the_address_that_is_printed_answers_whichever_of_loopback_it_is(tmp_path):
    with serving("--store", tmp_path / "h.db", "--bind", "127.0.0.2:0") as (url, _):
        site = Site(url, [])
        assert url.startswith("http://127.0.0.2:")
        assert [site.ask("/")[0].status, site.ask("/", Host="evil.example")[0].status] == [200, 421]


def test_a_site_without_uploads_takes_no_large_body_from_anybody(site, tmp_path):
    with serving("--store", tmp_path / "h.db", "--bind", "127.0.0.1:0") as (url, _):
        assert Site(url, []).ask("/api/runs", "POST", Content_Length="100000")[0].status == 413
        assert Site(url, []).ask("/api/runs", "POST", b"x")[0].status == 403
    assert site.ask("/api/runs", "POST", b"x" * 100_000)[0].status == 401


def test_a_site_with_uploads_holds_few_bodies_at_once():
    assert history_command._limits(TOKEN) == {"max_request_body_size": (256 << 20) + 1, "connection_limit": 20}


@pytest.mark.parametrize("bind", ["8080", "nowhere", "127.0.0.1:x", "127.0.0.1:99999", "a..b:8081", "[::zz]:8081"])
def test_an_address_that_is_none_is_said_in_one_line(command, bind):
    done = command("serve", "--store", "h.db", "--bind", bind)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "HOST:PORT" in done.stderr


@pytest.mark.parametrize(
    ("token", "said"), [("short-token", "16 characters"), ("long-enough-tökén", "ASCII"), (f"{TOKEN} ", "ASCII")]
)
def test_a_token_that_is_short_or_that_no_header_carries_is_refused_and_not_shown(command, token, said):
    done = command("serve", "--store", "h.db", "--upload-token-env", "T", env=os.environ | {"T": token})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
    assert token.strip() not in done.stderr


@pytest.mark.parametrize("dark", [False, True])
def test_axe_and_the_console_find_nothing_wrong(site, reader, dark):
    """Each template in light; in dark those that show every colour."""
    reader.dark(dark)
    for path in [site.pages[number] for number in ((0, 6) if dark else (0, 2, 4, 5, 6, 7, 12))]:
        reader.driver.get(site.url + path)
        assert reader.all("h1"), path
        assert reader.violations() == [], path
        assert reader.complaints() == [], path
        assert reader.all("img") == []
        assert not reader.script("return Boolean(window.hacked)")


def test_the_keyboard_reaches_the_content_and_a_narrow_window_holds_it(site, reader):
    reader.driver.get(f"{site.url}/")
    reader.press("\ue004")
    assert reader.script("return document.activeElement.className") == "skip"
    for path in ("/", f"/run?id={site.digests[0]}"):
        reader.driver.get(site.url + path)
        assert reader.width_at(400) <= 400
