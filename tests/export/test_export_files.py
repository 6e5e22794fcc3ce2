"""What holds for every export: its size, its memory, where it stops, and what is refused."""

import io
import os
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.checkpoint.inspect import inspect_checkpoint
from app.errors import InvalidInput, NotExportable, UnreadableCheckpoint
from app.export.checksum import combine_crc32
from app.export.pieces import BLOCK_BYTES, Copy, Export, fill_layout, reads_of
from app.export.plan import FORMATS, plan_export
from app.export.zip_archive import MOST_BYTES, plain_zip
from app.network.disk.archive_size import torch_save_bytes
from app.network.disk.contents import policy_specs
from app.network.disk.file_layout import TensorBytes
from app.network.shape import NetworkShape
from tests.export.policies import Made, make_policy

torch = pytest.importorskip("torch")

SHAPE = NetworkShape(12, (16, 8), 4)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_policy(tmp_path_factory.mktemp("large"), NetworkShape(26_000, (80,)))


@pytest.mark.parametrize("kind", FORMATS)
def test_memory_does_not_grow_with_the_network(large: Made, kind: str) -> None:
    made = large
    with made.path.open("rb") as file:
        export = plan_export(made.report, file, kind)
        tracemalloc.start()
        longest = max(len(block) for block in export.blocks(reads_of(file.fileno())))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert export.size > 8_000_000
    assert longest <= BLOCK_BYTES
    assert peak < 3 * BLOCK_BYTES


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_record_ends_the_export(tmp_path: Path, kind: str) -> None:
    made = make_policy(tmp_path, SHAPE)
    weight = made.network.trunk[0].weight.detach().numpy().tobytes()
    data = made.path.read_bytes()
    made.path.write_bytes(data.replace(weight, bytes(len(weight))))
    with pytest.raises(UnreadableCheckpoint, match="does not match its checksum"):
        made.export(kind)


def test_a_file_that_was_cut_meanwhile_ends_the_export(tmp_path: Path) -> None:
    made = make_policy(tmp_path, SHAPE)
    with made.path.open("rb") as file:
        export = plan_export(made.report, file, "safetensors")
        os.truncate(made.path, 3_000)
        with pytest.raises(UnreadableCheckpoint, match="ends at byte"):
            list(export.blocks(reads_of(file.fileno())))


def test_the_weights_alone_are_torch_s_own_file(tmp_path: Path) -> None:
    made = make_policy(tmp_path, SHAPE)
    path = made.export("torch")
    loaded = torch.load(path, weights_only=True)
    assert list(loaded) == list(made.network.state_dict())
    assert all(torch.equal(loaded[name], value) for name, value in made.network.state_dict().items())
    assert path.stat().st_size == torch_save_bytes(policy_specs(SHAPE))
    theirs = io.BytesIO()
    torch.save({name: value.clone() for name, value in loaded.items()}, theirs)
    with zipfile.ZipFile(path) as ours, zipfile.ZipFile(theirs) as real:
        assert ours.testzip() is None
        assert ours.namelist() == real.namelist()
        for name in set(real.namelist()) - {"archive/.data/serialization_id"}:
            assert ours.read(name) == real.read(name), name
            assert ours.getinfo(name).header_offset == real.getinfo(name).header_offset


def test_a_tensor_without_values_is_written_as_torch_does(tmp_path: Path) -> None:
    path = tmp_path / "empty.pt"
    state = {"a.weight": torch.ones(3), "b.weight": torch.ones(0, 4), "c.weight": torch.ones(2)}
    torch.save(state, path)
    with path.open("rb") as file:
        export = plan_export(inspect_checkpoint(path), file, "torch")
        data = b"".join(export.blocks(reads_of(file.fileno())))
    theirs = io.BytesIO()
    torch.save(state, theirs)
    identity = data.index(b"archive/.data/serialization_id") - 200
    assert data[:identity] == theirs.getvalue()[:identity]
    assert len(data) == len(theirs.getvalue())


def test_the_same_checkpoint_gives_the_same_bytes(tmp_path: Path) -> None:
    made = make_policy(tmp_path, SHAPE)
    for kind in FORMATS:
        assert made.export(kind).read_bytes() == made.export(kind).read_bytes()


