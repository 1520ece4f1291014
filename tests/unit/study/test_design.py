"""Which configurations a study measures, what it compares, and in which order."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpclab.analysis import fewest_blocks
from grpclab.factors.channel_args import without_effect
from grpclab.factors.config import TrialConfig
from grpclab.factors.variants import BASIC, LADDER, OPTIMIZED, Rung
from grpclab.study.designs.design import Trial, schedule
from grpclab.study.parameters import DESIGNS, StudyParameters
from tests.support.plans import document
from tests.support.stored_studies import trial_config

Plan = dict[str, Any]
FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
LAST_RUNG = LADDER[-1].name


def planned(*, server_cores: int = 1, **parameters: Any) -> Plan:
    asked = StudyParameters(**parameters)
    return document(DESIGNS[asked.design].plan(asked, server_cores))


def names(found: Plan) -> list[str]:
    return [row["name"] for row in found["configurations"]]


def comparisons(found: Plan) -> list[dict[str, Any]]:
    """Every pair of configurations that is to be judged."""
    return [found["headline"], *found["parts"], *found["comparisons"], found["aa"]]


def mentioned(found: Plan) -> Iterator[str]:
    """Every configuration that some part of the plan speaks of."""
    for row in comparisons(found):
        yield from (row["baseline"], row["candidate"])
    for curve in found["curves"]:
        yield from itertools.chain.from_iterable(curve["series"].values())
    for row in (*found["windows"], *found["sweeps"]):
        yield from (point["configuration"] for point in row["points"])
    for row in found["engines"]["rows"]:
        yield from row["configurations"].values()
    yield from (rung["configuration"] for rung in found["ladder"] if not rung["not_testable"])
    yield from found["profiled"]


def rung(found: Plan, name: str) -> dict[str, Any]:
    return next(row for row in found["ladder"] if row["name"] == name)


def sweep(found: Plan, title: str) -> dict[str, Any]:
    return next(row for row in found["sweeps"] if row["title"] == title)


def in_parts(config: TrialConfig, *, without: set[str]) -> dict[str, Any]:
    return {name: level for name, level in config.flat().items() if name.partition(".")[0] not in without}


any_parameters = st.builds(
    StudyParameters,
    design=st.sampled_from(["default", "quick"]),
    concurrency=st.lists(st.integers(1, 5000), min_size=1, max_size=5).map(tuple),
    windows_kib=st.lists(st.integers(1, 2**21 - 1), min_size=1, max_size=4).map(tuple),
    stream_limits=st.lists(st.integers(1, 2**31 - 1), min_size=1, max_size=4).map(tuple),
    keepalive_s=st.lists(st.just(0.0) | st.floats(0.01, 2_000_000), min_size=1, max_size=4).map(tuple),
    pool_sizes=st.lists(st.integers(1, 10_000), min_size=1, max_size=4).map(tuple),
    rtt_ms=st.floats(0, 10_000),
    engine=st.sampled_from(["grpcio", "wire"]),
)

# ---- the two designs -----------------------------------------------------------------------------------------


def test_the_default_design_is_the_quick_one_and_the_ladder_sweeps_and_uploads() -> None:
    default, quick = planned(), planned(design="quick")
    assert set(names(quick)) < set(names(default))
    assert len(names(quick)) == 15
    assert len(names(default)) == 41
    assert quick["ladder"] == quick["sweeps"] == []
    assert [row["factor"] for row in quick["windows"]] == ["client.window_kib"]
    assert [row["factor"] for row in default["windows"]] == ["client.window_kib", "server.window_kib"]


def test_the_parameters_help_says_how_many_configurations_quick_has() -> None:
    meaning = StudyParameters.__dataclass_fields__["design"].metadata["meaning"]
    said = re.search(r"quick \((\d+) configurations", meaning)
    assert said is not None
    assert int(said[1]) == len(names(planned(design="quick")))


def test_a_plan_is_plain_json() -> None:
    found = planned()
    assert json.loads(json.dumps(found)) == found


def test_the_headline_asks_whether_optimized_beats_basic_at_64_in_flight() -> None:
    headline = planned()["headline"]
    assert (headline["baseline"], headline["candidate"]) == ("basic-c64", "optimized-c64")
    assert headline["metric"] == "throughput_rps"


@pytest.mark.parametrize(("levels", "main"), [("1,8", 8), ("256,64", 64), ("4", 4)])
def test_without_64_the_last_level_takes_its_place(levels: str, main: int) -> None:
    for design in ("default", "quick"):
        found = planned(concurrency=levels, design=design)
        assert found["headline"]["baseline"] == f"basic-c{main}"
        assert f"at concurrency {main}" in found["headline"]["title"]


def test_quick_keeps_one_low_level_of_the_curve() -> None:
    assert planned(design="quick")["curves"][0]["series"]["basic"] == ["basic-c8", "basic-c64"]
    only = planned(design="quick", concurrency="1,64,256")
    assert only["curves"][0]["series"]["basic"] == ["basic-c64"]


# ---- what holds for every plan -------------------------------------------------------------------------------


@settings(max_examples=60)
@given(any_parameters, st.integers(1, 8))
def test_every_plan_is_whole(parameters: StudyParameters, server_cores: int) -> None:
    found = document(DESIGNS[parameters.design].plan(parameters, server_cores))
    assert set(mentioned(found)) == set(names(found)), "nothing missing, nothing measured in vain"
    assert len(set(names(found))) == len(names(found))
    for name in names(found):
        assert FOLDER_NAME.fullmatch(name), name
        requests = None if name.startswith("idle-") else parameters.requests
        assert trial_config(found, name).load.requests == requests


@settings(max_examples=60)
@given(any_parameters, st.integers(1, 8))
def test_every_level_asked_for_is_measured_under_a_name_of_its_own(
    parameters: StudyParameters, server_cores: int
) -> None:
    found = document(DESIGNS[parameters.design].plan(parameters, server_cores))
    assert [trial_config(found, name).load.concurrency for name in found["curves"][0]["series"]["optimized"]] == [
        c for c in parameters.concurrency if parameters.design == "default" or f"basic-c{c}" in names(found)
    ]
    asked: dict[str, tuple[float, ...]] = {
        "pool size": parameters.pool_sizes,
        "stream limit": parameters.stream_limits,
        "keepalive": tuple(level or None for level in parameters.keepalive_s),  # type: ignore[misc]
    }
    for row in found["sweeps"]:
        points = [point["configuration"] for point in row["points"]]
        measured = tuple(trial_config(found, name).flat()[row["factor"]] for name in points)
        assert measured == asked[row["title"]]
        assert len({point["label"] for point in row["points"]}) == len(points)
    for row in found["windows"]:
        fixed = [trial_config(found, point["configuration"]) for point in row["points"]]
        assert [c.flat()[row["factor"]] for c in fixed] == [*sorted(parameters.windows_kib), None]


@settings(max_examples=30)
@given(any_parameters, st.integers(1, 8))
def test_every_comparison_is_of_two_different_configurations_in_one_scenario(
    parameters: StudyParameters, server_cores: int
) -> None:
    found = document(DESIGNS[parameters.design].plan(parameters, server_cores))
    scenario = {row["name"]: row["scenario"] for row in found["configurations"]}
    for row in comparisons(found):
        baseline, candidate = trial_config(found, row["baseline"]), trial_config(found, row["candidate"])
        assert scenario[row["baseline"]] == scenario[row["candidate"]] == row["scenario"]
        assert (baseline == candidate) == (row is found["aa"])
        apart = {name for name in baseline.differences(candidate) if name.startswith("load.")}
        assert not apart or any(word in row["title"] for word in ("download", "upload", "engine wire against"))
    pairs = Counter((row["metric"], row["baseline"], row["candidate"]) for row in found["comparisons"])
    assert set(pairs.values()) == {1}, "no hypothesis counted twice"


def test_a_configuration_comes_back_from_the_plan_as_it_went_in() -> None:
    found = json.loads(json.dumps(planned()))
    basic = trial_config(found, "basic-c8")
    assert (basic.server, basic.client) == (BASIC.server, BASIC.client)
    assert (basic.load.concurrency, basic.load.requests, basic.load.duration_s) == (8, 2500, 0.6)
    assert trial_config(found, "basic-c64").load.duration_s == 1.5, "no small difference is at stake at other loads"
    optimized = trial_config(found, "optimized-c64")
    assert (optimized.server, optimized.client) == (OPTIMIZED.server, OPTIMIZED.client)
    for row in found["configurations"]:
        config = trial_config(found, row["name"])
        assert config.differences(TrialConfig()) == row["settings"]
        assert without_effect(config) == row["without_effect"] == {}


# ---- handlers that wait ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", ["default", "quick"])
def test_both_designs_ask_what_threads_and_asyncio_give_handlers_that_wait(design: str) -> None:
    found = planned(design=design)
    mine = {row["name"]: trial_config(found, row["name"]) for row in found["configurations"]}
    mine = {name: config for name, config in mine.items() if name.startswith("waiting-")}
    assert {config.server.handler_wait_ms for config in mine.values()} == {"5"}
    assert {config.load.concurrency for config in mine.values()} == {64}
    pairs = {(row["baseline"], row["candidate"]) for row in found["comparisons"] if row["scenario"] == "waiting"}
    asked = [
        ("waiting-threads-10", "waiting-threads-64"),
        ("waiting-threads-10", "waiting-asyncio"),
        ("waiting-threads-64", "waiting-asyncio"),
    ]
    also = [("waiting-threads-10", "waiting-spare")] if design == "default" else []
    assert pairs == {*asked, *also}
    few, many = (mine[name] for name in asked[0])
    assert many.differences(few) == {"server.threads": 64}
    assert few.server.threads == 10
    assert list(mine) == found["waiting"]["configurations"]


# ---- engines ---------------------------------------------------------------------------------------------------


OWN_ENGINE = {"idle": "grpcio", "waiting": "wire"}
"""Keepalive is C-core's, whatever loads the rest; a Python client would be the limit before handlers that wait are."""


