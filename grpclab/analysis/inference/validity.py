"""What limits a number: a load generator at its end, trials that are invalid, calls that failed, outages.

A result that the generator bounded is kept, and says so on itself, with the direction in which it errs.
"""

from __future__ import annotations

import collections
import json
from collections.abc import Iterable

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis.inference.ratios import column, numbers, trials_of, valid_trials
from grpclab.metrics import is_latency, metric_named, metric_words
from grpclab.system.notices import kinds, stored_notices
from grpclab.text.printable import printable

GENERATOR = "generator-bound"
CLIENT = "client-cpu"
TAKEN = frozenset({"others", "server-waited"})
"""The kinds of notices that say that something else used the cores of server or load generator."""
_FAILURES = ("errors_by_status", "failures")


def limits_of(trials: pd.DataFrame, configuration: str, scenario: str | None = None) -> tuple[str, ...]:
    """The distinct labels in `limited_by` over the valid trials of a configuration, sorted."""
    rows = valid_trials(trials_of(trials, configuration, scenario, columns=("valid", "limited_by")))
    return tuple(sorted({str(label) for label in column(rows, "limited_by").dropna() if label}))


def disturbed(trials: pd.DataFrame) -> bool:
    """Whether something else used the cores in most of the valid trials."""
    rows = valid_trials(trials)
    taken = sum(not TAKEN.isdisjoint(kinds(stored_notices(stored))) for stored in column(rows, "notices"))
    return 2 * taken > len(rows)


def bound_note(metric: str, *, baseline: str, candidate: str, limited: Iterable[str]) -> str:
    """Which way a ratio errs when the generator limited trials of the configurations in `limited`; "" when it
    limited neither.

    A limited side was truly at least as fast as measured. Of a throughput ratio (candidate / baseline) a
    limited candidate therefore makes a lower bound and a limited baseline an upper bound; of a latency
    ratio the reverse.
    """
    named = [name for name in (baseline, candidate) if name in set(limited)]
    if not named:
        return ""
    if len(named) == 2 or baseline == candidate:
        return (
            f"the load generator was at its limit in trials of {baseline} and of {candidate}, so the ratio may "
            "compare the generator with itself and is not a bound in either direction"
        )
    text = f"the load generator was at its limit in trials of {named[0]}"
    words = metric_words(metric)
    if metric == "throughput_rps":
        bound = "a lower bound" if named[0] == candidate else "an upper bound"
        return f"{text}: the server's true throughput is at least as high as measured, so the ratio is {bound}"
    if is_latency(metric):
        bound = "an upper bound" if named[0] == candidate else "a lower bound"
        return f"{text}: the server's true {words} is at most as high as measured, so the ratio is {bound}"
    return f"{text}: {words} was not measured at the highest load that the server can take"


def generator_remedy(trials: pd.DataFrame, limited: Iterable[str]) -> str:
    """What to change where the load generator, at its limit in trials of these configurations, hides the servers."""
    rows = trials[column(trials, "configuration").isin(list(limited))]
    wire = column(rows, "load.engine").eq("wire").all() and "load.engine" in rows.columns
    engine = "" if wire else "use the wire engine (load.engine=wire), "
    return (
        f"{engine}give the load generator more workers (load.workers), each on a separate core, or test a slower server"
    )


def client_note(configurations: Iterable[str]) -> str:
    """The fact that a client was the limit where the client is the factor under test; "" for none."""
    names = list(dict.fromkeys(configurations))
    if not names:
        return ""
    return (
        f"in trials of {_listed(names)}, the client used all of its CPU (client-cpu). This study tests such a "
        "client, which opens a channel for each call, so the result is valid"
    )


def too_few_calls(trials: pd.DataFrame, metric: str, configurations: Iterable[str]) -> str:
    """That a percentile was not measured because no trial of a side made as many calls as it needs; "" otherwise."""
    needed = metric_named(metric).fewest_calls
    for name in configurations:
        rows = valid_trials(trials_of(trials, name, columns=("valid", "requests", metric)))
        most = numbers(rows, "requests").max()
        if numbers(rows, metric).isna().all() and most < needed:
            made = f"there were at most {most:,.0f}"
            return f"{metric_words(metric)} needs {needed:,} calls in each trial, but {made}: increase -n or -z"
    return ""


def invalid_note(trials: pd.DataFrame) -> str:
    """How many trials are invalid and why; "" for none."""
    rows = trials[~column(trials, "valid").eq(True)]
    if rows.empty:
        return ""
    reasons = collections.Counter(
        str(text) if isinstance(text, str) and text else "no reason given" for text in column(rows, "invalid_reason")
    )
    counted = "; ".join(f"{text} ({count})" for text, count in reasons.most_common())
    verb = "is invalid and was" if len(rows) == 1 else "are invalid and were"
    return f"{len(rows)} of {qty.count(len(trials), 'trial')} {verb} left out: {counted}"


def errors_note(trials: pd.DataFrame, configurations: Iterable[str]) -> str:
    """The calls that failed in valid trials of these configurations, by gRPC status; "" for none."""
    parts = []
    for name in dict.fromkeys(configurations):
        rows = valid_trials(trials_of(trials, name, columns=("valid", "errors", "requests", *_FAILURES)))
        failed, made = int(numbers(rows, "errors").sum()), int(numbers(rows, "requests").sum())
        if failed:
            statuses = _statuses(column(rows, "errors_by_status"))
            texts = first_texts(rows)
            named = (f"{s} {n:,}" + (f' "{texts[s]}"' if s in texts else "") for s, n in statuses.most_common())
            listed = f" ({', '.join(named)})" if statuses else ""
            parts.append(f"{name} {failed:,} of {made:,}{listed}")
    return f"calls failed in the compared configurations: {'; '.join(parts)}" if parts else ""


def outages_note(trials: pd.DataFrame) -> str:
    """The connections that valid trials lost, and how long they had none, by configuration; "" for none."""
    rows = valid_trials(trials)
    lost, outage = numbers(rows, "connections_lost").fillna(0), numbers(rows, "outage_s").fillna(0)
    parts = []
    for name in dict.fromkeys(column(rows, "configuration")):
        of_it = column(rows, "configuration").eq(name)
        count, seconds = int(lost[of_it].sum()), float(outage[of_it].sum())
        if count or seconds:
            parts.append(f"{name} {count:,}" + (f" ({seconds:.2g} s without a connection)" if seconds else ""))
    return f"connections were lost in valid trials: {_listed(parts)}" if parts else ""


def first_texts(trials: pd.DataFrame) -> dict[str, str]:
    """By status, the text that most of its failed calls in these trials came with; only what there is."""
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    for stored in column(trials, "failures"):
        if isinstance(stored, str) and stored:
            try:
                counts.update({(str(f["status"]), str(f["text"])): int(f["calls"]) for f in json.loads(stored)})
            except (ValueError, KeyError, TypeError):
                continue
    return {status: printable(text, 120) for (status, text), _ in reversed(counts.most_common()) if text}


def _statuses(texts: Iterable[object]) -> collections.Counter[str]:
    total: collections.Counter[str] = collections.Counter()
    for text in texts:
        if isinstance(text, str) and text:
            try:
                total.update({str(k): int(v) for k, v in json.loads(text).items() if v})
            except (ValueError, AttributeError, TypeError):
                total.update(["unreadable"])
    return total


def _listed(names: list[str]) -> str:
    if len(names) > 6:
        return f"{', '.join(names[:5])} and {len(names) - 5} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
