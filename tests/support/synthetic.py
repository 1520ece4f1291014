"""Studies that never ran: plans with made-up but plausible numbers, for the tests of the report."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec

import numpy as np
import pandas as pd

from grpclab import analysis
from grpclab.factors.config import TrialConfig
from grpclab.load.core.summary import histogram
from grpclab.report.finished import FinishedStudy
from grpclab.study.designs import default_design, waiting_scenario
from grpclab.study.parameters import StudyParameters
from tests.support import plans

CONCURRENCY = (1, 4, 16, 64, 256)
WINDOWS_KIB = (64, 256, 1024, 4096, 16_384)
RESPONSE_BYTES = 262_144
_START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
_NO_SAMPLES = "the profiler is not asked for in this configuration"

OPTIMIZED: dict[str, Any] = {
    "client.pooling": "pool",
    "client.connections": 4,
    "client.window_kib": 16_384,
    "client.adaptive_window": False,
    "server.threads": 10_000,
    "server.max_concurrent_streams": 10_000,
    "server.processes": 0,
}
BASIC: dict[str, Any] = {"client.pooling": "per_call"}
CLIENT_US = {"grpcio": 190.0, "wire": 8.0}
"""What a call costs each engine's client; four times as much where it opens a channel for it."""


@dataclass
class StudyMaker:
    """Collects configurations with their true throughput, then runs the blocks that nobody ran."""

    blocks: int = 6
    seed: int = 20261123
    noise: float = 0.02
    engine: str = "grpcio"
    configurations: list[dict[str, Any]] = field(default_factory=list)
    truth: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        title: str,
        rps: float,
        settings: dict[str, Any],
        *,
        scenario: str = "chatter",
        without_effect: dict[str, str] | None = None,
        limited_by: str = "",
        noise: float = 1.0,
    ) -> str:
        """Put a configuration into the plan; returns its name."""
        self.configurations.append(
            {
                "name": name,
                "scenario": scenario,
                "title": title,
                "settings": {"load.engine": self.engine, **settings},
                "without_effect": without_effect or {},
            }
        )
        self.truth[name] = {"rps": rps, "limited_by": limited_by, "noise": noise, "scenario": scenario}
        return name

    def trials(self, *, study: str, profiled: tuple[str, ...] = ()) -> pd.DataFrame:
        """One row a trial, in random order inside each block, on a machine that drifts a little."""
        random = np.random.default_rng(self.seed)
        rows = []
        for block in range(self.blocks):
            level = float(np.exp(random.normal(0, self.noise * 1.5)))
            for order, at in enumerate(random.permutation(len(self.configurations))):
                configuration = self.configurations[int(at)]
                trial = self._trial(
                    configuration, block, order, study=study, level=level, random=random, profiled=profiled
                )
                rows.append(trial)
        return pd.DataFrame(rows)

    def _trial(
        self,
        configuration: dict[str, Any],
        block: int,
        order: int,
        *,
        study: str,
        level: float,
        random: np.random.Generator,
        profiled: tuple[str, ...],
    ) -> dict[str, Any]:
        name = configuration["name"]
        truth = self.truth[name]
        flat = TrialConfig().replace(configuration["settings"]).flat()
        rps = truth["rps"] * level * float(np.exp(random.normal(0, self.noise * truth["noise"])))
        in_flight = float(flat["load.concurrency"] or 1)
        mean = in_flight / rps
        requests = int(rps * 4)
        per_call = flat["client.pooling"] == "per_call"
        server_us = (320 if per_call else 170) * float(np.exp(random.normal(0, 0.01)))
        client_us = CLIENT_US[str(flat["load.engine"])] * (4 if per_call else 1)
        number = block * len(self.configurations) + order
        row: dict[str, Any] = {
            "study": study,
            "trial": f"{block:02d}-{order:02d}-{name}",
            "scenario": configuration["scenario"],
            "configuration": name,
            "block": block,
            "order": order,
            "started_at": (_START + timedelta(seconds=7 * number)).isoformat(),
            "valid": True,
            "invalid_reason": "",
            "limited_by": truth["limited_by"],
            **flat,
            "requests": float(requests),
            "errors": 0.0,
            "throughput_rps": rps,
            "window_s": 4.0,
            "latency_mean_s": mean,
            "latency_p50_s": mean * 0.9,
            "latency_p90_s": mean * 1.6 * float(np.exp(random.normal(0, 0.03))),
            "latency_p99_s": mean * 3.1 * float(np.exp(random.normal(0, 0.08))),
            "errors_by_status": "{}",
            "server_cpu_s": requests * server_us * 1e-6,
            "server_cpu_per_call_s": server_us * 1e-6,
            "server_kernel_share": 0.34 + random.normal(0, 0.01),
            "client_cpu_s": requests * client_us * 1e-6,
            "client_cpu_per_call_s": client_us * 1e-6,
            "client_spin_s": 0.0,
            "client_busy_share": rps * client_us * 1e-6,
            "offered_rps": np.nan,
            "late_p99_s": np.nan,
            "held": 0.0,
            "connections_lost": 0.0,
            "outage_s": 0.0,
            "connections": float(flat["client.connections"] or 1),
            "profile_samples": np.nan,
            "profile_note": _NO_SAMPLES,
        }
        if name in profiled:
            row |= _looks(random, per_call=per_call)
            row["server_kernel_share"] += 0.2 if per_call else 0.0
        return row