def loaded_by(found: Plan) -> dict[str, set[str]]:
    """The configurations by engine, but for the scenarios that have an engine of their own."""
    by_engine: dict[str, set[str]] = {"grpcio": set(), "wire": set()}
    for row in found["configurations"]:
        engine = trial_config(found, row["name"]).load.engine
        if row["scenario"] in OWN_ENGINE:
            assert engine == OWN_ENGINE[row["scenario"]]
        else:
            by_engine[engine].add(row["name"])
    return by_engine


@pytest.mark.parametrize(("engine", "other"), [("grpcio", "wire"), ("wire", "grpcio")])
def test_quick_loads_everything_with_one_engine_and_the_two_variants_with_the_other_once_more(
    engine: str, other: str
) -> None:
    found = planned(design="quick", engine=engine)
    by_engine = loaded_by(found)
    assert by_engine[other] == {f"basic-c64-{other}", f"optimized-c64-{other}"}


@pytest.mark.parametrize(("engine", "other"), [("grpcio", "wire"), ("wire", "grpcio")])
def test_what_changes_the_server_is_loaded_by_wire_and_what_changes_the_client_by_both(engine: str, other: str) -> None:
    found = planned(engine=engine)
    rows = [row for row in found["comparisons"] if row["title"].startswith(("ladder", "from the top", "keepalive"))]
    rows += [row for row in found["comparisons"] if row["title"].endswith("instead of optimized's")]
    engines: dict[str, set[str]] = {}
    for row in rows:
        side = trial_config(found, row["candidate"])
        changed = {
            name.partition(".")[0]
            for name in side.differences(trial_config(found, row["baseline"]))
            if name != "server.processes"
        }
        assert "load" not in changed
        about = "client" if "client" in changed else "server"
        engines.setdefault(about, set()).add(side.load.engine)
    assert engines == {"server": {"wire"}, "client": {"wire", "grpcio"}}
    with_python = {row["title"] for row in rows if trial_config(found, row["candidate"]).load.engine == "grpcio"}
    assert with_python == {
        "ladder: channel reuse, engine grpcio",
        "from the top: connection pool, engine grpcio",
        "keepalive off instead of optimized's, engine grpcio",
    }
    assert all(
        name.endswith(f"-{other}") == (other in words) for words, some in loaded_by(found).items() for name in some
    )


