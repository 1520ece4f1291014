"""The edges of slices: planted differences and a stall, measured in slices of three lengths and in one window."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis.inference.ratios import ALPHA, Floats, t_quantile
from grpclab.calibration import pairs, sliced_stall
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan, core_plan, shuffled
from grpclab.calibration.resampling import finite
from grpclab.calibration.sliced_stall import WINDOW, figures
from grpclab.errors import MeasurementError
from grpclab.factors.config import TrialConfig
from grpclab.factors.defaults import LOAD
from grpclab.factors.levels import Level
from grpclab.factors.variants import OPTIMIZED
from grpclab.load.core.slices import SliceLengths, closed_lengths
from grpclab.load.run import LoadRun
from grpclab.metrics import PERCENTILES
from grpclab.report.tables import Cell, Cells, Table, bold
from grpclab.study.set_up import SetUp, set_up
from grpclab.study.target import Subject
from grpclab.study.trial_progress import say
from grpclab.study.trial_result import TrialIdentity
from grpclab.system.environment import CorePlan
from grpclab.system.temporary import TemporaryFolder

A, B, RATIO = "a", "b", "ratio"
TIMES = (1, 2, 4)
"""The counted stretches, in those that are chosen after the warm-up."""
STALL = "stall"
FEWEST_ROUNDS = 6
CLOSE = 0.02
"""Levels that differ by no more than this are taken to agree."""
SPARE = 3
"""Passes are made so many times over at most, where slices are invalid."""
LEAD_S = 0.2
"""Of load before a window: its callers begin in half of it, which is longer than any call."""


@dataclass(frozen=True, kw_only=True)
class PlantedCase:
    """A planted difference: settings of both sides, and those of the candidate, or the work that makes it so slow."""

    title: str
    both: Mapping[str, Level]
    candidate: Mapping[str, Level] = field(default_factory=dict)
    slower: float = 0.0


CASES: dict[str, PlantedCase] = {
    "small": PlantedCase(title="1.05× by extra work, 64 in flight", both={"load.concurrency": 64}, slower=1.05),
    "large": PlantedCase(title="4× by extra work, 8 in flight", both={"load.concurrency": 8}, slower=4.0),
    "per-call": PlantedCase(
        title="4× by extra work, one channel per call, 8 in flight",
        both={"load.concurrency": 8, "client.pooling": "per_call"},
        slower=4.0,
    ),
    "waiting": PlantedCase(
        title="1.05× by waiting, 5 ms with 10 threads, 64 in flight",
        both={
            "load.concurrency": 64,
            "server.threads": 10,
            "server.spare_threads": 0,
            "server.handler_wait_ms": "5",
        },
        candidate={"server.handler_wait_ms": "5.25"},
    ),
    "link": PlantedCase(
        title="4× by waiting, over the 20 ms link, 8 in flight",
        both={"load.concurrency": 8, "link.rtt_ms": 20.0},
        candidate={"server.handler_wait_ms": "60"},
    ),
}


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure_cases` at the sizes of a plan."""
    return measure_cases(
        core_plan(),
        rounds=max(1, round(20 * min(1.0, plan.scale))) if plan.full else min(plan.rounds, 3),
        counted_s=plan.seconds(0.4, 1.0),
        window_s=plan.seconds(1.0, 2.0),
        stall_s=plan.seconds(0.4, 1.0),
        seed=plan.seed,
    )


def measure_cases(
    cores: CorePlan,
    *,
    rounds: int,
    counted_s: float,
    window_s: float,
    stall_s: float,
    seed: int,
    cases: Mapping[str, PlantedCase] = CASES,
) -> pd.DataFrame:
    """Each case on one pair of servers, all lengths in turn in each round; and the stall, in slices and in one window.

    One row a case, round, length and side: case, round, times (of the chosen counted stretch; 0: one window), side,
    throughput_rps, latency_NAME_s of each percentile (NaN where there are too few calls), slices, slice_s (counted),
    limited_by, stall_s, failed. Raises MeasurementError.
    """
    rows: list[dict[str, object]] = []
    for name, case in cases.items():
        configs = sides(case, cores=cores, seed=seed, counted_s=min(0.5, counted_s))
        with both_up(configs, cores) as up:
            warm = {side: each.generator.warm_up() for side, each in up.items()}
            chosen = closed_lengths(warm.values())
            for number in range(rounds):
                for times in shuffled([str(each) for each in (WINDOW, *TIMES)], seed, number):
                    brought = _way(
                        up,
                        chosen,
                        int(times),
                        order=f"{seed}/{name}/{number}/{times}",
                        counted_s=counted_s,
                        window_s=window_s,
                    )
                    for side, row in brought.items():
                        rows.append({"case": name, "round": number, "times": int(times), "side": side, **row})
        say(f"slices: {case.title}, {qty.count(rounds, 'round')}")
    for length in (1, WINDOW):
        rows.append(
            {
                "case": STALL,
                "round": 0,
                "times": length,
                "side": A,
                **sliced_stall.stalled(cores, length, stall_s, seed),
            }
        )
    return pd.DataFrame(rows)


