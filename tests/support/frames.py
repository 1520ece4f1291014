"""Small frames of trials for the tests of the analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

VALID = {"valid": True, "invalid_reason": "", "limited_by": ""}
"""The columns of a valid trial that nothing limited."""


def trials_of(levels: Mapping[str, Sequence[float]], metric: str = "throughput_rps") -> pd.DataFrame:
    """Valid trials of each configuration, one level of the metric a block."""
    rows = [
        {
            "scenario": "chatter",
            "configuration": name,
            "block": block,
            **VALID,
            metric: level,
        }
        for name, values in levels.items()
        for block, level in enumerate(values)
    ]
    return pd.DataFrame(rows)
