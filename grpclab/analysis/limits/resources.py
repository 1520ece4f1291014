"""The resource that limited each configuration of a study, with the numbers that say so. Pure.

The rules (:data:`grpclab.analysis.limits.rules.RULES`) are tried in their order on the medians over the valid
trials, and the first that applies gives the answer. What no rule explains is ``unknown``, with what would be
needed to tell.
"""

from __future__ import annotations

import dataclasses
import math

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis.configuration_summary import METRIC, Measured, measure
from grpclab.analysis.inference.edition import rules_of
from grpclab.analysis.inference.validity import CLIENT, GENERATOR
from grpclab.analysis.limits.rules import RESOURCES, RULES, Limit, Resource, cpu_words, limit_from
from grpclab.analysis.neighbours import Neighbours
from grpclab.analysis.study_plan import StoredCores, StudyPlan

__all__ = ["RESOURCES", "Limit", "Resource", "limit_of", "limiting_resources"]


def limiting_resources(trials: pd.DataFrame, plan: StudyPlan, cores: StoredCores | None) -> list[Limit]:
    """What limited every configuration, in the order of the plan.

    `trials` has one row per trial; `plan` and `cores` are those of the manifest. Missing columns, levels and numbers do
    not raise an error.
    """
    measured = measure(trials, plan, cores)
    neighbours = Neighbours(trials, measured, rules_of(plan))
    return [_judge(m, neighbours) for m in measured]


def limit_of(configuration: str, trials: pd.DataFrame, plan: StudyPlan, cores: StoredCores | None) -> Limit:
    """What limited one configuration; ``unknown`` if neither the plan nor any trial contains it."""
    measured = measure(trials, plan, cores)
    asked = next((m for m in measured if m.configuration == configuration), None)
    if asked is None:
        evidence = f"neither the plan nor any trial names {configuration}"
        return Limit(configuration=configuration, resource="unknown", evidence=evidence, certain=False)
    return _judge(asked, Neighbours(trials, measured, rules_of(plan)))


def _judge(measured: Measured, neighbours: Neighbours) -> Limit:
    limits = (rule(measured, neighbours) for rule in RULES)
    limit = next((limit for limit in limits if limit), None) or _unknown(measured, neighbours)
    return limit if limit.resource in (GENERATOR, CLIENT) else _with_marks(limit, measured)


def _with_marks(limit: Limit, m: Measured) -> Limit:
    """The limit with the trials in which the load generator was at its end as well: then it is not certain."""
    marked = sum(m.labels.get(label, 0) for label in (GENERATOR, CLIENT))
    if not marked:
        return limit
    who = "client" if m.per_call else "load generator"
    reason = f"in {marked} of {qty.count(m.trials, 'trial', 'trials')}, the {who} was at its limit as well"
    return dataclasses.replace(limit, evidence=f"{limit.evidence}; {reason}", certain=False)


def _unknown(m: Measured, neighbours: Neighbours) -> Limit:
    """``unknown``: what is seen, and which measurement would tell."""
    if not m.trials:
        return limit_from(m, "unknown", ["there is no valid trial"], certain=False)
    if m.number("link.idle_timeout_s") > 0:
        reason = (
            "the call rate is low on purpose, because this configuration measures how soon a call succeeds after an "
            "idle period"
        )
        return limit_from(m, "unknown", [reason], certain=False)
    return limit_from(
        m, "unknown", [f"no rule explains the limit ({cpu_words(m)})", _would_tell(m, neighbours)], certain=False
    )


def _would_tell(m: Measured, neighbours: Neighbours) -> str:
    if not m.closed and not math.isnan(m.median("offered_rps")):
        answered, offered = qty.amount(m.median(METRIC), "sentence"), qty.amount(m.median("offered_rps"), "sentence")
        return f"{answered} of {offered} offered requests/s were answered; a higher load.rate_rps would show the limit"
    if m.median("held") > 0:
        factor, reason = "server.max_concurrent_streams", f"{m.median('held'):,.0f} calls waited for a stream; "
    elif m.in_flight > m.threads:
        factor, reason = (
            "server.threads",
            f"more calls are in flight than the server's {qty.amount(m.threads, 'sentence')} threads can handle; ",
        )
    else:
        factor, reason = "load.concurrency", ""
    tried = [other.configuration for other in neighbours.raised(m, factor)]
    if tried:
        return (
            f"{reason}a higher {factor} ({', '.join(tried)}) was not faster, so a profile of what the server waits "
            "for would show the limit"
        )
    return f"{reason}the same configuration with a higher {factor} would show the limit"
