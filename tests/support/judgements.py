"""A plan of three configurations, trials of it, and their judgement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from grpclab.analysis import Judgement, analyse
from grpclab.analysis.study_plan import StudyPlan
from tests.support import plans
from tests.support.frames import VALID

METRIC = "throughput_rps"
LEVELS = {"basic": 100.0, "reuse": 300.0, "optimized": 340.0, "basic-again": 100.0}


def trials(
    means: Mapping[str, float] = LEVELS, blocks: int = 6, noise: float = 0.02, seed: int = 5, **columns: Any
) -> pd.DataFrame:
    """Valid trials around those means, with that spread of ln throughput."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "scenario": "chatter",
            "configuration": name,
            "block": block,
            **VALID,
            "requests": 500.0,
            "errors": 0.0,
            "errors_by_status": "{}",
            METRIC: mean * math.exp(rng.normal(0, noise)),
            "latency_p99_s": 1 / mean * math.exp(rng.normal(0, noise)),
        }
        | columns
        for block in range(blocks)
        for name, mean in means.items()
    ]
    return pd.DataFrame(rows)


def entry(baseline: str, candidate: str, **more: Any) -> dict[str, Any]:
    common = {"title": f"{candidate} over {baseline}", "scenario": "chatter", "metric": METRIC}
    return common | {"baseline": baseline, "candidate": candidate} | more


CLIENT = entry("basic", "reuse", side="client", phrase="the client keeping its connections")
SERVER = entry("reuse", "optimized", side="server", phrase="the server")


def plan(**changes: Any) -> StudyPlan:
    document = {
        "blocks": 6,
        "delta": 0.05,
        "metric": METRIC,
        "configurations": [{"name": name, "scenario": "chatter"} for name in LEVELS],
        "headline": entry("basic", "optimized", title="optimized against basic at concurrency 64"),
        "parts": [CLIENT, SERVER],
        "comparisons": [CLIENT, SERVER],
        "aa": entry("basic", "basic-again", title="A/A"),
    }
    return plans.value(document | changes)


def judged(frame: pd.DataFrame | None = None, **changes: Any) -> Judgement:
    return analyse(trials() if frame is None else frame, plan(**changes))


def warning(found: Judgement, words: str) -> str:
    """The one warning that holds those words."""
    (text,) = [text for text in found.warnings if words in text]
    return text


def headline_only(ratio: float, noise: float = 0.02, blocks: int = 6, **changes: Any) -> Judgement:
    means = {"basic": 100.0, "optimized": 100.0 * ratio, "basic-again": 100.0}
    return analyse(trials(means, blocks, noise), plan(**{"parts": [], "comparisons": [], "blocks": blocks} | changes))
