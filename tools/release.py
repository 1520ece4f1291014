"""Whether a tag may be released: it, the version, the changelog, the citation and the repository have to agree.

``python -m tools.release v0.1.0 --repository https://github.com/OWNER/NAME`` needs nothing but Python; the release
workflow runs it before anything is built.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def problems(tag: str, repository: str, root: Path = ROOT) -> Iterator[str]:
    """What keeps `tag` from being released from `repository`, a line each; nothing if it may be."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    source = root / project["tool"]["hatch"]["version"]["path"]
    version = _found(r'^__version__ = "(.+)"$', source)
    if tag != f"v{version}":
        yield f"invalid tag={tag}: expected v{version}, the version in {source.relative_to(root)}"
    released = _found(rf"^## {re.escape(version)} - (\d{{4}}-\d\d-\d\d)$", root / "CHANGELOG.md")
    if not released:
        yield f"invalid CHANGELOG.md: expected a heading `## {version} - YYYY-MM-DD`"
    cited = root / "CITATION.cff"
    if (_found(r"^version: (.+)$", cited), _found(r"^date-released: (.+)$", cited)) != (version, released):
        yield f"invalid CITATION.cff: expected version {version} and the date of the changelog"
    declared = project["project"]["urls"]["Repository"]
    if repository and repository != declared:
        yield f"invalid project.urls.Repository={declared}: expected {repository}, where this workflow runs"


def _found(pattern: str, path: Path) -> str:
    match = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what keeps a tag from being released; exit code 1 if anything does."""
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=main.__doc__)
    parser.add_argument("tag", help="v and the version")
    parser.add_argument("--repository", default="", help="address of the repository that releases")
    options = parser.parse_args(arguments)
    found = list(problems(options.tag, options.repository))
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
