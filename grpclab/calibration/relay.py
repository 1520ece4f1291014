"""What the emulated link adds of its own: the greeter asked directly, and through a relay that delays nothing."""

from __future__ import annotations

import contextlib

import pandas as pd
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan, core_plan, shuffled
from grpclab.factors.config import LinkConfig, ServerConfig, TrialConfig
from grpclab.link.emulation import running_link
from grpclab.load.generator import Generator
from grpclab.report import theme
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.servers.process.launcher import launch
from grpclab.system.environment import CorePlan

DIRECT, RELAY, FAR = "direct", "relay", "20 ms"
NOTHING_MBPS = 100_000.0
"""A bandwidth that holds nothing up, so that the relay has only its own cost."""
RTT_MS = 20.0
ONE, MANY = 1, 64
FAR_CALLS = 25
"""Over the long way: enough for a median, half a second."""
CASES = {
    f"{DIRECT} {ONE}": (DIRECT, ONE),
    f"{RELAY} {ONE}": (RELAY, ONE),
    f"{DIRECT} {MANY}": (DIRECT, MANY),
    f"{RELAY} {MANY}": (RELAY, MANY),
    FAR: (FAR, ONE),
}


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure` at the sizes of a plan."""
    return measure(core_plan(), rounds=plan.rounds, seconds=plan.seconds(0.25, 1.0), seed=plan.seed)


def measure(cores: CorePlan, *, rounds: int, seconds: float, seed: int) -> pd.DataFrame:
    """The greeter with 1 and 64 calls in flight, directly and through the relay, and one over 20 ms; interleaved.

    One row a round and case: round, path (direct, relay, 20 ms), in_flight, rps, p50_s (NaN for too few calls),
    errors.
    """
    rows = []
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(launch(ServerConfig(), cpus=cores.server))
        plain = stack.enter_context(running_link(LinkConfig(bandwidth_mbps=NOTHING_MBPS), server.target))
        far = stack.enter_context(running_link(LinkConfig(rtt_ms=RTT_MS), server.target))
        targets = {DIRECT: server.target, RELAY: plain.target, FAR: far.target}
        generators = {}
        for name, (path, in_flight) in CASES.items():
            config = TrialConfig().replace(
                {
                    "load.requests": FAR_CALLS if path == FAR else None,
                    "load.duration_s": None if path == FAR else seconds,
                    "load.warmup_s": min(0.1, seconds),
                    "load.concurrency": in_flight,
                }
            )
            generators[name] = stack.enter_context(Generator(config, targets[path], cpus=cores.generator))
        for number in range(rounds):
            for name in shuffled(list(CASES), seed, number):
                path, in_flight = CASES[name]
                summary = generators[name].measure().summary
                rows.append(
                    {
                        "round": number,
                        "path": path,
                        "in_flight": in_flight,
                        "rps": summary.throughput_rps,
                        "p50_s": summary.latency["p50"],
                        "errors": summary.errors,
                    }
                )
    return pd.DataFrame(rows)


# ---- what is made of the frame ---------------------------------------------------------------------------------


def of(frame: pd.DataFrame, path: str, in_flight: int, column: str) -> pd.Series:
    """A column of one case, by round."""
    rows = frame[(frame["path"] == path) & (frame["in_flight"] == in_flight)]
    return rows.set_index("round")[column]


def ratios(frame: pd.DataFrame) -> dict[str, pd.Series]:
    """Relay over direct, by round: the median latency of one call at a time, and requests/s with 64 in flight."""
    return {
        "median latency, 1 in flight": of(frame, RELAY, ONE, "p50_s") / of(frame, DIRECT, ONE, "p50_s"),
        "requests/s, 64 in flight": of(frame, RELAY, MANY, "rps") / of(frame, DIRECT, MANY, "rps"),
    }


def added_s(frame: pd.DataFrame) -> float:
    """What the relay adds to the median latency of one call at a time."""
    return float((of(frame, RELAY, ONE, "p50_s") - of(frame, DIRECT, ONE, "p50_s")).median())


def far_s(frame: pd.DataFrame) -> float:
    """The median latency through a link of 20 ms."""
    return float(of(frame, FAR, ONE, "p50_s").median())


def claims(frame: pd.DataFrame) -> list[Claim]:
    """There is no goal: it is told."""
    latency, rate = (qty.ratio(values.median()) for values in ratios(frame).values())
    added = qty.duration(added_s(frame))
    return [
        Claim(
            claim=(
                f"emulated link without delay against no link: latency with 1 call in flight, requests/s with {MANY} "
                "in flight"
            ),
            measured=f"{latency} p50 latency, {added} added, {rate} requests/s",
        ),
        Claim(claim=f"median latency over a {RTT_MS:g} ms link", measured=qty.duration(far_s(frame))),
    ]


def body(frame: pd.DataFrame) -> FigureBlock:
    """Ratios of relay to direct."""
    by_name = ratios(frame)

    def draw(figure: Figure, narrow: bool) -> None:
        ax = figure.subplots()
        for y, values in enumerate(by_name.values()):
            middle = float(values.median())
            ax.plot(values, [y] * len(values), "o", color=theme.CANDIDATE, alpha=0.4, ms=6, mew=0)
            ax.plot([middle] * 2, [y - 0.25, y + 0.25], color=theme.CANDIDATE, lw=3)
            ax.annotate(
                qty.ratio(middle),
                xy=(middle, y - 0.28),
                ha="center",
                va="bottom",
                fontweight="bold",
                color=theme.INK,
            )
        ax.axvline(1, color=theme.QUIET, lw=1)
        theme.ratio_axis(ax, [v for values in by_name.values() for v in values], most=4 if narrow else 7, pad=0.15)
        ax.set_yticks(range(len(by_name)), [n.replace(", ", ",\n") for n in by_name], color=theme.INK)
        ax.set_ylim(len(by_name) - 0.5, -0.75)
        ax.set_xlabel("relay / direct")
        theme.clean(ax, grid="x")
        ax.spines["left"].set_visible(False)

    one = of(frame, DIRECT, ONE, "p50_s").median()
    caption = (
        "Through a relay without delay, the median latency with one call at a time is "
        f"{qty.duration(added_s(frame))} above the {qty.duration(one)} of a direct connection. Through a {RTT_MS:g} "
        f"ms link, the median latency is {qty.duration(far_s(frame))}."
    )
    medians = "; ".join(f"{name} {qty.ratio(values.median())}" for name, values in by_name.items())
    return figure_block(
        title="The cost of the link",
        draw=draw,
        wide_height_in=2.2,
        narrow_height_in=2.4,
        alt=f"Ratio of the relay to a direct connection, one dot per round. Medians: {medians}.",
        caption=caption,
        how_to_read=(
            "Each dot is one round, and the bar is the median of the rounds. The relay's cost shows to the right of "
            "1 for latency and to the left of 1 for requests/s; dots on both sides of 1 mean that the cost is "
            "smaller than the variation between rounds. The relay is a separate process that copies every byte, so "
            "the cost is noticeable on a machine with few cores, but both sides of a comparison over a link pay the "
            "same. Over a link, delays are rounded up to whole milliseconds, so a message can arrive late but never "
            "early."
        ),
        engines="engine: wire",
    )


EXPERIMENT = Experiment(
    title="The emulated link",
    question="How much does the relay that emulates a network cost when there is nothing to emulate?",
    sized=sized,
    claims=claims,
    body=body,
)
