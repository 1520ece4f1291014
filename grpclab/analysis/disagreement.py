"""Two engines under one question: whether they give the same answer.

An engine is a client. Where both load the same configurations and one finds faster what the other finds slower,
the answer belongs to the client, not to the server.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from grpclab import quantities as qty
from grpclab.analysis.inference.verdict import Comparison
from grpclab.analysis.study_plan import PlannedEngines

Judged = Mapping[tuple[str, str, str, str], Comparison]
"""Comparisons by scenario, metric, baseline and candidate."""


def disagreement_note(engines: PlannedEngines | None, judged: Judged, metric: str) -> str:
    """The variants on which the plan's engines give opposite verdicts, both significant; "" for none."""
    if engines is None:
        return ""
    opposites = []
    for first, second in itertools.combinations(engines.rows, 2):
        ratios: dict[str, tuple[str, str]] = {}  # verdict: engine and ratio
        for engine, baseline in first.configurations.items():
            candidate = second.configurations.get(engine, "")
            comparison = judged.get((engines.scenario, metric, baseline, candidate))
            if comparison is not None:
                ratios.setdefault(comparison.verdict, (engine, qty.ratio(comparison.ratio, "sentence")))
        if "faster" in ratios and "slower" in ratios:
            (engine, ratio), (other, other_ratio) = ratios["faster"], ratios["slower"]
            opposites.append(
                f"{second.variant} is faster than {first.variant} with engine {engine} ({ratio}) "
                f"and slower with engine {other} ({other_ratio})"
            )
    if not opposites:
        return ""
    return (
        f"the two engines give opposite verdicts: {'; '.join(opposites)}. Only the client differs, so neither is a "
        "verdict on the server"
    )
