"""What the tests of the generator share."""

from __future__ import annotations

from typing import Any, Literal

from grpclab.factors.config import ClientConfig, LoadConfig, TrialConfig
from grpclab.load.run import LoadRun

Pooling = Literal["per_call", "shared", "pool"]


def load(client: ClientConfig | None = None, **levels: Any) -> TrialConfig:
    """A configuration of client and load; without warm-up, unless asked for."""
    return TrialConfig(client=client or ClientConfig(), load=LoadConfig(**{"warmup_s": 0, **levels}))


def by_status(run: LoadRun) -> dict[str, int]:
    """How many calls ended how, the good ones too."""
    return {"OK": run.summary.requests - run.summary.errors} | run.summary.errors_by_status
