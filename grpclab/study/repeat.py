"""``grpclab study --repeat``: the same plan with the same seed once more, as a new study on this machine.

A repeat says what a single study cannot: whether its result comes back. What was measured is only read; the repeat
has a folder, a manifest and surroundings of its own, and its manifest says what it repeats.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from grpclab.analysis import Comparison, Judgement, analyse
from grpclab.analysis.study_plan import StoredProgram
from grpclab.errors import DesignError, UsageError
from grpclab.servers.targets import is_registered
from grpclab.study.comparing_study import ComparingStudy
from grpclab.study.manifests import manifest_of, surroundings, with_outside
from grpclab.study.measured_study import BlockMachines
from grpclab.study.model import Manifest, StoredOriginal
from grpclab.study.origin import is_sealed, started_by
from grpclab.study.parameters import study_name
from grpclab.study.program_watch import changed_programs
from grpclab.study.runner import Study
from grpclab.study.server_programs import servers_of
from grpclab.study.store import Store
from grpclab.study.target import Subject
from grpclab.system.paths import project_root
from grpclab.text.printable import printable
from grpclab.text.redaction import without_digits

LONGEST_NAME = 64
LONGEST_SHOWN = 500
"""Of a command that is shown before it runs; what is longer is read in the manifest."""
_WINDOW_S = 2.0
_AGAIN = re.compile(r"-repeat(?:-\d+)?$")


@dataclass(frozen=True, kw_only=True)
class Original:
    """A finished study that is to be repeated.

    `trusted`: it lies here as a study's folder; a report may have been sent by anyone, and neither starts commands nor
    opens files. A folder may have been sent, too: see :meth:`foreign`.
    """

    source: str
    manifest: Manifest
    verdict: Judgement = field(default_factory=Judgement)
    trusted: bool = True

    @property
    def name(self) -> str:
        """The study's name."""
        return self.manifest.study or "study"

    def foreign(self) -> list[str]:
        """What it would start or open, a line each, if this user did not record it on this machine."""
        if is_sealed(self.manifest):
            return []
        return [
            f"{name}: {what} {printable(str(value), LONGEST_SHOWN)}"
            for name, started in started_by(self.manifest.plan).items()
            for what, value in started.items()
        ]


def planned(
    original: Original,
    name: str | None = None,
    root: Path | None = None,
    *,
    consent: bool = False,
    machines: BlockMachines | None = None,
) -> Study:
    """The repeat, without beginning its folder; its name is the next free one, or that of a repeat that was cut off.

    `machines` measure its blocks: those of a cluster if the original was measured on one, else none.
    `consent`: start its commands and open its files although another user or machine recorded them.

    Raises DesignError or UsageError, one line, if this is no plan that can be measured here.
    """
    root = root or project_root()
    try:
        _check(original)
        if not consent and (foreign := original.foreign()):
            raise DesignError(
                f"{original.source} was recorded by another user or on another machine and would start programs or "
                f"open files that it names ({foreign[0]}): read its manifest.json, then add --yes"
            )
        _check_subjects(original)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise DesignError(f"{original.source} does not contain a usable plan: {_reason(error)}") from None
    plan = original.manifest.plan
    if plan.on_machines != (machines is not None):
        how = "add --cluster" if plan.on_machines else "remove --cluster"
        where = "on the machines of a cluster" if plan.on_machines else "without a cluster"
        raise DesignError(f"{original.source} was measured {where}, so its repeat is, too: {how}")
    here = surroundings(root, machines.stored if machines else ())
    named = None if name is None else study_name("--study", name)
    servers = servers_of(plan) if plan.subjects else {}
    folder = named or _name(original, replace(here, servers=servers), root / "results")
    study = {"study": folder, "seed": original.manifest.seed}
    manifest = manifest_of(
        here,
        plan,
        design_name=original.manifest.design,
        question=original.manifest.question,
        parameters={**original.manifest.parameters, "max_trial_s": _longest_s(original), **study},
    )
    again = shlex.join(["grpclab", "study", "--repeat", f"results/{folder}/manifest.json"])
    manifest = replace(manifest, again=again, repeats=_repeats(original))
    if plan.subjects:
        manifest = with_outside(manifest, servers)
    kind = ComparingStudy if plan.subjects and original.manifest.design == "compare" else Study
    repeat = kind(Store(root / "results" / folder), manifest, root)
    repeat.rehearsed = True
    return repeat.on(machines)


def _repeats(original: Original) -> StoredOriginal:
    """What the repeat's manifest says of the original."""
    manifest = original.manifest
    return StoredOriginal(study=original.name, created_at=manifest.created_at or None, identity=manifest.identity)


def _name(original: Original, here: Manifest, results: Path) -> str:
    """``<study>-repeat``, or with the next free number; a repeat of it that was cut off goes on.

    `here` says where, and with which programs of its servers, it would go on.
    """
    base = _AGAIN.sub("", original.name)
    number = 1
    while True:
        end = "-repeat" if number == 1 else f"-repeat-{number}"
        name = study_name("study", f"{base[: LONGEST_NAME - len(end)]}{end}")
        store = Store(results / name)
        stored = store.manifest()
        if stored is None or _was_cut_off(store, stored, original, here):
            return name
        number += 1


