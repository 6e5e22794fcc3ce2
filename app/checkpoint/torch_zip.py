"""A torch zip: `<stem>/data.pkl` and one record per storage; only the pickles are read, never the weights.

Records as PyTorch's caffe2/serialize/inline_container.cc writes them: data.pkl, data/N, version, byteorder.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from app.checkpoint.archive import Archive, open_archive
from app.checkpoint.contents import ContainerFormat, Contents, Context, walk_pickles
from app.checkpoint.opcodes import Machine, PersistentLoad
from app.checkpoint.rebuild import torch_storage
from app.checkpoint.source import BytesSource
from app.checkpoint.statistics import slice_of
from app.checkpoint.values import Storage, Tensor
from app.errors import CaliperError, UnreadableCheckpoint

_STORAGE_RECORD = re.compile(r"[^/]+/data/[^/]+")
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_ZIP_START = b"PK"
_PICKLE_NAMES = (".pkl", ".pickle", ".pt", ".pth")
_MOST_PROBED = 256
_SMALL = 4_096
_NEAR = 512
_MOST_SMALL = 64


@dataclass(slots=True)
class _Records:
    """The records behind storages, to size them and to read a scalar."""

    archive: Archive
    folder: str
    prefix: str
    scalars: list[str] = field(default_factory=list)

    def sizes(self) -> dict[str, int]:
        start = f"{self.folder}/data/"
        members = self.archive.members.values()
        return {self.prefix + m.name.removeprefix(start): m.size for m in members if m.name.startswith(start)}

    def at(self, key: str) -> str:
        return self.archive.at(f"{self.folder}/data/{key.removeprefix(self.prefix)}")

    def scalar(self, tensor: Tensor) -> bytes | None:
        name = f"{self.folder}/data/{tensor.storage.key.removeprefix(self.prefix)}"
        member = self.archive.members.get(name)
        if tensor.shape or tensor.offset or member is None or member.size > 8:
            return None
        self.archive.prefetch(self._scalars_beside(name))
        return self.archive.read(name)

    def values(self, tensors: Sequence[Tensor]) -> list[bytes | None]:
        """The bytes of small tensors, from records that are small themselves; those records are fetched together."""
        names = [f"{self.folder}/data/{tensor.storage.key.removeprefix(self.prefix)}" for tensor in tensors]
        sizes = {name: self.archive.members[name].size for name in names if name in self.archive.members}
        order = f"{self.folder}/byteorder"
        is_little = order not in self.archive.members or self.archive.read(order) == b"little"
        if not is_little or sum(sizes.values()) > self.archive.meter.limits.max_statistics_bytes:
            return [None] * len(tensors)
        self.archive.prefetch(sizes)
        records = {name: self.archive.read(name) for name in sizes}
        return [
            slice_of(tensor, records[name]) if name in records else None
            for tensor, name in zip(tensors, names, strict=True)
        ]

    def _scalars_beside(self, name: str) -> list[str]:
        """The record and the few scalars before and after it, which are asked for together."""
        if not self.scalars:
            self.scalars.extend(m.name for m in self.archive.members.values() if m.packed <= 8)
        at = self.scalars.index(name)
        near = self.scalars[max(0, at - 3) : at + 4]
        offset = self.archive.members[name].offset
        return [n for n in near if abs(self.archive.members[n].offset - offset) <= _NEAR]


def is_torch_zip(archive: Archive) -> bool:
    """Whether an archive has a data.pkl in a folder of its own."""
    return any(name.count("/") == 1 and name.endswith("/data.pkl") for name in archive.members)


def read_torch_zip(archive: Archive, context: Context, prefix: str = "") -> Contents:
    """Walk all pickles of a torch zip; the one in the first member's folder is the checkpoint."""
    folder = _folder(archive, context)
    records = _Records(archive, folder, prefix)
    main = f"{folder}/data.pkl"
    used: set[str] = set()
    load = _noting(torch_storage(prefix), used)
    archive.prefetch([main, *_small_members(archive, folder)])
    root = walk_pickles(BytesSource(archive.read(main)), context, archive.at(main), load).value
    for name in _other_pickles(archive, main, context):
        try:
            _read_other(archive, name, context, load)
        except CaliperError as error:
            context.note(error, archive.at(name))
    script = any(name.startswith(f"{folder}/code/") for name in archive.members)
    if script:
        text = "TorchScript: torch.jit.load would run the code in it"
        context.findings.add("torchscript_code", "low", archive.at(f"{folder}/code/"), text)
    else:
        _check_unused(records, used, context)
    _check_byteorder(archive, folder, context)
    kind: ContainerFormat = "torchscript" if script else "torch-zip"
    return Contents(kind, root, records.sizes(), records.scalar, records.values, stem=folder)


