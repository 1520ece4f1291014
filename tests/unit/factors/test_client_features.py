"""The features of a client: the service config that asks for some of them, and when they cannot act."""

from __future__ import annotations

import json
from typing import Any

import pytest

from grpclab.factors.client_features import idle_features, most_sends, service_config
from grpclab.factors.config import ClientConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.variants import VARIANTS


@pytest.mark.parametrize("config", [TrialConfig(), *VARIANTS.values()])
def test_a_client_without_these_features_has_no_service_config(config: TrialConfig) -> None:
    assert service_config(config.client) == ""


def test_a_policy_names_the_attempts_and_the_statuses_and_has_a_throttle() -> None:
    written = json.loads(service_config(ClientConfig(retries=3, retry_statuses="ABORTED,UNAVAILABLE")))
    assert set(written) == {"methodConfig", "retryThrottling"}
    (method,) = written["methodConfig"]
    assert method["name"] == [{}]
    assert method["retryPolicy"]["maxAttempts"] == 4
    assert method["retryPolicy"]["retryableStatusCodes"] == ["ABORTED", "UNAVAILABLE"]


def test_load_balancing_is_asked_for_beside_retries_or_alone() -> None:
    alone = json.loads(service_config(ClientConfig(load_balancing="round_robin")))
    assert alone == {"loadBalancingConfig": [{"round_robin": {}}]}
    checked = json.loads(service_config(ClientConfig(load_balancing="round_robin", health_checks=True)))
    assert checked == {**alone, "healthCheckConfig": {"serviceName": ""}}
    assert service_config(ClientConfig(health_checks=True)) == ""
    both = json.loads(service_config(ClientConfig(load_balancing="round_robin", retries=1)))
    assert both.items() > alone.items()


@pytest.mark.parametrize(
    ("levels", "times"), [({}, 1), ({"resend": True}, 2), ({"retries": 2}, 6), ({"retries": 2, "resend": True}, 6)]
)
def test_a_call_counts_as_often_as_it_may_be_sent(levels: dict[str, Any], times: int) -> None:
    assert most_sends(ClientConfig(**levels)) == times


NAMES = ("client.retries", "client.load_balancing", "client.circuit_breaker", "client.tracing_share")
OF_BALANCING = ("client.health_checks",)
OF_RETRIES = ("client.retry_statuses",)
OF_BREAKER = ("client.breaker_open_s", "client.breaker_statuses")


@pytest.mark.parametrize(
    ("levels", "idle"),
    [
        ({}, {*NAMES, *OF_BALANCING, *OF_RETRIES, *OF_BREAKER}),
        ({"client.retries": 2, "client.circuit_breaker": 2}, {*NAMES, *OF_BALANCING, *OF_RETRIES, *OF_BREAKER}),
        ({"load.engine": "grpcio"}, {*OF_BALANCING, *OF_RETRIES, *OF_BREAKER}),
        ({"load.engine": "grpcio", "client.retries": 2}, {*OF_BALANCING, *OF_BREAKER}),
        ({"load.engine": "grpcio", "client.circuit_breaker": 2}, {*OF_BALANCING, *OF_RETRIES}),
        ({"load.engine": "grpcio", "client.load_balancing": "round_robin"}, {*OF_RETRIES, *OF_BREAKER}),
    ],
)
def test_these_features_need_engine_grpcio_and_their_details_need_them(
    levels: dict[str, Level], idle: set[str]
) -> None:
    assert set(idle_features(TrialConfig().replace(levels))) == idle
