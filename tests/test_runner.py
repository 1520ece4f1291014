"""The order in which a study runs its trials, and what ends it."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import Any

import pytest

from grpclab.study import design
from grpclab.study.parameters import StudyParameters
from grpclab.study.runner import Study, StudyInterruptedError


@pytest.mark.parametrize("lost", [False, True])
def test_ctrl_c_ends_the_study_even_where_python_loses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    ran: list[str] = []

    def trial(_: Study, trial: design.Trial) -> dict[str, Any]:
        ran.append(trial.name)
        if len(ran) == 2:
            with contextlib.suppress(KeyboardInterrupt) if lost else contextlib.nullcontext():
                signal.raise_signal(signal.SIGINT)
        return {"valid": False, "invalid_reason": "not measured"}

    monkeypatch.setattr("grpclab.study.runner._link_check", lambda *_: {})
    monkeypatch.setattr(Study, "_run_trial", trial)
    study = Study.prepare(StudyParameters(design="quick", blocks=1), tmp_path)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(StudyInterruptedError, match=r"stopped: 0 of \d+ trials are stored; the same command continues"):
        study.run(write=lambda _: None)
    assert ran == [trial.name for trial in study.trials[:2]]
    assert signal.getsignal(signal.SIGINT) is before