@pytest.mark.parametrize("design", ["default", "quick"])
@pytest.mark.parametrize(("engine", "other"), [("grpcio", "wire"), ("wire", "grpcio")])
def test_both_variants_are_measured_with_both_engines(design: str, engine: str, other: str) -> None:
    found = planned(design=design, engine=engine)
    assert found["engines"] == {
        "scenario": "chatter",
        "concurrency": 64,
        "base": engine,
        "other": other,
        "rows": [
            {"variant": variant, "configurations": {engine: f"{variant}-c64", other: f"{variant}-c64-{other}"}}
            for variant in ("basic", "optimized")
        ],
    }
    for row in found["engines"]["rows"]:
        wire, grpcio = (trial_config(found, row["configurations"][which]) for which in ("wire", "grpcio"))
        assert set(wire.differences(grpcio)) == {"load.engine"}


@pytest.mark.parametrize("engine", ["grpcio", "wire"])
def test_engines_are_compared_wire_over_grpcio_and_the_variants_with_the_other_engine(engine: str) -> None:
    found = planned(engine=engine)
    rows = {row["variant"]: row["configurations"] for row in found["engines"]["rows"]}
    other = found["engines"]["other"]
    asked = {row["title"]: (row["baseline"], row["candidate"]) for row in found["comparisons"]}
    assert asked["basic: engine wire against grpcio"] == (rows["basic"]["grpcio"], rows["basic"]["wire"])
    assert asked["optimized: engine wire against grpcio"] == (rows["optimized"]["grpcio"], rows["optimized"]["wire"])
    assert asked[f"optimized against basic with engine {other}"] == (rows["basic"][other], rows["optimized"][other])
    families = {(row["scenario"], row["family"]) for row in found["comparisons"]}
    others = {("chatter", metric) for metric in ("latency_p50_s", "latency_p99_s", "server_cpu_per_call_s")}
    throughput = {(scenario, "throughput") for scenario in ("chatter", "bulk", "waiting")}
    assert families == {*throughput, *others, ("idle", "time_to_first_success_s")}


