"""Real checkpoints, damaged: bits flipped anywhere, cut at every structural boundary. Never a crash, a hang, a leak."""

import io
import json
import os
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save as save_safetensors

from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.limits import ReadLimits
from app.checkpoint.report import CheckpointReport
from app.checkpoint.sandbox import inspect_in_child
from app.errors import CaliperError
from tests.checkpoint.real_files import Policy, caliper_tree, plain_config, saved
from tests.checkpoint.test_onnx import HONEST

LIMITS = ReadLimits(max_seconds=5.0)
KINDS = ("caliper", "sb3", "legacy", "safetensors", "module", "onnx", "pt2")
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """One real file of each kind, written by the library itself."""
    policy, tree = Policy(), caliper_tree(Policy(), plain_config())
    return {
        "caliper": saved(tree),
        "sb3": _sb3(),
        "legacy": saved(policy.state_dict(), _use_new_zipfile_serialization=False),
        "safetensors": save_safetensors(policy.state_dict(), {"format": "pt"}),
        "module": saved(policy),
        "onnx": HONEST,
        "pt2": _pt2(),
    }


def _sb3() -> bytes:
    from stable_baselines3 import PPO

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, device="cpu").save(file)
    return file.getvalue()


def _pt2() -> bytes:
    file = io.BytesIO()
    exported = torch.export.export(
        torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)), (torch.ones(1, 4),)
    )
    torch.export.save(exported, file)
    return file.getvalue()


def read(data: bytes) -> CheckpointReport | CaliperError:
    """The report, or the one kind of error that may come; whatever else is raised fails the test."""
    try:
        report = inspect_checkpoint(io.BytesIO(data), limits=LIMITS, with_sha256=False)
    except CaliperError as error:
        json.dumps(error.problem(), allow_nan=False)
        return error
    json.dumps(report.plain(), allow_nan=False)
    return report


def is_told(answer: CheckpointReport | CaliperError) -> bool:
    """Whether the reader says that something is missing."""
    return isinstance(answer, CaliperError) or not answer.complete or answer.suspicious


def held() -> tuple[int, str]:
    """Open file descriptors and child processes of this process."""
    descriptors = list(Path("/proc/self/fd").iterdir())
    return len(descriptors), Path(f"/proc/self/task/{os.getpid()}/children").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_honest(kind: str, files: dict[str, bytes]) -> None:
    answer = read(files[kind])
    assert isinstance(answer, CheckpointReport)
    assert answer.complete
    assert not answer.suspicious, answer.findings


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=4)
)
def test_flipped_bits(kind: str, files: dict[str, bytes], places: list[tuple[float, int]]) -> None:
    data = bytearray(files[kind])
    for where, bit in places:
        data[int(where * len(data))] ^= 1 << bit
    read(bytes(data))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), value=st.binary(min_size=1, max_size=9))
def test_overwritten_headers_and_pickles(
    kind: str, files: dict[str, bytes], where: float, value: bytes
) -> None:
    """Bytes overwritten where the structure is: among the boundaries rather than among the weights."""
    data = bytearray(files[kind])
    at = BOUNDARIES[kind](files[kind])
    start = at[int(where * len(at))]
    data[start : start + len(value)] = value
    read(bytes(data))


def _zip_boundaries(data: bytes) -> list[int]:
    """Every local header, first and last byte of data, directory entry, end record, and opcode of a pickle."""
    found: list[int] = []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entry = archive.start_dir
        for info in archive.infolist():
            name_length, extra_length = struct.unpack(
                "<HH", data[info.header_offset + 26 : info.header_offset + 30]
            )
            start = info.header_offset + 30 + name_length + extra_length
            found += [info.header_offset, info.header_offset + 30, start, start + info.file_size]
            name_end = entry + 46 + len(info.filename)
            found += [entry, entry + 46, name_end, name_end + len(info.extra)]
            found += [info.header_offset + 30 + name_length, start - 4, start + info.compress_size]
            entry += 46 + len(info.filename) + len(info.extra)
            if info.filename.endswith("data.pkl"):
                found += [start + at for at in _opcodes(archive.read(info))]
    ends = ((b"PK\5\6", 22), (b"PK\6\6", 56), (b"PK\6\7", 20))
    found += [at + step for sign, size in ends if (at := data.rfind(sign)) >= 0 for step in (0, 4, size)]
    return found


