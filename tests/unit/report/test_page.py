"""The page of a study and the index: complete in itself, safe with any text, and never empty-handed."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from grpclab.report import Section, answering, assets, content, sections, words, write_report
from grpclab.report.data import Packed
from grpclab.report.finished import FinishedStudy
from grpclab.report.renderers.json import as_json
from grpclab.report.renderers.markdown import markdown
from grpclab.report.sections import answer, comparisons, machine, sides
from grpclab.report.tables import Paragraph
from tests.support import synthetic
from tests.support.finished import finished, written_report
from tests.support.pages import EVIL, Page, html_of


@pytest.fixture(scope="module")
def made() -> synthetic.MadeStudy:
    return synthetic.full_study(name="nightly")


@pytest.fixture(scope="module")
def page(nightly_report: Path) -> Page:
    return Page(nightly_report.read_text())


IMAGE = "<img src=x onerror=alert(1)>"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawn:
    """A study with its sections, as Markdown, and the page that was written of them."""

    study: FinishedStudy
    parts: list[Section]
    markdown: str
    page: Page


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    made = synthetic.small_study(text=f"{EVIL} {IMAGE}")
    trials = made.trials.copy()
    trials.loc[0, "valid"] = False
    trials.loc[0, "invalid_reason"] = EVIL
    trials.loc[1, "errors_by_status"] = json.dumps({EVIL: 2})
    trials.loc[trials["configuration"].str.startswith("basic"), "profile_note"] = EVIL
    made = made.judged_again(trials)
    verdict = made.verdict | {"warnings": [*made.verdict["warnings"], EVIL]}
    study = finished(made.manifest, made.trials, verdict)
    parts = sections(study)
    shown = markdown(study, parts)
    packed = Packed(manifest=made.manifest, trials=made.trials, verdict=verdict, details={}, markdown=shown)
    path = write_report(tmp_path_factory.mktemp("evil") / "evil.html", study, packed, parts)
    return Drawn(study=study, parts=parts, markdown=shown, page=Page(path.read_text()))


def assert_loads_nothing(page: Page) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "srcset", "href", "action", "data", "poster", "background", "xlink:href"):
            value = attributes.get(name, "")
            assert not value or value.startswith(("data:", "#", "./")), f"<{tag} {name}={value[:60]!r}>"
        assert not [name for name in attributes if name.startswith("on")], f"<{tag}> has a handler"
    ours = page.html.count("<script>")
    assert page.html.count(assets.ELEMENTS) == (1 if ours else 0)
    assert ours in (0, 2, 3), "the third is that of flamegraphs"
    assert all("src" not in script for script in page.all("script"))
    assert not page.all("link")
    assert not page.all("iframe")


def test_nothing_leaves_the_file(page: Page) -> None:
    assert_loads_nothing(page)
    style = re.search(r"<style>(.*?)</style>", page.html, re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert page.open == []


def test_browsers_are_told_to_load_nothing(page: Page) -> None:
    policies = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policies
    assert "default-src 'none'" in policies[0]


def test_every_picture_says_what_it_shows(page: Page) -> None:
    images = page.images()
    assert len(images) == 13
    assert all(len(image) > 60 for image in images)
    throughput = next(image for image in images if image.startswith("Line chart of requests per second"))
    assert re.search(r"optimized: .*requests/s at 64", throughput)


def test_pictures_are_sound_and_of_two_widths(page: Page) -> None:
    widths = [ElementTree.fromstring(svg).get("viewBox", "").split()[2] for svg in page.pictures()]
    assert sorted({round(float(width)) for width in widths}) == [302, 612]


def test_the_verdict_stands_first(page: Page, made: synthetic.MadeStudy) -> None:
    text = page.text
    shown = answer.section(made.finished())
    assert len(shown.sentence.split()) <= answering.MOST_WORDS
    before = text[: text.index(shown.sentence)].rpartition("Theme")[2].split()
    assert before == ["The", "answer", shown.verdict], "nothing but its badge stands above the verdict"
    after = text.partition(shown.sentence)[2]
    assert after.index(shown.confidence) < after.index("block by block") < after.index("The effect of each side")
    assert text.index(made.manifest["question"]) < text.index(shown.sentence)
    for warning in made.verdict["warnings"]:
        assert words.as_sentence(words.typeset(warning)) in text


def test_sections_come_in_the_order_of_reading(made: synthetic.MadeStudy, page: Page) -> None:
    anchors = [section["id"] for section in page.all("section")]
    order = [
        *("answer", "warnings", "sides", "certainty", "engines", "throughput", "latency", "ladder", "windows"),
        *("sweeps", "profile", "comparisons", "configurations", "limits", "mapping", "timeline", "invalid", "method"),
        *("machine", "terms", "again"),
    ]
    assert [anchor for anchor in anchors if anchor in order] == order, "others may stand between them"
    links = {a["href"] for a in page.all("a") if a["href"].startswith("#")}
    assert links <= {f"#{anchor}" for anchor in anchors}


def test_what_a_reader_may_ask_is_told(page: Page, made: synthetic.MadeStudy) -> None:
    text = page.text
    assert "no effect: one core: one process either way" in text
    assert "12 of 40 connections were refused" in text
    assert "not testable here: the server has one core" in " ".join(page.pictures())
    assert f"seed {made.manifest['seed']}" in text
    assert made.manifest["git"]["commit"] in text
    assert "generator-bound" in text
    assert "UNAVAILABLE 3" in text
    assert "initial_stream_window_size" in text
    assert text.count("How to read this") == 13


def test_every_picture_and_the_headline_say_which_engine_they_used(page: Page) -> None:
    spoken = [image.rpartition(" Engine")[2] for image in page.images()]
    both, one = "s: grpcio and wire.", ": grpcio."
    assert spoken == [one, both, *[one] * 8, both, one, both]
    for svg, said in zip(page.pictures(), spoken * 2, strict=True):
        assert f">engine{said.removesuffix('.')}<" in svg
    answer = page.text.partition("The effect of each side")[0]
    assert "engine: grpcio" in answer
    assert "The load comes from the engines grpcio (grpc.aio, with the full cost of a Python client) and wire" in (
        page.text
    )


def section(made: synthetic.MadeStudy, anchor: str) -> Page:
    """One section alone: a whole report takes seconds to draw."""
    (part,) = (part for part in content.ORDER if anchor == part.ANCHOR)
    return Page(html_of(part.section(made.finished())))


def test_what_is_said_of_many_comparisons_is_said_once_beneath_their_table(made: synthetic.MadeStudy) -> None:
    few = section(made.judged_again(made.trials[made.trials["block"] < 2]), "comparisons").text
    said = "2 blocks are too few for a verdict: run at least 6"
    assert few.count(said) == 1
    assert few.index("see [") < few.index(said)


def test_blocks_that_are_left_out_for_one_reason_are_named_together(made: synthetic.MadeStudy) -> None:
    study = made.finished()
    why = "left out because there is no trial of a"
    note = f"measured alone; block 1 was {why}; block 2 was left out because b died; block 4 was {why}"
    headline = dataclasses.replace(study.headline, note=note)
    noted = dataclasses.replace(study, verdict=dataclasses.replace(study.verdict, headline=headline))
    shown = Page(html_of(comparisons.section(noted))).text
    assert f"measured alone; blocks 1 and 4 were {why}; block 2 was left out because b died" in shown


@pytest.mark.parametrize(
    ("ratios", "said"),
    [
        ((3.97, 1.04), "Multiplied together, the parts give 4.13×; measured directly, the combination gives 3.67×."),
        ((3.5, 1.05), ""),
        ((3.97, math.nan), ""),
    ],
)
def test_parts_that_do_not_multiply_to_the_whole_are_pointed_out(
    made: synthetic.MadeStudy, ratios: tuple[float, ...], said: str
) -> None:
    study = made.finished()
    (client, server), judged = study.plan.parts, study.verdict
    by_side = dict(zip([(client.baseline, client.candidate), (server.baseline, server.candidate)], ratios, strict=True))
    compared = tuple(
        dataclasses.replace(c, ratio=by_side.get((c.baseline, c.candidate), c.ratio)) for c in judged.comparisons
    )
    headline = dataclasses.replace(judged.headline, ratio=3.67)
    verdict = dataclasses.replace(judged, headline=headline, comparisons=compared)
    found = sides.section(dataclasses.replace(study, verdict=verdict))
    assert found is not None
    assert found.sentence == said


def test_what_the_client_costs_is_told_in_a_sentence_a_figure_and_a_table(made: synthetic.MadeStudy) -> None:
    found = section(made, "engines")
    ratios = {c["title"]: f"{c['ratio']:.2f}×" for c in made.verdict["comparisons"]}
    basic, optimized = (ratios[f"{variant}: engine wire against grpcio"] for variant in ("basic", "optimized"))
    assert found.text.startswith(
        f"With the wire engine, optimized reaches {optimized} and basic {basic} the throughput that they "
        "reach with a Python client. The client accounts for that difference in the figures above."
    )
    both = f"{made.verdict['headline']['ratio']:.2f}× with grpcio (faster) and "
    both += f"{ratios['optimized against basic with engine wire']} with wire (faster)."
    assert f"Optimized against basic: {both}" in found.text
    table = found.text.partition("How to read this")[2]
    assert re.search(r"wire against grpcio 4,\d{3} .* faster 170 µs 8 µs", table)
    assert "client-cpu" in table


def test_the_cost_of_a_call_is_worked_out_where_the_trials_do_not_hold_it(made: synthetic.MadeStudy) -> None:
    arms = made.only([f"{variant}-c64{engine}" for variant in ("basic", "optimized") for engine in ("", "-wire")])
    older = arms.trials.drop(columns=["server_cpu_per_call_s", "client_cpu_per_call_s", "client_spin_s"])
    table = section(arms.judged_again(older), "engines").text
    assert re.search(r"faster 170 µs 8 µs", table)
    without = older.drop(columns=["server_cpu_s", "client_cpu_s"])
    found = section(arms.judged_again(without), "engines")
    assert "CPU per call, µs" not in " ".join(found.pictures())
    assert "faster – –" in found.text


def test_configurations_of_the_other_engine_differ_by_that_alone(made: synthetic.MadeStudy) -> None:
    text = section(made, "configurations").text
    assert "the same in all unless noted: load.engine=grpcio" in text
    assert "basic-c64-wire as basic-c64 , but load.engine=wire" in text
    assert text.count("load.engine=grpcio") == 2  # once a scenario


def test_each_configuration_is_told_what_limited_it_and_why(made: synthetic.MadeStudy) -> None:
    text = section(made, "limits").text
    remedy = "remedy: a client that costs less, or more cores for the client"
    assert f"basic, 64 in flight basic-c64 client-cpu {remedy} 6 of 6 trials are marked client-cpu" in text
    assert "not certain" not in text
    assert "chatter basic, 1 in flight" in text
    assert all(title in text for title in (str(c["title"]) for c in made.manifest["plan"]["configurations"]))


def test_a_limit_that_is_inferred_says_so_and_is_escaped(made: synthetic.MadeStudy) -> None:
    limit = {"configuration": "<b>", "resource": "server-cpu", "evidence": "a < b", "certain": False}
    text = section(synthetic.MadeStudy(made.manifest, made.trials, made.verdict | {"limits": [limit]}), "limits").text
    assert "<b> <b> server-cpu not certain remedy: more server cores and processes, or less CPU per call A < b" in text


def test_a_verdict_of_before_limits_were_named_has_no_section_of_them(made: synthetic.MadeStudy) -> None:
    verdict = {key: value for key, value in made.verdict.items() if key != "limits"}
    assert section(synthetic.MadeStudy(made.manifest, made.trials, verdict), "limits").text == ""


def test_an_untested_rung_is_never_a_factor_of_one(page: Page) -> None:
    waterfall = next(image for image in page.images() if image.startswith("Waterfall"))
    assert "a process per core: the server has one core" in waterfall
    assert "a process per core 1.00" not in waterfall


def test_the_same_study_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (
        made.report(tmp_path / name).read_bytes()
        for name, made in (("a.html", synthetic.small_study()), ("b.html", synthetic.small_study()))
    )
    assert first == second


def test_text_of_users_stays_text(evil: Drawn) -> None:
    page = evil.page
    assert_loads_nothing(page)
    assert page.open == []
    assert len(page.all("script")) == 5  # the summary, the two of the data, the page's own two
    assert not page.all("img")
    assert "<script>alert(1)</script>" in page.text


def test_a_hostile_name_stays_text_in_every_medium(evil: Drawn) -> None:
    assert {"features", "machines"} <= {part.anchor for part in evil.parts}
    page, cells = evil.page, Page("".join(part._repr_html_() for part in evil.parts))
    for shown in (page, cells):
        images = [attributes.get("src", "") for tag, attributes in shown.elements if tag == "img"]
        assert not [source for source in images if not source.startswith("data:")]
        assert not [name for _, attributes in shown.elements for name in attributes if name.startswith("on")]
        assert IMAGE in shown.text
    title = next(text for text in page.html.split("<h1>")[1:]).partition("</h1>")[0]
    assert "<" not in title
    assert "<img" not in re.sub(r"```.*?```", "", evil.markdown, flags=re.DOTALL), "a block of code is text"
    assert IMAGE in json.dumps(as_json(evil.study, evil.parts)), "JSON is no markup: it holds the name as it is"


def test_text_of_users_stays_text_in_pictures(evil: Drawn) -> None:
    drawn = evil.page.pictures()
    assert drawn
    for svg in drawn:
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
        assert not tags & {"script", "image", "foreignObject", "a"}
    shown = ["".join(ElementTree.fromstring(svg).itertext()) for svg in drawn]
    assert sum("<script>alert(1)" in text for text in shown) >= 8


def test_a_report_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "r.html"
    path.parent.mkdir()
    path.write_text("what was there")

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", refuse)
        with pytest.raises(OSError, match="disk full"):
            written_report(path, {}, pd.DataFrame(), {})
    assert path.read_text() == "what was there"
    assert [p.name for p in path.parent.iterdir()] == ["r.html"]


def no_trials(made: synthetic.MadeStudy) -> synthetic.MadeStudy:
    return made.judged_again(made.trials.iloc[:0])


def no_columns(made: synthetic.MadeStudy) -> synthetic.MadeStudy:
    return dataclasses.replace(no_trials(made), trials=pd.DataFrame())


def all_invalid(made: synthetic.MadeStudy) -> synthetic.MadeStudy:
    return made.judged_again(made.trials.assign(valid=False, invalid_reason="the server fell over"))


OLD, NEW = ({"python": "3.9.1", "grpcio": version} for version in ("1.60.0", "1.85.0"))


@pytest.mark.parametrize(
    ("servers", "told"),
    [
        ({}, []),
        ({"basic": OLD}, [("the basic one", "Python 3.9.1, grpcio 1.60.0")]),
        ({"basic": NEW, "again": NEW, "fast": NEW}, [("every server", "Python 3.9.1, grpcio 1.85.0")]),
        (
            {"basic": OLD, "again": OLD, "fast": NEW},
            [
                ("the basic one; once more", "Python 3.9.1, grpcio 1.60.0"),
                ("the fast one", "Python 3.9.1, grpcio 1.85.0"),
            ],
        ),
    ],
)
def test_the_versions_of_hosted_servers_are_beside_those_of_the_lab(
    servers: dict[str, dict[str, str]], told: list[tuple[str, str]]
) -> None:
    made = synthetic.small_study()
    programs = {name: {"app": "shop:register", "versions": versions} for name, versions in servers.items()}
    study = finished({**made.manifest, "servers": programs}, made.trials, made.verdict)
    html = html_of(machine.section(study))
    assert ("<h3>Versions of the servers</h3>" in html) == bool(told)
    for term, text in told:
        assert f"<dt>{term}</dt><dd>{text}</dd>" in html


def one_block(made: synthetic.MadeStudy) -> synthetic.MadeStudy:
    return made.judged_again(made.trials[made.trials["block"] == 0])


def one_configuration(made: synthetic.MadeStudy) -> synthetic.MadeStudy:
    return made.judged_again(made.trials[made.trials["configuration"] == "basic"])


def bare_plan(made: synthetic.MadeStudy) -> synthetic.MadeStudy:
    kept = {
        key: made.manifest["plan"][key] for key in ("blocks", "delta", "metric", "configurations", "headline", "aa")
    }
    return dataclasses.replace(made, manifest={**made.manifest, "plan": kept, "machine": {}, "versions": {}})


def nothing_at_all(made: synthetic.MadeStudy) -> synthetic.MadeStudy:
    return synthetic.MadeStudy({}, pd.DataFrame(), {})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (no_trials, "there is no valid trial"),
        (no_columns, "there is no valid trial"),
        (all_invalid, "the server fell over"),
        (one_block, "There is no profile: the profiler is not asked for in this configuration."),
        (one_configuration, "No comparison has two blocks"),
        (nothing_at_all, "There is no verdict."),
    ],
)
def test_poor_studies_say_what_is_missing(change: object, told: str) -> None:
    assert callable(change)
    made: synthetic.MadeStudy = change(synthetic.small_study())
    shown = sections(made.finished())
    body = "".join(section.html for section in shown)
    page = Page(body)
    assert page.open == []
    assert told in page.text
    assert ">nan" not in body.lower()
    assert "nan×" not in body.lower()
    assert all(section.html for section in shown)


def test_what_the_plan_does_not_ask_has_no_section() -> None:
    made = bare_plan(synthetic.small_study())
    shown = sections(made.finished())
    assert Page("".join(section.html for section in shown)).open == []
    anchors = {section.anchor for section in shown}
    assert anchors.isdisjoint({"sides", "engines", "throughput", "latency", "ladder", "windows", "sweeps", "profile"})
    assert {"answer", "comparisons", "configurations", "timeline", "method", "again"} <= anchors


def test_a_section_shows_itself_in_a_notebook() -> None:
    html = Section(title="a < b", data=Paragraph(text="text"))._repr_html_()
    page = Page(html)
    assert page.open == []
    assert page.text.endswith("a < b text")
    assert_loads_nothing(page)