def _looks(random: np.random.Generator, *, per_call: bool) -> dict[str, Any]:
    """What py-spy, perf and strace bring of one trial."""
    looks: dict[str, Any] = {"profile_note": "", "perf_note": "", "strace_note": ""}
    for prefix, wait, column in (("share_", 0.42 if per_call else 0.24, "profile"), ("perf_share_", 0.0, "perf")):
        work = [12, 9, 8, 11, 2, 14, 3, 8, 4, 1] if per_call else [15, 8, 11, 5, 4, 20, 5, 12, 4, 1]
        shares = random.dirichlet(np.array(work) * 10) * (1 - wait)
        looks |= {f"{prefix}{f}": share for f, share in zip(FAMILIES, shares, strict=True)} | {f"{prefix}wait": wait}
        looks[f"{column}_samples"] = float(random.integers(380, 420))
    looks["perf_kernel_share"] = sum(looks[f"perf_share_{f}"] for f in ("send", "receive", "locks", "other_kernel"))
    counts = (
        {"futex": 9.0, "recvmsg": 7.6, "sendmsg": 3.0} if per_call else {"futex": 6.0, "recvmsg": 1.5, "sendmsg": 1.0}
    )
    looks["syscalls_per_call_by_name"] = json.dumps(counts)
    looks["syscalls_per_call"] = sum(counts.values())
    threads = {"python": {"user_s": 1e-4, "kernel_s": 3e-5}, "event_engine": {"user_s": 5e-5, "kernel_s": 6e-5}}
    looks["threads_per_call"] = json.dumps(threads)
    return looks | {
        "server_event_engine_share": 0.45 if per_call else 0.2,
        "server_voluntary_switches_per_call": 6.0 if per_call else 4.2,
        "server_involuntary_switches_per_call": 2.9 if per_call else 1.6,
    }


FAMILIES = ("send", "receive", "locks", "other_kernel", "handler", "python", "protobuf", "grpc_core", "memory", "other")


@dataclass(frozen=True)
class MadeStudy:
    """The three things a report is written from."""

    manifest: dict[str, Any]
    trials: pd.DataFrame
    verdict: dict[str, Any]

    def finished(self, **material: Any) -> FinishedStudy:
        """The study as its report sees it, with some of :func:`material`, or all."""
        parts = {name: material[name] for name in ("histograms", "profiles") if name in material}
        return FinishedStudy.of(self.manifest, self.trials, self.verdict, **parts)

    def judged_again(self, trials: pd.DataFrame) -> MadeStudy:
        """The same plan over other trials."""
        return MadeStudy(
            self.manifest, trials, as_json(analysis.analyse(trials, plans.value(self.manifest["plan"])).as_dict())
        )


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
        latency = row["latency_p50_s"] * np.exp(random.normal(0, 0.45, 1500))
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


