"""The options of a cluster that loads, and the cluster of those that measure blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from grpclab.cli.option_types import OneOf
from grpclab.cli.output import trial_lines
from grpclab.cli.parser import Flag, Options
from grpclab.errors import UsageError

if TYPE_CHECKING:
    from grpclab.cluster.connection import Cluster
    from grpclab.study.spread_blocks import ClusterMachines

STOP = "stop"
ON_LOST = (STOP, "continue")
"""What to do when a worker is lost, as :mod:`grpclab.load.cluster_losses` has it, which takes long to import."""


def cluster_flags() -> list[Flag]:
    """The options, by which the workers of a cluster send the load."""
    return [
        Flag(
            "--cluster",
            metavar="ADDRESS|local:N",
            help="send the load from the workers of a Dask cluster, one generator process each: the address of a "
            "scheduler, or local:N for N processes on this machine",
        ),
        Flag(
            "--on-lost-worker",
            kind=OneOf(ON_LOST),
            metavar="stop|continue",
            help="with --cluster: if a worker is lost during the load, stop and print the results of the others "
            "(exit code 3), or continue at a lower rate, which the results show (default: stop)",
        ),
    ]


def joined(keeping: contextlib.ExitStack, given: Mapping[str, Any]) -> Cluster | None:
    """Join the cluster of --cluster until the end of `keeping`; None without that option."""
    if "cluster" not in given:
        return None
    from grpclab.cluster.connection import opened

    return keeping.enter_context(opened(given["cluster"], allow_remote=bool(given.get("allow_remote"))))


def on_lost_worker(given: Mapping[str, Any]) -> str:
    """What to do when a worker of the cluster is lost. Raises UsageError where it was said without a cluster."""
    if "on_lost_worker" in given and "cluster" not in given:
        raise UsageError("--on-lost-worker works only with --cluster: add it, or remove --on-lost-worker")
    return str(given.get("on_lost_worker", STOP))


@contextlib.contextmanager
def measuring(options: Options) -> Iterator[tuple[ClusterMachines | None, Callable[[str], None]]]:
    """The machines of a cluster that measure blocks, or None to measure here; and what prints the line of a trial."""
    from grpclab.load.calls.payloads import PAYLOAD_FOLDER
    from grpclab.study.spread_blocks import block_machines

    with (
        PAYLOAD_FOLDER.in_use(),
        block_machines(options.cluster, allow_remote=bool(options.allow_remote)) as machines,
        trial_lines(silent=options.quiet or options.json == "-") as say,
    ):
        yield machines, say
