"""Revisions of an application are compared, varied and searched: real servers out of real repositories."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from grpclab.cli import commands
from grpclab.factors.config import ServerConfig
from grpclab.servers import targets
from grpclab.servers.target import App, Command
from grpclab.servers.targets import ServerStart
from grpclab.study.designs import study_file
from tests.support.histories import CALL, WORKS, History, application, application_history
from tests.unit.system.test_virtual_environments import wheel

APP = ["--app", "shop.server:register", "--call", CALL, "--data", '{"name": "x"}']
SMALL = ["-n", "60", "-z", "0.4", "--warmup", "0.05", "-c", "2", "--blocks", "6"]
SLOW, QUICK = 0.02, 0.002


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """Four commits, of which the third made the application slower; results go elsewhere."""
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    made, _ = application_history(tmp_path / "shop", [QUICK, QUICK, SLOW, SLOW])
    monkeypatch.chdir(made.folder)
    return made


def ran(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """The exit code of a command, and its JSON."""
    code = commands.main([*words, "--json", "-"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else {"error": err}


def test_two_revisions_are_compared_and_the_result_names_their_commits(
    history: History, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history.write({"shop/server.py": "this is being written"})
    before = history.state
    first, third = (history.git("rev-parse", name) for name in ("main~3", "main~1"))
    words = ["compare", *APP, *SMALL[:-1], "2", "--a-rev", "main~3", "--b-rev", third, "--study", "mine"]
    code, found = ran(words, capsys)
    assert (code, found["headline"]["verdict"]) == (4, "inconclusive"), "of so few blocks"
    assert 0 < found["headline"]["ratio"] < 0.5, "20 ms a call instead of 2"
    assert found["setup"]["A"].startswith(f"shop.server:register at main~3@{first[:12]}; ")
    assert f"commit {third[:12]}" in found["setup"]["B"]
    assert history.state == before
    manifest = json.loads((tmp_path / "results" / "mine" / "manifest.json").read_text())
    assert {name: one["commit"] for name, one in manifest["servers"].items()} == {"a": first, "b": third}
    assert [one["settings"]["target.rev"] for one in manifest["plan"]["configurations"]] == [
        f"main~3@{first[:12]}",
        third[:12],
    ]
    results = [json.loads(path.read_text()) for path in (tmp_path / "results" / "mine").glob("trials/*/result.json")]
    assert {one["program"]["commit"] for one in results} == {first, third}
    assert {one["program"]["dirty"] for one in results} == {False}


@pytest.mark.long
def test_a_checkout_with_changes_is_one_side(history: History, capsys: pytest.CaptureFixture[str]) -> None:
    history.write({"shop/server.py": application(QUICK)})
    words = ["compare", *APP, *SMALL, "--a-rev", "HEAD", "--b-rev", "worktree", "--study", "mine"]
    code, found = ran(words, capsys)
    assert (code, found["headline"]["verdict"]) == (0, "faster")
    assert "at worktree@" in found["setup"]["B"]
    assert f"commit {history.git('rev-parse', 'HEAD')[:12]} with changes" in found["setup"]["B"]
    history.write({"shop/server.py": application(SLOW)})
    code, found = ran(words, capsys)
    assert code == 2
    assert "has a study with a different plan" in found["error"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--a-rev", "nothing", "--b-rev", "main"], "invalid target.rev=nothing: expected a commit, a tag or a branch"),
        (["--a-rev", "main", "--b-rev", "empty"], "invalid target.rev=empty@"),
    ],
)
def test_what_is_not_there_at_a_revision_ends_with_one_line(
    history: History, words: Sequence[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    history.git("checkout", "--quiet", "--orphan", "empty")
    history.git("rm", "--quiet", "-r", "--force", ".")
    history.commit("empty", {"README": ""})
    history.git("checkout", "--quiet", "main")
    code, found = ran(["compare", *APP, *SMALL, *words], capsys)
    assert code == 2
    assert told in found["error"]
    assert found["error"].count("\n") == 1


def test_a_command_runs_in_the_folder_of_its_revision(history: History) -> None:
    code = "import pathlib, sys; print(pathlib.Path('NOTES').read_text(), file=sys.stderr)"
    serve = "from grpclab.cli import commands; commands.main(['serve', 'basic', '--port', sys.argv[1]])"
    history.commit("serves", {"NOTES": "read this", "serve.py": f"{code}\n{serve}\n"})
    history.write({"NOTES": "changed", "serve.py": "this is being written"})
    target = Command(f"{sys.executable} serve.py {{port}}")
    start = ServerStart(config=ServerConfig(), target=target, own={"target.rev": "HEAD"}, log_path=None)
    with targets.start(start) as server:
        assert "read this" in server.log_path.read_text()
        assert server.program.commit == history.git("rev-parse", "HEAD")
        assert server.program.dirty is False


def test_modules_that_come_from_the_checkout_all_the_same_are_noted(history: History) -> None:
    history.commit("uses a library", {"shop/server.py": f"import till\n{application(QUICK)}", "libs/till.py": ""})
    own = {"target.rev": "HEAD", "env.PYTHONPATH": str(history.folder / "libs")}
    app = App("shop.server:register")
    with targets.start(ServerStart(config=ServerConfig(), target=app, own=own)) as server:
        (notice,) = server.notices
    assert notice.kind == "revision"
    assert f"shop.server:register imported till from {history.folder}, not from the revision" in notice.text


@pytest.mark.long
def test_packages_that_are_required_are_those_that_an_application_imports(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    code = f"import hpack\nassert hpack.ours\n{application(QUICK)}"
    history.write({"shop/server.py": code})
    own = {"target.requirements": wheel(tmp_path, "hpack", "99.0", "ours = True")}
    with targets.start(ServerStart(config=ServerConfig(), target=App("shop.server:register"), own=own)) as server:
        assert server.program.versions["hpack"] == "99.0"
        assert server.program.versions["grpcio"], "which comes from the interpreter's own packages"


@pytest.mark.long
def test_revisions_are_the_levels_of_a_study(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study_file, "fewest_blocks", lambda: 1)
    history.git("tag", "v1", "main~3")
    file = tmp_path / "mine.toml"
    file.write_text(
        f"""
