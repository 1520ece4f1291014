"""What the tests of the generator share."""

from __future__ import annotations

from typing import Any, Literal

from grpclab.factors.config import ClientConfig, LoadConfig, TrialConfig
from grpclab.load.core.slices import Slice, SliceLengths, StretchFigures
from grpclab.load.generator import Generator
from grpclab.load.run import LoadRun

Pooling = Literal["per_call", "shared", "pool"]


def load(client: ClientConfig | None = None, **levels: Any) -> TrialConfig:
    """A configuration of client and load; without warm-up, unless asked for."""
    return TrialConfig(client=client or ClientConfig(), load=LoadConfig(**{"warmup_s": 0, **levels}))


def by_status(run: LoadRun) -> dict[str, int]:
    """How many calls ended how, the good ones too."""
    return {"OK": run.summary.requests - run.summary.errors} | run.summary.errors_by_status


def slices_until(generator: Generator, lengths: SliceLengths, count: int, *, started: int = 0) -> list[Slice]:
    """Slices until so many of them count and have so many calls: on a busy machine some are late, or without one."""
    slices: list[Slice] = []
    while sum(each.started >= started for each in counting(slices)) < count:
        slices.append(generator.slice(lengths))
        assert len(slices) < 20 * count, slices[-1].invalid
    return slices


def stretches(generator: Generator) -> list[StretchFigures]:
    """The figures of the slices that count, none of which follows."""
    return [each.stretch for each in counting(generator.finish_slices()) if each.stretch is not None]


def counting(slices: list[Slice]) -> list[Slice]:
    """The slices that count."""
    return [each for each in slices if not each.invalid]
