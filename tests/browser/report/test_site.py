"""The static site: what is published, what its pages link to, and that they load nothing."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from grpclab.cli.commands import main
from grpclab.errors import DesignError, UsageError
from grpclab.report import site
from tests.support import chromium, stored_studies, synthetic
from tests.support.pages import Page

ROOT = Path(__file__).resolve().parents[3]
REPOSITORY = "https://github.com/somebody/grpclab"
GUIDE = """# Pools <of> connections

Read [the example](../reports/example.html#ladder), [the list](README.md), [below](#two-words), [code](../Makefile),
[nothing](../../outside), [gone](../reports/never.html) and <https://grpc.io>.
A <!-- example: t -->3.7x<!-- /example -->.

## Two `words`

| a | b |
| --- | --- |
| `x` | 1 |

<script>alert(1)</script>

## Two words

```sh
grpclab bench < input
```
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two reports, an index, guides and files that are not published."""
    root = tmp_path_factory.mktemp("project")
    for name in ("example", "replication"):
        stored_studies.as_report(synthetic.small_study(), root / "reports" / f"{name}.html")
    for name in ("calibration", "calibration-own"):
        (root / "reports" / f"{name}.html").write_text("<!DOCTYPE html><title>c</title><h1>Calibration</h1>")
    (root / "reports" / "index.html").write_text("an index of before")
    for name in ("example.md", "example.json", "example.svg", "README.md", "notes.txt", "gone.md"):
        (root / "reports" / name).write_text("{}")
    (root / "docs").mkdir()
    (root / "docs" / "pools.md").write_text(GUIDE)
    (root / "docs" / "README.md").write_text("# Guides\n\n- [Pools](pools.md)\n- [The file](../README.md)\n")
    return root


@pytest.fixture(scope="module")
def built(project: Path) -> Path:
    site.build(project, project / "site", repository=REPOSITORY)
    return project / "site"


def crawl(folder: Path) -> dict[str, Page]:
    """Every page that the index leads to, by its path in the site. Fails on a link that leads nowhere."""
    seen: dict[str, Page] = {}
    waiting = ["index.html"]
    while waiting:
        here = waiting.pop()
        seen[here] = page = Page((folder / here).read_text())
        for link in page.all("a"):
            path, _, anchor = unquote(link["href"]).partition("#")
            if re.match(r"(https:|data:|blob:)", link["href"]) or not link["href"]:
                continue
            target = posixpath.normpath(posixpath.join(posixpath.dirname(here), path)) if path else here
            assert (folder / target).is_file(), f"{here} links to {link['href']}, which is not there"
            assert not target.startswith(".."), f"{here} links out of the site: {link['href']}"
            if target.endswith(".html"):
                if target not in seen and target not in waiting:
                    waiting.append(target)
                if anchor and target.startswith("guides/"):
                    assert f'id="{anchor}"' in (folder / target).read_text(), link["href"]
    return seen


def assert_loads_nothing(page: Page) -> None:
    loaded = [a[key] for tag, a in page.elements for key in ("src", "srcset", "poster", "data") if key in a]
    assert [address for address in loaded if not address.startswith("data:")] == []
    assert page.all("link") == page.all("iframe") == page.all("base") == []


def test_reports_with_what_belongs_to_them_are_published_and_nothing_else(built: Path) -> None:
    files = {str(path.relative_to(built)) for path in built.rglob("*") if path.is_file()}
    reports = {f"{name}.html" for name in ("index", "example", "replication", "calibration", "calibration-own")}
    guides = {"guides/index.html", "guides/pools.html"}
    assert reports | guides | {".nojekyll", "example.md", "example.json", "example.svg"} <= files
    assert not files & {"README.md", "notes.txt", "gone.md", "docs/README.md"}


def test_every_link_leads_to_a_page_and_every_page_can_be_reached(built: Path) -> None:
    pages = crawl(built)
    assert set(pages) == {str(path.relative_to(built)) for path in built.rglob("*.html")}
    for page in pages.values():
        assert_loads_nothing(page)


def test_the_index_lists_the_studies_and_names_the_other_pages(built: Path) -> None:
    hrefs = [a["href"].removeprefix("./") for a in Page((built / "index.html").read_text()).all("a")]
    links = ["guides/index.html", "calibration.html", "replication.html", "calibration-own.html", REPOSITORY]
    assert [href for href in hrefs if href in links][: len(links)] == links
    assert {"example.html", "replication.html"} <= set(hrefs)


def test_a_guide_is_a_page_with_anchors_and_only_links_that_lead_somewhere(built: Path) -> None:
    html = (built / "guides" / "pools.html").read_text()
    page = Page(html)
    assert "<h1>Pools &lt;of&gt; connections</h1>" in html
    assert [a["id"] for a in page.all("h2")] == ["two-words", "two-words-1"]
    hrefs = [a["href"] for a in page.all("a")]
    assert "../example.html#ladder" in hrefs
    assert f"{REPOSITORY}/blob/main/Makefile" in hrefs
    assert not any("outside" in href or "never" in href for href in hrefs[:-1] if not href.startswith("https:"))
    assert "nothing" in page.text
    assert "example: t" not in html
    assert "A 3.7x." in page.text
    assert page.all("script") == []
    assert "alert(1)" in page.text
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy


@pytest.mark.parametrize(
    ("href", "to"),
    [
        ("#here", "#here"),
        ("https://grpc.io", "https://grpc.io"),
        ("README.md", "index.html"),
        ("pools.md#two-words", "pools.html#two-words"),
        ("../reports/example.html#ladder", "../example.html#ladder"),
        ("../reports/never.html", f"{REPOSITORY}/blob/main/reports/never.html"),
        ("../grpclab/link/emulation.py", f"{REPOSITORY}/blob/main/grpclab/link/emulation.py"),
        ("../../elsewhere", None),
    ],
)
def test_where_a_link_of_a_guide_leads(href: str, to: str | None) -> None:
    known = {"guides": {"README", "pools"}, "reports": {"example.html"}}
    assert site.resolved(href, **known, repository=REPOSITORY) == to


def test_without_the_repositorys_address_links_to_its_files_are_plain_text() -> None:
    assert site.resolved("../Makefile", guides=set(), reports=set(), repository="") is None
    page = Page(site.guide("a", "# A\n\nSee [the `Makefile`](../Makefile).\n", lambda _: None).html)
    assert page.all("a") == []
    assert page.text == "See the Makefile ."


def test_a_site_is_built_anew_and_nothing_else_is_ever_removed(project: Path, tmp_path: Path) -> None:
    into = tmp_path / "site"
    site.build(project, into)
    (into / "stale.html").write_text("")
    site.build(project, into)
    assert not (into / "stale.html").exists()
    foreign = tmp_path / "home"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("dear")
    with pytest.raises(DesignError, match="is neither empty nor a site that grpclab built"):
        site.build(project, foreign)
    assert (foreign / "letter.txt").exists()


def test_nothing_to_publish_and_a_guide_without_a_title_are_told(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="contains no reports"):
        site.build(tmp_path, tmp_path / "site")
    with pytest.raises(DesignError, match=r"docs/a\.md has no title"):
        site.guide("a", "words\n", lambda href: href)


def test_the_projects_own_site_holds_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(ROOT))
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "somebody/grpclab")
    assert main(["report", "--site", str(tmp_path / "site")]) == 0
    assert capsys.readouterr().out.startswith(f"site: {tmp_path / 'site'}")
    pages = crawl(tmp_path / "site")
    assert {"index.html", "example.html", "guides/index.html"} <= set(pages)
    for page in pages.values():
        assert_loads_nothing(page)


@pytest.mark.parametrize("option", [["--allow-mixed"], ["--figures", "figures"], ["--json", "-"]])
def test_what_goes_with_a_study_is_refused_without_one(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--site", str(tmp_path / "site"), *option]) == UsageError.exit_code
    assert option[0] in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


@pytest.mark.long
def test_guides_fit_a_phone_and_a_desk_fetch_nothing_and_are_accessible(browser: Browser, tmp_path: Path) -> None:
    site.build(ROOT, tmp_path / "site")
    pages = sorted((tmp_path / "site" / "guides").glob("*.html"))
    assert pages
    schemes = ("light", "dark")
    for at, path in enumerate(pages):  # the checker sees them in the light and in the dark, by turns
        scheme = schemes[at % 2]
        with chromium.visit(browser, path, color_scheme=scheme, bypass_csp=True) as found:
            violations = Axe().run(found.page).response["violations"]
            assert [v["id"] for v in violations] == [], (path.name, scheme)
            for width in (400, 1280):
                found.page.set_viewport_size({"width": width, "height": 900})
                window, needed = found.needs_px()
                assert needed <= window == width, path.name
            assert found.trouble == []


def test_the_workflow_publishes_what_make_publish_builds() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "pages.yml").read_text())
    assert workflow["permissions"] == {}
    build, deploy = workflow["jobs"]["build"], workflow["jobs"]["deploy"]
    assert build["permissions"] == {"contents": "read"}
    assert deploy["permissions"] == {"pages": "write", "id-token": "write"}
    assert any(step.get("run") == "make publish" for step in build["steps"])
    (path,) = [step["with"]["path"] for step in build["steps"] if "upload-pages" in step.get("uses", "")]
    assert f"--site-dir {path}\n" in (ROOT / "Makefile").read_text()
