"""The tables of a report, as HTML. Cells are escaped where they are made; `table` takes them as they are."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis.inference.ratios import numbers
from grpclab.analysis.inference.validity import first_texts
from grpclab.factors.config import FACTORS, format_level
from grpclab.metrics import metric_words, value_text
from grpclab.report import words
from grpclab.report.figures.engines import by_engine, clients, variants
from grpclab.report.finished import FinishedStudy
from grpclab.report.words import esc

Cells = Sequence[str]
_JOINTS = re.compile(r"(?<=[._=])(?=\w)")


def table(header: Cells, rows: Iterable[Cells], *, label: str, numeric: Iterable[int] = (), widest: int = 0) -> str:
    """A table in a container that scrolls sideways on its own.

    The first cell of a row is its heading; a row of one cell heads those that follow. The column `widest`
    takes the room that is left, none if it is -1.
    """
    right = set(numeric)

    def cell(at: int, text: str) -> str:
        kind = ' class="gl-num"' if at in right else ' class="gl-widest"' if at == widest else ""
        return f'<th scope="row"{kind}>{text}</th>' if at == 0 else f"<td{kind}>{text}</td>"

    head = "".join(
        f'<th scope="col"{" class=gl-num" if at in right else ""}>{esc(text)}</th>' for at, text in enumerate(header)
    )

    def line(row: Cells) -> str:
        if len(row) == 1 < len(header):
            return f'<tr class="gl-group"><th scope="rowgroup" colspan="{len(header)}">{row[0]}</th></tr>'
        return f"<tr>{''.join(cell(at, text) for at, text in enumerate(row))}</tr>"

    bodies: list[list[str]] = [[]]
    for row in rows:
        if len(row) == 1 < len(header) and bodies[-1]:
            bodies.append([])
        bodies[-1].append(line(row))
    body = "".join(f"<tbody>{''.join(lines)}</tbody>" for lines in bodies)
    return (
        f'<div class="gl-scroll" tabindex="0" role="region" aria-label="{esc(label)}">'
        f"<table><thead><tr>{head}</tr></thead>{body}</table></div>"
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of terms and what they are; both are plain text."""
    items = "".join(f"<div><dt>{esc(term)}</dt><dd>{esc(text)}</dd></div>" for term, text in pairs)
    return f'<dl class="gl-facts">{items}</dl>'


def badge(verdict: object) -> str:
    """A verdict on its colour."""
    word = words.plain(verdict or "inconclusive")
    known = word if word in {"faster", "slower", "equivalent", "inconclusive"} else "inconclusive"
    return f'<span class="gl-badge gl-{known}">{esc(word)}</span>'


def code(text: object) -> str:
    """A name of a program, which may break after its dots and underscores; a dash for none."""
    if not text:
        return qty.MISSING
    parts = "<wbr>".join(esc(part) for part in _JOINTS.split(words.plain(text)))
    return f"<code>{parts}</code>"


def limits(labels: Iterable[object]) -> str:
    """What limited a number, as marks to stand on it."""
    return "".join(f' <span class="gl-limit">{esc(label)}</span>' for label in labels if label)


def comparisons(study: FinishedStudy) -> str:
    """Every comparison with its interval, p, verdict and what there is to know about it; "" without any."""
    rows: list[Cells] = []
    for group, found in study.listed():
        rows.append([esc(group)])
        for c in found:
            notes = [words.plain(c.get("note") or "")]
            if c.get("verdict") == "inconclusive" and c.get("blocks_needed"):
                notes.append(f"{c['blocks_needed']} blocks would decide it")
            told = "; ".join(n for n in notes if n)
            title = words.plain(c.get("title") or "").removeprefix(f"{group}: ")
            metric = metric_words(str(c.get("metric") or ""))
            sides = f"{metric}, {c.get('candidate')} against {c.get('baseline')}"
            rows.append(
                [
                    f"{esc(title)}<small>{esc(sides)}</small>{f'<small>{esc(told)}</small>' if told else ''}",
                    f"<b>{qty.ratio(c.get('ratio'))}</b>{limits(c.get('limited_by') or [])}",
                    words.interval_of(c),
                    badge(c.get("verdict")),
                    esc(qty.p_value(c.get("p_adjusted"))),
                    esc(c.get("blocks") if c.get("blocks") is not None else qty.MISSING),
                ]
            )
    if not rows:
        return ""
    header = ["comparison", "ratio", "95 % interval", "verdict", "p adjusted", "blocks"]
    return table(header, rows, label="Every comparison", numeric={1, 2, 4, 5})


