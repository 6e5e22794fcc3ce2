"""Plain pickles of any size: large bytes are passed over, what remains is walked a window at a time."""

import io
import os
import pickle
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.checkpoint import archive, opcodes
from app.checkpoint.archive import open_archive
from app.checkpoint.contents import Context, walk_pickles
from app.checkpoint.findings import Findings
from app.checkpoint.limits import Meter, ReadLimits
from app.checkpoint.source import FileSource
from app.errors import UnreadableCheckpoint
from tests.checkpoint.reading import inspect
from tests.checkpoint.test_opcodes import LONG, PLAIN, live, same

CALL = b"cposix\nsystem\n(X\x04\0\0\0truetR."
HIDDEN, OBS = 4_096, 70_000
"""Widths of four bytes in a pickle, so that a smaller array's bytes can be exchanged for as many of a larger one."""


def learner(width: int) -> dict[str, Any]:
    """The state of RLlib's learner, built from its keys (ray 2.60): weights, and Adam's state as arrays."""
    large, small = np.zeros((width,), np.float32), np.zeros((3,), np.float32)
    shapes = {"encoder.actor_encoder.net.mlp.0.weight": large, "pi.net.mlp.0.weight": small}
    state = {
        at: {"step": np.float32(7), "exp_avg": value.copy(), "exp_avg_sq": value.copy()}
        for at, value in enumerate(shapes.values())
    }
    group = {"lr": 3e-4, "betas": (0.9, 0.999), "eps": 1e-8, "params": [0, 1]}
    adam = {"module_id": "default_policy", "state": {"state": state, "param_groups": [group]}}
    return {"rl_module": {"default_policy": shapes}, "optimizer": {"default_policy_adam": adam}}


def sparse(path: Path, values: int, *, buffers: bool) -> Path:
    """A learner's state whose large arrays have so many values, which take no room on disk.

    The pickler writes it with arrays of OBS values; their length, their shape and their bytes are exchanged.
    """
    data = pickle.dumps(learner(OBS), 5 if buffers else 4)
    opcode, size = (b"\x96" if buffers else b"\x8e"), 4 * OBS
    announced = (
        opcode + size.to_bytes(8, "little") + bytes(size)
        if buffers
        else b"B" + size.to_bytes(4, "little") + bytes(size)
    )
    first, *rest = data.split(announced)
    assert len(rest) == 3
    shape, new = (b"J" + count.to_bytes(4, "little") for count in (OBS, values))
    with path.open("wb") as file:
        for at, part in enumerate((first, *rest)):
            file.write(part.replace(shape, new))
            if at < len(rest):
                file.write(
                    opcode + (4 * values).to_bytes(8, "little")
                    if buffers
                    else b"B" + (4 * values).to_bytes(4, "little")
                )
                file.seek(4 * values, os.SEEK_CUR)
    return path


