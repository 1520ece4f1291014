"""The sections of a report, in the order in which they are read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis.setup import described
from grpclab.metrics import metric_words, value_text
from grpclab.report import figures, words
from grpclab.report.blocks import FigureBlock, Section
from grpclab.report.figures.engines import sentence as client_cost
from grpclab.report.finished import FinishedStudy, Histograms
from grpclab.report.sections import (
    claims,
    confidence,
    decisions,
    evidence,
    flamegraphs,
    glossary,
    leave_one_out,
    method,
    scalability,
    settings,
    tables,
    waiting,
)
from grpclab.report.words import esc

_SENTENCES = re.compile(r"(?<=\.) (?=[A-Z])")

_MADE: list[tuple[str, str, Callable[[FinishedStudy], str]]]


def sections(
    manifest: Mapping[str, Any],
    trials: pd.DataFrame,
    verdict: Mapping[str, Any],
    profiles: flamegraphs.Profiles | None = None,
    histograms: Histograms | None = None,
) -> list[Section]:
    """The report of a study, section by section.

    `manifest` and `verdict` as stored beside the trials, `trials` with one row a trial, `histograms` the latencies of
    its trials and `profiles` their stacks, where there are any. What is missing is
    said in a line where it would have stood; sections that have nothing to be about (no warning, no invalid
    trial, no stacks, no ladder in the plan) are left out. In a notebook each section displays itself.
    """
    study = FinishedStudy.of(manifest, trials, verdict, histograms)
    made = [(title, anchor, make(study)) for title, anchor, make in _MADE]
    after = next(at for at, (_, anchor, _) in enumerate(made) if anchor == "profile") + 1
    made.insert(after, ("Flamegraphs", "flamegraphs", flamegraphs.section(study, profiles or {})))
    return [Section(title=title, anchor=anchor, html=body) for title, anchor, body in made if body]


def _question(study: FinishedStudy) -> str:
    asked = f'<p class="gl-question">{esc(study.manifest.get("question") or "No question was written down.")}</p>'
    setup = described(study.manifest)
    return asked + (tables.facts(setup) if setup else "")


def _answer(study: FinishedStudy) -> str:
    headline = study.headline
    sentence = study.verdict.get("sentence") or "There is no verdict."
    noted = f'<p class="gl-note">{esc(headline["note"])}</p>' if headline.get("note") else ""
    # Of a replication the claims are the answer: a word on one ratio would not be.
    badge = "" if study.plan.get("replication") else f"{tables.badge(headline.get('verdict'))} "
    first, *more = _SENTENCES.split(words.plain(sentence), maxsplit=1)
    rest = "".join(f' <span class="gl-more">{esc(text)}</span>' for text in more)
    return (
        f'<p class="gl-verdict">{badge}{esc(first)}{rest}</p>{glossary.html(study)}'
        f'<div class="gl-cards">{_ratio_card(study)}{_level_card(study)}{_errors_card(study)}</div>{noted}'
        f"{confidence.html(study)}"
    )


def _card(value: str, what: str, more: str) -> str:
    return f'<div class="gl-card"><div class="gl-big">{value}</div><div>{what}</div><small>{more}</small></div>'


def _ratio_card(study: FinishedStudy) -> str:
    c = study.headline
    if not math.isfinite(qty.number(c.get("ratio"))):
        return _card(qty.MISSING, "ratio", "could not be computed")
    blocks = qty.count(int(c.get("blocks") or 0), "block")
    engines = esc(study.engines([study.baseline, study.candidate]))
    title = c.get("title") or f"{c.get('candidate')} against {c.get('baseline')}"
    sides = f"{metric_words(str(c.get('metric') or ''))}, {title}"
    return _card(
        f"{qty.ratio(c['ratio'])}{tables.limits(c.get('limited_by') or [])}",
        esc(sides),
        f"{words.with_interval(c)}, {blocks}{f'<br>{engines}' if engines else ''}",
    )


def _level_card(study: FinishedStudy) -> str:
    metric = str(study.headline.get("metric") or study.metric)
    table = study.levels_of_pair(metric, study.baseline, study.candidate)
    values = [value_text(metric, v).removesuffix(" requests/s") for v in table["mean"]]
    unit = "requests per second" if metric == "throughput_rps" else esc(metric_words(metric))
    told = []
    for row in table.itertuples(index=False):
        between = qty.interval(row.ci_low, row.ci_high)
        shown = between if metric == "throughput_rps" and between != qty.MISSING else ""
        told.append(f"{esc(study.title(str(row.configuration)))}{f': {shown}' if shown else ''}")
    return _card(f'{values[0]} <span class="gl-arrow">→</span> {values[1]}', unit, "<br>".join(told))


def _errors_card(study: FinishedStudy) -> str:
    failed, made, told = tables.errors_told(study, [study.baseline, study.candidate])
    everywhere, all_made, _ = tables.errors_told(study, list(study.trials["configuration"].unique()))
    what = f"failed of {made:,} calls in the headline's trials"
    more = f"{esc(told)}<br>" if told else ""
    return _card(
        f"{failed:,}", what, f"{more}{everywhere:,} of {all_made:,} in the whole study{_on_purpose(study, everywhere)}"
    )


def _on_purpose(study: FinishedStudy, failed: int) -> str:
    """How many of the failed calls are what is measured, and where; "" for none."""
    by_name = {name: tables.errors_told(study, [name])[0] for name in study.failing_on_purpose}
    named = {name: count for name, count in by_name.items() if count}
    if not named:
        return ""
    inside = sum(named.values())
    share = "all of them" if inside == failed else f"{inside:,} of them"
    places = "; ".join(f"{study.title(name)}: {count:,}" for name, count in named.items())
    return f", {share} where failing is what is measured ({esc(places)})"


def _warnings(study: FinishedStudy) -> str:
    found = [w for w in study.verdict.get("warnings") or [] if w]
    if not found:
        return ""
    return f'<ul class="gl-warnings">{"".join(f"<li>{esc(w)}</li>" for w in found)}</ul>'


def _sides(study: FinishedStudy) -> str:
    parts = study.entries("parts")
    if not parts:
        return ""
    cards = []
    for part in parts:
        key = [str(part.get(k) or "") for k in ("scenario", "metric", "baseline", "candidate")]
        c = study.comparison(key[0], key[1] or study.metric, key[2], key[3])
        known = math.isfinite(qty.number(c.get("ratio")))
        told = f"{words.with_interval(c)} {tables.badge(c.get('verdict'))}"
        more = told if known else esc(c.get("note") or "no ratio")
        cards.append(
            _card(
                f"{qty.ratio(c.get('ratio'))}{tables.limits(c.get('limited_by') or [])}",
                f"<b>{esc(part.get('side') or part.get('title') or '')}</b>: "
                f"{esc(study.title(key[3]))} against {esc(study.title(key[2]))}",
                more,
            )
        )
    whole = study.headline
    cards.append(_card(qty.ratio(whole.get("ratio")), "<b>both together</b>, the headline", words.with_interval(whole)))
    signs = ["×"] * (len(cards) - 2) + ["="]
    chain = cards[0] + "".join(
        f'<span class="gl-sign">{sign}</span>{card}' for sign, card in zip(signs, cards[1:], strict=True)
    )
    return f'<div class="gl-cards gl-chain">{chain}</div>'


def _engines(study: FinishedStudy) -> str:
    if not study.engine_rows:
        return ""
    block = figures.engines(study)
    if not block:
        return _none("No trial of the configurations that both engines load is valid.")
    return f"<p>{esc(client_cost(study))}</p>{block.html()}{tables.engines(study)}"


def _curves(
    draw: Callable[[FinishedStudy, Mapping[str, Any]], FigureBlock | None], lacking: str
) -> Callable[[FinishedStudy], str]:
    def make(study: FinishedStudy) -> str:
        curves = study.entries("curves")
        if not curves:
            return ""
        found = [(curve, draw(study, curve)) for curve in curves]
        return "".join(
            block.html() if block else _none(f"{curve.get('title') or 'A curve'}: {lacking}") for curve, block in found
        )

    return make


def _throughput(study: FinishedStudy) -> str:
    drawn = _curves(figures.throughput, "no trial of it is valid.")(study)
    return drawn + "".join(scalability.section(study, curve) for curve in study.entries("curves"))


def _latency(study: FinishedStudy) -> str:
    block = figures.latency_distribution(study)
    over_factor = _curves(figures.latency, "no trial of it is valid, or none has requests enough for a percentile.")
    return over_factor(study) + (block.html() if block else "")


def _offered(study: FinishedStudy) -> str:
    block = figures.offered_rates(study)
    return block.html() if block else ""


def _ladder(study: FinishedStudy) -> str:
    if not study.entries("ladder"):
        return ""
    block = figures.ladder(study)
    if not block:
        return _none("No rung of the ladder has two blocks in which both sides are valid.")
    return block.html() + decisions.section(study) + leave_one_out.section(study)


def _windows(study: FinishedStudy) -> str:
    if not study.entries("windows"):
        return ""
    block = figures.windows(study)
    return block.html() if block else _none("No trial of the window curves is valid.")


def _sweeps(study: FinishedStudy) -> str:
    if not study.entries("sweeps"):
        return ""
    block = figures.sweeps(study)
    return block.html() if block else _none("No level of a sweep has two blocks in which it and the base are valid.")


def _profile(study: FinishedStudy) -> str:
    if drawn := evidence.profile(study):
        return drawn
    if not study.plan.get("profiled"):
        return ""
    reasons = evidence.notes(study)
    return _none(f"There is no profile: {'; '.join(reasons) if reasons else 'no trial was sampled'}.")


def _idle(study: FinishedStudy) -> str:
    if not study.plan.get("idle"):
        return ""
    block = figures.idle(study)
    return block.html() if block else _none("No trial of the scenario idle is valid.")


def _comparisons(study: FinishedStudy) -> str:
    blocks = figures.forest(study)
    drawn = "".join(block.html() for block in blocks)
    return (drawn or _none("No comparison has two blocks in which both sides are valid.")) + tables.comparisons(study)


def _configurations(study: FinishedStudy) -> str:
    return tables.configurations(study) or _none("The plan names no configuration.")


def _resources(study: FinishedStudy) -> str:
    drawn = tables.resources(study)
    if not drawn:
        return ""
    return (
        "<p>The resource that held each configuration back, by the first rule that its numbers meet; windows and "
        "stream limits are named only where a configuration that has more of them, and differs in nothing else, is "
        f"faster.</p>{drawn}"
    )


def _timeline(study: FinishedStudy) -> str:
    block = figures.timeline(study)
    return block.html() if block else _none("There are no two valid trials of one configuration to compare.")


def _none(text: str) -> str:
    return f'<p class="gl-none">{esc(text)}</p>'


_MADE = [
    ("The question", "question", _question),
    ("The answer", "answer", _answer),
    ("Warnings", "warnings", _warnings),
    ("What each side gives", "sides", _sides),
    ("The claims", "claims", claims.section),
    ("What the client costs", "engines", _engines),
    ("Throughput", "throughput", _throughput),
    ("Latency", "latency", _latency),
    ("Latency over the offered rate", "offered", _offered),
    ("Silent connections", "idle", _idle),
    ("Handlers that wait", "waiting", waiting.section),
    ("The ladder", "ladder", _ladder),
    ("Windows", "windows", _windows),
    ("Sweeps", "sweeps", _sweeps),
    ("Profile", "profile", _profile),
    ("All comparisons", "comparisons", _comparisons),
    ("Configurations", "configurations", _configurations),
    ("What limited each configuration", "limits", _resources),
    ("From tonic to grpcio", "mapping", settings.mapping),
    ("Timeline", "timeline", _timeline),
    ("Invalid trials", "invalid", tables.invalid),
    ("Method", "method", method.method),
    ("Machine and versions", "machine", method.machine),
    ("Run it again", "again", method.again),
]
