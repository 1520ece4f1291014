"""The short forms of a study: safe in a pull request, plain for machines, aligned in a terminal."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pandas as pd
import pytest

from grpclab.analysis import analyse
from grpclab.report import confidence, sections, words
from grpclab.report.blocks import Section
from grpclab.report.content import VERDICT
from grpclab.report.finished import FinishedStudy
from grpclab.report.grouping import grouped
from grpclab.report.renderers.json import SCHEMA_VERSION, as_json
from grpclab.report.renderers.markdown import MOST_CHARACTERS, markdown
from grpclab.report.renderers.terminal import WIDTH, table
from grpclab.report.tables import Paragraph
from grpclab.study.designs import file_design
from grpclab.text.markdown import escape
from tests.support import study_maker, synthetic
from tests.support.finished import finished
from tests.support.pages import EVIL, PINGS
from tests.support.plans import document


def of(made: synthetic.MadeStudy) -> FinishedStudy:
    return made.finished()


@pytest.fixture(scope="module")
def made() -> synthetic.MadeStudy:
    return synthetic.full_study(name="nightly")


@pytest.fixture(scope="module")
def full(made: synthetic.MadeStudy) -> FinishedStudy:
    return of(made)


@pytest.fixture(scope="module")
def parts(full: FinishedStudy) -> list[Section]:
    """The sections of the full study, made once."""
    return sections(full)


@pytest.fixture(scope="module")
def whole(full: FinishedStudy, parts: list[Section]) -> str:
    """The full study as Markdown, made once."""
    return markdown(full, parts)


def poor(kind: str) -> FinishedStudy:
    made = synthetic.small_study()
    if kind == "nothing":
        return finished({}, pd.DataFrame(), {})
    if kind == "no trial valid":
        return of(made.judged_again(made.trials.assign(valid=False, invalid_reason="the server fell over")))
    if kind == "one block":
        return of(made.judged_again(made.trials[made.trials["block"] == 0]))
    if kind == "no trials":
        return of(made.judged_again(made.trials.iloc[:0]))
    return of(dataclasses.replace(made, verdict={}))


POOR = ("nothing", "no trial valid", "one block", "no trials", "no verdict")


# ---- Markdown ----------------------------------------------------------------------------------------------------


def test_the_verdict_stands_first_with_ratio_interval_and_blocks(full: FinishedStudy, whole: str) -> None:
    c = full.headline
    first, second, *_ = whole.split("\n\n")
    assert first.startswith(f"**faster:** optimized has {c.ratio:.2f}× the throughput of basic")
    assert first.endswith(" (client-cpu)")
    assert second == f"95% interval {c.ci_low:.2f} to {c.ci_high:.2f}; faster in 6 of 6 blocks."


def test_parts_certainty_limits_warnings_and_machine_are_told(full: FinishedStudy, whole: str) -> None:
    assert "| client only: same server | " in whole
    reasons = confidence.reasons(full)
    assert len(reasons) >= 3
    assert all(f"- **{escape(term)}:** {escape(told, begins=False)}" in whole for term, told in reasons)
    assert full.verdict.warnings
    assert all(f"- {escape(words.as_sentence(words.typeset(w)))}" in whole for w in full.verdict.warnings)
    assert "host lab-1, cpu AMD EPYC 7B13" in whole
    assert "grpcio 1.85.1" in whole
    assert "commit 0123456789ab with changes, seed 20261123" in whole
    assert "nightly.html" in whole


def test_every_section_that_the_verdict_does_not_rest_on_is_folded(whole: str, parts: list[Section]) -> None:
    folded = re.findall(r"<details><summary>(.*?)</summary>\n\n(.*?)\n\n</details>", whole, re.DOTALL)
    rest = [part for part in parts if part.anchor not in VERDICT]
    assert [title for title, _ in folded] == [escape(part.title) for part in rest]
    assert all(inside.strip() for _, inside in folded)
    top = re.sub(r"<details>.*?</details>", "", whole, flags=re.DOTALL)
    assert len(top) < 8_000, "what stands unfolded is read in a minute"
    assert len(whole) <= MOST_CHARACTERS


def test_every_comparison_is_in_the_folded_table(full: FinishedStudy, whole: str) -> None:
    folded = whole.partition("<summary>All comparisons</summary>")[2].partition("</details>")[0]
    listed = [c for _, group in grouped(full) for c in group]
    rows = [line for line in folded.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(dict(grouped(full))) + len(listed), "a header, a heading for each group, a row for each"
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {7}


def test_sections_that_no_comment_holds_are_named(full: FinishedStudy, parts: list[Section]) -> None:
    large = Section(title="Large", anchor="large", data=Paragraph(text="x" * MOST_CHARACTERS))
    text = markdown(full, [*parts[:-1], large, parts[-1]])
    assert len(text) <= MOST_CHARACTERS
    assert "These parts are too long for a comment and are only in the report: Large." in text
    assert f"<summary>{parts[-1].title}</summary>" in text


def unescaped(text: str) -> str:
    """What a reader of the rendered text sees."""
    shown = text.replace("&#8203;", "").replace("&#36;", "$").replace("&lt;", "<").replace("&gt;", ">")
    return re.sub(r"\\([\\`*_\[\]|~])", r"\1", shown).replace("&amp;", "&")


@pytest.mark.parametrize(
    "text", [PINGS, EVIL, "- a list", "1. one", "1) one", "+ x", "=== ", "# head", "> quote", "&lt;b&gt;"]
)
def test_text_is_shown_as_it_is_and_adds_no_markup(text: str) -> None:

    made = escape(text)
    assert unescaped(made) == words.plain(text)
    assert not re.search(r"(?<!\\)[`*_\[\]|~]", made)
    assert "<" not in made
    assert ">" not in made
    bare = re.sub(r"&#?\w+;", "\0", made)
    assert not re.search(r"[@#](?!\0)|://|\bGH-|\bwww\.|\$", bare)
    assert not re.match(r"[-+=#>]\s|\d+[.)]\s|===", made)


@pytest.mark.parametrize("kind", POOR)
def test_poor_studies_say_so_in_markdown(kind: str) -> None:
    text = markdown(poor(kind))
    assert text.startswith(("**inconclusive:** No ratio of ", "**inconclusive:** There is no verdict"))
    assert "nan" not in text.lower().replace("nanosecond", "")
    assert "None" not in text


# ---- JSON --------------------------------------------------------------------------------------------------------


def test_machines_get_plain_values(full: FinishedStudy, parts: list[Section], made: synthetic.MadeStudy) -> None:
    found = json.loads(json.dumps(as_json(full, parts), allow_nan=False))
    assert found["schema_version"] == SCHEMA_VERSION
    assert found["headline"] == made.verdict["headline"]
    assert found["comparisons"] == made.verdict["comparisons"]
    assert found["limits"] == made.verdict["limits"]
    assert (found["aa"], found["sentence"]) == (made.verdict["aa"], made.verdict["sentence"])
    assert found["warnings"] == made.verdict["warnings"]
    assert found["words"]["chatter"] == "small unary calls"
    assert found["report"] == "nightly.html"
    levels = {level["configuration"]: level for level in found["levels"]}
    assert list(levels) == list(full.configurations)
    basic = levels["basic-c64"]
    assert basic["ci_low"] < basic["mean"] < basic["ci_high"]
    assert (basic["blocks"], basic["limited_by"], basic["metric"]) == (6, ["client-cpu"], "throughput_rps")
    assert found["trials"] == {"measured": len(full.trials), "valid": int(full.trials["valid"].sum())}


def test_machines_get_the_programs_of_servers_and_the_study_that_is_repeated() -> None:
    made = synthetic.small_study()
    file = {"name": "server", "bytes": 9, "sha256": "0" * 64, "version": "1.2"}
    about = {
        "servers": {"basic": {"command": "server --fast", "files": [file]}},
        "repeats": {"study": "first", "created_at": None, "identity": {"host": "lab-1"}},
    }
    found = as_json(finished({**made.manifest, **about}, made.trials, made.verdict))
    assert json.loads(json.dumps({name: found[name] for name in about})) == about


@pytest.mark.parametrize("kind", POOR)
def test_poor_studies_are_json_without_nan(kind: str) -> None:
    found = as_json(poor(kind))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    keys = {"schema_version", "study", "headline", "sentence", "aa", "warnings", "comparisons", "limits", "levels"}
    assert keys | {"identity", "report"} <= set(found)


# ---- the terminal ------------------------------------------------------------------------------------------------


def test_the_table_has_what_matters_aligned(full: FinishedStudy) -> None:
    lines = table(full).splitlines()
    assert lines[0].split() == ["ratio", "95%", "interval", "verdict"]
    assert lines[1].startswith("optimized against basic  ")
    assert lines[-1].startswith("A/A: basic against itself")
    shown = "\n".join(lines)
    for told in ("  in p99 latency", "  client only: same server", "  ladder: ", "not testable here"):
        assert told in shown
    column = lines[0].index("verdict")
    assert all(line[column - 2 : column] == "  " and line[column] != " " for line in lines)
    assert max(map(len, lines)) <= WIDTH
    assert "\x1b" not in shown
    narrow = table(full, 80).splitlines()
    assert max(map(len, narrow)) <= 80
    assert [line.split()[-1] for line in narrow[1:6]] == [line.split()[-1] for line in lines[1:6]], "each its verdict"


def test_a_study_of_levels_shows_every_level() -> None:
    asked = {"headline": "server.threads=64", "factors": {"server.threads": [4, 16, 64], "server.tls": [True]}}
    planned = file_design.design(asked).plan
    plan = document(planned)
    maker = study_maker.StudyMaker()
    for row in plan["configurations"]:
        maker.add(row["name"], row["title"], 1000, row["settings"], scenario=row["scenario"])
    trials = maker.trials(study="threads")
    verdict = synthetic.as_json(analyse(trials, planned).as_dict())
    lines = table(finished(synthetic.manifest_of("threads", plan), trials, verdict)).splitlines()
    for level in ("threads=4,", "threads=16", "threads=64", "tls=true"):
        assert sum(level in line for line in lines) == 1, level


def test_long_names_are_cut_to_a_hundred_columns() -> None:
    made: dict[str, Any] = {}
    for text in (PINGS * 3, EVIL, "x" * 300):
        lines = table(of(synthetic.small_study(text=text))).splitlines()
        made[text] = lines
        assert max(map(len, lines)) <= WIDTH
        assert all("faster" in line or "equivalent" in line or "inconclusive" in line for line in lines[1:3])
    assert all("\x1b" not in line for lines in made.values() for line in lines)


@pytest.mark.parametrize("kind", POOR)
def test_poor_studies_have_a_table(kind: str) -> None:
    lines = table(poor(kind)).splitlines()
    assert len(lines) >= 2
    assert "nan" not in table(poor(kind)).lower()
    assert max(map(len, lines)) <= WIDTH