@pytest.mark.parametrize("buffers", [True, False])
def test_a_learner_s_state_of_gigabytes_is_read_within_a_few_windows(tmp_path: Path, buffers: bool) -> None:
    """1.2 GB, of which a loader would take as much; the goal for the whole process is 24 MB."""
    path = sparse(tmp_path / "state.pkl", 100_000_000, buffers=buffers)
    assert path.stat().st_size > 1_200_000_000
    inspect(pickle.dumps({"a": 1}))  # what is imported on the way is not counted
    tracemalloc.start()
    report = inspect(path, with_sha256=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    assert report.complete
    assert [finding.code for finding in report.findings] == ["bare_pickle"]
    shapes = {tensor.name: (tensor.shape, tensor.bytes) for tensor in report.tensors}
    assert shapes["rl_module.default_policy.encoder.actor_encoder.net.mlp.0.weight"] == (
        (100_000_000,),
        400_000_000,
    )
    assert report.bytes_read < 96 * 1024  # 66,000 of them the end, where a zip could hide


def test_a_folder_with_a_large_state_has_no_finding(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    sparse(tmp_path / "run/state.pkl", 60_000_000, buffers=True)
    report = inspect(tmp_path / "run")
    assert (report.complete, report.findings, report.bytes_read < 64 * 1024) == (True, (), True)


def test_numpy_reads_the_same_shapes(tmp_path: Path) -> None:
    """The exchanged bytes are a pickle that numpy itself loads."""
    loaded = pickle.loads(sparse(tmp_path / "state.pkl", 100_000, buffers=True).read_bytes())
    assert loaded["optimizer"]["default_policy_adam"]["state"]["state"][0]["exp_avg"].shape == (100_000,)


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "behind": lambda load: b"\x80\x04]" + load + b"a" + CALL.replace(b".", b"a."),
    "before": lambda load: b"\x80\x04]" + CALL.removesuffix(b".") + b"a" + load + b"a.",
    "after the end": lambda load: b"\x80\x04" + load + b"." + CALL,
    "with the bytes as argument": lambda load: b"\x80\x04cposix\nsystem\n" + load + b"\x85R.",
    "in another's place": lambda load: b"\x80\x04" + load + b"0" + CALL,
}


@pytest.mark.parametrize("place", HOSTILE)
@pytest.mark.parametrize("opcode", [b"B", b"\x8e", b"\x96"])
def test_a_call_beside_large_bytes_is_found(place: str, opcode: bytes) -> None:
    length = len(LONG).to_bytes(4 if opcode == b"B" else 8, "little")
    report = inspect(HOSTILE[place](opcode + length + LONG))
    assert any(f.code in ("would_call", "would_import") and f.severity == "high" for f in report.findings)


def test_a_pickle_within_the_bytes_is_none_of_its_opcodes() -> None:
    load = CALL * 10_000
    report = inspect(b"\x80\x04]B" + len(load).to_bytes(4, "little") + load + b"a.")
    assert [finding.code for finding in report.findings] == ["bare_pickle"]


@pytest.mark.filterwarnings("ignore:TypedStorage")
def test_bytes_that_torch_would_load_are_looked_into() -> None:
    """A legacy stream that is too long to be held is read where it stands."""
    import torch

    file = io.BytesIO()
    torch.save(torch.zeros(50_000).storage(), file, _use_new_zipfile_serialization=False)
    for stream, code in ((file.getvalue(), None), (CALL + bytes(100_000), "would_call")):
        data = (
            b"\x80\x04]ctorch.storage\n_load_from_bytes\nB"
            + len(stream).to_bytes(4, "little")
            + stream
            + b"\x85Ra."
        )
        found = {finding.code: finding.severity for finding in inspect(data).findings}
        assert found.get("would_call") == ("high" if code else None), found


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x80\x05\x8e" + (1 << 40).to_bytes(8, "little") + LONG + b".", "limit_exceeded"),
        (b"\x80\x05}\x8e" + (len(LONG) + 2).to_bytes(8, "little") + LONG + b".", "damaged"),
        (b"\x80\x04\x95" + (50).to_bytes(8, "little") + b"]B" + len(LONG).to_bytes(4, "little") + LONG + b"a.", "frame_mismatch"),
        (b"\x80\x04](" + b"X" + (1 << 20).to_bytes(4, "little") + b"x" * (1 << 20) + b"a.", "limit_exceeded"),
        (b"\x80\x02]" + b"V" + b"x" * 200_000 + b"\na.", "limit_exceeded"),
    ],
)  # fmt: skip
def test_what_is_announced_torn_or_held_is_told(data: bytes, code: str) -> None:
    limits = ReadLimits(max_string_bytes=1 << 17)
    try:
        found = {finding.code for finding in inspect(data, limits=limits).findings}
    except Exception as error:  # noqa: BLE001
        found = {f["code"] for f in getattr(error, "extra", {}).get("findings", [])}
    assert code in found


