"""The blocks of a study on the machines of a cluster: each block on one machine, several blocks at the same time.

::

    with block_machines("local:2") as machines:
        study = Study.prepare(parameters, machines=machines)
        study.run()

A block that was begun goes on on its own machine. If that is gone, the block is set aside and measured anew on another.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpclab.cluster.connection import Cluster, opened
from grpclab.errors import MeasurementError, UsageError
from grpclab.study.block_child import BlockOrder
from grpclab.study.block_steps import BlockSteps, Steps, sent
from grpclab.study.block_task import BlockAnswer, keep_folder, measure_block
from grpclab.study.carried import MOST_RETURNED_BYTES, CarriedFolders, CarryError, carried, require_carriable, unpacked
from grpclab.study.designs.design import ScheduledGroup
from grpclab.study.documents import read_json
from grpclab.study.machines import machines_of
from grpclab.study.measured_study import MeasuredStudy
from grpclab.study.model import StoredMachine
from grpclab.text.printable import printable

if TYPE_CHECKING:
    from distributed import Client, Future

LOOK_S = 1.0
"""How often the scheduler is asked which workers it has."""
SILENT_S = 12.0
"""A worker whose heartbeat has not been heard for so long is lost."""
BUSY_S = 30.0
"""So long a worker may be busy with another measurement, which may just be ending."""


@dataclass(eq=False)
class _Lane:
    """A machine, and the block that it measures now."""

    address: str
    machine: StoredMachine
    block: int = -1
    steps: Steps | None = None
    group: ScheduledGroup | None = None
    future: Future[Any] | None = None
    busy_since: float = 0.0
    beat: float = math.nan
    """The last heartbeat that the scheduler had from its worker, on its clock, and when that was first seen here."""
    beat_at: float = 0.0


class ClusterMachines:
    """The machines of a cluster that measure blocks."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._by_address = machines_of(cluster)
        self._carried: CarriedFolders | None = None

    @property
    def stored(self) -> tuple[StoredMachine, ...]:
        """The machines as a manifest lists them."""
        return tuple(self._by_address.values())

    @property
    def text(self) -> str:
        """The machines in a line."""
        texts = []
        for one in self.stored:
            shared = ", shared by server and load generator" if one.cores.shared else ""
            cores = sorted({*one.cores.server, *one.cores.generator})
            texts.append(f"{one.name} (core{'' if len(cores) == 1 else 's'} {','.join(map(str, cores))}{shared})")
        where = f"one of {len(texts)} machines: " if len(texts) > 1 else ""
        return f"each block is measured on {where}{'; '.join(texts)}"

    def measure(self, study: MeasuredStudy, steps: BlockSteps, say: Callable[[str], None]) -> None:
        """Measure what is missing of a study, and store it. Raises MeasurementError where no machine is left."""
        if not study.plan.groups:
            raise UsageError("the study was planned by an earlier version, without groups: it cannot use --cluster")
        require_carriable(study.plan, study.subjects)
        self._carry(study, say)
        study.list_machines(self.stored)
        run = _Run(self.cluster.client, study, steps, say, self._carried)
        run.measure([_Lane(address=address, machine=one) for address, one in self._by_address.items()])

    def _carry(self, study: MeasuredStudy, say: Callable[[str], None]) -> None:
        """Give the folders of the targets to the workers. Raises MeasurementError."""
        found = carried(study.subjects)
        if found is None or (self._carried is not None and self._carried.digest == found.digest):
            return
        say(found.text(len(self.stored)))
        answers = self.cluster.client.run(
            keep_folder, found.archive, found.digest, workers=list(self._by_address), on_error="return"
        )
        for address, answer in answers.items():
            if answer:
                name = self._by_address[address].name
                raise MeasurementError(f"{name} could not store the target's folder: {printable(str(answer), 200)}")
        self._carried = found


