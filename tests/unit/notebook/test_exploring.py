"""Questions of one's own: which studies are taken, what is in a frame, and what two studies may be joined on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from grpclab import load_study
from grpclab.analysis import log_t_interval
from grpclab.errors import DesignError
from grpclab.factors.config import FACTORS
from grpclab.notebook import explore
from grpclab.report.stored import StoredStudy, finished_studies
from tests.support import stored_studies, synthetic


@pytest.fixture(scope="module")
def made() -> synthetic.MadeStudy:
    return synthetic.full_study(name="monday")


@pytest.fixture(scope="module")
def study(made: synthetic.MadeStudy, tmp_path_factory: pytest.TempPathFactory) -> StoredStudy:
    return load_study(stored_studies.as_folder(made, tmp_path_factory.mktemp("lab") / "monday"))


def begun(made: synthetic.MadeStudy, at: str, **changes: object) -> synthetic.MadeStudy:
    return dataclasses.replace(made, manifest=made.manifest | {"created_at": at} | changes)


# ---- which studies -------------------------------------------------------------------------------------------


def test_a_folder_and_a_report_hold_the_same_study(
    made: synthetic.MadeStudy, study: StoredStudy, tmp_path: Path
) -> None:
    sent = load_study(stored_studies.as_report(made, tmp_path / "monday.html"))
    assert sent.name == study.name == "monday"
    assert sent.manifest == study.manifest
    assert sent.verdict == study.verdict
    pd.testing.assert_frame_equal(sent.trials, study.trials)


def test_the_newest_finished_studies_come_first_and_half_ones_not_at_all(
    made: synthetic.MadeStudy, tmp_path: Path
) -> None:
    old = stored_studies.as_folder(begun(made, "2026-11-01T09:00:00+00:00"), tmp_path / "results" / "z-old")
    new = stored_studies.as_folder(begun(made, "2026-11-02T09:00:00+00:00"), tmp_path / "results" / "a-new")
    running = stored_studies.as_folder(begun(made, "2026-11-03T09:00:00+00:00"), tmp_path / "results" / "running")
    (running / "verdict.json").unlink()
    damaged = stored_studies.as_folder(begun(made, "2026-11-03T09:00:00+00:00"), tmp_path / "results" / "damaged")
    (damaged / "manifest.json").write_text("{")
    (tmp_path / "results" / "scratch").mkdir()
    assert finished_studies(tmp_path / "results") == [new, old]
    assert finished_studies(tmp_path / "nowhere") == []
    assert explore.sources("", "", tmp_path) == (new, old)
    assert explore.sources("z-old", "", tmp_path) == (old, new)
    assert explore.sources("results/z-old", str(old), tmp_path) == (old, old)


def test_where_nothing_was_measured_the_published_reports_stand_in(made: synthetic.MadeStudy, tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="grpclab study --design quick"):
        explore.sources("", "", tmp_path)
    example = stored_studies.as_report(made, tmp_path / "reports" / "example.html")
    assert explore.sources("", "", tmp_path) == (example, example)
    replication = stored_studies.as_report(made, tmp_path / "reports" / "replication.html")
    assert explore.sources("", "", tmp_path) == (example, replication)
    sent = stored_studies.as_report(made, tmp_path / "reports" / "sent.html")
    assert explore.sources("reports/sent.html", "", tmp_path) == (sent, replication)
    own = stored_studies.as_folder(made, tmp_path / "results" / "own")
    assert explore.sources("", "", tmp_path) == (own, replication)


def test_the_notebooks_variables_name_them_and_a_misspelt_one_is_told(
    made: synthetic.MadeStudy, tmp_path: Path
) -> None:
    stored_studies.as_folder(made, tmp_path / "results" / "monday")
    first, second = explore.studies({"study": "monday", "other": "", "palette": "muted"}, tmp_path)
    assert first.name == second.name == "monday"
    with pytest.raises(DesignError, match=r"unknown parameter 'others': did you mean other\?"):
        explore.studies({"study": "", "other": "", "others": "tuesday"}, tmp_path)
    with pytest.raises(DesignError, match="tuesday"):
        explore.studies({"study": "monday", "other": "tuesday"}, tmp_path)


# ---- the frame -----------------------------------------------------------------------------------------------


def test_every_column_has_a_kind_and_every_factor_its_meaning(study: StoredStudy) -> None:
    columns = explore.columns(study.trials)
    assert set(columns.index) == set(study.trials.columns)
    kinds = columns["kind"]
    assert set(kinds[kinds == "factor"].index) == set(FACTORS)
    assert {"throughput_rps", "errors", "latency_p99_s", "share_send"} <= set(kinds[kinds == "metric"].index)
    assert {"trial", "block", "valid"} <= set(kinds[kinds == "identity"].index)
    assert {"invalid_reason", "limited_by", "profile_note"} <= set(kinds[kinds == "note"].index)
    assert list(kinds.drop_duplicates()) == ["identity", "factor", "metric", "note"]
    assert columns.loc["client.pooling", "what"] == FACTORS["client.pooling"].meaning
    assert columns.loc["offered_rps", "missing"] == 1


def test_the_factors_that_vary_are_told_with_their_levels(study: StoredStudy) -> None:
    varied = explore.varied(study.trials)
    assert varied["client.pooling"] == "per_call, pool and shared"
    assert varied["load.concurrency"].startswith("1, 4, 16, 64")
    assert "server.tls" not in varied


def test_valid_trials_have_no_percentile_of_few_calls(made: synthetic.MadeStudy) -> None:
    trials = made.trials.assign(requests=100.0)
    found = StoredStudy(name="few", manifest=made.manifest, trials=trials, verdict=made.verdict).valid
    assert len(found) == int(trials["valid"].sum()) < len(trials)
    assert found["latency_p99_s"].isna().all()
    assert found["latency_p50_s"].notna().all()


def test_rank_correlations_are_taken_inside_each_block() -> None:
    rates = [100.0, 200.0, 300.0, 1000.0, 2000.0, 3000.0]  # the second block is ten times as fast
    cpu = [3.0, 2.0, 1.0, 3.0, 2.0, 1.0]
    frame = pd.DataFrame(
        {"block": [0, 0, 0, 1, 1, 1], "throughput_rps": rates, "cpu": cpu, "none": np.nan, "even": 1.0}
    )
    found = explore.rank_correlations(frame, ["cpu", "none", "even"])
    assert found["cpu"].tolist() == [-1, -1]
    assert found[["none", "even"]].isna().all().all()
    said = explore.strongest(found)
    assert "most strongly with cpu: rank correlation -1.00" in said
    assert "the strongest in 2" in said
    assert "There were too few calls to measure none and even" in said
    assert "No conclusion is possible" in explore.strongest(found[["none"]])


def test_the_ratios_sentence_has_the_interval_of_analysis() -> None:
    ratios = pd.DataFrame({"metric": "throughput_rps", "ratio": [2.0, 2.1, 1.9]})
    interval = log_t_interval(ratios["ratio"])
    assert explore.mean_ratio(ratios["ratio"]) == interval.mean
    assert explore.ratio_ends(ratios["ratio"]) == (interval.low, interval.high)
    said = explore.ratios_sentence(ratios, baseline="a", candidate="b")
    assert said == f"b against a: throughput 2.00× (3 blocks, {interval.low:.2f} to {interval.high:.2f})."
    one = explore.ratios_sentence(ratios.head(1), baseline="a", candidate="b")
    assert one == "b against a: throughput 2.00× (1 block: no interval)."
    assert (
        explore.ratios_sentence(ratios.head(0), baseline="a", candidate="b") == "No block has results for both sides."
    )


def test_axes_of_ratios_have_ticks_that_read_as_ratios() -> None:
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([0.4, 3.0], [0.9, 1.2])
    explore.ratio_axes(axes, "xy")
    assert axes.get_xscale() == axes.get_yscale() == "log"
    for axis in (axes.xaxis, axes.yaxis):
        assert "1×" in [text.get_text() for text in axis.get_ticklabels()]
        assert len(axis.get_ticklabels()) >= 3


# ---- two studies ---------------------------------------------------------------------------------------------


def another(made: synthetic.MadeStudy, **changes: object) -> StoredStudy:
    trials = made.trials.copy()
    return StoredStudy(name="tuesday", manifest=made.manifest | changes, trials=trials, verdict=made.verdict)


def test_studies_of_one_machine_are_joined_with_their_names(made: synthetic.MadeStudy, study: StoredStudy) -> None:
    joined = explore.join(study, another(made))
    assert joined.comparable
    assert joined.left_out.empty
    assert list(joined.trials.index.get_level_values("study").unique()) == ["monday", "tuesday"]
    assert len(joined.trials) == 2 * len(study.valid)
    levels = joined.levels("throughput_rps")
    assert list(levels.columns) == ["monday", "tuesday", "ratio"]
    assert levels["ratio"].tolist() == pytest.approx([1.0] * len(levels))
    assert "absolute figures can be compared" in joined.sentence
    assert "0 have opposite verdicts" in joined.agreement()


def test_another_machine_is_told_and_absolute_numbers_are_withheld(
    made: synthetic.MadeStudy, study: StoredStudy
) -> None:
    versions = made.manifest["versions"] | {"grpcio": "1.90.0"}
    joined = explore.join(study, another(made, versions=versions))
    assert joined.differences.to_dict("index") == {"grpcio": {"monday": "1.85.1", "tuesday": "1.90.0"}}
    assert not joined.comparable
    assert joined.levels("throughput_rps").empty
    assert joined.sentence.startswith("The two studies differ in grpcio and ")
    assert len(joined.comparisons) > 0


def test_a_configuration_with_another_level_is_left_out_with_the_reason(
    made: synthetic.MadeStudy, study: StoredStudy
) -> None:
    other = another(made)
    mine = other.trials["configuration"] == "basic-c64"
    other.trials.loc[mine, "server.threads"] = 20
    other = dataclasses.replace(other, trials=other.trials[other.trials["configuration"] != "basic-c1"])
    joined = explore.join(study, other)
    assert joined.left_out.to_dict() == {"basic-c1": "only in monday", "basic-c64": "different server.threads"}
    assert not joined.trials["configuration"].isin(["basic-c1", "basic-c64"]).any()


def test_a_study_beside_itself_has_two_names(study: StoredStudy) -> None:
    joined = explore.join(study, study)
    assert joined.names == ("monday", "monday (2)")
    assert joined.trials.reset_index("study")["study"].value_counts().nunique() == 1


def test_a_study_shows_itself_in_a_notebook(made: synthetic.MadeStudy) -> None:
    shown = StoredStudy(name="<b>", manifest=made.manifest, trials=made.trials, verdict=made.verdict)._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "trials of" in shown
