"""The lab measures itself: what it is asked for, and what is made of its frames. Nothing is measured here."""

from __future__ import annotations

import ast
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grpclab.calibration import (
    agreement,
    ceiling,
    disturbances,
    disturbing,
    lateness,
    memory,
    page,
    recording,
    stall,
    tails,
    truth,
)
from grpclab.calibration.claims import Claim, claims_table, verdict
from grpclab.calibration.neighbours import Reading, others_share
from grpclab.calibration.plan import Plan, shuffled
from grpclab.calibration.store import Results
from grpclab.errors import DesignError
from grpclab.study.parameters import StudyParameters
from grpclab.system.paths import notebook
from tests.support import first_edition
from tests.support.calibration_frames import calls, disturbed, growing, judged, rates, sends, stalled
from tests.support.pages import Page, html_of, plain_spaces


def holds(claims: list[Claim]) -> list[bool | None]:
    """Those of the claims that have a goal."""
    return [claim.holds for claim in claims if claim.goal]


# ---- what is asked for -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"rounds": 0}, "invalid rounds=0: expected"),
        ({"rounds": True}, "invalid rounds=True: expected"),
        ({"full": "perhaps"}, "invalid full=perhaps: expected"),
        ({"scale": math.inf}, "invalid scale=inf: expected"),
        ({"seed": -1}, "invalid seed=-1: expected"),
        ({"round": 3}, "unknown parameter 'round': did you mean rounds?"),
    ],
)
def test_a_wrong_or_unknown_parameter_is_refused_in_one_line(values: dict[str, Any], line: str) -> None:
    with pytest.raises(DesignError, match=re.escape(line)):
        Plan.from_namespace(values)


@pytest.mark.parametrize("word", ["true", "True", True, 1])
def test_the_switch_may_be_a_word_as_papermill_gives_it(word: Any) -> None:
    assert Plan.from_namespace({"full": word}).full is True
    assert Plan.from_namespace({"full": "false"}).full is False


def test_a_backend_of_matplotlib_that_is_none_does_not_keep_the_experiments_from_loading() -> None:
    command = [sys.executable, "-c", "import grpclab.calibration.experiments"]
    subprocess.run(command, env={**os.environ, "MPLBACKEND": "nonsense"}, check=True)


def test_sizes_follow_from_the_plan() -> None:
    assert Plan().seconds(2.0, 10.0) == 2.0
    assert Plan(full=True, scale=0.5).seconds(2.0, 10.0) == 5.0
    assert Plan(scale=0.01).calls(10, 1000) == 1


def test_every_round_has_an_order_of_its_own_that_the_seed_repeats() -> None:
    names = list("abcdefgh")
    orders = [shuffled(names, 1, number) for number in range(5)]
    assert all(sorted(order) == names for order in orders)
    assert len({tuple(order) for order in orders}) == 5
    assert orders == [shuffled(names, 1, number) for number in range(5)]


def test_the_parameters_cell_is_the_plan() -> None:
    cells = json.loads(notebook("calibration").read_text())["cells"]
    (cell,) = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    fields = Plan.__dataclass_fields__
    found = {}
    for line in "".join(cell["source"]).splitlines():
        code, _, said = line.partition("  # ")
        (statement,) = ast.parse(code).body
        assert isinstance(statement, ast.AnnAssign)
        assert statement.value is not None
        found[ast.unparse(statement.target)] = (
            ast.unparse(statement.annotation),
            ast.literal_eval(statement.value),
            said,
        )
    assert found == {name: (field.type, field.default, field.metadata["meaning"]) for name, field in fields.items()}


# ---- claims ----------------------------------------------------------------------------------------------------


def test_the_sentence_counts_only_what_has_a_goal_and_names_what_fails() -> None:
    met, failed = Claim(claim="a", goal="1", holds=True), Claim(claim="b", goal="1", holds=False)
    assert verdict([met, Claim(claim="told")]) == "All 1 goals are met on this machine."
    assert verdict([met, failed]).endswith("1 of 2 goals are met on this machine. Not met: b.")
    assert "None of the goals" in verdict([Claim(claim="told")])


