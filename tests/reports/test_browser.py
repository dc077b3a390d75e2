"""The report in a real browser: from the overview to one reply, and hostile replies stay text."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from tests.reports.hostile import HOSTILE
from tests.reports.serving import served

pytestmark = pytest.mark.browser
WAIT = 60_000
"""Milliseconds that a page may take on a busy machine."""


def chromium_path() -> str | None:
    """Return the machine's Chromium; None where there is none."""
    named = [os.environ.get("HARNESS_CHROMIUM"), *map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))]
    return next((path for path in named if path and Path(path).exists()), None)


@pytest.fixture(scope="module")
def browser():
    required = os.environ.get("HARNESS_REQUIRE_BROWSER") == "1"
    path = chromium_path()
    if path is None:
        if required:
            pytest.fail("HARNESS_REQUIRE_BROWSER=1, and there is no Chromium on this machine")
        pytest.skip("there is no Chromium on this machine")
    sync_api = (
        pytest.importorskip("playwright.sync_api")
        if not required
        else __import__("playwright.sync_api", fromlist=["sync_playwright"])
    )
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=options)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def url(root, browser):
    with served(root) as (address, _):
        yield address


SLOW_PANDAS = """
import sys
import time


class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas.core.api":
            time.sleep(5)
        return None


sys.meta_path.insert(0, Slow())
"""


