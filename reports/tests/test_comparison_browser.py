"""The matrix in a real browser: its script unpacks the evidence, filters, and runs nothing that an endpoint sent.

Needs Debian's Chromium.  Every state has a link of its own, so that a link and the page's structure after it are all it takes.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from reports.comparison import write_comparison
from reports.model import read_results
from reports.tests import samples
from reports.tests.pages import HOSTILE

if TYPE_CHECKING:
    from pathlib import Path


def opened(folder: Path, link: str) -> str:
    """The structure of the page after its script ran for that link."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--virtual-time-budget=5000", "--dump-dom", f"{(folder / 'c.html').as_uri()}#{link}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("browser")
    bad = samples.run()
    bad[1]["says"] = bad[1]["reason"] = bad[1]["checks"][1]["says"] = bad[1]["exchanges"][0]["outcome"] = HOSTILE
    bad[1]["exchanges"][0]["received"]["head"] = "HTTP/1.1 200 <img src=x onerror=document.title=1>\r\n\r\n"
    good = samples.run()
    good[1] |= {"rung": "pass", "checks": [], "reason": ""}
    good[-1]["clauses"]["K-1"]["verdict"] = "holds"
    runs = [read_results(samples.write(made / name, records)) for name, records in (("a", bad), ("b", good))]
    write_comparison(runs, made / "c.html")
    return made


def test_a_link_opens_the_exchange_of_a_cell_and_hostile_text_stays_text(folder: Path) -> None:
    page = opened(folder, "open=A+put-1%2Fkms")
    dialog = page[page.index("<dialog") : page.index("</dialog>")]
    assert 'open=""' in dialog
    assert "A: put-1/kms, fail</h2>" in dialog
    assert "<pre>PUT /bucket/key HTTP/1.1\nHost: h" in dialog
    assert "HTTP/1.1 200 &lt;img src=x onerror=document.title=1&gt;" in dialog
    assert "<img" not in page
    assert "<title>Comparison of 2 runs</title>" in page


def test_filters_stand_in_the_link(folder: Path) -> None:
    page = opened(folder, "only=1&filter=k-1")
    assert '<span id="shown" role="status">1 of 3 clauses</span>' in page
    assert '<tbody class="differs" id="clause-K-1">' in page
    assert '<tbody class="" id="clause-K-3" hidden="">' in page
    assert '<dialog id="exchange" aria-labelledby="exchange-title"><form' in page