def comparison(title: str, baseline: str, candidate: str, scenario: str = "chatter") -> dict[str, Any]:
    """An entry of the plan that compares two configurations on throughput."""
    return {
        "title": title,
        "scenario": scenario,
        "metric": "throughput_rps",
        "baseline": baseline,
        "candidate": candidate,
        "family": "throughput_rps",
    }


P = ParamSpec("P")


def made_once(make: Callable[P, MadeStudy]) -> Callable[P, MadeStudy]:
    """Make and judge a study once in a process; every test gets a copy of its own."""
    cached = functools.cache(make)

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> MadeStudy:
        return copy.deepcopy(cached(*args, **kwargs))  # type: ignore[arg-type]

    return made


@made_once
def full_study(*, name: str = "synthetic", blocks: int = 6, seed: int = 20261123) -> MadeStudy:
    """A whole default study: curves, ladder, windows, sweeps, profiles, an invalid and a limited trial."""
    maker = StudyMaker(blocks=blocks, seed=seed)
    plan = _plan(maker)
    trials = maker.trials(study=name, profiled=("basic-c64", "optimized-c64"))
    if blocks > 2:
        spoilt = trials.index[(trials["configuration"] == "pool-1") & (trials["block"] == 2)]
        trials.loc[spoilt, "valid"] = False
        trials.loc[spoilt, "invalid_reason"] = "12 of 40 connections were refused"
        failed = trials.index[(trials["configuration"] == "basic-c64") & (trials["block"] == 1)]
        trials.loc[failed, "errors"] = 3.0
        trials.loc[failed, "errors_by_status"] = json.dumps({"UNAVAILABLE": 3})
    manifest = manifest_of(name, plan, seed=seed, blocks=blocks)
    return MadeStudy(manifest, trials, as_json(analysis.analyse(trials, plans.value(plan)).as_dict()))


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
            "logical_cpus": 2,
            "affinity": [0, 1],
            "kernel": "6.1.0-26-amd64",
            "load_average": {"before": [0.1, 0.2, 0.2], "after": [1.8, 1.1, 0.6]},
            "governor": None,
        },
        "versions": {"python": "3.11.2", "grpcio": "1.85.1", "protobuf": "7.35.1", "grpclab": "0.1.0"},
        "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": True},
        "link_check": {"rtt_ms_asked": 40.0, "rtt_ms_p50": 40.3, "overhead_ms_p50": 0.12},
        "plan": plan,
    }


