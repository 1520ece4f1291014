"""Frames of calibrations that never ran, and a whole calibration made of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from grpclab.calibration import agreement, deciding, disturbances, lateness
from grpclab.calibration.plan import Plan
from grpclab.calibration.store import Results


def rates(wire: float, grpcio: float, rounds: int = 3) -> pd.DataFrame:
    """h2load at 100,000/s and 5 us, the engines at these factors of it; the machine slows down on the way."""
    tools = {"h2load": 1.0, "wire": wire, "grpcio": grpcio}
    return pd.DataFrame(
        {
            "round": number,
            "tool": tool,
            "rps": 1e5 * factor / (1 + number),
            "cpu_us_per_call": 5 / factor,
            "calls": 1000,
            "errors": 0,
        }
        for number in range(rounds)
        for tool, factor in tools.items()
    )


def calls(added_s: float, count: int = 12_000) -> pd.DataFrame:
    """The frame of truth, with so much added to each call."""
    residence = np.random.default_rng(1).lognormal(math.log(0.002), 0.5, count)
    return pd.DataFrame(
        {
            "round": np.arange(count) % 3,
            "latency_s": residence + added_s,
            "late_s": 0.0,
            "residence_s": residence,
        }
    )


def stalled(*, seen: bool = True) -> pd.DataFrame:
    """10 s at 1,000/s with a stall of 1 s: exact, with no machine's noise. `seen`: whether the open loop waits."""
    start = np.arange(10_000) / 1000
    waits = np.where((start >= 3) & (start < 4), 4 - start, 0.005)
    few = np.arange(9000) / 900
    missed = np.full(9000, 0.005)
    missed[2700:2705] = 1.0
    loads = {
        "open": (start, waits if seen else np.full(10_000, 0.005), np.zeros(10_000)),
        "bounded": (start, waits, waits - 0.005),
        "closed": (few, missed, np.zeros(9000)),
    }
    return pd.concat(
        pd.DataFrame({"mode": m, "start_s": s, "latency_s": lat, "late_s": late, "stall_s": 1.0, "stall_at_s": 3.0})
        for m, (s, lat, late) in loads.items()
    )


def sends(p99_s: float, sent: int = 100_000) -> pd.DataFrame:
    """The frame of lateness."""
    shared = {"window_s": 20.0, "planned": 100_000, "late_p50_s": p99_s / 100, "late_max_s": p99_s * 2}
    shares = {"busy_share": 0.3, "spin_share": 0.6}
    rows = [
        {"part": "by rate", "round": 0, "pacing": pacing, "rate_rps": rate, "sent": 100_000, "late_p99_s": p99_s}
        for pacing in lateness.PACINGS
        for rate in lateness.RATES_RPS
    ]
    rows += [
        {"part": "held", "round": n, "pacing": "spin", "rate_rps": 5000.0, "sent": sent, "late_p99_s": p99_s}
        for n in range(5)
    ]
    return pd.DataFrame([{**row, **shared, **shares} for row in rows])


def growing(bytes_per_call: float) -> pd.DataFrame:
    """The frame of memory: 40 MB and so much with each of a million calls."""
    made = np.linspace(0, 1_000_000, 101)
    return pd.DataFrame({"t_s": made / 1e5, "calls": made.astype(int), "rss_bytes": 40e6 + bytes_per_call * made})


def judged(by_engine: dict[str, list[float]]) -> pd.DataFrame:
    """The frame of agreement: the optimized server's factor over basic in each block, by engine."""
    return pd.DataFrame(
        {
            "scenario": agreement.SCENARIO,
            "configuration": f"{server}-{engine}",
            "block": block,
            "order": 0,
            "valid": True,
            "invalid_reason": "",
            "engine": engine,
            "server": server,
            "throughput_rps": 1000 * (factor if server == "optimized" else 1),
            "requests": 1000,
            "errors": 0,
            "limited_by": "generator-bound" if engine == "grpcio" else "",
        }
        for engine, factors in by_engine.items()
        for block, factor in enumerate(factors)
        for server in agreement.SERVERS
    )


def disturbed(**changed: Any) -> pd.DataFrame:
    """A frame in which everything is marked as it should be; `changed`: columns of the windows that have a `what`."""
    what = changed.pop("what", "")
    rows = []
    for engine, loop in disturbances.COLUMNS:
        for one in [*disturbances.QUIET, *disturbances.LASTING, *disturbances.stops([0.1, 1.0])]:
            row: dict[str, Any] = {
                "engine": engine,
                "loop": loop,
                "disturbance": one.name,
                "kind": one.kind,
                "who": one.who,
                "stop_s": one.seconds if one.kind == "stop" else math.nan,
                "route": one.route,
                "throughput_rps": 500.0 if one.kind else 1000.0,
                "p99_s": 0.002,
                "max_s": 0.01 + (one.seconds or 0.0),
                "errors": 0,
                "limited_by": "generator-bound" if "generator-bound" in one.marks else "",
                "notices": " ".join(sorted(one.marks - {"generator-bound"})),
                "wanted": " ".join(sorted(one.marks)),
            }
            rows.append(row | (changed if one.name == what else {}))
    return pd.DataFrame(rows)


def decided(text: str = "") -> pd.DataFrame:
    """The frame of deciding: A/A without a winner, both planted effects found; `text` is why one comparison failed."""
    random = np.random.default_rng(3)
    rows = []
    for kind, known in deciding.KINDS.items():
        for _ in range(6):
            ratios = known.ratio * np.exp(random.normal(0, 0.01, 6))
            ratio = float(np.exp(np.log(ratios).mean()))
            row = {"kind": kind, "work_us": 0.0, "ratio": ratio, "ci_low": ratio * 0.985, "ci_high": ratio * 1.015}
            verdict = "equivalent" if kind == deciding.SAME else "slower"
            more = {"blocks": 6, "verdict": verdict, "wall_s": 60.0 + ratio, "failed": ""}
            rows.append({**row, **more, "ln_ratios": np.log(ratios).tolist()})
    rows.append({**rows[0], "failed": f"exit code 3{text}"})
    return pd.DataFrame(rows)


def stored(root: Path, text: str = "") -> Results:
    """A calibration of which some parts could not be measured; `text` is added to every name and reason in it."""
    results = Results(root)
    results.begin(Plan(scale=0.5))
    frames = {
        "ceiling": rates(0.9, 0.05),
        "truth": calls(1e-4),
        "stall": stalled(),
        "lateness": sends(5e-4),
        "memory": growing(200),
        "agreement": judged({"grpcio": [1.5, 1.51, 1.52] * 2, "wire": [1.6, 1.61, 1.62] * 2}).replace(
            {"limited_by": "generator-bound"}, f"generator-bound{text}"
        ),
        "deciding": decided(text),
        "disturbances": disturbed(),
    }
    for name, frame in frames.items():
        results.put(name, frame, others=0.3)
    results.note("recording", f"the disk is full{text}")
    results.note("link", f"the relay did not start{text}")
    if text:
        file = results.folder / "about.json"
        about = json.loads(file.read_text())
        for part in ("host", "cpu_model", "kernel", "system"):
            about["machine"][part] = f"{about['machine'][part]}{text}"
        about["versions"] = {name: f"{version}{text}" for name, version in about["versions"].items()}
        about["git"]["commit"] = f"{about['git']['commit']}{text}"
        file.write_text(json.dumps(about))
    return results
