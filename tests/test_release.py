"""The commit is that of git itself, however the checkout keeps it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from app.release import ROOT, find_commit

A, B = "a" * 40, "b" * 64
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", *identity, "-c", "commit.gpgsign=false", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


@needs_git
def test_a_branch_packed_or_not_a_detached_head_and_a_further_work_tree(repository: Path) -> None:
    assert find_commit(repository) == git(repository, "rev-parse", "HEAD")
    git(repository, "pack-refs", "--all")
    assert not list((repository / ".git/refs/heads").iterdir())
    assert find_commit(repository) == git(repository, "rev-parse", "HEAD")
    git(repository, "worktree", "add", "-q", "-b", "topic/one", "../other")
    other = repository.parent / "other"
    git(other, "commit", "-q", "--allow-empty", "-m", "second")
    assert find_commit(other) == git(other, "rev-parse", "HEAD") != find_commit(repository)
    git(other, "checkout", "-q", "--detach")
    assert find_commit(other) == git(other, "rev-parse", "HEAD")


@needs_git
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the package is installed")
def test_of_this_checkout() -> None:
    assert find_commit() == git(ROOT, "rev-parse", "HEAD")


def files(root: Path, **named: str) -> Path:
    for name, content in named.items():
        path = root / ".git" / name.replace("__", "/").replace("_", "-")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ("named", "commit"),
    [
        ({"HEAD": A}, A),
        ({"HEAD": f"{B}\n"}, B),
        ({"HEAD": "ref: refs/heads/x\n", "refs__heads__x": f"{A}\n"}, A),
        (
            {
                "HEAD": "ref: refs/heads/x",
                "packed_refs": f"# pack-refs\n{B} refs/heads/xy\n{A} refs/heads/x\n^{B}\n",
            },
            A,
        ),
        ({"HEAD": "ref: refs/heads/x", "packed_refs": ""}, None),
        ({"HEAD": "ref: refs/heads/x"}, None),
        ({"HEAD": "what else"}, None),
        ({"config": ""}, None),
    ],
)
def test_what_the_files_say(named: dict[str, str], commit: str | None, tmp_path: Path) -> None:
    assert find_commit(files(tmp_path, **named)) == commit


def test_no_checkout_has_no_commit(tmp_path: Path) -> None:
    assert find_commit(tmp_path) is None
    (tmp_path / ".git").write_bytes(b"\xff\xfe")
    assert find_commit(tmp_path) is None
