"""A target at a revision, with packages of its own: levels are looked up once, and folders are those of a worktree."""

from __future__ import annotations

from pathlib import Path

import pytest

from grpclab import App, Command
from grpclab.errors import UsageError
from grpclab.factors.effective import not_of
from grpclab.factors.own import REQUIREMENTS, REVISION
from grpclab.servers.placement import placed, repository_of_target, settled
from grpclab.servers.target import Address, Target
from grpclab.study.target import Subject
from grpclab.system.repository import WORKTREES
from tests.support.histories import History

REGISTER = "def register(server): ...\n"


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """A repository in which the application was moved to src/ by the second commit, and the working folder in it."""
    made = History(tmp_path / "shop")
    made.commit("first", {"shop/server.py": REGISTER, "run.sh": "exit"})
    made.git("tag", "v1")
    (made.folder / "shop" / "server.py").unlink()
    made.commit("second", {"src/shop/server.py": REGISTER})
    monkeypatch.chdir(made.folder)
    return made


def commit_of(history: History, name: str) -> str:
    return history.git("rev-parse", name)


def test_a_revision_becomes_its_label_and_requirements_their_normal_form(history: History) -> None:
    levels = settled(App("shop.server:register"), {REVISION: "v1", REQUIREMENTS: "Grpcio == 1.70", "server.threads": 4})
    assert levels == {
        REVISION: f"v1@{commit_of(history, 'v1')[:12]}",
        REQUIREMENTS: "grpcio==1.70",
        "server.threads": 4,
    }
    assert settled(App("shop.server:register"), levels) == levels


def test_levels_of_a_target_that_has_none_stay_for_the_one_who_refuses_them(tmp_path: Path) -> None:
    for target in (Target(), Address("localhost:1"), Command("x {port}", cwd=tmp_path)):
        factor = REQUIREMENTS if target.command else REVISION
        levels = {factor: "v1"}
        assert settled(target, levels) == levels
        assert placed(target, levels).target == target
        assert not_of(Subject(target=target), factor)


def test_an_application_is_taken_from_a_worktree_and_the_identity_is_the_commit(history: History) -> None:
    where = placed(App("shop.server:register"), {REVISION: "v1"})
    folder = Path(where.target.app_dir)
    assert (folder / "shop" / "server.py").read_text() == REGISTER
    assert history.folder not in [folder, *folder.parents]
    assert where.target.cwd == where.target.app_dir
    assert (where.commit, where.dirty, where.checkout) == (commit_of(history, "v1"), False, str(history.folder))
    WORKTREES.clear()
    assert not folder.exists()


def test_folders_of_the_target_are_those_inside_the_worktree(history: History, tmp_path: Path) -> None:
    where = placed(App("shop.server:register", app_dir="src", cwd=tmp_path), {REVISION: "main"})
    assert Path(where.target.app_dir).name == "src"
    assert Path(where.target.app_dir).parent.name == "shop"
    assert where.target.cwd == str(tmp_path), "a folder outside of the repository stays"
    command = placed(Command("sh run.sh {port}", cwd="src/shop"), {REVISION: "HEAD"})
    assert Path(command.target.cwd).parts[-3:] == ("shop", "src", "shop")


@pytest.mark.parametrize(
    ("target", "revision", "told"),
    [
        (App("shop.server:register"), "main", "the module shop.server, which is not in the application's folder there"),
        (App("shop.server:register"), "main", "src has it; did you mean --app-dir src?"),
        (App("shop.nothing:register"), "v1", "expected a revision with the module shop.nothing"),
        (App("shop.server:register", app_dir="src"), "v1", "expected a revision that has the folder src"),
        (Command("x {port}", cwd="src"), "v1", "expected a revision that has the folder src, in which x {port} runs"),
        (App("shop.server:register"), "v2", "expected a commit, a tag or a branch"),
    ],
)
def test_what_a_revision_does_not_have_is_refused_in_one_line(
    history: History, target: Target, revision: str, told: str
) -> None:
    with pytest.raises(UsageError) as caught:
        placed(target, {REVISION: revision})
    assert str(caught.value).startswith(f"invalid target.rev={revision}")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_target_in_no_repository_is_refused(tmp_path: Path) -> None:
    app = App("shop.server:register", app_dir=tmp_path)
    with pytest.raises(UsageError, match=r"^invalid target.rev=v1: expected a target in a git repository; "):
        settled(app, {REVISION: "v1"})
    with pytest.raises(UsageError, match="is not in a git repository"):
        repository_of_target(app)


def test_the_checkout_as_it_is_stays_where_it_is(history: History) -> None:
    app = App("shop.server:register", app_dir="src")
    history.write({"src/shop/server.py": f"{REGISTER}# changed\n"})
    levels = settled(app, {REVISION: "worktree"})
    where = placed(app, {REVISION: str(levels[REVISION])})
    assert where.target == app
    assert (where.commit, where.dirty, where.checkout) == (commit_of(history, "HEAD"), True, "")
    history.write({"src/shop/server.py": REGISTER})
    assert settled(app, {REVISION: "worktree"}) != levels
