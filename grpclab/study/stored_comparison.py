"""``grpclab compare STORED STORED``: two configurations of stored studies, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from grpclab.analysis import analyse
from grpclab.analysis.inference.edition import FIRST_EDITION, TODAY
from grpclab.analysis.inference.pairing import MACHINE, share_a_group, without_groups
from grpclab.analysis.setup import described
from grpclab.analysis.study_plan import PlannedHeadline, StoredProgram, StoredTarget
from grpclab.errors import DesignError, MeasurementError
from grpclab.factors.levels import Level
from grpclab.study.comparison import CompareResult
from grpclab.study.designs import compare_design
from grpclab.study.designs.compare_design import SCENARIO
from grpclab.study.model import Manifest
from grpclab.study.runner import Study
from grpclab.study.sides import A, B, Side, check_pair, checked_name
from grpclab.study.stored_values import evaluating
from grpclab.study.target import Subject


def compare_stored(
    words: Mapping[str, str], *, delta: float, allow_mixed: bool, names: Mapping[str, str | None] | None = None
) -> CompareResult:
    """Compare configurations of stored studies, ``results/STUDY[:CONFIGURATION]``, block by block.

    Without a configuration it is the candidate of the study's headline. `names` are labels of one's own. Raises
    DesignError if the studies are of different machines or versions, unless `allow_mixed`: then that is a warning.
    """
    with evaluating(" and ".join(words.values())):
        return _compared_stored(words, delta=delta, allow_mixed=allow_mixed, names=names or {})


def _compared_stored(
    words: Mapping[str, str], *, delta: float, allow_mixed: bool, names: Mapping[str, str | None]
) -> CompareResult:
    studies, sides, frames = {}, {}, []
    servers: dict[str, StoredProgram] = {}
    for name, word in words.items():
        path, _, configuration = word.partition(":")
        study = studies[name] = Study.stored(Path(path))
        configuration = configuration or (study.plan.headline or PlannedHeadline()).candidate
        if configuration not in study.plan.names:
            raise DesignError(f"{path} has no configuration {configuration!r}, only {', '.join(study.plan.names)}")
        label = checked_name(name, names.get(name)) or f"{study.name}:{configuration}"
        sides[name] = _stored_side(study, configuration, label)
        if server := (study.manifest.servers or {}).get(configuration):
            servers[name] = server
        trials = study.collect(allow_mixed=allow_mixed)
        frames.append(trials[trials["configuration"] == configuration].assign(configuration=name, scenario=SCENARIO))
    warnings = list(dict.fromkeys(damaged for study in studies.values() if (damaged := study.damaged_warning())))
    first, second = (_surroundings(studies[name].manifest) for name in (A, B))
    apart = studies[A].store.folder != studies[B].store.folder
    if apart:  # a block of one has nothing in common with that of the other, its machine least of all
        frames = [frame.drop(columns=MACHINE, errors="ignore") for frame in frames]
    many = {"machines"} if apart and any(len(study.manifest.machines) > 1 for study in studies.values()) else set()
    different = sorted(many.union(key for key in {*first, *second} if first.get(key) != second.get(key)))
    if different:
        facts = ", ".join(f"{key}={first.get(key)} and {second.get(key)}" for key in different)
        if not allow_mixed:
            raise DesignError(f"measured in different environments ({facts}): measure again, or add --allow-mixed")
        warnings.append(f"mixed: measured in different environments ({facts})")
    trials = pd.concat(frames, ignore_index=True)
    if apart:
        warnings.append(
            "the two were not interleaved, so the ratio includes whatever changed on the machine in between"
        )
    if apart or not share_a_group(trials, scenario=SCENARIO, baseline=A, candidate=B):
        trials = without_groups(trials)  # the numbers of two studies' groups have nothing to do with each other
    blocks = int(trials["block"].max()) + 1 if len(trials) else 0
    check_pair(sides)
    plan_ = compare_design.plan(sides, blocks=blocks, delta=delta)
    rules = TODAY if all(study.plan.groups for study in studies.values()) else FIRST_EDITION
    judgement = analyse(trials, plan_, studies[A].manifest.cores, rules)
    judgement = replace(judgement, warnings=(*warnings, *judgement.warnings))
    if not judgement.headline.computed:
        raise MeasurementError(f"no ratio could be computed: {judgement.headline.note}")
    setup = described(plan_, servers, studies[A].manifest.versions)
    return CompareResult(trials=trials, judgement=judgement, setup=tuple(setup))


def _surroundings(manifest: Manifest) -> Mapping[str, Level]:
    """The facts that must be equal for two studies to be compared: of a cluster with one machine, those of that."""
    if len(manifest.machines) == 1:
        return manifest.machines[0].identity
    names = ", ".join(one.name for one in manifest.machines)
    return {**manifest.identity, **({"machines": names} if names else {})}


def _stored_side(study: Study, configuration: str, label: str) -> Side:
    """A stored configuration with its server's command, which need not be there any more, and its call."""
    target = study.plan.subjects.get(configuration, StoredTarget())
    subject = Subject.of(replace(target, proto=None, proto_path=(), residence=False))
    return Side(label=label, config=study.plan.configuration(configuration).config, subject=subject)