def _plan(maker: StudyMaker) -> dict[str, Any]:
    plan: dict[str, Any] = {"blocks": maker.blocks, "delta": 0.05, "metric": "throughput_rps"}
    plan["headline"] = comparison("optimized against basic", "basic-c64", "optimized-c64")
    plan["curves"] = [_curve(maker)]
    maker.add("basic-c64-again", "basic, once more", 590, {**BASIC, "load.concurrency": 64}, limited_by="client-cpu")
    plan["aa"] = comparison("A/A: basic against itself", "basic-c64", "basic-c64-again")
    maker.add(
        "client-only",
        "optimized client, basic server",
        2950,
        {**OPTIMIZED, "server.threads": 10, "load.concurrency": 64},
    )
    plan["parts"] = [
        {"side": "client", **comparison("client only: same server", "basic-c64", "client-only")},
        {"side": "server", **comparison("server only: same client", "client-only", "optimized-c64")},
    ]
    plan["engines"] = _engines(maker)
    plan["ladder"] = _ladder(maker)
    plan["windows"] = [_window(maker, "downloads", "client"), _window(maker, "uploads", "server")]
    plan["sweeps"] = _sweeps(maker)
    plan["configurations"] = maker.configurations
    plan["profiled"] = ["basic-c64", "optimized-c64"]
    plan["mapping"] = [
        {
            "tonic": "max_concurrent_streams(10_000)",
            "factor": "server.max_concurrent_streams",
            "grpcio": "grpc.max_concurrent_streams",
            "note": "",
        },
        {
            "tonic": "initial_stream_window_size(16 MiB)",
            "factor": "server.window_kib",
            "grpcio": "grpc.http2.lookahead_bytes",
            "note": "only with grpc.http2.bdp_probe=0",
        },
        {"tonic": "tcp_nodelay(true)", "factor": "", "grpcio": "always on", "note": "cannot be turned off"},
    ]
    plan["comparisons"] = [
        *plan["parts"],
        *(
            comparison(f"{row['variant']}: engine wire against grpcio", *row["configurations"].values())
            for row in plan["engines"]["rows"]
        ),
        comparison("optimized against basic with engine wire", "basic-c64-wire", "optimized-c64-wire"),
        *(
            comparison(f"ladder: {r['title']}", r["baseline"], r["configuration"])
            for r in plan["ladder"]
            if r["baseline"] and r["configuration"]
        ),
        *(
            comparison(f"{s['title']}: {p['label']} against the base", s["base"], p["configuration"])
            for s in plan["sweeps"]
            for p in s["points"]
            if p["configuration"] != s["base"]
        ),
        *(
            comparison(
                f"{w['title']}: {p['label']} against adaptive",
                w["points"][-1]["configuration"],
                p["configuration"],
                "bulk",
            )
            for w in plan["windows"]
            for p in w["points"][:-1]
        ),
        {
            **comparison("p99 at 64 in flight", "basic-c64", "optimized-c64"),
            "metric": "latency_p99_s",
            "family": "latency_p99_s",
        },
    ]
    return plan


def _curve(maker: StudyMaker) -> dict[str, Any]:
    series: dict[str, list[str]] = {"basic": [], "optimized": []}
    for c, basic, optimized in zip(CONCURRENCY, (410, 540, 585, 590, 560), (980, 2150, 3020, 3480, 3390), strict=True):
        series["basic"].append(
            maker.add(
                f"basic-c{c}",
                f"basic, {c} in flight",
                basic,
                {**BASIC, "load.concurrency": c},
                limited_by="client-cpu",
            )
        )
        series["optimized"].append(
            maker.add(
                f"optimized-c{c}",
                f"optimized, {c} in flight",
                optimized,
                {**OPTIMIZED, "load.concurrency": c},
                limited_by="generator-bound" if c == 256 else "",
                without_effect={"server.processes": "one core: one process either way"},
            )
        )
    return {
        "title": "small unary calls",
        "scenario": "chatter",
        "factor": "load.concurrency",
        "series": series,
    }


def _engines(maker: StudyMaker) -> dict[str, Any]:
    rows = []
    for variant, settings, rps in (("basic", BASIC, 1130), ("optimized", OPTIMIZED, 4980)):
        wire = maker.add(
            f"{variant}-c64-wire",
            f"{variant}, 64 in flight, engine wire",
            rps,
            {**settings, "load.concurrency": 64, "load.engine": "wire"},
        )
        rows.append({"variant": variant, "configurations": {"grpcio": f"{variant}-c64", "wire": wire}})
    return {"scenario": "chatter", "concurrency": 64, "base": "grpcio", "other": "wire", "rows": rows}


