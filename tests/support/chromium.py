"""A real browser for tests: Debian's Chromium, headless and offline, driven by Playwright."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
REBOUND = "rebound.example"
"""A name that was pointed at this machine."""
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1",
]


@contextlib.contextmanager
def started() -> Iterator[Browser]:
    """The browser; the test is skipped where there is none."""
    if not CHROMIUM.exists():
        pytest.skip("/usr/bin/chromium is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A page that was opened, and all that went wrong or left it since."""

    page: Page
    trouble: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note errors, dialogs and requests; nothing that is not in the file itself may be asked for."""
        page = self.page
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("dialog", self._interrupted)
        page.on("request", lambda request: self._asked(request.url))

    def _said(self, told: ConsoleMessage) -> None:
        if told.type in ("error", "warning"):
            self.trouble.append(told.text)

    def _interrupted(self, dialog: Dialog) -> None:
        self.trouble.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _asked(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.trouble.append(f"request: {url}")

    def needs_px(self) -> tuple[int, int]:
        """The width of the window, and the width that the page takes."""
        widths = self.page.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollWidth]")
        return widths[0], widths[1]


OF_COLOURS = ("color-contrast", "link-in-text-block")
"""The rules of axe that look at colours: all that another theme can break, where it changes nothing else."""


def barriers(page: Page, *, rules: Sequence[str] = ()) -> list[tuple[str, list[str]]]:
    """What axe finds on a page that keeps somebody out: rules, by default all, and the elements that break them.

    The page must be visited with `bypass_csp`: the checker is a script from outside, which its policy would not let in.
    """
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    violations = Axe().run(page, options=options).response["violations"]
    bad = [found for found in violations if found["impact"] in ("serious", "critical")]
    return [(found["id"], [node["html"][:160] for node in found["nodes"][:5]]) for found in bad]


@contextlib.contextmanager
def visit(browser: Browser, path: Path, *, width: int = 1280, height: int = 900, **context: Any) -> Iterator[Visit]:
    """Open a file as a reader does, offline; `context` are further options of Playwright's."""
    made = browser.new_context(viewport={"width": width, "height": height}, offline=True, **context)
    try:
        page = made.new_page()
        found = Visit(page)
        found.watch()
        page.goto(path.as_uri())
        yield found
    finally:
        made.close()
