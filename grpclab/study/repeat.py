"""``grpclab study --repeat``: the same plan with the same seed once more, as a new study on this machine.

A repeat says what a single study cannot: whether its result comes back. What was measured is only read; the repeat
has a folder, a manifest and surroundings of its own, and its manifest says what it repeats.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from grpclab.analysis import analyse
from grpclab.errors import DesignError, UsageError
from grpclab.factors.config import TrialConfig
from grpclab.study.comparing import ComparingStudy, references_of, servers_of
from grpclab.study.documents import SCHEMA_VERSION
from grpclab.study.manifests import manifest_of, surroundings
from grpclab.study.origin import is_sealed, started_by
from grpclab.study.parameters import study_name
from grpclab.study.runner import Study
from grpclab.study.store import Store
from grpclab.study.stored_values import read_manifest, read_plan, read_planned
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
    manifest: Mapping[str, Any]
    verdict: Mapping[str, Any] = field(default_factory=dict)
    trusted: bool = True

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self.manifest.get("study") or "study")

    @property
    def plan(self) -> Mapping[str, Any]:
        """Its plan."""
        found = self.manifest.get("plan")
        return found if isinstance(found, Mapping) else {}

    def foreign(self) -> list[str]:
        """What it would start or open, a line each, if this user did not record it on this machine."""
        if is_sealed(read_manifest(self.manifest)):
            return []
        return [
            f"{name}: {what} {printable(str(value), LONGEST_SHOWN)}"
            for name, started in started_by(read_plan(self.plan)).items()
            for what, value in started.items()
        ]


def planned(original: Original, name: str | None = None, root: Path | None = None, *, consent: bool = False) -> Study:
    """The repeat, without beginning its folder; its name is the next free one, or that of a repeat that was cut off.

    `consent`: start its commands and open its files although another user or machine recorded them.

    Raises DesignError or UsageError, one line, if this is no plan that can be measured here.
    """
    root = root or project_root()
    try:
        _check(original)
        if not consent and (foreign := original.foreign()):
            raise DesignError(
                f"{original.source} was recorded by another user or on another machine, and starts or opens what it"
                f" names ({foreign[0]}): read its manifest.json, then add --yes"
            )
        _check_subjects(original)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise DesignError(f"{original.source} holds no plan that can be measured: {_reason(error)}") from None
    found = surroundings(root)
    folder = study_name("--study", name) if name is not None else _name(original, found["identity"], root / "results")
    study = {"study": folder, "seed": original.manifest["seed"]}
    manifest = manifest_of(
        found,
        original.plan,
        design_name=str(original.manifest.get("design") or ""),
        question=str(original.manifest.get("question") or ""),
        parameters={**(original.manifest.get("parameters") or {}), "max_trial_s": _longest_s(original), **study},
    )
    manifest["again"] = shlex.join(["grpclab", "study", "--repeat", f"results/{folder}/manifest.json"])
    manifest["repeats"] = _told(original)
    if original.plan.get("subjects"):
        manifest |= {"servers": servers_of(original.plan), "references": references_of(original.plan)}
    kind = ComparingStudy if original.plan.get("subjects") else Study
    return kind(Store(root / "results" / folder), manifest, root)


def _told(original: Original) -> dict[str, Any]:
    """What the repeat's manifest says of it."""
    return {
        "study": original.name,
        "created_at": original.manifest.get("created_at"),
        "identity": original.manifest.get("identity") or {},
    }


def _name(original: Original, identity: Mapping[str, Any], results: Path) -> str:
    """``<study>-repeat``, or with the next free number; a repeat of it that was cut off goes on."""
    base = _AGAIN.sub("", original.name)
    number = 1
    while True:
        end = "-repeat" if number == 1 else f"-repeat-{number}"
        name = study_name("study", f"{base[: LONGEST_NAME - len(end)]}{end}")
        store = Store(results / name)
        stored = store.manifest()
        if stored is None or _was_cut_off(store, stored, original, identity):
            return name
        number += 1


def _was_cut_off(store: Store, stored: Mapping[str, Any], original: Original, identity: Mapping[str, Any]) -> bool:
    """Whether a stored study repeats this one, on this machine, and has trials that were never measured."""
    told = _told(original)
    repeats = stored.get("repeats") or {}
    same = (
        all(repeats.get(key) == told[key] for key in ("study", "created_at"))
        and stored.get("seed") == (original.manifest["seed"])
    )
    same = same and without_digits(stored.get("plan")) == without_digits(original.plan)
    if not same or stored.get("identity") != dict(identity):
        return False
    results = store.results()
    return any(trial.name not in results for trial in Study(store, stored, store.folder).trials)


