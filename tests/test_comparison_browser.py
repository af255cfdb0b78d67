"""The matrix of several endpoints in a real browser: its script unpacks, filters, and runs nothing an endpoint sent."""

import pytest
from browser import Reader
from selenium.webdriver.common.keys import Keys

from reports.changed import as_html, changed
from reports.comparison import write_comparison
from reports.model import read_results
from reports.tests import samples
from reports.tests.pages import HOSTILE


@pytest.fixture(scope="module")
def reader():
    reader = Reader()
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run with a hostile failing case, and one in which that case passes."""
    folder = tmp_path_factory.mktemp("runs")
    bad = samples.run()
    bad[1]["says"] = bad[1]["reason"] = bad[1]["checks"][1]["says"] = bad[1]["exchanges"][0]["outcome"] = HOSTILE
    bad[1]["observations"][0]["value"] = HOSTILE
    bad[1]["exchanges"][0]["received"]["head"] = "HTTP/1.1 200 <img src=x onerror=document.title=1>\r\n\r\n"
    good = samples.run()
    good[1] |= {"rung": "pass", "checks": [], "reason": ""}
    good[-1]["clauses"]["K-1"]["verdict"] = "holds"
    return [read_results(samples.write(folder / name, records)) for name, records in (("a", bad), ("b", good))]


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "comparison.html"
    write_comparison(runs, path)
    return path


def opened(reader):
    return reader.until(lambda: reader.all("dialog[open]"), "the exchange")[0]


def test_one_click_on_a_cell_shows_the_exchange_and_hostile_text_stays_text(reader, page):
    reader.open(page)
    reader.one('button[data-run="0"][data-case="put-1/kms"]').click()
    shown = opened(reader).text
    assert "A: put-1/kms, fail" in shown
    assert "PUT /bucket/key HTTP/1.1" in shown
    assert "HTTP/1.1 200 <img src=x onerror=document.title=1>" in shown
    assert reader.fragment == "#open=A+put-1/kms"
    assert reader.all("img") == []
    assert reader.driver.title == "Comparison of 2 runs"
    assert reader.complaints() == []


def test_a_link_opens_what_was_open_and_the_keyboard_closes_it(reader, page):
    reader.open(page, "open=B+put-1%2Fkms")
    assert "B: put-1/kms, pass" in opened(reader).text
    reader.press(Keys.ESCAPE)
    reader.until(lambda: not reader.all("dialog[open]"), "closed")
    reader.until(lambda: reader.fragment == "", "forgotten")


def test_a_clause_opens_its_cases_from_the_keyboard(reader, page):
    reader.open(page)
    more = reader.one("#clause-K-1 .more")
    assert not any(row.is_displayed() for row in reader.all("#clause-K-1 .case"))
    more.send_keys(Keys.ENTER)
    assert more.get_attribute("aria-expanded") == "true"
    assert all(row.is_displayed() for row in reader.all("#clause-K-1 .case"))


def test_filters_stand_in_the_link(reader, page):
    reader.open(page)
    reader.one("#filter").send_keys("k-1")
    reader.one("#only").click()
    assert reader.one("#shown").text == "1 of 3 clauses"
    assert reader.fragment == "#filter=k-1&only=1"
    reader.open(page, "only=1")
    assert [row.get_attribute("id") for row in reader.all("#matrix tbody") if row.is_displayed()] == [
        "clause-K-1",
        "clause-K-2",
    ]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("fragment", ["", "open=A+put-1%2Fkms"])
def test_axe_finds_nothing_wrong_with_the_matrix(reader, page, fragment, dark):
    reader.dark(dark)
    reader.open(page, fragment)
    if fragment:
        opened(reader)
    assert reader.violations() == []


def test_axe_finds_nothing_wrong_with_what_changed(reader, runs, tmp_path):
    path = tmp_path / "changed.html"
    path.write_text(as_html(changed(*reversed(runs))), "utf-8")
    reader.driver.get(path.as_uri())
    assert reader.one("h1").text == "What changed at Example"
    assert reader.violations() == []
