"""The parameters of a study: flat and typed, as papermill, a notebook cell or the command line give them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grpclab.errors import DesignError, FactorError, did_you_mean, invalid
from grpclab.factors.config import FACTORS
from grpclab.factors.defaults import COMPARISON_BUDGET_S
from grpclab.factors.levels import Level
from grpclab.factors.registries import ENGINES
from grpclab.quantities import in_unit
from grpclab.study import values
from grpclab.system.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from grpclab.analysis.study_plan import StudyPlan
    from grpclab.factors.config import TrialConfig

SWEPT = ("stream_limits", "keepalive_s", "pool_sizes")
NO_BULK = ("concurrency", "windows_kib", *SWEPT, "rtt_ms")
OF_FEATURES = ("implementation", "rate")
"""Parameters that several designs do not use."""
AUTO, NO_BUDGET, NO_RATE = "auto", "none", "none"
SYNC, ASYNCIO, BOTH = "sync", "asyncio", "both"
BUDGETS_S = {"default": 720.0, "production": 600.0}
"""The budgets of wall time that designs have by themselves, for one implementation."""
TAKEN = ("calibration", "index", "readme")
"""What lies under results/ and reports/ beside studies."""
TAKEN_WORDS = (
    "README, index, calibration and calibration-..., in any case, are reserved for files beside the reports of studies"
)


def _parameter(default: Any, meaning: str) -> Any:
    return dataclasses.field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, kw_only=True)
class StudyParameters:
    """The parameters of a study: those of ``sweep.ipynb`` and the options of ``grpclab study``.

    A list can be written as a string: ``"1,8,64"``.

    Raises DesignError for an invalid value, in one line that names the parameter and the value.
    """

    study: str = _parameter("auto", "folder under results/; auto: named after the design and its parameters")
    design: str = _parameter(
        "default",
        "default, quick (15 configurations), idle (keepalive), desk, production or replication",
    )
    requests: int = _parameter(2500, "number of calls in each measured window")
    concurrency: tuple[int, ...] = _parameter(
        (1, 8, 64, 256), "numbers of calls in flight for the throughput curves; comparisons use 64"
    )
    blocks: int = _parameter(6, "number of passes over all configurations; fewer than 6 cannot give a verdict")
    windows_kib: tuple[int, ...] = _parameter((64, 1024, 16_384), "HTTP/2 windows of the bulk scenario, KiB")
    stream_limits: tuple[int, ...] = _parameter((8, 10_000), "limits on concurrent calls per connection")
    keepalive_s: tuple[float, ...] = _parameter((0.0, 60.0), "seconds after which to ping an idle connection; 0: never")
    pool_sizes: tuple[int, ...] = _parameter((1, 4, 16), "sizes of the client's connection pool")
    rtt_ms: float = _parameter(20.0, "round-trip time of the emulated link in the bulk scenario, milliseconds")
    engine: str = _parameter(
        "grpcio", "load generator, grpcio or wire; basic and optimized are also measured with the other engine"
    )
    profile: bool = _parameter(True, "profile basic and optimized with py-spy after their windows")
    seed: int = _parameter(1, "seed for the order of the trials")
    max_trial_s: float = _parameter(2.0, "maximum length of the measured window, seconds")
    cluster: str = _parameter(
        "",
        "Dask cluster that measures the blocks: local:N, or its scheduler's address; empty: this machine",
    )
    implementation: str = _parameter("sync", "servers that the production design measures: sync, asyncio or both")
    rate: str = _parameter(
        "auto",
        "calls/s for the p99 in production, or two (sync,asyncio); auto: half the throughput; none: no p99",
    )
    budget: str = _parameter(
        "auto",
        "time budget for all blocks, e.g. 12m; none: no limit; auto: 12m, production 10m (both: 20m)",
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, CHECKS[field.name](field.name, getattr(self, field.name)))
        if len(self.rates_rps) > len(self.implementations):
            raise _refusal("rate", self.rate, "at most one rate for each implementation")

    @classmethod
    def from_namespace(cls, namespace: Mapping[str, Any]) -> StudyParameters:
        """The parameters from a notebook's variables.

        papermill only warns about a name that no cell declares, and assigns it anyway. Any plain value that is not a
        parameter is therefore an error here, which suggests the nearest name.
        """
        parameters = cls(**plain_values(namespace, [field.name for field in dataclasses.fields(cls)]))
        standard = cls()
        changed = [f.name for f in dataclasses.fields(cls) if getattr(parameters, f.name) != getattr(standard, f.name)]
        refuse_without_part(parameters.design, changed)
        return parameters

    @property
    def budget_s(self) -> float | None:
        """The time budget of the study, in seconds; None if there is no limit."""
        if self.budget == AUTO and self.design in BUDGETS_S:
            return BUDGETS_S[self.design] * len(self.implementations)
        return budget_seconds("budget", self.budget)

    @property
    def implementations(self) -> tuple[str, ...]:
        """Those of the server that are measured."""
        return (SYNC, ASYNCIO) if self.implementation == BOTH else (self.implementation,)

    @property
    def rates_rps(self) -> tuple[float, ...]:
        """The rates of open loops, for each implementation or for all; empty without any."""
        return () if self.rate in (AUTO, NO_RATE) else tuple(float(word) for word in self.rate.split(","))

    def rate_of(self, implementation: str) -> float | None:
        """The rate of an implementation's open loops; None without."""
        rates = self.rates_rps
        return rates[self.implementations.index(implementation) % len(rates)] if rates else None

    def as_dict(self) -> dict[str, Any]:
        """The parameters for the manifest, with lists instead of tuples."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class Design:
    """What ``--design NAME`` plans; another package can register a design as well.

    ``plan(parameters, server_cores)`` returns the plan of the study for a server that may use that many cores. `unused`
    are the parameters that the design does not use; setting one of them is an error. If `rates_of` is set,
    ``rate=auto`` becomes this share of the throughput of each of those configurations, which are measured before the
    study is planned.
    """

    question: str
    plan: Callable[[StudyParameters, int], StudyPlan]
    unused: tuple[str, ...] = OF_FEATURES
    rates_of: Callable[[StudyParameters], Sequence[TrialConfig]] | None = None
    rate_share: float = 0.5


DESIGNS: Registry[Design] = Registry(
    "grpclab.designs",
    "design",
    {
        "default": "grpclab.study.designs.default_design:DEFAULT",
        "quick": "grpclab.study.designs.default_design:QUICK",
        "idle": "grpclab.study.designs.idle_design:DESIGN",
        "desk": "grpclab.study.designs.desk_design:DESIGN",
        "production": "grpclab.study.designs.production_design:DESIGN",
        "replication": "grpclab.study.designs.replication_design:DESIGN",
    },
)


def refuse_without_part(design: str, names: Iterable[str], written: str = "{}") -> None:
    """Raise DesignError if the design does not use one of the parameters; `written` is how the user writes it.

    An unknown design is reported where the parameters are checked.
    """
    for name in names if design in DESIGNS else ():
        if name in DESIGNS[design].unused:
            users = ", ".join(other for other, one in DESIGNS.items() if name not in one.unused)
            option = written.format(name.replace("_", "-") if written != "{}" else name)
            raise DesignError(f"{option} is not used by design={design}: remove it, or use it with {users}")


def plain_values(namespace: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The plain values among a notebook's variables. Raises DesignError for one that has none of these names."""
    plain = {
        name: value
        for name, value in namespace.items()
        if name in names or (_is_plain(value) and not name.startswith("_") and name not in ("In", "Out"))
    }
    for name in plain:
        if name not in names:
            hint = did_you_mean(name, names) or f"expected one of {', '.join(names)}"
            raise DesignError(f"unknown parameter {name!r}: {hint}")
    return plain