def _check(original: Original) -> None:
    """Raises UsageError, KeyError, TypeError or ValueError if the plan cannot be measured."""
    manifest, plan = original.manifest, original.plan
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise DesignError(
            f"{original.source} has schema version {manifest.get('schema_version')}; this grpclab reads version"
            f" {SCHEMA_VERSION}"
        )
    read_planned(manifest)
    names = [row["name"] for row in plan["configurations"]]
    for row in plan["configurations"]:
        TrialConfig().replace(row["settings"])
    headline = plan["headline"]
    for side in ("baseline", "candidate"):
        if headline[side] not in names:
            raise ValueError(f"its headline names {headline[side]!r}, which is none of its configurations")
    if unknown := sorted({str(name) for name in plan["profiled"]} - set(names)):
        raise ValueError(f"it profiles {unknown[0]!r}, which is none of its configurations")
    _longest_s(original)
    if unknown := sorted(set(plan.get("subjects") or {}) - set(names)):
        raise ValueError(f"it has a server for {unknown[0]!r}, which is none of its configurations")
    if not original.trusted and started_by(read_plan(plan)):
        by_hand = manifest.get("again") or "grpclab compare ..."
        raise DesignError(
            f"{original.source} starts servers by commands, or opens files, of whoever made it: read them, then run"
            f" them yourself: {printable(str(by_hand))}"
        )
    analyse(pd.DataFrame(), plan)  # what cannot be judged is not worth measuring


def _longest_s(original: Original) -> float:
    """The longest window, for the estimate of the time left."""
    parameters: Mapping[str, Any] = original.manifest.get("parameters") or {}
    return float(parameters.get("max_trial_s", _WINDOW_S))


def _check_subjects(original: Original) -> None:
    """Servers by their commands, and calls by their files, must be there."""
    for name, subject in (original.plan.get("subjects") or {}).items():
        wanted = Subject(**{**subject, "metadata": tuple(subject.get("metadata") or ())})
        command, proto = subject.get("command"), subject.get("proto")
        if command and shutil.which(program := shlex.split(command)[0]) is None:
            raise DesignError(f"{original.name} cannot be repeated here: {program}, which starts its {name}, is gone")
        wanted.check()
        if proto and not Path(proto).is_file():
            why = "is no file" if os.path.lexists(proto) else "is gone"
            raise DesignError(f"{original.name} cannot be repeated here: {proto}, which describes its call, {why}")


def _reason(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else printable(str(error))


def compared(original: Original, manifest: Mapping[str, Any], verdict: Mapping[str, Any]) -> list[str]:
    """How the repeat's headline stands beside the original's, in lines; `manifest` and `verdict` are the repeat's."""
    before, after = original.verdict.get("headline") or {}, verdict.get("headline") or {}
    names = (
        f"{original.name} ({str(original.manifest.get('created_at') or 'at an unknown time')[:10]})",
        (f"{manifest['study']} (now)"),
    )
    width = max(map(len, names))
    lines = [f"{name:<{width}}  {_estimate(c)}" for name, c in zip(names, (before, after), strict=True)]
    lines.append(_overlap(before, after))
    theirs, mine = original.manifest.get("identity") or {}, manifest.get("identity") or {}
    different = [key for key in sorted({*theirs, *mine}) if theirs.get(key) != mine.get(key)]
    if not theirs:
        lines.append("the original does not say on which machine it was measured: the two are not comparable as one")
    elif different:
        told = ", ".join(f"{key} {theirs.get(key)} and {mine.get(key)}" for key in different)
        lines.append(f"measured in different surroundings ({told}): the two are not comparable as one")
    else:
        lines.append("both on the same machine with the same versions")
    servers = [found.get("servers") for found in (original.manifest, manifest)]
    lines += [
        f"the program of {name} is another one than in the original"
        for name in (servers[1] or {})
        if _other_program(name, servers)
    ]
    commits = [(found.get("git") or {}).get("commit") for found in (original.manifest, manifest)]
    if commits[0] != commits[1]:
        lines.append(f"of different commits: {' and '.join(str(commit or 'unknown')[:12] for commit in commits)}")
    return [printable(line) for line in lines]


def _other_program(name: str, servers: list[Any]) -> bool:
    """Whether the files behind a side's command have changed; False where that is not known."""
    digests = [[file.get("sha256") for file in ((found or {}).get(name) or {}).get("files") or []] for found in servers]
    return all(digests) and digests[0] != digests[1]


def _estimate(c: Mapping[str, Any]) -> str:
    if c.get("ratio") is None:
        return "no ratio"
    between = " (no interval)"
    if _has_interval(c):
        between = f" (95 % interval {_figure(c['ci_low'])} to {_figure(c['ci_high'])})"
    return f"{_figure(c['ratio'])}x{between}, {c.get('blocks')} blocks: {c.get('verdict')}"


def _figure(ratio: float) -> str:
    """Both studies with the same digits, or one would look rounder than the other."""
    return f"{ratio:.2g}" if ratio < 0.1 else f"{ratio:.2f}" if ratio < 100 else f"{ratio:,.0f}"


def _has_interval(c: Mapping[str, Any]) -> bool:
    return c.get("ci_low") is not None and c.get("ci_high") is not None


def _overlap(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if not (_has_interval(before) and _has_interval(after)):
        return "without both intervals nothing can be said of whether the result came back"
    apart = before["ci_low"] > after["ci_high"] or after["ci_low"] > before["ci_high"]
    verdicts = before.get("verdict"), after.get("verdict")
    agree = "the verdict is the same" if verdicts[0] == verdicts[1] else f"the verdict was {verdicts[0]}"
    return f"the intervals {'do not overlap' if apart else 'overlap'}, {agree}"