blocks = 1
profile = false
headline = "target.rev=main"
[target]
app = "shop.server:register"
app-dir = "shop"
[call]
method = "{CALL}"
[set]
load.requests = 60
load.warmup_s = 0.05
load.concurrency = 2
[factors]
"target.rev" = ["v1", "main~2", "main"]
"""
    )
    assert commands.main(["study", "--file", str(file), "-q"]) == 0
    capsys.readouterr()
    (folder,) = (tmp_path / "results").glob("mine-*")
    trials = pd.read_parquet(folder / "trials.parquet").set_index("configuration")
    assert trials["valid"].all()
    labels = {f"{name}@{history.git('rev-parse', name)[:12]}" for name in ("v1", "main~2", "main")}
    assert set(trials["target.rev"]) == labels
    slow = trials["target.rev"].str.startswith("main@")
    assert trials["throughput_rps"][slow].max() < trials["throughput_rps"][~slow].min()
    assert commands.main(["study", "--file", str(file)]) == 0, "nothing is left to measure"


@pytest.mark.long
def test_bisect_names_the_commit_that_made_it_slower_and_measures_nothing_twice(
    history: History, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, slow = history.state, history.git("rev-parse", "main~1")
    words = ["bisect", "--good", "main~3", "--bad", "main", *APP, *SMALL]
    code, found = ran(words, capsys)
    assert (code, found["first_slower"]) == (0, slow), found["sentence"]
    assert "is the first commit that is slower than" in found["sentence"]
    assert "(Change 2)" in found["sentence"]
    assert found["steps"][0]["verdict"] == "slower"
    assert found["steps"][-1]["baseline"] == history.git("rev-parse", "main~2")
    assert history.state == before
    measured = {path: path.stat().st_mtime_ns for path in tmp_path.glob("results/bisect-*/trials/*/result.json")}
    assert len(measured) == sum(2 * step["blocks"] for step in found["steps"])
    again, once_more = ran(words, capsys)
    assert (again, once_more["sentence"]) == (code, found["sentence"])
    assert {path: path.stat().st_mtime_ns for path in measured} == measured


@pytest.mark.long
def test_bisect_names_what_is_not_committed(history: History, capsys: pytest.CaptureFixture[str]) -> None:
    history.commit("quick again", {"shop/server.py": application(QUICK)})
    words = ["bisect", "--good", "main", "--bad", "worktree", *APP, *SMALL]
    code, found = ran(words, capsys)
    assert (code, found["error"].count("\n")) == (2, 1), "nothing has changed"
    history.write({"shop/server.py": application(SLOW)})
    code, found = ran(words, capsys)
    assert (code, found["first_slower"][:9]) == (0, "worktree@"), found["sentence"]
    assert found["sentence"].startswith("worktree (changes that are not committed) is the first change that is slower")
    assert found["good"] == history.git("rev-parse", "main")
    code, again = ran(words, capsys)
    assert (code, again["sentence"]) == (0, found["sentence"])


@pytest.mark.long
def test_bisect_without_a_slowdown_says_so(history: History, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = ran(["bisect", "--good", "main~1", "--bad", "main", *APP, *SMALL, "--min-effect", "20%"], capsys)
    assert (code, found["first_slower"]) == (1, None)
    assert "is not slower than" in found["sentence"]


@pytest.mark.long
@pytest.mark.parametrize("slow_from", [3, 11, 16])
def test_a_slowdown_of_15_percent_among_16_commits_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], slow_from: int
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    call_s = 0.002
    calls_s = [call_s] * slow_from + [call_s / 0.85] * (17 - slow_from)
    history, commits = application_history(tmp_path / "shop", calls_s, WORKS)
    monkeypatch.chdir(history.folder)
    words = ["bisect", "--good", commits[0], "--bad", commits[-1], *APP, "-c", "2", "-z", "1", "--blocks", "8"]
    code, found = ran(words, capsys)
    assert (code, found["first_slower"]) == (0, commits[slow_from]), found["sentence"]
