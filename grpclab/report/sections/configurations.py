"""Every configuration with the settings that set it apart, and its level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis.inference.ratios import numbers
from grpclab.analysis.study_plan import PlannedConfiguration
from grpclab.factors.config import FACTORS
from grpclab.factors.levels import Level, format_level
from grpclab.metrics import metric_words, value_text
from grpclab.report import tables
from grpclab.report.finished import FinishedStudy
from grpclab.report.words import esc

TITLE, ANCHOR = "Configurations", "configurations"


def section(study: FinishedStudy) -> str:
    """The table, or that there is nothing for one."""
    return table(study) or tables.none("The plan names no configuration.")


def table(study: FinishedStudy, *, measured: bool = True) -> str:
    """Every configuration with the settings in which they differ; if `measured`, its level of the study's metric."""
    if not study.configurations:
        return ""
    scenarios: dict[str, dict[str, PlannedConfiguration]] = {}
    for name, c in study.configurations.items():
        scenarios.setdefault(c.scenario, {})[name] = c
    levels = study.levels(list(study.configurations), study.metric).set_index("configuration") if measured else None
    rows: list[tables.Cells] = []
    for scenario, members in scenarios.items():
        once_more = _other_engine(study)
        everywhere = _in_all([c.settings for name, c in members.items() if name not in once_more])
        same = "".join(f"<li>{tables.code(f'{f}={v}')}</li>" for f, v in everywhere.items())
        but = ", but where told otherwise" if once_more & set(members) else ""
        shared = f'<ul class="gl-settings"><li>the same in all{but}:</li>{same}</ul>' if same else ""
        rows.append([f"{esc(scenario)}{shared}"])
        for name, c in members.items():
            what = f"{esc(c.title or name)}<small><code>{esc(name)}</code>"
            if levels is None:
                rows.append([f"{what}</small>", _settings(study, c, everywhere)])
                continue
            level = levels.loc[name]
            tried = study.rows(name, valid=False)
            rows.append(
                [
                    f'{what} <span data-trials="{esc(name)}"></span></small>{_traffic(study.rows(name))}',
                    _settings(study, c, everywhere),
                    f"<b>{value_text(study.metric, level['mean'])}</b>{tables.limits(study.limits(name))}",
                    qty.interval(level["ci_low"], level["ci_high"]),
                    f"{int(tried['valid'].sum())} of {len(tried)}",
                ]
            )
    header = ["configuration", "settings", metric_words(study.metric), "95 % interval", "valid"]
    if not measured:
        return tables.table(header[:2], rows, label="Configurations", widest=1)
    return tables.table(header, rows, label="Configurations", numeric={2, 3, 4}, widest=1)


def _traffic(rows: pd.DataFrame) -> str:
    """The traffic on the connections of a configuration's valid trials beside calls; "" where there was none."""
    counted = (("client_pings", "client ping"), ("server_pings", "server ping"), ("goaways", "GOAWAY"))
    totals = [(numbers(rows, name).fillna(0).sum(), what) for name, what in counted]
    counts = [qty.count(int(total), what) for total, what in totals if total]
    trials = qty.count(len(rows), "trial")
    return f"<small>{', '.join(counts)} in {trials}</small>" if counts else ""


def _other_engine(study: FinishedStudy) -> set[str]:
    """The configurations that are there for the other engine only: they are not what is common to all."""
    other = study.plan.engines.other if study.plan.engines else ""
    return {row[other] for row in study.engine_rows.values() if other in row}


def _in_all(settings: Sequence[Mapping[str, Level]]) -> dict[str, str]:
    """The settings that two or more configurations have in common, as words."""
    if len(settings) < 2:
        return {}
    first = {factor: _level(level) for factor, level in settings[0].items()}
    return {
        factor: level
        for factor, level in first.items()
        if all(_level(other.get(factor, _UNSET)) == level for other in settings)
    }


def _settings(study: FinishedStudy, configuration: PlannedConfiguration, everywhere: Mapping[str, str]) -> str:
    """The settings by which a configuration differs from its scenario, each that cannot act with the reason.

    Where it is shorter, only what sets it apart from one of the headline's two configurations.
    """
    settings, idle = _all_settings(study, configuration), study.without_effect(configuration.name)
    own = {f: t for f, t in settings.items() if f in idle or _level_of(configuration, f) != everywhere.get(f)}
    unknown = study.unknown_factors(configuration.name)
    own |= {f: tables.code(_default(f)) for f in everywhere if f not in settings and f not in unknown}
    like = ""
    for name in (study.baseline, study.candidate):
        other = study.configuration(name)
        if other is configuration or other.scenario != configuration.scenario:
            continue
        if unknown != study.unknown_factors(name):  # another server is not like one of ours, but for something
            continue
        theirs = _all_settings(study, other)
        apart = {f: t for f, t in settings.items() if theirs.get(f) != t}
        apart |= {f: tables.code(_default(f)) for f in theirs if f not in settings}
        if len(apart) + 1 < len(own):
            own, like = apart, name
    marks = [f"<li>{text}</li>" for text in own.values()]
    if like:
        marks.insert(0, f"<li>as <code>{esc(like)}</code>{', but' if own else ''}</li>")
    return f'<ul class="gl-settings">{" ".join(marks)}</ul>' if marks else "nothing else"


def _level_of(configuration: PlannedConfiguration, factor: str) -> str:
    return _level(configuration.settings.get(factor, _UNSET))


def _default(factor: str) -> str:
    """A factor that a configuration leaves at its default."""
    return f"{factor}={format_level(FACTORS[factor].default)}" if factor in FACTORS else f"{factor} not set"


def _all_settings(study: FinishedStudy, configuration: PlannedConfiguration) -> dict[str, str]:
    """The settings of a configuration as HTML, by factor; with the reason where one cannot act."""
    settings = {factor: tables.code(f"{factor}={_level(level)}") for factor, level in configuration.settings.items()}
    for factor, reason in study.without_effect(configuration.name).items():
        text = settings.get(factor, tables.code(factor))
        settings[factor] = f'{text} <span class="gl-idle">no effect: {esc(reason)}</span>'
    return settings


_UNSET = object()


def _level(level: object) -> str:
    if level is _UNSET:
        return "not set"
    return format_level(level) if level is None or isinstance(level, bool | int | float | str) else str(level)
