"""A torch zip: `<stem>/data.pkl` and one record per storage; only the pickles are read, never the weights.

Records as PyTorch's caffe2/serialize/inline_container.cc writes them: data.pkl, data/N, version, byteorder.
"""

import re
from dataclasses import dataclass

from app.checkpoint.archive import Archive
from app.checkpoint.contents import Contents, Context, walk_pickles
from app.checkpoint.rebuild import torch_storage
from app.checkpoint.values import Tensor
from app.errors import CaliperError, UnreadableCheckpoint

_STORAGE_RECORD = re.compile(r"[^/]+/data/[^/]+")
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_MOST_PROBED = 256


@dataclass(slots=True)
class _Records:
    """The records behind storages, to size them and to read a scalar."""

    archive: Archive
    folder: str
    prefix: str

    def sizes(self) -> dict[str, int]:
        start = f"{self.folder}/data/"
        members = self.archive.members.values()
        return {self.prefix + m.name.removeprefix(start): m.size for m in members if m.name.startswith(start)}

    def scalar(self, tensor: Tensor) -> bytes | None:
        name = f"{self.folder}/data/{tensor.storage.key.removeprefix(self.prefix)}"
        member = self.archive.members.get(name)
        if tensor.shape or tensor.offset or member is None or member.size > 8:
            return None
        return self.archive.read(name)


def is_torch_zip(archive: Archive) -> bool:
    """Whether an archive has a data.pkl in a folder of its own."""
    return any(name.count("/") == 1 and name.endswith("/data.pkl") for name in archive.members)


def read_torch_zip(archive: Archive, context: Context, prefix: str = "") -> Contents:
    """Walk all pickles of a torch zip; the one in the first member's folder is the checkpoint."""
    folder = _folder(archive, context)
    records = _Records(archive, folder, prefix)
    main = f"{folder}/data.pkl"
    load = torch_storage(prefix)
    root = walk_pickles(archive.read(main), context, archive.at(main), load).value
    for name in _other_pickles(archive, main, context):
        try:
            walk_pickles(archive.read(name), context, archive.at(name), load)
        except CaliperError as error:
            context.note(error, archive.at(name))
    script = any(name.startswith(f"{folder}/code/") for name in archive.members)
    if script:
        text = "TorchScript: torch.jit.load would run the code in it"
        context.findings.add("torchscript_code", "low", archive.at(f"{folder}/code/"), text)
    _check_byteorder(archive, folder, context)
    return Contents("torchscript" if script else "torch-zip", root, records.sizes(), records.scalar)


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
        if name == main or _STORAGE_RECORD.fullmatch(name) or not member.size or probed > _MOST_PROBED:
            continue
        probed += 1
        if name.endswith((".pkl", ".pickle", ".pt", ".pth")) or _starts_as_pickle(archive, name, context):
            found.append(name)
            if not name.endswith(("/constants.pkl", ".py.debug_pkl")):  # TorchScript has these
                text = "a pickle that torch does not write"
                context.findings.add("extra_pickle", "medium", archive.at(name), text)
    return found


def _starts_as_pickle(archive: Archive, name: str, context: Context) -> bool:
    try:
        source = archive.open(name)
        return source.read_at(0, min(2, source.size)) in _PICKLE_STARTS
    except CaliperError as error:
        context.note(error, archive.at(name))
        return False


def _check_byteorder(archive: Archive, folder: str, context: Context) -> None:
    name = f"{folder}/byteorder"
    if name in archive.members and archive.members[name].size <= 16 and archive.read(name) != b"little":
        text = "the weights are big-endian"
        context.findings.add("byteorder", "low", archive.at(name), text)