def test_the_headline_says_its_engine() -> None:
    assert planned()["headline"]["at"] == "at concurrency 64 with engine grpcio"
    assert planned(engine="wire")["headline"]["at"] == "at concurrency 64 with engine wire"


# ---- the A/A arm and the parts -------------------------------------------------------------------------------


def test_the_aa_arm_is_the_baseline_under_another_name() -> None:
    found = planned()
    assert found["aa"]["baseline"] == found["headline"]["baseline"] != found["aa"]["candidate"]
    assert trial_config(found, found["aa"]["candidate"]) == trial_config(found, found["aa"]["baseline"])


@pytest.mark.parametrize("design", ["default", "quick"])
def test_the_parts_multiply_to_the_headline_since_each_begins_where_the_last_ended(design: str) -> None:
    found = planned(design=design)
    chain = [found["parts"][0]["baseline"], *(part["candidate"] for part in found["parts"])]
    assert [part["baseline"] for part in found["parts"]] == chain[:-1]
    assert (chain[0], chain[-1]) == (found["headline"]["baseline"], found["headline"]["candidate"])


def test_each_part_changes_its_own_side_only() -> None:
    found = planned()
    assert [part["side"] for part in found["parts"]] == ["client", "server"]
    for part in found["parts"]:
        baseline, candidate = trial_config(found, part["baseline"]), trial_config(found, part["candidate"])
        assert in_parts(baseline, without={part["side"]}) == in_parts(candidate, without={part["side"]})
        assert part["side"] in part["title"]


