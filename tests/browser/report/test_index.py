"""The index of reports: newest first, what recurs drawn over time, and no machine compared with another."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Browser

from grpclab.analysis.study_plan import StudyPlan
from grpclab.report import assets, past, recurrence, write_index
from grpclab.report.figures import history
from grpclab.report.past import SUMMARY_SCHEMA, settings_digest, summary
from grpclab.report.recurrence import changes
from grpclab.report.words import typeset
from grpclab.study.stored_values import read
from tests.support import chromium, synthetic
from tests.support.finished import finished, written_report
from tests.support.pages import EVIL, Page

IDENTITY = {"host": "lab-1", "cpu_model": "AMD EPYC", "grpcio": "1.85.1", "python": "3.11.2"}


@pytest.fixture(scope="module")
def made() -> synthetic.MadeStudy:
    return synthetic.full_study(name="nightly")


@pytest.fixture(scope="module")
def about(made: synthetic.MadeStudy) -> dict[str, Any]:
    """The summary of a study of 60 configurations or so."""
    return summary(finished({**made.manifest, "identity": IDENTITY}, made.trials, made.verdict)).written()


def put(folder: Path, name: str, about: Mapping[str, Any]) -> None:
    """A report that holds nothing but its summary, written as reports write it."""
    text = json.dumps(about).replace("<", "\\u003c")
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f'<script type="application/json" id="grpclab-summary">{text}</script>')


def study(about: Mapping[str, Any], day: int, *, factor: float = 1.0, **changed: Any) -> dict[str, Any]:
    """The same study, measured again on another day; every level and the ratio times `factor`."""
    again = copy.deepcopy(dict(about)) | {"study": f"day-{day}", "created_at": f"2026-11-{day:02d}T09:00:00+00:00"}
    for level in again["levels"]:
        level |= {key: level[key] * factor for key in ("mean", "ci_low", "ci_high") if level[key]}
    again |= {key: again[key] * factor for key in ("ratio", "ci_low", "ci_high")}
    return again | changed


def pasts(*abouts: Mapping[str, Any]) -> list[past.Past]:
    return [past.Past.read(one, f"{at}.html") for at, one in enumerate(abouts)]


def page_of(folder: Path, **options: Any) -> Page:
    return Page(write_index(folder, **options).read_text())


# ---- the summary inside a report ---------------------------------------------------------------------------------


def test_a_report_carries_what_the_index_needs(tmp_path: Path) -> None:
    small = synthetic.small_study()
    manifest = {**small.manifest, "identity": IDENTITY, "design": "quick"}
    path = written_report(tmp_path / "r.html", manifest, small.trials, small.verdict)
    found = past.read(path)
    assert found is not None
    headline = small.verdict["headline"]
    assert (found.study, found.design, found.identity) == ("small", "quick", IDENTITY)
    assert (found.git, found.blocks, found.delta) == ("0123456789ab+", 6, 0.05)
    assert found.warnings == len(small.verdict["warnings"])
    assert found.ratio == pytest.approx(headline["ratio"], rel=1e-5)
    assert [level.name for level in found.levels] == ["basic", "again", "fast"]
    level = found.level("fast")
    assert level is not None
    assert level.low < level.mean < level.high
    assert level.metric == "throughput_rps"


def test_sixty_configurations_stay_below_20_kb(made: synthetic.MadeStudy) -> None:
    rows: list[dict[str, Any]] = [
        {
            "name": f"a-rather-long-name-of-a-configuration-{at}",
            "scenario": "chatter",
            "title": f"a title of some length, number {at}, with more to say than there is room",
            "settings": {"server.threads": at},
        }
        for at in range(60)
    ]
    plan = {**made.manifest["plan"], "configurations": rows}
    one = made.trials[made.trials["configuration"] == "basic-c64"]
    trials = pd.concat([one.assign(configuration=row["name"]) for row in rows])
    found = summary(finished({**made.manifest, "plan": plan}, trials, made.verdict)).written()
    assert len(found["levels"]) == 60
    assert len(json.dumps(found)) < 20_000


def test_the_same_settings_have_the_same_digest_and_a_server_of_ones_own_is_a_setting() -> None:
    def digest(settings: dict[str, Any], subject: dict[str, Any] | None = None) -> str:
        rows = [{"name": "a", "settings": settings}]
        return settings_digest(read(StudyPlan, {"configurations": rows, "subjects": {"a": subject or {}}}), "a")

    one = digest({"server.threads": 4, "client.pooling": "pool"})
    assert one == digest({"client.pooling": "pool", "server.threads": 4.0})
    assert one == digest({"client.pooling": "pool", "server.threads": 4}, {"command": "", "data": None})
    assert one != digest({"client.pooling": "pool", "server.threads": 5})
    assert one != digest({"client.pooling": "pool", "server.threads": 4}, {"command": "./new --port {port}"})


@pytest.mark.parametrize("kind", ["nothing", "no trials", "invalid"])
def test_a_poor_study_has_a_summary(kind: str) -> None:
    small = synthetic.small_study()
    if kind == "nothing":
        found = summary(finished({}, pd.DataFrame(), {}))
    elif kind == "no trials":
        found = summary(finished(small.manifest, pd.DataFrame(), small.verdict))
    else:
        broken = small.judged_again(small.trials.assign(valid=False, invalid_reason="the server fell over"))
        found = summary(broken.finished())
    assert found.levels == []
    document = json.loads(json.dumps(found.written(), allow_nan=False))
    assert document["schema_version"] == SUMMARY_SCHEMA
    assert past.Past.read(document).written() == document


# ---- the list ----------------------------------------------------------------------------------------------------


def test_the_newest_stands_first_and_what_is_no_report_is_left_out(about: dict[str, Any], tmp_path: Path) -> None:
    put(tmp_path, "old.html", about | {"study": "old", "created_at": "2025-01-02T03:04:05+00:00"})
    put(tmp_path, "new one.html", about | {"study": "new", "created_at": "2026-12-24T00:00:00-05:00"})
    put(tmp_path, "none.html", about | {"study": "unjudged", "created_at": "", "ratio": None, "ci_low": None})
    (tmp_path / "other.html").write_text("<p>not a report</p>")
    (tmp_path / "broken.html").write_text('<script id="grpclab-summary">{</script>')
    (tmp_path / "deep.html").write_text(f'<script id="grpclab-summary">{"[" * 100_000}</script>')
    (tmp_path / "list.html").write_text('<script id="grpclab-summary">[1]</script>')
    (tmp_path / "binary.html").write_bytes(b"\xff\xfe\x00<script")
    (tmp_path / "folder.html").mkdir()
    path = write_index(tmp_path)
    assert path == tmp_path / "index.html"
    page = Page(path.read_text())
    reports = [a["href"] for a in page.all("a") if a["href"].endswith(".html")]
    assert reports == ["./new%20one.html", "./old.html", "./none.html"]
    assert typeset(about["sentence"]).partition("× ")[2] in page.text, "its ratio is as it stands beside the title"
    assert f"{about['ratio']:.2f}×" in page.text
    assert f"{about['ci_low']:.2f} to {about['ci_high']:.2f}" in page.text
    for told in ("2 January 2025", "AMD EPYC 7B13", "design default", "6 blocks", "commit 0123456789ab+"):
        assert told in page.text
    assert path.read_bytes() == write_index(tmp_path).read_bytes()


def test_warnings_siblings_and_links_are_shown(about: dict[str, Any], tmp_path: Path) -> None:
    put(tmp_path, "a.html", study(about, 1, warnings=2))
    put(tmp_path, "b.html", study(about, 2, warnings=0))
    (tmp_path / "a.md").write_text("text")
    (tmp_path / "a.json").write_text("{}")
    page = page_of(tmp_path, links=[("./calibration.html", "The lab & itself")])
    assert page.text.count("2 warnings") == 1
    assert "0 warnings" not in page.text
    hrefs = [a["href"] for a in page.all("a")]
    assert hrefs == ["./calibration.html", "#studies", "#history", "./b.html", "./a.html", "./a.md", "./a.json"]
    assert "The lab & itself" in page.text


def test_summaries_of_the_first_schema_are_listed_and_compared_with_none(tmp_path: Path) -> None:
    older = {
        "schema_version": 1,
        "created_at": "2026-11-20T00:00:00+00:00",
        "question": "",
        "sentence": "It is faster.",
        "verdict": "faster",
        "machine": "lab-1",
        "ratio": 2.0,
        "ci_low": 1.9,
        "ci_high": 2.1,
    }
    for name in "ab":
        put(tmp_path, f"{name}.html", older | {"study": name})
    page = page_of(tmp_path)
    assert page.text.count("It is faster.") == 2
    assert "2.00× 95% interval 1.90 to 2.10" in page.text
    assert page.pictures() == []
    assert "there is no history to show" in page.text


def test_an_empty_directory_has_an_index(tmp_path: Path) -> None:
    assert "This folder has no reports yet." in write_index(tmp_path / "reports").read_text()


def test_the_page_is_well_made(about: dict[str, Any], tmp_path: Path) -> None:
    put(tmp_path, "a.html", study(about, 1))
    put(tmp_path, "b.html", study(about, 2, identity=IDENTITY | {"grpcio": "1.86.0"}))
    page = page_of(tmp_path)
    assert page.open == []
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels == [1, 2, 2, 3, 3, 3]
    tags = [tag for tag, _ in page.elements]
    assert {"header", "main", "nav", "footer"} <= set(tags)
    assert tags.count("main") == 1
    assert_loads_nothing(page)
    policies = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policies[0].startswith("default-src 'none'")


def assert_loads_nothing(page: Page) -> None:
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], f"<{tag}> has a handler"
        for name in ("src", "srcset", "href"):
            assert attributes.get(name, "#").startswith(("data:", "#", "./"))
    assert page.html.count("<script") == page.html.count(assets.WITHOUT_DATA) == 1
    assert not page.all("link")


def test_any_text_stays_text(about: dict[str, Any], tmp_path: Path) -> None:
    hostile = dict.fromkeys(("study", "sentence", "machine", "design", "git", "verdict", "question"), EVIL)
    for day in (1, 2):
        one = study(about, day)
        for level in one["levels"]:
            level["title"] = f"{level['title']}{EVIL}"
        put(tmp_path, f"{day}.html", one | hostile | {"identity": {EVIL: str(day), "grpcio": f"{EVIL}{day}"}})
    page = page_of(tmp_path)
    assert_loads_nothing(page)
    assert page.open == []
    assert "<script>alert(1)</script>" in page.text
    assert len(page.pictures()) == 2 * len(page.images()) > 0


@pytest.mark.parametrize("value", ["text", 7, None, [], {}, [None], [{"name": "a"}], {"a": {"b": 1}}, float("1e300")])
def test_values_of_another_kind_are_left_out(about: dict[str, Any], value: object, tmp_path: Path) -> None:
    for key in about:
        if key != "study":
            put(tmp_path, f"{key}.html", about | {key: value})
    page = page_of(tmp_path)
    assert page.open == []
    assert page.text.count("nightly") >= len(about) - 1


# ---- the history -------------------------------------------------------------------------------------------------


def test_what_recurs_is_drawn_and_the_caption_says_how_many_of_how_many(about: dict[str, Any]) -> None:
    block = history.levels(pasts(study(about, 1), study(about, 2, factor=1.1)))
    assert block is not None
    recurring = len(about["levels"])
    assert (
        f"in 2 studies, from 1 November 2026, 09:00 UTC to 2 November 2026, 09:00 UTC, for 6 of {recurring} "
        "configurations" in (block.caption)
    )
    assert "the two of the newest headline first" in block.caption
    assert block.caption.index("basic, 64 in flight") < block.caption.index("optimized, 64 in flight")
    assert "1.10× for basic, 64 in flight" in block.caption
    assert "The machine" not in block.caption
    shown = text_of(block.svg_wide)
    assert "2026-11-01" in shown
    assert "2026-11-02" in shown


def text_of(svg: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", svg).split())


def test_a_change_of_machine_is_a_line_that_says_what_changed_and_joins_nothing(about: dict[str, Any]) -> None:
    newer = IDENTITY | {"grpcio": "1.86.0"}
    other = newer | {"host": "lab-2"}
    studies = pasts(
        study(about, 1), study(about, 2), study(about, 3, identity=newer), study(about, 4, identity=other, factor=0.5)
    )
    block = history.levels(studies)
    assert block is not None
    shown = text_of(block.svg_wide)
    assert "grpcio 1.85.1 → 1.86.0" in shown
    assert "host" in shown
    assert "changed 2 times, most recently: host." in block.caption
    assert "No configuration was measured twice on the most recent machine." in block.caption
    borders = recurrence.borders(studies)
    assert [border.place for border in borders] == [1, 2]
    spots = [recurrence.PastValue(place=at, mean=1.0, low=0.9, high=1.1) for at in range(4)]
    assert [[s.place for s in piece] for piece in recurrence.runs(spots, borders)] == [[0, 1], [2], [3]]
    back = [recurrence.PastValue(place=at, mean=1.0, low=0.9, high=1.1) for at in (0, 3)]
    assert len(recurrence.runs(back, borders)) == 2, "the same machine again, but with others in between"


def test_another_setting_under_the_same_name_is_another_configuration(about: dict[str, Any]) -> None:
    other = study(about, 2)
    for level in other["levels"]:
        level["settings"] = "00000000"
    assert history.history(pasts(study(about, 1), other)) == []


def test_a_copy_of_a_report_is_not_a_second_study(about: dict[str, Any]) -> None:
    assert history.history(pasts(study(about, 1), study(about, 1))) == []


def test_the_headlines_ratio_is_drawn_where_design_and_settings_agree(about: dict[str, Any]) -> None:
    studies = [study(about, 1), study(about, 2, factor=1.01), study(about, 3, design="quick")]
    block = history.ratios(pasts(*studies))
    assert block is not None
    assert "in 2 studies with the design default" in block.caption
    assert "On the same machine, the intervals of the last two studies overlap." in block.caption
    assert text_of(block.svg_wide).count("2026-11-0") == 2
    moved = history.ratios(pasts(study(about, 1), study(about, 2, factor=2.0)))
    assert moved is not None
    assert "do not overlap" in moved.caption
    apart = history.ratios(pasts(study(about, 1), study(about, 2, identity=IDENTITY | {"host": "lab-2"})))
    assert apart is not None
    assert "No other study has the same machine and versions" in apart.caption


def test_of_many_studies_the_newest_are_drawn_and_stay_readable(about: dict[str, Any]) -> None:
    many = [
        study(about, 1 + at % 28, created_at=f"2026-{1 + at // 28:02d}-{1 + at % 28:02d}T09:00:00+00:00")
        for at in range(60)
    ]
    block = history.levels(pasts(*many))
    assert block is not None
    assert f"in {recurrence.MOST_STUDIES} studies" in block.caption
    assert 3 <= text_of(block.svg_wide).count("2026-") <= 10


def test_what_changed_is_told_host_first_and_unknown_machines_never_agree(about: dict[str, Any]) -> None:
    def told(before: Mapping[str, str], after: Mapping[str, str]) -> Sequence[str]:
        return changes(*pasts(study(about, 1, identity=before), study(about, 2, identity=after)))

    assert told(IDENTITY, IDENTITY) == []
    assert told(IDENTITY, IDENTITY | {"host": "b", "cpu_model": "x"}) == ["host", "cpu model"]
    assert told(IDENTITY, {k: v for k, v in IDENTITY.items() if k != "grpcio"}) == ["grpcio 1.85.1 → none"]
    assert told({}, {}) == ["machine not recorded"]


def test_pictures_are_of_two_widths_and_speak(about: dict[str, Any], tmp_path: Path) -> None:
    put(tmp_path, "a.html", study(about, 1))
    put(tmp_path, "b.html", study(about, 2))
    page = page_of(tmp_path)
    images = page.images()
    assert len(images) == 2
    assert all(len(image) > 60 for image in images)
    assert len(page.pictures()) == 4
    assert page.text.count("How to read this") == 2


# ---- in a browser ------------------------------------------------------------------------------------------------


def test_an_index_with_a_history_fits_a_phone_and_has_nothing_serious_for_axe(
    about: dict[str, Any], browser: Browser, tmp_path: Path
) -> None:
    long = " with_a_name_that_is_rather_long_and_has_no_place_to_break_anywhere_at_all"
    for day in (1, 2, 3):
        told: dict[str, Any] = {"study": f"day-{day}{long}", "machine": f"lab-{day}{long}", "warnings": day}
        put(tmp_path, f"{day}.html", study(about, day, identity=IDENTITY | {"grpcio": f"1.{day}{long}"}, **told))
        (tmp_path / f"{day}.md").write_text("")
    path = write_index(tmp_path, links=[("./calibration.html", "How well grpclab measures")])
    for theme, width in (("light", 1280), ("dark", 400)):
        with chromium.visit(browser, path, width=width, color_scheme=theme) as found:
            window, needed = found.needs_px()
            assert needed <= window == width
            assert found.page.locator(".gl-picture").count() == 2
            assert found.page.locator(".gl-picture svg:visible").count() == 2
            assert found.trouble == []
    with chromium.visit(browser, path, color_scheme="light", bypass_csp=True) as found:
        assert chromium.barriers(found.page) == []
        found.page.emulate_media(color_scheme="dark")
        assert chromium.barriers(found.page, rules=chromium.OF_COLOURS) == []
