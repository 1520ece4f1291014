"""``grpclab compare``: two servers, or two configurations, in interleaved blocks; a study with one question.

A pilot says how noisy the blocks are, and so how many the comparison needs; that number is fixed then, and the
pilot's trials are no part of it. What is measured lies under ``results/<study>/`` like every study, so that
``grpclab report`` draws it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from grpclab import analysis
from grpclab.analysis import Comparison, blocks_needed, fewest_blocks
from grpclab.analysis.setup import described
from grpclab.analysis.study_plan import Json, StoredCores, StudyPlan
from grpclab.errors import MeasurementError
from grpclab.factors.channel_args import without_effect
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.variants import LOAD
from grpclab.load.calls.metadata import references
from grpclab.quantities import share
from grpclab.servers.process import program
from grpclab.study.comparison import CompareResult
from grpclab.study.designs.compare_design import SCENARIO, metric_of, plan
from grpclab.study.documents import plain
from grpclab.study.manifests import link_check, manifest_of, surroundings
from grpclab.study.model import Manifest
from grpclab.study.parameters import study_name
from grpclab.study.progress import say
from grpclab.study.runner import Study, StudyInterruptedError, no_verdict, require_outputs
from grpclab.study.sides import A, Asked, B, Side, pair
from grpclab.study.store import Store
from grpclab.study.stored_comparison import compare_stored
from grpclab.study.stored_values import read_plan, written
from grpclab.study.target import Subject
from grpclab.study.trial import run_trial
from grpclab.study.trial_result import TrialIdentity
from grpclab.system.environment import CorePlan
from grpclab.system.inputs import whole
from grpclab.system.paths import is_stored, project_root
from grpclab.system.temporary import TemporaryFolder

PILOT_BLOCKS = 4
MOST_BLOCKS = 30
"""No more are planned by a pilot, however noisy the machine."""
EXIT_CODES = {"equivalent": 0, "faster": 0, "slower": 1, "inconclusive": 4}
"""Of the verdict on the candidate."""


def servers_of(plan: StudyPlan) -> dict[str, Mapping[str, Json]]:
    """The commands of a plan with the files they run, by configuration."""
    commands = {name: target.command for name, target in plan.subjects.items()}
    return {name: program.as_dict(command) for name, command in commands.items() if command}


def references_of(plan: StudyPlan) -> dict[str, str]:
    """What the references in the metadata of a plan stand for now. Raises UsageError."""
    return references([word for target in plan.subjects.values() for word in target.metadata])


class ComparingStudy(Study):
    """A study of two sides, whose trials need no notebook."""

    def __init__(
        self, store: Store, manifest: Manifest, root: Path, subjects: Mapping[str, Subject] | None = None
    ) -> None:
        """`subjects`: those of the manifest, with the secrets that it does not hold."""
        super().__init__(store, manifest, root)
        if manifest.repeats is None:  # a repeat finds its folder again by itself
            self.CONTINUES = f"the same command with --study {self.name}"
        cores = manifest.cores or StoredCores()
        self._cores = CorePlan(server=cores.server, generator=cores.generator, shared=cores.shared)
        timeout = manifest.parameters.get("start_timeout_s")
        stored = {name: Subject.of(target) for name, target in self.plan.subjects.items()}
        self._subjects = {
            name: replace(subject, start_timeout_s=timeout) for name, subject in {**stored, **(subjects or {})}.items()
        }
        self._measured: set[str] = set()
        self.fresh = False
        """Whether its folder is new: one that holds nothing is then removed again."""

    @property
    def outputs(self) -> list[Path]:
        """Its folder; only a repeat writes a report of its own accord."""
        return [self.store.folder] if self.manifest.repeats is None else super().outputs

    def begin(self) -> Self:
        """As :meth:`Study.begin`; the folder's manifest holds no secrets, this study still does."""
        begun = super().begin()
        return type(self)(begun.store, begun.manifest, begun.root, self._subjects)

    def run(self, write: Callable[[str], None] = say) -> None:
        """As :meth:`Study.run`; a new folder goes again where nothing could be measured."""
        try:
            super().run(write)
        except BaseException:
            if self.fresh and not self.store.results():
                self.store.discard()
            raise

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
    start_timeout_s: float | None = None,
    root: Path | None = None,
) -> ComparingStudy:
    """Plan the comparison, by a pilot where `blocks` is None, and begin its folder or continue it.

    `again` is the command that does the same once more, for the report. A server by its command may take
    `start_timeout_s` until it listens.

    Raises DesignError, UsageError, MeasurementError.
    """
    seed, blocks = whole("seed", seed), None if blocks is None else whole("blocks", blocks, minimum=1)
    root = root or project_root()
    name = study or f"compare-{datetime.now():%Y%m%d-%H%M%S}"
    store = Store(root / "results" / name)
    stored = store.manifest()
    here = surroundings(root)
    planned(sides, blocks=PILOT_BLOCKS, delta=delta)  # what cannot be judged is refused before anything is measured
    require_outputs(store.folder)
    if blocks is None:
        if stored:
            blocks = stored.plan.blocks
        else:
            write(f"pilot, {PILOT_BLOCKS} blocks that do not count:")
            metric = metric_of(sides[A].config)
            pilot = piloted(sides, metric=metric, delta=delta, seed=seed, write=write, start_timeout_s=start_timeout_s)
            blocks, reason = planned_blocks(pilot)
            write(reason)
    if warning := no_verdict(blocks):
        write(warning)
    manifest = _manifest(name, here, planned(sides, blocks=blocks, delta=delta), seed, start_timeout_s)
    manifest = replace(manifest, again=again)
    if not stored:
        manifest = replace(manifest, link_check=link_check(manifest.plan))
    opened = store.open(manifest)
    opened = replace(opened, parameters={**opened.parameters, "start_timeout_s": start_timeout_s})
    for reference in store.changed_references(manifest):
        write(f"{reference} has another value than when this study was begun")
    running = ComparingStudy(store, opened, root, {name: side.subject for name, side in sides.items()})
    running.fresh = stored is None
    return running


