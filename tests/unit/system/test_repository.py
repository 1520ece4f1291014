"""A git repository: revisions and their labels, history, and worktrees that leave no trace, killed or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from grpclab.errors import StorageError, UsageError
from grpclab.system.repository import WORKTREES, Commit, Repository, Worktrees, revision_of
from grpclab.system.temporary import remove_abandoned
from tests.support.histories import History


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Three commits, the first with the tag v1, on top a merge of a branch of two."""
    made = History(tmp_path / "shop")
    made.commit("First: ünï", {"shop/server.py": "1", "other": "1"})
    made.git("tag", "v1")
    made.commit("second", {"shop/server.py": "2"})
    made.git("checkout", "--quiet", "-b", "side")
    made.commit("side 1", {"other": "2"})
    made.commit("side 2", {"other": "3"})
    made.git("checkout", "--quiet", "main")
    made.commit("third", {"shop/server.py": "3"})
    made.git("merge", "--quiet", "--no-edit", "side")
    return made


@pytest.fixture
def temporaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of temporary folders."""
    folder = tmp_path / "temporaries"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    remove_abandoned.cache_clear()
    yield folder
    WORKTREES.clear()
    remove_abandoned.cache_clear()


def test_a_repository_is_found_from_any_folder_in_it(history: History) -> None:
    assert Repository.around(history.folder / "shop") == Repository(history.folder)


@pytest.mark.parametrize("folder", [".", "missing"])
def test_a_folder_in_no_repository_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(UsageError, match="is not in a git repository"):
        Repository.around(tmp_path / folder)


def test_the_repository_of_a_hook_is_not_taken_for_the_folders_own(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = History(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.folder))
    assert Repository.around(history.folder).top == history.folder


@pytest.mark.parametrize("name", ["v1", "main", "HEAD~1", "side^"])
def test_a_label_keeps_its_commit_when_the_name_moves_on(history: History, name: str) -> None:
    repository = Repository(history.folder)
    commit = history.git("rev-parse", f"{name}^{{commit}}")
    found = repository.revision(name, "--a-rev")
    assert (found.name, found.label, found.commit) == (name, f"{name}@{commit[:12]}", commit)
    history.commit("fourth", {"other": "4"})
    for branch in ("main", "side", "v1"):
        history.git("update-ref", f"refs/{'tags' if branch == 'v1' else 'heads'}/{branch}", "HEAD")
    assert revision_of(repository, found.label, "--a-rev") == found
    assert repository.revision(name, "--a-rev").commit != commit


def test_the_label_of_an_id_is_its_beginning(history: History) -> None:
    commit = history.git("rev-parse", "v1")
    for given in (commit, commit[:12], commit[:7]):
        assert Repository(history.folder).revision(given, "--a-rev").label == commit[:12]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing", "expected a commit, a tag or a branch of "),
        ("mian", "; did you mean main?"),
        ("--output=/tmp/x", "expected a commit, a tag or a branch"),
        ("v1@ffffffffffff", "expected a commit, a tag or a branch"),
        ("HEAD:shop", "expected a commit, a tag or a branch"),
        ("worktree@123456789abc", "expected the files of "),
    ],
)
def test_what_names_no_commit_is_refused_in_one_line(history: History, name: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        Repository(history.folder).revision(name, "--a-rev")
    assert str(caught.value).startswith(f"invalid --a-rev={name}: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_shallow_clone_says_how_to_get_the_rest(history: History, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    history.git("clone", "--quiet", "--depth=1", f"file://{history.folder}", str(clone))
    with pytest.raises(UsageError, match="git fetch --unshallow"):
        Repository(clone).commit("v1", "--good")


def test_the_history_of_a_branch_counts_a_merge_as_one(history: History) -> None:
    repository = Repository(history.folder)
    good, bad = repository.commit("v1", "--good"), repository.commit("HEAD", "--bad")
    assert good.subject == "First: ünï"
    found = repository.after(good, bad, "--good")
    assert [commit.subject for commit in found] == ["second", "third", "Merge branch 'side'"]
    assert found[-1] == bad


def test_a_good_revision_has_to_come_before_the_bad_one(history: History) -> None:
    repository = Repository(history.folder)
    good, bad = repository.commit("v1", "--good"), repository.commit("HEAD", "--bad")
    with pytest.raises(UsageError, match=r"invalid --good=.*expected an ancestor of"):
        repository.after(bad, good, "--good")
    with pytest.raises(UsageError, match=r"invalid --good=.*expected an earlier commit than .*, which it is itself"):
        repository.after(good, good, "--good")


@pytest.mark.parametrize("text", ["v1..HEAD", "v1...HEAD", "HEAD^@", "^v1", "HEAD:shop", "--all", " "])
def test_what_is_not_one_commit_is_no_revision(history: History, text: str) -> None:
    with pytest.raises(UsageError, match=r"^invalid --good=.*: expected a commit, a tag or a branch of "):
        Repository(history.folder).revision(text, "--good")


def test_a_good_revision_on_a_branch_is_followed_by_its_merge(history: History) -> None:
    repository = Repository(history.folder)
    history.commit("fourth", {"other": "4"})
    good, bad = repository.commit("side", "--good"), repository.commit("HEAD", "--bad")
    # "third" does not have the branch in its history: it would be compared with what it lacks
    assert [commit.subject for commit in repository.after(good, bad, "--good")] == ["Merge branch 'side'", "fourth"]


def test_settings_that_add_to_the_history_do_not_change_it(history: History) -> None:
    key = history.folder.parent / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    history.git("config", "gpg.format", "ssh")
    history.git("config", "user.signingkey", str(key))
    history.git("config", "commit.gpgsign", "true")
    history.git("config", "log.showSignature", "true")
    last = history.commit("signed", {"other": "4"})
    assert "signature" in history.git("log", "--max-count=1", "--format=%H").lower()
    repository = Repository(history.folder)
    found = repository.after(repository.commit("v1", "--good"), repository.commit("HEAD", "--bad"), "--good")
    assert [commit.subject for commit in found] == ["second", "third", "Merge branch 'side'", "signed"]
    assert found[-1].id == last


# ---- the checkout as it is -------------------------------------------------------------------------------------------


def test_the_identity_of_a_checkout_is_that_of_its_files_and_nothing_is_written(history: History) -> None:
    repository = Repository(history.folder)
    clean = repository.revision("worktree", "--b-rev")
    assert clean.label == f"worktree@{history.git('rev-parse', 'HEAD^{tree}')[:12]}"
    assert (clean.is_checkout, clean.dirty, clean.commit) == (True, False, history.git("rev-parse", "HEAD"))
    ids = {repository.files_id()}
    for files in ({"shop/server.py": "4"}, {"shop/new.py": "1"}, {"shop/new.py": "2"}):
        history.write(files)
        before = history.state
        ids.add(repository.files_id())
        assert history.state == before
    (history.folder / "other").unlink()
    ids.add(repository.files_id())
    assert len(ids) == 5
    changed = repository.revision("worktree", "--b-rev")
    assert changed.dirty
    assert repository.revision(changed.label, "--b-rev") == changed
    with pytest.raises(UsageError, match="as they were when the study was stored"):
        repository.revision(clean.label, "--b-rev")
    history.commit("all of it", {})
    assert repository.files_id() in ids, "a commit changes no file"


def test_what_is_not_committed_follows_the_last_commit(history: History) -> None:
    repository = Repository(history.folder)
    assert repository.changes("--bad") is None
    history.write({"shop/server.py": "4"})
    changes = repository.changes("--bad")
    assert changes is not None
    assert (changes.id, changes.short) == (repository.revision("worktree", "--bad").label, "worktree")
    assert repository.revision(changes.id, "--bad").is_checkout
    assert not repository.commit("HEAD", "--bad").is_checkout


def test_an_edit_in_the_second_of_its_commit_is_seen(history: History) -> None:
    file = history.folder / "shop" / "server.py"
    history.git("config", "core.trustctime", "false")  # a test cannot set that time
    at = 1_700_000_000
    file.write_text("3")
    os.utime(file, (at, at))
    history.git("add", "--all")
    history.git("commit", "--quiet", "--allow-empty", "--message", "three")
    os.utime(history.folder / ".git" / "index", (at, at))
    repository = Repository(history.folder)
    before = repository.files_id()
    file.write_text("4")
    os.utime(file, (at, at))
    assert repository.files_id() != before


def test_what_a_run_writes_and_what_git_ignores_is_no_part_of_the_identity(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(history.folder / "perf"))
    history.commit("ignores logs", {".gitignore": "*.log\n"})
    repository = Repository(history.folder)
    before = repository.files_id()
    history.write(
        {
            "perf/results/mine/manifest.json": "{}",
            "perf/reports/mine.html": "",
            "shop/__pycache__/server.cpython-311.pyc": "",
            "server.log": "",
        }
    )
    assert repository.files_id() == before
    history.write({"results/part.py": ""})
    assert repository.files_id() != before, "a folder of that name elsewhere is the user's own"


def test_a_repository_without_a_commit_has_files_and_no_commit(tmp_path: Path) -> None:
    made = History(tmp_path / "new")
    made.write({"server.py": "1"})
    found = Repository(made.folder).revision("worktree", "--a-rev")
    assert (found.commit, found.dirty) == ("", True)


# ---- worktrees -------------------------------------------------------------------------------------------------------


def test_a_worktree_holds_its_commit_and_leaves_no_trace(history: History, temporaries: Path) -> None:
    history.write({"shop/server.py": "changed", "shop/new.py": "new"})
    before = history.state
    repository = Repository(history.folder)
    ids = {name: history.git("rev-parse", name) for name in ("v1", "main")}
    own = Worktrees()
    with own.in_use():
        with own.in_use():
            first, second = (own.folder(repository, ids[name]) for name in ("v1", "main"))
        assert (first / "shop" / "server.py").read_text() == "1"
        assert (second / "shop" / "server.py").read_text() == "3"
        assert own.folder(repository, ids["v1"]) == first
        (first / "built").write_text("by a command that prepares")
        assert (history.folder / "shop" / "server.py").read_text() == "changed"
    assert history.state == before
    assert not list(temporaries.iterdir())
    own.clear()


def test_hooks_of_the_repository_do_not_run(history: History, temporaries: Path) -> None:
    hook = history.folder / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {temporaries}/ran\n")
    hook.chmod(0o755)
    own = Worktrees()
    with own.in_use():
        own.folder(Repository(history.folder), history.git("rev-parse", "v1"))
        assert not (temporaries / "ran").exists()


def test_a_worktree_that_cannot_be_made_is_told_in_one_line_and_leaves_nothing(
    history: History, temporaries: Path
) -> None:
    before = history.state
    with pytest.raises(StorageError) as caught:
        Worktrees().folder(Repository(history.folder), "f" * 40)
    assert str(caught.value).startswith("cannot create a worktree of ffffffffffff: ")
    assert history.state == before
    assert not list(temporaries.iterdir())


HOLD = """
import sys
from pathlib import Path
from grpclab.system.repository import WORKTREES, Repository
print(WORKTREES.folder(Repository(Path(sys.argv[1])), sys.argv[2]), flush=True)
input()
"""


def holder(history: History, commit: str) -> tuple[subprocess.Popen[str], Path]:
    """Another process, and its worktree."""
    words = [sys.executable, "-c", HOLD, str(history.folder), commit]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_worktree_of_a_process_that_was_ended_goes_with_it_or_with_the_next(
    history: History, temporaries: Path, number: signal.Signals
) -> None:
    before, commit = history.state, history.git("rev-parse", "v1")
    ended, left = holder(history, commit)
    living, kept = holder(history, commit)
    with ended, living:
        assert left.is_dir()
        ended.send_signal(number)
        ended.wait()
        assert left.exists() == (number == signal.SIGKILL)
        own = Worktrees()
        with own.in_use():
            folder = own.folder(Repository(history.folder), commit)
            listed = history.git("worktree", "list")
            assert str(left) not in listed
            assert not left.exists()
            assert all(str(path) in listed for path in (folder, kept)), "that of a living process stays"
        assert kept.is_dir()
        living.communicate("\n")
    assert not list(temporaries.iterdir())
    assert history.state == before


def test_a_commit_is_shown_by_the_beginning_of_its_id() -> None:
    assert Commit(id="0123456789abcdef0123").short == "0123456789ab"