def _is_plain(value: object) -> bool:
    return isinstance(value, (int, float, str, list, tuple))


def _refusal(name: str, value: object, expected: str) -> DesignError:
    return DesignError(invalid(name, value, expected))


def number(
    kind: type, *, minimum: float, maximum: float, wanted: str, unit: str | None = None
) -> Callable[[str, Any], Any]:
    """A number within bounds. If `unit` is set, it may also be a time, which is converted to that unit."""

    def check(name: str, value: Any) -> Any:
        try:
            level = values.number(value, unit)
        except ValueError:
            raise _refusal(name, value, wanted) from None
        if not minimum <= float(level) <= maximum or (kind is int and level != level.to_integral_value()):
            raise _refusal(name, value, wanted)
        return kind(level)

    return check


def _levels(factor: str, wanted: str, zero_is_none: bool = False) -> Callable[[str, Any], Any]:
    """Distinct levels of a factor, out of ``"1,8"``, a single number or a list."""

    def check(name: str, value: Any) -> tuple[Level, ...]:
        words = re.split(r"[,\s]+", value.strip()) if isinstance(value, str) else value
        words = words if isinstance(words, (list, tuple)) else [words]
        levels: list[Level] = []
        try:
            for word in words:
                zero = zero_is_none and in_unit(str(word), FACTORS[factor].time_unit or "s") == 0
                levels.append(0.0 if zero else FACTORS[factor].parse(str(word)))
        except (FactorError, ValueError, OverflowError):
            raise _refusal(name, value, wanted) from None
        if not levels or None in levels:
            raise _refusal(name, value, wanted)
        return tuple(dict.fromkeys(levels))

    return check


def budget_seconds(name: str, value: Any) -> float | None:
    """The seconds of a budget; None for ``none`` and for ``auto``. Raises DesignError."""
    word = _budget(name, value)
    return None if word in (AUTO, NO_BUDGET) else float(word)


