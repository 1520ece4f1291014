"""The design of the scenario ``idle``: what keepalive is for. Pure.

Connections go silent for longer than the link remembers them, then calls resume at a low, steady rate. What counts is
the time until the first of them succeeds, and how many fail. A middlebox that forgets a connection tells nobody: only
a ping that stays unanswered does.
"""

from __future__ import annotations

from typing import Any

from grpclab.channel_args import mapping_rows
from grpclab.config import Level, TrialConfig
from grpclab.study.design import DELTA, Configurations, comparison
from grpclab.study.parameters import StudyParameters

QUESTION = "Does keepalive keep a silent connection usable, and which of its settings does that take?"
IDLE = "idle"
METRIC = "time_to_first_success_s"
IDLE_TIMEOUT_S = 2.0
PAUSE_S = 6.0
"""Long enough for a server to see more pings than it takes: its third without data is one too many."""
LIMIT_S = 4.0
"""Calls are made for so long after the silence; what has not succeeded by then is `> limit`."""
RATE_RPS = 20.0
DEADLINE_S = 0.5
SHORTER_S, LONGER_S, PING_TIMEOUT_S = 1.0, 8.0, 0.5
"""C-core sends no more than a ping a second, whatever is asked for."""

_PERMITTING: dict[str, Level] = {
    "server.keepalive_s": SHORTER_S,
    "server.keepalive_timeout_s": PING_TIMEOUT_S,
    "server.keepalive_without_calls": True,
}


def _client(keepalive_s: float) -> dict[str, Level]:
    return {"client.keepalive_s": keepalive_s, "client.keepalive_timeout_s": PING_TIMEOUT_S}


SETTINGS: dict[str, tuple[str, dict[str, Level]]] = {
    "off": ("keepalive off", {}),
    "working": ("keepalive on both sides, shorter than the timeout", _client(SHORTER_S) | _PERMITTING),
    "longer": (
        "keepalive on both sides, longer than the timeout",
        _client(LONGER_S) | _PERMITTING | {"server.keepalive_s": LONGER_S},
    ),
    "half": (
        "client half configured: two pings without data, 20 s timeout",
        {
            "client.keepalive_s": SHORTER_S,
            "client.max_pings_without_data": 2,
            "server.keepalive_without_calls": True,
        },
    ),
    "punished": ("client's pings beyond what the server permits", _client(SHORTER_S)),
}
"""What is compared: a title, and the factors that are not at their defaults."""


def plan(parameters: StudyParameters) -> dict[str, Any]:
    """The plan, as :func:`grpclab.study.design.plan` gives it, with nothing but this scenario in it."""
    out = Configurations()
    base: dict[str, Level] = {
        "load.engine": "grpcio",
        "load.rate_rps": RATE_RPS,
        "load.requests": None,
        "load.duration_s": LIMIT_S,
        "load.warmup_s": 0.5,
        "load.pause_s": PAUSE_S,
        "client.deadline_s": DEADLINE_S,
        "link.idle_timeout_s": IDLE_TIMEOUT_S,
    }
    names = {
        key: out.add(f"idle-{key}", title, IDLE, TrialConfig().replace(base | settings))
        for key, (title, settings) in SETTINGS.items()
    }
    again = out.add("idle-off-again", "keepalive off once more (A/A)", IDLE, TrialConfig().replace(base))
    for key in ("longer", "half", "punished"):
        out.compare(f"{SETTINGS[key][0]}, against none", IDLE, names["off"], names[key], metric=METRIC)
    return {
        "blocks": parameters.blocks,
        "delta": DELTA,
        "metric": METRIC,
        "configurations": list(out.configurations.values()),
        "headline": {
            **comparison("working keepalive against none", IDLE, names["off"], names["working"], metric=METRIC),
            "baseline_label": "no keepalive",
            "candidate_label": "working keepalive",
            "at": f"after {PAUSE_S:g} s of silence on a link that forgets after {IDLE_TIMEOUT_S:g} s",
        },
        "parts": [],
        "comparisons": out.comparisons,
        "aa": comparison("no keepalive against itself (A/A)", IDLE, names["off"], again, metric=METRIC),
        "curves": [],
        "engines": {},
        "windows": [],
        "ladder": [],
        "sweeps": [],
        "profiled": [],
        "mapping": mapping_rows(),
        "idle": {
            "configurations": list(names.values()),
            "pause_s": PAUSE_S,
            "idle_timeout_s": IDLE_TIMEOUT_S,
            "limit_s": LIMIT_S,
        },
    }
