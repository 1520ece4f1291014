"""The documentation as a site, in a browser: it is built without a network, its search works, nothing leaves it."""

from __future__ import annotations

import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[3]
NO_NETWORK = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "NO_MKDOCS_2_WARNING": "1"}
pytestmark = pytest.mark.long


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="mkdocs-material is missing: pip install 'grpclab[docs]'")
    site = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(site)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | NO_NETWORK, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return site


@pytest.fixture(scope="module")
def address(built: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(built)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_no_page_names_a_style_a_script_or_a_picture_elsewhere(built: Path) -> None:
    pages = [path for path in built.rglob("*.html") if path.parent.name != "reports"]
    assert len(pages) > 40
    loaded = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^\"' >]*")
    assert [found[0] for path in pages if (found := loaded.search(path.read_text()))] == []


def test_the_reports_are_there_as_they_are(built: Path) -> None:
    assert (built / "reports" / "example.html").read_bytes() == (ROOT / "reports" / "example.html").read_bytes()
    assert "example.html" in (built / "reports" / "index.html").read_text()


def test_the_search_finds_a_page_and_nothing_is_asked_for_elsewhere(browser: Browser, address: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.click("[data-md-component=search-query]")
    page.keyboard.type("coordinated omission")
    page.wait_for_selector("a.md-search-result__link")
    found = [link.get_attribute("href") or "" for link in page.query_selector_all("a.md-search-result__link")]
    assert any("load-generator.html" in href for href in found)
    page.goto(f"{address}reference/commands.html")
    assert "--concurrency" in page.inner_text("article")
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "optimizing.html", "reference/python.html"])
def test_pages_fit_a_phone_and_are_accessible(browser: Browser, address: str, name: str, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": 400, "height": 900}, color_scheme="light" if scheme == "light" else "dark"
    )
    page = context.new_page()
    page.goto(address + name)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    violations = Axe().run(page, options={"runOnly": ["wcag2a"]}).response["violations"]
    # Browsers themselves let the keyboard reach what scrolls, such as the theme's wide tables.
    assert {found["id"] for found in violations} <= {"scrollable-region-focusable"}
    context.close()
