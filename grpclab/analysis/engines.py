"""Two engines under one question: whether they give the same answer.

An engine is a client. Where both load the same configurations and one finds faster what the other finds slower,
the answer belongs to the client, not to the server.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from grpclab import quantities as qty
from grpclab.analysis.inference.verdict import Comparison

Judged = Mapping[tuple[str, str, str, str], Comparison]
"""Comparisons by scenario, metric, baseline and candidate."""


def disagreement_note(plan: Mapping[str, Any], judged: Judged, metric: str) -> str:
    """The variants on which the plan's engines give opposite verdicts, both significant; "" for none."""
    engines = plan.get("engines") or {}
    scenario = str(engines.get("scenario") or "")
    told = []
    for first, second in itertools.combinations(engines.get("rows") or [], 2):
        found: dict[str, tuple[str, str]] = {}  # verdict: engine and ratio
        for engine, baseline in (first.get("configurations") or {}).items():
            candidate = (second.get("configurations") or {}).get(engine)
            comparison = judged.get((scenario, metric, str(baseline), str(candidate)))
            if comparison is not None:
                found.setdefault(comparison.verdict, (str(engine), qty.ratio(comparison.ratio, "sentence")))
        if "faster" in found and "slower" in found:
            (engine, ratio), (other, other_ratio) = found["faster"], found["slower"]
            told.append(
                f"{second.get('variant')} is faster than {first.get('variant')} with engine {engine} ({ratio}) "
                f"and slower with engine {other} ({other_ratio})"
            )
    if not told:
        return ""
    return (
        f"the two engines give opposite verdicts: {'; '.join(told)}. What differs is the client, so neither is a "
        "verdict on the server"
    )
