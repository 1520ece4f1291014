"""The study inside its report, and the frames that anyone can take out of it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import grpclab
from grpclab.errors import DesignError
from grpclab.report import data
from tests.support import synthetic

EVIL = "</script><script>alert(1)</script><!-- \ud800 \x00 é"


@pytest.fixture(scope="module")
def made() -> synthetic.MadeStudy:
    return synthetic.small_study()


def test_a_report_is_still_a_study(made: synthetic.MadeStudy, tmp_path: Path) -> None:
    material = synthetic.material(made)
    path = made.report(tmp_path / "r.html", **material)
    found = grpclab.load_study(path)
    assert (found.name, found.manifest, found.verdict) == ("small", made.manifest, made.verdict)
    pd.testing.assert_frame_equal(found.trials, made.trials)
    assert data.read(path).details == material["details"]


def test_a_folder_and_its_report_tell_the_same(made: synthetic.MadeStudy, tmp_path: Path) -> None:
    for name, content in (("manifest", made.manifest), ("verdict", made.verdict)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    made.trials.to_parquet(tmp_path / "trials.parquet")
    found = grpclab.load_study(tmp_path)
    assert found.sentence == made.verdict["sentence"]
    comparisons = found.comparisons
    assert comparisons["candidate"].iloc[0] == made.verdict["headline"]["candidate"]
    assert comparisons["title"].iloc[-1] == "A/A"


def test_the_data_of_a_page_is_there_once_and_ends_no_element() -> None:
    trials = pd.DataFrame({"trial": pd.Series([EVIL], dtype=object), "x": [1.0]})
    page = data.Packed(manifest={"study": EVIL}, trials=trials, verdict={}).elements()
    assert page.count("<script") == page.count("</script>") == 2
    back = data.unpack(f"<html>{page}</html>")
    assert back.manifest["study"] == EVIL
    assert back.trials["trial"].iloc[0] == EVIL.replace("\ud800", "?")


def test_a_study_without_a_trial_can_be_packed() -> None:
    assert data.unpack(data.Packed(manifest={}, trials=pd.DataFrame(), verdict={}).elements()).trials.empty


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("<p>no report</p>", "it has no grpclab-study"),
        ('<script id="grpclab-study">AAAA</script><script id="grpclab-trials"></script>', "grpclab-study is damaged"),
    ],
)
def test_what_is_no_report_is_refused_in_a_line(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text(content)
    with pytest.raises(DesignError, match=told) as error:
        grpclab.load_study(tmp_path / "x.html")
    assert "\n" not in str(error.value)


def test_what_is_not_there_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match=r"cannot read .*nothing\.html: No such file"):
        grpclab.load_study(tmp_path / "nothing.html")
    with pytest.raises(DesignError, match="does not contain a finished study"):
        grpclab.load_study(tmp_path)


def test_a_study_of_another_schema_is_refused(made: synthetic.MadeStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    page = data.Packed(manifest=made.manifest, trials=made.trials, verdict=made.verdict).elements()
    monkeypatch.setattr(data, "SCHEMA_VERSION", 2)
    with pytest.raises(ValueError, match="schema version is 1, not 2"):
        data.unpack(page)
