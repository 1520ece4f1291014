"""What a notebook cell shows, in a browser under the real style sheets of JupyterLab and of classic notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Browser, Page

from grpclab.load.output.notebook_html import in_cell
from grpclab.report import figures
from grpclab.report.blocks import Section, in_notebook
from grpclab.report.sections import certainty, comparisons, configurations, engines, limits, mapping
from tests.support import chromium, synthetic
from tests.support.bench_results import open_loop

VS_CODE = """
table, thead, tr, th, td, tbody {border: none; border-color: transparent; border-spacing: 0; border-collapse: collapse}
table, th, tr {vertical-align: middle; text-align: right}
th, td {padding: 4px 8px} tr:nth-child(even) {background-color: #8881}
tbody th {font-weight: normal}
"""
"""What VS Code says of tables in outputs (extensions/notebook-renderers)."""
LEFT = """() => [...document.querySelectorAll('.gl th, .gl td')]
    .filter(cell => !cell.classList.contains('gl-num') && getComputedStyle(cell).textAlign !== 'left').length"""
OVERPRINTED = """() => [...document.querySelectorAll('.gl tr')].flatMap(row => {
    const boxes = [...row.cells].map(cell => {
        const range = document.createRange(); range.selectNodeContents(cell);
        return range.getBoundingClientRect();
    }).filter(box => box.width > 0);
    return boxes.slice(1).filter((box, at) => box.left < boxes[at].right - 1).map(() => row.innerText);
})"""
"""The rows in which the content of a cell reaches into the next one."""
BEYOND = """() => [...document.querySelectorAll('.gl table')].filter(
    table => table.parentElement.clientWidth + 1 < table.offsetWidth).map(table => table.innerText.slice(0, 60))"""


@pytest.fixture(scope="module")
def shown() -> list[str]:
    """A bench card, and the tables of a study and one of its figures, as cells show them one after the other."""
    made = synthetic.full_study()
    study = made.finished()
    figure = figures.throughput(study, study.plan.curves[0])
    assert figure
    reasons = Section(title="", anchor="certainty", data=certainty.section(study))
    tables = [comparisons.table(study), configurations.table(study), limits.table(study)]
    parts = [reasons, *tables, *(mapping.section(study) or []), engines.table(study), figure]
    card = open_loop(1000.0, np.linspace(0.001, 0.1, 2000))
    return [card._repr_html_(), *(in_notebook(part) for part in parts if part)]


def write(path: Path, outputs: list[str], template: str, theme: str = "light", more: str = "") -> Path:
    """A notebook with these outputs as a page of nbconvert, with the style sheets of that template."""
    v4: Any = nbformat.v4
    made = [v4.new_output("display_data", data={"text/html": html}) for html in outputs]
    notebook = v4.new_notebook(cells=[v4.new_code_cell("lab.figures()", outputs=made)])
    exporter: Any = HTMLExporter
    page, _ = exporter(template_name=template, theme=theme).from_notebook_node(notebook)
    path.write_text(page.replace("</head>", f"{more}</head>"))
    return path


VIEWERS = {
    "JupyterLab": ("lab", "light", ""),
    "JupyterLab dark": ("lab", "dark", ""),
    "classic": ("classic", "light", ""),
    "VS Code": ("basic", "light", f"<style>{VS_CODE}</style>"),
}


@pytest.fixture(scope="module", params=VIEWERS)
def viewed(
    request: pytest.FixtureRequest, browser: Browser, shown: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    template, theme, more = VIEWERS[request.param]
    path = write(tmp_path_factory.mktemp("viewed") / "page.html", shown, template, theme, more)
    with chromium.visit(browser, path) as found:
        yield found.page


def test_text_in_tables_is_aligned_to_the_left_in_every_viewer(viewed: Page) -> None:
    assert viewed.locator(".gl td").count() > 100
    assert viewed.evaluate(LEFT) == 0


def test_no_cell_is_printed_over_its_neighbour(viewed: Page) -> None:
    assert viewed.evaluate(OVERPRINTED) == []
    assert viewed.evaluate(BEYOND) == []


def test_columns_are_as_wide_as_what_they_hold(viewed: Page) -> None:
    table = viewed.get_by_role("region", name="Every comparison").locator("tbody tr:not(.gl-group)").first
    first, last = table.locator("th").bounding_box(), table.locator("td").last.bounding_box()
    assert first
    assert last
    assert first["width"] > 3 * last["width"]


def test_letters_are_as_large_in_every_viewer(viewed: Page) -> None:
    sizes = viewed.evaluate("[...document.querySelectorAll('.gl td')].map(cell => getComputedStyle(cell).fontSize)")
    assert set(sizes) == {"14.08px"}


def test_terms_and_what_they_are_stand_side_by_side(viewed: Page) -> None:
    reasons = viewed.locator(".gl-reasons").first
    term, what = reasons.locator("dt").first.bounding_box(), reasons.locator("dd").first.bounding_box()
    assert term
    assert what
    assert term["y"] == pytest.approx(what["y"], abs=2)
    assert term["x"] + term["width"] <= what["x"]


def test_the_bench_card_has_its_figures_on_the_right(viewed: Page) -> None:
    card = viewed.locator(".grpclab-bench")
    assert card.locator("td.gl-num").first.evaluate("cell => getComputedStyle(cell).textAlign") == "right"
    assert card.locator("svg").is_visible()
    table, picture = card.locator("table").bounding_box(), card.locator("svg").bounding_box()
    assert table
    assert picture
    assert table["x"] + table["width"] <= picture["x"], "they stand side by side, whatever style a later cell brings"
    assert card.locator("tbody th").first.evaluate("cell => getComputedStyle(cell).textAlign") == "left"


@pytest.mark.parametrize("system", ["light", "dark"])
def test_colours_follow_the_theme_of_the_viewer_and_not_that_of_the_system(
    browser: Browser, tmp_path: Path, system: Any
) -> None:
    path = tmp_path / "page.html"
    path.write_text(f"<!DOCTYPE html><body>{in_cell('p{color:light-dark(#010203,#fafbfc)}', '<p>text</p>')}")
    shades = {"rgb(1, 2, 3)": "light", "rgb(250, 251, 252)": "dark"}
    seen = {}
    with chromium.visit(browser, path, color_scheme=system) as found:
        for viewer in (
            *("", "data-jp-theme-light=true", "data-jp-theme-light=false"),
            *("class=vscode-light", "class=vscode-dark", "class=vscode-high-contrast"),
        ):
            name, _, value = viewer.partition("=")
            if name:
                found.page.evaluate("([name, value]) => document.body.setAttribute(name, value)", [name, value])
            colour = found.page.locator("p").evaluate("text => getComputedStyle(text).color")
            seen[viewer] = shades[colour]
            if name:
                found.page.evaluate("name => document.body.removeAttribute(name)", name)
    assert seen == {
        "": "light",
        "data-jp-theme-light=true": "light",
        "data-jp-theme-light=false": "dark",
        "class=vscode-light": "light",
        "class=vscode-dark": "dark",
        "class=vscode-high-contrast": "dark",
    }


def test_pictures_follow_the_theme_as_well(browser: Browser, shown: list[str], tmp_path: Path) -> None:
    drawn = next(html for html in shown if "<img" in html)
    shades = {}
    for theme in ("light", "dark"):
        path = write(tmp_path / f"{theme}.html", [drawn], "lab", theme)
        with chromium.visit(browser, path) as found:
            shades[theme] = found.page.locator(".gl img").first.screenshot()
    assert shades["light"] != shades["dark"]


def test_a_style_ends_with_its_element(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(f"<!DOCTYPE html><body>{in_cell('p{color:#010203}', '<p>inside</p>')}<p>outside</p>")
    with chromium.visit(browser, path) as found:
        colours = [found.page.get_by_text(text).evaluate("p => getComputedStyle(p).color") for text in ("in", "out")]
    assert colours == ["rgb(1, 2, 3)", "rgb(0, 0, 0)"]
