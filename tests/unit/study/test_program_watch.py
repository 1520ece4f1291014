"""A configuration is measured with one program: what differs is told, and further trials do not count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grpclab.analysis.study_plan import StoredFile, StoredProgram
from grpclab.errors import DesignError
from grpclab.study.model import StoredResult
from grpclab.study.program_watch import ProgramWatch, differing

FIRST = StoredProgram(
    files=(StoredFile(name="srv", sha256="1"), StoredFile(name="till.py", sha256="2")),
    versions={"grpcio": "1.80.0"},
    commit="0123456789abcdef",
    dirty=False,
)
EDITED = replace(FIRST, files=(FIRST.files[0], StoredFile(name="till.py", sha256="3")))


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (FIRST, ""),
        (EDITED, "till.py is a different file"),
        (
            replace(FIRST, files=(StoredFile(name="other", sha256="1"), FIRST.files[1])),
            "other, srv are different files",
        ),
        (replace(FIRST, versions={"grpcio": "1.81.0"}), "grpcio 1.80.0 is now 1.81.0"),
        (replace(FIRST, commit="f" * 40), "its commit 0123456789ab is now ffffffffffff"),
        (replace(FIRST, dirty=True), "it has new uncommitted changes to tracked files"),
        (replace(FIRST, dirty=None), ""),
        (replace(FIRST, files=(), commit="", versions={}), ""),
    ],
)
def test_what_differs_between_two_programs_is_told(after: StoredProgram, told: str) -> None:
    assert differing(FIRST, after) == told


def test_what_only_one_call_imported_is_no_difference_and_another_content_is() -> None:
    late = StoredFile(name="late.py", sha256="4")
    app = replace(FIRST, app="shop:register")
    first = replace(app, files=(*app.files, late))
    assert differing(app, first) == differing(first, app) == ""
    assert (
        differing(first, replace(app, files=(*app.files, replace(late, sha256="5")))) == "late.py is a different file"
    )


def trial(program: StoredProgram | None, *, block: int = 0, configuration: str = "a") -> StoredResult:
    seen: dict[str, object] = {
        "metrics": {},
        "factors": {},
        "without_effect": {},
        "errors_by_status": {},
        "connections_by_process": (),
    }
    named = {"study": "s", "trial": f"{block}-{configuration}", "scenario": "", "configuration": configuration}
    rest = {"order": 0, "started_at": "", "valid": True, "invalid_reason": "", "limited_by": ""}
    return StoredResult(block=block, program=program, **named, **rest, **seen)  # type: ignore[arg-type]


def test_a_change_during_a_study_makes_further_trials_invalid() -> None:
    watch = ProgramWatch({})
    assert watch.change(trial(FIRST)) == ""
    assert watch.change(trial(None, configuration="greeter")) == ""
    assert watch.change(trial(EDITED, configuration="b")) == "", "another configuration may have another program"
    for block in (1, 2):
        reason = watch.change(trial(EDITED, block=block))
        assert reason == "the program of a changed during the study: till.py is a different file"
    assert watch.change(trial(FIRST, block=3)) == "", "restored, it counts again"


def test_a_study_does_not_continue_with_another_program() -> None:
    watch = ProgramWatch({"0-a": trial(FIRST)})
    with pytest.raises(DesignError, match=r"till\.py is a different file; start a new study"):
        watch.change(trial(EDITED, block=1))
    assert watch.change(trial(FIRST, block=1)) == ""
