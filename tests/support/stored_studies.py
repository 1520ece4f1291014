"""Made-up studies where a finished one is looked for: as a folder of results, and inside a report."""

from __future__ import annotations

import copy
import html
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.load.core.failures import Failure
from grpclab.report.data import Packed
from grpclab.report.past import summary
from grpclab.study.collection import row
from grpclab.study.designs.design import Configurations, comparison
from grpclab.study.documents import plain as plain_json
from grpclab.study.documents import write_json
from grpclab.study.model import StoredResult
from grpclab.study.stored_values import read_result, written
from grpclab.study.trial_result import TrialIdentity, TrialResult
from tests.support import plans, synthetic
from tests.support.finished import finished
from tests.support.hostile_server import HOSTILE


def as_folder(made: synthetic.MadeStudy, folder: Path) -> Path:
    """The study as ``grpclab study`` leaves it behind, without the trials' own folders."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(made.manifest))
    (folder / "verdict.json").write_text(json.dumps(made.verdict))
    made.trials.to_parquet(folder / "trials.parquet", index=False)
    return folder


def as_report(made: synthetic.MadeStudy, path: Path) -> Path:
    """The least that is a report: the summary that an index reads, and the study."""
    path.parent.mkdir(parents=True, exist_ok=True)
    about = summary(finished(made.manifest, pd.DataFrame(), made.verdict)).embedded()
    packed = Packed(manifest=made.manifest, trials=made.trials, verdict=made.verdict)
    path.write_text(
        f'<!DOCTYPE html><html lang="en"><head><title>{html.escape(made.manifest["study"])}</title>'
        f'<script type="application/json" id="grpclab-summary">{about}</script></head>'
        f"<body><main><h1>Study</h1>{packed.elements()}</main></body></html>"
    )
    return path


def plan_of_two(levels: Mapping[str, Level] | None = None, *, blocks: int) -> dict[str, Any]:
    """A plan of two configurations, few and many threads, that share these levels."""
    out = Configurations()
    for name, threads in (("few", 2), ("many", 8)):
        config = TrialConfig().replace({**(levels or {}), "server.threads": threads})
        out.add(name, f"{threads} threads", "tiny", config)
    return {
        **plans.document(out.plan(blocks=blocks)),
        "headline": written(comparison("many against few", "tiny", "few", "many")),
        "aa": {},
        "without_aa": True,
    }


def trial_config(plan: Mapping[str, Any], configuration: str) -> TrialConfig:
    """The configuration of that name in a plan."""
    (settings,) = (row["settings"] for row in plan["configurations"] if row["name"] == configuration)
    return TrialConfig().replace(settings)


def manifest(planned: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """What lies beside a study of :func:`plan_of_two` that another machine measured."""
    found = {
        "schema_version": 1,
        "study": "tiny",
        "design": "file",
        "question": "Do more threads help?",
        "parameters": {"study": "tiny", "seed": 7, "max_trial_s": 0.2},
        "seed": 7,
        "created_at": "2026-11-20T09:00:00+00:00",
        "identity": {"host": "elsewhere", "grpcio": "1.85.1"},
        "git": {"commit": "0123456789abcdef"},
        "plan": planned,
        "again": "grpclab study --file tiny.toml",
    }
    return copy.deepcopy(found | changed)


def row_of(document: dict[str, Any]) -> dict[str, Any]:
    """The row of trials.parquet that the content of a result.json becomes."""
    return row(stored_result(document))


def stored_result(document: dict[str, Any]) -> StoredResult:
    """A trial's result as a study reads it, out of what would be written; what is not a number is stored as null."""
    return read_result(plain_json(document), document["trial"])


def result(trial: str, *, valid: bool = True, reason: str = "", **metrics: float) -> dict[str, Any]:
    """What result.json of a trial holds, named as the store names them: ``BB-OOO-CONFIGURATION``."""
    block, order, configuration = trial.split("-", 2)
    identity = TrialIdentity(
        study="mine", trial=trial, configuration=configuration, block=int(block), order=int(order), scenario="tiny"
    )
    made = TrialResult(identity=identity, config=TrialConfig(), started_at="2026-11-23T12:00:00+00:00", valid=valid)
    made.invalid_reason = reason
    made.metrics |= metrics
    return dict(plain_json(asdict(made.stored())))


def hostile_trials(folder: Path, plan: dict[str, Any]) -> None:
    """The trials of a stored study; the last one failed, and says so in hostile words."""
    names = [row["name"] for row in plan["configurations"]]
    for block in range(plan["blocks"]):
        for order, name in enumerate(names):
            last = (block, name) == (plan["blocks"] - 1, names[-1])
            identity = TrialIdentity(
                study=folder.name,
                trial=f"{block:02}-{order:03}-{name}",
                configuration=name,
                block=block,
                order=order,
                scenario=plan["configurations"][order]["scenario"],
            )
            result = TrialResult(identity=identity, config=TrialConfig(), started_at=HOSTILE, valid=not last)
            result.invalid_reason = HOSTILE if last else ""
            result.limits, result.limited_by = [HOSTILE], HOSTILE
            result.metrics = {"throughput_rps": 1000.0 + block + 50 * order, "requests": 1000.0, "errors": 1.0}
            result.failures = (Failure(status="INTERNAL", text=HOSTILE, calls=1, first_s=0.1),)
            (trial := folder / "trials" / identity.trial).mkdir(parents=True)
            write_json(trial / "result.json", asdict(result.stored()))
            (trial / "server.log").write_text(HOSTILE)
