"""``grpclab compare``: two servers, or two configurations, in interleaved blocks; a study with one question.

A pilot says how noisy the blocks are, and so how many the comparison needs; that number is fixed then, and the
pilot's trials are no part of it. What is measured lies under ``results/<study>/`` like every study, so that
``grpclab report`` draws it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from grpclab import analysis
from grpclab.analysis import Comparison, Judgement, analyse, blocks_needed, fewest_blocks
from grpclab.arguments import refusal, whole
from grpclab.config import TrialConfig
from grpclab.environment import CorePlan
from grpclab.errors import DesignError, MeasurementError
from grpclab.places import project_root
from grpclab.study.comparison import CompareResult
from grpclab.study.design import Configurations, comparison, plain
from grpclab.study.parameters import study_name
from grpclab.study.progress import say
from grpclab.study.runner import Study, StudyInterruptedError, link_check, manifest_of, surroundings
from grpclab.study.store import Store
from grpclab.study.subject import Subject
from grpclab.study.trial import TrialIdentity, run_trial
from grpclab.units import share
from grpclab.variants import LOAD, variant

SCENARIO = "compare"
PILOT_BLOCKS = 4
MOST_BLOCKS = 30
"""No more are planned by a pilot, however noisy the machine."""
A, B = "a", "b"
CLOSED, OPEN = "throughput_rps", "latency_p99_s"
OTHERS = (CLOSED, "latency_p50_s", "latency_p99_s", "server_cpu_per_call_s")
EXIT_CODES = {"equivalent": 0, "faster": 0, "slower": 1, "inconclusive": 4}
"""Of the verdict on the candidate."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two that are compared."""

    label: str
    config: TrialConfig
    subject: Subject = field(default_factory=Subject)


def metric_of(config: TrialConfig) -> str:
    """What such a load is for: throughput of a closed loop, p99 latency of an open one."""
    return CLOSED if config.load.rate_rps is None else OPEN


def plan(sides: Mapping[str, Side], *, blocks: int, delta: float) -> dict[str, Any]:
    """The plan of the study, as :func:`grpclab.study.design.plan` gives it."""
    out = Configurations()
    for name, side in sides.items():
        out.add(name, f"{name.upper()}: {side.label}", SCENARIO, side.config)
    metric = metric_of(sides[A].config)
    title = f"{sides[B].label} against {sides[A].label}"
    for other in OTHERS:
        if other != metric:
            out.compare(title, SCENARIO, A, B, metric=other)
    return {
        **plain(),
        "blocks": blocks,
        "delta": delta,
        "metric": metric,
        "configurations": list(out.configurations.values()),
        "headline": {
            **comparison(title, SCENARIO, A, B, metric=metric),
            "baseline_label": f"A ({sides[A].label})",
            "candidate_label": f"B ({sides[B].label})",
        },
        "comparisons": out.comparisons,
        "aa": {},
        "without_aa": True,
        "subjects": {name: asdict(side.subject) for name, side in sides.items()},
    }


class ComparingStudy(Study):
    """A study of two sides, whose trials need no notebook."""

    def __init__(self, store: Store, manifest: Mapping[str, Any], root: Path) -> None:
        super().__init__(store, manifest, root)
        if "repeats" not in manifest:  # a repeat finds its folder again by itself
            self.CONTINUES = f"the same command with --study {self.name}"
        cores = manifest["cores"]
        self._cores = CorePlan(
            server=tuple(cores["server"]), generator=tuple(cores["generator"]), shared=cores["shared"]
        )
        self._subjects = {name: Subject.from_json(found) for name, found in self.plan["subjects"].items()}
        self._measured: set[str] = set()

    def measure(self, config: TrialConfig, identity: TrialIdentity, folder: Path) -> str:
        """Measure one trial into `folder`. Raises MeasurementError if the first of a side is invalid."""
        side = identity.configuration
        result = run_trial(config, folder, cores=self._cores, identity=identity, subject=self._subjects[side])
        if not result.valid and side not in self._measured:
            raise MeasurementError(f"{side.upper()} cannot be measured: {result.invalid_reason}")
        self._measured.add(side)
        return ""


