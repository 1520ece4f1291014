"""Progress in plain lines: done, of how many, time left. No widgets: they pull scripts into reports."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import psutil

from grpclab import quantities as qty
from grpclab.system.terminal import clean
from grpclab.text.printable import printable

Clock = Callable[[], float]


class Outcome(Protocol):
    """What is said of a trial, as it was measured or as it is stored."""

    @property
    def valid(self) -> bool:
        """Whether it counts."""

    @property
    def invalid_reason(self) -> str:
        """Why it does not count."""

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """What was measured."""

    @property
    def prepare_s(self) -> float | None:
        """So long its server's preparation took; None without one."""

    @property
    def cleanup_s(self) -> float | None:
        """So long it took to clean up after it."""


class Progress:
    """Counts trials and foretells the end from the mean time that a trial has taken in this run."""

    def __init__(self, *, total: int, stored: int, write: Callable[[str], None], clock: Clock = time.monotonic) -> None:
        self._total, self._done, self._measured = total, stored, 0
        self._write, self._clock = write, clock
        self._begun = clock()

    def finished(self, trial: str, result: Outcome) -> None:
        """One more trial is stored."""
        self.finished_together({trial: result})

    def finished_together(self, results: Mapping[str, Outcome], *, again: Container[str] = ()) -> None:
        """So many more trials, by name, are stored at once; those in `again` were counted before."""
        counted = [name not in again for name in results]
        self._measured += sum(counted)
        left = self._total - self._done - sum(counted)
        eta = f"{self._left(left)} left" if left > 0 else "done"
        width = len(str(self._total))
        for (name, result), counts in zip(results.items(), counted, strict=True):
            self._done += counts
            self._write(f"[{self._done:{width}}/{self._total}] {name:<38} {outcome(result):<34} {eta}")

    def expect(self, total: int) -> None:
        """From now on so many trials are expected in all."""
        self._total = total

    def say(self, line: str) -> None:
        """A line of another kind."""
        self._write(line)

    def _left(self, trials: int) -> str:
        """The time that so many trials take, in words."""
        return qty.rough_duration((self._clock() - self._begun) / max(self._measured, 1) * max(trials, 0))


SILENT_S = 1.0
"""Requests that are encoded within so long are not told."""


class EncodingProgress:
    """Tells in plain lines that requests are being encoded, where that takes long, and how long it took."""

    def __init__(self, write: Callable[[str], None], clock: Clock = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._begun: float | None = None
        self._told = False

    def show(self, encoded: int, planned: int | None) -> None:
        """So many are encoded so far, of so many where that is known."""
        if self._begun is None:
            self._begun = self._clock()
        elapsed_s = self._clock() - self._begun
        if self._told or elapsed_s < SILENT_S:
            return
        self._told = True
        text = f"encoding requests (once per study): {encoded:,}"
        if planned:
            text += f" of {planned:,}, about {qty.rough_duration(elapsed_s * (planned - encoded) / encoded)} left"
        self._write(text)

    def end(self) -> None:
        """All are encoded; what is encoded next is told for itself."""
        if self._told and self._begun is not None:
            self._write(f"requests encoded in {qty.duration(self._clock() - self._begun)}")
        self._begun, self._told = None, False


def outcome(result: Outcome) -> str:
    """A trial's result in a few words."""
    if not result.valid:
        return f"INVALID: {printable(result.invalid_reason, 200)}"
    metrics = result.metrics
    text = f"{metrics['throughput_rps']:>9,.0f} requests/s"
    if (median := metrics["latency_p50_s"]) is not None:
        text += f"  p50 {qty.duration_in(median, 'ms', '.1f')}"
    text += f"  {metrics['errors']:.0f} errors" if metrics["errors"] else ""
    for name, seconds in (("prepare", result.prepare_s), ("cleanup", result.cleanup_s)):
        text += f"  {name} {qty.duration(seconds)}" if seconds is not None else ""
    return text


def say(line: str) -> None:
    """To the notebook or terminal; under papermill also to the terminal behind it, which else stays mute."""
    print(clean(line), flush=True)
    tell_terminal(line)


def tell_terminal(line: str) -> None:
    """To the terminal of papermill or nbconvert, where one of them runs this kernel; nowhere else."""
    terminal = _terminal_behind()
    if terminal is not None:
        with contextlib.suppress(OSError):
            os.write(terminal, f"{clean(line)}\n".encode())


_RUNNERS = ("papermill", "nbconvert", "jupyter-execute")


def _terminal_behind() -> int | None:
    """The kernel's own standard error, which it shares with the program that runs the notebook."""
    stream = getattr(sys.stderr, "_original_stdstream_copy", None)
    if stream is None:
        return None
    with contextlib.suppress(psutil.Error):
        if any(runner in word for word in psutil.Process(os.getppid()).cmdline() for runner in _RUNNERS):
            return int(stream)
    return None


FAILED_ALIKE = 3
"""After so many equal failures and not one valid trial a study stops."""


@dataclass
class Failing:
    """Watches the trials of a study for failures that will not pass. `valid`: whether one was valid."""

    valid: bool
    reasons: list[str] = field(default_factory=list)

    def enough(self, result: Outcome) -> bool:
        """Whether, with this result, it is clear that the others would fail in the same way."""
        if result.valid:
            self.valid = True
        else:
            self.reasons.append(result.invalid_reason or "no reason given")
        # Ports, process ids and counts differ from trial to trial.
        alike = {re.sub(r"\d+", "0", reason) for reason in self.reasons[-FAILED_ALIKE:]}
        return not self.valid and len(self.reasons) >= FAILED_ALIKE and len(alike) == 1

    def summary(self, trials: int) -> str:
        """How many failed, and why the last one did."""
        return (
            f"none of {len(self.reasons)} measured trials (of {trials}) is valid; the last one failed with: "
            f"{self.reasons[-1]}"
        )
