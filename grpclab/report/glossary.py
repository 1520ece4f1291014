"""The lab's own words that a report uses, each with what it means, for readers who never saw them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from grpclab.errors import FactorError
from grpclab.factors.config import TrialConfig
from grpclab.factors.defaults import MEANINGS
from grpclab.factors.levels import Level
from grpclab.factors.variants import VARIANTS
from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.study.designs.scenario import SCENARIOS

_ENGINES = {
    "grpcio": "load from a Python client, grpc.aio",
    "wire": "a load generator that sends pre-encoded HTTP/2 frames, which costs the client almost no CPU time",
}
_LIMITS = {
    "generator-bound": "the load generator was at its limit, so the server may be capable of more",
    "client-cpu": "the client was at its limit; the study compares clients as well as servers",
}


def explained(study: FinishedStudy) -> Iterator[tuple[str, str]]:
    """Each word of the lab that the study uses, in the order of reading, and what it means; both plain text."""
    yield from variants(study)
    scenarios = {c.scenario for c in study.configurations.values()}
    yield from ((name, SCENARIOS[name].meaning) for name in SCENARIOS if name in scenarios)
    engines = {study.engine(name) for name in study.configurations}
    yield from ((f"engine {name}", meaning) for name, meaning in _ENGINES.items() if name in engines)
    limits = {label for name in study.configurations for label in study.limits(name)}
    yield from ((name, meaning) for name, meaning in _LIMITS.items() if name in limits)
    if study.has_aa:
        yield "A/A", "the baseline measured a second time under another name, to show the noise"


def variants(study: FinishedStudy) -> Iterator[tuple[str, str]]:
    """The named configurations among them: those that a title calls by name, at their levels of server and client."""
    for name, meaning in MEANINGS.items():
        called = re.compile(rf"\b{name}\b")
        for configuration, c in study.configurations.items():
            if called.search(f"{configuration} {c.title}") and _is(name, c.settings):
                yield name, meaning
                break


def line(study: FinishedStudy) -> str:
    """The named configurations in one line of plain text; "" for none."""
    text = "; ".join(f"{word}: {words.plain(meaning)}" for word, meaning in variants(study))
    return f"{text}." if text else ""


def _is(variant: str, settings: Mapping[str, Level]) -> bool:
    """Whether settings are a variant's, whatever the load and the link."""
    try:
        config = TrialConfig().replace({name: level for name, level in settings.items() if not _outside(name)})
    except FactorError:
        return False
    return (config.server, config.client) == (VARIANTS[variant].server, VARIANTS[variant].client)


def _outside(name: str) -> bool:
    return name.startswith(("load.", "link."))
