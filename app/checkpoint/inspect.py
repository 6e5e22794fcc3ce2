"""Inspect a checkpoint file: what it is, what network it holds, what it would run — without running it."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from app.checkpoint.archive import open_archive
from app.checkpoint.contents import Contents, Context, walk_pickles
from app.checkpoint.findings import Findings, printable
from app.checkpoint.limits import Meter, ReadLimits
from app.checkpoint.report import CheckpointReport
from app.checkpoint.safetensors import looks_like_safetensors, read_safetensors
from app.checkpoint.sb3_zip import is_sb3_zip, read_sb3_zip
from app.checkpoint.sniff import describe, looks_like_pickle
from app.checkpoint.source import FileSource, Source
from app.checkpoint.summarise import summarise
from app.checkpoint.torch_legacy import looks_like_legacy, read_legacy
from app.checkpoint.torch_zip import is_torch_zip, read_torch_zip
from app.checkpoint.values import Array, Made, Table, Tensor
from app.errors import CaliperError, UnreadableCheckpoint

DEFAULT_LIMITS = ReadLimits()
"""What a reading may spend where nothing else is said."""

_HINT = "a torch .pt file, a Stable-Baselines3 .zip, a .safetensors file"
_HEAD = 512
_BLOCK = 1 << 20


def inspect_checkpoint(
    file: BinaryIO | Path, *, limits: ReadLimits = DEFAULT_LIMITS, name: str = "", with_sha256: bool = True
) -> CheckpointReport:
    """Report what is in a checkpoint, from a path or a seekable binary file; nothing of it is executed.

    Reads the directory and the pickles, never the weights; `with_sha256` streams the file once more.
    Raises UnreadableCheckpoint where the file is none or is too damaged, LimitExceeded where it passes a
    limit before anything was read; the error's `extra["findings"]` lists what was found until then. What is damaged, odd or dangerous beyond that stands in `findings`.
    """
    with _opened(file) as stream:
        meter = Meter(limits)
        source = FileSource(stream, meter)
        context = Context(meter, Findings(limits.max_findings))
        contents = _read_or_tell(source, context)
        report = summarise(contents, context, source.size, printable(name or _name_of(file)))
        digest = _sha256(stream) if with_sha256 else None
        return report(digest)


def _read_or_tell(source: Source, context: Context) -> Contents:
    """Read; an error that ends the reading carries the findings that were made until then."""
    try:
        return _read(source, context)
    except CaliperError as error:
        found = [dataclasses.asdict(finding) for finding in context.findings.ordered()]
        error.extra.update({"findings": found} if found else {})
        raise


def _read(source: Source, context: Context) -> Contents:
    """Read by what the first bytes say, which is how torch decides too."""
    head = source.read_at(0, min(_HEAD, source.size))
    if head[:4] == b"PK\x03\x04":
        contents = _read_zip(source, context)
    elif looks_like_legacy(head):
        contents = read_legacy(source, context)
    elif looks_like_pickle(head):
        contents = _read_pickle(source, context)
    elif looks_like_safetensors(head, source.size):
        contents = read_safetensors(source, context)
    else:
        raise UnreadableCheckpoint(f"it is {describe(head, source.size)}", hint=f"expected: {_HINT}")
    _require_something(contents, context)
    if head[:4] != b"PK\x03\x04":
        _look_for_hidden_zip(source, context)
    return contents


def _read_zip(source: Source, context: Context) -> Contents:
    archive = open_archive(source, context.meter, context.findings)
    if is_sb3_zip(archive):
        return read_sb3_zip(archive, context)
    if is_torch_zip(archive):
        return read_torch_zip(archive, context)
    shown = ", ".join(printable(name, 60) for name in list(archive.members)[:5])
    raise UnreadableCheckpoint(f"it is a zip without data.pkl (it holds: {shown})", hint=f"expected: {_HINT}")


def _read_pickle(source: Source, context: Context) -> Contents:
    """A bare pickle: torch and joblib refuse or misread it, others load it and run what it says."""
    context.meter.check("max_member_bytes", source.size)
    result = walk_pickles(source.read_at(0, source.size), context, "pickle")
    context.findings.add("bare_pickle", "low", "pickle", "a bare pickle, which torch.save does not write")
    return Contents("pickle", result.value)


def _require_something(contents: Contents, context: Context) -> None:
    """Raise what broke where nothing at all came of the reading, nothing dangerous included."""
    is_empty = not isinstance(contents.root, (Table, Made, Tensor, Array, list, tuple)) or (
        isinstance(contents.root, Table) and not contents.root.pairs
    )
    if is_empty and context.broken and not context.findings.any_high():
        raise context.broken[0]


def _look_for_hidden_zip(source: Source, context: Context) -> None:
    """A zip's end record behind another format: scanners read the zip, torch reads the front."""
    tail = source.read_at(max(0, source.size - 66_000), min(66_000, source.size))
    at = tail.rfind(b"PK\x05\x06")
    if (
        at >= 0
        and len(tail) - at >= 22
        and at + 22 + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail)
    ):
        text = "a zip is hidden behind the start of the file: readers see different files"
        context.findings.add("polyglot", "high", "", text)


@contextlib.contextmanager
def _opened(file: BinaryIO | Path) -> Iterator[BinaryIO]:
    if not isinstance(file, Path):
        yield file
        return
    try:
        stream = file.open("rb")
    except OSError as error:
        raise UnreadableCheckpoint(
            f"the file cannot be opened: {error.strerror or 'unknown reason'}"
        ) from None
    with stream:
        yield stream


def _name_of(file: BinaryIO | Path) -> str:
    return file.name if isinstance(file, Path) else ""


def _sha256(stream: BinaryIO) -> str:
    stream.seek(0)
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()
