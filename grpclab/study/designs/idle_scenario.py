"""The scenario ``idle``: its load, its link, and the ways to configure keepalive. Pure.

Connections go silent for longer than the link remembers them, then calls resume at a low, steady rate.
"""

from __future__ import annotations

from grpclab.analysis.study_plan import PlannedIdle
from grpclab.factors.levels import Level
from grpclab.study.designs.scenario import Scenario

IDLE = "idle"
METRIC = "time_to_first_success_s"
PAUSE_S = 6.0
"""Long enough for a server to see more pings than it takes: its third without data is one too many."""
LIMIT_S = 4.0
"""Calls are made for so long after the silence; what has not succeeded by then is `> limit`."""
IDLE_PAUSE_S, IDLE_LIMIT_S = 2.5, 1.0
"""The same, shorter, where another design borrows a pair of this scenario."""
IDLE_TIMEOUT_S = 2.0
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
        "incomplete client settings: two pings without data, 20 s timeout",
        {
            "client.keepalive_s": SHORTER_S,
            "client.max_pings_without_data": 2,
            "server.keepalive_without_calls": True,
        },
    ),
    "punished": ("more client pings than the server permits", _client(SHORTER_S)),
}
"""What is compared: a title, and the factors that are not at their defaults."""


def load(*, pause_s: float, limit_s: float) -> dict[str, Level]:
    """The factors of every configuration: calls resume after `pause_s`, and are made for `limit_s` seconds."""
    return {
        "load.engine": "grpcio",
        "load.rate_rps": RATE_RPS,
        "load.requests": None,
        "load.duration_s": limit_s,
        "load.warmup_s": 0.5,
        "load.pause_s": pause_s,
        "client.deadline_s": DEADLINE_S,
        "link.idle_timeout_s": IDLE_TIMEOUT_S,
    }


def figure(configurations: tuple[str, ...], *, pause_s: float, limit_s: float) -> PlannedIdle:
    """The part of a plan that the report's figure shows."""
    return PlannedIdle(configurations=configurations, pause_s=pause_s, idle_timeout_s=IDLE_TIMEOUT_S, limit_s=limit_s)


SCENARIO = Scenario(
    meaning="calls after an idle period longer than the network keeps a connection",
    levels=load(pause_s=PAUSE_S, limit_s=LIMIT_S),
    metric=METRIC,
)
