"""The static site: reports, guides and their index in one folder, ready for GitHub Pages.

``grpclab report --site DIR`` (``make publish``) copies what is in ``reports/``, turns the guides of ``docs/``, where
there are any, into pages, and writes an index of all. Nothing in it is loaded from elsewhere, and every link leads to a
file that is there: what a guide links to outside ``docs/`` and ``reports/`` goes to the repository's page where its
address is known, and is plain text otherwise.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mistune
from markupsafe import Markup

from grpclab.errors import DesignError
from grpclab.report import write_index
from grpclab.report.assets import macro, rendered

GUIDES = "guides"
"""The folder of the site that holds the guides."""
SIBLINGS = (".md", ".json", ".svg")
"""What is copied beside a report of the same name."""
WELL_KNOWN = {"calibration": "Calibration: how well grpclab measures", "replication": "Replication"}
"""Reports that the index names on top."""

Resolve = Callable[[str], str | None]

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Guide:
    """A guide as a page: `name` without its ending, `title` of its first heading, `html` of all below it."""

    name: str
    title: str
    html: str


def build(root: Path, into: Path, *, repository: str = "") -> Path:
    """Build the site of the project at `root` in the folder `into`, anew; returns that of its index.

    `repository` is the address of the project's page, as ``https://github.com/owner/name``. Raises DesignError where
    there is nothing to publish, or `into` holds something else than a site.
    """
    reports = sorted(path for path in (root / "reports").glob("*.html") if path.name != "index.html")
    if not reports:
        raise DesignError(f"{root / 'reports'} contains no reports: create one with `grpclab report results/<study>`")
    _empty(into)
    (into / ".nojekyll").touch()
    for report in reports:
        for path in (report, *(report.with_suffix(ending) for ending in SIBLINGS)):
            if path.exists():
                shutil.copyfile(path, into / path.name)
    links = _guides(root, into, {path.name for path in into.iterdir()}, repository)
    links += [(f"{name}.html", title) for name, title in WELL_KNOWN.items() if (into / f"{name}.html").exists()]
    links += [
        (path.name, f"Calibration {path.stem.partition('-')[2]}") for path in sorted(into.glob("calibration-*.html"))
    ]
    links += [(repository, "Source")] if repository else []
    return write_index(into, links=links)


def _empty(into: Path) -> None:
    """Make the folder, or take a site of before out of it; never anything else."""
    if into.exists() and any(into.iterdir()):
        if not (into / ".nojekyll").exists() or (into / ".git").exists():
            raise DesignError(
                f"{into} is neither empty nor a site that grpclab built: remove that folder, or choose another"
            )
        shutil.rmtree(into)
    into.mkdir(parents=True, exist_ok=True)


def _guides(root: Path, into: Path, reports: set[str], repository: str) -> list[tuple[str, str]]:
    """Write the guides as pages; returns what the index links to."""
    sources = sorted((root / "docs").glob("*.md"))
    if not sources:
        return []

    def resolve(href: str) -> str | None:
        return resolved(href, guides={path.stem for path in sources}, reports=reports, repository=repository)

    pages = [guide(path.stem, path.read_text(encoding="utf-8"), resolve) for path in sources]
    listed = [{"href": page_name(page.name), "title": page.title} for page in pages if page.name != "README"]
    (into / GUIDES).mkdir()
    for page in pages:
        here = page_name(page.name)
        html = rendered("guide.html.j2", guide=page, guides=listed, here=here, home="../index.html")
        (into / GUIDES / here).write_text(html, encoding="utf-8")
    if any(page.name == "README" for page in pages):
        return [(f"{GUIDES}/index.html", "Guides")]
    return [(f"{GUIDES}/{each['href']}", each["title"]) for each in listed]


def page_name(guide: str) -> str:
    """The file of a guide's page: that of README.md is the folder's index."""
    return "index.html" if guide == "README" else f"{guide}.html"


def resolved(href: str, *, guides: set[str], reports: set[str], repository: str) -> str | None:
    """The target of a guide's link from its page; None where that is nowhere on the site.

    Links in docs/ are relative to that folder, and those of the site to guides/.
    """
    if re.match(r"[a-z][a-z+.-]*:|//|#", href):
        return href
    path, mark, anchor = href.partition("#")
    target = posixpath.normpath(posixpath.join("docs", path))
    folder, name = posixpath.split(target)
    if folder == "docs" and name.endswith(".md") and name.removesuffix(".md") in guides:
        return f"{page_name(name.removesuffix('.md'))}{mark}{anchor}"
    if folder == "reports" and name in reports:
        return f"../{name}{mark}{anchor}"
    if not repository or target.startswith(".."):
        return None
    return f"{repository.rstrip('/')}/blob/main/{target}{mark}{anchor}"


class _Renderer(mistune.HTMLRenderer):
    """HTML in the report's style: anchors on headings, tables that scroll, links that lead somewhere."""

    def __init__(self, resolve: Resolve) -> None:
        super().__init__(escape=True)
        self.resolve = resolve
        self.title = ""
        self.anchors: set[str] = set()

    def heading(self, text: str, level: int, **attrs: Any) -> str:  # noqa: ARG002
        if level == 1 and not self.title:
            self.title = plain(text)
            return ""
        anchor = base = slug(plain(text))
        number = 0
        while anchor in self.anchors:  # as GitHub counts them
            number += 1
            anchor = f"{base}-{number}"
        self.anchors.add(anchor)
        return str(macro("guide_pieces.html.j2", "heading")(level, anchor, text))

    def link(self, text: str, url: str, title: str | None = None) -> str:
        to = self.resolve(url)
        return text if to is None else super().link(text, to, title)

    def block_code(self, code: str, info: str | None = None) -> str:  # noqa: ARG002
        return str(macro("guide_pieces.html.j2", "code")(code))


def guide(name: str, text: str, resolve: Resolve) -> Guide:
    """A guide out of its Markdown. Raises DesignError if it has no heading of the first level."""
    renderer = _Renderer(resolve)
    markdown = mistune.create_markdown(renderer=renderer, plugins=["table"])
    renderer.register("table", lambda _renderer, rows: str(macro("guide_pieces.html.j2", "table")(rows)))
    html = str(markdown(unmarked(text)))
    if not renderer.title:
        raise DesignError(f"docs/{name}.md has no title: start its first line with `# ` and the title")
    return Guide(name=name, title=renderer.title, html=html)


def unmarked(text: str) -> str:
    """The guide without any comment, for readers that show them."""
    return _COMMENT.sub("", text)


def plain(html: str) -> str:
    """The text of a piece of HTML."""
    return Markup(html).striptags()


def slug(text: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")


def repository_of(environ: Mapping[str, str]) -> str:
    """The address of the repository's page in a GitHub workflow; "" elsewhere."""
    server, name = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
    return f"{server}/{name}" if server and name else ""
