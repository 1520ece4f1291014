"""Verdicts on this machine where the truth is known: a server against itself, and a planted difference."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.analysis import block_ratios
from grpclab.analysis.inference.ratios import valid_trials
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.variants import LOAD, OPTIMIZED
from grpclab.report import theme
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.servers.target import Command
from grpclab.study.comparing import judge, prepare
from grpclab.study.designs.compare_design import SCENARIO
from grpclab.study.sides import A, B, Side
from grpclab.study.target import Subject
from grpclab.study.trial_progress import say
from grpclab.system.subprocesses import module_command
from grpclab.system.temporary import TemporaryFolder

SAME, PLANTED = "same", "planted"
SERVICE_TIMES = {A: "constant:1ms", B: "constant:1.3ms"}
DELTA = 0.05
BLOCKS = 6
"""Of a comparison of the server with itself; those of planted ones come from a pilot."""
MOST_FALSE_SHARE = 0.1
LEAST_FOUND_SHARE = 0.9
PLANTED_LOAD: dict[str, Level] = {
    "load.engine": "wire",
    "load.concurrency": 4,
    "load.duration_s": 1.0,
    "load.requests": None,
    "load.warmup_s": 0.3,
    "client.pooling": "shared",
}


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure` at the sizes of a plan."""
    return measure(same=plan.calls(3, 40), planted=plan.calls(2, 10), seed=plan.seed, scale=min(1.0, plan.scale))


def measure(*, same: int, planted: int, seed: int, scale: float = 1.0) -> pd.DataFrame:
    """A row a comparison: kind, ratio, ci_low, ci_high, blocks, verdict, truth, with_way, noise, trials,
    wall_s.

    `truth` is the ratio of throughput to be expected: 1, or that of the residence times which the reference servers
    told in the same trials, A over B; `with_way` the same with the way to the server and back added to both. `noise`
    is the standard deviation of ln ratio over blocks. `scale` is a factor on the windows.
    """
    rows = []
    for kind, number in ((SAME, same), (PLANTED, planted)):
        for at in range(number):
            row = _compare(_sides(kind, scale), None if kind == PLANTED else BLOCKS, seed=seed + at)
            rows.append({"kind": kind, **row})
            say(f"{kind} {at + 1} of {number}: {row['ratio']:.3f}, {row['verdict']}, {row['blocks']} blocks")
    return pd.DataFrame(rows)


def _sides(kind: str, scale: float) -> dict[str, Side]:
    if kind == SAME:
        config = OPTIMIZED.replace(LOAD | {"load.duration_s": 2.0 * scale})
        return {name: Side(label="optimized", config=config) for name in (A, B)}
    config = TrialConfig().replace(PLANTED_LOAD | {"load.duration_s": 1.0 * scale})
    start = f"{shlex.join(module_command('grpclab'))} serve reference --port {{port}} --service-time"
    return {
        name: Side(label=times, config=config, subject=Subject(target=Command(f"{start} {times}"), residence=True))
        for name, times in SERVICE_TIMES.items()
    }


def _compare(sides: Mapping[str, Side], blocks: int | None, *, seed: int) -> dict[str, object]:
    began = time.monotonic()
    with TemporaryFolder() as folder:
        study = prepare(sides, blocks=blocks, delta=DELTA, seed=seed, study="known", write=_silent, root=folder)
        study.run(_silent)
        result = judge(study)
    one = result.judgement.headline
    pairs = block_ratios(result.trials, scenario=SCENARIO, metric=one.metric, baseline=A, candidate=B)
    return {
        "ratio": one.ratio,
        "ci_low": one.ci_low,
        "ci_high": one.ci_high,
        "blocks": one.blocks,
        "verdict": one.verdict,
        **(_truths(result.trials) if sides[A].subject.residence else {"truth": 1.0, "with_way": 1.0}),
        "noise": float(np.log(pairs["ratio"]).std(ddof=1)),
        "trials": len(result.trials),
        "wall_s": time.monotonic() - began,
    }


def _truths(trials: pd.DataFrame) -> dict[str, float]:
    """The ratio of the residence times, A over B, and that with the way to the server and back added to both.

    A caller of a closed loop waits for the way as well, so that is what throughput can show. Means over blocks of
    logarithms; the way is the median over all trials of mean latency less mean residence time.
    """
    valid = valid_trials(trials)
    way = float((valid["latency_mean_s"] - valid["residence_mean_s"]).median())
    table = valid.pivot_table(index="block", columns="configuration", values="residence_mean_s").dropna()
    by_name = {"truth": table, "with_way": table + way}
    return {name: math.exp(float(np.log(times[A] / times[B]).mean())) for name, times in by_name.items()}


def _silent(_line: str) -> None:
    """Forty comparisons would fill the page with their trials."""


# ---- what is made of the frame ---------------------------------------------------------------------------------


def noise(frame: pd.DataFrame) -> float:
    """This machine's block noise: the root of the mean variance over the comparisons of the server with itself."""
    return math.sqrt(float((frame.loc[frame["kind"] == SAME, "noise"] ** 2).mean()))


