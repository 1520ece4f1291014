"""The report in a real browser: nothing sticks out on a phone, every picture is drawn, nothing is fetched."""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import synthetic

from grpclab.report import write_index, write_report

CHROMIUM = Path("/usr/bin/chromium")
WIDTHS = (400, 1280)
PROBE = """
<script>
addEventListener("load", () => setTimeout(() => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    const images = [...page.images];
    return {
      name: frame.title, width: root.clientWidth, needs: root.scrollWidth,
      drawn: images.filter(i => i.complete && i.naturalWidth > 0).length, images: images.length,
      narrow: images.filter(i => i.naturalWidth < 500).length,
      fetched: frame.contentWindow.performance.getEntriesByType("resource")
        .map(e => e.name).filter(n => !n.startsWith("data:")),
      wide: [...page.querySelectorAll("body *")]
        .filter(e => !e.parentElement.closest(".gl-scroll") && e.getBoundingClientRect().right > root.clientWidth + 1)
        .map(e => e.outerHTML.slice(0, 80)),
    };
  });
  document.body.innerHTML = "<pre id=found></pre>";
  document.getElementById("found").textContent = JSON.stringify(found);
}, 200));
</script>
"""


def look(pages: dict[str, Path], folder: Path) -> dict[str, dict[str, Any]]:
    """Open every page in a frame of each width, in one start of the browser."""
    frames = "".join(
        f'<iframe title="{name}-{width}" style="border:0;width:{width}px;height:800px" '
        f'srcdoc="{html.escape(path.read_text())}"></iframe>'
        for name, path in pages.items()
        for width in WIDTHS
    )
    probe = folder / "probe.html"
    probe.write_text(f"<!DOCTYPE html><meta charset=utf-8><body>{frames}{PROBE}</body>")
    options = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *(f"--user-data-dir={folder / 'profile'}", "--hide-scrollbars", "--virtual-time-budget=20000"),
    )
    done = subprocess.run(
        [str(CHROMIUM), *options, "--dump-dom", probe.as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return {each["name"]: each for each in json.loads(html.unescape(found[1]))}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    if not CHROMIUM.exists():
        pytest.skip("/usr/bin/chromium is missing: apt-get install chromium")
    folder = tmp_path_factory.mktemp("browser")
    reports = folder / "reports"
    made = synthetic.small_study(text=" with a_name_that_is_rather_long_and_has_no_place_to_break_anywhere_at_all")
    report = write_report(reports / "long.html", made.manifest, made.trials, made.verdict)
    again = report.read_text().replace('"created_at": "2026-11-23', '"created_at": "2026-11-24', 1)
    (reports / "again.html").write_text(again)
    (reports / "again.md").write_text("")
    return look({"report": report, "index": write_index(reports)}, folder)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["report", "index"])
def test_no_page_scrolls_sideways(seen: dict[str, dict[str, Any]], name: str, width: int) -> None:
    page = seen[f"{name}-{width}"]
    assert page["width"] == width
    assert page["wide"] == []
    assert page["needs"] <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_every_picture_is_drawn_at_its_width(seen: dict[str, dict[str, Any]], width: int) -> None:
    page = seen[f"report-{width}"]
    assert page["images"] >= 6
    assert page["drawn"] == page["images"]
    assert page["narrow"] == (page["images"] if width < 640 else 0)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_index_draws_what_recurs(seen: dict[str, dict[str, Any]], width: int) -> None:
    page = seen[f"index-{width}"]
    assert (page["images"], page["drawn"]) == (2, 2)


def test_nothing_is_fetched(seen: dict[str, dict[str, Any]]) -> None:
    assert [url for page in seen.values() for url in page["fetched"]] == []
