"""``grpclab compare``: two servers, or two configurations, in interleaved slices; a study with one question.

The first blocks say how noisy they are, and so how many the comparison needs; the number is fixed then from the noise
alone, and so they count. What is measured lies under ``results/<study>/`` like every study, so that ``grpclab report``
draws it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpclab.analysis.setup import described
from grpclab.errors import MeasurementError, UsageError, invalid
from grpclab.factors.channel_args import without_effect
from grpclab.factors.config import TrialConfig
from grpclab.factors.defaults import LOAD
from grpclab.factors.effective import unreached_processes
from grpclab.factors.levels import Level
from grpclab.load.calls.call_options import DataOptions
from grpclab.load.calls.mixed_call import mixed_calls
from grpclab.load.calls.payloads import PAYLOAD_FOLDER
from grpclab.load.core.shapes import has_own_length
from grpclab.load.reachability import await_listener
from grpclab.quantities import rough_duration, share
from grpclab.servers.leave import RemoteLeave, require_address
from grpclab.servers.target import Target
from grpclab.study.block_count import PILOT_BLOCKS
from grpclab.study.carried import require_carriable
from grpclab.study.comparing_study import ComparingStudy, comparison_manifest
from grpclab.study.comparison import CompareResult
from grpclab.study.designs import compare_design
from grpclab.study.designs.design import no_verdict
from grpclab.study.designs.grouping import EXCLUSIVE, grouped
from grpclab.study.manifests import link_check, surroundings
from grpclab.study.measured_study import BlockMachines
from grpclab.study.model import StoredPilot
from grpclab.study.parameters import AUTO, NO_BUDGET, comparison_budget, study_name
from grpclab.study.runner import Study
from grpclab.study.server_programs import servers_of
from grpclab.study.sides import A, B, PairOptions, Side, pair
from grpclab.study.spread_blocks import block_machines
from grpclab.study.store import Store
from grpclab.study.stored_comparison import compare_stored
from grpclab.study.target import Subject
from grpclab.study.trial_progress import say
from grpclab.system.addresses import host_port
from grpclab.system.allowance import allowed
from grpclab.system.inputs import whole
from grpclab.system.paths import is_stored, project_root, require_outputs

if TYPE_CHECKING:
    from distributed import Client

EXIT_CODES = {"equivalent": 0, "faster": 0, "slower": 1, "inconclusive": 4}
"""Of the verdict on the candidate."""


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
    exclusive: bool = False,
    budget_s: float | None = None,
    root: Path | None = None,
    machines: BlockMachines | None = None,
) -> ComparingStudy:
    """Plan the comparison, and create its folder or resume it.

    If `blocks` is None, the first blocks determine how many there are. With `budget_s`, they also adjust the counted
    time and the number of blocks to that many seconds; if `blocks` is set, only the time. `exclusive` measures one side
    after the other. `again` is the command that runs the comparison again, for the report. A server that a command
    starts has `start_timeout_s` to listen. With `machines`, those of a cluster measure the blocks.

    Raises DesignError, UsageError, MeasurementError.
    """
    seed, blocks = whole("seed", seed), None if blocks is None else whole("blocks", blocks, minimum=1)
    root = root or project_root()
    name = study or f"compare-{datetime.now():%Y%m%d-%H%M%S}"
    store = Store(root / "results" / name)
    stored = store.manifest()
    here = surroundings(root, machines.stored if machines else ())
    planned = compare_design.plan(sides, blocks=PILOT_BLOCKS if blocks is None else blocks, delta=delta)
    require_outputs(store.folder)  # after the plan: what cannot be judged is refused before anything is measured
    subjects = {name: side.subject for name, side in sides.items()}
    if machines is not None:
        require_carriable(planned, subjects)
    if not stored:
        require_listeners(subjects)
    servers = servers_of(planned, subjects)
    pilot = pilot_of(blocks, budget_s)
    if stored and pilot and stored.pilot is None:  # its number of blocks was given
        planned = replace(planned, blocks=stored.plan.blocks) if blocks is None else planned
        pilot = None
    if pilot and not (stored and stored.pilot and stored.pilot.fixed):
        what = "their noise determines the number of blocks"
        if budget_s is not None:
            timed = not all(has_own_length(side.config.load) for side in sides.values())
            fitted = [*(["counted time"] if timed else []), *([] if pilot.blocks_given else ["blocks"])]
            found = f"determine the {' and '.join(fitted)} for" if fitted else "show whether all blocks fit into"
            what = f"their noise and cost {found} a budget of {rough_duration(budget_s)}"
        write(f"the first {PILOT_BLOCKS} blocks count, and {what}")
    elif warning := no_verdict(stored.plan.blocks if stored else planned.blocks):
        write(warning)
    plan = grouped(planned, apart=dict.fromkeys(sides, EXCLUSIVE) if exclusive else {})
    plan = replace(plan, on_machines=machines is not None)
    if machines is not None:
        write(machines.text)
    manifest = comparison_manifest(
        here, plan, name=name, seed=seed, start_timeout_s=start_timeout_s, servers=servers, pilot=pilot
    )
    manifest = replace(manifest, again=again)
    if not stored:
        manifest = replace(manifest, link_check=link_check(manifest.plan))
    opened = store.open(manifest)
    opened = replace(opened, parameters={**opened.parameters, "start_timeout_s": start_timeout_s})
    for reference in store.changed_references(manifest):
        write(f"{reference} has changed since this study was started")
    running = ComparingStudy(store, opened, root, {name: side.subject for name, side in sides.items()})
    running.fresh, running.rehearsed = stored is None, True
    return running.on(machines)


def require_listeners(subjects: Mapping[str, Subject]) -> None:
    """Raise MeasurementError if a server at an address, which should be running, is not there."""
    for subject in subjects.values():
        if subject.address:
            remote = subject.target.security.remote
            await_listener(host_port(subject.address, remote=bool(remote)), None, remote=remote)


def pilot_of(blocks: int | None, budget_s: float | None) -> StoredPilot | None:
    """What the first blocks of a comparison are to fix; None where nothing is left to fix. Raises UsageError."""
    if blocks is not None and budget_s is None:
        return None
    if blocks is not None and blocks <= PILOT_BLOCKS:
        raise UsageError(invalid("blocks", blocks, f"more than {PILOT_BLOCKS} with a budget"))
    return StoredPilot(blocks=PILOT_BLOCKS, budget_s=budget_s, blocks_given=blocks is not None)


def compare(
    a: Side | TrialConfig | Target | str,
    b: Side | TrialConfig | Target | str,
    *,
    call: str | None = None,
    mix: Sequence[Any] = (),
    data: Any = None,
    data_options: DataOptions | None = None,
    check: str = "",
    ignore_fields: Sequence[str] = (),
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
    exclusive: bool = False,
    budget_s: float | str | None = AUTO,
    allow_mixed: bool = False,
    allow_remote: bool = False,
    max_rate_rps: float | None = None,
    max_calls: int | None = None,
    max_time_s: float | None = None,
    cluster: str | Client | None = None,
    write: Callable[[str], None] = say,
) -> CompareResult:
    """Compare B with A in interleaved slices; for notebooks and scripts.

    `a` and `b` can each be the name of a variant; a command that starts a server (``{port}`` in it is replaced by a
    free port); ``KIND:ARGUMENT`` of a target that another package has registered; a configuration, including its load;
    or a :class:`Side`. They can also both be stored results, ``results/STUDY:CONFIGURATION``. If only one side is a
    configuration, the other side has the same load.

    - `settings`: factors on both sides; `a_settings`, `b_settings`: factors on one side.
    - `call`: ``package.Service/Method``.
    - `data`: the request as JSON, or as Python values that JSON can express. The requests in a list are sent in turn;
      ``@FILE`` names a file of requests, read according to `data_options`.
    - `mix`: several calls that take turns, as in the ``[[call]]`` tables of a study file.
    - `blocks`: the number of blocks; by default, the noise in the first four blocks determines it.
    - `budget_s`: the time for all blocks, in seconds; after the first four, the counted time and the number of blocks
      are adjusted to it. ``auto`` is 75 s, or no limit if `blocks` is set; None means no limit.
    - `exclusive`: measure one side after the other, for servers that cannot run at the same time.
    - `cluster`: the machines that measure the blocks, each block on one of them: the address of a Dask scheduler,
      ``local:N`` for N workers on this machine, or a ``distributed.Client``. Needs the extra `cluster`. grpclab
      copies an application or a command to them with its folder.
    - `min_effect`: the smallest effect of interest, as a share.
    - `allow_remote`: send load to other machines (:func:`grpclab.Address`), within the limits `max_rate_rps`,
      `max_calls` and `max_time_s`. Both sides, the pilot and all blocks share these limits. A line on standard error
      says what will be sent where.

    Results go to ``results/<study>/``. Raises UsageError, MeasurementError.
    """
    leave = None
    if not cluster:  # with one, the permission is about its scheduler
        leave = RemoteLeave.within(allowed(allow_remote, rate_rps=max_rate_rps, calls=max_calls, time_s=max_time_s))
    names = {A: a_name, B: b_name}
    delta = share("min_effect", str(min_effect))
    if isinstance(a, str) and isinstance(b, str) and is_stored(a) and is_stored(b):
        if cluster:
            raise UsageError(f"invalid cluster={cluster}: stored results are compared as they were measured")
        return compare_stored({A: a, B: b}, delta=delta, allow_mixed=allow_mixed, names=names)
    study = None if study is None else study_name("study", study)
    options = PairOptions(
        call=call,
        data=data,
        data_options=data_options or DataOptions(),
        check=check,
        ignore_fields=tuple(ignore_fields),
        metadata=metadata,
        proto=proto,
        proto_path=tuple(proto_path),
        start_timeout_s=start_timeout_s,
        settings=settings or {},
        own={A: a_settings or {}, B: b_settings or {}},
        names=names,
        mix=mixed_calls(mix, compared=True) if mix else (),
    )
    if leave is not None:
        require_address(any(isinstance(one, Target) and one.address for one in (a, b)), "an Address")
        a, b = (leave.granted(one, options.called) if isinstance(one, Target) else one for one in (a, b))
    sides = pair(a, b, options)
    if leave is not None:
        for side in sides.values():
            leave.check(side.subject.target, side.config)
    for name, side in sides.items():
        reasons = without_effect(side.config, hosted=bool(side.subject.app))
        for factor, reason in reasons.items():
            if side.config.flat()[factor] != LOAD.get(factor):  # which nobody asked for
                write(f"{factor} has no effect on {name.upper()}: {reason}")
        if few := unreached_processes(side.config):
            write(f"{name.upper()}: {few}")
    # All blocks send the same requests.
    with PAYLOAD_FOLDER.in_use(), block_machines(cluster, allow_remote=allow_remote) as machines:
        running = prepare(
            sides,
            blocks=blocks,
            delta=delta,
            seed=seed,
            study=study,
            write=write,
            start_timeout_s=start_timeout_s,
            exclusive=exclusive,
            budget_s=comparison_budget("budget_s", NO_BUDGET if budget_s is None else budget_s, blocks),
            machines=machines,
        )
        running.run(write)
    return judge(running)


def judge(study: Study) -> CompareResult:
    """Collect the trials and give the verdict; writes trials.parquet and verdict.json. Raises MeasurementError without
    a ratio."""
    trials = study.collect()
    judgement = study.judge(trials)
    if not judgement.headline.computed:
        raise MeasurementError(f"no ratio could be computed: {judgement.headline.note}")
    return CompareResult(
        trials=trials,
        judgement=judgement,
        study=str(study.store.folder),
        setup=tuple(described(study.plan, study.manifest.servers, study.manifest.versions)),
    )
