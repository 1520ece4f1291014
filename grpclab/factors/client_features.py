"""What a client does beside sending calls: retries, load balancing over several servers, a circuit breaker. Pure.

The breaker is :mod:`grpclab.load.engines.circuit_breaker`. The others are C-core's own, and :func:`service_config` is
what asks for them (grpc/grpc ``doc/service_config.md``, gRFC A6). Hedging, of the same gRFC, is no factor: C-core
accepts the policy in Python, and sends one attempt.
"""

from __future__ import annotations

import json

from grpclab.factors.config import ClientConfig, TrialConfig
from grpclab.status import statuses_of

BACKOFF_S = (0.1, 1.0)
"""The pause before the first retry of a call, and the longest one; they double, and vary at random by 20%."""
THROTTLE_TOKENS, THROTTLE_RATIO = 10, 0.1
"""The tokens that a client's throttle has at first and at most, and what a success gives back. A failed attempt takes
one; while at most half of them are left, nothing is retried."""


def service_config(client: ClientConfig) -> str:
    """The service config of a client in JSON; "" where every factor of it is at its default."""
    parts: dict[str, object] = {}
    if client.load_balancing != "pick_first":
        parts["loadBalancingConfig"] = [{client.load_balancing: {}}]
        if client.health_checks:
            parts["healthCheckConfig"] = {"serviceName": ""}
    if client.retries:
        policy = {
            "maxAttempts": 1 + client.retries,
            "initialBackoff": f"{BACKOFF_S[0]:g}s",
            "maxBackoff": f"{BACKOFF_S[1]:g}s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": statuses_of(client.retry_statuses),
        }
        parts["methodConfig"] = [{"name": [{}], "retryPolicy": policy}]
        parts["retryThrottling"] = {"maxTokens": THROTTLE_TOKENS, "tokenRatio": THROTTLE_RATIO}
    return json.dumps(parts) if parts else ""


def most_sends(client: ClientConfig) -> int:
    """The most times that a call is sent: any attempt may be one that the server did not take, and go again."""
    return (1 + client.retries) * (2 if client.resend or client.retries else 1)


def idle_features(config: TrialConfig) -> dict[str, str]:
    """The factors of these features that cannot act in a configuration, each with the reason."""
    reasons = {}
    if config.load.engine == "wire":
        reasons["client.retries"] = "the wire engine does not retry by status; set engine=grpcio"
        reasons["client.load_balancing"] = "a connection of the wire engine leads to one server; set engine=grpcio"
        reasons["client.tracing_share"] = "the wire engine does not trace calls; set engine=grpcio"
        reasons["client.circuit_breaker"] = "the wire engine has no circuit breaker; set engine=grpcio"
    if "client.load_balancing" in reasons or config.client.load_balancing == "pick_first":
        reasons["client.health_checks"] = (
            "health checks need round robin; set load_balancing=round_robin and engine=grpcio"
        )
    if "client.retries" in reasons or not config.client.retries:
        reasons["client.retry_statuses"] = "retries are off; set retries and engine=grpcio"
    if "client.circuit_breaker" in reasons or config.client.circuit_breaker is None:
        why = "the circuit breaker is off; set circuit_breaker and engine=grpcio"
        reasons |= dict.fromkeys(("client.breaker_open_s", "client.breaker_statuses"), why)
    return reasons
