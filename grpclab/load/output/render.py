"""The summary of a bench result for a terminal, and the words it shares with the one for notebooks."""

from __future__ import annotations

import math
from collections.abc import Iterator

from grpclab import quantities as qty
from grpclab.load.core.bounds import caller_changes
from grpclab.load.output.call_table import call_lines
from grpclab.load.output.cluster_table import cluster_lines
from grpclab.load.output.formats import successful
from grpclab.load.output.histogram import bars, buckets
from grpclab.load.output.step_table import step_lines
from grpclab.load.plan_rules import how_to_plan_more
from grpclab.load.result import GRADES, LoadResult
from grpclab.load.run import GENERATOR_BOUND, HELD_BACK, LoadRun
from grpclab.load.steps import rate_text
from grpclab.metrics import PERCENTILES, calls_needed
from grpclab.text.printable import harmless, printable

LABELS = {"p999": "p99.9"}
COUNTED = ("p50", "p90", "p95", "p99")
"""Percentiles that are always shown; p99.9 only where there are calls enough for it."""


def load_text(result: LoadResult) -> str:
    """Return a phrase on the load: ``50 in flight, engine wire, one channel``."""
    load, client = result.config.load, result.config.client
    clients = {
        "per_call": "one channel per call",
        "shared": "one channel",
        "pool": f"a pool of {client.connections}",
    }
    if result.steps:
        rates = [step.rate_rps for step in result.steps]
        shape = f"{len(rates)} rates from {rates[0]:,.10g} to {rate_text(rates[-1])}, {load.arrival}"
    elif load.rate_rps is not None:
        shape = f"{rate_text(load.rate_rps)}, {load.arrival}"
    else:
        shape = f"{load.concurrency} in flight" + (f", {load.arrival}" if caller_changes(load) else "")
    if result.call.payloads is not None:
        shape += f", {result.call.payloads.count:,} different requests"
    if result.run.share < 1:
        shape += f" ({result.run.share:.0%} of it to the end, since workers were lost)"
    return f"{shape}, engine {load.engine}, {clients[client.pooling]}"


def one_line(result: LoadResult) -> str:
    """The result in a few words."""
    summary, (name, tail) = result.run.summary, result.tail
    if result.knee is not None:
        return f"{result.title} at {result.target}: {summary.requests:,} calls, {result.knee.sentence}"
    ended = f", {name} {qty.milliseconds(tail)}" if name else ""
    limited = f", {result.limited_by}" if result.limited_by else ""
    short = f" over only {qty.duration(summary.window_s)}" if result.run.short else ""
    return (
        f"{result.title} at {result.target}: {summary.requests:,} calls,"
        f" {summary.throughput_rps:,.1f} requests/s{short}{ended}, {summary.errors:,} failed{limited}"
    )


def percentile_rows(result: LoadResult) -> Iterator[tuple[str, float, float, str]]:
    """Label, latency, uncorrected latency (both seconds) and a note of each percentile to show."""
    summary = result.run.summary
    for name, q in PERCENTILES.items():
        value = summary.latency[name]
        if name in COUNTED or not math.isnan(value):
            note = ""
            if math.isnan(value) and name == COUNTED[-1]:  # what the highest needs is enough for the others
                more = how_to_plan_more(result.config)
                note = f"needs {calls_needed(q):,} calls (10 beyond it), but there were {summary.requests:,}: {more}"
            yield LABELS.get(name, name), value, summary.latency_uncorrected.get(name, math.nan), note


def reasons(result: LoadResult) -> list[str]:
    """Return the reasons why the figures show the generator's limits, a sentence each; empty if they do not."""
    limited = [step for step in result.steps if step.limited_by]
    if limited:
        return [f"{rate_text(step.rate_rps)} is {step.limited_by}: {_limit_text(step.run)}" for step in limited]
    if result.limited_by == GENERATOR_BOUND:
        return [f"GENERATOR-BOUND, not the server's limit: {_limit_text(result.run)}"]
    if result.limited_by == HELD_BACK:
        return [f"HELD BACK by load.max_in_flight={result.config.load.max_in_flight:,}: {result.run.held_back}"]
    if result.limited_by:
        return [f"{result.limited_by}: every figure includes the client's own cost"]
    return []


def _limit_text(run: LoadRun) -> str:
    return (
        "; ".join(run.limits)
        or run.held_back
        or (f"the generator's busiest process was busy for {run.busy_share:.0%} of the window")
    )


def behind(run: LoadRun) -> str:
    """Return a phrase on an open loop's rate that was not kept up with; nothing if it was, or if no call was due."""
    if run.keeps_up or not run.due_rps:
        return ""
    return f"{run.summary.throughput_rps:,.0f} of {run.due_rps:,.0f} requests/s: the rate was NOT REACHED"


