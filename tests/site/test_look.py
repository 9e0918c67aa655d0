"""The documentation site in a real browser, on a telephone and on a desk: whole, readable, searchable (`make site-look`).

Needs `make site` first, and a Chromium (Debian's package `chromium`, or its path in CHROMIUM). Pictures go to build/screenshots.
"""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "site" / "html"
PICTURES = ROOT / "build" / "screenshots"
WIDTHS = {"telephone": (390, 844), "desk": (1440, 900)}
PAGES = (
    "index.html",
    "guides/inventory.html",
    "guides/options.html",
    "guides/playbooks.html",
    "guides/dev/README.html",
    "reference/index.html",
    "reference/plan_module.html",
    "reference/nvidia_driver_role.html",
    "reference/failed_checks_filter.html",
    "changelog.html",
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    assert (SITE / "index.html").is_file(), "run `make site`"
    handler = functools.partial(Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "no Chromium: install the package `chromium`, or name one in CHROMIUM"
    with sync_playwright() as playwright:
        # A container's root has no user namespaces to make a sandbox of; what is shown is our own.
        with_root = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=program, args=with_root)
        yield opened
        opened.close()


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """A page of one width that fails the test for an error of a script, and for anything that could not be loaded from here."""
    width, height = WIDTHS[request.param]
    opened = browser.new_page(viewport={"width": width, "height": height}, base_url=address)
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "response", lambda answer: wrong.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
    )
    opened.on(
        "request", lambda asked: wrong.append(asked.url) if not asked.url.startswith((address, "data:")) else None
    )
    yield opened
    opened.close()
    assert wrong == []


def picture(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name.replace('/', '-').removesuffix('.html')}-{page.viewport_size['width']}.png")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window_and_can_be_read(page: Page, name: str) -> None:
    page.goto(name)
    picture(page, name)
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"
    size = page.evaluate(
        "parseFloat(getComputedStyle(document.querySelector('article section > p, article section > ul > li')).fontSize)"
    )
    assert size >= 14
    # The theme has a table of contents of its own beside the page, and paints a second one as an error.
    assert page.locator("article .contents").count() == 0
    words = page.evaluate("(h => h.scrollWidth <= h.clientWidth)(document.querySelector('h1'))")
    assert words, "a name in the heading does not fit"
    broken = page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)")
    assert broken == []


def test_the_menu_leads_to_every_part(page: Page) -> None:
    page.goto("index.html")
    captions = page.locator(".sidebar-tree .caption-text").all_text_contents()
    assert captions == ["Begin", "Hosts", "Proofs", "The fleet", "Reference", "Developers"]
    places = page.locator(".sidebar-tree > ul > li > a").evaluate_all("links => links.map(a => a.getAttribute('href'))")
    assert len(places) > 30
    assert places[-1].startswith("https://")
    for place in places[:-1]:
        assert (SITE / place).is_file(), place


def test_on_a_telephone_the_menu_opens_and_on_a_desk_it_is_there(page: Page) -> None:
    page.goto("guides/engine.html")
    entry = page.locator(".sidebar-tree a", has_text="Playbooks").first
    if page.viewport_size["width"] < 1000:
        page.locator("label.nav-overlay-icon").first.click()
        page.locator(".sidebar-drawer").evaluate("drawer => Promise.all(drawer.getAnimations().map(a => a.finished))")
        picture(page, "menu.html")
    entry.click()
    page.wait_for_url("**/playbooks.html")
    assert page.locator("h2", has_text="rollout").first.is_visible()


@pytest.mark.parametrize(
    ("words", "found"),
    [("gpu_power_limit", "guides/settings.html"), ("nvidia_driver_reboot", "reference/nvidia_driver_role.html")],
)
def test_the_search_finds_a_variable(page: Page, words: str, found: str) -> None:
    page.goto(f"search.html?q={words}")
    page.wait_for_selector("#search-results li a")
    page.wait_for_function("document.querySelector('#search-results .search-summary')?.textContent.includes('page')")
    picture(page, f"search-{words}.html")
    results = page.locator("#search-results li a").evaluate_all(
        "links => links.map(a => a.getAttribute('href').split('?')[0].split('#')[0])"
    )
    assert found in results
