"""Which commit of Caliper's source runs here, read from the checkout's own files: git is not started.

Files: gitrepository-layout(5). A branch stands in a file of its name or in packed-refs; a further work tree has a file
`.git` that names its folder, whose `commondir` names the repository's.
"""

import re
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def find_commit(root: Path = ROOT) -> str | None:
    """The commit that the checkout at `root` stands at; None for an installed package, and where it cannot be told.

    Changes that are not committed do not show.
    """
    with suppress(OSError, UnicodeDecodeError):
        folder = _git_folder(root)
        head = _read(folder / "HEAD")
        found = _resolve(folder, head.removeprefix("ref: ").strip()) if head.startswith("ref: ") else head
        if found is not None and _HASH.fullmatch(found):
            return found
    return None


def _git_folder(root: Path) -> Path:
    path = root / ".git"
    return path if path.is_dir() else root / _read(path).removeprefix("gitdir: ")


def _resolve(folder: Path, branch: str) -> str | None:
    """The commit of a branch, in the work tree's own folder or in the repository's."""
    shared = folder / _read(folder / "commondir") if (folder / "commondir").is_file() else folder
    for place in (folder, shared):
        if (place / branch).is_file():
            return _read(place / branch)
    packed = (line.partition(" ") for line in _read(shared / "packed-refs").splitlines())
    return next((commit for commit, _, name in packed if name == branch), None)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
