"""The machines of a cluster: what each of them measured, and how far their ratios lie apart."""

from __future__ import annotations

from collections.abc import Iterator

from grpclab import quantities as qty
from grpclab.analysis.inference.random_effects import AcrossMachines, MachineRatio
from grpclab.analysis.study_plan import StoredCores
from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Cells, Paragraph, Piece, Table, number

TITLE, ANCHOR, PLACE, FOLDED = "Machines", "machines", 55, False


def section(study: FinishedStudy) -> list[Piece] | None:
    """The headline's ratio on each machine, and their spread; None for a study without a cluster."""
    if not study.manifest.machines:
        return None
    headline = study.headline
    found = AcrossMachines(machines=headline.by_machine)
    text = "The study was measured on a cluster: each block on one machine, and several blocks at the same time."
    if found.machines:
        spread = found.spread(headline.between_machines if headline.over_machines else None)
        text += f" {words.sentence_case(spread)}."
    header = ["machine", "CPU", "server on", "load on", "blocks", "ratio", "95% interval"]
    table = Table(header=header, rows=[*_rows(study)], label="Machines", numeric={4, 5, 6}, widest=1)
    return [Paragraph(text=text), table]


def _rows(study: FinishedStudy) -> Iterator[Cells]:
    ratios = {one.machine: one for one in study.headline.by_machine}
    for machine in study.manifest.machines:
        one = ratios.get(machine.name, MachineRatio())
        known = one.ratio == one.ratio
        interval = qty.MISSING
        if one.ci_low == one.ci_low:
            interval = f"{qty.ratio(one.ci_low, 'sentence')} to {qty.ratio(one.ci_high, 'sentence')}"
        yield [
            words.plain(machine.name),
            words.plain(machine.machine.cpu_model or qty.MISSING),
            *_cores(machine.cores),
            str(one.blocks),
            number(qty.ratio(one.ratio, "sentence"), one.ratio) if known else qty.MISSING,
            number(interval, one.ci_low, one.ci_high) if interval != qty.MISSING else interval,
        ]


def _cores(cores: StoredCores) -> tuple[str, str]:
    """The cores of server and load generator."""
    server, load = (f"core{'' if len(one) == 1 else 's'} {_numbers(one)}" for one in (cores.server, cores.generator))
    return server, f"{load} (shared)" if cores.shared else load


def _numbers(cores: tuple[int, ...]) -> str:
    return f"{cores[0]} to {cores[-1]}" if len(cores) > 2 else ", ".join(map(str, cores))
