"""Several files that are one checkpoint: a folder, or a zip of one; each member is read by what it is.

RLlib, ElegantRL and PufferLib write folders. The root is a table of member names.
"""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.checkpoint.archive import Archive, open_archive
from app.checkpoint.contents import ContainerFormat, Contents, Context, walk_pickles
from app.checkpoint.json_value import read_json
from app.checkpoint.safetensors import looks_like_safetensors, read_safetensors
from app.checkpoint.sniff import looks_like_pickle
from app.checkpoint.source import RangeSource, Source
from app.checkpoint.torch_legacy import looks_like_legacy, read_legacy
from app.checkpoint.torch_zip import is_torch_zip, read_torch_zip
from app.checkpoint.values import Table, Tensor
from app.errors import CaliperError, UnreadableCheckpoint

ENDINGS = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".safetensors")
"""Members that hold something to inspect."""

_HEAD = 512
_MOST_JSON = 1 << 20

Members = dict[str, Callable[[], Source]]


def is_bundle(archive: Archive) -> bool:
    """Whether an archive holds a file that is a checkpoint, or a part of one."""
    return any(name.endswith(ENDINGS) for name in archive.members)


def read_zip_bundle(archive: Archive, context: Context) -> Contents:
    """Read a zip of a checkpoint's folder."""

    def opener(name: str) -> Callable[[], Source]:
        return lambda: archive.open(name)

    names = [name for name, member in archive.members.items() if member.size and not name.endswith("/")]
    return _read({name: opener(name) for name in names}, "zip", context)


def read_folder(folder: Path, context: Context) -> Contents:
    """Read a folder's files; links are not followed."""

    def opener(path: Path) -> Callable[[], Source]:
        return lambda: _FolderFile(path, context)

    members: Members = {}
    for path in sorted(folder.rglob("*")):
        context.meter.spend("max_members")
        if stat.S_ISREG(path.lstat().st_mode):
            members[path.relative_to(folder).as_posix()] = opener(path)
    return _read(members, "folder", context)


class _FolderFile(RangeSource):
    """A file of a folder: only what is asked for is read, and it is open no longer than that."""

    is_local = True

    def __init__(self, path: Path, context: Context) -> None:
        def read(offset: int, length: int) -> bytes:
            try:
                with path.open("rb") as file:
                    file.seek(offset)
                    return file.read(length)
            except OSError as error:
                text = f"{path.name} cannot be opened: {error.strerror or 'unknown reason'}"
                raise UnreadableCheckpoint(text) from None

        super().__init__(path.lstat().st_size, read, context.meter)


def _read(members: Members, kind: ContainerFormat, context: Context) -> Contents:
    contents = Contents(kind, Table())
    inside: dict[str, Contents] = {}
    contents.scalar = lambda tensor: _scalar(inside, tensor)
    contents.read_values = lambda tensors: [_value(inside, tensor) for tensor in tensors]
    if not any(name.endswith(ENDINGS) for name in members):
        shown = ", ".join(list(members)[:5]) or "nothing"
        raise UnreadableCheckpoint(f"no file of the {kind} is a checkpoint (it holds: {shown})")
    for name, opened in members.items():
        if not name.endswith((*ENDINGS, ".json")):
            continue
        try:
            inner = _read_member(name, opened(), context)
        except CaliperError as error:
            context.note(error, name)
            continue
        contents.root.pairs.append((name, inner.root))
        contents.storages.update(inner.storages)
        inside[name] = inner
    return contents


def _scalar(inside: dict[str, Contents], tensor: Tensor) -> bytes | None:
    member = inside.get(tensor.storage.key.partition("!")[0])
    return member.scalar(tensor) if member else None


def _value(inside: dict[str, Contents], tensor: Tensor) -> bytes | None:
    member = inside.get(tensor.storage.key.partition("!")[0])
    return member.read_values([tensor])[0] if member else None


def _read_member(name: str, source: Source, context: Context) -> Contents:
    """One member; its storages' keys begin with its name."""
    head = source.read_at(0, min(_HEAD, source.size))
    if head[:4] == b"PK\x03\x04":
        inner = open_archive(source, context.meter, context.findings, f"{name}!")
        if not is_torch_zip(inner):
            raise UnreadableCheckpoint(f"{name}: a zip without data.pkl", pointer=name)
        return read_torch_zip(inner, context, f"{name}!")
    if looks_like_legacy(head):
        return read_legacy(source, context, f"{name}!")
    if looks_like_pickle(head):
        return Contents("pickle", walk_pickles(source, context, name).value)
    if name.endswith(".json"):
        return Contents("pickle", _json(name, source, context))
    if looks_like_safetensors(head, source.size):
        return read_safetensors(source, context, f"{name}!")
    raise UnreadableCheckpoint(f"{name}: it is no pickle, torch file or safetensors file", pointer=name)


def _json(name: str, source: Source, context: Context) -> Any:
    return read_json(source.read_at(0, source.size), context, name) if source.size <= _MOST_JSON else None
