"""What an application's calls imported is part of its identity, from the end of a trial on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpclab
from grpclab.analysis.study_plan import StoredFile, StoredProgram
from grpclab.factors.config import TrialConfig
from grpclab.servers.process.launcher import RunningServer
from grpclab.servers.process.program import ProgramFile, ServerProgram
from grpclab.study.target import Subject
from grpclab.study.trial_notes import note_end
from grpclab.study.trial_result import TrialIdentity, TrialResult

AT_START, LATE = ProgramFile(name="shop.py", bytes=1, sha256="1"), ProgramFile(name="late.py", bytes=1, sha256="2")


def program_after(at_end: ServerProgram | None) -> list[str]:
    """The files of the program that a trial keeps when its server has ended so."""
    identity = TrialIdentity(study="s", trial="t", scenario="", configuration="a", block=0, order=0)
    subject = Subject(target=grpclab.App("shop:register"), call="shop.Cart/Get")
    result = TrialResult(identity=identity, config=TrialConfig(), started_at="", subject=subject)
    result.program = StoredProgram(app="shop:register", files=(StoredFile(**vars(AT_START)),))
    server = RunningServer(process=None, target="127.0.0.1:1", port=1, pids=[], log_path=Path(), program_at_end=at_end)
    note_end(result, cast("Any", SimpleNamespace(server=server)))
    return [file.name for file in result.program.files]


def test_what_a_call_imported_is_kept_at_the_end() -> None:
    assert program_after(ServerProgram(files=(AT_START, LATE))) == ["shop.py", "late.py"]


def test_of_a_server_that_told_nothing_the_start_is_kept() -> None:
    assert program_after(None) == ["shop.py"]
