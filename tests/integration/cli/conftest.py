"""`grpclab bench` as a function of its words, measured or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from grpclab.cli import commands
from grpclab.load import bench as bench_module
from grpclab.load.bench_result import BenchResult
from grpclab.load.plan import LoadPlan
from tests.support.command import Bench


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Bench:
    """`grpclab bench` with these words: its exit code, and what it wrote to its two streams."""

    def run(*words: str) -> tuple[int, str, str]:
        code = commands.main(["bench", *words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


class Asked(Exception):  # noqa: N818
    """Carries what `bench` would have measured."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """What `bench` would measure with these words."""

    def stop(target: str, plan: LoadPlan, **more: Any) -> NoReturn:
        raise Asked({"target": target, **vars(plan), **more})

    monkeypatch.setattr(bench_module, "run_bench", stop)

    def ask(*words: str) -> dict[str, Any]:
        with pytest.raises(Asked) as found:
            commands.main(["bench", *words])
        asked: dict[str, Any] = found.value.args[0]
        return asked

    return ask


@pytest.fixture
def gave(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> Callable[..., tuple[int, str, str]]:
    """`bench` with these words after a result that is given, not measured."""

    def run(result: BenchResult, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(bench_module, "run_bench", lambda target, plan, **_: result)
        return bench("-n", "1000", *words)

    return run
