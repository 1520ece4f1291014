"""The table of other servers in a guide: taken from a study, and as the stored file has it."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from grpclab.errors import DesignError
from grpclab.factors.implementations import IMPLEMENTATIONS
from grpclab.report.stored import StoredStudy
from tools import server_table
from tools.server_table import ServerRatios

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "tools/other_servers.toml"
GUIDE = ROOT / "docs/other-servers.md"


def ratios(name: str) -> ServerRatios:
    return ServerRatios(
        implementation=name, throughput=(4.0, 3.5, 4.5), cpu_per_call=(0.2, 0.15, 0.25), verdict="faster"
    )


def study(rows: list[dict[str, object]]) -> StoredStudy:
    """Six blocks in which `pygrpc` needs half of the CPU time of `sync`."""
    trials = pd.DataFrame(
        [
            {
                "block": block,
                "configuration": name,
                "server.implementation": level,
                server_table.CPU: cpu_s * (1 + 0.01 * block),
                "valid": True,
            }
            for block in range(6)
            for name, level, cpu_s in (("baseline", "sync", 4e-4), ("again", "sync", 4e-4), ("native", "pygrpc", 2e-4))
        ]
    )
    return StoredStudy(name="servers", manifest={}, trials=trials, verdict={"comparisons": rows})


def compared(candidate: str) -> dict[str, object]:
    values = {"ratio": 2.5, "ci_low": 2.0, "ci_high": 3.0, "verdict": "faster", "limited_by": ["generator-bound"]}
    return {"title": candidate, "metric": "throughput_rps", "baseline": "baseline", "candidate": candidate, **values}


def test_servers_are_taken_with_their_ratios_and_the_baseline_again_is_left_out() -> None:
    (one,) = server_table.taken(study([compared("again"), compared("native")]))
    assert (one.implementation, one.throughput, one.verdict) == ("pygrpc", (2.5, 2.0, 3.0), "faster")
    assert one.cpu_per_call == pytest.approx((0.5, 0.5, 0.5))
    assert one.limited_by == "generator-bound"


def test_a_study_that_compares_no_servers_is_refused() -> None:
    with pytest.raises(DesignError):
        server_table.taken(study([compared("again")]))


def test_a_table_says_what_limited_a_ratio() -> None:
    bound = dataclasses.replace(ratios("grpclib"), limited_by="generator-bound")
    rows = server_table.markdown([ratios("pygrpc"), bound]).splitlines()[2:]
    assert rows[0] == "| pygrpc-native, sync (`pygrpc`) | 4.0× (3.5 to 4.5) | 0.20× (0.15 to 0.25) | faster |"
    assert ", generator-bound |" in rows[1]


def test_the_file_holds_what_was_taken(tmp_path: Path) -> None:
    path = tmp_path / "servers.json"
    path.write_text(json.dumps({"servers": [dataclasses.asdict(ratios("pygrpc"))]}))
    assert server_table.stored(path) == [ratios("pygrpc")]
    with pytest.raises(DesignError):
        server_table.stored(tmp_path / "none.json")


def test_the_guide_has_the_table_of_the_stored_study_and_the_study_that_gives_it() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert "<!-- servers -->" in text
    assert server_table.with_server_table(text, [ratios("pygrpc")]) != text
    assert FILE.read_text() in text
    stored = ROOT / server_table.STORED
    for page in (GUIDE, ROOT / "README.md"):
        text = page.read_text(encoding="utf-8")
        assert server_table.with_server_table(text, server_table.stored(stored)) == text
    readme = server_table.with_server_table(text, [ratios("pygrpc")])
    assert readme != text, "it has the throughput of one server"


def test_the_study_compares_every_server() -> None:
    assert tomllib.loads(FILE.read_text())["factors"]["server"]["implementation"] == list(IMPLEMENTATIONS)
