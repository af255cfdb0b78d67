"""Debian's Chromium as a reader of the report."""

import base64
import time
from pathlib import Path

from commands import ROOT, from_npm
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

SCREENSHOTS = ROOT / "build" / "screenshots"
PATIENCE_S = 20


class Reader:
    """Opens report pages and says what is on them; whatever the page does wrong in the console is kept."""

    def __init__(self):
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.execute_cdp_cmd(
            "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
        )

    def close(self):
        self.driver.quit()

    def open(self, page, fragment=""):
        """Open a page afresh and wait until its rows are there."""
        self.driver.get("about:blank")
        self.driver.get(f"{Path(page).as_uri()}#{fragment}")
        self.until(lambda: self.script("return document.documentElement.dataset.ready") == "yes")
        if self.script("return document.documentElement.lang") != "en":
            self.one("#language").click()

    def script(self, source, *values):
        return self.driver.execute_script(source, *values)

    def until(self, holds, what="what was waited for"):
        """Wait until something holds; returns what it gave."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                found = holds()
            except StaleElementReferenceException:
                found = None
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"not in {PATIENCE_S} s: {what}")

    def one(self, selector):
        return self.until(lambda: self.driver.find_elements(By.CSS_SELECTOR, selector), selector)[0]

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def press(self, *keys):
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    @property
    def fragment(self):
        return self.script("return decodeURIComponent(location.hash)")

    @property
    def view(self):
        return self.script("return [...document.querySelectorAll('main > .view')].find((node) => !node.hidden).id")

    def rows(self):
        """Id and outcome of every row that is drawn."""
        return self.script(
            "return [...document.querySelectorAll('.row')].map((row) =>"
            " [row.querySelector('.name').textContent, row.querySelector('.badge').textContent.slice(2)])"
        )

    def case(self, page, name, tab="verdict"):
        """Open a case on one of its tabs."""
        self.open(page, f"case-{name}&tab={tab}")
        self.until(lambda: name in self.one("#case-title").text, name)

    def clipboard(self):
        return self.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])")

    def dark(self, wanted):
        scheme = {"name": "prefers-color-scheme", "value": "dark" if wanted else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def violations(self):
        """What axe-core finds wrong, as (rule, first node)."""
        if not self.script("return Boolean(window.axe)"):
            # The page's policy forbids foreign scripts, so axe comes in through the debugger, which it does not bind.
            self.driver.execute_cdp_cmd(
                "Runtime.evaluate", {"expression": from_npm("axe-core/axe.min.js").read_text("utf-8")}
            )
        found = self.driver.execute_async_script(
            "axe.run(document, {resultTypes: ['violations']}).then((found) => arguments[0](found.violations))"
        )
        return [(item["id"], item["nodes"][0]["html"][:200], item["nodes"][0]["failureSummary"]) for item in found]

    def complaints(self):
        """What the console holds against the page."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]

    def screenshot(self, name, width, height=1200):
        self._resize(width, height)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        data = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"]
        (SCREENSHOTS / f"{name}-{width}.png").write_bytes(base64.b64decode(data))
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def width_at(self, width):
        """How wide the document is in a window of that width."""
        self._resize(width, 1200)
        found = self.script("return document.documentElement.scrollWidth")
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        return found

    def _resize(self, width, height):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
