"""Judging a study: pure functions over frames, no gRPC, no files.

Each line imports only from those above it::

    planned_feature        a feature of a service in a plan: the configurations with it and without it
    study_plan             what a study measures and compares, as values
    inference/             ratios within blocks, intervals, tests and verdicts
    claims/                published claims, and what became of them when they were measured anew
    configuration_summary  what is known of each configuration of a study: its levels, its medians, its neighbours
    neighbours             configurations that are equal in all factors but one
    answer_comparison      whether both sides of a comparison answer alike
    study_notices          what happened around the trials
    sentence               the first thing a reader sees
    disagreement           whether two engines give the same answer
    limits/                generator-bound numbers, invalid trials, failed calls, outages
    judgement              a whole study judged: the content of verdict.json
    curves                 frames for figures: levels, ladder
    offered                open-loop configurations of a study as series over the offered rate
    setup                  what was compared and how it was loaded, in words
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grpclab.analysis.curves import ladder_steps as ladder_steps
    from grpclab.analysis.curves import levels as levels
    from grpclab.analysis.inference.pairing import block_ratios as block_ratios
    from grpclab.analysis.inference.pairing import paired_levels as paired_levels
    from grpclab.analysis.inference.ratios import Interval as Interval
    from grpclab.analysis.inference.ratios import fewest_blocks as fewest_blocks
    from grpclab.analysis.inference.ratios import holm as holm
    from grpclab.analysis.inference.ratios import log_t_interval as log_t_interval
    from grpclab.analysis.inference.ratios import paired_t_p as paired_t_p
    from grpclab.analysis.inference.ratios import sign_flip_p as sign_flip_p
    from grpclab.analysis.inference.ratios import t_interval as t_interval
    from grpclab.analysis.inference.sample_size import BlockCosts as BlockCosts
    from grpclab.analysis.inference.sample_size import BudgetFit as BudgetFit
    from grpclab.analysis.inference.sample_size import EffectRow as EffectRow
    from grpclab.analysis.inference.sample_size import PairNoise as PairNoise
    from grpclab.analysis.inference.sample_size import blocks_for as blocks_for
    from grpclab.analysis.inference.sample_size import blocks_needed as blocks_needed
    from grpclab.analysis.inference.sample_size import effect_lines as effect_lines
    from grpclab.analysis.inference.sample_size import effect_table as effect_table
    from grpclab.analysis.inference.sample_size import fit_budget as fit_budget
    from grpclab.analysis.inference.sample_size import smallest_effect as smallest_effect
    from grpclab.analysis.inference.sample_size import smallest_seen as smallest_seen
    from grpclab.analysis.inference.sample_size import spread_of as spread_of
    from grpclab.analysis.inference.sample_size import spread_within_pairs as spread_within_pairs
    from grpclab.analysis.inference.sample_size import upper_spread as upper_spread
    from grpclab.analysis.inference.verdict import Comparison as Comparison
    from grpclab.analysis.inference.verdict import Verdict as Verdict
    from grpclab.analysis.inference.verdict import compare as compare
    from grpclab.analysis.inference.verdict import judge as judge
    from grpclab.analysis.judgement import Judgement as Judgement
    from grpclab.analysis.judgement import analyse as analyse
    from grpclab.analysis.limits.resources import Limit as Limit
    from grpclab.analysis.limits.resources import limit_of as limit_of
    from grpclab.analysis.limits.resources import limiting_resources as limiting_resources

_HOMES = {
    "BlockCosts": "inference.sample_size",
    "BudgetFit": "inference.sample_size",
    "Comparison": "inference.verdict",
    "EffectRow": "inference.sample_size",
    "Interval": "inference.ratios",
    "Judgement": "judgement",
    "Limit": "limits.resources",
    "PairNoise": "inference.sample_size",
    "Verdict": "inference.verdict",
    "analyse": "judgement",
    "block_ratios": "inference.pairing",
    "blocks_for": "inference.sample_size",
    "blocks_needed": "inference.sample_size",
    "compare": "inference.verdict",
    "effect_lines": "inference.sample_size",
    "effect_table": "inference.sample_size",
    "fewest_blocks": "inference.ratios",
    "fit_budget": "inference.sample_size",
    "holm": "inference.ratios",
    "judge": "inference.verdict",
    "ladder_steps": "curves",
    "levels": "curves",
    "limit_of": "limits.resources",
    "limiting_resources": "limits.resources",
    "log_t_interval": "inference.ratios",
    "paired_levels": "inference.pairing",
    "paired_t_p": "inference.ratios",
    "sign_flip_p": "inference.ratios",
    "smallest_effect": "inference.sample_size",
    "smallest_seen": "inference.sample_size",
    "spread_of": "inference.sample_size",
    "spread_within_pairs": "inference.sample_size",
    "t_interval": "inference.ratios",
    "upper_spread": "inference.sample_size",
}
"""The modules of what the room shows. They load pandas, which the values of a plan do without."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"grpclab.analysis.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'grpclab.analysis' has no attribute {name!r}")
