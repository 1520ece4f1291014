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
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Cell, Cells, Missing, Piece, Span, Table, below, bold, code, limits, number
from grpclab.report.tables import name as name_of

TITLE, ANCHOR, PLACE, FOLDED = "Configurations", "configurations", 190, True


def section(study: FinishedStudy) -> Piece:
    """The table, or that there is nothing for one."""
    return table(study) or Missing(text="The plan has no configurations.")


def table(study: FinishedStudy, *, measured: bool = True) -> Table | None:
    """Every configuration with the settings in which they differ; if `measured`, its level of the study's metric."""
    if not study.configurations:
        return None
    scenarios: dict[str, dict[str, PlannedConfiguration]] = {}
    for name, c in study.configurations.items():
        scenarios.setdefault(c.scenario, {})[name] = c
    levels = study.levels(list(study.configurations), study.metric).set_index("configuration") if measured else None
    rows: list[Cells] = []
    for scenario, members in scenarios.items():
        once_more = _other_engine(study)
        everywhere = _in_all([c.settings for name, c in members.items() if name not in once_more])
        same = [code(f"{f}={v}") for f, v in everywhere.items()]
        but = " unless noted" if once_more & set(members) else ""
        shared = Span("settings", (f"the same in all{but}:", *same)) if same else ""
        rows.append([(scenario, shared)])
        for name, c in members.items():
            if levels is None:
                rows.append([(c.title or name, below(name_of(name))), _settings(study, c, everywhere)])
                continue
            mean, low, high = map(float, levels.loc[name, ["mean", "ci_low", "ci_high"]])
            tried = study.rows(name, valid=False)
            rows.append(
                [
                    (
                        c.title or name,
                        below(name_of(name), " ", Span("trials", (name,))),
                        _traffic(study.rows(name)),
                    ),
                    _settings(study, c, everywhere),
                    (bold(number(value_text(study.metric, mean), mean)), *limits(study.limits(name))),
                    number(qty.interval(low, high), low, high),
                    f"{int(tried['valid'].sum())} of {len(tried)}",
                ]
            )
    header = ["configuration", "settings", metric_words(study.metric), "95 % interval", "valid"]
    if not measured:
        return Table(header=header[:2], rows=rows, label="Configurations", widest=1)
    return Table(header=header, rows=rows, label="Configurations", numeric={2, 3, 4}, widest=1)


def _traffic(rows: pd.DataFrame) -> Cell:
    """The traffic on the connections of a configuration's valid trials beside calls; "" where there was none."""
    counted = (("client_pings", "client ping"), ("server_pings", "server ping"), ("goaways", "GOAWAY"))
    totals = [(numbers(rows, name).fillna(0).sum(), what) for name, what in counted]
    counts = [qty.count(int(total), what) for total, what in totals if total]
    trials = qty.count(len(rows), "trial")
    return below(f"{', '.join(counts)} in {trials}") if counts else ""


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


def _settings(study: FinishedStudy, configuration: PlannedConfiguration, everywhere: Mapping[str, str]) -> Cell:
    """The settings by which a configuration differs from its scenario, each that cannot act with the reason.

    Where it is shorter, only what sets it apart from one of the headline's two configurations.
    """
    settings, idle = _all_settings(study, configuration), study.without_effect(configuration.name)
    own = {f: t for f, t in settings.items() if f in idle or _level_of(configuration, f) != everywhere.get(f)}
    unknown = study.unknown_factors(configuration.name)
    own |= {f: code(_default(f)) for f in everywhere if f not in settings and f not in unknown}
    like = ""
    for name in (study.baseline, study.candidate):
        other = study.configuration(name)
        if other is configuration or other.scenario != configuration.scenario:
            continue
        if unknown != study.unknown_factors(name):  # another server is not like one of ours, but for something
            continue
        theirs = _all_settings(study, other)
        apart = {f: t for f, t in settings.items() if theirs.get(f) != t}
        apart |= {f: code(_default(f)) for f in theirs if f not in settings}
        if len(apart) + 1 < len(own):
            own, like = apart, name
    marks = list(own.values())
    if like:
        marks.insert(0, ("as ", name_of(like), ", but" if own else ""))
    return Span("settings", tuple(marks)) if marks else "nothing else"


def _level_of(configuration: PlannedConfiguration, factor: str) -> str:
    return _level(configuration.settings.get(factor, _UNSET))


def _default(factor: str) -> str:
    """A factor that a configuration leaves at its default."""
    return f"{factor}={format_level(FACTORS[factor].default)}" if factor in FACTORS else f"{factor} not set"


def _all_settings(study: FinishedStudy, configuration: PlannedConfiguration) -> dict[str, Cell]:
    """The settings of a configuration as cells, by factor; with the reason where one cannot act."""
    settings: dict[str, Cell] = {
        factor: code(f"{factor}={_level(level)}") for factor, level in configuration.settings.items()
    }
    for factor, reason in study.without_effect(configuration.name).items():
        text = settings.get(factor, code(factor))
        settings[factor] = (text, " ", Span("idle", (f"no effect: {reason}",)))
    return settings


_UNSET = object()


def _level(level: object) -> str:
    if level is _UNSET:
        return "not set"
    return format_level(level) if level is None or isinstance(level, bool | int | float | str) else str(level)
