"""Inspect a checkpoint file: what it is, what network it holds, what it would run — without running it."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from app.checkpoint.archive import open_archive
from app.checkpoint.building import refuse_persistent
from app.checkpoint.bundle import is_bundle, read_folder, read_zip_bundle
from app.checkpoint.contents import Contents, Context, walk_one, walk_pickles
from app.checkpoint.findings import Findings, printable
from app.checkpoint.hidden_zip import look_for_hidden_zip
from app.checkpoint.limits import Meter, ReadLimits
from app.checkpoint.onnx import looks_like_onnx, read_onnx
from app.checkpoint.passing import Passing
from app.checkpoint.report import CheckpointReport
from app.checkpoint.safetensors import looks_like_safetensors, read_safetensors
from app.checkpoint.sb3_zip import is_sb3_zip, read_sb3_zip
from app.checkpoint.sniff import describe, looks_like_pickle
from app.checkpoint.source import FileSource, RangeReader, RangeSource, Source
from app.checkpoint.summarise import summarise
from app.checkpoint.torch_export import is_torch_export, read_torch_export
from app.checkpoint.torch_legacy import looks_like_legacy, read_legacy
from app.checkpoint.torch_zip import is_torch_zip, read_torch_zip
from app.checkpoint.values import Array, Made, Table, Tensor
from app.errors import CaliperError, UnreadableCheckpoint

DEFAULT_LIMITS = ReadLimits()
"""What a reading may spend where nothing else is said."""

_HINT = "a torch .pt file, a Stable-Baselines3 .zip, a .safetensors, .onnx or .pt2 file"
_HEAD = 512
_BLOCK = 1 << 20


def inspect_checkpoint(
    file: BinaryIO | Path | RangeReader,
    *,
    limits: ReadLimits = DEFAULT_LIMITS,
    name: str = "",
    with_sha256: bool = True,
    with_statistics: bool = False,
) -> CheckpointReport:
    """Report what is in a checkpoint; nothing of it is executed.

    From a path, a seekable binary file, or byte ranges of a remote one. Reads the directory and the pickles,
    never the weights; `with_sha256` streams the file once more, and what takes many bytes to look at is looked at then
    (passing.py). `with_statistics` reads a normaliser's running
    statistics too and reports their hashes, which is what a comparison needs.
    Raises UnreadableCheckpoint where the file is none or is too damaged, LimitExceeded where it passes a
    limit before anything was read; the error's `extra["findings"]` lists what was found until then. What is
    damaged, odd or dangerous beyond that stands in `findings`.
    """
    if isinstance(file, Path) and file.is_dir():
        return _inspect_folder(file, limits, name, with_statistics)
    with _opened(file, Meter(limits)) as source:
        passing = Passing(source)
        if with_sha256:
            source.on_pass = passing.add
        context = Context(source.meter, Findings(limits.max_findings), settle=passing.settle)
        contents = _read_or_tell(source, context)
        shown = printable(name or _name_of(file))
        report = summarise(contents, context, source.size, shown, with_statistics=with_statistics)
        return report(_sha256(passing.watch(source.blocks(_BLOCK))) if with_sha256 else None)


def _inspect_folder(folder: Path, limits: ReadLimits, name: str, with_statistics: bool) -> CheckpointReport:  # noqa: FBT001
    """A checkpoint that is a folder of files, such as RLlib's; it has no hash."""
    context = Context(Meter(limits), Findings(limits.max_findings))
    contents = read_folder(folder, context)
    _require_something(contents, context)
    size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
    shown = printable(name or folder.name)
    return summarise(contents, context, size, shown, with_statistics=with_statistics)(None)


def _read_or_tell(source: Source, context: Context) -> Contents:
    """Read; an error that ends the reading carries the findings that were made until then."""
    try:
        return _read(source, context)
    except CaliperError as error:
        with contextlib.suppress(CaliperError):
            context.settle()
        found = [dataclasses.asdict(finding) for finding in context.findings.ordered()]
        error.extra.update({"findings": found} if found else {})
        raise


def _read(source: Source, context: Context) -> Contents:
    """Read by what the first bytes say, which is how torch decides too."""
    source.prefetch([(0, _HEAD)])
    head = source.read_at(0, min(_HEAD, source.size))
    reader = _reader(head, source.size)
    if reader is None and not _walks_as_pickle(source, context):
        raise UnreadableCheckpoint(f"it is {describe(head, source.size)}", hint=f"expected: {_HINT}")
    if reader is not _read_zip:
        look_for_hidden_zip(source, context.findings)
    contents = (reader or _read_pickle)(source, context)
    _require_something(contents, context)
    return contents


def _reader(head: bytes, size: int) -> Callable[[Source, Context], Contents] | None:
    """What reads a file that begins so; None where no signature says."""
    if head[:4] == b"PK\x03\x04":
        return _read_zip
    if looks_like_legacy(head):
        return read_legacy
    if looks_like_pickle(head):
        return _read_pickle
    if looks_like_safetensors(head, size):
        return read_safetensors
    return read_onnx if looks_like_onnx(head) else None


def _read_zip(source: Source, context: Context) -> Contents:
    archive = open_archive(source, context.meter, context.findings)
    if is_sb3_zip(archive):
        return read_sb3_zip(archive, context)
    if is_torch_export(archive):
        return read_torch_export(archive, context)
    if is_torch_zip(archive):
        return read_torch_zip(archive, context)
    if is_bundle(archive):
        return read_zip_bundle(archive, context)
    shown = ", ".join(printable(name, 60) for name in list(archive.members)[:5])
    raise UnreadableCheckpoint(f"it is a zip without data.pkl (it holds: {shown})", hint=f"expected: {_HINT}")


def _read_pickle(source: Source, context: Context) -> Contents:
    """A bare pickle: torch and joblib refuse or misread it, others load it and run what it says."""
    result = walk_pickles(source, context, "pickle")
    context.findings.add("bare_pickle", "low", "pickle", "a bare pickle, which torch.save does not write")
    return Contents("pickle", result.value)


def _walks_as_pickle(source: Source, context: Context) -> bool:
    """Whether a file without a signature is a pickle all the same: protocol 0 begins with any opcode."""
    trial = Context(context.meter, Findings(context.findings.most))
    result = walk_one(source, 0, trial, "pickle", refuse_persistent)
    is_whole = result.error is None and isinstance(result.value, (Table, Made, list, tuple))
    return trial.findings.any_high() or is_whole


def _require_something(contents: Contents, context: Context) -> None:
    """Raise what broke where nothing at all came of the reading, nothing dangerous included."""
    is_empty = not isinstance(contents.root, (Table, Made, Tensor, Array, list, tuple)) or (
        isinstance(contents.root, Table) and not contents.root.pairs
    )
    if is_empty and context.broken and not context.is_dangerous():
        raise context.broken[0]


@contextlib.contextmanager
def _opened(file: BinaryIO | Path | RangeReader, meter: Meter) -> Iterator[RangeSource]:
    if isinstance(file, RangeReader):
        yield RangeSource(file.size, file.read, meter, file.head)
        return
    if not isinstance(file, Path):
        yield FileSource(file, meter)
        return
    try:
        stream = file.open("rb", buffering=0)  # what is counted as read is what is read
    except OSError as error:
        raise UnreadableCheckpoint(
            f"the file cannot be opened: {error.strerror or 'unknown reason'}"
        ) from None
    with stream:
        yield FileSource(stream, meter)


def _name_of(file: BinaryIO | Path | RangeReader) -> str:
    return file.name if isinstance(file, (Path, RangeReader)) else ""


def _sha256(blocks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()
