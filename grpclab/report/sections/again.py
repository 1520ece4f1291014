"""The commands that measure the study again, and its trials to take away."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from grpclab import quantities as qty
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import CodeLines, Composed, Paragraph, Piece

TITLE, ANCHOR, PLACE, FOLDED = "Run it again", "again", 280, True


@dataclass(frozen=True, kw_only=True)
class Repetition(Composed):
    """The lines of the commands, and the names of the downloads."""

    seed: str
    lines: tuple[str, ...]
    dirty: bool
    trials: str
    file: str

    TEMPLATE = "sections/again.html.j2"

    @property
    def order(self) -> str:
        """The seed, in a sentence."""
        return f"Seed for the random order of the trials: {self.seed}."

    @property
    def commands(self) -> list[Piece]:
        """The commands, and what they leave out."""
        dirty = "The working tree contained changes that are not in that commit."
        return [CodeLines(lines=self.lines), *([Paragraph(text=dirty)] if self.dirty else [])]

    @property
    def pieces(self) -> list[Piece]:
        """All but the buttons of a page."""
        inside = f"The HTML report contains all {self.trials} of the study, with one column per factor and metric."
        return [Paragraph(text=self.order), *self.commands, Paragraph(text=inside)]


def section(study: FinishedStudy) -> Repetition:
    """The commands that repeat it, and its trials to take away."""
    manifest = study.manifest
    commands = []
    if manifest.git.commit:
        commands.append(f"git checkout {shlex.quote(manifest.git.commit)}")
    if manifest.again is None:
        parameters = [_parameter(name, value) for name, value in manifest.parameters.items() if value is not None]
        commands.append(" \\\n    ".join(["papermill notebooks/sweep.ipynb sweep-again.ipynb", *parameters]))
    elif manifest.again:
        commands.append(manifest.again)
    commands.append(
        "# run the same plan with the same seed as a new study, and compare it with this one\ngrpclab study --repeat "
        f"{shlex.quote(f'results/{study.name}/manifest.json')}"
    )
    commands.append(
        f"# rebuild this page from the stored results\ngrpclab report {shlex.quote(f'results/{study.name}')}"
    )
    return Repetition(
        seed="not recorded" if manifest.seed is None else str(manifest.seed),
        lines=tuple(line for command in commands for line in command.split("\n")),
        dirty=bool(manifest.git.dirty),
        trials=qty.count(len(study.trials), "trial"),
        file=f"{_file_name(study.name)}-trials",
    )


def _parameter(name: str, value: object) -> str:
    """An option of papermill; lists are written as words."""
    if isinstance(value, list | tuple):
        value = ",".join(str(v) for v in value)
    return f"{'-r' if isinstance(value, str) else '-p'} {shlex.quote(name)} {shlex.quote(str(value))}"


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)[:80] or "study"