def configurations(study: FinishedStudy, *, measured: bool = True) -> str:
    """Every configuration with the settings in which they differ; if `measured`, its level of the study's metric."""
    if not study.configurations:
        return ""
    scenarios: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name, c in study.configurations.items():
        scenarios.setdefault(str(c.get("scenario") or ""), {})[name] = c
    levels = study.levels(list(study.configurations), study.metric).set_index("configuration") if measured else None
    rows: list[Cells] = []
    for scenario, mine in scenarios.items():
        once_more = _other_engine(study)
        everywhere = _in_all([c.get("settings") or {} for name, c in mine.items() if name not in once_more])
        same = "".join(f"<li>{code(f'{f}={v}')}</li>" for f, v in everywhere.items())
        but = ", but where told otherwise" if once_more & set(mine) else ""
        shared = f'<ul class="gl-settings"><li>the same in all{but}:</li>{same}</ul>' if same else ""
        rows.append([f"{esc(scenario)}{shared}"])
        for name, c in mine.items():
            what = f"{esc(c.get('title') or name)}<small><code>{esc(name)}</code>"
            if levels is None:
                rows.append([f"{what}</small>", _settings(study, c, everywhere)])
                continue
            level = levels.loc[name]
            tried = study.rows(name, valid=False)
            rows.append(
                [
                    f'{what} <span data-trials="{esc(name)}"></span></small>{_traffic(study.rows(name))}',
                    _settings(study, c, everywhere),
                    f"<b>{value_text(study.metric, level['mean'])}</b>{limits(study.limits(name))}",
                    qty.interval(level["ci_low"], level["ci_high"]),
                    f"{int(tried['valid'].sum())} of {len(tried)}",
                ]
            )
    header = ["configuration", "settings", metric_words(study.metric), "95 % interval", "valid"]
    if not measured:
        return table(header[:2], rows, label="Configurations", widest=1)
    return table(header, rows, label="Configurations", numeric={2, 3, 4}, widest=1)


def frame(values: pd.DataFrame, *, label: str) -> str:
    """A frame of words as it stands, its index as headings."""
    rows = [[esc(name), *map(esc, row)] for name, row in zip(values.index, values.to_numpy(), strict=True)]
    return table(["", *map(str, values.columns)], rows, label=label, widest=-1)


def _traffic(rows: pd.DataFrame) -> str:
    """What passed on the connections of a configuration's valid trials beside calls; "" where nothing did."""
    counted = (("client_pings", "client ping"), ("server_pings", "server ping"), ("goaways", "GOAWAY"))
    totals = [(numbers(rows, name).fillna(0).sum(), what) for name, what in counted]
    told = [qty.count(int(total), what) for total, what in totals if total]
    trials = qty.count(len(rows), "trial")
    return f"<small>{', '.join(told)} in {trials}</small>" if told else ""


_REMEDIES = {
    "server-cpu": "remedy: more server cores and processes, or less CPU per call",
    "client-cpu": "remedy: a client that costs less, or more cores for it",
    "link": "remedy: more bandwidth",
    "window": "remedy: a larger HTTP/2 window",
    "stream-limit": "remedy: more streams per connection",
    "concurrency": "remedy: more calls in flight",
    "threads": "remedy: more handler threads",
    "generator-bound": "remedy: more load; the server can do more",
}
"""What raises the throughput, by resource."""


