"""`grpclab compare`: real servers in interleaved blocks, servers by their commands, stored results, exit codes."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from bs4 import BeautifulSoup

import grpclab
from grpclab.analysis import blocks_needed, smallest_effect, spread_of
from grpclab.cli import commands
from grpclab.errors import ServerError, UsageError
from grpclab.factors.config import FACTORS, TrialConfig
from grpclab.factors.effective import CHECKED
from grpclab.factors.variants import OPTIMIZED, PRODUCTION
from grpclab.report.sections import mapping
from grpclab.servers.process.launcher import launch_command
from grpclab.servers.target import Command
from grpclab.study import pilot
from grpclab.study.designs import compare_design, default_design
from grpclab.study.sides import Side
from grpclab.study.target import Subject
from tests.support.plans import document
from tests.support.stand_ins import stand_in

REFERENCE = f"{sys.executable} -m grpclab serve reference --port {{port}} --service-time constant:"
SMALL = ["-n", "150", "-z", "0.4", "--warmup", "0.05", "-c", "2"]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_a_slower_command_is_found_stored_and_compared_again_from_what_is_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Both leave the generator idle for most of the time: on a slow machine it would be the limit of a faster server.
    load = ["-n", "100", "-z", "0.4", "--warmup", "0.05", "-c", "2"]
    words = ["compare", "--a-cmd", f"{REFERENCE}5ms", "--b-cmd", f"{REFERENCE}50ms", *load]
    code = commands.main([*words, "--blocks", "6", "--study", "mine", "--json", "-"])
    found = answer(capsys)
    headline = found["headline"]
    assert isinstance(headline, dict)
    verdict = (code, found["exit_code"], headline["verdict"], headline["blocks"])
    assert verdict == (1, 1, "slower", 6), found["warnings"]
    assert 0 < headline["ratio"] < 0.7
    assert Path(str(found["study"])) == tmp_path / "results" / "mine"
    assert not any("A/A" in warning for warning in found["warnings"])  # type: ignore[attr-defined]

    measured = {path: path.stat().st_mtime_ns for path in (tmp_path / "results" / "mine").glob("trials/*/result.json")}
    assert len(measured) == 12
    assert commands.main([*words, "--blocks", "auto", "--study", "mine", "-q"]) == 1, "nothing is measured"
    assert {path: path.stat().st_mtime_ns for path in measured} == measured
    capsys.readouterr()

    assert commands.main(["compare", "results/mine:b", "results/mine:a", "--json", "-"]) == 0
    turned = answer(capsys)["headline"]
    assert isinstance(turned, dict)
    assert turned["verdict"] == "faster"
    assert turned["ratio"] == pytest.approx(1 / headline["ratio"])

    assert commands.main(["report", "results/mine"]) == 0
    page = (tmp_path / "reports" / "mine.html").read_text()
    assert "slower" in page
    assert "grpclab compare --a-cmd " in page, "how to run it again"
    assert "papermill notebooks" not in page
    _refuses_mixed(tmp_path, capsys)


def _refuses_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "results" / "other"
    subprocess.run(["cp", "-r", str(tmp_path / "results" / "mine"), str(other)], check=True)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["identity"]["host"] = "elsewhere"
    (other / "manifest.json").write_text(json.dumps(manifest))
    capsys.readouterr()
    assert commands.main(["compare", "results/mine:a", "results/other:b"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "host=" in err
    assert "elsewhere" in err
    assert "--allow-mixed" in err
    assert commands.main(["compare", "results/mine:a", "results/other:b", "--allow-mixed"]) == 1
    out = capsys.readouterr().out
    assert "warning: mixed: " in out
    assert "warning: the two were not interleaved" in out


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Two variants, one with a factor of its own, as they are compared: the project's folder and what was printed."""
    folder, printed = tmp_path_factory.mktemp("variants"), io.StringIO()
    words = ["compare", "optimized", "production", "--b-set", "server.handler_work_us=3000", *SMALL, "--blocks", "2"]
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setenv("GRPCLAB_ROOT", str(folder))
        assert commands.main([*words, "--allow-inconclusive"]) == 0
    return folder, printed.getvalue()


