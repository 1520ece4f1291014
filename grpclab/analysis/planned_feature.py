"""A feature of a service in the plan of a study: the configurations with it and without it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PlannedFeature:
    """A feature of a service: `alone` has it and `plain` does not, with nothing else between them.

    `whole` has it with all other features, and `without` has all but it; both are "" where it is none of these.
    `implementation` names the server's implementation if that is a further one in the study; "" for the first.
    `steady_plain` and `steady_alone` are the same pair as `plain` and `alone`, in an open loop at the same rate; both
    are "" if latency is not measured.
    """

    name: str = ""
    title: str = ""
    scenario: str = ""
    plain: str = ""
    alone: str = ""
    without: str = ""
    whole: str = ""
    of_client: bool = False
    steady_plain: str = ""
    steady_alone: str = ""
    implementation: str = ""

    @property
    def pairs(self) -> dict[str, tuple[str, str]]:
        """What it is measured by, the baseline first: alone, and where it is one of them, with all other features."""
        together = {"in production": (self.without, self.whole)} if self.without and self.whole else {}
        alone = f"alone, {self.implementation}" if self.implementation else "alone"
        return {"in the client" if self.of_client else alone: (self.plain, self.alone), **together}

    @property
    def steady_pair(self) -> tuple[str, str] | None:
        """The open loops in which its latency is compared, the baseline first; None if it is not measured."""
        return (self.steady_plain, self.steady_alone) if self.steady_plain and self.steady_alone else None

    @property
    def cpu_metric(self) -> str:
        """The CPU time per call of the side that it belongs to."""
        return f"{'client' if self.of_client else 'server'}_cpu_per_call_s"