def resources(study: FinishedStudy) -> str:
    """The resource that limited each configuration, with its evidence; "" where the verdict does not say."""
    rows: list[Cells] = []
    scenario = None
    for name, limit in study.resources.items():
        mine = str(study.configurations.get(name, {}).get("scenario") or "")
        if mine != scenario:
            rows.append([esc(mine or "other")])
            scenario = mine
        resource = words.plain(limit.get("resource") or "unknown")
        unsure = [] if limit.get("certain") or resource == "unknown" else ["not certain"]
        more = "".join(f"<br><small>{esc(text)}</small>" for text in [*unsure, _REMEDIES.get(resource, "")] if text)
        rows.append(
            [
                f"{esc(study.title(name))}<small><code>{esc(name)}</code></small>",
                f"<b>{esc(resource)}</b>{more}",
                esc(words.sentence_case(words.plain(limit.get("evidence") or "no reason given"))),
            ]
        )
    header = ["configuration", "limited by", "evidence"]
    return table(header, rows, label="What limited each configuration", widest=2) if rows else ""


def _other_engine(study: FinishedStudy) -> set[str]:
    """The configurations that are there for the other engine only: they are not what is common to all."""
    other = str((study.plan.get("engines") or {}).get("other") or "")
    return {row[other] for row in study.engine_rows.values() if other in row}


