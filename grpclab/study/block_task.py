"""The task of a Dask worker that measures a group of a block: in a child process, into a folder that is carried back.

The child ends when the group is no longer wanted: the task was cancelled, its client is gone, or the worker closes.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from grpclab.cluster.slot import measuring
from grpclab.errors import GrpclabError, MeasurementError, UsageError, WorkerError
from grpclab.study.block_child import MEASURED, ORDER, BlockOrder, GroupMeasured
from grpclab.study.carried import (
    MOST_CARRIED_BYTES,
    MOST_RETURNED_BYTES,
    CarryError,
    files_below,
    packed,
    unpacked,
)
from grpclab.system.subprocesses import STUDY_VARIABLE, Child, receive_all
from grpclab.system.temporary import TemporaryFolder

LONGEST_GROUP_S = 3600.0
"""A group that takes longer is given up: the budget of one is a minute, and that of a long window its length."""
LOOK_S = 0.25
"""How often the worker is asked whether the group is still wanted."""

_FOLDERS: dict[str, TemporaryFolder] = {}
"""The folders of targets that this worker holds, by the digest of their archive; they end with its process."""
_LOCK = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class BlockAnswer:
    """The files of a measured group as an archive, or why there are none; `busy` while the worker does another."""

    archive: bytes = b""
    error: str = ""
    misuse: bool = False
    busy: bool = False


def keep_folder(archive: bytes, digest: str) -> str:
    """On a worker: unpack the folders of targets, once; returns why that failed, or nothing."""
    with _LOCK:
        if digest in _FOLDERS:
            return ""
        try:
            folder = TemporaryFolder()
            unpacked(archive, folder.path, MOST_CARRIED_BYTES)
        except (CarryError, OSError, GrpclabError) as error:
            return str(error)
        _FOLDERS[digest] = folder
        return ""


def measure_block(order: BlockOrder) -> BlockAnswer:
    """On a worker: measure a group."""
    try:
        with measuring(f"study {order.manifest.study}"):
            return _measured(order, _wanted())
    except WorkerError as error:
        return BlockAnswer(error=str(error))
    except MeasurementError as error:
        return BlockAnswer(error=str(error), busy="already measuring" in str(error))
    except GrpclabError as error:
        return BlockAnswer(error=str(error), misuse=isinstance(error, UsageError))


def _measured(order: BlockOrder, wanted: Callable[[], bool]) -> BlockAnswer:
    if order.places is not None:
        held = _FOLDERS.get(order.digest)
        if held is None:
            raise WorkerError("the worker was restarted and no longer has the target's folder")
        order = replace(order, places=replace(order.places, folder=str(held.path)))
    with TemporaryFolder() as folder:
        (folder / ORDER).write_bytes(pickle.dumps(order))
        error = folder / "error.log"
        with (
            error.open("w+b") as log,
            Child(
                "grpclab.study.block_child",
                str(folder),
                name="the process that measures the group",
                cpus=order.cores,
                env=_environment(folder, order.manifest.study),
                log=log,
            ) as child,
        ):

            def look() -> None:
                if not wanted():
                    child.abandon()
                    raise WorkerError("the measurement of the group was cancelled")

            (answer,) = receive_all([child], LONGEST_GROUP_S, GroupMeasured, every_s=LOOK_S, tick=look)
        if answer.error:
            return BlockAnswer(error=answer.error, misuse=answer.misuse)
        try:
            return BlockAnswer(archive=packed(files_below(folder / MEASURED), MOST_RETURNED_BYTES))
        except CarryError as excess:
            return BlockAnswer(error=f"the group's files cannot be sent back: {excess}")


def _environment(folder: Path, study: str) -> dict[str, str | None]:
    """The environment of the child: its temporary files in `folder`, and without what Dask sets for its own tasks."""
    import dask

    own: dict[str, str | None] = {"TMPDIR": str(folder), STUDY_VARIABLE: study}
    for name, value in dask.config.get("distributed.nanny.pre-spawn-environ", {}).items():
        if os.environ.get(name) == str(value):
            own[name] = None
    return own


def _wanted() -> Callable[[], bool]:
    """Whether the task that calls it is still wanted, as a function for this or another thread."""
    from distributed import get_worker
    from distributed.core import Status

    worker = get_worker()
    key = worker.get_current_task()
    open_ = (Status.running, Status.paused)

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return worker.status in open_ and task is not None and task.state not in ("cancelled", "released", "forgotten")

    return wanted