def _opcodes(data: bytes) -> list[int]:
    """Where each opcode of the pickle at the start begins, and where it ends."""
    places = [at or 0 for _, _, at in pickletools.genops(data)]
    return [*places, places[-1] + 1]


def _legacy_boundaries(data: bytes) -> list[int]:
    """Every opcode of the five pickles, and every count and value of a storage."""
    found, start, keys = [], 0, []
    for _ in range(5):
        opcodes = list(pickletools.genops(data[start:]))
        found += [start + (at or 0) for _, _, at in opcodes]
        keys = [value for _, value, _ in opcodes if isinstance(value, str)]
        start += (opcodes[-1][2] or 0) + 1
    for _ in keys:
        found += [start, start + 8]
        start += 8 + 4 * int.from_bytes(data[start : start + 8], "little")
    assert start == len(data)
    return found


def _safetensors_boundaries(data: bytes) -> list[int]:
    """Every sign of the JSON header, and the end of each tensor."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    ends = [entry["data_offsets"][1] + 8 + length for name, entry in header.items() if name[:2] != "__"]
    return [0, 8, *(at for at in range(8, 8 + length) if data[at] in b'{}[],:"'), *ends]


def _every_byte(data: bytes) -> list[int]:
    """ONNX nests messages to any depth, and the file is small: no boundary is left out."""
    return list(range(len(data)))


BOUNDARIES: dict[str, Callable[[bytes], list[int]]] = {
    "caliper": _zip_boundaries,
    "sb3": _zip_boundaries,
    "legacy": _legacy_boundaries,
    "safetensors": _safetensors_boundaries,
    "module": _zip_boundaries,
    "onnx": _every_byte,
    "pt2": _zip_boundaries,
}


def cuts(kind: str, data: bytes) -> Iterator[int]:
    """Each boundary and the byte on either side of it."""
    near = {at + step for at in BOUNDARIES[kind](data) for step in (-1, 0, 1)}
    return iter(sorted(at for at in near if 0 <= at < len(data)))


@pytest.mark.parametrize("kind", KINDS)
def test_cut_at_every_boundary(kind: str, files: dict[str, bytes]) -> None:
    data, before = files[kind], held()
    silent = [at for at in cuts(kind, data) if not is_told(read(data[:at]))]
    assert silent == []
    assert held() == before


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["caliper", "module"])
def test_a_pickle_cut_at_every_opcode_within_a_sound_zip(kind: str, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(files[kind])) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        whole, seen = archive.read(name), 0
    for at in _opcodes(whole)[:-1]:
        answer = read(_zipped({name: whole[:at]}))
        assert is_told(answer), at
        if isinstance(answer, CheckpointReport):
            assert len(answer.tensors) >= seen, "what was read once stays readable"
            seen = len(answer.tensors)
    assert seen > 0


def _zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["caliper", "sb3"])
def test_each_member_missing_or_emptied(kind: str, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(files[kind])) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    for name in members:
        read(_zipped({k: v for k, v in members.items() if k != name}))
        read(_zipped({**members, name: b""}))


def test_paths_and_children_leave_nothing_open(files: dict[str, bytes], tmp_path: Path) -> None:
    path, before = tmp_path / "damaged.pt", held()
    for kind in KINDS:
        for data in (files[kind], files[kind][: len(files[kind]) // 2], b""):
            path.write_bytes(data)
            for reader in (inspect_checkpoint, inspect_in_child):
                try:
                    reader(path, limits=LIMITS)
                except CaliperError:
                    continue
    assert held() == before
