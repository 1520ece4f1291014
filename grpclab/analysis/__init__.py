"""Judging a study: pure functions over frames, no gRPC, no files.

The layout, each module importing only from those above it::

    metrics     which direction of a metric is faster, and the words for it
    ratios      ratios within blocks, t intervals, sign flip, paired t, Holm
    notices     what happened around the trials
    limits      generator-bound numbers, invalid trials, failed calls, outages
    verdict     a comparison, its verdict, the blocks that would decide it
    sentence    the first thing a reader sees
    engines     whether two engines give the same answer
    measured    levels, medians and neighbours of each configuration
    amounts     cores, times and counts in words
    limit_rules when a resource counts as what limited a configuration
    resources   the limiting resource of each configuration
    stability   drift over the blocks, blocks that stand apart
    study       headline, family, A/A arm, warnings: the content of verdict.json
    evidence    what the looks at the server say, and how that changed
    functions   whose share of the samples changed
    claim       what a claim is, and how its verdict comes about
    load_claims, network_claims
                the rules by which the Rust demo's claims are judged
    replication what became of them
    setup       what was compared and how it was loaded, in words
    curves      frames for figures: levels, ladder
"""

from __future__ import annotations

from grpclab.analysis.curves import ladder_steps, levels
from grpclab.analysis.metrics import lower_is_faster, metric_words
from grpclab.analysis.ratios import (
    Interval,
    block_ratios,
    fewest_blocks,
    holm,
    log_t_interval,
    paired_levels,
    paired_t_p,
    sign_flip_p,
    t_interval,
)
from grpclab.analysis.resources import Limit, limit_of, limiting_resources
from grpclab.analysis.sentence import times
from grpclab.analysis.study import Judgement, analyse
from grpclab.analysis.verdict import (
    Comparison,
    Verdict,
    blocks_needed,
    compare,
    judge,
    smallest_effect,
    spread_of,
)

__all__ = [
    "Comparison",
    "Interval",
    "Judgement",
    "Limit",
    "Verdict",
    "analyse",
    "block_ratios",
    "blocks_needed",
    "compare",
    "fewest_blocks",
    "holm",
    "judge",
    "ladder_steps",
    "levels",
    "limit_of",
    "limiting_resources",
    "log_t_interval",
    "lower_is_faster",
    "metric_words",
    "paired_levels",
    "paired_t_p",
    "sign_flip_p",
    "smallest_effect",
    "spread_of",
    "t_interval",
    "times",
]
