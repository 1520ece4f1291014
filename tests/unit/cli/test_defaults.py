"""Defaults of options: a file of the working folder, a variable, the command line, in this order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from grpclab.cli import commands
from grpclab.cli.parser import Options
from tests.support.watched import Watched


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def observe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with pytest.MonkeyPatch.context() as patch:
        yield Watched(patch, tmp_path_factory.mktemp("options"))


@pytest.fixture
def file(observe: Watched) -> Iterator[Path]:
    """The file of defaults in the folder that the watched commands run in."""
    path = observe.folder / "grpclab.toml"
    yield path
    path.unlink(missing_ok=True)


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit, match=r"^2$"):
        commands.read(words)
    return capsys.readouterr().err


def test_the_command_line_goes_before_a_variable_and_that_before_the_file(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "grpclab.toml").write_text("[compare]\nrequests = 1\nseed = 1\nblocks = 1\nexclusive = true\n")
    monkeypatch.setenv("GRPCLAB_COMPARE_REQUESTS", "2")
    monkeypatch.setenv("GRPCLAB_COMPARE_SEED", "2")
    options = commands.read(["compare", "--requests", "3"])
    assert (options.requests, options.seed, options.blocks, options.exclusive) == ("3", "2", "1", True)
    places = {"seed": "GRPCLAB_COMPARE_SEED", "blocks": "grpclab.toml", "exclusive": "grpclab.toml"}
    assert options.inherited == places


@pytest.mark.parametrize(
    "text", ['set = {"server.threads" = 4}', 'set = ["server.threads=4"]', 'set="server.threads=4"']
)
def test_a_list_may_be_written_as_a_table_a_list_or_a_word(here: Path, text: str) -> None:
    (here / "pyproject.toml").write_text(f"[tool.grpclab.bench]\n{text}\n")
    assert commands.read(["bench"]).settings == ["server.threads=4"]


def test_an_option_that_is_seldom_repeated_is_a_word_unless_there_are_several(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRPCLAB_BENCH_DATA", '{"id": 7}')
    (here / "grpclab.toml").write_text('[bench]\ncall = ["a.B/C=3", "a.B/D"]\n')
    options = commands.read(["bench"])
    assert (options.call, options.data) == (["a.B/C=3", "a.B/D"], '{"id": 7}')
    options = commands.read(["bench", "--call", "a.B/E"])
    assert (options.call, options.data, commands.read(["compare"]).call) == ("a.B/E", '{"id": 7}', None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[bnch]\n", "unknown bnch: did you mean bench?"),
        ("[bench]\nconcurency = 3\n", "bench.concurency: unknown option, did you mean concurrency?"),
        ("[bench]\nallow-remote = true\n", "--allow-remote works only on the command line"),
        ("[bench]\ntls = 1\n", "bench.tls=1: expected true or false"),
        ("[bench]\nrate = [1]\n", "bench.rate=[1]: expected a word or a number"),
        ("[bench]\ndata = {id = 7}\n", "expected a word or a number"),
        ("[bench\n", "grpclab.toml: expected TOML"),
        ("bench = 1\n", "bench=1: expected a table of options"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused_in_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (here / "grpclab.toml").write_text(text)
    error = refused(["bench"], capsys)
    assert said in error
    assert error.count("\n") == 1
    with pytest.raises(SystemExit, match=r"^0$"):
        commands.read(["bench", "--help"])


def test_another_tools_file_is_that_tools_concern(here: Path) -> None:
    for text in ("[project]\nname = 'x'\n", "[project\n# grpclab\n", "[tool.grpclab]\n"):
        (here / "pyproject.toml").write_text(text)
        assert commands.read(["bench"]).inherited == {}


def test_a_bad_value_is_told_with_the_variable_that_holds_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRPCLAB_PROFILE_RATE", "x")
    assert "(--rate is set by GRPCLAB_PROFILE_RATE)" in refused(["profile"], capsys)
    monkeypatch.setenv("GRPCLAB_BENCH_TLS", "perhaps")
    assert "invalid GRPCLAB_BENCH_TLS=perhaps: expected true or false" in refused(["bench"], capsys)
    monkeypatch.delenv("GRPCLAB_BENCH_TLS")
    monkeypatch.setenv("GRPCLAB_BENCH_REQUESTS", "0")
    assert commands.main(["bench"]) == 2
    assert "(--requests is set by GRPCLAB_BENCH_REQUESTS)" in capsys.readouterr().err


def test_a_variable_that_gives_nothing_is_told(observe: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPCLAB_BENCH_CONCURENCY", "3")
    monkeypatch.setenv("GRPCLAB_BENCH_ALLOW_REMOTE", "1")
    seen = observe("bench", "")
    assert "GRPCLAB_BENCH_CONCURENCY is not used: did you mean GRPCLAB_BENCH_CONCURRENCY?" in seen["stderr"]
    assert "GRPCLAB_BENCH_ALLOW_REMOTE is not used: --allow-remote works only on the command line" in seen["stderr"]
    assert (seen["code"], seen["allowance"]) == (0, None)


# ---- a default is no demand --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "words", "text"),
    [
        ("compare", "results/x:a results/y:b", "requests = 7\nblocks = 3\napp = 'a:b'\n"),
        ("compare", "basic optimized", "app = 'a:b'\npython = 'python3'\n"),
        ("compare", "basic optimized --set load.concurrency=3", "concurrency = 9\n"),
        ("study", "--design idle", "requests = 7\njson = 'x.json'\n"),
        ("study", "--file study.toml", "requests = 7\nmax-rate = 9\n"),
        ("serve", "basic", "app = 'a:b'\nstall = ['1s@3s']\n"),
        ("serve", "reference", "desk-host = '127.0.0.1'\nset = {'server.threads' = 4}\n"),
        ("report", "--site out", "allow-mixed = true\n"),
        ("profile", "--pid 5", "server = 'localhost:1'\n"),
        ("bench", "localhost:1", "app = 'a:b'\nmax-rate = 5\n"),
    ],
)
def test_a_default_without_use_is_left_out_where_an_option_would_be_refused(
    observe: Watched, file: Path, command: str, words: str, text: str
) -> None:
    file.write_text(f"[{command}]\n{text}")
    seen = observe(command, words)
    assert seen["code"] in (0, 4), seen["stderr"]


def test_a_file_of_config_goes_before_a_default_of_bench(observe: Watched, file: Path) -> None:
    file.write_text("[bench]\nrequests = 5\nrate = 100\nconcurrency = 3\n")
    seen = observe("bench", "--config bench.toml --set load.rate_rps=50 -c 4")
    assert (seen["config.load.requests"], seen["config.load.rate_rps"], seen["config.load.concurrency"]) == (7, 50.0, 4)


def test_the_command_that_repeats_a_comparison_has_its_defaults(observe: Watched, file: Path) -> None:
    file.write_text("[compare]\nrequests = 77\nexclusive = true\n")
    assert observe("compare", "basic optimized")["again"].endswith("compare basic optimized --requests 77 --exclusive")


def test_values_that_are_zero_are_given() -> None:
    options = Options(zero=0, off=False, none=None, empty=[], inherited={})
    assert [name for name in ("zero", "off", "none", "empty") if options.insists_on(name)] == ["zero"]
