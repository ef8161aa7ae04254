"""Drives the explorer page in a real browser, and watches for what must not happen."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from serving import Server

EVIL = "<img src=x onerror=alert(1)>&amp;"
PHONE, DESKTOP = (390, 844), (1280, 800)


def launched() -> Iterator[Any]:
    """Start a browser, or skip where there is none."""
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chrome = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if not chrome:
        pytest.skip("no Chromium on this machine")
    with sync.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chrome, args=["--no-sandbox"])
        yield running
        running.close()


class Visit:
    """A page and what must not happen on it."""

    def __init__(self, page: Any, server: Server) -> None:
        self.page, self.server = page, server
        self.wrong: list[str] = []
        page.set_default_timeout(10_000)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", self._asked)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.server.url, "data:")):
            self.wrong.append(f"asked {request.url}")

    def to(self, where: str) -> Any:
        """Go to a view and wait until it is there."""
        self.page.goto(f"{self.server.url}/#/{where}")
        return self.done()

    def done(self) -> Any:
        """Wait until nothing is loading."""
        from playwright.sync_api import expect

        expect(self.page.locator("main .view > *").first).to_be_visible()
        expect(self.page.locator(".bone")).to_have_count(0, timeout=20_000)
        return self.page

    def names(self, where: str) -> list[str]:
        """Return what items are called in a list."""
        return [
            text.strip()
            for text in self.page.locator(f"{where} .row > .words .name").all_inner_texts()
        ]


def visit_on(browser: Any, server: Server, size: tuple[int, int], scheme: str) -> Iterator[Visit]:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        reduced_motion="reduce",
        has_touch=size == PHONE,
    )
    visit = Visit(context.new_page(), server)
    yield visit
    context.close()
    assert visit.wrong == []