def comparison_budget(name: str, value: Any, blocks: int | None) -> float | None:
    """The same for a comparison, which has COMPARISON_BUDGET_S for ``auto`` unless its `blocks` are given."""
    return COMPARISON_BUDGET_S if blocks is None and _budget(name, value) == AUTO else budget_seconds(name, value)


def _budget(name: str, value: Any) -> str:
    """A time in seconds as text, ``auto`` or ``none``."""
    word = value.strip().lower() if isinstance(value, str) else value
    if word in (AUTO, NO_BUDGET):
        return str(word)
    wanted = f"seconds from 10 to 10^6, a time such as 12m, {NO_BUDGET} or {AUTO}"
    seconds: float = number(float, minimum=10, maximum=1e6, unit="s", wanted=wanted)(name, value)
    return f"{seconds:g}"


def _rate(name: str, value: Any) -> str:
    """Rates in calls per second as text, ``auto`` or ``none``."""
    word = value.strip().lower() if isinstance(value, str) else value
    if word in (AUTO, NO_RATE):
        return str(word)
    wanted = f"calls per second from 1 to 10^6, {NO_RATE} or {AUTO}"
    check = number(float, minimum=1, maximum=1e6, wanted=wanted)
    parts = word.split(",") if isinstance(word, str) else [value]
    try:
        return ",".join(f"{check(name, part):g}" for part in parts)
    except DesignError:
        raise _refusal(name, value, wanted) from None


def _word_of(words: Sequence[str]) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        word = value.strip().lower() if isinstance(value, str) else value
        if word not in words:
            raise _refusal(name, value, f"{', '.join(words[:-1])} or {words[-1]}")
        return word

    return check


def _one_of(registry: Registry[Any]) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        word = value.strip().lower() if isinstance(value, str) else value
        if word not in registry:
            raise DesignError(invalid(name, value, f"one of {', '.join(registry)}", registry))
        return word

    return check


def study_name(name: str, value: Any) -> str:
    """A name that a folder under results/ may have; a number or a date is taken as it was written. Raises
    DesignError."""
    try:
        word = values.text(value)
    except ValueError:
        word = ""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", word):
        raise _refusal(name, value, "at most 64 letters, digits, '.', '_' and '-', starting with a letter or digit")
    if word.lower() in TAKEN or word.lower().startswith("calibration-"):
        raise _refusal(name, value, f"another name: {TAKEN_WORDS}")
    return word


def name_of_file(path: Path) -> str:
    """The name of the study in a file. Raises DesignError for a file whose name cannot be the name of a study."""
    try:
        return study_name("study", path.stem)
    except DesignError as error:
        raise DesignError(f"{error}; choose another one with --study NAME") from None


def _cluster(name: str, value: Any) -> str:
    """The word for a cluster, which is looked at where it is opened; "" for none. Raises DesignError."""
    word = values.text(value) if isinstance(value, str) else ""
    if word or value in ("", None):
        return word
    raise _refusal(name, value, "local:N, or the address of a Dask scheduler")


def switch(name: str, value: Any) -> bool:
    """True or false. Raises DesignError."""
    try:
        return values.switch(value)
    except ValueError:
        raise _refusal(name, value, "true or false") from None


CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "study": study_name,
    "design": _one_of(DESIGNS),
    "requests": number(int, minimum=1, maximum=100_000_000, wanted="a whole number of calls from 1 to 100,000,000"),
    "concurrency": _levels("load.concurrency", "whole numbers of calls in flight, e.g. 1,8,64"),
    "blocks": number(int, minimum=1, maximum=1000, wanted="a whole number of blocks from 1 to 1000"),
    "windows_kib": _levels("client.window_kib", "window sizes in KiB, e.g. 64,1024"),
    "stream_limits": _levels("server.max_concurrent_streams", "whole numbers of streams, e.g. 8,10000"),
    "keepalive_s": _levels("client.keepalive_s", "seconds, 0 for off, e.g. 0,60", zero_is_none=True),
    "pool_sizes": _levels("client.connections", "whole numbers of connections, e.g. 1,4,16"),
    "rtt_ms": number(
        float, minimum=0, maximum=10_000, unit="ms", wanted="milliseconds from 0 to 10000, or a time such as 20ms"
    ),
    "engine": _one_of(ENGINES),
    "profile": switch,
    "seed": number(int, minimum=0, maximum=10**18, wanted="a whole number from 0 to 10^18"),
    "budget": _budget,
    "cluster": _cluster,
    "implementation": _word_of((SYNC, ASYNCIO, BOTH)),
    "rate": _rate,
    "max_trial_s": number(
        float, minimum=0.05, maximum=3600, unit="s", wanted="seconds from 0.05 to 3600, or a time such as 1m30s"
    ),
}
"""What takes each parameter as what it can mean, and raises DesignError where it can mean nothing."""
