"""The result of ``grpclab bench``, as text, in a notebook or as a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grpclab.errors import WorkerError
from grpclab.load.result import LoadResult
from grpclab.system.optional import needs

if TYPE_CHECKING:
    import pandas as pd


class PartialLoadError(WorkerError):
    """A load that ended because a generator process was lost; `partial` is what was measured.

    In a cluster that is the part of the others; without one, the rates of a schedule before that.
    """

    def __init__(self, text: str, partial: BenchResult) -> None:
        super().__init__(text)
        self.partial = partial


@dataclass(frozen=True, kw_only=True, repr=False)
class BenchResult(LoadResult):
    """The result of a load test of one server, which can be shown as text, in a notebook or as a frame."""

    def to_frame(self) -> pd.DataFrame:
        """One row per call, in order of their start: `start_s` since the window opened, `late_s`, `latency_s`,
        `status`.

        A schedule adds `rate_rps`, the rate of the call's step; a mix adds `call`, the name of the call.
        """
        from grpclab.load.output.call_columns import calls_by_start
        from grpclab.status import RECORDED_NAMES

        columns, coded = calls_by_start(self), _pandas().Categorical.from_codes
        frame: pd.DataFrame = _pandas().DataFrame(
            {
                "start_s": columns.start_s,
                "late_s": columns.late_s,
                "latency_s": columns.latency_s,
                "status": coded(columns.status.astype("int16"), RECORDED_NAMES),
            }
        )
        if columns.call is not None:
            frame = frame.assign(call=coded(columns.call.astype("int16"), [call.name for call in self.calls]))
        return frame.assign(rate_rps=columns.rate_rps) if self.steps else frame

    def steps_frame(self) -> pd.DataFrame:
        """One row per step of a schedule."""
        from grpclab.load.output.formats import step_row

        frame: pd.DataFrame = _pandas().DataFrame([step_row(step) for step in self.steps])
        return frame

    def to_text(self, name: str = "summary") -> str:
        """The result in one of the formats of ``grpclab bench --format``, e.g. ``html``. Raises UsageError."""
        from grpclab.load.output.exporters import FORMATS

        return "".join(FORMATS[name](self))

    def __str__(self) -> str:
        from grpclab.load.output.render import render

        return render(self)

    def __repr__(self) -> str:
        from grpclab.load.output.render import one_line

        return f"<BenchResult {one_line(self)}>"

    def _repr_html_(self) -> str:
        from grpclab.load.output.html import render_html

        return render_html(self)


def _pandas() -> Any:
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise needs("a frame", "pandas", "study") from None
    return pd
