"""The documentation as a site: what mkdocs does not find in docs/ (hooks of mkdocs.yml, ``make docs``).

The reference is generated from the code, the project's own pages (CONTRIBUTING.md and others) and the published reports
are added as they are, and links that lead out of docs/ are pointed at their place on the site. What has no place there
is linked in the repository, where its address is known, and is plain text otherwise.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

from grpclab.report import write_index
from grpclab.report.site import repository_of, unmarked
from tools import reference

ROOT = Path(__file__).resolve().parent.parent
PROJECT = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
}
"""The project's own pages, by their name in the repository, and on the site."""
FRONT = {"README.md": "README.md", "reports/README.md": "reports/index.html", "reports": "reports/index.html"}
"""What stands for a page of the repository that the site does not have."""
SIBLINGS = (".json", ".svg")
"""What is copied beside a report of the same name."""
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<href>[^)\s]+)\)")
_CODE = re.compile(r"^(`{3,}).*?^\1|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def on_files(files: Any, config: Any) -> Any:
    """Add what is generated, the project's own pages and the reports (a hook of mkdocs)."""
    for name, text in reference.pages().items():
        files.append(File.generated(config, name, content=text))
    for source, name in PROJECT.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text(encoding="utf-8")))
    folder = Path(tempfile.mkdtemp(prefix="grpclab-docs-"))
    config["extra"]["reports_folder"] = str(folder)
    for path in gathered_reports(ROOT / "reports", folder):
        files.append(File.generated(config, f"reports/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(text: str, page: Any, config: Any, files: Any) -> str:  # noqa: ARG001
    """A page without comments, its links pointed at their place on the site (a hook of mkdocs)."""
    here = page.file.src_uri
    source = {name: name_there for name_there, name in PROJECT.items()}.get(here, f"docs/{here}")
    known = set(files.src_uris)
    return relinked(unmarked(text), source, here, known, repository_of(os.environ))


def on_post_build(config: Any) -> None:
    """Remove the folder of the reports (a hook of mkdocs)."""
    shutil.rmtree(config["extra"].pop("reports_folder"), ignore_errors=True)


def gathered_reports(reports: Path, folder: Path) -> Iterator[Path]:
    """The reports with what belongs to them, and an index of them, as files in `folder`."""
    for report in sorted(reports.glob("*.html")):
        if report.name != "index.html":
            for path in (report, *(report.with_suffix(ending) for ending in SIBLINGS)):
                if path.exists():
                    yield Path(shutil.copyfile(path, folder / path.name))
    yield write_index(folder, links=[("../index.html", "Documentation")])


def relinked(text: str, source: str, here: str, known: set[str], repository: str) -> str:
    """A page with its relative links pointed at their place on the site.

    `source` is the page's path in the repository, `here` on the site; `known` are the files of the site.
    """
    code = [match.span() for match in _CODE.finditer(text)]

    def moved(match: re.Match[str]) -> str:
        href, shown = match["href"], match["text"]
        if re.match(r"[a-z][a-z+.-]*:|//|#", href) or any(at <= match.start() < end for at, end in code):
            return match[0]
        path, mark, anchor = href.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        place = PROJECT.get(target) or FRONT.get(target) or target.removeprefix("docs/")
        if place in known:
            anchor = anchor if target not in FRONT else ""
            to = posixpath.relpath(place, posixpath.dirname(here) or ".")
            return f"{match['image']}[{shown}]({to}{mark if anchor else ''}{anchor})"
        return f"[{shown}]({repository}/blob/main/{target}{mark}{anchor})" if repository else shown

    return _LINK.sub(moved, text)