class _Run:
    """The blocks of a study while they are measured."""

    def __init__(
        self,
        client: Client,
        study: MeasuredStudy,
        steps: BlockSteps,
        say: Callable[[str], None],
        carried_: CarriedFolders | None,
    ) -> None:
        self._client, self._study, self._steps, self._say, self._carried = client, study, steps, say, carried_
        self._done = threading.Event()
        self._looked_at = time.monotonic()
        """When the heartbeats of the workers were last looked at."""
        self._waiting: deque[int] = deque(steps.waiting)
        self._bound = _machines_of_blocks(study)
        """By block the machine that has measured a part of it."""
        self._counts = Counter(self._bound.values())
        """By machine the blocks that it has measured or begun."""
        self._there: set[str] = set()
        """The machines that are there."""
        self._share = 0
        """So many blocks are for each machine: the machines are compared, too."""

    def measure(self, lanes: list[_Lane]) -> None:
        """Measure all blocks."""
        looked = time.monotonic()
        self._share_out(lanes)
        try:
            while self._waiting or any(lane.steps for lane in lanes):
                for lane in lanes:
                    self._advance(lane)
                self._done.wait(LOOK_S)
                self._done.clear()
                if time.monotonic() - looked >= LOOK_S:
                    looked = time.monotonic()
                    lanes = self._without_lost(lanes)
        finally:
            futures = [lane.future for lane in lanes if lane.future is not None]
            if futures:
                with contextlib.suppress(Exception):  # the scheduler may be gone
                    self._client.cancel(futures, force=True)
            for lane in lanes:
                if lane.steps is not None:
                    lane.steps.close()

    def _share_out(self, lanes: Sequence[_Lane]) -> None:
        """Fix how many blocks each machine measures: as many as any other one, as far as that goes."""
        self._there = {lane.machine.name for lane in lanes}
        left = {block for block in self._waiting if self._bound.get(block) not in self._there}
        done = sum(self._counts[name] for name in self._there)
        self._share = math.ceil((done + len(left)) / len(lanes))

    def _set_aside(self, block: int) -> None:
        """Measure a block anew, of which a machine that is no longer there has measured a part."""
        self._study.store.set_block_aside(block)
        self._steps.forget(block)
        before = self._bound.pop(block)
        self._counts[before] -= 1
        aside = self._study.store.folder / "damaged"
        self._say(
            f"block {block} is measured again, since {before}, which started it, is gone; its trials are now in {aside}"
        )

    def _advance(self, lane: _Lane) -> None:
        """Take what a machine has measured, and give it what comes next."""
        if lane.future is not None and lane.future.done():
            future, lane.future = lane.future, None
            if (answer := _answer(future, lane.machine.name)) is None:
                return  # its worker is gone, which the next look at the workers tells
            if answer.busy:
                self._await_slot(lane, answer)
            else:
                lane.busy_since = 0.0
                self._take(lane, answer)
        while lane.future is None and lane.busy_since == 0.0:
            if lane.steps is None and not self._begin(lane):
                return
            if lane.group is None:
                lane.steps = None
                continue
            self._submit(lane)
        if lane.busy_since and lane.future is None and lane.group is not None:
            self._submit(lane)

    def _begin(self, lane: _Lane) -> bool:
        """Give the next block to a machine, those first that it has begun; whether there is one."""
        name = lane.machine.name
        own = [block for block in self._waiting if self._bound.get(block) == name]
        if not own and self._counts[name] >= self._share:
            return False
        free = [block for block in self._waiting if block not in self._bound]
        left = [block for block in self._waiting if self._bound.get(block) not in self._there]
        if not (ready := own or free or left):
            return False
        lane.block = ready[0]
        if lane.block in left and lane.block in self._bound:
            self._set_aside(lane.block)
        self._counts[name] += not own
        self._waiting.remove(lane.block)
        lane.steps = self._steps.of(lane.block)
        lane.group = next(lane.steps, None)
        return True

    def _submit(self, lane: _Lane) -> None:
        assert lane.group is not None
        study, places = self._study, self._carried
        order = BlockOrder(
            group=lane.group,
            manifest=study.manifest,
            subjects={name: study.subjects[name] for name in lane.group.names if name in study.subjects},
            machine=lane.machine.name,
            cores=tuple(sorted({*lane.machine.cores.server, *lane.machine.cores.generator})),
            places=places.places if places else None,
            digest=places.digest if places else "",
        )
        lane.future = self._client.submit(
            measure_block, order, workers=[lane.address], allow_other_workers=False, pure=False, retries=0
        )
        lane.future.add_done_callback(lambda _: self._done.set())

    def _await_slot(self, lane: _Lane, answer: BlockAnswer) -> None:
        """Try again a little later. Raises MeasurementError where the worker stays busy."""
        lane.busy_since = lane.busy_since or time.monotonic()
        if time.monotonic() - lane.busy_since > BUSY_S:
            raise MeasurementError(f"{lane.machine.name}: {answer.error}")
        time.sleep(LOOK_S)

    def _take(self, lane: _Lane, answer: BlockAnswer) -> None:
        """Store a group, and go on with its block."""
        group, name = lane.group, lane.machine.name
        assert group is not None
        assert lane.steps is not None
        if answer.misuse:
            raise UsageError(answer.error)

        def unpack(group: ScheduledGroup, folder: Path, folders: Mapping[str, Path]) -> str:
            if answer.error:
                return f"{name}: {answer.error}"
            try:
                for each in folders.values():
                    each.rmdir()
                unpacked(answer.archive, folder, MOST_RETURNED_BYTES)
                for trial, each in folders.items():
                    each.mkdir(exist_ok=True)
                    if (stored := read_json(each / "result.json", inside=folder))["trial"] != trial:
                        raise CarryError(f"it contains trial {stored['trial']!r} instead of {trial}")
            except (CarryError, OSError, ValueError, LookupError) as error:
                return (
                    f"the files of group {group.name} that {name} sent back are unusable: {printable(str(error), 200)}"
                )
            return ""

        results = self._study.measured(group, unpack, machine=name)
        self._bound[lane.block] = name
        lane.group = sent(lane.steps, results)

    def _without_lost(self, lanes: list[_Lane]) -> list[_Lane]:
        """The machines whose workers are still there; blocks of the others are measured anew.

        Raises MeasurementError where none is left, or the scheduler is gone.
        """
        beats, now = self._heartbeats(), time.monotonic()
        if now - self._looked_at > SILENT_S / 2:  # this process was stopped, and the workers perhaps as well
            for lane in lanes:
                lane.beat_at = now
        self._looked_at = now
        left = []
        for lane in lanes:
            if (why := _lost(lane, beats)) == "":
                left.append(lane)
                continue
            self._say(f"{lane.machine.name} is lost: {why}")
            if lane.steps is not None:
                lane.steps.close()
                block, future = lane.block, lane.future
                lane.steps = lane.future = None
                if future is not None:
                    with contextlib.suppress(Exception):
                        self._client.cancel([future], force=True)
                self._waiting.appendleft(block)
                if block not in self._bound:
                    self._counts[lane.machine.name] -= 1
        if not left:
            raise MeasurementError("no worker of the cluster is left; completed trials are stored")
        if len(left) < len(lanes):
            self._share_out(left)
        return left

    def _heartbeats(self) -> dict[str, float]:
        """The last heartbeat of each worker that the scheduler has, by address, on the scheduler's clock."""
        if self._client.status != "running":
            raise MeasurementError("the connection to the Dask scheduler is lost; completed trials are stored")
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, TimeoutError) as error:
            raise MeasurementError(
                f"the Dask scheduler is not responding ({printable(str(error), 100)}); completed trials are stored"
            ) from None
        return {address: float(worker["last_seen"]) for address, worker in workers.items()}