def test_safetensors_of_another_producer(tmp_path: Path) -> None:
    """Tensors need no known forward pass; their names lose the path that led to them in the file."""
    library = pytest.importorskip("safetensors.torch")
    state = {"actor.0.weight": torch.ones(3, 5), "actor.0.bias": torch.zeros(3, dtype=torch.bfloat16)}
    path = tmp_path / "other.pt"
    torch.save({"model_state_dict": state, "iter": 7, "infos": None, "optimizer_state_dict": {}}, path)
    report = inspect_checkpoint(path)
    with path.open("rb") as file:
        export = plan_export(report, file, "safetensors")
        data = b"".join(export.blocks(reads_of(file.fileno())))
        loaded = library.load(data)
        assert set(loaded) == set(state)
        assert all(torch.equal(loaded[name], value) for name, value in state.items())
        for kind in ("onnx", "sb3"):
            with pytest.raises(NotExportable, match="no whole Caliper checkpoint"):
                plan_export(report, file, kind)


def _refused(path: Path, kind: str) -> NotExportable:
    with path.open("rb") as file, pytest.raises(NotExportable) as caught:
        plan_export(inspect_checkpoint(path), file, kind)
    return caught.value


def test_what_is_not_raw_values_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "turned.pt"
    torch.save({"actor.weight": torch.ones(3, 5).t()}, path)
    assert "actor.weight (float32) does not stand" in _refused(path, "safetensors").detail
    torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    assert "a torch-legacy file is not exported" in _refused(path, "torch").detail


def test_a_view_of_a_larger_record(tmp_path: Path) -> None:
    """safetensors takes its part of the bytes; a zip's checksum of it is known only by reading them."""
    library = pytest.importorskip("safetensors.torch")
    path = tmp_path / "view.pt"
    torch.save({"actor.weight": torch.arange(20.0).reshape(10, 2)[3:6]}, path)
    assert "part of a larger record" in _refused(path, "torch").detail
    with path.open("rb") as file:
        export = plan_export(inspect_checkpoint(path), file, "safetensors")
        loaded = library.load(b"".join(export.blocks(reads_of(file.fileno()))))
    assert loaded["actor.weight"].tolist() == [[6.0, 7.0], [8.0, 9.0], [10.0, 11.0]]


@pytest.mark.parametrize("kind", ["onnx", "sb3"])
def test_a_config_of_another_network_is_refused(tmp_path: Path, kind: str) -> None:
    made = make_policy(tmp_path, SHAPE)
    tree = torch.load(made.path, weights_only=True)
    tree["config"]["obs_dim"] = 13
    torch.save(tree, made.path)
    assert "not those of the network" in _refused(made.path, kind).detail
    tree["config"]["hidden_dims"] = "many"
    torch.save(tree, made.path)
    assert "describes no network" in _refused(made.path, kind).detail


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    made = make_policy(tmp_path, SHAPE)
    with pytest.raises(InvalidInput, match="'keras' is no format") as caught:
        made.export("keras")
    assert caught.value.hint == "one of safetensors, onnx, sb3, torch"


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_checksums_are_joined(left: bytes, right: bytes) -> None:
    joined = combine_crc32(zlib.crc32(left), zlib.crc32(right), len(right))
    assert joined == zlib.crc32(left + right)


@pytest.mark.parametrize("length", [1 << 20, (1 << 33) + 5])
def test_checksums_are_joined_in_any_grouping(length: int) -> None:
    first, second, third = 0xDEADBEEF, 0x12345678, 0xCAFEBABE
    left = combine_crc32(combine_crc32(first, second, length), third, length)
    assert left == combine_crc32(first, combine_crc32(second, third, length), 2 * length)


def test_a_zip_beyond_32_bits_is_refused() -> None:
    with pytest.raises(NotExportable, match=f"{MOST_BYTES:,}") as caught:
        plain_zip([("a", (Copy(0, MOST_BYTES, 0),))])
    assert "safetensors" in caught.value.hint


def test_a_tensor_of_another_length_does_not_take_a_place() -> None:
    with pytest.raises(UnreadableCheckpoint, match="its record has 4 bytes, its shape needs 8"):
        fill_layout((TensorBytes("w", 8),), {"w": Copy(0, 4)})


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=80), max_size=6))
def test_any_plain_zip_is_sound(tmp_path: Path, contents: list[bytes]) -> None:
    pieces = plain_zip([(f"member {index}", (data,)) for index, data in enumerate(contents)])
    export = Export("zip", ".zip", pieces)
    path = tmp_path / "a.zip"
    with path.open("w+b") as file:
        data = b"".join(export.blocks(reads_of(file.fileno())))
    assert len(data) == export.size
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert [archive.read(name) for name in archive.namelist()] == contents


def test_the_scaling_of_an_export_is_the_trainer_s_own() -> None:
    from app.export.plan import VARIANCE_EPSILON
    from app.network.disk.onnx_layout import OBSERVATION_CLIP
    from worker.ppo import normalisation

    assert (normalisation.CLIP, normalisation._EPSILON) == (OBSERVATION_CLIP, VARIANCE_EPSILON)