def test_the_report_says_of_every_setting_of_production_whether_it_took_effect(
    variants: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = variants
    monkeypatch.setenv("GRPCLAB_ROOT", str(folder))
    (study,) = (folder / "results").iterdir()
    assert commands.main(["report", study.name]) == 0
    report = json.loads((folder / "reports" / f"{study.name}.json").read_text())
    sections = {one["anchor"]: one["content"] for one in report["sections"]}
    (rows,) = [piece["rows"] for piece in sections[mapping.ANCHOR] if "table" in piece]
    preset = PRODUCTION.differences(OPTIMIZED)
    effects = {factor: _text(row[2]) for row in rows for factor in preset if _text(row[0]).endswith(factor)}
    assert effects.keys() == preset.keys()
    checked = {factor for factor in preset if factor in CHECKED}
    assert {factor for factor, text in effects.items() if text == "yes, as advertised"} == checked
    assert {text for factor, text in effects.items() if factor not in checked} == {"set; not visible from outside"}


def _text(cell: Any) -> str:
    return str(cell["text"]) if isinstance(cell, dict) else str(cell)


def test_variants_with_factors_of_one_side_are_compared_with_a_table(variants: tuple[Path, str]) -> None:
    _, out = variants
    assert "2 blocks of 2 trials each, stored in results/compare-" in out
    for told in (
        "throughput",
        "p99 latency",
        "server CPU per call",
        "failed calls",
        "B (production with server.handler",
    ):
        assert told in out


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["basic", "fast"], 2, "B=fast is neither a variant"),
        (
            ["basic"],
            2,
            "B must be a variant (basic, optimized, production) or your own server, given by --b-app, --b-cmd or",
        ),
        (["basic", "basic", "--b-cmd", "x {port}"], 2, "got both 'basic' and --b-cmd"),
        (["basic", "--b-cmd", "./server"], 2, "invalid --b-cmd=./server: the command has no port; write {port}"),
        (["basic", "--b-cmd", "./server '{port}"], 2, "the command has an unclosed quote"),
        (
            ["basic", "--b-cmd", "sh {port}", "--b-set", "server.threads=3"],
            2,
            "server.threads is a factor of grpclab's own",
        ),
        (["basic", "--b-cmd", "THREADS=4 ./srv {port}"], 2, "write env THREADS=4 ./srv {port}"),
        (["basic", "--b-cmd", "cd x && ./srv {port}"], 2, "write sh -c 'cd x && ./srv {port}'"),
        (["basic", "--b-cmd", "$HOME/srv {port}"], 2, "write sh -c 'exec $HOME/srv {port}'"),
        (["basic", "--b-cmd", "./srv --unix /tmp/x.sock"], 2, "or {socket} in place of the path of its Unix"),
        (["basic", "--b-cmd", "sh {port}", "--start-timeout", "soon"], 2, "invalid --start-timeout=soon: expected"),
        (["basic", "--b-cmd", "sh {port}", "--start-timeout", "0"], 2, "invalid --start-timeout=0: expected"),
        (["basic", "basic", "--b-set", "load.rate_rps=9"], 2, "invalid load.rate_rps: none for A and 9 for B"),
        (["basic", "basic", "--rate", "100"], 2, "p99 latency needs 1,000 calls"),
        (["basic", "optimized", "--min-effect", "0"], 2, "invalid --min-effect=0: expected"),
        (["basic", "optimized", "--blocks", "1"], 2, "invalid --blocks=1: expected"),
        (["basic", "optimized", "--study", "a/b"], 2, "invalid --study=a/b: expected"),
        (["basic", "optimized", "--json", "no/such"], 2, "cannot write no/such"),
        (["basic", "--b-cmd", "/no/such/server {port}", "--blocks", "2"], 2, "/no/such/server does not exist"),
        (["basic", "--b-cmd", "/etc {port}"], 2, "/etc is a folder"),
        (["basic", "--b-cmd", "nosuchserver {port}"], 2, "no program nosuchserver on the PATH"),
        (["--a-cmd", "false {port}", "basic", "--blocks", "2"], 2, "A must be a variant"),
        (["basic", "--b-address", "localhost:1"], 3, "(`grpclab serve optimized`), or use another target\n"),
    ],
)
def test_bad_input_is_one_line(words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["compare", *words, *SMALL, "-q"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert told in err


FOREIGN = """
import sys
from concurrent.futures import ThreadPoolExecutor
import grpc

class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")

server = grpc.server(ThreadPoolExecutor(3))
server.add_generic_rpc_handlers((Handler(),))
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
"""
SHOP = 'syntax = "proto3"; package shop; message Item { int32 id = 1; } service Cart { rpc Get(Item) returns (Item); }'
OURS = re.compile(
    r"SayHello|GreeterService|server\.[a-z_]+ ?=|\"server\.|\d+ (handler )?threads|one thread at a time|tonic"
)
"""What only our own servers and our own call have."""


def test_no_output_states_of_a_foreign_server_what_was_not_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shop.py").write_text(FOREIGN)
    (tmp_path / "shop.proto").write_text(SHOP)
    command = f"{sys.executable} shop.py {{port}}"
    words = ["compare", "--a-cmd", f"{command} old", "--b-cmd", f"{command} new", "--b-name", "the new build"]
    words += ["--call", "shop.Cart/Get", "--proto", "shop.proto", "--data", '{"id": 7}', *SMALL]
    assert commands.main([*words, "--blocks", "2", "--study", "mine", "--json", "found.json"]) == 4
    assert commands.main(["report", "results/mine"]) == 0
    terminal = capsys.readouterr().out
    for told in (
        'shop.Cart/Get {"id": 7}',
        "2 calls in flight",
        "SHA-256",
        "grpclab 0.1.0 and its load generator",
        "the new build",
    ):
        assert told in terminal.partition("throughput")[0] or told in terminal

    page = (tmp_path / "reports" / "mine.html").read_text()
    read = BeautifulSoup(page, "html.parser")
    for element in read(["script", "style"]):
        element.decompose()
    files = {path: path.read_text() for path in tmp_path.rglob("*.*") if path.suffix in (".json", ".md")}
    files |= {tmp_path / "terminal": terminal, tmp_path / "page": read.get_text(" ")}
    assert len(files) >= 9
    assert {path.name: found[0] for path, text in files.items() if (found := OURS.search(text))} == {}
    trials = pd.read_parquet(tmp_path / "results" / "mine" / "trials.parquet")
    unknown = [name for name in FACTORS if name.startswith("server.")] + ["load.method", "load.request_bytes"]
    assert trials.reindex(columns=unknown).isna().all().all(), "no level, or no column"
    assert set(trials["load.concurrency"]) == {2}
    _levels_agree(
        json.loads((tmp_path / "found.json").read_text()), json.loads((tmp_path / "reports/mine.json").read_text())
    )


def _levels_agree(found: dict[str, Any], report: dict[str, Any]) -> None:
    levels = {row["configuration"]: row["mean"] for row in report["levels"]}
    assert levels == pytest.approx(found["levels"]["throughput_rps"])
    assert levels["b"] / levels["a"] == pytest.approx(found["headline"]["ratio"])
    for one in found["comparisons"]:
        two = found["levels"][one["metric"]]
        assert two["b"] / two["a"] == pytest.approx(one["ratio"])
        assert (one["verdict"], one["p_adjusted"], one["ci_low"]) == ("inconclusive", None, None)


def test_a_server_that_cannot_be_measured_is_told_by_its_last_line_and_leaves_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.py").write_text("import sys; print('no database', flush=True); sys.exit(sys.argv[1] and 7)")
    command = f"{sys.executable} bad.py {{port}}"
    assert (
        commands.main(
            ["compare", "--a-cmd", command, "--b-cmd", command, "--call", "a.B/C", "--blocks", "2", "-q", *SMALL]
        )
        == 3
    )
    assert "exit code 7" in (err := capsys.readouterr().err)
    assert "no database" in err
    assert not (tmp_path / "results").exists()


def test_a_method_that_the_server_lacks_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "optimized", "basic", "--call", "greet.GreeterService/Nothing", "--blocks", "2", "-q", *SMALL]
    assert commands.main(words) == 2
    assert "Nothing" in capsys.readouterr().err


def test_from_python_two_configurations_give_a_result_with_a_table() -> None:
    load = {"load.requests": 60, "load.duration_s": 0.3, "load.warmup_s": 0.05, "load.concurrency": 2}
    config = TrialConfig().replace({**load, "client.pooling": "shared"})
    found = grpclab.compare(config, grpclab.Side(label="<again>", config=config), blocks=2)
    assert set(found.to_frame()["configuration"]) == {"a", "b"}
    assert list(found.table().columns) == ["A", "B", "B / A", "95% interval", "verdict"]
    assert found.judgement.sentence in str(found)
    assert "&lt;again&gt;" in found._repr_html_()
    assert "<again>" not in found._repr_html_()


# ---- planning a study --------------------------------------------------------------------------------------------


def test_a_plan_says_what_the_study_can_show_and_begins_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(default_design, "CHATTER_WARMUP_S", 0.05)
    monkeypatch.setattr(pilot, "PILOT_BLOCKS", 2)
    words = ["study", "--plan", "--design", "quick", "--requests", "100", "--max-trial-s", "0.2", "--concurrency", "8"]
    assert commands.main(words) == 0
    out = capsys.readouterr().out
    assert re.search(r"13 configurations in \d+ groups × 6 blocks = \d+ trials", out)
    assert "hub first" in out
    assert "pilot of 2 blocks with both sides, which do not count as evidence" in out
    assert "no difference (within 5%)" in out
    assert re.search(r"with 6 blocks, an effect of \d+\.\d% is detected in four out of five studies", out)
    assert not (tmp_path / "results").exists()


def test_a_plan_that_can_reach_no_verdict_says_so_and_measures_no_pilot(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["study", "--plan", "--blocks", "5"]) == 0
    out = capsys.readouterr().out
    assert "a verdict needs at least 6 blocks, but 5 are planned" in out
    assert "pilot" not in out


def test_the_smallest_effect_is_the_one_that_so_many_blocks_would_find() -> None:
    least = smallest_effect(0.05, 10)
    low, high = (math.exp(math.log(1 + least) + sign * 2.262 * 0.05 / math.sqrt(10)) for sign in (-1, 1))
    assert spread_of(ci_low=low, ci_high=high, blocks=10) == pytest.approx(0.05, rel=1e-3)
    needed = blocks_needed(ratio=1 + least, ci_low=low, ci_high=high, blocks=10, delta=0.001)
    assert needed == 11, "one more than the ten at which it is just missed"


# ---- servers by their commands -----------------------------------------------------------------------------------


def test_a_command_is_stopped_with_what_it_started(tmp_path: Path) -> None:
    command = stand_in(tmp_path, "port={port}")
    with launch_command(f"sh -c '{command} & wait'") as server:
        family = [psutil.Process(pid) for pid in server.pids]
        assert len(family) >= 2
        assert server.alive
    assert psutil.wait_procs(family, timeout=60)[1] == []


def test_a_server_that_listens_elsewhere_is_told_where(tmp_path: Path) -> None:
    (tmp_path / "unix.py").write_text(
        "import socket, time\ns = socket.socket(socket.AF_UNIX)\ns.bind('x.sock')\ns.listen()\ntime.sleep(60)"
    )
    with (
        pytest.raises(ServerError, match=r"within 3 s .*it listens on the Unix socket x\.sock"),
        launch_command(f"{sys.executable} unix.py {{port}}", start_timeout_s=3),
    ):
        pass


def test_a_command_that_dies_is_told_by_its_exit() -> None:
    with pytest.raises(ServerError, match=r"before it listened on port \d+"), launch_command("sh -c 'exit 7; {port}'"):
        pass


def test_what_a_command_leaves_behind_when_it_ends_is_ended(tmp_path: Path) -> None:
    script = f"sleep 600 & echo $! > {tmp_path}/pid; exit 7; {{port}}"
    with pytest.raises(ServerError, match="exit code 7"), launch_command(f'sh -c "{script}"'):
        pass
    left = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE


def test_the_last_line_of_a_command_cannot_write_on_the_terminal_as_it_likes() -> None:
    command = f'{sys.executable} -c \'print("\\x1b[2Jgone"); exit("{{port}}" and 7)\''
    with pytest.raises(ServerError) as caught, launch_command(command):
        pass
    assert "gone" in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_command_ends_with_the_process_that_wanted_it(tmp_path: Path) -> None:
    command = stand_in(tmp_path, "port={port}")
    code = (
        "import time\nfrom grpclab.servers.process.launcher import launch_command\n"
        f"with launch_command({command!r}) as server:\n print(*server.pids, flush=True)\n time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        family = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    assert family
    assert psutil.wait_procs(family, timeout=60)[1] == []


# ---- pure --------------------------------------------------------------------------------------------------------


def test_an_open_loop_is_judged_by_its_tail_and_every_metric_is_compared_once() -> None:
    load = TrialConfig().replace({"load.rate_rps": 100.0, "load.requests": 1000})
    sides = {name: Side(label=name, config=load) for name in "ab"}
    plan = document(compare_design.plan(sides, blocks=6, delta=0.03))
    assert plan["headline"]["metric"] == "latency_p99_s"
    assert [row["metric"] for row in plan["comparisons"]] == [m for m in compare_design.OTHERS if m != "latency_p99_s"]


def test_a_command_without_its_port_is_refused() -> None:
    with pytest.raises(UsageError, match="has no port"):
        Subject(target=Command("./server")).check()
