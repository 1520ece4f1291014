"""A server in Go by its command: a variable of its environment and an argument are the factors of a study."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from grpclab.cli import commands
from tests.support.interop_service import PROTO, tuned_go_server

FILE = """
question = "Would more processors, or goroutines that are kept, help the till?"
blocks = 6
[target]
command = "{program} -port={{port}} -workers={{workers}}"
[call]
method = "grpc.testing.TestService/UnaryCall"
data = {{response_size = 64}}
proto = "{proto}"
[set]
"load.requests" = 50
"load.duration_s" = 2.0
"load.warmup_s" = 0.02
"load.concurrency" = 2
[factors]
"env.GOMAXPROCS" = [1, 2]
"arg.workers" = [0, 8]
"""


@pytest.mark.long
def test_a_go_server_is_studied_over_a_variable_and_an_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "go.toml").write_text(FILE.format(program=tuned_go_server(), proto=PROTO))
    commands.main(["study", "--file", "go.toml", "-q"])
    (study,) = (tmp_path / "results").glob("go-*")
    trials = pd.read_parquet(study / "trials.parquet")
    assert len(trials) == 6 * 4
    assert trials["valid"].all(), trials["invalid_reason"].tolist()
    said = {(study / "trials" / name / "server.log").read_text().splitlines()[0] for name in trials["trial"]}
    levels = trials[["env.GOMAXPROCS", "arg.workers"]].itertuples(index=False)
    assert said == {f"GOMAXPROCS={processors} workers={workers}" for processors, workers in levels}
    assert said == {"GOMAXPROCS=1 workers=0", "GOMAXPROCS=2 workers=0", "GOMAXPROCS=1 workers=8"}
    program = json.loads((study / "manifest.json").read_text())["servers"]["baseline"]
    assert [file["version"].partition(",")[0][:2] for file in program["files"]] == ["go"]
