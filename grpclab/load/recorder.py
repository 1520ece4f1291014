"""What happened to each call: start, latency, status; 17 bytes a call, no Python object kept."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Records:
    """Calls in the order in which they ended.

    `start_s` float64 (n,), seconds on the workers' common clock; `latency_s` float64 (n,), seconds until the
    answer was complete; `status` uint8 (n,), gRPC status codes.
    """

    start_s: Floats
    latency_s: Floats
    status: Codes

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def end_s(self) -> Floats:
        """When each call was over."""
        return self.start_s + self.latency_s

    def save(self, path: Path) -> None:
        """Write to one ``.npz`` file."""
        with path.open("wb") as file:
            np.savez(file, start_s=self.start_s, latency_s=self.latency_s, status=self.status)

    @classmethod
    def load(cls, path: Path) -> Records:
        """Read what :meth:`save` wrote."""
        with np.load(path) as stored:
            return cls(start_s=stored["start_s"], latency_s=stored["latency_s"], status=stored["status"])

    @classmethod
    def empty(cls) -> Records:
        """No calls."""
        return Recorder().records()


class Recorder:
    """Takes calls as they end."""

    def __init__(self) -> None:
        self._start = array("d")
        self._latency = array("d")
        self._status = array("B")

    def record(self, start_s: float, end_s: float, status: int) -> None:
        """One call is over."""
        self._start.append(start_s)
        self._latency.append(end_s - start_s)
        self._status.append(status)

    def records(self) -> Records:
        """What was recorded so far, copied."""
        return Records(
            start_s=np.array(self._start, dtype=np.float64),
            latency_s=np.array(self._latency, dtype=np.float64),
            status=np.array(self._status, dtype=np.uint8),
        )
