"""Studies of one's own, described in TOML."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from grpclab.cli import commands
from grpclab.errors import UsageError
from grpclab.servers.process.launcher import launched
from grpclab.study.designs import file_design, study_file
from grpclab.study.designs.file_design import design
from grpclab.study.runner import Study
from grpclab.study.server_programs import servers_of
from tests.support import applications
from tests.support.plans import document
from tests.support.stored_studies import trial_config

README = Path(__file__).resolve().parents[3] / "README.md"
SMALL = """
headline = "server.threads=4"
profile = false
[set]
load = {requests = 40, duration_s = 0.3, warmup_s = 0.05, concurrency = 4, engine = "wire"}
client.pooling = "shared"
[factors]
server.threads = [4]
"""


def test_the_example_of_the_readme_is_a_study_of_an_application() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    assert text.count("\n") <= 15
    found = design(tomllib.loads(text))
    threads = ["threads-4", "threads-16", "threads-64"]
    assert found.plan.names == ["baseline", *threads, "implementation-asyncio", "cache-off", "baseline-again"]
    assert {(one.app, one.call) for one in found.plan.subjects.values()} == {
        ("shop.server:register", "shop.v1.Till/Pay")
    }
    assert found.plan.headline is not None
    assert found.plan.headline.candidate == "threads-64"


def test_the_guide_to_production_measures_features_on_an_application() -> None:
    guide = README.parent / "docs" / "production.md"
    (text,) = re.findall(r"```toml\n(.*?)```", guide.read_text(), re.DOTALL)
    found = design(tomllib.loads(text))
    assert found.plan.headline is not None
    assert (found.plan.headline.baseline, found.plan.headline.candidate) == ("optimized", "production")
    assert {one.app for one in found.plan.subjects.values()} == {"shop.server:register"}
    varied = {name for one in found.plan.configurations for name in one.settings}
    features = ("tracing_share", "access_log_share", "rate_limit_rps", "interceptors", "tls", "metrics", "admission")
    assert varied >= {f"server.{feature}" for feature in features}


def test_the_guides_application_takes_the_file_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    guide = (README.parent / "docs" / "your-own-service.md").read_text()
    (tmp_path / "shop").mkdir()
    for language, name in (("proto", "till.proto"), ("python", "server.py")):
        (text,) = re.findall(rf"```{language}\n(.*?)```", guide, re.DOTALL)
        (tmp_path / "shop" / name).write_text(text)
    stubs = "-m grpc_tools.protoc -I. --python_out=. --grpc_python_out=. shop/till.proto"
    assert f"`python {stubs}`" in guide
    subprocess.run([sys.executable, *shlex.split(stubs)], check=True, capture_output=True, cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    found = design(tomllib.loads(file))
    programs = servers_of(found.plan, found.subjects)
    assert set(programs) == set(found.plan.names)
    assert "shop/server.py" in {one.name for one in programs["cache-off"].files}


def test_factors_are_compared_one_at_a_time_around_a_variant() -> None:
    content = """