# ---- the ladder ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server_cores", [1, 2, 7])
def test_the_ladder_has_every_rung_from_basic_to_optimized(server_cores: int) -> None:
    found = planned(server_cores=server_cores)
    assert [row["name"] for row in found["ladder"]] == [rung.name for rung in LADDER]
    standing = [row for row in found["ladder"] if row["kept"] and not row["not_testable"]]
    assert standing[0]["configuration"] == "basic-c64-wire"
    assert standing[-1]["configuration"] == "optimized-c64-wire"
    for below, row in itertools.pairwise(standing):
        assert row["baseline"] == below["configuration"]


def test_a_rejected_rung_stands_beside_the_rung_it_branched_off() -> None:
    found = planned()
    for row, original in zip(found["ladder"], LADDER, strict=True):
        if not original.kept:
            assert row["baseline"] == rung(found, original.after)["configuration"]
            assert not any(other["baseline"] == row["configuration"] for other in found["ladder"])


def test_a_rejected_rung_far_above_its_branch_is_compared_with_the_branch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spread = (*LADDER[:-1], Rung(name="late", title="late", kept=False, after="reuse", changes={"server.tls": True}))
    ladder = (*spread, LADDER[-1])
    monkeypatch.setattr("grpclab.factors.variants.LADDER", ladder)
    monkeypatch.setattr("grpclab.study.designs.single_steps.LADDER", ladder)
    found = planned(server_cores=2)
    assert rung(found, "late")["baseline"] == rung(found, "reuse")["configuration"]
    assert rung(found, LAST_RUNG)["baseline"] != rung(found, "late")["configuration"]


def test_processes_are_not_testable_where_the_server_has_one_core() -> None:
    last = rung(planned(server_cores=1), LAST_RUNG)
    assert last["not_testable"].startswith("not testable here: ")
    assert last["configuration"] == ""
    assert not any("process" in row["title"] for row in planned(server_cores=1)["comparisons"])


def test_processes_are_a_rung_of_their_own_where_the_server_has_two_cores() -> None:
    found = planned(server_cores=2)
    last = rung(found, LAST_RUNG)
    assert (last["not_testable"], last["configuration"]) == ("", "optimized-c64-wire")
    before = trial_config(found, last["baseline"])
    after = trial_config(found, last["configuration"])
    assert before.differences(after) == {"server.processes": 1}
    assert (last["baseline"], last["configuration"]) in {
        (row["baseline"], row["candidate"]) for row in found["comparisons"]
    }


# ---- sweeps and windows --------------------------------------------------------------------------------------


def test_the_level_that_optimized_has_is_optimized_itself() -> None:
    points = sweep(planned(), "pool size")["points"]
    assert [(point["label"], point["configuration"]) for point in points] == [
        ("1", "pool-size-1-c64-wire"),
        ("4", "optimized-c64-wire"),
        ("16", "pool-size-16-c64-wire"),
    ]


def test_a_pool_of_one_connection_is_optimized_without_its_pool() -> None:
    """It is measured once, and compared once: in the sweep."""
    found = planned()
    (top,) = (row for row in found["leave_one_out"] if row["name"] == "pool")
    assert top["without"] == "pool-size-1-c64-wire"
    pairs = [row for row in found["comparisons"] if top["without"] in (row["baseline"], row["candidate"])]
    assert [row["title"] for row in pairs] == ["pool size 1 instead of optimized's"]
    other = planned(pool_sizes="4,16")
    assert "without-pool-c64-wire" in names(other)
    assert "from the top: connection pool" in [row["title"] for row in other["comparisons"]]