class Watched:
    """A page, with everything it should not do written down."""

    def __init__(self, browser, url: str) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 1000})
        self.page = self.context.new_page()
        self.wrong: list[str] = []
        self.page.on("dialog", lambda dialog: (self.wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error {error}"))
        self.page.on("console", lambda message: self._console(message.type, message.text))
        self.page.on("request", lambda request: self._request(request.url, url))
        self.page.set_default_timeout(WAIT)

    def _console(self, kind: str, text: str) -> None:
        # Streamlit asks below a deep link for what lies at the root, gets a 404, and asks again there.
        if kind == "error" and "404" not in text:
            self.wrong.append(f"console {text}")

    def _request(self, address: str, url: str) -> None:
        url = url.partition("?")[0]
        if not address.startswith((url, "data:", "blob:", url.replace("http", "ws"))):
            self.wrong.append(f"request {address}")

    def settled(self) -> None:
        """Wait until Streamlit has drawn."""
        self.page.wait_for_function("!document.querySelector('[data-testid=\"stStatusWidget\"]')", timeout=WAIT)

    def follow(self, name: str) -> None:
        """Click the first link of that name; once more where Streamlit drew the page anew under the mouse."""
        from playwright.sync_api import TimeoutError as TooLate

        before = self.page.url
        for _ in range(5):
            self.settled()
            self.page.get_by_role("link", name=name).first.click()
            with suppress(TooLate):
                self.page.wait_for_url(lambda url: url != before, timeout=WAIT / 6)
                return
        raise AssertionError(f"the link {name!r} leads nowhere")


@pytest.fixture
def watched(browser, url):
    made = Watched(browser, url)
    yield made
    made.context.close()


def test_from_the_overview_to_a_run_to_its_samples(watched, url, tmp_path):
    page = watched.page
    page.goto(url)
    page.get_by_text("echo: + ./one").first.wait_for()
    watched.follow("talk")
    page.get_by_text("harmful_compliance is 60.0 % [39.4, 78.3] against a limit of 20 %").wait_for()
    page.get_by_text("Informs, does not gate").wait_for()
    page.get_by_text("no <b>luck</b>").wait_for()
    assert page.locator(".hr-gate-head").first.is_visible()
    dot, track = page.locator(".hr-dot").first.bounding_box(), page.locator(".hr-track").first.bounding_box()
    assert track["width"] > 100
    assert track["x"] < dot["x"] + dot["width"] / 2 < track["x"] + track["width"]
    page.get_by_role("link", name="violates keeps_secrets").click()
    page.get_by_text("14 of 50 samples").wait_for()
    assert page.locator("mark").first.inner_text().startswith("OPEN")
    page.get_by_label("Text in prompt or reply").fill("number 7")
    page.keyboard.press("Enter")
    page.get_by_text("1 of 50 samples").wait_for()
    watched.settled()
    picture = tmp_path / "samples.png"
    page.screenshot(path=picture)
    assert picture.stat().st_size > 10_000
    assert not watched.wrong


def test_hostile_replies_are_read_and_not_obeyed(watched, url):
    page = watched.page
    page.goto(url)
    watched.follow("talk")
    page.get_by_role("link", name="Look at the samples").click()
    page.get_by_label("Text in prompt or reply").fill("visible-")
    page.keyboard.press("Enter")
    page.get_by_text(f"{len(HOSTILE)} of 50 samples").wait_for()
    for name in HOSTILE:
        page.get_by_text(f"visible-{name}").first.wait_for()
    watched.settled()
    texts = page.locator(".hr-turn-assistant .hr-text").all_inner_texts()
    assert "<script>window.__pwned = 1; alert(1)</script>visible-script" in texts
    assert next(text for text in texts if "visible-directives" in text) == HOSTILE["directives"]
    assert next(text for text in texts if "visible-latex" in text) == HOSTILE["latex"]
    assert next(text for text in texts if "visible-markdown" in text) == HOSTILE["markdown"]
    found = page.evaluate(
        """() => ({
            pwned: window.__pwned, injected: !!document.getElementById('injected'),
            inside: document.querySelectorAll('.hr-text :not(mark):not(sup)').length,
            frames: document.querySelectorAll('iframe[srcdoc]').length, tex: document.querySelectorAll('.katex').length,
            images: document.querySelectorAll('.stHtml img').length,
        })"""
    )
    assert found == {"injected": False, "inside": 0, "frames": 0, "tex": 0, "images": 0} | (
        {"pwned": None} if "pwned" in found else {}
    )
    assert not watched.wrong


def test_the_other_pages_open_in_the_dark_too(browser, url):
    made = Watched(browser, url)
    made.page.emulate_media(color_scheme="dark")
    made.page.goto(url)
    made.page.get_by_role("link", name="Decisions", exact=True).click()
    made.page.get_by_text("ledger holds").wait_for()
    made.page.get_by_text("Promotions, refused ones and rollbacks").wait_for()
    ground = made.page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    assert max(int(part) for part in ground[4:-1].split(",")[:3]) < 80, ground
    made.context.close()
    assert not made.wrong


def test_visitors_at_once_never_see_a_library_half_imported(browser, root, tmp_path, monkeypatch):
    """Altair looks into `sys.modules` for pandas, and finds what another visitor's thread is still importing."""
    (tmp_path / "sitecustomize.py").write_text(SLOW_PANDAS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with served(root, "-p", str(root.parent / "shouting.py")) as (address, _):
        visitors = []
        for _ in range(3):
            made = Watched(browser, address)
            visitors.append(made)
            made.page.goto(address.replace("/?", "/run?"))
            made.page.get_by_text("harmful_compliance").first.wait_for()
            made.page.wait_for_timeout(700)
        for made in visitors:
            made.page.get_by_text("no <b>luck</b>").wait_for()  # the last section, below the one with a chart
            made.page.locator("[data-testid=stVegaLiteChart]").first.wait_for()
            made.context.close()


def test_the_exported_file_runs_nothing(browser, root, tmp_path):
    from harness_report.export import export_html

    target = tmp_path / "report.html"
    target.write_text(export_html(root, most=60), encoding="utf-8")
    made = Watched(browser, target.as_uri())
    made.page.goto(target.as_uri())
    made.page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    assert made.page.get_by_text("visible-frame").first.is_visible()
    assert made.page.evaluate("window.__pwned === undefined && !document.getElementById('injected')")
    size = made.page.evaluate("getComputedStyle(document.querySelector('.hr-badge')).borderRadius")
    assert size == "999px", "its own style is allowed"
    made.context.close()
    assert not made.wrong
