"""The leave to load running servers on other machines: which of them, what will be sent there, and how much at most."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from grpclab.errors import UsageError, invalid
from grpclab.factors.config import TrialConfig
from grpclab.servers.target import Target
from grpclab.system.allowance import Allowance, SharedAllowance, announcement
from grpclab.system.dialling import addresses_elsewhere


def on_standard_error(line: str) -> None:
    """Say a line there, under grpclab's name."""
    print(f"grpclab: {line}", file=sys.stderr)


@dataclass(frozen=True, kw_only=True)
class RemoteLeave:
    """The leave, within ceilings that all loads share from now on; `announce` is told what is sent to each address."""

    ledger: SharedAllowance
    announce: Callable[[str], None] = on_standard_error
    _told: set[str] = field(default_factory=set, repr=False)

    @classmethod
    def within(cls, allowance: Allowance | None) -> RemoteLeave | None:
        """The leave within an allowance, whose time begins now; None without one."""
        return None if allowance is None else cls(ledger=SharedAllowance(allowance, now=time.perf_counter()))

    def granted(self, target: Target, call: str) -> Target:
        """The target with the leave to load it, where it is an address off this machine. Raises UsageError."""
        remote = addresses_elsewhere(target.address) if target.address else ()
        if not remote:
            return target
        security = replace(target.security, remote=remote)
        line = announcement(call or "the greeter", target.address, security, self.ledger.allowance)
        if line not in self._told:
            self._told.add(line)
            self.announce(line)
        return replace(target, security=security, ledger=self.ledger)

    def check(self, target: Target, config: TrialConfig) -> None:
        """Raise UsageError for a load of a target on another machine that it may not have."""
        if not target.security.remote:
            return
        self.ledger.allowance.check_rate(config.load.rate_rps or 0.0)
        if config.link.emulated:
            expected = "a server on this machine, since a link can be emulated only here; remove the link.* settings"
            raise UsageError(invalid("address", target.address, expected))


def require_address(known: bool, where: str) -> None:
    """Raise UsageError for a leave that nothing needs; `where` is what it belongs to."""
    if not known:
        raise UsageError(f"--allow-remote applies only to {where}; all other servers are started on this machine")
