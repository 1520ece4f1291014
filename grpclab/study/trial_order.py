"""A trial as it is ordered: the variables of ``notebooks/trial.ipynb``, which is executed once for each.

:func:`variables` writes them for a study, and :class:`TrialOrder` reads them in the notebook's process and measures.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from grpclab.errors import DesignError, invalid
from grpclab.factors.config import FACTORS, TrialConfig, settings_of
from grpclab.factors.variants import variant
from grpclab.study import values
from grpclab.study.parameters import number, plain_values, switch
from grpclab.study.trial import run_trial
from grpclab.study.trial_result import TrialIdentity, TrialResult
from grpclab.system.environment import machine, split_cores
from grpclab.system.paths import project_root

_IDENTITY = ("study", "trial", "scenario", "configuration", "block", "order")
place = number(int, minimum=0, maximum=10**6, wanted="a whole number of 0 or more")
"""What takes a block, an order or a group as the number that it can mean."""


def variables(
    config: TrialConfig, identity: TrialIdentity, folder: Path, *, profile: bool
) -> dict[str, str | int | bool]:
    """The variables of a trial that a study asks for: every factor is among the settings, and none by a name of its
    own."""
    return {
        **{name: getattr(identity, name) for name in _IDENTITY},
        "variant": "",
        "settings": config.settings(),
        "profile": profile,
        "output_dir": str(folder),
    }


class TrialOrder:
    """One configuration, to be measured once and written into a folder."""

    LOAD = ("requests", "duration_s", "concurrency")
    NAMES = (*LOAD, "variant", "settings", "profile", "output_dir", *_IDENTITY, "group")

    def __init__(self, given: Mapping[str, Any]) -> None:
        base = variant(word(given, "variant")) if given["variant"] else TrialConfig()
        load = {f"load.{name}": FACTORS[f"load.{name}"].parse(str(given[name]), name) for name in self.LOAD}
        self.config = base.replace(load).replace(settings_of(word(given, "settings")))
        self.identity = TrialIdentity(
            study=word(given, "study"),
            trial=word(given, "trial"),
            scenario=word(given, "scenario"),
            configuration=word(given, "configuration"),
            block=place("block", given["block"]),
            order=place("order", given["order"]),
        )
        self.profile = switch("profile", given["profile"])
        self.folder = Path(word(given, "output_dir") or scratch_folder()).resolve()
        self.cores = split_cores(machine().affinity)

    @classmethod
    def from_namespace(cls, namespace: Mapping[str, Any]) -> Self:
        """Out of the notebook's variables. Raises FactorError or DesignError, shown in one line."""
        given = plain_values(namespace, cls.NAMES)
        missing = [name for name in cls.NAMES if name not in given and name != "group"]
        if missing:
            raise DesignError(f"parameter {missing[0]!r} is missing: run the parameters cell first")
        for name in ("study", "trial", "configuration"):
            if note := values.note(name, given[name]):
                print(note)
        return cls(given)

    def run(self) -> Any:
        """Measure and write; returns what the cell shows."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.result = run_trial(
            self.config, self.folder, cores=self.cores, identity=self.identity, profile=self.profile
        )
        return self.shown(self.result)

    def shown(self, result: TrialResult) -> Any:
        """The view that the measuring cell shows: the result itself, unless a notebook has one of its own."""
        return result


def word(given: Mapping[str, Any], name: str) -> str:
    """A parameter that is a word, whatever papermill made of it. Raises DesignError."""
    try:
        return values.text(given[name])
    except ValueError:
        raise DesignError(invalid(name, given[name], "a word")) from None


def scratch_folder() -> Path:
    """A new folder under results/ for what belongs to no study."""
    return project_root() / "results" / "scratch" / f"{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}"