def endings(run: LoadRun) -> list[str]:
    """Return a sentence on each kind of calls that did not end, or not in the window."""
    summary, sentences = run.summary, []
    if not summary.ended:
        later = summary.requests - (summary.not_ended - summary.not_ended_before)
        rest = f"; {later:,} ended later: allow more time (--duration)" if later else ""
        sentences.append(f"NO CALL ENDED in the {summary.window_s:,.2f} s of the window{rest}")
    if summary.not_ended:
        calls = "1 call" if summary.not_ended == 1 else f"{summary.not_ended:,} calls"
        parts = {
            f"{run.unsent:,} were due but never sent": run.unsent,
            f"{summary.not_ended_before:,} from the warm-up, not counted in any other figure": summary.not_ended_before,
        }
        more = f" ({', '.join(part for part, count in parts.items() if count)})" if any(parts.values()) else ""
        sentences.append(f"{calls} had not ended when the run ended: NOT_ENDED{more}")
    return sentences


def troubles(result: LoadResult) -> Iterator[tuple[str, str, str]]:
    """Return the troubles that there were: a name, a number, and an explanation of each."""
    run = result.run
    if run.held:
        yield "held", f"{run.held:,}", "calls waited because of the peer's limit on open streams"
    if run.bound_hits and result.limited_by != HELD_BACK:
        most = result.config.load.max_in_flight
        yield "held back", f"{run.bound_hits:,}", f"calls waited with {most:,} already in flight (load.max_in_flight)"
    limit, refused = result.config.client.max_message_mib, run.summary.errors_by_status.get("RESOURCE_EXHAUSTED", 0)
    if limit is not None and refused:
        yield (
            "refused",
            f"{refused:,}",
            f"RESOURCE_EXHAUSTED, which also includes answers above client.max_message_mib={limit}",
        )
    if run.traffic.attempts > run.calls_made:
        yield "attempts", f"{run.traffic.attempts:,}", f"for {run.calls_made:,} calls, including the warm-up"
    if run.connections_lost or run.outage_s:
        noun = "connection" if run.connections_lost == 1 else "connections"
        outage = f"; there was no connection for {run.outage_s:.2f} s" if run.outage_s >= 0.005 else ""
        yield "lost", f"{run.connections_lost:,}", f"{noun}, closed by the server or broken{outage}"


def compressed(result: LoadResult) -> Iterator[str]:
    """Yield the number of compressed answers of each encoding; nothing where the engine does not count them."""
    good = result.run.summary.requests - result.run.summary.errors
    for encoding, count in sorted(result.run.encodings.items()):
        yield f"answers compressed with {printable(encoding, 40)}: {count:,} of {good:,}"


def carried(result: LoadResult) -> Iterator[str]:
    """Yield the bytes of a call on the wire, where they are known."""
    both = result.run.traffic.bytes_per_call(result.run.calls_made).values()
    if not any(map(math.isnan, both)):
        sent, received = (f"{count:,.0f} B" for count in both)
        yield f"{sent} sent and {received} received per call, including headers and TLS"


def render(result: LoadResult) -> str:
    """The summary for a terminal."""
    parts = [
        [f"{result.title} at {result.target}: {load_text(result)}"],
        _counts(result),
        step_lines(result),
        _latencies(result),
        call_lines(result),
        _histogram(result),
        _messages(result),
        _errors(result),
        _connections(result),
        cluster_lines(result),
        _verdicts(result),
    ]
    return harmless("\n\n".join("\n".join(lines) for lines in parts if lines))


def summary_chunks(result: LoadResult) -> Iterator[str]:
    """The summary and the end of its last line."""
    yield render(result)
    yield "\n"


def _row(name: str, value: str, note: str = "", width: int = 12) -> str:
    return f"  {name:<{width}} {value:>15}" + (f"   {note}" if note else "")


def _number_row(name: str, value: str, note: str = "") -> str:
    """A row whose value lines up with the digits of the latencies, which have a unit behind them."""
    return f"  {name:<12} {value:>12}{note}"


def _counts(result: LoadResult) -> list[str]:
    run, summary = result.run, result.run.summary
    calls = summary.requests
    good = calls - summary.errors
    each = " each" if result.steps else ""
    lines = [
        _number_row("calls", f"{calls:,}"),
        _number_row("succeeded", f"{good:,}", f"   {qty.percent_of(good, calls)}"),
        _number_row("failed", f"{summary.errors:,}", f"   {qty.percent_of(summary.errors, calls)}"),
        _number_row(
            "duration", f"{summary.window_s:,.2f}", f" s   after {result.config.load.warmup_s:g} s of warm-up{each}"
        ),
    ]
    if not result.steps:
        if run.offered_rps is not None:
            lines.append(
                _number_row("offered", f"{run.offered_rps:,.1f}", f" requests/s   {run.planned:,} calls were due")
            )
        short = f"   {run.short}" if run.short else ""
        lines.append(_number_row("throughput", f"{summary.throughput_rps:,.1f}", f" requests/s{short}"))
        lines += [f"{'':18}{sentence}" for sentence in (behind(run), *endings(run)) if sentence]
    return lines


