"""The documentation as a site, before it is built: its pages, its links, the reference made of the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import grpclab
from grpclab import analysis
from grpclab.factors.config import FACTORS
from tools import reference, schemas

docs_site = pytest.importorskip("tools.docs_site", reason="mkdocs is missing: pip install 'grpclab[docs]'")

ROOT = Path(__file__).resolve().parents[3]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
KNOWN = {"README.md", "pools.md", "decisions/README.md", "reports/example.html", "reports/index.html", "security.md"}


def targets(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for each in nav.values() if isinstance(nav, dict) else nav:
            yield from targets(each)


def test_every_guide_is_in_the_navigation_once() -> None:
    listed = list(targets(CONFIG["nav"]))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    generated = {"reports/index.html", *docs_site.PROJECT.values()}
    assert len(set(listed)) == len(listed)
    assert {name for name in listed if not name.startswith("reference/")} == pages | generated


def test_nothing_of_the_theme_is_loaded_from_elsewhere() -> None:
    assert CONFIG["theme"]["font"] is False
    assert "repo_url" not in CONFIG, "the theme asks the host of the repository for its stars"
    own = [*CONFIG.get("extra_css", ()), *CONFIG.get("extra_javascript", ())]
    assert [name for name in own if not (ROOT / "docs" / name).is_file()] == []


@pytest.mark.parametrize(
    ("source", "here", "href", "to"),
    [
        ("docs/a.md", "a.md", "pools.md#how", "pools.md#how"),
        ("docs/a.md", "a.md", "../reports/example.html#ladder", "reports/example.html#ladder"),
        ("docs/decisions/b.md", "decisions/b.md", "../pools.md", "../pools.md"),
        ("docs/decisions/b.md", "decisions/b.md", "../../SECURITY.md#x", "../security.md#x"),
        ("docs/a.md", "a.md", "../README.md#two-commands", "README.md"),
        ("docs/a.md", "a.md", "../reports/README.md", "reports/index.html"),
        ("CONTRIBUTING.md", "contributing.md", "docs/decisions/README.md", "decisions/README.md"),
        ("docs/a.md", "a.md", "#here", "#here"),
        ("docs/a.md", "a.md", "https://grpc.io", "https://grpc.io"),
        ("docs/a.md", "a.md", "../Makefile", "https://code.example/x/blob/main/Makefile"),
    ],
)
def test_a_link_leads_to_its_place_on_the_site(source: str, here: str, href: str, to: str) -> None:
    found = docs_site.relinked(f"See [this]({href}).", source, here, KNOWN, "https://code.example/x")
    assert found == f"See [this]({to})."


def test_what_has_no_place_is_plain_text_and_code_stays() -> None:
    text = "[a](../Makefile) `[b](../Makefile)`\n\n```\n[c](../Makefile)\n```\n"
    assert docs_site.relinked(text, "docs/a.md", "a.md", KNOWN, "") == text.replace("[a](../Makefile)", "a", 1)


def test_every_public_name_has_its_entry() -> None:
    page = reference.python()
    for module in (grpclab, analysis):
        assert [name for name in module.__all__ if f"\n### {name}\n" not in page] == []
    assert not re.search(r"at 0x[0-9a-f]+", page), "no address of an object"
    assert not re.search(r":\w+:`|(?<!`)``(?!`)", page), "roles and double backticks become code"


def test_every_factor_and_every_file_with_a_schema_is_in_the_reference() -> None:
    page = reference.factors()
    assert [name for name in FACTORS if f"| `{name}` |" not in page] == []
    assert re.findall(r"^## (\S+)$", reference.files(), re.MULTILINE) == [schemas.STUDY_FILE, *schemas.FILES]


def test_a_literal_block_of_a_docstring_is_fenced() -> None:
    found = reference.markdown("A map of :mod:`~grpclab.load`::\n\n    one  two\n\nAnd ``this``.")
    assert found == "A map of `grpclab.load`:\n\n```text\none  two\n```\n\nAnd `this`."


def test_commands_are_read_from_the_help_of_the_program() -> None:
    assert reference.command_names(
        "usage: x\n\nCommands:\n  serve       run\n  bench       load\n              more\n\no:\n"
    ) == [
        "serve",
        "bench",
    ]
