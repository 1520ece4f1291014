"""The scenario ``chatter``: many small calls. Pure."""

from __future__ import annotations

from grpclab.study.designs.scenario import Scenario

CHATTER = "chatter"
CHATTER_WARMUP_S = 0.3

SCENARIO = Scenario(meaning="small unary calls", levels={"load.warmup_s": CHATTER_WARMUP_S})
