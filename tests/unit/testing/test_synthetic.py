"""Studies whose trials are drawn: what is judged is what they were drawn from."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from grpclab.errors import UsageError
from grpclab.metrics import MEASURED
from grpclab.report.stored import StoredStudy
from grpclab.study.runner import Study
from grpclab.testing.synthetic import synthetic_study

THREADS = """
headline = "server.threads=64"
profile = false
[factors]
server.threads = [4, 64]
"""


def drawn(root: Path, *, seed: int = 1, **effects: float) -> StoredStudy:
    root.mkdir(parents=True, exist_ok=True)
    (root / "threads.toml").write_text(THREADS)
    study = Study.described(root / "threads.toml", root=root)
    return synthetic_study(study, {name.replace("_", "-"): effect for name, effect in effects.items()}, seed=seed)


@pytest.mark.parametrize(("effect", "verdict"), [(1.3, "faster"), (1.0, "equivalent"), (0.8, "slower")])
def test_the_verdict_is_that_of_the_effect(tmp_path: Path, effect: float, verdict: str) -> None:
    headline = drawn(tmp_path, threads_64=effect).verdict["headline"]
    assert headline["verdict"] == verdict
    assert headline["ci_low"] < effect < headline["ci_high"]


def test_the_figures_are_the_same_for_the_same_seed_only(tmp_path: Path) -> None:
    one, same, other = (drawn(tmp_path / f"{n}", seed=seed).trials for n, seed in enumerate((1, 1, 2)))
    metrics = [name for name in MEASURED if pd.api.types.is_numeric_dtype(one[name])]
    pd.testing.assert_frame_equal(one[metrics], same[metrics])
    assert not one["throughput_rps"].equals(other["throughput_rps"])


def test_the_folder_is_that_of_a_measured_study(tmp_path: Path) -> None:
    study = drawn(tmp_path)
    stored = Study.stored(tmp_path / "results" / "threads")
    assert stored.missing() == []
    assert stored.damaged_warning() == ""
    assert set(study.trials["configuration"]) == {"baseline", "baseline-again", "threads-4", "threads-64"}
    assert (study.trials["requests"] == 500).all()
    assert study.trials["latency_p99_s"].isna().all(), "fewer than 10 of 500 calls lie beyond it"
    assert study.trials["server_cpu_per_call_s"].between(80e-6, 120e-6).all()


def test_an_effect_of_a_configuration_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        drawn(tmp_path, threads_65=1.0)
    assert not (tmp_path / "results").exists()
