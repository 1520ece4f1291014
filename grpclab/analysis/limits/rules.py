"""The rules by which a resource counts as what limited a configuration. Pure.

Each takes a configuration and its neighbours (:mod:`grpclab.analysis.configuration_summary`) and gives the limit with
its evidence, or None. A rule whose numbers are missing is skipped, never guessed.

Windows and stream limits are named only where an otherwise equal configuration with a larger one is faster: C-core
widens a stream's window to fit the message that waits, so throughput is not window / round trip, and a client that
queues for streams does so silently.

Little's law (Operations Research 9 (1961), 383-387): calls in flight = throughput x latency. In a closed loop it
always holds, so by itself it says nothing; it names ``concurrency`` only where the latency is what a call waits
for anyway, with nothing of it spent in a queue.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from grpclab import quantities as qty
from grpclab.analysis.configuration_summary import METRIC, Measured
from grpclab.analysis.inference.validity import CLIENT, GENERATOR
from grpclab.analysis.inference.verdict import Comparison
from grpclab.analysis.neighbours import Neighbours
from grpclab.factors.levels import format_level
from grpclab.factors.own import is_own
from grpclab.load.generator_limits import BUSY_LIMIT

Resource = Literal[
    "server-cpu",
    "client-cpu",
    "link",
    "window",
    "stream-limit",
    "concurrency",
    "threads",
    "generator-bound",
    "own-factor",
    "unknown",
]
RESOURCES: tuple[Resource, ...] = get_args(Resource)

MARKED = 0.5
"""More than this share of the valid trials must carry a label before the configuration does: a few bad windows are
no limit."""
NEAR = 0.85
"""Share of its cores at which a server counts as full: the scheduler and the window's edges take the rest."""
IDLE = 0.5
"""Share below which a CPU counts as idle: at least twice the load would still fit."""
LINK_NEAR = 0.8
"""Share of the bandwidth that payload takes on a full link: headers, frames and the window's edges take the rest."""
THREADS_NEAR = 0.8
"""Share of busy handler threads from which all count as busy: handing over takes time too."""
NO_LESS = 0.9
"""Share of a call's expected wait that its latency must reach, or the expectation is wrong."""
NO_QUEUE = 1.5
"""A latency up to this many times a call's wait contains no queue worth the name."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What limited a configuration.

    `evidence` is one sentence with its numbers. `certain` is False if the limit is inferred from something that was not
    observed, or if the resource is ``unknown``.
    """

    configuration: str = ""
    resource: Resource = "unknown"
    evidence: str = ""
    certain: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The fields as in verdict.json."""
        return dataclasses.asdict(self)


Rule = Callable[[Measured, Neighbours], Limit | None]


def generator(m: Measured, _: Neighbours) -> Limit | None:
    """``generator-bound``, or ``client-cpu`` where the client is the factor: the trials' own label.

    A trial is marked where a generator process was busy for more than 90% of the window, or did not keep to
    the schedule of an open loop (:mod:`grpclab.load.run`). More than half of the trials must be (MARKED), or
    the median of the busy share lie above the limit; the answer is certain where all trials are marked
    and the server was not full as well.
    """
    marked = sum(m.labels.get(label, 0) for label in (GENERATOR, CLIENT))
    busy = m.median("client_busy_share")
    if not (m.trials and marked / m.trials > MARKED) and not busy > BUSY_LIMIT:
        return None
    own = m.per_call or m.labels.get(CLIENT, 0) > m.labels.get(GENERATOR, 0)
    label: Resource = "client-cpu" if own else "generator-bound"
    trials = qty.count(m.trials, "trial", "trials")
    reasons = [f"{marked} of {trials} {'is' if marked == 1 else 'are'} marked {label}"]
    if busy > BUSY_LIMIT:
        who = "client" if own else "generator"
        bound = f"of the window (limit {qty.percent(BUSY_LIMIT, 'sentence')})"
        reasons.append(f"the busiest {who} process was busy for {qty.percent(busy, 'sentence')} {bound}")
    elif not m.closed:
        reasons.append("the load generator fell behind the open-loop schedule")
    offered = m.median("offered_rps")
    if not math.isnan(offered):
        reasons.append(
            f"{qty.amount(m.median(METRIC), 'sentence')} of {qty.amount(offered, 'sentence')} offered requests/s were "
            "answered"
        )
    cost = m.median("client_cpu_per_call_s")
    if own and not math.isnan(cost):
        reasons.append(f"each call costs the client {qty.duration(cost)} of CPU")
    server = m.median("server_cores_used")
    if not math.isnan(server):
        reasons.append(f"the server used {_of_cores(m)}")
    return limit_from(m, label, reasons, certain=marked == m.trials and not _server_full(m))


def shared_core(m: Measured, _: Neighbours) -> Limit | None:
    """``unknown`` where server and generator fill one core together: no number shows which one is the limit."""
    server, client = m.median("server_cores_used"), m.median("client_cores_used")
    if not (m.shared and server + client >= NEAR):
        return None
    reason = (
        f"the server ({server:.2f}) and the load generator ({client:.2f}) together saturate the one core they share"
    )
    return limit_from(m, "unknown", [reason, "give each its own core to see which one is the limit"], certain=False)


def server_cpu(m: Measured, _: Neighbours) -> Limit | None:
    """``server-cpu``: the server's CPU seconds per second come to NEAR of the cores it can fill.

    These are the cores it may use, but no more than one for each process with a connection, since Python runs
    one thread of a process at a time (the GIL). Where that, not the cores, is the bound, the answer is not
    certain: the sum over threads does not tell those that hold the GIL from gRPC's own.
    """
    used, capacity = m.median("server_cores_used"), m.capacity
    if m.shared or not _server_full(m):
        return None
    cost = m.median("server_cpu_per_call_s")
    per_call = [] if math.isnan(cost) else [f"each call costs {qty.duration(cost)} of CPU"]
    if capacity == m.cores:
        reason = f"the server used {used:.2f} of the {qty.cores(m.cores)} available"
        return limit_from(m, "server-cpu", [reason, *per_call])
    free = "" if math.isnan(m.cores) else f" of the {qty.cores(m.cores)} available"
    reason = (
        f"{qty.count(m.processes, 'server process', 'server processes')} used {qty.cores(used)}{free}, because "
        "Python runs only one thread at a time in each process (GIL)"
    )
    return limit_from(m, "server-cpu", [reason, *per_call], certain=False)


def link(m: Measured, _: Neighbours) -> Limit | None:
    """``link``: the payload of one direction comes to LINK_NEAR of the emulated bandwidth.

    The bandwidth holds for each connection and direction (:mod:`grpclab.link.emulation`). Payload is counted from the
    sizes asked for, without headers, so a link full of small messages is not recognised by it.
    """
    limit = m.number("link.bandwidth_mbps") * 1e6 / 8 * _connections(m)
    rates = {
        "responses": m.median(METRIC) * m.number("server.response_bytes") * m.messages,
        "requests": m.median(METRIC) * m.number("load.request_bytes"),
    }
    known = {what: rate for what, rate in rates.items() if not math.isnan(rate)}
    what = max(known, key=lambda name: known[name], default="")
    if not what or not limit > 0 or not known[what] >= LINK_NEAR * limit:
        return None
    share = qty.percent(known[what] / limit, "sentence")
    reason = (
        f"{what} took {known[what] / 1e6:.3g} of the {limit / 1e6:.3g} MB/s ({share}) that "
        f"{qty.count(_connections(m), 'connection', 'connections')} can carry at {m.number('link.bandwidth_mbps'):g} "
        "Mbit/s per connection"
    )
    return limit_from(m, "link", [reason])


def window(m: Measured, neighbours: Neighbours) -> Limit | None:
    """``window``: a pair with a larger HTTP/2 window, equal in all else, is faster; never from arithmetic.

    With BDP probing on (``adaptive_window``) the window set has no effect, and the rule is skipped.
    """
    for side in ("client", "server"):
        if m.levels.get(f"{side}.adaptive_window") is False:
            faster = neighbours.faster(m, f"{side}.window_kib")
            if faster:
                return limit_from(m, "window", [_raised(m, f"{side}.window_kib", faster)])
    return None


def stream_limit(m: Measured, neighbours: Neighbours) -> Limit | None:
    """``stream-limit``: a pair with more streams for each connection, equal in all else, is faster."""
    faster = neighbours.faster(m, "server.max_concurrent_streams")
    if not faster:
        return None
    held = m.median("held")
    waited = [f"{held:,.0f} calls waited for a stream during the window"] if held > 0 else []
    return limit_from(m, "stream-limit", [_raised(m, "server.max_concurrent_streams", faster), *waited])


def threads(m: Measured, neighbours: Neighbours) -> Limit | None:
    """``threads``: more calls in flight than handler threads of a sync server, all of these in use, its CPU not.

    Threads in use are throughput x the time for which a handler keeps its thread (Little's law inside the
    server; the same as a latency of in flight / threads times that). That time is known where it is set: waits,
    pauses between messages, and handler work. Threads that are all in use by it are the limit of a server that is not
    full, certainly of one whose CPU is idle. Where the time is not known, the CPU must be idle and
    a pair with more threads be faster. Spare threads do not count where those that are always there are in use and
    still move: they are lent only while nothing does.
    """
    rps = m.median(METRIC)
    idle = m.median("server_cores_used") <= IDLE * m.capacity
    service = m.pause_s + m.number("server.handler_work_us") / 1e6
    in_flight = f"{qty.amount(m.in_flight, 'sentence')} calls were in flight on"
    for have, kind in ((m.threads, "handler threads"), (m.own_threads, "permanent handler threads")):
        reason = f"{in_flight} {qty.amount(have, 'sentence')} {kind}"
        if m.in_flight > have and THREADS_NEAR * have <= rps * service <= have / THREADS_NEAR and not _server_full(m):
            in_use = (
                f"{qty.amount(rps, 'sentence')} requests/s, each occupying a thread for "
                f"{qty.duration(service)}, keep {rps * service:.1f} threads busy"
            )
            lent = ["spare threads are used only while no call makes progress, which was not the case"]
            spare = [] if have == m.threads else lent
            return limit_from(m, "threads", [reason, in_use, *spare, cpu_words(m)], certain=idle)
    if not (idle and m.in_flight > m.threads):
        return None
    reason = f"{in_flight} {qty.amount(m.threads, 'sentence')} handler threads"
    for factor in ("server.threads", "server.spare_threads"):
        faster = neighbours.faster(m, factor)
        if faster:
            return limit_from(m, "threads", [reason, _raised(m, factor, faster), cpu_words(m)])
    return None


def concurrency(m: Measured, neighbours: Neighbours) -> Limit | None:
    """``concurrency``: a closed loop in which more calls in flight give more throughput.

    Either a pair with more in flight, equal in all else, is faster; or the CPUs of both sides are idle and the
    latency is hardly more (NO_QUEUE) than what a call waits for without using any: the link's round trip and the
    handler's waits. Throughput is then in flight / latency by Little's law, and the latency would not rise.
    """
    if not m.closed:
        return None
    faster = neighbours.faster(m, "load.concurrency")
    if faster:
        return limit_from(m, "concurrency", [_raised(m, "load.concurrency", faster), cpu_words(m)])
    waits, latency = m.travel_s + m.pause_s, m.latency_s
    idle = m.median("server_cores_used") <= IDLE * m.capacity and m.median("client_busy_share") <= IDLE
    if not (idle and waits > 0 and NO_LESS * waits <= latency <= NO_QUEUE * waits):
        return None
    for_what = [word for word, seconds in (("round trip", m.travel_s), ("handler's waits", m.pause_s)) if seconds > 0]
    reason = (
        f"of {qty.duration(latency)} latency, a call spends at least {qty.duration(waits)} waiting "
        f"({', '.join(for_what)}), and {qty.amount(m.in_flight, 'sentence')} in flight / {qty.duration(latency)} is "
        f"{qty.amount(m.in_flight / latency, 'sentence')} requests/s, so more calls in flight would give more "
        "throughput (Little's law)"
    )
    return limit_from(m, "concurrency", [reason, cpu_words(m)])


def own_factor(m: Measured, neighbours: Neighbours) -> Limit | None:
    """``own-factor``: a pair with another level of a factor of the user's own, equal in all else, is faster.

    What such a factor limits inside the server is not known; that it does is what the sweep has measured.
    """
    found = [(name, faster) for name in sorted(filter(is_own, m.levels)) if (faster := neighbours.faster(m, name))]
    if not found:
        return None
    factor, faster = max(found, key=lambda pair: pair[1].ratio)
    there = next(one for one in neighbours.alike(m, factor) if one.configuration == faster.candidate)
    level, other = format_level(m.levels.get(factor)), format_level(there.levels.get(factor))
    return limit_from(m, "own-factor", [f"with {factor}={other} instead of {level}, {_faster(faster)}", cpu_words(m)])


def limit_from(m: Measured, resource: Resource, reasons: list[str], *, certain: bool = True) -> Limit:
    """The answer for a configuration, its evidence joined into a sentence."""
    over = [] if m.trials < 2 else [f"all figures are medians of {m.trials} trials"]
    evidence = "; ".join([*reasons, *over])
    return Limit(configuration=m.configuration, resource=resource, evidence=evidence, certain=certain)


def _connections(m: Measured) -> float:
    """TCP connections that carry calls at once: those seen, or as many as calls where each has its own."""
    return m.in_flight if m.per_call else m.median("connections")


def _raised(m: Measured, factor: str, pair: Comparison) -> str:
    level = m.levels.get(factor)
    now = "unset" if level is None else format_level(level)
    return f"with a higher {factor} than {now}, {_faster(pair)}"


def _faster(pair: Comparison) -> str:
    return (
        f"{pair.candidate} has {qty.ratio(pair.ratio, 'sentence')} the throughput of this configuration (95% "
        f"interval {pair.ci_low:.3g} to {pair.ci_high:.3g}, {pair.blocks} blocks)"
    )


def _server_full(m: Measured) -> bool:
    return m.median("server_cores_used") >= NEAR * m.capacity


def cpu_words(m: Measured) -> str:
    """How busy both sides were, as far as that was measured."""
    client = m.median("client_busy_share")
    sides = [] if math.isnan(m.median("server_cores_used")) else [f"the server used {_of_cores(m)}"]
    sides += (
        []
        if math.isnan(client)
        else [(f"the busiest load generator process was busy for {qty.percent(client, 'sentence')} of the window")]
    )
    return " and ".join(sides) or "the CPU time of neither side was measured"


def _of_cores(m: Measured) -> str:
    used = f"{m.median('server_cores_used'):.2f}"
    return f"{used} cores" if math.isnan(m.capacity) else f"{used} of {qty.cores(m.capacity)}"


RULES: tuple[Rule, ...] = (
    *(generator, shared_core, server_cpu, link, window, stream_limit, threads, concurrency),
    own_factor,
)
"""In the order in which they are tried: what spoils a number first, then what the numbers show, then pairs."""
