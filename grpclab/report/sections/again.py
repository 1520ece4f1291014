"""The commands that measure the study again, and its trials to take away."""

from __future__ import annotations

import shlex

from grpclab import quantities as qty
from grpclab.report.finished import FinishedStudy
from grpclab.report.words import esc

TITLE, ANCHOR = "Run it again", "again"


def section(study: FinishedStudy) -> str:
    """The commands that repeat it, and its trials to take away."""
    manifest = study.manifest
    lines = []
    if manifest.git.commit:
        lines.append(f"git checkout {shlex.quote(manifest.git.commit)}")
    if manifest.again is None:
        parameters = [_parameter(name, value) for name, value in manifest.parameters.items() if value is not None]
        lines.append(" \\\n    ".join(["papermill notebooks/sweep.ipynb sweep-again.ipynb", *parameters]))
    elif manifest.again:
        lines.append(manifest.again)
    lines.append(
        "# the same plan with the same seed as a new study, held against this one\n"
        f"grpclab study --repeat {shlex.quote(f'results/{study.name}/manifest.json')}"
    )
    lines.append(
        f"# this page once more, from the stored results\ngrpclab report {shlex.quote(f'results/{study.name}')}"
    )
    code = "\n".join("\n".join(_code_line(part) for part in line.split("\n")) for line in lines)
    dirty = "<p>The work tree held changes that are not in that commit.</p>" if manifest.git.dirty else ""
    seed = "not recorded" if manifest.seed is None else manifest.seed
    return (
        f"<p>Seed {esc(seed)}: with the same seed the order of the trials is the same.</p>"
        f'<pre class="gl-scroll" tabindex="0"><code>{code}</code></pre>{dirty}'
        f"<p>All {qty.count(len(study.trials), 'trial')} of this study are inside this page, each factor and each "
        f"metric a column: {_download(study, 'parquet', 'Parquet')} {_download(study, 'csv', 'CSV')}</p>"
    )


def _download(study: FinishedStudy, kind: str, label: str) -> str:
    """A button that the page's script brings to life."""
    name = esc(f"{_file_name(study.name)}-trials")
    return f'<button type="button" class="gl-button" data-download="{kind}" data-name="{name}" hidden>{label}</button>'


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
