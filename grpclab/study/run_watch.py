"""What is told of a study while it runs, and when it stops because its trials fail."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence

from grpclab.errors import MeasurementError
from grpclab.study.model import StoredResult
from grpclab.study.target import Subject
from grpclab.study.trial_progress import Failing, Progress


class RunWatch:
    """Follows the run of a study.

    `total` is the number of its trials, `valid` whether one of them was valid before. `kept` says where the measured
    ones are, and how to go on.
    """

    def __init__(
        self,
        subjects: Mapping[str, Subject],
        *,
        total: int,
        stored: int,
        valid: bool,
        kept: str,
        write: Callable[[str], None],
    ) -> None:
        self._subjects, self._total, self._kept = subjects, total, kept
        self._progress = Progress(total=total, stored=stored, write=write)
        self._failing = Failing(valid=valid)
        self._left_out: set[str] = set()
        self.say = self._progress.say

    @property
    def valid(self) -> bool:
        """Whether a trial has been valid so far."""
        return self._failing.valid

    def expect(self, total: int) -> None:
        """From now on so many trials are expected in all."""
        self._total = total
        self._progress.expect(total)

    def require_allowance(self, names: Iterable[str]) -> None:
        """Raise MeasurementError where nothing more may be sent to the server of one of these configurations."""
        for name in names:
            if reason := self._subjects.get(name, Subject()).over:
                raise MeasurementError(reason)

    def finished(self, results: Sequence[StoredResult], *, again: Container[str] = ()) -> None:
        """Tell of trials that were measured together; those in `again` were told before.

        Raises MeasurementError where all have failed alike so far.
        """
        self._progress.finished_together({result.trial: result for result in results}, again=again)
        enough = [self._failing.enough(result) for result in results]
        if any(enough) and not self._failing.valid:
            raise MeasurementError(f"stopped: {self._failing.summary(self._total)}; {self._kept}")

    def left_out(self, name: str, why: str) -> None:
        """Tell, once, that a configuration is left out of the remaining blocks."""
        if name not in self._left_out:
            self.say(f"{name} is left out of the remaining blocks, since it was invalid in its first two: {why}")
            self._left_out.add(name)

    def require_valid(self) -> None:
        """Raise MeasurementError where no trial has been valid."""
        if not self._failing.valid:
            raise MeasurementError(f"{self._failing.summary(self._total)}; {self._kept}")
