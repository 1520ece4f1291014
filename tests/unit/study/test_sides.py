"""The two sides of a comparison differ in what was asked for, and in nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import grpclab
from grpclab import BASIC, OPTIMIZED, Side, TrialConfig
from grpclab.errors import UsageError
from grpclab.factors.defaults import LOAD
from grpclab.study.sides import Given, GivenTarget, PairOptions, pair
from grpclab.study.target import Subject

COMMAND = GivenTarget(grpclab.Command("sh server.sh {port}"), "--a-cmd")
OTHER = GivenTarget(grpclab.Command("sh other.sh {port}"), "--b-cmd")


def differences(a: Given, b: Given, **asked: Any) -> set[str]:
    """The sections in which two sides differ."""
    sides = pair(a, b, PairOptions(call="s.V/M", **asked))
    return {name.partition(".")[0] for name in sides["b"].config.differences(sides["a"].config)}


@pytest.mark.parametrize(
    ("a", "b", "sections"),
    [
        (OPTIMIZED, "optimized", set()),
        ("optimized", OPTIMIZED.replace({"load.concurrency": 7, "link.rtt_ms": 5.0}), set()),
        (BASIC, "optimized", {"server", "client"}),
        ("basic", "optimized", {"server", "client"}),
        (COMMAND, OTHER, set()),
        (COMMAND, TrialConfig().replace({"load.concurrency": 7, "client.pooling": "pool"}), set()),
        (OPTIMIZED, COMMAND, {"server"}),
    ],
)
def test_what_a_side_does_not_bring_is_the_others(a: Given, b: Given, sections: set[str]) -> None:
    assert differences(a, b) == sections


def test_a_command_is_called_by_the_client_of_the_variant_that_it_is_set_against() -> None:
    sides = pair("optimized", COMMAND, PairOptions())
    assert sides["a"].config.client == sides["b"].config.client == OPTIMIZED.client
    assert sides["b"].config.server == TrialConfig().server, "nothing is known of its server"


def test_two_names_have_the_load_of_a_comparison_and_settings_are_of_both() -> None:
    sides = pair("basic", "optimized", PairOptions(settings={"load.concurrency": 3}, own={"b": {"server.threads": 5}}))
    for side in sides.values():
        assert {**LOAD, "load.concurrency": 3}.items() <= side.config.flat().items()
    assert sides["b"].config.server.threads == 5
    assert sides["b"].label == "optimized with server.threads=5"


def test_a_name_of_ones_own_stands_for_the_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.sh").touch()
    sides = pair(COMMAND, OTHER, PairOptions(call="s.V/M", names={"a": "old  build", "b": None}, start_timeout_s=60))
    assert [side.label for side in sides.values()] == ["old build", "other.sh"]
    assert sides["a"].subject.target.ready_timeout_s == 60


@pytest.mark.parametrize(("place", "told"), [("python", "target.python"), ("app_dir", "app-dir"), ("cwd", "cwd")])
def test_one_application_at_two_places_has_two_labels(place: str, told: str) -> None:
    given = {"python": sys.executable, "app_dir": ".", "cwd": "."}[place]
    place_given: dict[str, Any] = {place: given}
    app = GivenTarget(grpclab.App("shop:register"), "--app")
    there = GivenTarget(grpclab.App("shop:register", **place_given), "--app")
    sides = pair(app, there, PairOptions(call="s.V/M", own={"b": {"server.threads": 5}}))
    assert sides["a"].label == "shop:register"
    assert sides["b"].label == f"shop:register with {told}={given} server.threads=5"
    alike = pair(there, there, PairOptions(call="s.V/M"))
    assert {side.label for side in alike.values()} == {"shop:register"}, "what is alike tells nothing apart"


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (COMMAND, "--call is missing: expected a method of the command's server"),
        (GivenTarget(grpclab.App("shop:register"), "--app"), "`grpclab init --app shop:register` lists its methods"),
        (GivenTarget(grpclab.Address("localhost:1"), "--address"), "`grpclab init localhost:1` lists its methods"),
    ],
)
def test_a_server_of_ones_own_is_not_measured_without_a_call(target: GivenTarget, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        pair(target, target, PairOptions())
    assert told in str(caught.value)
    assert pair(target, target, PairOptions(call="s.V/M"))["b"].subject.call == "s.V/M"
    ours = GivenTarget(grpclab.Command("python -m grpclab serve reference --port {port}"), "--a-cmd")
    assert pair(ours, "basic", PairOptions())["a"].subject.call == "", "it has the greeter's method"


@pytest.mark.parametrize(
    ("a", "b", "asked", "told"),
    [
        ("basic", "fast", {}, "invalid b=fast: expected a variant"),
        ("basic", 5, {}, "invalid b=5: expected a variant"),
        ("basic", "basic", {"own": {"b": {"load.rate_rps": 100.0}}}, "invalid load.rate_rps"),
        ("basic", COMMAND, {"own": {"b": {"server.threads": 3}}}, "invalid server.threads=3"),
        (
            Side(label="x", config=OPTIMIZED, subject=Subject(target=grpclab.Command("sh x {port}"))),
            "basic",
            {},
            "factor of grpclab's own",
        ),
        ("basic", "basic", {"start_timeout_s": -1}, "invalid --start-timeout=-1"),
        ("basic", "basic", {"names": {"a": "x" * 100}}, "invalid --a-name"),
        ("basic", "basic", {"data": "{}"}, "--data applies only to your own calls"),
        (
            "basic",
            "basic",
            {"call": "a.B/C", "settings": {"load.method": "SayHelloStream"}},
            "load.method applies only to",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(a: Any, b: Any, asked: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        pair(a, b, PairOptions(**asked))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_in_braces_without_a_level_on_its_side_is_refused() -> None:
    a, b = (
        GivenTarget(grpclab.Command(f"{name} {{port}} {{x}}"), f"--{side}-cmd")
        for side, name in zip("ab", ("true", "false"), strict=True)
    )
    with pytest.raises(UsageError, match=r"expected a level of arg\.x for \{x\} in each configuration"):
        pair(a, b, PairOptions(call="s.V/M", own={"b": {"arg.x": "4"}}))
    sides = pair(a, b, PairOptions(call="s.V/M", own={"a": {"arg.x": "1"}, "b": {"arg.x": "4"}}))
    assert sides["a"].config.own["arg.x"] == "1"