def _noting(load: PersistentLoad, used: set[str]) -> PersistentLoad:
    """A persistent load that notes each storage's key."""

    def noting(machine: Machine, pid: Any) -> Any:
        value = load(machine, pid)
        if isinstance(value, Storage):
            used.add(value.key)
        return value

    return noting


def _small_members(archive: Archive, folder: str) -> list[str]:
    """Torch's records about the file itself, such as `version`: worth one request together."""
    start = f"{folder}/data/"
    small = (m.name for m in archive.members.values() if m.packed <= _SMALL and not m.name.startswith(start))
    return list(islice(small, _MOST_SMALL))


def _check_unused(records: _Records, used: set[str], context: Context) -> None:
    """Records that no tensor of any pickle names: room for something else."""
    if context.broken:
        return
    for key, size in records.sizes().items():
        if key not in used:
            text = f"{size:,} bytes stand in a weights' record that no tensor names"
            context.findings.add("unused_record", "medium", records.at(key), text)


def _folder(archive: Archive, context: Context) -> str:
    """The folder that torch reads: that of the first member; other data.pkl are suspicious."""
    first = next(iter(archive.members)).partition("/")[0]
    folders = [name.partition("/")[0] for name in archive.members if name.endswith("/data.pkl")]
    mains = [f for f in folders if f"{f}/data.pkl" in archive.members]
    if not mains:
        raise UnreadableCheckpoint(f"{archive.location}the zip holds no data.pkl, so torch did not write it")
    if len(set(mains)) > 1:
        text = f"{len(mains)} checkpoints in one file: {', '.join(sorted(mains)[:5])}"
        context.findings.add("second_checkpoint", "high", archive.location, text)
    return first if first in mains else mains[0]


def _other_pickles(archive: Archive, main: str, context: Context) -> list[str]:
    """All other members that could be pickles, by their name or their first bytes."""
    found: list[str] = []
    probed = 0
    for name, member in archive.members.items():
        is_storage = _STORAGE_RECORD.fullmatch(name) and not name.endswith(_PICKLE_NAMES)
        if name == main or is_storage or not member.size:
            continue
        probed += 1
        if probed > _MOST_PROBED:
            text = f"more than {_MOST_PROBED} members beside the weights: the rest was not looked at"
            context.findings.add("members_not_read", "high", archive.at(name), text)
            break
        if name.endswith(_PICKLE_NAMES) or _starts_as_pickle(archive, name, context):
            found.append(name)
            if not name.endswith(
                ("/constants.pkl", "/traced_inputs.pkl", ".py.debug_pkl")
            ):  # TorchScript has these
                text = "a pickle that torch does not write"
                context.findings.add("extra_pickle", "medium", archive.at(name), text)
    return found


def _read_other(archive: Archive, name: str, context: Context, load: PersistentLoad) -> None:
    """A member beside data.pkl: an archive within the archive is opened, anything else walked."""
    source = archive.open(name)
    if source.read_at(0, min(2, source.size)) != _ZIP_START:
        walk_pickles(BytesSource(archive.read(name)), context, archive.at(name), load)
        return
    inner = open_archive(source, context.meter, context.findings, f"{archive.at(name)}!")
    if is_torch_zip(inner):
        read_torch_zip(inner, context, f"{name}!")
        return
    for member in inner.members:
        _read_other(inner, member, context, load)


def _starts_as_pickle(archive: Archive, name: str, context: Context) -> bool:
    try:
        source = archive.open(name)
        return source.read_at(0, min(2, source.size)) in (*_PICKLE_STARTS, _ZIP_START)
    except CaliperError as error:
        context.note(error, archive.at(name))
        return False


def _check_byteorder(archive: Archive, folder: str, context: Context) -> None:
    name = f"{folder}/byteorder"
    if name in archive.members and archive.members[name].size <= 16 and archive.read(name) != b"little":
        text = "the weights are big-endian"
        context.findings.add("byteorder", "low", archive.at(name), text)
