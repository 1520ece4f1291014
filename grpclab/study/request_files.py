"""The data files of a study: their requests and times are those that the manifest says, from its first trial to its
last."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from grpclab.analysis.study_plan import StoredFile, StoredTarget, StudyPlan
from grpclab.errors import UsageError
from grpclab.load.calls.data_file import DataFile, file_reference
from grpclab.load.core.shapes import replayed_file

Files = tuple[StoredFile, ...]


def data_files_of(plan: StudyPlan) -> Files:
    """The data files that the calls and the replays of a plan refer to, as they are now. Raises UsageError."""
    return _files_of(plan.subjects.values(), [one.config.load.arrival for one in plan.configurations])


def _files_of(targets: Collection[StoredTarget], arrivals: Collection[str]) -> Files:
    found = {}
    given = [data for target in targets for data in (target.data, *(one.data for one in target.mix))]
    given += [file_reference(path) for arrival in arrivals if (path := replayed_file(arrival))]
    for data in dict.fromkeys(one for one in given if isinstance(one, str)):
        if file := DataFile.of(data):
            found[data] = StoredFile(name=str(file.path), bytes=len(file.content), sha256=file.sha256)
    return tuple(found[data] for data in sorted(found))


def changed_data_files(before: Files | None, now: Files) -> list[str]:
    """The names of the files whose content is another one, each without its folder; of an earlier version's none."""
    known = {file.name: file.sha256 for file in before or ()}
    return [Path(file.name).name for file in now if known.get(file.name, file.sha256) != file.sha256]


def change_during_study(before: Files | None, target: StoredTarget, arrival: str) -> str:
    """Why requests or times of a data file do not belong to a study that began with other ones; "" where they do."""
    try:
        changed = changed_data_files(before, _files_of([target], [arrival]))
    except UsageError as error:
        return f"the data file is no longer readable: {error}"
    return f"the data file {changed[0]} has changed since the study started" if changed else ""