def _in_all(settings: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The settings that two or more configurations have in common, as words."""
    if len(settings) < 2:
        return {}
    first = {factor: _level(level) for factor, level in settings[0].items()}
    return {
        factor: level
        for factor, level in first.items()
        if all(_level(other.get(factor, _UNSET)) == level for other in settings)
    }


def _settings(study: FinishedStudy, configuration: Mapping[str, Any], everywhere: Mapping[str, str]) -> str:
    """What sets a configuration apart from its scenario, each setting that cannot act with the reason.

    Where it is shorter, only what sets it apart from one of the headline's two configurations.
    """
    mine, idle = _told_settings(study, configuration), study.without_effect(str(configuration.get("name") or ""))
    told = {f: t for f, t in mine.items() if f in idle or _as_told(configuration, f) != everywhere.get(f)}
    unknown = study.unknown_factors(str(configuration.get("name") or ""))
    told |= {f: code(_default(f)) for f in everywhere if f not in mine and f not in unknown}
    like = ""
    for name in (study.baseline, study.candidate):
        other = study.configurations.get(name, {})
        if other is configuration or other.get("scenario") != configuration.get("scenario"):
            continue
        if unknown != study.unknown_factors(name):  # another server is not like one of ours, but for something
            continue
        theirs = _told_settings(study, other)
        apart = {f: t for f, t in mine.items() if theirs.get(f) != t}
        apart |= {f: code(_default(f)) for f in theirs if f not in mine}
        if len(apart) + 1 < len(told):
            told, like = apart, name
    marks = [f"<li>{text}</li>" for text in told.values()]
    if like:
        marks.insert(0, f"<li>as <code>{esc(like)}</code>{', but' if told else ''}</li>")
    return f'<ul class="gl-settings">{" ".join(marks)}</ul>' if marks else "nothing else"


def _as_told(configuration: Mapping[str, Any], factor: str) -> str:
    return _level((configuration.get("settings") or {}).get(factor, _UNSET))


def _default(factor: str) -> str:
    """A factor that a configuration leaves at its default."""
    return f"{factor}={format_level(FACTORS[factor].default)}" if factor in FACTORS else f"{factor} not set"


def _told_settings(study: FinishedStudy, configuration: Mapping[str, Any]) -> dict[str, str]:
    settings: Mapping[str, Any] = configuration.get("settings") or {}
    idle = study.without_effect(str(configuration.get("name") or ""))
    told = {factor: code(f"{factor}={_level(v)}") for factor, v in settings.items()}
    for factor, reason in idle.items():
        text = told.get(factor, code(factor))
        told[factor] = f'{text} <span class="gl-idle">no effect: {esc(reason)}</span>'
    return told


def engines(study: FinishedStudy) -> str:
    """The numbers of the figure of engines with their intervals and verdicts; "" without any."""
    rows: list[Cells] = []
    for client in clients(study):
        rows.append([esc(client.variant)])
        for row in client.rows:
            level = row.throughput_rps
            c = client.comparison if row.engine == "wire" else {}
            rows.append(
                [
                    esc(row.engine) + ("<small>against grpcio</small>" if c else ""),
                    f"<b>{qty.amount(level.mean)}</b><br><small>{qty.interval(level.low, level.high)}</small>"
                    f"{limits(row.limits)}",
                    *_judged(c),
                    qty.duration(row.server_cpu_s.mean),
                    qty.duration(row.client_cpu_s.mean),
                ]
            )
    if found := by_engine(study):
        baseline, candidate = variants(study)
        rows.append([f"{esc(candidate)} against {esc(baseline)}"])
        rows += [[esc(engine), "", *_judged(c), "", ""] for engine, c in found]
    header = ["engine", "requests/s", "ratio", "verdict", "server CPU per call", "client CPU per call"]
    return table(header, rows, label="Engines", numeric={1, 2, 4, 5}) if rows else ""


def _judged(comparison: Mapping[str, Any]) -> tuple[str, str]:
    """A ratio with its interval, and its verdict; nothing where there is no comparison."""
    if not comparison:
        return "", ""
    if not math.isfinite(qty.number(comparison.get("ratio"))):
        return qty.MISSING, esc(comparison.get("note") or "")
    between = words.interval_of(comparison)
    return f"<b>{qty.ratio(comparison['ratio'])}</b><br><small>{between}</small>", badge(comparison.get("verdict"))


def invalid(study: FinishedStudy) -> str:
    """The trials that do not count, each with its reason; "" for none."""
    bad = study.trials[~study.trials["valid"]].sort_values(["block", "order"])
    rows = [
        [
            f"<code>{esc(row.trial or row.configuration)}</code>",
            esc(study.title(str(row.configuration))),
            str(row.block),
            esc(row.invalid_reason or "no reason given"),
        ]
        for row in bad.itertuples(index=False)
    ]
    return (
        table(["trial", "configuration", "block", "reason"], rows, label="Invalid trials", numeric={2}) if rows else ""
    )


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A nested mapping as pairs of words: ``load_average.before`` becomes ``load average, before``."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            pairs.extend(flat(value, f"{name}, ") or [(name, qty.MISSING)])
        else:
            pairs.append((name, _told(value)))
    return pairs


def errors_told(study: FinishedStudy, names: Sequence[str]) -> tuple[int, int, str]:
    """Failed calls, all calls, and the failures by status, over the valid trials of these configurations."""
    mine = study.trials[study.trials["valid"] & study.trials["configuration"].isin(list(names))]
    statuses: Counter[str] = Counter()
    for text in mine["errors_by_status"]:
        try:
            statuses.update({words.plain(k): int(n) for k, n in json.loads(text or "{}").items() if n})
        except (ValueError, AttributeError, TypeError):
            statuses.update({"unreadable": 1})
    texts = first_texts(mine)
    said = (
        f"{status} {n:,}" + (f' "{texts[status]}"' if status in texts else "") for status, n in statuses.most_common()
    )
    told = ", ".join(said)
    return int(mine["errors"].sum()), int(mine["requests"].sum()), told


_UNSET = object()


def _level(level: object) -> str:
    if level is _UNSET:
        return "not set"
    return format_level(level) if level is None or isinstance(level, bool | int | float | str) else str(level)


def _told(value: object) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_told(v) for v in value) or qty.MISSING
    return words.plain(value)