def _answer(future: Future[Any], name: str) -> BlockAnswer | None:
    """What a task brought; None where its worker did not live to say it. Raises MeasurementError."""
    from distributed.scheduler import KilledWorker

    if future.status in {"cancelled", "lost"}:
        return None
    try:
        answer: BlockAnswer = future.result()
    except KilledWorker:
        return None
    except Exception as error:  # of Dask, or of what the worker runs
        raise MeasurementError(f"{name}: {type(error).__name__}: {printable(str(error), 200)}") from error
    return answer


def _lost(lane: _Lane, beats: Mapping[str, float]) -> str:
    """Why a worker is lost; "" while it is there."""
    if lane.address not in beats:
        return "its worker has left the cluster"
    beat, now = beats[lane.address], time.monotonic()
    if beat != lane.beat:
        lane.beat, lane.beat_at = beat, now
    return f"its worker has not responded for {now - lane.beat_at:.0f} s" if now - lane.beat_at > SILENT_S else ""


def _machines_of_blocks(study: MeasuredStudy) -> dict[int, str]:
    """By block the machine that has measured it so far."""
    return {result.block: result.machine for result in study.store.results().values() if result.machine}


@contextlib.contextmanager
def block_machines(cluster: str | Client | None, *, allow_remote: bool = False) -> Iterator[ClusterMachines | None]:
    """The machines of a cluster, for as long as the block runs; None without one. Raises what `opened` raises."""
    if not cluster:
        yield None
        return
    with opened(cluster, allow_remote=allow_remote) as found:
        yield ClusterMachines(found)
