"""The report as its readers use it, in a real browser."""

import json
import os
import re
import socketserver
import subprocess
import sys
import threading
import tomllib

import pytest
from browser import Reader
from commands import BIN, reference_server
from selenium.webdriver.common.keys import Keys

SAMPLES = ("KMS-SAMPLE-001", "KMS-SAMPLE-002", "KMS-SAMPLE-003", "KMS-SAMPLE-004")
FAILING = "KMS-SAMPLE-001"
REPRODUCED = {"obs": SAMPLES, "obs-s3": ("KMS-SAMPLE-001", "KMS-SAMPLE-004", "KMS-AUTH-007")}
"""By dialect: the samples; or one signed by header, one by URL, and a case with a date in a header of its own."""
FORMS = ("curl", "raw", "python", "yaml")
PAGE = "Newly Added Headers\nNobody claims this.\n"


@pytest.fixture(scope="module")
def reader():
    reader = Reader()
    yield reader
    reader.close()


def conformance(*arguments, cwd, env=None):
    done = subprocess.run(
        [BIN / "obs-conformance", *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=120, env=env
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def wrong_server(tmp_path_factory):
    """A server that names no key in its answers, still running, and what it did to four areas."""
    folder = tmp_path_factory.mktemp("wrong")
    with reference_server(folder, "--defect", "key-id-header-missing") as (target, _):
        out = folder / "out"
        selected = [word for name in ("SAMPLE", "copy", "responses", "KMS-PUT-01") for word in ("--select", name)]
        conformance("run", "--target", target, "--out", out, *selected, cwd=folder)
        yield target, out


@pytest.fixture
def report(wrong_server):
    return wrong_server[1] / "report.html"


def results(folder):
    lines = map(json.loads, (folder / "results.jsonl").read_text("utf-8").splitlines())
    return {line["id"]: line for line in lines if line["kind"] == "case"}


def test_the_conclusion_is_what_one_sees_first(reader, report):
    reader.open(report)
    assert reader.view == "overview"
    assert reader.one(".conclusion").text == "Not conformant"
    assert [card.get_attribute("id") for card in reader.all(".cause")] == ["R1"]
    assert "header x-obs-server-side-encryption-kms-key-id is absent" in reader.one("#R1 h3").text
    assert reader.complaints() == []


def test_one_defect_is_one_card_and_its_list_has_every_case_in_trouble(reader, report, wrong_server):
    troubled = [
        name
        for name, case in results(wrong_server[1]).items()
        if case["rung"] in {"fail", "warn", "setup_failed", "blocked"}
    ]
    reader.open(report)
    reader.one("#R1 .all a").click()
    reader.until(lambda: reader.one("#found").text == f"{len(troubled)} of {len(results(wrong_server[1]))} cases")
    assert reader.fragment == "#cases&q=cause:R1"


def test_a_filter_lives_in_the_fragment_and_shows_what_it_says(reader, report, wrong_server):
    reader.open(report)
    reader.one("nav.views a[href='#cases']").click()
    reader.one("#query").send_keys("status:fail header:kms-key-id -area:copy")
    expected = [
        name for name, case in results(wrong_server[1]).items()
        if case["rung"] == "fail" and case["area"] != "copy" and any("kms-key-id" in check["subject"] for check in case["checks"])
    ]  # fmt: skip
    assert expected
    reader.until(lambda: reader.one("#found").text.startswith(f"{len(expected)} of"))
    assert [name for name, _ in reader.rows()] == expected[: len(reader.rows())]
    assert {outcome for _, outcome in reader.rows()} == {"fail"}
    assert reader.fragment == "#cases&q=status:fail header:kms-key-id -area:copy"
    reader.open(report, 'cases&q=clause:S44,S46 "bucket"')
    assert reader.one("#query").get_attribute("value") == 'clause:S44,S46 "bucket"'
    reader.open(report, "cases&q=colour:red")
    assert "There is no field colour" in reader.one("#found").text


def test_everything_can_be_reached_by_keyboard(reader, report):
    reader.open(report)
    reader.press("/")
    reader.until(lambda: reader.script("return document.activeElement.id") == "query")
    reader.press("status:fail")
    reader.until(lambda: reader.fragment == "#cases&q=status:fail")
    first, second = (name for name, _ in reader.rows()[:2])
    reader.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    reader.until(lambda: second in reader.one("#detail").text)
    assert reader.fragment == f"#case-{second}&q=status:fail"
    assert reader.script("return document.activeElement.id") == "case-title"
    reader.one("#tab-verdict").send_keys(Keys.ARROW_RIGHT)
    reader.until(lambda: reader.script("return document.activeElement.id") == "tab-wire")
    assert reader.fragment == f"#case-{second}&tab=wire&q=status:fail"
    assert "Authorization: OBS" in reader.one("#panel").text
    reader.script("document.querySelector('.row[tabindex=\"0\"]').focus()")
    reader.press(Keys.END, Keys.HOME, Keys.ENTER)
    reader.until(lambda: reader.fragment.startswith(f"#case-{first}&q="))


def test_a_failure_leads_to_the_clause_it_breaks_and_marks_the_line(reader, report):
    reader.open(report)
    reader.one("#R1 .facts + p .chip").click()
    reader.until(lambda: reader.one("#case-title").text)
    assert reader.view == "cases"
    marked = reader.one("#panel mark").text
    assert "(no such line) x-obs-server-side-encryption-kms-key-id" in marked
    assert "NOT MET" in marked
    clause = reader.one("#panel tr.unmet .chip").text
    reader.one("#panel tr.unmet .chip").click()
    reader.until(lambda: reader.view == "page")
    landed = reader.one(".arrived")
    assert landed.get_attribute("id") == f"clause-{clause}"
    assert "✕ broken" in landed.text
    assert reader.script(
        "const box = arguments[0].getBoundingClientRect(); return box.top >= 0 && box.top < innerHeight", landed
    )


@pytest.mark.parametrize(
    ("fragment", "view", "shown"),
    [("3", "cases", "No. 3"), ("R1", "overview", "R1"), ("c3", "page", "c3"), ("run", "run", "Cost")],
)
def test_a_number_said_on_the_phone_leads_to_its_row(reader, report, fragment, view, shown):
    reader.open(report, fragment)
    assert reader.view == view
    reader.until(lambda: shown in reader.one(f"#{view}").text)


def test_both_languages_are_whole(reader, report):
    reader.case(report, FAILING, "explain")
    messages = reader.script("return META.messages")
    reader.one("#language").click()
    assert reader.script("return document.documentElement.lang") == "zh-Hans"
    shown = reader.script(
        "return [...document.querySelectorAll('[data-t]')].map((node) => [node.dataset.t, node.dataset.a || '{}', node.textContent])"
    )
    assert len(shown) > 100
    for key, values, text in shown:
        filled = json.loads(values)
        assert text == re.sub(r"\{(\w+)\}", lambda match, filled=filled: str(filled[match[1]]), messages["zh"][key])
    reader.until(lambda: reader.one("#tab-explain").text == messages["zh"]["tab_explain"])
    assert messages["zh"]["consequence"] in reader.one("#panel").text
    reader.one("#language").click()
    reader.until(lambda: reader.one("#tab-explain").text == "Explain")


@pytest.fixture(scope="module")
def small_report(wrong_server):
    """The same report with a handful of clauses, questions and cases: every kind of thing on the page, few of each."""
    header, *cases, footer = map(json.loads, (wrong_server[1] / "results.jsonl").read_text("utf-8").splitlines())
    verdicts = {name: result["verdict"] for name, result in footer["clauses"].items()}
    few = [
        clause
        for verdict in sorted(set(verdicts.values()))
        for clause in header["clauses"]
        if verdicts[clause["id"]] == verdict
    ]
    header["clauses"] = few[:2] + few[len(few) // 2 :][:3] + few[-2:]
    header["errata"] = header["errata"][:4]
    header["target"]["without"] = {"post-form": "not offered"}
    header["doctor"] = [{"check": "clock", "state": "good", "says": "0.1 s off"}]
    kept = sorted(cases, key=lambda case: "SAMPLE" not in case["id"])[:40]
    folder = wrong_server[1].parent / "small"
    folder.mkdir()
    text = "\n".join(map(json.dumps, [header, *kept, footer]))
    (folder / "results.jsonl").write_text(text, "utf-8")
    conformance("report", "results.jsonl", "--previous", wrong_server[1] / "results.jsonl", cwd=folder)
    return folder / "report.html"


TABS = [f"case-{FAILING}&tab={tab}" for tab in ("verdict", "wire", "reproduce", "explain", "history")]


@pytest.mark.parametrize(
    ("fragment", "dark"),
    [(fragment, False) for fragment in ("overview", "page", "cases&q=status:fail", "open", "run", *TABS)]
    + [(fragment, True) for fragment in ("overview", "page", *TABS[:2])],
)
def test_axe_finds_nothing_wrong(reader, small_report, fragment, dark):
    reader.dark(dark)
    reader.open(small_report, fragment)
    if fragment.startswith("case-"):
        reader.one("#case-title")
    assert reader.violations() == []


@pytest.mark.parametrize("fragment", ["overview", "page", f"case-{FAILING}", f"case-{FAILING}&tab=wire"])
def test_main_views_fit_two_widths(reader, report, fragment):
    """Their pictures are kept as artefacts of the tests; nothing runs out of the page sideways."""
    reader.dark(False)
    reader.open(report, fragment)
    for width in (1400, 480):
        reader.screenshot(re.sub(r"\W+", "-", fragment), width)
        assert reader.width_at(width) <= width


@pytest.fixture(scope="module")
def samples_fail(request, tmp_path_factory):
    """A server on which every sample comes to its last request and fails there, still running, in either dialect."""
    folder = tmp_path_factory.mktemp("samples")
    with reference_server(folder, "--defect", "id-2-missing") as (target, _):
        spoken = target.read_text("utf-8").replace('dialect = "obs"', f'dialect = "{request.param}"')
        target.write_text(spoken.replace('profile = "sse-kms-2024-01"\n', ""), "utf-8")
        names = REPRODUCED[request.param]
        selected = [word for name in names for word in ("--select", name)]
        conformance("run", "--target", target, "--out", folder / "out", *selected, cwd=folder)
        yield target, folder / "out", names


@pytest.mark.parametrize(
    ("samples_fail", "form"),
    [("obs", form) for form in FORMS] + [("obs-s3", form) for form in FORMS[:3]],
    indirect=["samples_fail"],
)
def test_a_copied_reproduction_does_again_what_the_run_saw(reader, samples_fail, form, tmp_path):
    target, out, names = samples_fail
    recorded = results(out)
    copied = {}
    for name in names:
        reader.case(out / "report.html", name, "reproduce")
        reader.one(f"[data-form={form}]").click()
        reader.one(".code .copy").click()
        reader.until(lambda: reader.one(".code .copy").text == "Copied")
        copied[name] = reader.clipboard()
    owner = tomllib.loads(target.read_text("utf-8"))["identities"]["owner"]
    env = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "OBS_ACCESS_KEY_ID": owner["access_key"], "OBS_SECRET_ACCESS_KEY": owner["secret_key"],
    }  # fmt: skip
    for name, text in copied.items():
        assert owner["secret_key"] not in text
        if form == "yaml":
            (tmp_path / "case.yaml").write_text(text, "utf-8")
            conformance("run", "--cases", "case.yaml", "--target", target, "--out", tmp_path / name, cwd=tmp_path)
            assert results(tmp_path / name)[name]["rung"] == recorded[name]["rung"]
            continue
        command = [sys.executable, "-c", text] if form == "python" else ["bash", "-c", text]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, env=env)
        assert done.returncode == 0, done.stderr
        printed = [part for part in done.stdout.split("== ") if re.match("setup|control|step", part)]
        assert [answered(part) for part in printed] == [
            answered(exchange["received"]["head"]) for exchange in recorded[name]["exchanges"]
        ]


def answered(text):
    """The final status in what a client printed, and the vendor's headers."""
    found = re.findall(r"(?:^|\n)(?:HTTP/1\.1| )\s*(\d{3}) ", text)
    return found[-1], set(re.findall(r"^x-(?:obs|amz)-[\w-]+(?=:)", text.lower(), re.MULTILINE))


ATTACK = "<script>window.broken=1</script><img src=x onerror=window.broken=1></pre>"


class Hostile(socketserver.StreamRequestHandler):
    """Answers everything with markup wherever HTTP has room for text."""

    def handle(self):
        while True:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = self.rfile.readline()
                if not line:
                    return
                head += line
            size = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            self.rfile.read(int(size[1]) if size else 0)
            body = f"<Error><Code>{ATTACK}</Code></Error>{ATTACK}</script><!--\x00\u202e".encode()
            named = f"x-{ATTACK.replace(' ', '')}: 1\r\n" if head.startswith(b"DELETE") else ""
            length = 0 if head.startswith(b"HEAD") else len(body)
            self.wfile.write(
                f'HTTP/1.1 200 {ATTACK}\r\nETag: "{ATTACK}"\r\nx-obs-server-side-encryption: {ATTACK}\r\n'
                f"{named}Content-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n".encode("latin-1")
                + body[:length]
            )


def test_nothing_an_endpoint_sends_becomes_markup_or_script(reader, tmp_path):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Hostile) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        env = {**os.environ, "OBS_ACCESS_KEY_ID": "A", "OBS_SECRET_ACCESS_KEY": "known-to-nobody"}
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        conformance(
            "run",
            "--no-doctor",
            "--endpoint",
            endpoint,
            "--out",
            "out",
            "--select",
            "SAMPLE",
            "--select",
            "KMS-RESP-00",
            cwd=tmp_path,
            env=env,
        )
        server.shutdown()
    page = tmp_path / "out" / "report.html"
    received = [exchange["received"] for case in results(tmp_path / "out").values() for exchange in case["exchanges"]]
    assert any(ATTACK in message["head"] and ATTACK in message["body"] for message in received)
    reader.open(page)
    ours = len(reader.all("script"))
    for name, case in results(tmp_path / "out").items():
        for tab in ("verdict", "wire", "reproduce", "explain") if case["exchanges"] else ("verdict",):
            reader.script("location.hash = arguments[0]", f"case-{name}&tab={tab}")
            reader.until(
                lambda name=name, tab=tab: (
                    name in reader.one("#detail").text and reader.all(f"#tab-{tab}[aria-selected=true]")
                )
            )
            assert (len(reader.all("script")), reader.all("img"), reader.script("return window.broken")) == (
                ours,
                [],
                None,
            )
        if case["exchanges"]:
            reader.script("location.hash = arguments[0]", f"case-{name}&tab=wire")
            reader.until(lambda: "window.broken=1" in reader.one("#panel").text)
    reader.open(page, ATTACK)
    assert (reader.view, reader.all("img")) == ("overview", [])
    reader.open(page, f"cases&q={ATTACK}")
    assert (reader.one("#query").get_attribute("value"), reader.all("img")) == (ATTACK, [])
    assert reader.complaints() == []


