"""A verdict is read into the values that the analysis computes: null and what is missing stand for unknown."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from grpclab.analysis import Comparison, Judgement, Limit
from grpclab.study.stored_values import read_verdict
from grpclab.system.notices import Notice
from tests.support import first_edition


def test_a_verdict_that_holds_nothing_is_one_without_a_ratio() -> None:
    verdict = read_verdict({})
    assert verdict == Judgement()
    assert not verdict.headline.computed
    assert not verdict.headline.has_interval


def test_null_is_a_number_that_cannot_be_computed() -> None:
    headline = read_verdict({"headline": {"ratio": None, "p_adjusted": None, "blocks": 2, "verdict": None}}).headline
    assert math.isnan(headline.ratio)
    assert math.isnan(headline.p_adjusted)
    assert (headline.blocks, headline.verdict) == (2, "inconclusive")


def test_a_verdict_of_before_there_were_limits_and_notices_has_none() -> None:
    verdict = read_verdict({"schema_version": 1, "headline": {"ratio": 2.0}, "comparisons": [{"ratio": 1.5}]})
    assert (verdict.limits, verdict.notices) == ((), ())
    assert [c.ratio for c in verdict.judged] == [2.0, 1.5]


def test_what_was_written_is_read_as_it_was() -> None:
    judgement = Judgement(
        schema_version=2,
        sentence="b is 2x a.",
        headline=Comparison(title="b over a", ratio=2.0, blocks=6, verdict="faster", limited_by=("client-cpu",)),
        aa=Comparison(title="A/A"),
        limits=(Limit(configuration="a", resource="threads", evidence="all in use", certain=True),),
        notices=(Notice(kind="throttled", severity="warning", text="held back"),),
    )
    assert read_verdict(json.loads(json.dumps(judgement.as_dict()))) == judgement


def test_a_word_that_only_another_version_knows_is_read() -> None:
    (limit,) = read_verdict({"limits": [{"resource": "disk"}]}).limits
    assert limit.as_dict()["resource"] == "disk"


@pytest.mark.parametrize(
    "wrong", [{"headline": {"ratio": "2"}}, {"headline": {"verdict": 7}}, {"limits": {}}, {"notices": [None]}]
)
def test_a_verdict_that_holds_something_of_another_type_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_verdict(wrong)


def test_every_verdict_of_the_first_edition_is_written_as_it_is_stored(tmp_path: Path) -> None:
    first_edition.unpack(tmp_path)
    paths = list(tmp_path.glob("results/*/verdict.json"))
    assert paths
    for path in paths:
        document = json.loads(path.read_text())
        assert read_verdict(document).as_dict() == document