def test_text_in_the_table_is_escaped_and_no_verdict_is_made_up() -> None:
    table = html_of(claims_table({"<group>": [Claim(claim="<b>", goal="<1", measured="2, 3")]}))
    assert "<group>" not in table
    assert "&lt;b&gt;" in table
    assert "undecided" in table
    assert '>2</span>,<br><span class="gl-unbroken">3</span>' in table


# ---- tails -----------------------------------------------------------------------------------------------------


def test_a_curve_ends_where_ten_observations_are_left() -> None:
    values = np.random.default_rng(1).permutation(np.arange(1, 10_001) / 1000)
    at, seconds = tails.curve(values)
    assert at[0] == 0
    assert at[-1] == pytest.approx(0.999)
    assert seconds[0] == values.min()
    assert np.count_nonzero(values > seconds[-1]) == 10
    assert (np.diff(seconds) >= 0).all()
    assert len(tails.curve(values[:5])[0]) == 1


# ---- the ceiling -----------------------------------------------------------------------------------------------

H2LOAD = """\
finished in 1.02s, 131223.55 req/s, 12.02MB/s
requests: 131072 total, 131072 started, 131072 done, 131070 succeeded, 2 failed, 0 errored, 0 timeout
status codes: 131070 2xx, 0 3xx, 0 4xx, 2 5xx
"""


def test_h2loads_output_is_read() -> None:
    assert ceiling.parse_h2load(H2LOAD) == {"rps": 131223.55, "ok": 131070.0}
    assert ceiling.parse_h2load("could not connect") == {}


def test_the_ceiling_is_judged_by_ratios_within_rounds() -> None:
    assert holds(ceiling.claims(rates(0.9, 0.05))) == [True, True, True, True]
    assert holds(ceiling.claims(rates(0.6, 0.1))) == [False, False, False, True]
    assert "0.90×" in html_of(ceiling.body(rates(0.9, 0.05)))


def test_a_failed_call_is_a_failed_claim() -> None:
    frame = rates(0.9, 0.05)
    frame.loc[0, "errors"] = 1
    assert not ceiling.claims(frame)[-1].holds


# ---- frames as they would be -----------------------------------------------------------------------------------


def test_what_is_added_to_the_truth_is_found_call_by_call() -> None:
    assert truth.median_added_s(calls(1e-4)) == pytest.approx(1e-4)
    assert holds(truth.claims(calls(1e-4))) == [True]
    assert holds(truth.claims(calls(3e-4))) == [False]
    errors = truth.percentile_errors(calls(1e-4))
    assert errors["error_s"].to_numpy() == pytest.approx(1e-4)
    assert "p99.9" in html_of(truth.body(calls(1e-4)))


def test_the_stall_is_nine_tenths_of_itself_at_p99_in_an_open_loop_and_not_there_in_a_closed_one() -> None:
    assert holds(stall.claims(stalled())) == [True, True]
    assert holds(stall.claims(stalled(seen=False))) == [False, True]
    assert stall.claims(stalled())[0].measured == "900 ms"
    body = html_of(stall.body(stalled()))
    assert "only 5 of its 9,000 calls were affected by the stall" in body


def test_one_call_that_was_not_sent_fails_the_schedule() -> None:
    assert holds(lateness.claims(sends(5e-4))) == [True, True]
    assert holds(lateness.claims(sends(5e-4, sent=99_999))) == [False, True]
    assert holds(lateness.claims(sends(2e-3))) == [True, False]
    assert holds(lateness.claims(sends(math.nan))) == [True, None]
    assert "500,000 of 500,000" in html_of(lateness.body(sends(5e-4)))
    assert "<figure" in html_of(lateness.body(sends(math.nan)))