def _was_cut_off(store: Store, stored: Manifest, original: Original, here: Manifest) -> bool:
    """Whether a stored study repeats this one, here and with these programs, and lacks trials."""
    wanted, repeats = _repeats(original), stored.repeats or StoredOriginal()
    if (repeats.study, repeats.created_at, stored.seed) != (wanted.study, wanted.created_at, original.manifest.seed):
        return False
    plans = [without_digits(manifest.plan) for manifest in (stored, original.manifest)]
    if plans[0] != plans[1] or stored.identity != here.identity:
        return False
    if changed_programs(stored.servers, here.servers):
        return False
    results = store.results()
    return any(trial.name not in results for trial in Study(store, stored, store.folder).trials)


def _check(original: Original) -> None:
    """Raises UsageError, TypeError or ValueError if the plan cannot be measured."""
    plan, headline = original.manifest.plan, original.manifest.plan.headline
    for configuration in plan.configurations:
        _ = configuration.config
    if headline is None:
        raise ValueError("headline is missing")
    for side in (headline.baseline, headline.candidate):
        if side not in plan.names:
            raise ValueError(f"its headline names {side!r}, which is not one of its configurations")
    if unknown := sorted(set(plan.profiled) - set(plan.names)):
        raise ValueError(f"it profiles {unknown[0]!r}, which is not one of its configurations")
    _longest_s(original)
    if unknown := sorted(set(plan.subjects) - set(plan.names)):
        raise ValueError(f"it has a server for {unknown[0]!r}, which is not one of its configurations")
    if not original.trusted and started_by(plan):
        by_hand = original.manifest.again or "grpclab compare ..."
        raise DesignError(
            f"{original.source} would start servers, import applications, set variables or open files that its author"
            f" chose: read its manifest, then run the command yourself: {printable(by_hand)}"
        )
    analyse(pd.DataFrame(), plan)  # what cannot be judged is not worth measuring


def _longest_s(original: Original) -> float:
    """The longest window, for the estimate of the time left."""
    return float(original.manifest.parameters.get("max_trial_s", _WINDOW_S))


def _check_subjects(original: Original) -> None:
    """Servers by their commands, and calls by their files, must be there."""
    for name, target in original.manifest.plan.subjects.items():
        wanted = Subject.of(target)
        command, proto = target.command, target.proto
        started = command and not is_registered(command)
        if started and shutil.which(program := shlex.split(command)[0]) is None:
            raise DesignError(
                f"{original.name} cannot be repeated here: {program}, which starts the server of {name}, no longer "
                "exists"
            )
        wanted.check()
        if proto and not Path(proto).is_file():
            why = "is not a file" if os.path.lexists(proto) else "no longer exists"
            raise DesignError(f"{original.name} cannot be repeated here: {proto}, which describes its call, {why}")


def _reason(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else printable(str(error))


def compared(original: Original, manifest: Manifest, verdict: Judgement) -> list[str]:
    """How the repeat's headline stands beside the original's, in lines; `manifest` and `verdict` are the repeat's."""
    first = original.manifest
    before, after = original.verdict.headline, verdict.headline
    names = (f"{original.name} ({(first.created_at or 'at an unknown time')[:10]})", f"{manifest.study} (now)")
    width = max(map(len, names))
    lines = [f"{name:<{width}}  {estimate_words(c)}" for name, c in zip(names, (before, after), strict=True)]
    lines.append(_overlap(before, after))
    there, here = first.identity, manifest.identity
    different = [key for key in sorted({*there, *here}) if there.get(key) != here.get(key)]
    if not there:
        lines.append("the original does not record which machine it ran on, so the two results cannot be combined")
    elif different:
        facts = ", ".join(f"{key} {there.get(key)} and {here.get(key)}" for key in different)
        lines.append(f"measured in different environments ({facts}), so the two results cannot be combined")
    else:
        lines.append("both were measured on the same machine with the same versions")
    lines += [
        f"the program of {name} differs from the original"
        for name in manifest.servers or {}
        if _other_program(name, first, manifest)
    ]
    commits = [one.git.commit for one in (first, manifest)]
    if commits[0] != commits[1]:
        lines.append(f"from different commits: {' and '.join(str(commit or 'unknown')[:12] for commit in commits)}")
    return [printable(line) for line in lines]


def _other_program(name: str, *manifests: Manifest) -> bool:
    """Whether the files behind a side's command have changed; False where that is not known."""
    programs = [(manifest.servers or {}).get(name, StoredProgram()) for manifest in manifests]
    digests = [[file.sha256 for file in one.files] for one in programs]
    return all(digests) and digests[0] != digests[1]


def estimate_words(c: Comparison) -> str:
    """A ratio with its interval, blocks and verdict."""
    if not c.computed:
        return "no ratio"
    between = " (no interval)"
    if c.has_interval:
        between = f" (95% interval {_figure(c.ci_low)} to {_figure(c.ci_high)})"
    return f"{_figure(c.ratio)}×{between}, {c.blocks} blocks: {c.verdict_words}"


def _figure(ratio: float) -> str:
    """Both studies with the same digits, or one would look rounder than the other."""
    return f"{ratio:.2g}" if ratio < 0.1 else f"{ratio:.2f}" if ratio < 100 else f"{ratio:,.0f}"


def _overlap(before: Comparison, after: Comparison) -> str:
    if not (before.has_interval and after.has_interval):
        return "one of the intervals is missing, so it is unclear whether the result was reproduced"
    apart = before.ci_low > after.ci_high or after.ci_low > before.ci_high
    agree = "the verdict is the same" if before.verdict == after.verdict else f"the verdict was {before.verdict}"
    return f"the intervals {'do not overlap' if apart else 'overlap'}, {agree}"