def sides(case: PlantedCase, *, cores: CorePlan, seed: int, counted_s: float) -> dict[str, TrialConfig]:
    """The two configurations of a case."""
    base = OPTIMIZED.replace({**LOAD, "load.engine": "wire", "load.requests": None, **case.both})
    candidate = dict(case.candidate)
    if case.slower:
        candidate["server.handler_work_us"] = pairs.work_us(
            base, case.slower, cores=cores, seed=seed, counted_s=counted_s, rounds=2
        )
    return {A: base, B: base.replace(candidate)}


@contextlib.contextmanager
def both_up(configs: Mapping[str, TrialConfig], cores: CorePlan) -> Iterator[dict[str, SetUp]]:
    """Both servers with their generators, up at the same time."""
    with TemporaryFolder() as root, contextlib.ExitStack() as stack:
        up = {}
        for side, config in configs.items():
            (root / side).mkdir()
            identity = TrialIdentity(study=pairs.STUDY, trial=side, configuration=side)
            up[side] = stack.enter_context(
                set_up(config, root / side, cores=cores, identity=identity, subject=Subject())
            )
        yield up


def _way(
    up: Mapping[str, SetUp], chosen: SliceLengths, times: int, *, order: str, counted_s: float, window_s: float
) -> dict[str, dict[str, object]]:
    """Both sides in slices of so many times the chosen length, or in a window each; without figures where it failed."""
    lengths = SliceLengths(ramp_s=chosen.ramp_s, counted_s=chosen.counted_s * times)
    slice_s = lengths.counted_s if times else window_s
    passes = max(2, math.ceil(counted_s / slice_s)) if times else 0
    drawn = random.Random(order)
    try:
        runs = _sliced(up, lengths, passes, drawn) if times else _windows(up, window_s, drawn)
    except MeasurementError as error:
        say(f"slices: a round failed: {error}")
        return {side: {"slices": passes, "slice_s": slice_s, "limited_by": "", "failed": str(error)} for side in up}
    return {
        side: {**figures(run, up[side].generator), "slices": passes, "slice_s": slice_s, "failed": ""}
        for side, run in runs.items()
    }


def _windows(up: Mapping[str, SetUp], window_s: float, drawn: random.Random) -> dict[str, LoadRun]:
    order = drawn.sample(list(up), len(up))
    return {side: up[side].generator.measure(warmup_s=LEAD_S, window_s=window_s) for side in order}


def _sliced(up: Mapping[str, SetUp], lengths: SliceLengths, passes: int, drawn: random.Random) -> dict[str, LoadRun]:
    left = dict.fromkeys(up, passes)
    for each in up.values():
        each.generator.open_slices()
    for _ in range(SPARE * passes):  # those that are invalid are measured again
        for side in drawn.sample([side for side in up if left[side]], sum(map(bool, left.values()))):
            left[side] -= not up[side].generator.slice(lengths).invalid
        if not any(left.values()):
            break
    return {side: each.generator.close_slices() for side, each in up.items()}


# ---- what is made of the frame ---------------------------------------------------------------------------------

QUANTITIES = {"throughput_rps": "throughput", **{f"latency_{name}_s": name for name in PERCENTILES}}


def cases_of(frame: pd.DataFrame) -> list[str]:
    """The cases that were measured, the stall apart."""
    return [name for name in CASES if (frame["case"] == name).any()]


def differences(frame: pd.DataFrame, case: str) -> pd.DataFrame:
    """Slices of each length against the window, within the rounds: what, quantity, times, mean, half, rounds.

    `what` is a side or the ratio of both; mean and half are of ln, the interval mean -/+ half holding for all of the
    case's at once (95%, Bonferroni). Quantities of which the rounds are too few are left out.
    """
    found = []
    rows = frame[frame["case"] == case]
    for quantity in QUANTITIES:
        if quantity not in rows or not rows[quantity].gt(0).any():
            continue
        logs = rows.assign(ln=np.log(rows[quantity]))
        table = logs.pivot(index="round", columns=["side", "times"], values="ln")
        for what in (A, B, RATIO):
            for times in TIMES:
                values = {side: (table[side, times] - table[side, WINDOW]).to_numpy() for side in (A, B)}
                differs = finite(values[B] - values[A] if what == RATIO else values[what])
                if len(differs) >= FEWEST_ROUNDS:
                    found.append({"what": what, "quantity": quantity, "times": times, "sample": differs})
    told = []
    for each in found:
        sample = np.asarray(each.pop("sample"), dtype=np.float64)
        quantile = t_quantile(1 - ALPHA / (2 * len(found)), len(sample) - 1)
        half = quantile * float(sample.std(ddof=1)) / math.sqrt(len(sample))
        told.append({**each, "mean": float(sample.mean()), "half": half, "rounds": len(sample)})
    return pd.DataFrame(told, columns=["what", "quantity", "times", "mean", "half", "rounds"])


