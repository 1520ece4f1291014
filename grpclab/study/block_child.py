"""The process on a worker of a cluster that measures a group: ``python -m grpclab.study.block_child FOLDER``.

``FOLDER/order`` holds a pickled :class:`BlockOrder`. Servers, load and results belong to this process, not
to the Dask worker, whose threads and environment are not a study's: it ends with the worker, and can be ended alone.
"""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from grpclab.system.subprocesses import die_with_parent, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grpclab.study.carried import Places
    from grpclab.study.designs.design import ScheduledGroup
    from grpclab.study.model import Manifest
    from grpclab.study.target import Subject

ORDER, MEASURED = "order", "group"
"""The file with the order, and the folder that the group is written into."""


@dataclass(frozen=True, kw_only=True)
class BlockOrder:
    """A group to be measured on a machine of the manifest. `digest` names the folders of its targets, if any."""

    group: ScheduledGroup
    manifest: Manifest
    subjects: Mapping[str, Subject]
    machine: str
    cores: tuple[int, ...]
    places: Places | None = None
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class GroupMeasured:
    """The end of a measurement: `error` says why there is no result; `misuse` whether the request was at fault."""

    error: str = ""
    misuse: bool = False


def main() -> None:
    """Measure the group, and say so."""
    die_with_parent()
    folder = Path(sys.argv[1])
    from grpclab.errors import GrpclabError, UsageError

    try:
        _measure(pickle.loads((folder / ORDER).read_bytes()), folder / MEASURED)
    except GrpclabError as error:
        say(GroupMeasured(error=str(error), misuse=isinstance(error, UsageError)))
    else:
        say(GroupMeasured())


def _measure(order: BlockOrder, folder: Path) -> None:
    from grpclab.load.calls.payloads import PAYLOAD_FOLDER
    from grpclab.study.group_order import measure_group
    from grpclab.study.trial_folders import MEMBERS

    folders = {trial.name: folder / MEMBERS / trial.name for trial in order.group.trials}
    for each in folders.values():
        each.mkdir(parents=True)
    subjects = {
        name: order.places.subject(subject) if order.places else subject for name, subject in order.subjects.items()
    }
    with PAYLOAD_FOLDER.in_use():
        measure_group(order.group, folder, folders, manifest=order.manifest, subjects=subjects, machine=order.machine)


if __name__ == "__main__":
    main()
