"""The tables of a report, as HTML. Cells are escaped where they are made; :func:`table` takes them as they are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from grpclab.analysis import metric_words
from grpclab.config import format_level
from grpclab.report import words
from grpclab.report.figures.shares import FAMILIES, Profile, Share, profiles
from grpclab.report.study import Study
from grpclab.report.words import esc

Cells = Sequence[str]


def table(header: Cells, rows: Iterable[Cells], *, label: str, numeric: Iterable[int] = ()) -> str:
    """A table in a container that scrolls sideways on its own. The first cell of a row is its heading."""
    right = set(numeric)

    def cell(at: int, text: str) -> str:
        kind = ' class="gl-num"' if at in right else ""
        return f'<th scope="row"{kind}>{text}</th>' if at == 0 else f"<td{kind}>{text}</td>"

    head = "".join(
        f'<th scope="col"{" class=gl-num" if at in right else ""}>{esc(text)}</th>' for at, text in enumerate(header)
    )
    body = "".join(f"<tr>{''.join(cell(at, text) for at, text in enumerate(row))}</tr>" for row in rows)
    return (
        f'<div class="gl-scroll" tabindex="0" role="region" aria-label="{esc(label)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
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


def limits(labels: Iterable[object]) -> str:
    """What limited a number, as marks to stand on it."""
    return "".join(f' <span class="gl-limit">{esc(label)}</span>' for label in labels if label)


def comparisons(study: Study) -> str:
    """Every comparison with its interval, p, verdict and what there is to know about it; "" without any."""
    rows = []
    for group, found in study.listed():
        for c in found:
            p_value = words.number(c.get("p_adjusted"))
            notes = [words.plain(c.get("note") or "")]
            if c.get("verdict") == "inconclusive" and c.get("blocks_needed"):
                notes.append(f"{c['blocks_needed']} blocks would decide it")
            title = words.plain(c.get("title") or "").removeprefix(f"{group}: ")
            rows.append(
                [
                    f"{esc(title)}<small>{esc(c.get('candidate'))} against {esc(c.get('baseline'))}</small>",
                    esc(group),
                    esc(metric_words(str(c.get("metric") or ""))),
                    f"<b>{words.ratio(c.get('ratio'))}</b>{limits(c.get('limited_by') or [])}",
                    words.interval(c.get("ci_low"), c.get("ci_high")),
                    _p(p_value),
                    esc(c.get("blocks") if c.get("blocks") is not None else words.MISSING),
                    badge(c.get("verdict")),
                    f'<span class="gl-note">{esc("; ".join(n for n in notes if n))}</span>',
                ]
            )
    if not rows:
        return ""
    header = ["comparison", "group", "metric", "ratio", "95 % interval", "p adjusted", "blocks", "verdict", "notes"]
    return table(header, rows, label="Every comparison", numeric={3, 4, 5, 6})


def configurations(study: Study) -> str:
    """Every configuration with the settings in which they differ, and its level of the study's metric."""
    if not study.configurations:
        return ""
    settings = {name: c.get("settings") or {} for name, c in study.configurations.items()}
    everywhere = {
        factor
        for factor in {f for mine in settings.values() for f in mine}
        if len(settings) > 1 and len({_level(mine.get(factor, _UNSET)) for mine in settings.values()}) == 1
    }
    levels = study.levels(list(study.configurations), study.metric).set_index("configuration")
    rows = []
    for name, c in study.configurations.items():
        idle: Mapping[str, Any] = c.get("without_effect") or {}
        marks = [
            f"<li><code>{esc(factor)}={esc(_level(level))}</code>"
            + (f' <span class="gl-idle">no effect: {esc(idle[factor])}</span>' if factor in idle else "")
            + "</li>"
            for factor, level in settings[name].items()
            if factor not in everywhere
        ]
        marks += [
            f'<li><code>{esc(factor)}</code> <span class="gl-idle">no effect: {esc(reason)}</span></li>'
            for factor, reason in idle.items()
            if factor not in settings[name]
        ]
        row = levels.loc[name]
        tried = study.rows(name, valid=False)
        rows.append(
            [
                f"{esc(c.get('title') or name)}<small><code>{esc(name)}</code></small>",
                esc(c.get("scenario")),
                f'<ul class="gl-settings">{"".join(marks)}</ul>' if marks else "defaults",
                f"<b>{words.value_of(study.metric, row['mean'])}</b>{limits(study.limits(name))}",
                words.interval(row["ci_low"], row["ci_high"]),
                f"{int(tried['valid'].sum())} of {len(tried)}",
            ]
        )
    shared = ""
    if everywhere:
        first = next(iter(settings.values()))
        told = " ".join(f"<code>{esc(f)}={esc(_level(first[f]))}</code>" for f in sorted(everywhere))
        shared = f"<p>The same in all of them: {told}</p>"
    header = ["configuration", "scenario", "settings", metric_words(study.metric), "95 % interval", "valid trials"]
    return shared + table(header, rows, label="Configurations", numeric={3, 4, 5})


