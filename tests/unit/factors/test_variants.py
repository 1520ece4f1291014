"""Basic, optimized, and the ladder between them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from grpclab.errors import FactorError
from grpclab.factors.channel_args import without_effect
from grpclab.factors.config import TrialConfig
from grpclab.factors.defaults import DEFAULT_PORTS, MEANINGS
from grpclab.factors.features import FEATURES
from grpclab.factors.levels import Level
from grpclab.factors.variants import (
    BASIC,
    LADDER,
    OPTIMIZED,
    PRODUCTION,
    VARIANTS,
    Rung,
    ladder_config,
    mix,
    variant,
)

KEPT = [rung for rung in LADDER if rung.kept]
REJECTED = [rung for rung in LADDER if not rung.kept]


def changed(before: TrialConfig, after: TrialConfig) -> dict[str, Level]:
    return after.differences(before)


def levels(config: TrialConfig, names: dict[str, Level]) -> dict[str, Level]:
    """The configuration's own levels of these factors."""
    return {name: level for name, level in config.flat().items() if name in names}


def test_the_ladder_leads_from_basic_to_optimized() -> None:
    assert LADDER[0].changes == {}
    assert ladder_config(LADDER[0].name) == BASIC
    assert ladder_config(KEPT[-1].name) == OPTIMIZED
    assert LADDER[-1].kept


def test_rungs_have_names_of_their_own() -> None:
    assert len({rung.name for rung in LADDER}) == len(LADDER)


@pytest.mark.parametrize(("below", "rung"), list(pairwise(KEPT)), ids=lambda rung: rung.name)
def test_a_kept_rung_changes_what_it_says_of_the_kept_rung_below(below: Rung, rung: Rung) -> None:
    lower, upper = ladder_config(below.name), ladder_config(rung.name)
    assert changed(lower, upper)
    assert changed(lower, upper).keys() <= rung.changes.keys()
    assert levels(upper, rung.changes) == rung.changes


@pytest.mark.parametrize("rung", REJECTED, ids=lambda rung: rung.name)
def test_a_rejected_rung_branches_off_a_kept_one_below_it_and_leads_nowhere(rung: Rung) -> None:
    below = [kept.name for kept in KEPT if LADDER.index(kept) < LADDER.index(rung)]
    assert rung.after in below
    assert changed(ladder_config(rung.after), ladder_config(rung.name)) == rung.changes
    assert rung.changes
    for kept in KEPT:
        assert levels(ladder_config(kept.name), rung.changes) != rung.changes


def test_a_rejected_rung_knows_nothing_of_the_rungs_between(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = (
        Rung(name="basic", title="basic"),
        Rung(name="low", title="low", changes={"client.pooling": "shared"}),
        Rung(name="high", title="high", changes={"server.threads": 20}),
        Rung(name="aside", title="aside", changes={"server.tls": True}, kept=False, after="low"),
        Rung(name="top", title="top", changes={"server.processes": 2}),
    )
    monkeypatch.setattr("grpclab.factors.variants.LADDER", ladder)
    assert changed(BASIC, ladder_config("aside")) == {"client.pooling": "shared", "server.tls": True}
    assert changed(ladder_config("high"), ladder_config("top")) == {"server.processes": 2}


def test_optimized_is_basic_with_the_changes_of_the_kept_rungs() -> None:
    changes: dict[str, Level] = {}
    for rung in KEPT:
        changes |= rung.changes
    assert BASIC.replace(changes) == OPTIMIZED
    assert levels(OPTIMIZED, changes) == changes


def test_basic_opens_a_channel_for_each_call_and_leaves_the_rest_to_grpcio() -> None:
    assert changed(TrialConfig(), BASIC) == {"client.pooling": "per_call"}


def test_optimized_keeps_its_connections_and_lets_the_server_be_pinged() -> None:
    assert OPTIMIZED.client.pooling == "pool"
    assert OPTIMIZED.server.keepalive_s == OPTIMIZED.client.keepalive_s
    assert OPTIMIZED.server.keepalive_without_calls


def test_each_rung_changes_the_server_or_the_client_never_the_load_or_the_link() -> None:
    for rung in LADDER:
        assert all(name.startswith(("server.", "client.")) for name in rung.changes)


def test_a_mix_is_the_server_of_one_and_the_client_of_the_other() -> None:
    mixed = mix(server="basic", client="optimized")
    assert (mixed.server, mixed.client) == (BASIC.server, OPTIMIZED.client)
    assert mix(server="optimized", client="optimized") == OPTIMIZED
    assert mix(server="basic", client="basic") == BASIC


def test_variants_are_found_by_name_and_have_ports_of_their_own() -> None:
    found = {name: variant(name) for name in VARIANTS}
    assert found == {"basic": BASIC, "optimized": OPTIMIZED, "production": PRODUCTION}
    assert set(MEANINGS) == set(VARIANTS)
    assert DEFAULT_PORTS == {"optimized": 50051, "basic": 50052, "reference": 50053, "production": 50054}


def test_production_is_optimized_with_the_features_that_are_in_it() -> None:
    inside = [feature for feature in FEATURES if feature.in_production]
    added = {factor for feature in inside for factor in feature.on}
    assert set(PRODUCTION.differences(OPTIMIZED)) == added
    assert without_effect(PRODUCTION) == {}
    for feature in inside:
        without = PRODUCTION.replace({factor: OPTIMIZED.flat()[factor] for factor in feature.on} | feature.without)
        assert without != PRODUCTION


def test_each_feature_changes_something_and_can_act() -> None:
    for feature in FEATURES:
        base = OPTIMIZED.replace({"load.engine": "grpcio"} if feature.of_client else feature.base)
        other = base.replace(feature.without or feature.on)
        assert other != base
        assert without_effect(other) == {}
        assert feature.in_production or not feature.without, "what optimized has, production has, too"


def test_an_unknown_variant_or_rung_is_refused_with_those_there_are() -> None:
    with pytest.raises(FactorError, match=r"^unknown variant 'best': expected one of basic, optimized, production$"):
        variant("best")
    with pytest.raises(FactorError, match=r"^unknown variant 'best'"):
        mix(server="best", client="basic")
    with pytest.raises(FactorError, match=r"^no rung 'top' on the ladder; the rungs are basic, reuse, "):
        ladder_config("top")
