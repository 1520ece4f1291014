"""The files of deploy/, read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "grpclab.json"
RULES = ("thresholds.yml", "alerts.yml")
"""Files of rules in deploy/prometheus."""
DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")
"""A variable of Compose, with what stands for it where it is not set."""


def read(name: str) -> Any:
    """A YAML file of deploy/."""
    return yaml.safe_load((DEPLOY / name).read_text())


def services() -> dict[str, Any]:
    """The services of the compose file, with every variable at its default."""
    text = DEFAULT.sub(r"\1", (DEPLOY / "compose.yaml").read_text())
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


@dataclass(frozen=True, kw_only=True)
class Expression:
    """A query of a rule or a panel, and where it stands."""

    where: str
    text: str

    @property
    def promql(self) -> str:
        """The query without the variables of Grafana."""
        return self.text.replace("$__rate_interval", "1m").replace("$server", ".*")


def rules() -> list[dict[str, Any]]:
    """All rules, in their order."""
    groups = [group for name in RULES for group in read(f"prometheus/{name}")["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> list[Expression]:
    """Every query there is."""
    ruled = [Expression(where=rule.get("record") or rule["alert"], text=rule["expr"]) for rule in rules()]
    drawn = [Expression(where=panel["title"], text=one["expr"]) for panel in panels() for one in panel["targets"]]
    return ruled + drawn


def metrics_and_labels(promql: str) -> tuple[set[str], set[str]]:
    """The names of metrics and of labels in a query."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', promql)
    labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", bare))
    lists = re.compile(r"\b(?:by|on|group_left|without|ignoring)\s*\(([^)]*)\)")
    labels |= {label for words in lists.findall(bare) for label in re.findall(r"\w+", words)}
    left = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", lists.sub(" ", bare))
    return set(_metrics(left)), labels


def _metrics(text: str) -> Iterator[str]:
    for match in re.finditer(r"[A-Za-z_:][\w:]*", text):
        called = text[match.end() :].lstrip().startswith("(")
        aggregated = match[0] in ("sum", "avg", "max")  # `sum by (...) (...)`: the list is taken out
        if not called and not aggregated and match[0] not in ("or", "and", "unless", "bool", "e9", "e6"):
            yield match[0]
