"""Whether somebody listens at a target, before a load is prepared for it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from grpclab.addresses import loopback_target
from grpclab.errors import TargetError

LOOK_AGAIN_S = 0.05
ANSWER_S = 1.0
"""A kernel accepts or refuses a connection on loopback at once."""


def await_listener(
    target: str,
    wait_s: float = 0.0,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return as soon as somebody listens at the target. Raises TargetError where nobody does within `wait_s`.

    What else is wrong with a target (it accepts and says nothing, it speaks another protocol) shows when it is called.
    """
    hosts, port = loopback_target(target)
    end = clock() + wait_s
    while all(_refuses(host, port) for host in hosts):
        if clock() >= end:
            waited = f" within {wait_s:g} s" if wait_s else ""
            raise TargetError(
                f"nothing answers at {target}{waited} (connection refused): start a server there (`grpclab serve"
                " optimized`), name another target, or wait for one with --connect-timeout 30s"
            )
        sleep(LOOK_AGAIN_S)


def _refuses(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=ANSWER_S).close()
    except TimeoutError:
        return False  # a full queue of connections: somebody listens
    except OSError:
        return True
    return False
