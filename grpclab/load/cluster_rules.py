"""What the machines of a cluster cannot share of a load. Pure."""

from __future__ import annotations

from grpclab.cluster.connection import Cluster, described
from grpclab.errors import UsageError, invalid
from grpclab.factors.config import TrialConfig
from grpclab.load.plan import LoadPlan
from grpclab.system.addresses import is_loopback
from grpclab.system.dialling import loopback_target
from grpclab.system.transport import Security


def check_shared(plan: LoadPlan, cluster: Cluster, target: str, security: Security) -> None:
    """Raise UsageError for a load that the machines of a cluster cannot share."""
    load = plan.config.load
    if plan.config.link.emulated:
        raise UsageError("a link can be emulated only on one machine: remove the link.* settings, or --cluster")
    if load.pause_s:
        raise UsageError(f"load.pause_s={load.pause_s:g} applies only to a load from one machine: remove --cluster")
    _check_machines(cluster, plan.config, target, security)


def _check_machines(cluster: Cluster, config: TrialConfig, target: str, security: Security) -> None:
    if config.load.workers > len(cluster.workers):
        expected = (
            f"at most {len(cluster.workers)}, the Dask workers of {cluster.address}, each with one generator process"
        )
        raise UsageError(invalid("load.workers", config.load.workers, expected))
    elsewhere = [worker for worker in cluster.workers if worker.machine != described().machine]
    if not elsewhere:
        return
    hosts, port = loopback_target(target, security.remote)
    if not port or all(map(is_loopback, hosts)):
        expected = (
            f"an address that all machines reach, since {elsewhere[0].host} ({elsewhere[0].address}) is another machine"
        )
        raise UsageError(invalid("target", target, expected))
    if config.load.arrival.startswith("replay"):
        raise UsageError(f"load.arrival={config.load.arrival} reads a file of this machine, so it cannot run on others")
