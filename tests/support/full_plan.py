"""The plan of a whole default study: curves, ladder, engines, windows, sweeps."""

from __future__ import annotations

from typing import Any

from tests.support.study_maker import BASIC, OPTIMIZED, StudyMaker, comparison

CONCURRENCY = (1, 4, 16, 64, 256)
WINDOWS_KIB = (64, 256, 1024, 4096, 16_384)
RESPONSE_BYTES = 262_144


def full_plan(maker: StudyMaker) -> dict[str, Any]:
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