def prepare(
    sides: Mapping[str, Side],
    *,
    blocks: int | None,
    delta: float,
    seed: int,
    study: str | None,
    write: Callable[[str], None],
    again: str = "",
    root: Path | None = None,
) -> ComparingStudy:
    """Plan the comparison, by a pilot where `blocks` is None, and begin its folder or go on with it.

    `again` is the command that does the same once more, for the report.

    Raises DesignError, UsageError, MeasurementError.
    """
    root = root or project_root()
    name = study or f"compare-{datetime.now():%Y%m%d-%H%M%S}"
    store = Store(root / "results" / name)
    stored = store.manifest()
    found = surroundings(root)
    if blocks is None:
        if stored:
            blocks = int(stored["plan"]["blocks"])
        else:
            write(f"pilot, {PILOT_BLOCKS} blocks that do not count:")
            seen = piloted(sides, metric=metric_of(sides[A].config), delta=delta, seed=seed, write=write)
            blocks, told = planned_blocks(seen)
            write(told)
    manifest = _manifest(name, found, plan(sides, blocks=blocks, delta=delta), seed) | {"again": again}
    if not stored:
        manifest["link_check"] = link_check(manifest["plan"])
    return ComparingStudy(store, store.open(manifest), root)


def _manifest(name: str, found: Mapping[str, Any], plan_: Mapping[str, Any], seed: int) -> dict[str, Any]:
    labels = {row["name"]: row["title"] for row in plan_["configurations"]}
    parameters = {"study": name, "blocks": plan_["blocks"], "seed": seed}
    question = f"Is {labels[B]} faster than {labels[A]}?"
    return manifest_of(found, plan_, design_name="compare", question=question, parameters=parameters)


def piloted(
    sides: Mapping[str, Side], *, metric: str, delta: float, seed: int, write: Callable[[str], None]
) -> Comparison:
    """The two sides in a few blocks that do not count: nothing of them is kept."""
    with tempfile.TemporaryDirectory(prefix="grpclab-") as folder:
        root = Path(folder)
        store = Store(root / "results" / "pilot")
        # A seed of its own: the order of the blocks that count must not repeat that of the pilot.
        plan_ = plan(sides, blocks=PILOT_BLOCKS, delta=delta)
        pilot = ComparingStudy(store, store.open(_manifest("pilot", surroundings(root), plan_, seed + 1_000_003)), root)
        try:
            pilot.run(write)
        except StudyInterruptedError:
            raise StudyInterruptedError("stopped in the pilot, of which nothing is kept") from None
        trials = pilot.collect()
    return analysis.compare(trials, scenario=SCENARIO, metric=metric, baseline=A, candidate=B, delta=delta, exact=True)


def planned_blocks(pilot: Comparison) -> tuple[int, str]:
    """The number of blocks that decides it in four of five cases at the pilot's ratio and noise, and why."""
    needed = blocks_needed(
        ratio=pilot.ratio,
        ci_low=pilot.ci_low,
        ci_high=pilot.ci_high,
        blocks=pilot.blocks,
        delta=pilot.delta,
        exact=True,
    )
    fewest = fewest_blocks()
    if needed is None or needed > MOST_BLOCKS:
        about = "more than 1,000" if needed is None else f"about {needed:,}"
        return MOST_BLOCKS, f"at this noise {about} blocks would be needed; {MOST_BLOCKS} are planned, the most"
    blocks = max(fewest, needed)
    return blocks, f"{blocks} blocks are planned: enough in four of five cases at the pilot's ratio and noise"


