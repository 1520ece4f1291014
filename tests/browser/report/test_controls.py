"""The report in a real browser, offline: it fetches nothing, fits a phone, and every control does what it says."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from grpclab.report import write_index
from grpclab.report.sections import answer
from tests.support import chromium, synthetic

LONG = " with_a_name_that_is_rather_long_and_has_no_place_to_break_anywhere_at_all"
EVIL = " <script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(2)> `|@x #1 </script>"
PRINTED_PX = 249 / 25.4 * 96
"""The height of a sheet of Letter, the shorter one, within the margins of the page's style."""


@pytest.fixture(scope="module")
def made() -> synthetic.MadeStudy:
    return synthetic.full_study(name="nightly")


@pytest.fixture(scope="module")
def reports(nightly_report: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three reports and the index of them."""
    folder = tmp_path_factory.mktemp("reports")
    shutil.copy(nightly_report, folder)
    for name, text in (("long", LONG), ("evil", EVIL)):
        study = synthetic.small_study(text=text)
        material = synthetic.material(study, text=text)
        study.report(folder / f"{name}.html", **material)
    again = (folder / "nightly.html").read_text().replace('"created_at": "2026-11-23', '"created_at": "2026-11-24', 1)
    (folder / "again.html").write_text(again)
    (folder / "again.md").write_text("")
    write_index(folder)
    return folder


def unfold(page: Page) -> None:
    """Open every folded section."""
    page.evaluate("for (const fold of document.querySelectorAll('.page-fold')) fold.open = true")


def pictures(page: Page) -> list[list[str]]:
    """Of each figure, the widths for which the drawings are that can be seen."""
    found: list[list[str]] = page.locator(".gl-picture").evaluate_all(
        """(pictures) => pictures.map((picture) =>
            [...picture.querySelectorAll("svg")]
                .filter((svg) => svg.checkVisibility() && svg.getBoundingClientRect().height > 0)
                .map((svg) => svg.parentElement.className))"""
    )
    return found


@pytest.fixture(scope="module")
def opened(browser: Browser, reports: Path) -> Iterator[chromium.Visit]:
    """The full report, opened once: each test has controls of its own."""
    with chromium.visit(browser, reports / "nightly.html", accept_downloads=True) as found:
        yield found


@pytest.fixture
def nightly(opened: chromium.Visit, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The full report, with a check at the end that nothing went wrong and nothing left the page."""
    if getattr(request.node, "execution_count", 1) > 1:
        opened.page.reload()  # what the first try has opened
    unfold(opened.page)
    opened.page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    yield opened.page
    trouble, opened.trouble = opened.trouble, []
    assert trouble == []


@pytest.mark.parametrize("name", ["nightly", "long", "evil", "index"])
def test_a_page_fits_a_phone_and_a_desk_without_errors_or_requests(browser: Browser, reports: Path, name: str) -> None:
    with chromium.visit(browser, reports / f"{name}.html", width=400) as found:
        unfold(found.page)
        for width, shown in ((400, "narrow"), (1280, "wide")):
            found.page.set_viewport_size({"width": width, "height": 900})
            found.page.wait_for_timeout(50)
            window, needed = found.needs_px()
            assert needed <= window == width
            assert [one for one in pictures(found.page) if one != [f"gl-{shown}"]] == []
        assert found.trouble == []


def test_the_verdict_stands_on_the_first_screen(nightly: Page, made: synthetic.MadeStudy) -> None:
    verdict = nightly.locator(".gl-verdict")
    expect(verdict).to_contain_text(answer.section(made.finished()).sentence)
    box = verdict.bounding_box()
    assert box
    assert box["y"] + box["height"] < 900
    picture = nightly.locator("#answer .gl-picture").bounding_box()
    assert picture
    assert picture["y"] + picture["height"] < 900, "and the figure that answers the question with it"


def test_a_link_into_a_folded_section_opens_it(browser: Browser, reports: Path) -> None:
    with chromium.visit(browser, reports / "nightly.html") as found:
        fold = found.page.locator("#method .page-fold")
        expect(fold).not_to_have_attribute("open", "")
        found.page.get_by_role("navigation").get_by_role("link", name="Method").click()
        expect(fold).to_have_attribute("open", "")
        assert found.trouble == []


@pytest.mark.parametrize("name", ["nightly", "index"])
def test_axe_finds_nothing_serious(browser: Browser, reports: Path, name: str) -> None:
    with chromium.visit(browser, reports / f"{name}.html", color_scheme="light", bypass_csp=True) as found:
        unfold(found.page)
        if name == "nightly":
            found.page.locator("[data-trials] button").first.click()
            found.page.locator(".gl-more table").wait_for()
        assert chromium.barriers(found.page) == []
        found.page.emulate_media(color_scheme="dark")
        assert chromium.barriers(found.page, rules=chromium.OF_COLOURS) == []


def table_of(page: Page, label: str) -> Locator:
    return page.get_by_role("region", name=label, exact=True).locator("table").first


def column(table: Locator, at: int) -> list[list[str]]:
    """A column's visible texts, group by group."""
    texts: list[list[str]] = table.evaluate(
        """(table, at) => [...table.tBodies].map((body) =>
            [...body.rows]
                .filter((row) => !row.matches(".gl-group, .gl-more") && row.checkVisibility())
                .map((row) => row.cells[at].innerText))""",
        at,
    )
    return texts


def test_tables_sort_within_their_groups_and_back(nightly: Page) -> None:
    table = table_of(nightly, "Every comparison")
    button = table.locator("thead th").nth(1).get_by_role("button")
    before = column(table, 1)

    def ratios() -> list[list[float]]:
        return [[float(re.sub(r"[×,]", "", text.split()[0])) for text in group] for group in column(table, 1)]

    button.click()
    assert ratios() == [sorted(group) for group in ratios()]
    assert table.locator("thead th").nth(1).get_attribute("aria-sort") == "ascending"
    button.click()
    assert ratios() == [sorted(group, reverse=True) for group in ratios()]
    button.click()
    assert column(table, 1) == before


def test_tables_filter_by_words(nightly: Page) -> None:
    table = table_of(nightly, "Every comparison")
    everything = sum(map(len, column(table, 0)))
    nightly.get_by_role("searchbox", name="Filter: Every comparison").fill("pool size 16")
    left = [text for group in column(table, 0) for text in group]
    assert 1 <= len(left) < everything
    assert all("16" in text for text in left)
    heads = table.locator(".gl-group:visible")
    assert heads.count() == sum(1 for group in column(table, 0) if group)
    nightly.get_by_role("searchbox", name="Filter: Every comparison").fill("")
    assert sum(map(len, column(table, 0))) == everything


def test_a_figure_explains_itself_and_can_be_saved(nightly: Page) -> None:
    figure = nightly.locator("#throughput .gl-figure").first
    told = figure.locator("details p").first
    assert not told.is_visible()
    figure.get_by_text("How to read this").click()
    assert told.is_visible()
    with nightly.expect_download() as svg:
        figure.get_by_role("button", name="SVG").click()
    text = Path(svg.value.path()).read_text()
    assert text.startswith("<svg")
    assert "var(" not in text
    assert 'xmlns="http://www.w3.org/2000/svg"' in text
    with nightly.expect_download() as png:
        figure.get_by_role("button", name="PNG").click()
    assert Path(png.value.path()).read_bytes().startswith(b"\x89PNG")


def test_the_theme_can_be_chosen_and_stays(nightly: Page) -> None:
    def ground() -> str:
        return str(nightly.evaluate("getComputedStyle(document.body).backgroundColor"))

    def ink() -> str:
        return str(nightly.evaluate("getComputedStyle(document.querySelector('.gl-wide text')).fill"))

    before, letters = ground(), ink()
    nightly.get_by_role("button", name="Dark theme").click()
    assert ground() != before
    assert ink() != letters
    nightly.reload()
    assert ground() != before
    nightly.get_by_role("button", name="Light theme").click()
    assert (ground(), ink()) == (before, letters)


def test_a_flamegraph_zooms_and_searches(nightly: Page) -> None:
    graph = nightly.locator(".fg").first
    told = graph.locator(".fg-told")
    expect(told).to_contain_text("samples; click a frame to zoom")
    graph.get_by_role("button", name="handler (greeter.py:2)").first.click()
    expect(told).to_contain_text("of all samples; click a frame above to zoom out")
    graph.locator(".fg-graph button").first.click()
    expect(told).to_contain_text("click a frame to zoom")
    graph.get_by_role("searchbox").fill("sendmsg")
    expect(told).to_contain_text("of what is shown")
    assert graph.locator(".fg-found").count() == 1


def test_a_configuration_opens_to_its_trials(nightly: Page, made: synthetic.MadeStudy) -> None:
    row = table_of(nightly, "Configurations").locator("tr", has=nightly.locator('[data-trials="optimized-c64"]'))
    row.get_by_role("button", name="trials").click()
    more = row.locator("+ .gl-more")
    more.locator("table").wait_for()
    mine = made.trials[made.trials["configuration"] == "optimized-c64"].sort_values("block")
    shown = [float(text.replace(",", "")) for text in cells(more, 2)]
    assert shown == [pytest.approx(value, rel=1e-3) for value in mine["throughput_rps"]]
    more.get_by_text("End of the server log").first.click()
    assert more.get_by_text("INFO serving on 127.0.0.1:50051").first.is_visible()
    more.get_by_text(re.compile(r"All \d+ settings")).click()
    assert more.get_by_text("server.max_concurrent_streams", exact=True).is_visible()
    assert "10000" in more.locator("details").first.inner_text()
    assert "4194304" in more.inner_text()
    row.get_by_role("button", name="trials of optimized-c64").click()
    assert more.count() == 0


def cells(home: Locator, at: int) -> list[str]:
    texts: list[str] = home.locator("tbody tr").evaluate_all(
        "(rows, at) => rows.map((row) => row.querySelectorAll('td')[at].innerText)", at
    )
    return texts


def test_the_trials_can_be_taken_out_as_parquet_and_csv(nightly: Page, made: synthetic.MadeStudy) -> None:
    found = {}
    for kind, read in (("Parquet", pd.read_parquet), ("CSV", pd.read_csv)):
        with nightly.expect_download() as file:
            nightly.get_by_role("button", name=kind, exact=True).click()
        assert file.value.suggested_filename == f"nightly-trials.{kind.lower()}"
        found[kind] = read(io.BytesIO(Path(file.value.path()).read_bytes()))
    pd.testing.assert_frame_equal(found["Parquet"], made.trials)
    written = pd.read_csv(io.StringIO(made.trials.to_csv(index=False)))
    pd.testing.assert_frame_equal(found["CSV"], written, check_dtype=False)


def test_what_is_copied_is_a_table_of_github(nightly: Page) -> None:
    nightly.context.grant_permissions(["clipboard-read", "clipboard-write"])
    nightly.locator("#comparisons").get_by_role("button", name="Copy as Markdown").click()
    expect(nightly.locator("#comparisons").get_by_role("button", name="Copied")).to_be_visible()
    lines = nightly.evaluate("navigator.clipboard.readText()").splitlines()
    assert lines[0].startswith("| comparison | ratio |")
    assert re.fullmatch(r"\|( (---|--:) \|)+", lines[1])
    pipes = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
    assert pipes == {7}
    nightly.locator("#copy-summary").click()
    expect(nightly.locator("#copy-summary")).to_have_text("Copied")
    assert nightly.evaluate("navigator.clipboard.readText()").startswith("**faster:** ")


def test_text_of_users_stays_text_when_it_is_opened_and_copied(browser: Browser, reports: Path) -> None:
    with chromium.visit(browser, reports / "evil.html") as found:
        page = found.page
        unfold(page)
        for button in page.locator("[data-trials] button").all():
            button.click()
        page.locator(".gl-more table").first.wait_for()
        for summary in page.locator(".gl-more summary").all():
            summary.click()
        assert page.locator("img").count() == 0
        assert "<script>alert(1)</script>" in page.locator(".gl-more").first.inner_text()
        assert page.locator("script").count() == 6  # the summary's, two of data, the flamegraphs', the page's two
        assert found.trouble == []


def test_on_paper_no_figure_is_cut_and_no_control_is_left(browser: Browser, reports: Path) -> None:
    with chromium.visit(browser, reports / "nightly.html", width=700) as found:
        found.page.emulate_media(media="print")
        for figure in found.page.locator(".gl-figure").all():
            box = figure.bounding_box()
            assert box
            assert box["height"] < PRINTED_PX
            assert figure.evaluate("figure => getComputedStyle(figure).breakInside") == "avoid"
            assert figure.locator(".gl-wide > svg").is_visible()
        for control in (".gl-bar", ".page-nav", ".page-tools", ".gl-button", ".gl-open"):
            assert found.page.locator(f"{control}:visible").count() == 0
        window, needed = found.needs_px()
        assert needed <= window
        assert found.page.pdf(format="A4").startswith(b"%PDF")


def test_without_scripts_the_page_is_complete_but_for_its_controls(
    browser: Browser, reports: Path, made: synthetic.MadeStudy
) -> None:
    with chromium.visit(browser, reports / "nightly.html", java_script_enabled=False) as found:
        text = found.page.locator("main").text_content() or ""
        assert answer.section(made.finished()).sentence in text
        assert "Turn on JavaScript to see this flamegraph." in text
        assert found.page.get_by_role("button").count() == 0
