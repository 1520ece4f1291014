"""How a study was measured, on what, and how to do it again: the last sections of a report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from grpclab import quantities as qty
from grpclab.analysis.setup import foreign
from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.report.sections import tables
from grpclab.report.words import esc


def method(study: FinishedStudy) -> str:
    """What was done, and by which rules it was judged."""
    plan = study.plan
    blocks = int(qty.number(plan.get("blocks")) if plan.get("blocks") is not None else 0)
    valid = int(study.trials["valid"].sum())
    profiled = ", then, never inside the window, a profile window in some of them" if plan.get("profiled") else ""
    again = (
        " The baseline is measured once more under another name (A/A), not adjusted either: what differs there is "
        "noise."
        if plan.get("aa") and not plan.get("without_aa")
        else ""
    )
    return (
        f"<p>{qty.count(len(study.configurations), 'configuration')} in {qty.count(blocks, 'block')}, "
        f"{qty.count(len(study.trials), 'trial')}, {valid:,} of them valid. Every trial has a freshly "
        f"started server: warm-up, then the measured window{profiled}. A block is one pass over all "
        "configurations in random order. The unit of evidence is the block, not the request: within each block the "
        "two sides of a comparison give one ratio, and what is reported is the geometric mean of these ratios with a "
        "95 % paired t interval on their logarithms. The p value of the headline is that of a sign flip (exact up to "
        "16 blocks) and not adjusted, since it is the one "
        "hypothesis declared before the run; all other comparisons are paired t tests, corrected by Holm in "
        f"one family for each metric. The smallest effect of interest is {100 * study.delta:g} %: "
        "<i>faster</i> and <i>slower</i> need an interval that leaves out 1, a p below 0.05 and a ratio "
        "beyond 1 ± that; <i>equivalent</i> needs the whole interval inside it; all else is "
        f"<i>inconclusive</i>.{again}</p><p>{_load_words(study)}</p>"
    )


_ENGINES = {
    "grpcio": "grpc.aio, what a Python client really does and costs",
    "wire": "HTTP/2 frames of its own, so that the client is hardly ever the limit",
}


def _load_words(study: FinishedStudy) -> str:
    """What made the load, and when it was itself the limit."""
    names = sorted({engine for name in study.configurations if (engine := study.engine(name))})
    told = [f"<b>{esc(name)}</b> ({esc(_ENGINES[name])})" if name in _ENGINES else esc(name) for name in names]
    made = f"The load comes from the engine{'' if len(told) == 1 else 's'} {words.listing(told)}. " if told else ""
    return (
        f"{made}A number is marked <i>generator-bound</i>, and its marker is hollow, where a process of the load "
        "generator was busy for more than 90 % of the window or, in an open loop, could not keep to its schedule; "
        "<i>client-cpu</i> says the same of a client that opens a channel for each call, since there the client is "
        "the factor under test."
    )


def machine(study: FinishedStudy) -> str:
    """Machine, versions, source and the check of the emulated link, as the manifest has them."""
    parts = []
    named = (
        ("machine", "Machine"),
        ("versions", "Versions of grpclab and its load generator" if foreign(study.plan) else "Versions"),
        ("git", "Source"),
        ("link_check", "Check of the emulated link"),
    )
    for key, title in named:
        values = study.manifest.get(key)
        if isinstance(values, Mapping) and values:
            parts.append(f"<h3>{title}</h3>{tables.facts(tables.flat(values))}")
    return "".join(parts) or '<p class="gl-none">The manifest says nothing about the machine.</p>'


def again(study: FinishedStudy) -> str:
    """The commands that repeat it, and its trials to take away."""
    manifest = study.manifest
    git: Mapping[str, Any] = manifest.get("git") or {}
    lines = []
    if git.get("commit"):
        lines.append(f"git checkout {shlex.quote(str(git['commit']))}")
    if "again" in manifest:
        lines += [str(manifest["again"])] if manifest["again"] else []
    else:
        parameters: Mapping[str, Any] = manifest.get("parameters") or {}
        told = [_parameter(str(name), value) for name, value in parameters.items() if value is not None]
        lines.append(" \\\n    ".join(["papermill notebooks/sweep.ipynb sweep-again.ipynb", *told]))
    lines.append(
        "# the same plan with the same seed as a new study, held against this one\n"
        f"grpclab study --repeat {shlex.quote(f'results/{study.name}/manifest.json')}"
    )
    lines.append(
        f"# this page once more, from the stored results\ngrpclab report {shlex.quote(f'results/{study.name}')}"
    )
    code = "\n".join("\n".join(_code_line(part) for part in line.split("\n")) for line in lines)
    dirty = "<p>The work tree held changes that are not in that commit.</p>" if git.get("dirty") else ""
    return (
        f"<p>Seed {esc(manifest.get('seed', 'not recorded'))}: with the same seed the order of the trials is "
        "the same.</p>"
        f'<pre class="gl-scroll" tabindex="0"><code>{code}</code></pre>{dirty}'
        f"<p>All {qty.count(len(study.trials), 'trial')} of this study are inside this page, each factor and each "
        f"metric a column: {_download(study, 'parquet', 'Parquet')} {_download(study, 'csv', 'CSV')}</p>"
    )


def _download(study: FinishedStudy, kind: str, told: str) -> str:
    """A button that the page's script brings to life."""
    name = esc(f"{_file_name(study.name)}-trials")
    return f'<button type="button" class="gl-button" data-download="{kind}" data-name="{name}" hidden>{told}</button>'


def _parameter(name: str, value: object) -> str:
    """An option of papermill; lists are written as words."""
    if isinstance(value, list | tuple):
        value = ",".join(str(v) for v in value)
    return f"{'-r' if isinstance(value, str) else '-p'} {shlex.quote(name)} {shlex.quote(str(value))}"


def _code_line(line: str) -> str:
    """A line of code as HTML, its indentation kept."""
    indent = len(line) - len(line.lstrip(" "))
    return " " * indent + esc(line)


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)[:80] or "study"