@pytest.mark.parametrize(("ramp_s", "holding"), [(2e-4, True), (4e-4, False), (math.nan, None)])
def test_a_load_shape_that_is_sent_late_fails(ramp_s: float, holding: bool | None) -> None:
    late = {"gamma arrivals": 1e-4, "a ramp": ramp_s, "a replay of recorded times": 1e-4}
    assert set(late) == set(lateness.SHAPES)
    frame = sends(5e-4)
    rows = [frame.iloc[-1].to_dict() | {"part": "shaped", "arrival": name} for name in late for _ in range(3)]
    shaped = pd.concat([frame, pd.DataFrame(rows).assign(late_p99_s=[late[row["arrival"]] for row in rows])])
    assert holds(lateness.claims(shaped)) == [True, True, holding]
    assert "100 µs with gamma arrivals" in html_of(lateness.body(shaped))


def test_memory_that_grows_slowly_is_found() -> None:
    assert holds(memory.claims(growing(0))) == [True, True]
    assert holds(memory.claims(growing(8))) == [True, False]
    assert holds(memory.claims(growing(200))) == [False, False]
    assert memory.growth_bytes(growing(8)) == pytest.approx(4e6)
    assert "1,000,000 calls" in html_of(memory.body(growing(0)))


def test_the_recorder_is_timed_by_the_clock_it_is_given() -> None:
    readings = iter(range(100))
    frame = recording.measure(rounds=2, calls=100, seed=1, clock=lambda: float(next(readings)))
    assert (frame["ns_per_call"] == 1e7).all()
    sizes = frame.groupby("variant")["bytes_per_call"].first()
    assert sizes[recording.MEMORY] == 0
    assert sizes[recording.DISK] == 25
    assert sizes[recording.RESIDENCE] == 33


def test_only_opposite_significant_verdicts_are_a_disagreement() -> None:
    up, down, same = [1.5, 1.51, 1.52] * 2, [0.6, 0.61, 0.62] * 2, [0.9, 1.0, 1.12] * 2
    assert holds(agreement.claims(judged({"grpcio": up, "wire": down})))[0] is False
    assert holds(agreement.claims(judged({"grpcio": up, "wire": up})))[0] is True
    assert holds(agreement.claims(judged({"grpcio": same, "wire": down})))[0] is True
    assert holds(agreement.claims(judged({"grpcio": up[:5], "wire": down[:5]})))[0] is None
    assert "opposite verdicts" in html_of(agreement.body(judged({"grpcio": up, "wire": down})))
    assert "generator-bound" in html_of(agreement.body(judged({"grpcio": [1.5], "wire": [0.6]})))


def test_what_others_used_is_what_is_left_of_the_machine() -> None:
    before = Reading(at_s=10.0, machine_s=100.0, own_s=5.0)
    after = Reading(at_s=20.0, machine_s=115.0, own_s=15.0)
    assert others_share(before, after, cores=2) == pytest.approx(0.25)
    assert others_share(before, before, cores=2) == 0
    assert others_share(before, Reading(at_s=11.0, machine_s=100.0, own_s=6.0), cores=2) == 0


# ---- the report ------------------------------------------------------------------------------------------------


def test_what_could_not_be_measured_is_said_with_its_reason(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.begin(Plan(scale=0.5))
    results.put("memory", growing(0), others=0.3)
    results.note("ceiling", "nghttpd is not installed: <apt>")
    html = plain_spaces(page.write(results).read_text())
    assert "Not measured: nghttpd is not installed: &lt;apt&gt;" in html
    assert "the run ended before this part" in html
    assert "All 2 goals are met" in html
    assert "All durations were scaled by 0.5" in html
    assert "Other programs used this machine at the same time (Memory 30%" in html
    results.begin(Plan())
    assert results.frame("memory") is None
    assert results.about().notes == {}


def test_the_published_calibration_is_replaced_only_by_its_own_name(tmp_path: Path) -> None:
    assert Results(tmp_path, Plan().name).report == tmp_path / "reports" / "calibration-own.html"
    assert Results(tmp_path, Plan(name="calibration").name).report == tmp_path / "reports" / "calibration.html"
    for name in ("mine", "calibration-", "calibration-../x", 5):
        with pytest.raises(DesignError, match="name="):
            Plan(name=name)  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="study=calibration-own"):
        StudyParameters(study=Plan().name)


