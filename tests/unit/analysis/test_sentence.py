"""The first sentence of a report: ratio, interval, verdict, and what it promises."""

from __future__ import annotations

import dataclasses
import math

import pytest

from grpclab.analysis import analyse
from grpclab.analysis.inference.verdict import Comparison
from grpclab.analysis.judgement import headline_of
from grpclab.analysis.sentence import advice, sentence
from grpclab.quantities import ratio
from tests.support.judgements import CLIENT, LEVELS, METRIC, SERVER, entry, headline_only, judged, plan, trials, warning


def test_the_sentence_gives_ratio_interval_blocks_verdict_and_parts() -> None:
    found = judged(trials(noise=0.002))
    assert found.headline.verdict == "faster"
    assert found.sentence == (
        "optimized has 3.4× the throughput of basic at concurrency 64 (95% interval 3.4 to 3.4, 6 blocks): "
        "faster; the client keeping its connections contributes 3.0×, the server 1.13×."
    )
    assert found.warnings == ()


def test_the_parts_multiply_to_the_headline() -> None:
    found = judged()
    client, server = found.comparisons
    assert client.ratio * server.ratio == pytest.approx(found.headline.ratio)


def test_labels_of_the_plan_beat_its_title_and_names_are_the_last_resort() -> None:
    labels = {"candidate_label": "Paul", "baseline_label": "Peter", "at": "over a slow link"}
    frame = trials(noise=0.002)
    given = judged(frame, headline=entry("basic", "optimized", title="x against y at noon") | labels)
    assert given.sentence.startswith("Paul has 3.4× the throughput of Peter over a slow link (95%")
    bare = judged(frame, headline=entry("basic", "optimized", title="whole variant"))
    assert bare.sentence.startswith("optimized has 3.4× the throughput of basic (95%")


def test_what_the_label_of_a_side_says_is_no_condition_of_both() -> None:
    labels = {"candidate_label": "B (srv with arg.threads=64)", "baseline_label": "A (srv with arg.threads=10)"}
    title = "srv with arg.threads=64 against srv with arg.threads=10"
    told = judged(trials(noise=0.002), headline=entry("basic", "optimized", title=title) | labels).sentence
    assert told.startswith("B (srv with arg.threads=64) has 3.4× the throughput of A (srv with arg.threads=10) (95%")


def test_a_slower_headline_reads_naturally() -> None:
    found = headline_only(0.8)
    assert found.headline.verdict == "slower"
    assert found.sentence.startswith("optimized has 0.8")
    assert found.sentence.endswith("6 blocks): slower.")


def test_an_equivalent_headline_says_within_what() -> None:
    found = headline_only(1.0, noise=0.005)
    assert found.headline.verdict == "equivalent"
    assert found.sentence.endswith("6 blocks): equivalent (the whole interval is within 5 % of 1).")


def test_parts_that_cancel_are_shown_under_an_equivalent_headline() -> None:
    means = {"basic": 100.0, "reuse": 200.0, "optimized": 100.0, "basic-again": 100.0}
    found = judged(trials(means, noise=0.005))
    assert "the client keeping its connections contributes 2.0×, the server 0.50×" in found.sentence


def test_an_inconclusive_headline_says_how_many_blocks_would_decide() -> None:
    found = headline_only(1.1, noise=0.1)
    assert found.headline.verdict == "inconclusive"
    needed = found.headline.blocks_needed
    assert found.sentence.endswith(
        f"inconclusive; at this noise level, a new study would need about {needed} blocks for a verdict."
    )


def test_two_blocks_promise_nothing() -> None:
    found = headline_only(3.4, blocks=2)
    assert (found.headline.verdict, found.headline.blocks_needed) == ("inconclusive", None)
    assert found.sentence.endswith("2 blocks): inconclusive; 2 blocks are too few for a verdict: run at least 6.")
    assert "at least 6 are needed" in warning(found, "the study has 2 blocks")


@pytest.mark.parametrize("blocks", [2, 3, 4, 5])
@pytest.mark.parametrize("ratio", [0.3, 1.0, 3.4])
def test_fewer_blocks_than_can_carry_a_verdict_give_none_anywhere(blocks: int, ratio: float) -> None:
    means = {name: level * ratio**at for at, (name, level) in enumerate(LEVELS.items())}
    frame = trials(means, noise=1e-4, blocks=blocks)
    found = judged(frame, blocks=blocks)
    for one in (found.headline, *found.comparisons, found.aa):
        assert one is not None
        assert one.verdict == "inconclusive"
        assert math.isnan(one.p_value)
        assert math.isnan(one.p_adjusted)
        assert one.has_interval == (blocks >= 3)


def test_a_ratio_on_the_edge_of_delta_is_not_promised_a_decision() -> None:
    frame = trials({"basic": 100.0, "optimized": 105.0}, noise=0.0)
    up = frame["block"] % 2 == 0
    frame.loc[frame["configuration"].eq("optimized") & up, METRIC] *= 1.1
    frame.loc[frame["configuration"].eq("optimized") & ~up, METRIC] /= 1.1
    found = analyse(frame, plan(parts=[], comparisons=[]))
    assert "not even 1,000 blocks would be enough" in found.sentence


def test_less_latency_reads_as_faster() -> None:
    found = judged(headline=entry("basic", "optimized", title="", metric="latency_p99_s"), parts=[], comparisons=[])
    assert found.headline.verdict == "faster"
    assert found.sentence.startswith("optimized has 0.29× the p99 latency of basic (lower is better; 95%")


def test_a_part_that_is_undecided_is_marked() -> None:
    means = LEVELS | {"optimized": 303.0}
    assert "1.0" in judged(trials(means)).sentence
    assert ", the server 1.0" in judged(trials(means)).sentence


def test_what_a_client_that_keeps_its_channel_gains_is_said_with_its_interval() -> None:
    found = judged(parts=[CLIENT, SERVER | {"already": "A client that already keeps its channel"}])
    part = next(c for c in found.comparisons if c.candidate == "optimized")
    told = found.sentence.partition(". ")[2]
    assert told.startswith(
        f"For a client that already keeps its channel, the ratio is {ratio(part.ratio, 'sentence')} (95% interval "
    )
    assert told.endswith(f": {part.verdict}.")


def test_an_end_of_an_interval_that_is_not_one_does_not_read_as_one() -> None:
    close = dataclasses.replace(judged().headline, ratio=1.1, ci_low=1.003, ci_high=1.206)
    assert "95% interval 1.003 to 1.206" in sentence(close, headline_of(plan()), [])


def test_without_a_ratio_the_advice_is_to_measure_the_fewest_blocks() -> None:
    assert advice(Comparison(verdict="inconclusive", missing="only 1 block")) == "run at least 6 blocks"