def compare(
    a: Side | TrialConfig | str,
    b: Side | TrialConfig | str,
    *,
    blocks: int | None = None,
    min_effect: float = 0.05,
    seed: int = 1,
    study: str | None = None,
    write: Callable[[str], None] = say,
) -> CompareResult:
    """Compare B with A in interleaved blocks; for notebooks and scripts.

    A side is the name of a variant, a configuration (its load included), or a :class:`Side` with a label and a
    server by its command. Without `blocks` a pilot says how many. `min_effect` is the smallest effect of interest, a
    share. Results go to ``results/<study>/``. Raises UsageError, MeasurementError.
    """
    sides = {A: _side(a), B: _side(b)}
    seed, blocks = whole("seed", seed), None if blocks is None else whole("blocks", blocks, minimum=1)
    delta = share("min_effect", str(min_effect))
    study = None if study is None else study_name("study", study)
    running = prepare(sides, blocks=blocks, delta=delta, seed=seed, study=study, write=write)
    running.run(write)
    return judge(running)


def _side(what: Side | TrialConfig | str) -> Side:
    if isinstance(what, Side):
        return what
    if isinstance(what, str):
        return Side(label=what, config=variant(what).replace(LOAD))
    if not isinstance(what, TrialConfig):
        raise refusal("side", what, "the name of a variant, a TrialConfig or a Side, as 'optimized'")
    return Side(label=what.settings() or "all factors at their defaults", config=what)


def judge(study: Study) -> CompareResult:
    """Collect and judge; writes trials.parquet and verdict.json. Raises MeasurementError without a ratio."""
    trials = study.collect()
    judgement = study.judge(trials)
    if not judgement.headline.computed:
        raise MeasurementError(f"there is no ratio: {judgement.headline.note}")
    return CompareResult(trials=trials, judgement=judgement, study=str(study.store.folder))


# ---- two stored results ------------------------------------------------------------------------------------------


def compare_stored(words: Mapping[str, str], *, delta: float, allow_mixed: bool) -> CompareResult:
    """Compare configurations of stored studies, ``results/STUDY[:CONFIGURATION]``, block by block.

    Without a configuration it is the candidate of the study's headline. Raises DesignError if the studies are of
    different machines or versions, unless `allow_mixed`: then that is a warning.
    """
    studies, sides, frames = {}, {}, []
    for name, word in words.items():
        path, _, configuration = word.partition(":")
        study = studies[name] = Study.stored(Path(path))
        configuration = configuration or study.plan["headline"]["candidate"]
        known = [row["name"] for row in study.plan["configurations"]]
        if configuration not in known:
            raise DesignError(f"{path} has no configuration {configuration!r}: it has {', '.join(known)}")
        settings = next(row["settings"] for row in study.plan["configurations"] if row["name"] == configuration)
        sides[name] = Side(label=f"{study.name}:{configuration}", config=TrialConfig().replace(settings))
        trials = study.collect(allow_mixed=allow_mixed)
        frames.append(trials[trials["configuration"] == configuration].assign(configuration=name, scenario=SCENARIO))
    warnings = []
    mine, theirs = (studies[name].manifest["identity"] for name in (A, B))
    different = sorted(key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key))
    if different:
        told = ", ".join(f"{key}={mine.get(key)} and {theirs.get(key)}" for key in different)
        if not allow_mixed:
            raise DesignError(f"measured in different surroundings ({told}): measure again, or add --allow-mixed")
        warnings.append(f"mixed: measured in different surroundings ({told})")
    if studies[A].store.folder != studies[B].store.folder:
        warnings.append("the two were not interleaved: what changed on the machine in between is in the ratio")
    trials = pd.concat(frames, ignore_index=True)
    blocks = int(trials["block"].max()) + 1 if len(trials) else 0
    judgement = analyse(trials, plan(sides, blocks=blocks, delta=delta), studies[A].manifest.get("cores"))
    judgement = Judgement(**{**vars(judgement), "warnings": (*warnings, *judgement.warnings)})
    if not judgement.headline.computed:
        raise MeasurementError(f"there is no ratio: {judgement.headline.note}")
    return CompareResult(trials=trials, judgement=judgement)
