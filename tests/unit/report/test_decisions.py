"""Why a rung is kept or rejected, whether a study agrees, and the lab's own words explained to who never saw them."""

from __future__ import annotations

import math

import pytest

from grpclab.analysis import Comparison, Verdict
from grpclab.factors.variants import LADDER
from grpclab.report import glossary
from grpclab.report.finished import FinishedStudy
from grpclab.report.renderers.markdown import markdown
from grpclab.report.renderers.terminal import table
from grpclab.report.sections import answer, ladder, terms
from tests.support import synthetic
from tests.support.pages import html_of


@pytest.fixture(scope="module")
def study() -> FinishedStudy:
    made = synthetic.full_study()
    return made.finished()


def test_every_rung_says_on_what_evidence_it_was_decided() -> None:
    assert [rung.name for rung in LADDER[1:] if not rung.why] == []


@pytest.mark.parametrize(
    ("kept", "ratio", "verdict", "stands", "against"),
    [
        (True, 3.3, "faster", "this study agrees", False),
        (False, 0.6, "slower", "this study agrees", False),
        (True, 0.8, "slower", "this study says the opposite", True),
        (False, 1.2, "faster", "this study says the opposite", True),
        (True, 0.92, "inconclusive", "this study points the other way, but within the noise", True),
        (False, 1.11, "inconclusive", "this study points the other way, but within the noise", True),
        (True, 1.1, "inconclusive", "undecided in this study", False),
        (False, 0.99, "equivalent", "this study finds no difference", False),
        (False, 1.01, "equivalent", "this study finds no difference", False),
        (True, math.nan, "inconclusive", "not measured here", False),
    ],
)
def test_a_study_is_held_against_the_decision(
    kept: bool, ratio: float, verdict: Verdict, stands: str, against: bool
) -> None:
    comparison = Comparison(ratio=ratio, verdict=verdict)
    found = ladder.Decision(title="a rung", kept=kept, why="", comparison=comparison)
    assert (found.stands, found.against) == (stands, against)


def test_the_ladder_names_the_rungs_that_point_the_other_way(study: FinishedStudy) -> None:
    found = list(ladder.decisions(study))
    assert [d.title for d in found] == [rung.title for rung in study.plan.ladder[1:]]
    assert ladder.lead(found).endswith("This study only shows whether its own results agree.")
    odd = ladder.Decision(title="pool", kept=True, why="", comparison=Comparison(ratio=0.92))
    assert ladder.lead([*found, odd]).endswith(
        "In this study, the ratio points the other way for pool (kept, here 0.92×)."
    )
    assert "ladder: asyncio server (rejected)" in table(study)


# ---- words -------------------------------------------------------------------------------------------------------


def test_the_named_configurations_are_explained_where_they_are_what_they_are_called() -> None:
    made = synthetic.waiting_study()
    told = dict(glossary.explained(made.finished()))
    assert list(told) == ["waiting", "engine wire", "A/A"]
    basic = synthetic.small_study()  # "the basic one" is a title, and its settings are those of basic
    first = dict(glossary.variants(basic.finished()))
    assert list(first) == ["basic"]
    for row in basic.manifest["plan"]["configurations"]:
        row["settings"] = {**row["settings"], "server.threads": 3}
    assert not dict(glossary.variants(basic.finished()))


def test_the_words_stand_under_the_verdict_and_in_the_markdown(study: FinishedStudy) -> None:
    assert [name for name, _ in answer.section(study).variants][:1] == ["basic"]
    assert "<b>chatter</b>: small unary calls" in html_of(terms.section(study))
    assert "basic: a typical first server and client" in markdown(study)