def test_the_calibration_of_the_first_edition_still_opens() -> None:
    with first_edition.unpacked() as root:
        results = Results(root, "calibration-small")
        assert results.about().parameters == Plan(
            name="calibration-small", rounds=2, only="echo,simulation,ceiling", scale=0.05
        )
        machine = results.about().machine
        assert None not in (machine.host, machine.cpu_model)
        assert machine.affinity
        html = page.write(results).read_text()
    assert "All durations were scaled by 0.05" in html


def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.begin(Plan())
    file = results.folder / "about.json"
    about = json.loads(file.read_text())
    damages: list[dict[str, Any]] = [{"schema_version": 2}, {"machine": []}, {"others": {"echo": "much"}}]
    for changed in damages:
        file.write_text(json.dumps(about | changed))
        with pytest.raises(DesignError, match="about"):
            results.about()


def test_without_a_calibration_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match=r"no calibration in .*: run notebooks/calibration\.ipynb first"):
        page.write(Results(tmp_path))


# ---- disturbances ----------------------------------------------------------------------------------------------


def test_a_disturbance_that_is_marked_is_told() -> None:
    frame = disturbed()
    assert set(disturbances.judged(frame)["outcome"]) == {disturbances.MARKED}
    assert holds(disturbances.claims(frame)) == [True, True, True]


@pytest.mark.parametrize(
    ("figures", "outcome"),
    [
        ({}, disturbances.UNTOLD),
        ({"throughput_rps": 990.0, "max_s": 0.02}, disturbances.NO_MATTER),
        ({"throughput_rps": 990.0, "max_s": 1.0}, disturbances.UNTOLD),
        ({"throughput_rps": 990.0, "max_s": 0.02, "errors": 3}, disturbances.UNTOLD),
    ],
)
def test_without_its_mark_it_must_not_matter(figures: dict[str, Any], outcome: str) -> None:
    frame = disturbed(what="server stopped for 1 s", notices="others", **figures)
    found = disturbances.judged(frame)
    assert set(found[found["disturbance"] == "server stopped for 1 s"]["outcome"]) == {outcome}
    everything, party, _ = holds(disturbances.claims(frame))
    assert everything is (outcome != disturbances.UNTOLD)
    assert party is False, "another party's mark does not do"


def test_a_stop_that_the_slowest_call_of_an_open_loop_does_not_show_fails_its_claim() -> None:
    assert holds(disturbances.claims(disturbed(what="server stopped for 1 s", max_s=0.3)))[2] is False


def test_the_table_has_a_row_for_each_disturbance_and_a_cell_for_each_engine_and_loop() -> None:
    frame = disturbed()
    lines = disturbances.markdown(frame).splitlines()
    names = [one.name for one in [*disturbances.LASTING, *disturbances.stops([0.1, 1.0])]]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == ["nothing", *names]
    assert {line.count(" | ") for line in lines} == {len(disturbances.COLUMNS)}
    assert "marked: server-stopped (0.50×" in disturbances.markdown(frame)
    text = Page(html_of(disturbances.body(frame))).text
    assert all(name in text for name in names)


def test_where_the_clock_cannot_be_set_the_table_says_so() -> None:
    frame = disturbed()
    frame = frame[frame["route"] != disturbing.OTHER_CLOCK]
    (line,) = [line for line in disturbances.markdown(frame).splitlines() if "wall clock" in line]
    assert line.count("libfaketime") == len(disturbances.COLUMNS)
