"""Folded stacks in the file format of speedscope (https://www.speedscope.app/file-format-schema.json)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grpclab.profiling.pprof import parse_frame

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def convert(stacks: Mapping[str, int], *, name: str) -> dict[str, Any]:
    """One sampled profile; weights are samples, without a unit. Frames keep the file and line they have."""
    numbers: dict[str, int] = {}
    samples, weights = [], []
    for stack, count in sorted(stacks.items()):
        samples.append([numbers.setdefault(frame, len(numbers)) for frame in stack.split(";")])
        weights.append(count)
    return {
        "$schema": SCHEMA,
        "exporter": "grpclab",
        "name": name,
        "shared": {"frames": [_frame(text) for text in numbers]},
        "profiles": [
            {
                "type": "sampled",
                "name": name,
                "unit": "none",
                "startValue": 0,
                "endValue": sum(weights),
                "samples": samples,
                "weights": weights,
            }
        ],
    }


def _frame(text: str) -> dict[str, Any]:
    frame = parse_frame(text)
    entry: dict[str, Any] = {"name": frame.name}
    if frame.file:
        entry["file"] = frame.file
    if frame.line:
        entry["line"] = frame.line
    return entry
