"""What a backup is written to and read from: a folder, or one tar file.

manifest.json   what is in it, written last
registry.db     the registry as it was at one moment
objects/…       the files that it names, by their hash
"""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from app.errors import InvalidInput, NotFound

FORMAT = 1
"""Version of this layout."""
MANIFEST, REGISTRY, OBJECTS = "manifest.json", "registry.db", "objects"
MOST_MANIFEST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup holds."""

    format: int = FORMAT
    """Version of the layout."""
    created_at: str
    """When it was made."""
    registry_sha256: str
    """Hash of registry.db."""
    files: int
    """Files beside the registry."""
    bytes: int
    """Their size together."""
    lost: tuple[str, ...] = ()
    """Hashes of files that the registry names and that were missing or damaged when it was made."""


class BackupTarget(Protocol):
    """Where a backup is written."""

    def has(self, name: str, size: int) -> bool:
        """Whether a file of this size is there from an earlier backup."""

    def add(self, name: str, source: Path) -> None:
        """Write one file."""

    def finish(self, manifest: Manifest) -> None:
        """Make it a backup: from here on it can be restored."""


@contextmanager
def writing(path: Path) -> Iterator[BackupTarget]:
    """A backup to be written: a tar file where the name ends in .tar, else a folder, which may hold an older one."""
    if path.suffix != ".tar":
        yield _Folder(path)
        return
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with unfinished.open("xb") as file, tarfile.open(fileobj=file, mode="w") as archive:
            unfinished.chmod(0o600)
            yield _Tar(archive)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def reading(path: Path) -> Iterator[tuple[Manifest, Iterator[tuple[str, BinaryIO]]]]:
    """A backup's manifest, and its other files in turn, each with its name.

    Raises NotFound where there is none, InvalidInput where it is unfinished or of another layout.
    """
    if path.is_dir():
        yield _read_manifest(path / MANIFEST), _folder_files(path)
        return
    if not path.is_file():
        raise NotFound(f"there is no backup at {path}", hint="name the folder or the .tar file")
    try:
        with tarfile.open(path) as archive:
            last = archive.getmembers()[-1:]
            if not last or last[0].name != MANIFEST or last[0].size > MOST_MANIFEST_BYTES:
                raise InvalidInput(f"{path} is no finished backup", hint="it ends with its manifest")
            found = archive.extractfile(last[0])
            assert found is not None
            yield _parse(found.read(), path), _tar_files(archive)
    except tarfile.TarError as error:
        raise InvalidInput(
            f"{path} is no backup: {error}", hint="name the folder or the .tar file"
        ) from error


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._named = {MANIFEST}
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(root.iterdir()) and not (root / MANIFEST).exists() and not (root / OBJECTS).exists():
            raise InvalidInput(
                f"{root} holds something else", hint="name an empty folder, or an earlier backup"
            )

    def has(self, name: str, size: int) -> bool:
        place = self._root / name
        there = place.is_file() and place.stat().st_size == size
        if there:
            self._named.add(name)
        return there

    def add(self, name: str, source: Path) -> None:
        self._named.add(name)
        place = self._root / name
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = place.with_name(place.name + ".unfinished")
        with source.open("rb") as read, unfinished.open("wb") as written:
            shutil.copyfileobj(read, written, 1 << 20)
            written.flush()
            os.fsync(written.fileno())
        unfinished.replace(place)

    def finish(self, manifest: Manifest) -> None:
        (self._root / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1))
        for path in (self._root / OBJECTS).glob("*/*"):
            if str(path.relative_to(self._root)) not in self._named:
                path.unlink()  # only an older registry named it


class _Tar:
    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive

    def has(self, name: str, size: int) -> bool:  # noqa: ARG002 - a tar file starts empty
        return False

    def add(self, name: str, source: Path) -> None:
        self._archive.add(source, arcname=name, recursive=False)

    def finish(self, manifest: Manifest) -> None:
        content = json.dumps(asdict(manifest), indent=1).encode()
        about = tarfile.TarInfo(MANIFEST)
        about.size = len(content)
        self._archive.addfile(about, io.BytesIO(content))


def _folder_files(root: Path) -> Iterator[tuple[str, BinaryIO]]:
    for path in (root / REGISTRY, *sorted((root / OBJECTS).glob("*/*"))):
        with path.open("rb") as file:
            yield str(path.relative_to(root)), file


def _tar_files(archive: tarfile.TarFile) -> Iterator[tuple[str, BinaryIO]]:
    for member in archive.getmembers()[:-1]:
        file = archive.extractfile(member) if member.isfile() else None
        if file is not None:
            with file:
                yield member.name, file  # type: ignore[misc]  # a buffered reader


def _read_manifest(path: Path) -> Manifest:
    if not path.is_file():
        raise NotFound(f"there is no finished backup at {path.parent}", hint="it has a manifest.json")
    return _parse(path.read_bytes(), path.parent)


def _parse(content: bytes, path: Path) -> Manifest:
    try:
        values: dict[str, Any] = json.loads(content)
        if values["format"] != FORMAT:
            raise InvalidInput(f"{path} has layout {values['format']}", hint=f"this version reads {FORMAT}")
        return Manifest(**{**values, "lost": tuple(values["lost"])})
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"the manifest of {path} cannot be read: {error}", hint="use another backup"
        ) from error
