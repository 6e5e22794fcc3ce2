"""Writing and reading checkpoints: atomic, hashed, in canonical form, without code in the file.

The tree is app.network.disk.contents' own; in canonical form (app.network.disk.canonical) and written through a
file object, so that its size is exactly what app.network.disk.archive_size predicts. `save_trainer` and
`load_trainer` do the same for whoever uses the trainer as a library.
"""

import dataclasses
import hashlib
import os
import pickle
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from app.errors import InvalidInput, UnreadableCheckpoint
from app.network.config import PPOConfig
from app.network.disk.canonical import canonical_tree
from app.network.disk.contents import FORMAT, LearnedState, Provenance, checkpoint_contents
from app.network.disk.pickle_size import STORAGES
from worker.ppo.env import BatchedEnv
from worker.ppo.trainer import NativePPOTrainer

DTYPES: dict[torch.dtype, str] = {getattr(torch, name): name for name in STORAGES}
"""Tensors that a checkpoint can hold."""


@dataclass(frozen=True, slots=True)
class SavedCheckpoint:
    """A checkpoint on disk."""

    path: Path
    """Where it is."""
    bytes: int
    """Its length."""
    sha256: str
    """Hash of its content, in hexadecimal."""


def save_checkpoint(path: str | os.PathLike[str], contents: Mapping[str, Any]) -> SavedCheckpoint:
    """Write `contents` to `path`, wholly or not at all; an older file there stays until then.

    Tensors are brought to the CPU, made contiguous and given storages of their own. The file loads with
    `torch.load(weights_only=True)`. Raises InvalidInput for a value that a checkpoint cannot hold, and
    OSError if the disk refuses.
    """
    target = Path(path)
    tree = canonical_tree(dict(contents), _TensorLeaf())
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            sink = _HashingSink(file)
            _write_archive(tree, sink)
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)
    return SavedCheckpoint(target, sink.length, sink.digest.hexdigest())


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint to CPU tensors and plain values; nothing in the file is executed.

    Raises UnreadableCheckpoint if it is missing, damaged, of another kind, or would run code.
    """
    try:
        tree = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UnreadableCheckpoint(f"there is no file {Path(path).name}", pointer="path") from error
    except pickle.UnpicklingError as error:
        raise UnreadableCheckpoint(
            f"{Path(path).name} holds more than tensors and plain values{_refused_global(error)}",
            hint="a checkpoint that Caliper wrote; others can be inspected, not loaded",
            pointer="path",
        ) from error
    except Exception as error:  # torch raises RuntimeError, EOFError, KeyError and others on damaged files
        raise UnreadableCheckpoint(
            f"{Path(path).name} is damaged or no checkpoint: {_first_line(error)}",
            hint="save it again, or take an older one",
            pointer="path",
        ) from error
    return _require_format(tree, Path(path).name)


def save_trainer(
    path: str | os.PathLike[str], trainer: NativePPOTrainer, provenance: Provenance | None = None
) -> SavedCheckpoint:
    """Write all that `load_trainer` needs to go on with a trainer, between two updates.

    The file is a Caliper checkpoint like a job's: it can be inspected, compared, exported and uploaded.
    Raises InvalidConfig where the environment's state cannot be kept (GymnasiumBatch.state_dict).
    """
    learned = LearnedState(**trainer.state_dict())
    return save_checkpoint(
        path, checkpoint_contents(trainer.network.shape, trainer.config, learned, provenance)
    )


def load_trainer(path: str | os.PathLike[str], env: BatchedEnv) -> NativePPOTrainer:
    """The trainer that `save_trainer` wrote, in an environment like its own: `train()` goes on where it stopped.

    Raises UnreadableCheckpoint as `load_checkpoint` does, InvalidConfig for an environment of another kind.
    """
    contents = load_checkpoint(path)
    known = {field.name for field in dataclasses.fields(PPOConfig)}
    values = {name: value for name, value in contents["config"].items() if name in known}
    config = PPOConfig.from_plain({**values, "hidden_dims": tuple(values["hidden_dims"])})
    trainer = NativePPOTrainer(env, config)
    trainer.load_state_dict(contents, take_over=True)
    return trainer


def _write_archive(tree: Any, sink: "_HashingSink") -> None:
    try:
        torch.save(tree, sink)  # type: ignore[arg-type]  # torch needs write and flush, no more
        sink.flush()
    except RuntimeError as error:
        # A failing write comes back as torch's own error about positions: tell what the disk said.
        if sink.failure is not None:
            raise sink.failure from error
        raise


class _TensorLeaf:
    """Gives each tensor a plain, contiguous CPU form with a storage of its own."""

    def __init__(self) -> None:
        self.storages: set[int] = set()

    def __call__(self, value: Any, path: str) -> Tensor:
        if not isinstance(value, Tensor) or value.dtype not in DTYPES or value.layout != torch.strided:
            kind = (
                f"{value.dtype} {value.layout} tensor" if isinstance(value, Tensor) else type(value).__name__
            )
            raise InvalidInput(
                f"{kind} at {path or '/'} cannot stand in a checkpoint",
                hint=f"None, bool, int, float, str, list, tuple, dict or a tensor of {', '.join(STORAGES)}",
                pointer=path,
            )
        plain = value.detach().as_subclass(Tensor)
        if self._needs_copy(plain):
            plain = torch.empty(plain.shape, dtype=plain.dtype, device="cpu").copy_(plain)
        self.storages.add(plain.untyped_storage()._cdata)  # noqa: SLF001  # torch.save's own key
        return plain

    def _needs_copy(self, tensor: Tensor) -> bool:
        """Copy only where needed: a view, an odd stride, another device, a shared storage."""
        storage = tensor.untyped_storage() if tensor.device.type == "cpu" else None
        return (
            storage is None
            or storage.nbytes() != tensor.numel() * tensor.element_size()
            or tensor.stride() != torch.empty(tensor.shape, device="meta").stride()
            or tensor.is_conj()
            or tensor.is_neg()
            or storage._cdata in self.storages  # noqa: SLF001  # torch.save's own key
        )


class _HashingSink:
    """The file object that torch.save writes to: passes on, counts and hashes what goes by."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.length = 0
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write one piece of the archive; the first failure is kept and ends all writing."""
        if self.failure is not None:
            raise self.failure
        try:
            self.file.write(data)
        except OSError as error:
            self.failure = error
            raise
        self.digest.update(data)
        size = memoryview(data).nbytes
        self.length += size
        return size

    def flush(self) -> None:
        """Bring the pieces to the operating system."""
        self.file.flush()


def _require_format(tree: Any, name: str) -> dict[str, Any]:
    if isinstance(tree, dict) and tree.get("format") == FORMAT:
        return tree
    said = tree.get("format") if isinstance(tree, dict) else None
    if isinstance(said, str) and said.startswith(FORMAT.rpartition("/")[0] + "/"):
        detail = f"{name} is of the format {said[:60]}, this release reads {FORMAT}"
        raise UnreadableCheckpoint(
            detail, hint="use the release that wrote it, or a later one", pointer="path"
        )
    raise UnreadableCheckpoint(
        f"{name} is no Caliper checkpoint: it has no key 'format' that says so",
        hint="inspect it to see what it is",
        pointer="path",
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused_global(error: BaseException) -> str:
    """What torch refused to call, without its advice to switch the protection off."""
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    return f": it would call {found[1]}" if found else ", or is no torch archive"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
