"""What is compared, in words."""

from __future__ import annotations

from grpclab.analysis import setup
from grpclab.analysis.study_plan import StoredFile, StoredProgram, StoredTarget, StudyPlan


def words(*digests: str) -> str:
    files = tuple(StoredFile(name=f"{at}.py", bytes=1, sha256=digest * 64) for at, digest in enumerate(digests))
    plan = StudyPlan(subjects={"a": StoredTarget(app="shop:register")})
    return setup._server(plan, "a", {"a": StoredProgram(files=files)})


def test_many_files_of_an_application_are_one_digest_that_each_of_them_changes() -> None:
    assert "3 files, combined SHA-256" in words("1", "2", "3")
    assert words("1", "2", "3") != words("1", "2", "4")
    assert f"0.py, 1 bytes, SHA-256 {'1' * 12}" in words("1")