def _latencies(result: LoadResult) -> list[str]:
    run, summary = result.run, result.run.summary
    if result.steps:  # over all rates together they would say nothing
        return []
    if run.offered_rps is None:
        lines = [
            _row("average", qty.milliseconds(summary.latency_mean_s)),
            _row("fastest", qty.milliseconds(summary.latency_min_s)),
            _row("slowest", qty.milliseconds(summary.latency_max_s)),
        ]
        return lines + [_row(label, qty.milliseconds(value), note) for label, value, _, note in percentile_rows(result)]
    late = run.lateness
    lines = [
        f"  latency from {'the planned send':>23}{'the actual send':>18}",
        _row("average", qty.milliseconds(summary.latency_mean_s)),
        _row("fastest", qty.milliseconds(summary.latency_min_s)),
        _row("slowest", qty.milliseconds(summary.latency_max_s)),
        *(
            _row(label, qty.milliseconds(value)) + (f"   {note}" if note else f"{qty.milliseconds(actual):>18}")
            for label, value, actual, note in percentile_rows(result)
        ),
        _row(
            "sent late",
            qty.milliseconds(late["p50"]),
            f"at p50; p99 {qty.milliseconds(late['p99'])}, at most {qty.milliseconds(late['max'])}",
        ),
    ]
    return lines


def _histogram(result: LoadResult) -> list[str]:
    """Ten steps from the fastest to the slowest call that succeeded; nothing where all took the same time."""
    lines = [] if result.steps else bars(buckets(successful(result)))
    return ["  successful calls by latency, up to", *lines] if lines else []


def _messages(result: LoadResult) -> list[str]:
    summary = result.run.summary
    counts = (
        ("messages", summary.messages, ""),
        ("sent", summary.messages_sent, "   messages that the client streamed"),
        ("ended", summary.ended_by_client, "   streams that the client cancelled as planned, successful calls"),
    )
    lines = [_number_row(name, f"{count:,}", note) for name, count, note in counts if count]
    for _, title, times in summary.message_times:
        rows = [
            _row(LABELS.get(name, name), qty.milliseconds(value))
            for name, value in times.items()
            if name in COUNTED or not math.isnan(value)
        ]
        lines += [f"  {title}", *rows] if rows else []
    return lines


def _errors(result: LoadResult) -> list[str]:
    summary = result.run.summary
    rows = summary.errors_by_status.items()
    if not rows:
        return []
    lines = ["  errors by status"]
    for name, count in rows:
        failures = [failure for failure in result.run.failures if failure.status == name]
        first = f"   the first at {min(failure.first_s for failure in failures):.3f} s" if failures else ""
        lines.append(f"    {name:<20} {count:>8,}   {qty.percent_of(count, summary.requests)}{first}")
        for failure in failures:
            lines.append(f"    {'':<20} {failure.calls:>8,}   {failure.quoted}")
            lines += [f"    {'':<32} {detail}" for detail in failure.details]
    return lines


def _connections(result: LoadResult) -> list[str]:
    run = result.run
    by_process = ""
    if len(result.connections_by_process) > 1:
        by_process = f", by server process {'/'.join(map(str, result.connections_by_process))}"
    spun = f", excluding {run.spin_s:.2f} s of pacing" if run.spin_s >= 0.005 else ""
    lines = [
        _number_row(
            "connections",
            f"{result.connections:,}",
            f"   open at the end, according to the operating system{by_process}",
        ),
        *(f"{'':18}{text}" for text in carried(result)),
        _number_row("generator", f"{run.busy_share:.0%}", f"   of a core in its busiest process{spun}"),
        *([f"{'':18}measured once on this machine: {result.ceiling}"] if result.ceiling else []),
        *(f"{'':18}{reason}" for reason in reasons(result)),
        *(_number_row(name, count, f"   {text}") for name, count, text in troubles(result)),
        *(f"  {text}" for text in compressed(result)),
    ]
    if not result.steps:
        letter, reason = result.grade
        rule = "; ".join(f"{g} {most:.1%}, {ratio:g}×" for g, most, ratio in GRADES)
        lines.append(_number_row("grade", letter, f"   {reason}"))
        lines += [] if letter == "-" else [f"{'':18}at most: {rule}; else F"]
    return lines


def _verdicts(result: LoadResult) -> list[str]:
    run = result.run
    lines = [f"  slo {'met' if j.met else 'NOT MET'}: {j.sentence}" for j in result.judgements]
    if result.every_call_failed:
        lines.insert(0, f"  {result.every_call_failed}")
    if run.stopped_because:
        lines.append(f"  stopped early: {run.stopped_because}")
    if run.interrupted:
        lines.append("  interrupted: these are the results up to that point")
    lines += [f"  {notice.severity}: {notice}" for notice in result.notices]
    return lines + [f"  note: {note}" for note in result.remarks]
