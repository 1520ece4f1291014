"""The design of the scenario ``idle``: what keepalive is for. Pure.

Connections go silent for longer than the link remembers them, then calls resume at a low, steady rate. What counts is
the time until the first of them succeeds, and how many fail. A middlebox that forgets a connection tells nobody: only
a ping that stays unanswered does.
"""

from __future__ import annotations

from dataclasses import replace

from grpclab.analysis.study_plan import StudyPlan
from grpclab.factors.config import TrialConfig
from grpclab.study.designs.design import Configurations, comparison, headline
from grpclab.study.designs.idle_scenario import IDLE, IDLE_TIMEOUT_S, LIMIT_S, METRIC, PAUSE_S, SETTINGS, figure, load
from grpclab.study.parameters import NO_BULK, OF_FEATURES, Design, StudyParameters

QUESTION = "Does keepalive keep an idle connection usable, and which settings does that take?"


def plan(parameters: StudyParameters) -> StudyPlan:
    """The plan, as :func:`grpclab.study.designs.default_design.plan` gives it, with nothing but this scenario in it."""
    planned = Configurations()
    base = load(pause_s=PAUSE_S, limit_s=LIMIT_S)
    names = {
        key: planned.add(f"idle-{key}", title, IDLE, TrialConfig().replace(base | settings))
        for key, (title, settings) in SETTINGS.items()
    }
    again = planned.add("idle-off-again", "keepalive off again (A/A)", IDLE, TrialConfig().replace(base))
    for key in ("longer", "half", "punished"):
        planned.compare(f"{SETTINGS[key][0]}, against none", IDLE, names["off"], names[key], metric=METRIC)
    return replace(
        planned.plan(blocks=parameters.blocks, metric=METRIC),
        headline=headline(
            "working keepalive against none",
            IDLE,
            names["off"],
            names["working"],
            labels=("no keepalive", "working keepalive"),
            at=f"after {PAUSE_S:g} s idle on a link that drops connections after {IDLE_TIMEOUT_S:g} s",
            metric=METRIC,
        ),
        aa=comparison("no keepalive against itself (A/A)", IDLE, names["off"], again, metric=METRIC),
        idle=figure(tuple(names.values()), pause_s=PAUSE_S, limit_s=LIMIT_S),
    )


DESIGN = Design(
    question=QUESTION,
    plan=lambda parameters, _server_cores: plan(parameters),
    unused=("requests", *NO_BULK, "engine", "profile", "max_trial_s", *OF_FEATURES),
)