def test_what_is_held_has_a_limit_of_its_own() -> None:
    """Values below the length that is passed over add up."""
    part = b"B" + (60_000).to_bytes(4, "little") + bytes(60_000) + b"a"
    report = inspect(b"\x80\x04]" + part * 20 + b".", limits=ReadLimits(max_member_bytes=1_000_000))
    assert [f.code for f in report.findings if f.severity == "high"] == ["limit_exceeded"]
    assert inspect(b"\x80\x04]" + part * 10 + b".", limits=ReadLimits(max_member_bytes=1_000_000)).complete


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PLAIN, st.integers(0, 5), st.integers(1, 7))
def test_windows_of_any_width_read_the_same(value: Any, protocol: int, width: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opcodes, "_LEAST_WINDOW", width)
        patch.setattr(opcodes, "_MOST_WINDOW", 2 * width)
        context = Context(Meter(ReadLimits()), Findings(100))
        source = FileSource(io.BytesIO(pickle.dumps(value, protocol)), context.meter)
        assert same(live(walk_pickles(source, context, "here").value), value)
    assert (context.findings.ordered(), context.broken) == ((), [])


def deflated(path: Path, member: bytes, name: str = "state.pkl") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr(name, member)
    return path


def weights(size: int) -> bytes:
    return np.random.default_rng(1).normal(size=size).astype(np.float32).tobytes()


def test_a_deflated_member_is_walked_as_it_is_decompressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_HELD_WHOLE", 1 << 16)
    member = pickle.dumps({"module": np.frombuffer(weights(500_000), np.float32), "lr": 0.5})
    path = deflated(tmp_path / "run.zip", member)
    limits = ReadLimits(max_member_bytes=1 << 19)  # what may be held: a quarter of the member
    report = inspect(path, limits=limits)
    assert (report.complete, report.findings) == (True, ())
    assert [(t.shape, t.bytes) for t in report.tensors] == [((500_000,), 2_000_000)]
    report = inspect(deflated(path, member.removesuffix(b".") + b"0" + CALL), limits=limits)
    assert any(f.code == "would_call" for f in report.findings)


def streamed(path: Path) -> tuple[Any, Findings]:
    meter, findings = Meter(ReadLimits()), Findings(10)
    opened = open_archive(FileSource(io.BytesIO(path.read_bytes()), meter), meter, findings)
    return opened.open("state.pkl"), findings


def test_a_stream_gives_any_bytes_and_checks_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_HELD_WHOLE", 1 << 16)
    data = weights(100_000)
    source, findings = streamed(deflated(tmp_path / "a.zip", data))
    for start, length in ((0, 10), (5, 300_000), (399_990, 10), (7, 2), (200_000, 100_000)):
        assert source.read_at(start, length) == data[start : start + length]
    assert findings.ordered() == ()
    with pytest.raises(UnreadableCheckpoint, match="too often"):
        [source.read_at(at, 1) for at in (399_999, 0) * 9]
    with pytest.raises(UnreadableCheckpoint, match="are needed"):
        source.read_at(400_000, 1)


@pytest.mark.parametrize("field", ["crc", "size", "packed"])
def test_a_stream_that_lies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    monkeypatch.setattr(archive, "_HELD_WHOLE", 1 << 16)
    data = weights(100_000)
    raw = deflated(tmp_path / "a.zip", data).read_bytes()
    old = zlib.crc32(data) if field == "crc" else len(data)
    if field == "packed":
        raw = raw[:90_000] + b"\xff" * 64 + raw[90_064:]
    else:
        raw = raw.replace(old.to_bytes(4, "little"), (old - 1).to_bytes(4, "little"))
    (tmp_path / "a.zip").write_bytes(raw)
    source, findings = streamed(tmp_path / "a.zip")
    if field == "crc":
        source.read_at(source.size - 1, 1)
        assert [finding.code for finding in findings.ordered()] == ["bad_crc"]
        return
    with pytest.raises(UnreadableCheckpoint, match=r"decompress|damaged"):
        source.read_at(source.size - 1, 1)