question = "How many handler threads does our load need?"
variant = "optimized"
headline = "server.threads=64"
grid = "one-at-a-time"
[set]
load.concurrency = 32
[factors]
server.threads = [4, 16, 64]
client.connections = [1, 4]
"""
    found = design(tomllib.loads(content))
    rows = {row["name"]: row["title"] for row in document(found.plan)["configurations"]}
    # optimized has 4 connections already: that level is the baseline itself.
    assert list(rows) == ["baseline", "threads-4", "threads-16", "threads-64", "connections-1", "baseline-again"]
    headline = document(found.plan)["headline"]
    assert (headline["baseline"], headline["candidate"]) == ("baseline", "threads-64")
    assert document(found.plan)["aa"]["candidate"] == "baseline-again"
    candidates = [row["candidate"] for row in document(found.plan)["comparisons"]]
    assert candidates == [
        "threads-4",
        "threads-16",
        "connections-1",
    ]
    assert trial_config(document(found.plan), "threads-16").server.threads == 16
    assert {trial_config(document(found.plan), name).load.concurrency for name in rows} == {32}
    points = {row["factor"]: [p["configuration"] for p in row["points"]] for row in document(found.plan)["sweeps"]}
    assert points["client.connections"] == ["connections-1", "baseline"]
    assert points["server.threads"][0] == "baseline", "the baseline's own level is shown as well"


def test_a_full_grid_has_every_combination_and_starts_from_the_first_levels() -> None:
    content = {
        "grid": "full",
        "headline": "server.threads=8 client.window_kib=64",
        "set": {"client": {"adaptive_window": False}},
        "factors": {"server": {"threads": [2, 8]}, "client.window_kib": [1024, 64]},
    }
    found = design(content)
    names = [row["name"] for row in document(found.plan)["configurations"]]
    assert names == ["baseline", "window-kib-64", "threads-8", "threads-8-window-kib-64", "baseline-again"]
    assert trial_config(document(found.plan), "baseline").server.threads == 2
    assert document(found.plan)["headline"]["candidate"] == "threads-8-window-kib-64"
    assert document(found.plan)["sweeps"] == []


def whole(**changes: object) -> dict[str, object]:
    return {"headline": "server.threads=4", "factors": {"server": {"threads": [2, 4]}}, **changes}


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (whole(factor={}), "unknown key 'factor': did you mean factors?"),
        (whole(blocks="6"), "invalid blocks=6: expected a whole number"),
        (whole(blocks=True), "invalid blocks=True: expected"),
        (whole(blocks=5), "invalid blocks=5: expected 6 to 1,000"),
        (whole(seed=-1), "invalid seed=-1: expected"),
        (whole(min_effect="0%"), "invalid min_effect=0%: expected"),
        (whole(variant="fast"), "invalid variant=fast: expected one of basic, optimized, production"),
        (whole(grid="half"), "invalid grid=half: expected one of one-at-a-time, full"),
        (whole(factors={}), "factors is missing"),
        (
            whole(factors={"server": {"thread": [1]}}),
            "factors: unknown factor 'server.thread': did you mean server.threads?",
        ),
        (whole(factors={"server": {"threads": 4}}), "factors: invalid server.threads=4: expected a list"),
        (whole(factors={"server": {"threads": ["many"]}}), "server.threads"),
        (whole(set={"load": {"speed": 9}}), "set: unknown factor 'load.speed'"),
        (
            whole(headline="server.threads=9"),
            "invalid headline=server.threads=9: expected one of the configurations (server.threads=2",
        ),
        (
            whole(
                factors={"arg": {"cache": ["on"]}},
                target={"app": "shop:register"},
                call={"method": "shop.v1.Till/Pay"},
            ),
            "factors: arg.cache: expected a second level; arg.cache=on is the baseline itself",
        ),
        (
            {
                "set": {"server": {"threads": 4}},
                "factors": {"server": {"threads": [4]}},
                "headline": "server.threads=4",
            },
            "factors: server.threads: expected a second level; server.threads=4 is the baseline itself",
        ),
        (
            {"factors": {"server": {"threads": [2, 64, 4]}}},
            "headline is missing: expected one of the configurations (server.threads=2; server.threads=64; ",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(found: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        design(found)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_is_run_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    monkeypatch.setattr(file_design, "fewest_blocks", lambda: 2)  # the blocks of a file that names none
    file = tmp_path / "mine.toml"
    file.write_text(SMALL)
    assert commands.main(["study", "--file", str(file), "-q"]) == 0
    assert "server.threads=4 has " in capsys.readouterr().out
    results = list((tmp_path / "results" / "mine").glob("trials/*/result.json"))
    assert len(results) == 2 * 3
    assert all(json.loads(path.read_text())["valid"] for path in results)
    assert f"grpclab study --file {file} --study mine" in (tmp_path / "reports" / "mine.html").read_text()
    file.write_text(SMALL.replace("[4]", "[4, 8]"))
    assert commands.main(["study", "--file", str(file), "-q"]) == 2
    assert "has a study with a different plan" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--file", "no.toml"], "invalid --file=no.toml: expected a readable file in /"),
        (["--file", "x.toml", "--blocks", "9"], "--blocks cannot be combined with --file: set it in x.toml"),
        (["--file", "x.toml", "--budget", "never"], "invalid budget=never: expected seconds"),
    ],
)
def test_bad_input_is_one_line(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["study", *words]) == 2
    assert told in capsys.readouterr().err


def test_what_is_no_toml_is_said_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.toml").write_text("a = \n")
    assert commands.main(["study", "--file", str(tmp_path / "x.toml")]) == 2
    assert "x.toml: expected TOML: Invalid value (at line 1" in capsys.readouterr().err


OF_AN_APPLICATION = """
headline = "arg.shelf='the top'"
profile = false
blocks = 6
[target]
app = "telling:register"
app-dir = "code"
[call]
method = "greet.GreeterService/Tell"
data = {id = 1}
[set]
load = {requests = 30, duration_s = 0.3, warmup_s = 0.05, concurrency = 4}
[factors]
arg.shelf = [4, "the top"]
env.SHOP = ["open", "none"]
"target.python" = ["PYTHON"]
"""


def test_one_start_of_an_application_is_the_rehearsal_of_its_study_and_its_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    applications.write(tmp_path / "code")
    file = tmp_path / "mine.toml"
    file.write_text(OF_AN_APPLICATION.replace('"target.python" = ["PYTHON"]', '"server.threads" = [2, 4]'))
    started: list[str] = []

    def counting(*words: Any, **options: Any) -> Any:
        started.append("started")
        return launched(*words, **options)

    monkeypatch.setattr("grpclab.servers.hosting.application.launched", counting)
    study = Study.described(file, root=tmp_path)
    assert len(started) == 2, "once with each environment"
    assert study.rehearsed
    file.write_text(file.read_text().replace("arg.shelf", "arg.depth"))
    with pytest.raises(UsageError, match="a level for its parameter shelf"):
        Study.described(file, root=tmp_path)


@pytest.mark.long
def test_the_study_of_an_application_measures_it_and_stores_own_factors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    monkeypatch.setattr(study_file, "fewest_blocks", lambda: 1)
    applications.write(tmp_path / "code")
    file = tmp_path / "mine.toml"
    file.write_text(OF_AN_APPLICATION.replace("PYTHON", sys.executable).replace("blocks = 6", "blocks = 1"))
    assert commands.main(["study", "--file", str(file), "-q"]) == 0
    assert "arg.shelf='the top'" in capsys.readouterr().out
    (folder,) = (tmp_path / "results").glob("mine-*")  # with the identity of the application
    trials = pd.read_parquet(folder / "trials.parquet").set_index("configuration")
    assert trials["valid"].all()
    assert trials["arg.shelf"].to_dict() == {"baseline": "4", "shelf-the-top": "the top", "SHOP-none": "4"} | {
        "baseline-again": "4"
    }
    assert set(trials["env.SHOP"]) == {"open", "none"}
    assert set(trials["target.python"]) == {sys.executable}
    assert trials["server.handler_work_us"].isna().all(), "no factor of an application"
    page = (tmp_path / "reports" / f"{folder.name}.html").read_text()
    assert "application telling:register" in page
    assert not list(folder.glob("notebooks/*"))
    assert commands.main(["study", "--file", str(file)]) == 0, "nothing is left to measure"
