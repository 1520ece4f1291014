"""Studies that never ran, of designs that the package brings: ``compare``, ``idle``, ``replication``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from grpclab import analysis
from grpclab.factors.config import TrialConfig
from grpclab.study.designs import compare_design, idle_design, replication_design
from grpclab.study.designs.idle_scenario import IDLE, LIMIT_S
from grpclab.study.parameters import StudyParameters
from grpclab.study.sides import A, B, Side
from tests.support import plans
from tests.support.study_maker import StudyMaker
from tests.support.synthetic import MadeStudy, as_json, made_once, manifest_of


def _finished(manifest: dict[str, Any], trials: pd.DataFrame) -> MadeStudy:
    verdict = analysis.analyse(trials, plans.value(manifest["plan"])).as_dict()
    return MadeStudy(manifest, trials, as_json(verdict))


def _trials(plan: dict[str, Any], rps: Mapping[str, float], *, study: str, **more: Any) -> pd.DataFrame:
    """Trials of the plan's configurations, with these throughputs or else 1,000 calls/s."""
    maker = StudyMaker(blocks=plan["blocks"], engine="wire", **more)
    for row in plan["configurations"]:
        maker.add(row["name"], row["title"], rps.get(row["name"], 1000.0), row["settings"], scenario=row["scenario"])
    return maker.trials(study=study, profiled=tuple(plan.get("profiled") or ()))


# ---- compare -----------------------------------------------------------------------------------------------------


@made_once
def compare_study(*, blocks: int = 6, ratio: float = 1.25) -> MadeStudy:
    """Two sides of ``grpclab compare``, of which B has more threads."""
    base = TrialConfig().replace({"load.engine": "wire", "load.requests": 4000, "load.concurrency": 32})
    sides = {
        A: Side(label="4 threads", config=base.replace({"server.threads": 4})),
        B: Side(label="8 threads", config=base.replace({"server.threads": 8})),
    }
    plan = plans.document(compare_design.plan(sides, blocks=blocks, delta=0.05))
    trials = _trials(plan, {A: 4000.0, B: 4000.0 * ratio}, study="compared", noise=0.005)
    question = "Is B (8 threads) faster than A (4 threads)?"
    manifest = manifest_of("compared", plan, blocks=blocks) | {"design": "compare", "question": question}
    return _finished(manifest, trials)


# ---- idle --------------------------------------------------------------------------------------------------------

_FIRST_S = {"idle-working": 0.004, "idle-longer": 1.6, "idle-half": 0.9, "idle-punished": 0.7}


@made_once
def idle_study(*, blocks: int = 6) -> MadeStudy:
    """The design ``idle``: without keepalive no call succeeds in time, with a working one the first does."""
    plan = plans.document(replace(idle_design.plan(StudyParameters(design="idle", blocks=blocks)), blocks=blocks))
    trials = _silent(_trials(plan, {}, study="silent"), _FIRST_S)
    return _finished(manifest_of("silent", plan, blocks=blocks) | {"design": "idle"}, trials)


def _silent(trials: pd.DataFrame, first_s: Mapping[str, float]) -> pd.DataFrame:
    """The trials with what a period without calls does to those of its scenario; no success where no time is given."""
    random = np.random.default_rng(7)
    idle = trials["scenario"] == IDLE
    known = trials["configuration"].map(first_s)
    spread = np.exp(random.normal(0, 0.05, len(trials)))
    return trials.assign(
        time_to_first_success_s=np.where(idle, (known * spread).fillna(LIMIT_S), np.nan),
        first_success_censored=np.where(idle, known.isna().astype(float), np.nan),
        link_goaways=np.where(trials["configuration"] == "idle-punished", 2.0, 0.0),
        requests=np.where(idle, 80.0, trials["requests"]),
        errors=np.where(idle & known.isna(), 79.0, np.where(idle & (known > 0.5), 12.0, 0.0)),
    )


# ---- replication -------------------------------------------------------------------------------------------------

_FAST = {"basic": 500.0, "basic-again": 500.0, "basic-wire": 900.0, "optimized": 2600.0, "optimized-wire": 4200.0}
_MANY = ("optimized-c10000", "own-limits-c10000")


@made_once
def replication_study(*, blocks: int = 6) -> MadeStudy:
    """The design ``replication``: some of its claims hold, some hold under a condition, some do not."""
    plan = plans.document(replication_design.plan(StudyParameters(design="replication", blocks=blocks)))
    trials = _silent(_trials(plan, _FAST, study="repeated"), {"idle-working": 0.004})
    many = trials["configuration"].isin(_MANY)
    per_call = trials["configuration"].isin(["per-call", "basic", "basic-again", "basic-wire"])
    trials = trials.assign(
        in_flight_max=np.where(many, 10_000.0, 64.0),
        requests=np.where(many, 20_000.0, trials["requests"]),
        connections_opened=np.where(per_call, trials["requests"], 4.0),
        link_connections=np.where(trials["configuration"] == "idle-off", 3.0, 1.0),
    )
    return _finished(manifest_of("repeated", plan, blocks=blocks) | {"design": "replication"}, trials)


# ---- names that must not act -------------------------------------------------------------------------------------

_WRITTEN = frozenset(
    ("title", "label", "baseline_label", "candidate_label", "at", "phrase", "already", "place", "question", "note")
)
"""The fields of a manifest that are words of whoever wrote it."""


def hostile(made: MadeStudy, text: str) -> MadeStudy:
    """The same study with the text at the end of every word of a user, a server or a machine in it."""
    manifest = _marked(copy.deepcopy(made.manifest), text)
    for part in ("host", "cpu_model", "kernel"):
        manifest["machine"][part] += text
    manifest["versions"] = {name: f"{version}{text}" for name, version in manifest["versions"].items()}
    trials = made.trials.copy()
    spoilt = trials.index[trials["block"] == 0][:1]
    trials.loc[spoilt, "valid"] = False
    trials.loc[spoilt, "invalid_reason"] = f"the server died{text}"
    limited = trials["configuration"] == trials["configuration"].iloc[-1]
    trials.loc[limited, "limited_by"] = f"server-cpu{text}"
    return _finished(manifest, trials)


def _marked(value: Any, text: str) -> Any:
    if isinstance(value, dict):
        return {
            key: f"{inner}{text}" if key in _WRITTEN and isinstance(inner, str) and inner else _marked(inner, text)
            for key, inner in value.items()
        }
    return [_marked(one, text) for one in value] if isinstance(value, list) else value
