"""What a stored study starts and opens: whoever repeats another user's is asked before that."""

from __future__ import annotations

from dataclasses import replace

from grpclab.analysis.study_plan import PlannedConfiguration, StoredTarget, StudyPlan
from grpclab.load.calls.mixed_call import MixedCall
from grpclab.study.origin import started_by


def test_files_of_a_mix_and_of_a_replay_are_opened() -> None:
    calls = (
        MixedCall(method="a.B/C", data="@/tmp/orders.jsonl", metadata=("token=env:TOKEN", "tenant=a")),
        MixedCall(method="a.B/D", data='{"id": 7}'),
    )
    replayed = PlannedConfiguration(name="a", settings={"load.arrival": "replay:/tmp/day.calls@4", "load.requests": 7})
    plan = StudyPlan(configurations=(replayed,), subjects={"a": StoredTarget(address="localhost:1", mix=calls)})
    assert started_by(plan) == {
        "a": {
            "address": "localhost:1",
            "mix": ["@/tmp/orders.jsonl"],
            "metadata": ["token=env:TOKEN"],
            "load.arrival": "replay:/tmp/day.calls@4",
        }
    }
    others = replace(replayed, settings={"load.arrival": "poisson"})
    assert started_by(StudyPlan(configurations=(others,))) == {}