def test_a_sweep_changes_its_own_factors_only() -> None:
    found = planned(stream_limits="3,100", keepalive_s="0,5", pool_sizes="2")
    changed = {
        "pool size": {"client.connections"},
        "stream limit": {"server.max_concurrent_streams"},
        "keepalive": {
            "client.keepalive_s",
            "client.keepalive_timeout_s",
            "server.keepalive_s",
            "server.keepalive_timeout_s",
        },
    }
    for row in found["sweeps"]:
        base = trial_config(found, row["base"])
        for point in row["points"]:
            assert set(trial_config(found, point["configuration"]).differences(base)) <= changed[row["title"]]


def test_keepalive_is_swept_on_both_sides_and_off_means_no_pings() -> None:
    found = planned(keepalive_s="0,0.5,60")
    points = {point["label"]: point["configuration"] for point in sweep(found, "keepalive")["points"]}
    assert list(points) == ["off", "0.5 s", "60 s"]
    assert points["60 s"] == "optimized-c64-wire"
    half, off = trial_config(found, points["0.5 s"]), trial_config(found, points["off"])
    assert (half.client.keepalive_s, half.server.keepalive_s) == (0.5, 0.5)
    assert (off.client.keepalive_s, off.server.keepalive_s, off.client.keepalive_timeout_s) == (None,) * 3


def test_large_levels_are_written_out_in_labels_and_names() -> None:
    points = sweep(planned(stream_limits="1000000,1000001"), "stream limit")["points"]
    assert [point["label"] for point in points] == ["1000000", "1000001"]


def test_windows_are_those_of_the_side_that_receives_over_the_link() -> None:
    found = planned(windows_kib="1024,64,96", rtt_ms=35)
    for row, side, body in zip(
        found["windows"], ("client", "server"), ("server.response_bytes", "load.request_bytes"), strict=True
    ):
        assert [point["label"] for point in row["points"]] == ["64 KiB", "96 KiB", "1 MiB", "adaptive"]
        for point in row["points"]:
            flat = trial_config(found, point["configuration"]).flat()
            assert flat["link.rtt_ms"] == 35
            assert flat[body] == row["bytes_per_request"] == 256 * 1024
            assert flat[f"{side}.adaptive_window"] == (point["label"] == "adaptive")
            assert (flat[f"{side}.window_kib"] is None) == (point["label"] == "adaptive")


def test_every_window_is_compared_with_the_smallest() -> None:
    found = planned(windows_kib="1024,64")
    bulk = [(row["baseline"], row["candidate"]) for row in found["comparisons"] if row["scenario"] == "bulk"]
    assert bulk == [
        ("bulk-down-64kib", "bulk-down-1024kib"),
        ("bulk-down-64kib", "bulk-down-adaptive"),
        ("bulk-up-64kib", "bulk-up-1024kib"),
        ("bulk-up-64kib", "bulk-up-adaptive"),
    ]


def test_basic_and_optimized_are_profiled_unless_told_not_to() -> None:
    assert planned()["profiled"] == ["basic-c64", "optimized-c64"]
    assert planned(profile=False)["profiled"] == []


def test_the_default_has_enough_blocks_for_a_verdict() -> None:
    assert planned()["blocks"] >= fewest_blocks()
    assert planned(blocks=3)["blocks"] == 3


# ---- the groups ----------------------------------------------------------------------------------------------------

SMALL_STEPS = (
    *("ladder: connection pool", "ladder: asyncio server (rejected)", "ladder: asyncio on uvloop (rejected)"),
    *("ladder: 10,000 handler threads (rejected)", "ladder: 10,000 spare threads", "ladder: HTTP/2 settings"),
    *("from the top: 10,000 spare threads", "pool size 1 instead of optimized's"),
    *("pool size 16 instead of optimized's", "stream limit 8 instead of optimized's"),
    "keepalive off instead of optimized's",
)
OTHER_SERVERS = ("ladder: asyncio server (rejected)", "ladder: asyncio on uvloop (rejected)")
"""They differ by much, but are measured in slices: it takes less time to be sure of them."""


