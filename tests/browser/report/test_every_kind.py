"""Every kind of page and cell beside a study's report: it fits a phone and a desk, keeps nobody out, obeys no name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from grpclab.calibration import page as calibration
from grpclab.calibration.plan import Plan
from grpclab.calibration.store import Results
from grpclab.load.output.exporters.page import page as bench_page
from grpclab.profiling import flamegraph
from grpclab.study.comparison import CompareResult
from tests.support import chromium, synthetic
from tests.support.bench_results import open_loop
from tests.support.pages import EVIL

ROOT = Path(__file__).resolve().parents[3]
EVERY = ("bench", "calibration", "cells", "diagnostics", "flamegraph")


def cells() -> Iterator[str]:
    """What a bench and a comparison show of themselves in a notebook."""
    yield open_loop(1000.0, np.linspace(0.001, 0.1, 2000))._repr_html_()
    study = synthetic.small_study(text=EVIL).finished()
    setup = (("call", f"shop.Cart/Get{EVIL}"), (f"load{EVIL}", "64 calls in flight"))
    yield CompareResult(trials=study.trials, judgement=study.verdict, setup=setup)._repr_html_()


def write(kind: str, folder: Path) -> Path:
    """A page of that kind."""
    path = folder / f"{kind}.html"
    if kind == "bench":
        path.write_text("".join(bench_page(open_loop(1000.0, np.linspace(0.001, 0.1, 2000)))))
    elif kind == "calibration":
        results = Results(folder)
        results.begin(Plan(scale=0.5))
        results.note("ceiling", f"nghttpd is not installed{EVIL}")
        return calibration.write(results)
    elif kind == "cells":
        path.write_text(f"<!DOCTYPE html><html lang=en><title>cells</title><main>{''.join(cells())}</main></html>")
    elif kind == "diagnostics":
        pytest.importorskip("aiohttp", reason="pip install 'grpclab[desk]'")
        from grpclab.diagnostics.app import index_page

        path.write_text(index_page([42, 43], rate_hz=100, longest_s=60, metrics=True, heap=True, token=EVIL))
    else:
        stacks = {f"main (a.py:1);{EVIL} (b.py:2);recv (libc.so.6)": 30, "main (a.py:1);c (z.py:3)": 12}
        path.write_text(flamegraph.page(stacks, heading=f"42 samples{EVIL}", note=EVIL))
    return path


@pytest.mark.parametrize("kind", EVERY)
def test_every_kind_fits_keeps_nobody_out_and_obeys_no_name(browser: Browser, tmp_path: Path, kind: str) -> None:
    path = write(kind, tmp_path)
    for theme, width in (("light", 1280), ("dark", 400)):
        with chromium.visit(browser, path, width=width, color_scheme=theme, bypass_csp=True) as found:
            window, needed = found.needs_px()
            assert needed <= window
            assert chromium.barriers(found.page) == []
            assert found.page.locator("img[src^=http]").count() == 0
            assert found.trouble == []


@pytest.mark.long
@pytest.mark.parametrize("path", sorted((ROOT / "reports").glob("*.html")), ids=lambda path: path.stem)
def test_the_published_reports_keep_nobody_out(browser: Browser, path: Path) -> None:
    for theme in ("light", "dark"):
        with chromium.visit(browser, path, color_scheme=theme, bypass_csp=True) as found:
            found.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
            assert chromium.barriers(found.page) == []
            assert found.trouble == []
