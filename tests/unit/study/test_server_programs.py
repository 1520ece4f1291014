"""A change of a server's program during a study is noticed, and named."""

from __future__ import annotations

import pytest

from grpclab.analysis.study_plan import StoredFile, StoredProgram
from grpclab.study.server_programs import change_of


def program(
    *, server: str = "1", extra: str = "", grpcio: str = "1.80", commit: str = "", dirty: bool = False
) -> StoredProgram:
    files = [StoredFile(name="server.py", sha256=server)]
    files += [StoredFile(name="lazy.py", sha256=extra)] if extra else []
    return StoredProgram(app="a:b", files=tuple(files), versions={"grpcio": grpcio}, commit=commit, dirty=dirty)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (program(server="2"), "server.py"),
        (program(grpcio="1.81"), "grpcio (1.80, now 1.81)"),
        (program(dirty=True), "the files that git tracks"),
    ],
)
def test_what_has_changed_is_named(now: StoredProgram, told: str) -> None:
    assert change_of(program(), now) == f"the server's program has changed since the study began: {told}"


def test_another_commit_is_named() -> None:
    assert "the git commit (aa, now bb)" in change_of(program(commit="aa"), program(commit="bb", dirty=True))


def test_a_file_that_is_imported_for_some_levels_only_is_no_change() -> None:
    assert change_of(program(), program(extra="1")) == change_of(program(extra="1"), program()) == ""
    assert "lazy.py" in change_of(program(extra="1"), program(extra="2"))


def test_nothing_is_known_of_an_earlier_study() -> None:
    assert change_of(None, program()) == ""