def planned(sides: Mapping[str, Side], *, blocks: int, delta: float) -> StudyPlan:
    """The plan of a comparison. Raises UsageError for sides that cannot be judged."""
    return read_plan(plain(plan(sides, blocks=blocks, delta=delta)))


def _manifest(name: str, here: Manifest, plan_: StudyPlan, seed: int, start_timeout_s: float | None) -> Manifest:
    parameters = {"study": name, "blocks": plan_.blocks, "seed": seed, "start_timeout_s": start_timeout_s}
    question = f"Is {plan_.configuration(B).title} faster than {plan_.configuration(A).title}?"
    manifest = manifest_of(here, plan_, design_name="compare", question=question, parameters=parameters)
    return replace(manifest, servers=servers_of(plan_), references=references_of(plan_))


def piloted(
    sides: Mapping[str, Side],
    *,
    metric: str,
    delta: float,
    seed: int,
    write: Callable[[str], None],
    start_timeout_s: float | None = None,
) -> Comparison:
    """The two sides in a few blocks that do not count: nothing of them is kept."""
    with TemporaryFolder() as root:
        store = Store(root / "results" / "pilot")
        # A seed of its own: the order of the blocks that count must not repeat that of the pilot.
        plan_ = planned(sides, blocks=PILOT_BLOCKS, delta=delta)
        manifest = _manifest("pilot", surroundings(root), plan_, seed + 1_000_003, start_timeout_s)
        pilot = ComparingStudy(store, store.open(manifest), root, {name: side.subject for name, side in sides.items()})
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
    call: str | None = None,
    data: Any = None,
    metadata: Any = (),
    proto: str | None = None,
    proto_path: Sequence[str] = (),
    settings: Mapping[str, Level] | None = None,
    a_settings: Mapping[str, Level] | None = None,
    b_settings: Mapping[str, Level] | None = None,
    a_name: str | None = None,
    b_name: str | None = None,
    blocks: int | None = None,
    min_effect: float = 0.05,
    seed: int = 1,
    study: str | None = None,
    start_timeout_s: float | None = None,
    allow_mixed: bool = False,
    write: Callable[[str], None] = say,
) -> CompareResult:
    """Compare B with A in interleaved blocks; for notebooks and scripts.

    A side is the name of a variant, a command that starts a server (``{port}`` in it becomes a free port), a
    configuration (its load included), a :class:`Side`, or, on both sides, a stored result
    ``results/STUDY:CONFIGURATION``. What a side does not say is the other's: a name beside a configuration is loaded
    as that one. `settings` are factors of both, `a_settings` and `b_settings` of one. `call` is
    ``package.Service/Method``, `data` its request as JSON, or Python values that JSON has. Without `blocks` a pilot
    says how many. `min_effect` is the smallest effect of interest, a share. Results go to ``results/<study>/``.

    Raises UsageError, MeasurementError.
    """
    names = {A: a_name, B: b_name}
    delta = share("min_effect", str(min_effect))
    if isinstance(a, str) and isinstance(b, str) and is_stored(a) and is_stored(b):
        return compare_stored({A: a, B: b}, delta=delta, allow_mixed=allow_mixed, names=names)
    study = None if study is None else study_name("study", study)
    asked = Asked(
        call=call,
        data=data,
        metadata=metadata,
        proto=proto,
        proto_path=tuple(proto_path),
        start_timeout_s=start_timeout_s,
        settings=settings or {},
        own={A: a_settings or {}, B: b_settings or {}},
        names=names,
    )
    sides = pair(a, b, asked)
    for name, side in sides.items():
        for factor, reason in without_effect(side.config).items():
            if side.config.flat()[factor] != LOAD.get(factor):  # which nobody asked for
                write(f"no effect on {name.upper()}: {factor}: {reason}")
    running = prepare(
        sides, blocks=blocks, delta=delta, seed=seed, study=study, write=write, start_timeout_s=start_timeout_s
    )
    running.run(write)
    return judge(running)


def judge(study: Study) -> CompareResult:
    """Collect and judge; writes trials.parquet and verdict.json. Raises MeasurementError without a ratio."""
    trials = study.collect()
    judgement = study.judge(trials)
    if not judgement.headline.computed:
        raise MeasurementError(f"there is no ratio: {judgement.headline.note}")
    return CompareResult(
        trials=trials,
        judgement=judgement,
        study=str(study.store.folder),
        setup=tuple(described(written(study.manifest))),
    )
