"""The start of a sentence is a capital, but no name is written otherwise than it is."""

from __future__ import annotations

import pytest

from grpclab.report.words import sentence_case


@pytest.mark.parametrize(
    "text",
    [
        "server.threads=64 is limited by the server",
        "threads=64",
        "arg.cache='on' in pay",
        "target.python=./.venv/bin/python",
        "shop.server:register with threads",
        "./srv",
        "env.gomaxprocs",
        "p99: 3 ms",
        "",
    ],
)
def test_a_name_keeps_its_case(text: str) -> None:
    assert sentence_case(text) == text


@pytest.mark.parametrize(("text", "told"), [("the baseline", "The baseline"), ("a", "A")])
def test_a_word_gets_a_capital(text: str, told: str) -> None:
    assert sentence_case(text) == told