def holding(found: Plan, row: dict[str, Any]) -> list[dict[str, Any]]:
    return [group for group in found["groups"] if {row["baseline"], row["candidate"]} <= set(group["members"])]


def test_small_steps_are_measured_in_short_slices_and_for_the_longest_time() -> None:
    found = planned()
    rows = {row["title"]: row for row in found["comparisons"]}
    for title in SMALL_STEPS:
        (group,) = holding(found, rows[title])
        counted_s = 0.5 if title in OTHER_SERVERS else 1.5
        assert (group.get("interleaved", True), group.get("counted_s", 1.0)) == (True, counted_s)
        windows = [trial_config(found, name).load.duration_s for name in group["members"]]
        assert all(window_s is not None and window_s >= counted_s for window_s in windows)
        assert group["pass_s"] < 1.0
        assert {trial_config(found, name).load.engine for name in group["members"]} <= {"wire", "grpcio"}
        assert {trial_config(found, rows[title][side]).load.engine for side in ("baseline", "candidate")} == {"wire"}


@pytest.mark.parametrize("design", ["default", "quick"])
def test_the_headline_is_interleaved_with_its_own_noise_and_large_differences_are_not(design: str) -> None:
    found = planned(design=design)
    first = found["groups"][0]
    assert set(first["members"]) == {found["headline"][side] for side in ("baseline", "candidate")} | {
        found["aa"]["candidate"]
    }
    assert (first["hub"], first.get("interleaved", True), first.get("counted_s", 1.0)) == ("basic-c64", True, 1.0)
    for row in found["comparisons"]:
        if row["title"].startswith(("downloads", "uploads", "optimized against basic at concurrency 8")):
            (group,) = holding(found, row)
            assert (group["interleaved"], group["counted_s"]) == (False, 0.5)
            assert group["reason"]


def test_a_block_measures_few_configurations_twice() -> None:
    for design, most in (("default", 50), ("quick", 20)):
        found = planned(design=design)
        assert sum(len(group["members"]) for group in found["groups"]) <= most


# ---- the order -----------------------------------------------------------------------------------------------


@given(
    st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=12, unique=True),
    st.integers(1, 6),
    st.integers(0, 2**40),
)
def test_a_block_is_one_pass_over_all_configurations(labels: list[str], blocks: int, seed: int) -> None:
    found = schedule(labels, blocks=blocks, seed=seed)
    assert [(trial.block, trial.order) for trial in found] == [
        (block, order) for block in range(blocks) for order in range(len(labels))
    ]
    for block in range(blocks):
        assert sorted(t.configuration for t in found if t.block == block) == sorted(labels)
    assert len({trial.name for trial in found}) == len(found)
    assert schedule(labels, blocks=blocks, seed=seed) == found


def test_every_block_has_an_order_of_its_own_and_every_seed_too() -> None:
    labels = [f"c{i}" for i in range(20)]
    orders = {
        (seed, block): tuple(t.configuration for t in schedule(labels, blocks=4, seed=seed) if t.block == block)
        for seed in (1, 2)
        for block in range(4)
    }
    assert len(set(orders.values())) == 8
    assert tuple(labels) not in orders.values()


def test_more_blocks_continue_the_same_order() -> None:
    labels = [f"c{i}" for i in range(9)]
    assert schedule(labels, blocks=3, seed=5) == schedule(labels, blocks=8, seed=5)[:27]


def test_no_place_in_the_block_belongs_to_a_configuration() -> None:
    found = schedule(["a", "b", "c"], blocks=900, seed=3)
    first = Counter(trial.configuration for trial in found if trial.order == 0)
    # 300 each expected, sd 14
    assert all(230 < first[name] < 370 for name in "abc")


def test_folders_of_trials_sort_in_the_order_of_measuring() -> None:
    found = [trial.name for trial in schedule([f"c{i}" for i in range(120)], blocks=12, seed=1)]
    assert sorted(found) == found
    assert Trial(block=3, order=7, configuration="basic-c64").name == "03-007-basic-c64"