def claims(frame: pd.DataFrame) -> list[Claim]:
    """Slices of every length and the window agree; the stall is the same."""
    told = []
    for case in cases_of(frame):
        found = differences(frame, case)
        ratio = found["what"] == RATIO
        holds_0 = found["mean"].abs() <= found["half"]
        near = found["mean"].abs() + found["half"] <= math.log1p(CLOSE)
        goals = {"B over A": (ratio, holds_0), "the figures of each side": (~ratio, holds_0 | near)}
        for what, (rows, agree) in goals.items():
            about = "" if what == "B over A" else f", or lies within {qty.percent(CLOSE)}"
            told.append(
                Claim(
                    claim=(
                        f"{CASES[case].title}: {what}, in slices of 1, 2 and 4 times the chosen length against one "
                        "window"
                    ),
                    goal=f"every interval of the difference contains 0{about}",
                    measured=_worst(found[rows], agree[rows]),
                    holds=bool(agree[rows].all()) if rows.any() else None,
                )
            )
    return [*told, *sliced_stall.claims(frame[frame["case"] == STALL])]


def _worst(found: pd.DataFrame, agree: pd.Series) -> str:
    """How many agree, and the one that does so least."""
    if not len(found):
        return f"fewer than {FEWEST_ROUNDS} rounds"
    worst = found.iloc[int((found["mean"].abs() - found["half"]).to_numpy().argmax())]
    side = "" if worst["what"] == RATIO else f" of {str(worst['what']).upper()}"
    name, times = QUANTITIES[str(worst["quantity"])], int(worst["times"])
    figure = f"{100 * float(worst['mean']):+.1f} ± {100 * float(worst['half']):.1f}%"
    return f"{int(agree.sum())} of {len(found)}, the worst {name}{side} at {times}×: {figure}"


def body(frame: pd.DataFrame) -> Table:
    """The ratio of both sides by case and length, with what slices make of each."""
    rows: list[Cells] = []
    for case in cases_of(frame):
        mine = frame[frame["case"] == case]
        rows.append([CASES[case].title])
        table = mine.pivot(index="round", columns=["side", "times"])
        for times in (*TIMES, WINDOW):
            cells = []
            for quantity in ("throughput_rps", "latency_p50_s", "latency_p99_s"):
                ratios = (table[quantity, B, times] / table[quantity, A, times]).to_numpy(dtype=np.float64)
                logs = finite(np.log(ratios))
                cells.append(_ratio(logs))
            first = mine[mine["times"] == times]
            length = float(first["slice_s"].median())
            name = "one window" if times == WINDOW else f"slices, {times}×"
            rows.append([name, qty.duration(length), *cells, "yes" if (first["limited_by"] != "").any() else "no"])
    header = ["measured in", "counted", "throughput, B over A", "p50", "p99", "generator at its limit"]
    return Table(header=header, rows=rows, label="Planted differences by slice length", numeric={1, 2, 3, 4})


def _ratio(logs: Floats) -> Cell:
    """A geometric mean with its 95% interval."""
    if not len(logs):
        return qty.MISSING
    mean = float(logs.mean())
    if len(logs) < FEWEST_ROUNDS:
        return f"{math.exp(mean):.3f}"
    half = t_quantile(1 - ALPHA / 2, len(logs) - 1) * float(logs.std(ddof=1)) / math.sqrt(len(logs))
    return bold(f"{math.exp(mean):.3f}"), f" ({math.exp(mean - half):.3f} to {math.exp(mean + half):.3f})"


EXPERIMENT = Experiment(
    title="The edges of slices",
    question=(
        "Most of a short slice is taken up by its edges. Do slices still give the same result as one long window? "
        "Known differences between two servers are measured in slices of the chosen length, of twice and of four "
        "times that length, and in one window, in turn. In addition, an open loop measures a server that stalls, in "
        "slices and in one window."
    ),
    sized=sized,
    claims=claims,
    body=body,
)