def shares(study: Study) -> str:
    """The numbers of the profile figure with their intervals; "" where nothing was profiled."""
    drawn = profiles(study)
    if not drawn:
        return ""
    rows = [[esc(name), *(_share(p.families[key]) for p in drawn)] for key, (name, _) in FAMILIES.items()]
    rows.append(["waiting, of all samples", *(_share(p.wait) for p in drawn)])
    rows.append(["kernel, of CPU time (/proc)", *(_share(p.kernel_of_cpu) for p in drawn)])
    rows.append(["samples", *(f"{p.samples:,} in {words.count(p.blocks, 'block')}" for p in drawn)])
    header = ["share of the samples that did not wait", *(_profile_title(p) for p in drawn)]
    return table(header, rows, label="Profile shares", numeric=range(1, len(drawn) + 1))


def mapping(study: Study) -> str:
    """What the settings of one library are called in the other; "" where the plan has no such table."""
    entries = study.entries("mapping")
    rows = [
        [
            f"<code>{esc(e.get('tonic') or '')}</code>" if e.get("tonic") else words.MISSING,
            f"<code>{esc(e.get('grpcio') or '')}</code>" if e.get("grpcio") else words.MISSING,
            f"<code>{esc(e['factor'])}</code>" if e.get("factor") else words.MISSING,
            esc(e.get("note") or ""),
        ]
        for e in entries
    ]
    return table(["tonic", "grpcio", "factor", "note"], rows, label="From tonic to grpcio") if rows else ""


def invalid(study: Study) -> str:
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
    return table(["trial", "configuration", "block", "reason"], rows, label="Invalid trials", numeric={2}) if rows else ""


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A nested mapping as pairs of words: ``load_average.before`` becomes ``load average, before``."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            pairs.extend(flat(value, f"{name}, ") or [(name, words.MISSING)])
        else:
            pairs.append((name, _told(value)))
    return pairs


def errors_told(study: Study, names: Sequence[str]) -> tuple[int, int, str]:
    """Failed calls, all calls, and the failures by status, over the valid trials of these configurations."""
    import json

    mine = study.trials[study.trials["valid"] & study.trials["configuration"].isin(list(names))]
    statuses: Counter[str] = Counter()
    for text in mine["errors_by_status"]:
        try:
            statuses.update({words.plain(k): int(n) for k, n in json.loads(text or "{}").items() if n})
        except (ValueError, AttributeError, TypeError):
            statuses.update({"unreadable": 1})
    told = ", ".join(f"{status} {n:,}" for status, n in statuses.most_common())
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
        return ", ".join(_told(v) for v in value) or words.MISSING
    return words.plain(value)


def _p(value: float) -> str:
    if not math.isfinite(value):
        return words.MISSING
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}"


def _share(share: Share) -> str:
    between = ""
    if math.isfinite(share.low) and math.isfinite(share.high):
        between = f" <small>{100 * share.low:.1f} to {100 * share.high:.1f}</small>"
    return f"{words.percent(share.mean)}{between}"


def _profile_title(profile: Profile) -> str:
    return profile.title