def test_only_the_rows_in_sight_are_drawn(reader, wrong_server, tmp_path):
    header, *lines = (wrong_server[1] / "results.jsonl").read_text("utf-8").splitlines()
    case = json.loads(lines[0]) | {"exchanges": [], "checks": [], "observations": []}
    many = [case | {"id": f"MANY-{number}", "says": f"fact {number}"} for number in range(20000)]
    (tmp_path / "results.jsonl").write_text("\n".join([header, *map(json.dumps, many), lines[-1]]), "utf-8")
    assert conformance("report", tmp_path / "results.jsonl", cwd=tmp_path).returncode == 0
    reader.open(tmp_path / "report.html", "cases")
    assert 5 < len(reader.all(".row")) < 60
    reader.script("document.getElementById('rows').scrollTop = 1e9")
    reader.until(lambda: reader.rows()[-1][0] == "MANY-19999")
    assert len(reader.all(".row")) < 60
    reader.one("#query").send_keys('"fact 1234"')
    reader.until(
        lambda: [name for name, _ in reader.rows()] == ["MANY-1234", *(f"MANY-1234{digit}" for digit in range(10))]
    )


def test_a_page_of_ones_own_is_refused_with_a_reason_when_no_clause_claims_it(wrong_server, tmp_path):
    (tmp_path / "page.txt").write_text(PAGE, "utf-8")
    done = conformance(
        "report", wrong_server[1] / "results.jsonl", "--page", "page.txt", "--out", tmp_path / "x", cwd=tmp_path
    )
    assert (done.returncode, "page.txt" in done.stderr, "no clause" in done.stderr) == (2, True, True)
    done = conformance(
        "report",
        wrong_server[1] / "results.jsonl",
        "--previous",
        "nowhere.jsonl",
        "--out",
        tmp_path / "x",
        cwd=tmp_path,
    )
    assert (done.returncode, "nowhere.jsonl" in done.stderr) == (2, True)
