"""What is compared, in words."""

from __future__ import annotations

from grpclab.analysis import setup
from grpclab.analysis.study_plan import PlannedConfiguration, StoredFile, StoredProgram, StoredTarget, StudyPlan


def words(*digests: str) -> str:
    files = tuple(StoredFile(name=f"{at}.py", bytes=1, sha256=digest * 64) for at, digest in enumerate(digests))
    plan = StudyPlan(subjects={"a": StoredTarget(app="shop:register")})
    return setup._server(plan, "a", {"a": StoredProgram(files=files)})


def test_many_files_of_an_application_are_one_digest_that_each_of_them_changes() -> None:
    assert "3 files, combined SHA-256" in words("1", "2", "3")
    assert words("1", "2", "3") != words("1", "2", "4")
    assert f"0.py, 1 bytes, SHA-256 {'1' * 12}" in words("1")


def test_what_the_client_does_in_streams_is_part_of_the_load() -> None:
    configuration = PlannedConfiguration(
        name="a", settings={"load.stream_messages": 3, "load.stream_end": "wait", "link.rtt_ms": 5.0}
    )
    found = setup.load_words(StudyPlan(configurations=(configuration,)), "a")
    assert found.endswith("engine wire, load.stream_messages=3, load.stream_end=wait, link.rtt_ms=5")
    assert "stream" not in setup.load_words(StudyPlan(), "a")


def test_the_load_shape_is_part_of_the_load() -> None:
    configuration = PlannedConfiguration(name="a", settings={"load.rate_rps": 5.0, "load.arrival": "gamma:0.5"})
    found = setup.load_words(StudyPlan(configurations=(configuration,)), "a")
    assert found.endswith("engine wire, load.arrival=gamma:0.5")