def claims(frame: pd.DataFrame) -> list[Claim]:
    """False verdicts are few, planted ones are found, intervals hold the truth."""
    same, planted = frame[frame["kind"] == SAME], frame[frame["kind"] == PLANTED]
    false = int(same["verdict"].isin(["faster", "slower"]).sum())
    slower = int((planted["verdict"] == "slower").sum())
    holding, with_way = (
        int(planted[truth].between(planted["ci_low"], planted["ci_high"]).sum()) for truth in ("truth", "with_way")
    )
    return [
        Claim(
            claim=f"optimized against itself: faster or slower, of {qty.count(len(same), 'comparison')}",
            goal=f"at most {qty.percent(MOST_FALSE_SHARE)}",
            measured=f"{false} of {len(same)}",
            holds=false <= MOST_FALSE_SHARE * len(same) if len(same) else None,
        ),
        Claim(
            claim=f"1.00 against 1.30 ms of work: detected, of {qty.count(len(planted), 'comparison')}",
            goal=f"at least {qty.percent(LEAST_FOUND_SHARE)}",
            measured=f"{slower} of {len(planted)}",
            holds=slower >= LEAST_FOUND_SHARE * len(planted) if len(planted) else None,
        ),
        Claim(
            claim="1.00 against 1.30 ms of work: intervals that contain the ratio of the true times inside the server",
            goal=f"at least {qty.percent(LEAST_FOUND_SHARE)}",
            measured=f"{holding} of {len(planted)}",
            holds=holding >= LEAST_FOUND_SHARE * len(planted) if len(planted) else None,
        ),
        Claim(
            claim=(
                "1.00 against 1.30 ms of work: intervals that contain that ratio with the round trip added to both "
                "times"
            ),
            goal=f"at least {qty.percent(LEAST_FOUND_SHARE)}",
            measured=f"{with_way} of {len(planted)}",
            holds=with_way >= LEAST_FOUND_SHARE * len(planted) if len(planted) else None,
        ),
        Claim(
            claim="this machine's block noise (standard deviation of ln ratio, optimized against itself)",
            measured=qty.percent(noise(frame)),
        ),
    ]


def body(frame: pd.DataFrame) -> FigureBlock:
    """Every comparison with its interval, and the truth."""
    colours = {"faster": theme.CANDIDATE, "slower": theme.CANDIDATE}

    def draw(figure: Figure, narrow: bool) -> None:
        axes = np.ravel(figure.subplots(2 if narrow else 1, 1 if narrow else 2, squeeze=False))
        titles = {SAME: "optimized against itself", PLANTED: "1.00 ms against 1.30 ms"}
        for ax, (kind, title) in zip(axes, titles.items(), strict=True):
            rows = frame[frame["kind"] == kind].sort_values("ratio", ignore_index=True)
            for at, row in rows.iterrows():
                colour = colours.get(row["verdict"], theme.BASELINE)
                ax.plot([row["ci_low"], row["ci_high"]], [at, at], color=colour, lw=1.6, solid_capstyle="round")
                ax.plot(row["ratio"], at, "o", ms=4, color=colour)
                ax.plot(row["truth"], at, "|", ms=9, color=theme.INK)
                if kind == PLANTED:
                    ax.plot(row["with_way"], at, "|", ms=9, color=theme.OTHERS[0])
            if kind == SAME:
                ax.axvspan(1 - DELTA, 1 + DELTA, color=theme.QUIET, alpha=0.12, lw=0)
            ax.set_yticks([])
            theme.clean(ax, grid="x")
            ax.xaxis.set_major_formatter(lambda value, _: qty.ratio(value))
            ax.locator_params(axis="x", nbins=5)
            ax.set_title(title)

    same, planted = frame[frame["kind"] == SAME], frame[frame["kind"] == PLANTED]
    false = int(same["verdict"].isin(["faster", "slower"]).sum())
    slower = int((planted["verdict"] == "slower").sum())
    caption = (
        f"Of {len(same)} comparisons of optimized with itself, {false} came out faster or slower; of {len(planted)} "
        f"planted differences, {slower} were detected, with {planted['blocks'].min():g} to "
        f"{planted['blocks'].max():g} blocks. The block noise of this machine is {qty.percent(noise(frame))}, and "
        f"the median comparison took {frame['wall_s'].median():.0f} s."
    )
    return figure_block(
        title="Verdicts with a known truth",
        draw=draw,
        wide_height_in=4.2,
        narrow_height_in=7.0,
        alt=f"Intervals of {qty.count(len(frame), 'comparison')} with the truth of each. {caption}",
        caption=caption,
        how_to_read=(
            "Each line is one comparison with a 95% interval; coloured lines are comparisons with the verdict faster "
            "or slower. The small vertical mark is the truth: 1 on the left, and on the right the ratio of the times "
            "that the reference servers reported for the measured calls. The blue mark is that ratio with the round "
            "trip added to both times, which is what throughput can show. The grey band is 1 ± 5%."
        ),
        engines="engines: grpcio (left), wire (right)",
    )


EXPERIMENT = Experiment(
    title="Verdicts with a known truth",
    question=(
        "Are verdicts right despite the noise of this machine? A server is compared with itself, and with a server "
        "that takes 1.3 times as long."
    ),
    sized=sized,
    claims=claims,
    body=body,
)
