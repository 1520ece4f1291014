"""Studies that never ran: plans with made-up but plausible numbers, for the tests of the report."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np
import pandas as pd

from grpclab import analysis
from grpclab.load.core.summary import histogram
from grpclab.report.finished import FinishedStudy
from grpclab.study.designs import default_design, production_design, waiting_scenario
from grpclab.study.parameters import StudyParameters
from tests.support import plans
from tests.support.finished import finished, written_report
from tests.support.full_plan import full_plan
from tests.support.study_maker import BASIC, StudyMaker, comparison


@dataclass(frozen=True)
class MadeStudy:
    """The three things a report is written from."""

    manifest: dict[str, Any]
    trials: pd.DataFrame
    verdict: dict[str, Any]

    def finished(self, **material: Any) -> FinishedStudy:
        """The study as its report sees it, with some of :func:`material`, or all."""
        return finished(self.manifest, self.trials, self.verdict, **material)

    def report(self, path: Path, **material: Any) -> Path:
        """The report of the study, written to `path`, with some of :func:`material`, or all."""
        return written_report(path, self.manifest, self.trials, self.verdict, **material)

    def judged_again(self, trials: pd.DataFrame) -> MadeStudy:
        """The same plan over other trials."""
        return MadeStudy(
            self.manifest, trials, as_json(analysis.analyse(trials, plans.value(self.manifest["plan"])).as_dict())
        )

    def only(self, names: Collection[str]) -> MadeStudy:
        """A study of these configurations alone, which is judged in a fraction of the time."""
        plan = dict(self.manifest["plan"])
        plan["configurations"] = [row for row in plan["configurations"] if row["name"] in names]
        plan["comparisons"] = [one for one in plan["comparisons"] if {one["baseline"], one["candidate"]} <= set(names)]
        trials = self.trials[self.trials["configuration"].isin(names)]
        return MadeStudy({**self.manifest, "plan": plan}, trials, self.verdict)


def material(made: MadeStudy, *, text: str = "") -> dict[str, Any]:
    """What a report shows beside the frame: stacks, latencies and details of trials that never ran."""
    random = np.random.default_rng(5)
    profiled = made.manifest["plan"].get("profiled") or []
    histograms: dict[str, dict[int, str]] = {}
    profiles: dict[str, dict[str, dict[int, dict[str, int]]]] = {"stacks": {}, "perf": {}}
    details = {}
    for row in made.trials.to_dict("records"):
        name, block = row["configuration"], row["block"]
        details[row["trial"]] = {
            "log": f"INFO serving on 127.0.0.1:50051{text}\nINFO bye{text}",
            "advertised": {"server": {"window_bytes": 4_194_304, "max_frame_bytes": None}, "client": None},
        }
        if not row["valid"]:
            continue
        # Few distinct values: an HdrHistogram takes them one after the other.
        latency = row["latency_p50_s"] * np.exp(random.normal(0, 0.45, 1500).round(1))
        histograms.setdefault(name, {})[block] = histogram(latency)
        if name in profiled:
            profiles["stacks"].setdefault(name, {})[block] = {
                f"main;serve{text};handler (greeter.py:{k})": 10 * k for k in (1, 2, 3)
            } | {"main;serve;sendmsg (socket.py:1)": 25}
            profiles["perf"].setdefault(name, {})[block] = {"event_engine;epoll_wait;tcp_sendmsg": 30, "python;x": 9}
    return {"profiles": profiles, "histograms": histograms, "details": details}


def as_json(value: dict[str, Any]) -> dict[str, Any]:
    """The value as it comes back from a file; NaN would raise."""
    loaded: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    return loaded


P = ParamSpec("P")


def made_once(make: Callable[P, MadeStudy]) -> Callable[P, MadeStudy]:
    """Make and judge a study once in a process; every test gets a copy of its own."""
    cached = functools.cache(make)

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> MadeStudy:
        return copy.deepcopy(cached(*args, **kwargs))  # type: ignore[arg-type]

    return made


def full_study(*, name: str = "synthetic", blocks: int = 6, seed: int = 20261123) -> MadeStudy:
    """A whole default study: curves, ladder, windows, sweeps, profiles, an invalid and a limited trial."""
    made = _full_study(blocks=blocks, seed=seed)
    manifest = manifest_of(name, made.manifest["plan"], seed=seed, blocks=blocks)
    return MadeStudy(manifest, made.trials.assign(study=name), made.verdict)


@made_once
def _full_study(*, blocks: int, seed: int) -> MadeStudy:
    maker = StudyMaker(blocks=blocks, seed=seed)
    plan = full_plan(maker)
    trials = maker.trials(study="", profiled=("basic-c64", "optimized-c64"))
    if blocks > 2:
        spoilt = trials.index[(trials["configuration"] == "pool-1") & (trials["block"] == 2)]
        trials.loc[spoilt, "valid"] = False
        trials.loc[spoilt, "invalid_reason"] = "12 of 40 connections were refused"
        failed = trials.index[(trials["configuration"] == "basic-c64") & (trials["block"] == 1)]
        trials.loc[failed, "errors"] = 3.0
        trials.loc[failed, "errors_by_status"] = json.dumps({"UNAVAILABLE": 3})
    return MadeStudy({"plan": plan}, trials, as_json(analysis.analyse(trials, plans.value(plan)).as_dict()))


def manifest_of(name: str, plan: dict[str, Any], *, seed: int = 1, blocks: int = 6) -> dict[str, Any]:
    """What stands around a plan."""
    return {
        "schema_version": 1,
        "study": name,
        "design": "default",
        "question": "Do channel reuse, a pool, more threads and HTTP/2 settings make a small call faster?",
        "parameters": {"study": name, "design": "default", "blocks": blocks, "seed": seed, "settings": ""},
        "seed": seed,
        "created_at": "2026-11-23T09:25:00+00:00",
        "machine": {
            "host": "lab-1",
            "cpu_model": "AMD EPYC 7B13",
            "cores": 2,
            "affinity": [0, 1],
            "kernel": "6.1.0-26-amd64",
            "load_average": [0.1, 0.2, 0.2],
            "governor": None,
        },
        "versions": {"python": "3.11.2", "grpcio": "1.85.1", "protobuf": "7.35.1", "grpclab": "0.1.0"},
        "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": True},
        "link_check": {"rtt_ms_asked": 40.0, "rtt_ms_p50": 40.3, "overhead_ms_p50": 0.12},
        "plan": plan,
    }


def waiting_study(*, name: str = "waiting", blocks: int = 6) -> MadeStudy:
    """The scenario ``waiting`` of the design quick, with the throughput that its threads allow."""
    maker = StudyMaker(blocks=blocks, engine="wire")
    plan = plans.document(default_design.QUICK.plan(StudyParameters(design="quick", blocks=blocks), 1))
    mine = [row for row in plan["configurations"] if row["scenario"] == waiting_scenario.WAITING]
    truth = {"waiting-threads-10": 1900, "waiting-threads-64": 6650, "waiting-asyncio": 4400}
    for row in mine:
        maker.add(row["name"], row["title"], truth[row["name"]], row["settings"], scenario=row["scenario"])
    again = maker.add("again", "10 threads once more", 1900, mine[0]["settings"], scenario=waiting_scenario.WAITING)
    compared = [c for c in plan["comparisons"] if c["scenario"] == waiting_scenario.WAITING]
    plan = plans.bare() | {
        "blocks": blocks,
        "delta": 0.05,
        "metric": "throughput_rps",
        "configurations": maker.configurations,
        "headline": comparison("64 against 10", mine[0]["name"], mine[1]["name"], "waiting"),
        "comparisons": compared[1:],
        "aa": comparison("A/A", mine[0]["name"], again, "waiting"),
        "waiting": plan["waiting"],
    }
    trials = maker.trials(study=name)
    return MadeStudy(
        manifest_of(name, plan, blocks=blocks), trials, as_json(analysis.analyse(trials, plans.value(plan)).as_dict())
    )


@made_once
def production_study(
    *, name: str = "production", blocks: int = 6, implementation: str = "sync", budget: str = "none"
) -> MadeStudy:
    """The design ``production`` as it is: an access log of every call takes 30% of the throughput, all others none."""
    maker = StudyMaker(blocks=blocks, engine="wire", noise=0.003)
    parameters = StudyParameters(
        design="production",
        blocks=blocks,
        implementation=implementation,
        profile=False,
        rate="1500",
        budget=budget,
    )
    plan = plans.document(production_design.plan(parameters))
    for row in plan["configurations"]:
        rps = 2100 if row["name"].endswith("optimized-access-log-all") else 3000
        maker.add(row["name"], row["title"], rps, row["settings"])
    trials = maker.trials(study=name)
    return MadeStudy(
        manifest_of(name, plan, blocks=blocks), trials, as_json(analysis.analyse(trials, plans.value(plan)).as_dict())
    )


@made_once
def small_study(*, blocks: int = 6, text: str = "") -> MadeStudy:
    """Three configurations and one curve; `text` is added to everything that a user may write."""
    maker = StudyMaker(blocks=blocks)
    basic = maker.add(f"basic{text}", f"the basic one{text}", 600, {**BASIC, "load.concurrency": 8})
    again = maker.add(f"again{text}", f"once more{text}", 600, {**BASIC, "load.concurrency": 8})
    fast = maker.add(
        f"fast{text}",
        f"the fast one{text}",
        1800,
        {"load.concurrency": 8},
        limited_by=f"generator-bound{text}",
        without_effect={"server.processes": f"one core{text}"},
    )
    plan: dict[str, Any] = {
        "blocks": blocks,
        "delta": 0.05,
        "metric": "throughput_rps",
        "configurations": maker.configurations,
        "headline": comparison(f"fast against basic{text}", basic, fast),
        "parts": [{"side": f"client{text}", **comparison(f"the client{text}", basic, fast)}],
        "comparisons": [],
        "aa": comparison(f"A/A{text}", basic, again),
        "curves": [
            {
                "title": f"a curve{text}",
                "scenario": "chatter",
                "factor": "load.concurrency",
                "series": {f"slow{text}": [basic], f"quick{text}": [fast]},
            }
        ],
        "windows": [
            {
                "title": f"sizes{text}",
                "factor": "client.window_kib",
                "scenario": "chatter",
                "points": [
                    {"label": "64 KiB", "configuration": basic},
                    {"label": f"adaptive{text}", "configuration": fast},
                ],
            }
        ],
        "ladder": [
            {"name": "b", "title": f"basic{text}", "configuration": basic, "baseline": "", "kept": True},
            {"name": "f", "title": f"fast{text}", "configuration": fast, "baseline": basic, "kept": True},
            {
                "name": "n",
                "title": f"cores{text}",
                "configuration": "",
                "baseline": "",
                "kept": True,
                "not_testable": f"one core{text}",
            },
        ],
        "sweeps": [
            {
                "title": f"sweep{text}",
                "factor": "client.pooling",
                "scenario": "chatter",
                "base": basic,
                "points": [
                    {"label": f"a{text}", "configuration": basic},
                    {"label": f"b{text}", "configuration": fast},
                ],
            }
        ],
        "profiled": [basic],
        "mapping": [{"tonic": f"t{text}", "factor": f"f{text}", "grpcio": f"g{text}", "note": f"n{text}"}],
    }
    if text:
        feature = {
            "name": f"x{text}",
            "title": f"a feature{text}",
            "scenario": "chatter",
            "plain": basic,
            "alone": fast,
        }
        plan["features"] = [feature | {"implementation": f"sync{text}"}]
        plan["comparisons"] = [comparison(f"x{text}: alone", basic, fast)]
    trials = maker.trials(study=f"small{text}")
    manifest = manifest_of(f"small{text}", plan, blocks=blocks)
    if text:
        of_each = {
            "machine": {**manifest["machine"], "cpu_model": f"CPU{text}"},
            "cores": {"server": [0], "generator": [1], "shared": False},
        }
        manifest["machines"] = [{"name": f"box-{n}{text}", "identity": {}, **of_each} for n in range(3)]
        trials["machine"] = [f"box-{block % 3}{text}" for block in trials["block"]]
    manifest["question"] += text
    manifest["machine"]["host"] += text
    return MadeStudy(manifest, trials, as_json(analysis.analyse(trials, plans.value(plan)).as_dict()))