def _ladder(maker: StudyMaker) -> list[dict[str, Any]]:
    at: dict[str, Any] = {"load.concurrency": 64}
    maker.add("reuse", "basic + channel reuse", 2300, at)
    pool = {**at, "client.pooling": "pool", "client.connections": 4}
    maker.add("pool", "+ connection pool", 2950, pool)
    maker.add("asyncio", "asyncio server instead", 1900, {**pool, "server.implementation": "asyncio"})
    uvloop = {"server.implementation": "asyncio", "server.event_loop": "uvloop"}
    maker.add("uvloop", "asyncio on uvloop instead", 2480, {**pool, **uvloop})
    maker.add("threads", "+ 10,000 threads", 3440, {**pool, "server.threads": 10_000})

    def rung(name: str, title: str, configuration: str, baseline: str, **more: Any) -> dict[str, Any]:
        base = {"name": name, "title": title, "configuration": configuration, "baseline": baseline}
        return {**base, "kept": True, "not_testable": "", **more}

    return [
        rung("basic", "basic", "basic-c64", ""),
        rung("reuse", "channel reuse", "reuse", "basic-c64"),
        rung("pool", "connection pool", "pool", "reuse"),
        rung("asyncio", "asyncio server", "asyncio", "pool", kept=False),
        rung("uvloop", "asyncio on uvloop", "uvloop", "pool", kept=False),
        rung("threads", "room for 10,000 threads", "threads", "pool"),
        rung("http2", "HTTP/2 settings", "optimized-c64", "threads"),
        rung("processes", "a process per core", "", "", not_testable="the server has one core"),
    ]


def _window(maker: StudyMaker, direction: str, side: str) -> dict[str, Any]:
    points = []
    link = {"link.rtt_ms": 40.0, "load.concurrency": 4}
    body = "server.response_bytes" if side == "client" else "load.request_bytes"
    for kib in WINDOWS_KIB:
        speed = 4 * min(kib * 1024 / 0.04, 2.6e7) * (1.0 if side == "client" else 0.85) / 4
        settings = {**link, body: RESPONSE_BYTES, f"{side}.window_kib": kib, f"{side}.adaptive_window": False}
        configuration = maker.add(
            f"{direction}-{kib}", f"{direction}, {kib} KiB", speed / RESPONSE_BYTES, settings, scenario="bulk"
        )
        points.append({"label": f"{kib} KiB" if kib < 1024 else f"{kib // 1024} MiB", "configuration": configuration})
    adaptive = maker.add(
        f"{direction}-adaptive",
        f"{direction}, adaptive",
        1.9e7 / RESPONSE_BYTES,
        {**link, body: RESPONSE_BYTES},
        scenario="bulk",
    )
    points.append({"label": "adaptive", "configuration": adaptive})
    return {
        "title": f"{direction}, {side}.window_kib",
        "factor": f"{side}.window_kib",
        "scenario": "bulk",
        "bytes_per_request": RESPONSE_BYTES,
        "points": points,
    }


def _sweeps(maker: StudyMaker) -> list[dict[str, Any]]:
    base = {**OPTIMIZED, "load.concurrency": 64}

    def sweep(title: str, factor: str, levels: list[tuple[str, Any, float]]) -> dict[str, Any]:
        points = []
        for label, level, rps in levels:
            name = "optimized-c64"
            if level is not ...:
                word = f"{title.partition(' ')[0]}-{label.replace(' ', '')}"
                name = maker.add(word, f"{title} {label}", rps, {**base, factor: level})
            points.append({"label": label, "configuration": name})
        return {
            "title": title,
            "factor": factor,
            "scenario": "chatter",
            "base": "optimized-c64",
            "points": points,
        }

    return [
        sweep(
            "pool size",
            "client.connections",
            [("1", 1, 2420), ("2", 2, 3100), ("4", ..., 0), ("8", 8, 3500), ("16", 16, 3290)],
        ),
        sweep(
            "stream limit",
            "server.max_concurrent_streams",
            [("8", 8, 2600), ("100", 100, 3470), ("10,000", ..., 0)],
        ),
        sweep("keepalive", "server.keepalive_s", [("off", ..., 0), ("60 s", 60.0, 3490), ("1 s", 1.0, 3440)]),
    ]


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
    trials = maker.trials(study=f"small{text}")
    manifest = manifest_of(f"small{text}", plan, blocks=blocks)
    manifest["question"] += text
    manifest["machine"]["host"] += text
    return MadeStudy(manifest, trials, as_json(analysis.analyse(trials, plans.value(plan)).as_dict()))
