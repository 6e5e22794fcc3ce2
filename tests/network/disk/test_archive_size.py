"""Predicted sizes against the real torch.save, where torch is installed, and against recorded ones."""

import io
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.network.disk.archive_size import STEM, torch_save_bytes
from app.network.disk.canonical import canonical_tree
from app.network.disk.pickle_size import STORAGES, TensorSpec, pickle_bytes


class CountingSink:
    """A file object that keeps only the number of bytes."""

    def __init__(self) -> None:
        self.length = 0

    def write(self, data: bytes) -> int:
        self.length += memoryview(data).nbytes
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Nothing to do."""


def _with_tensors(tree: Any) -> Any:
    torch = pytest.importorskip("torch")
    return canonical_tree(tree, lambda spec, _: torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)))


def _saved(tree: Any) -> int:
    torch = pytest.importorskip("torch")
    sink = CountingSink()
    torch.save(_with_tensors(tree), sink)
    return sink.length


def _saved_pickle(tree: Any) -> int:
    """Length of data.pkl in the real file, which the archive's padding would hide."""
    torch = pytest.importorskip("torch")
    buffer = io.BytesIO()
    torch.save(_with_tensors(tree), buffer)
    with zipfile.ZipFile(buffer) as archive:
        return archive.getinfo(f"{STEM}/data.pkl").file_size


def _predicted_pickle(tree: Any) -> int:
    return pickle_bytes(canonical_tree(tree, lambda spec, _: TensorSpec(spec.shape, spec.dtype)))[0]


RECORDED_BEYOND_4_GIB = [
    ((2**30, "float32"), 5, 4299163757),
    ((2**30 - 100, "float32"), 500, 4299165273),
    ((2**30 - 1, "float32"), 500, 4299165721),
    ((2**32 - 1, "uint8"), 500, 4299165805),
]
"""First tensor of three, values of the second, and the size of the file that torch 2.13.0 wrote."""


def test_recorded_sizes_hold_without_torch() -> None:
    assert torch_save_bytes({}) == 1261
    assert torch_save_bytes(TensorSpec(())) == 1577


@pytest.mark.parametrize(("first", "second", "size"), RECORDED_BEYOND_4_GIB)
def test_recorded_sizes_beyond_four_gibibytes(first: tuple[int, str], second: int, size: int) -> None:
    tree = {"a": TensorSpec((first[0],), first[1]), "b": TensorSpec((second,)), "c": TensorSpec((2**20,))}
    assert torch_save_bytes(tree) == size


@pytest.mark.parametrize("dtype", STORAGES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (3, 5), (1, 1, 5), (3, 0, 2), (2, 3, 4, 5, 6)])
def test_every_dtype_and_dimension(dtype: str, shape: tuple[int, ...]) -> None:
    tree = {"x": TensorSpec(shape, dtype), "y": TensorSpec(shape, dtype)}
    assert torch_save_bytes(tree) == _saved(tree)
    assert _predicted_pickle(tree) == _saved_pickle(tree)


@pytest.mark.parametrize("length", [0, 1, 2, 999, 1000, 1001, 2000, 2001])
@pytest.mark.parametrize(
    "build",
    [
        lambda n: list(range(n)),
        lambda n: {f"key {i}": i for i in range(n)},
        lambda n: OrderedDict((i, str(i)) for i in range(n)),
        lambda n: tuple(range(n)),
    ],
)
def test_pickle_s_batches_of_a_thousand(build: Callable[[int], Any], length: int) -> None:
    tree = build(length)
    assert _predicted_pickle(tree) == _saved_pickle(tree)


def test_memo_references_widen_past_255() -> None:
    tree = [[f"name {i}", TensorSpec((i + 1,))] for i in range(120)] + [f"name {i}" for i in range(120)]
    assert _predicted_pickle(tree) == _saved_pickle(tree)
    assert torch_save_bytes(tree) == _saved(tree)


@pytest.mark.parametrize("word", ["storage", "cpu", "0", "7", "9", "10", "11", "torch", "é", "\x00"])
def test_strings_that_torch_writes_too(word: str) -> None:
    """`cpu`, `storage` and the one-digit keys meet torch's own objects in the memo; `10` does not."""
    tensors = [TensorSpec((2,)) for _ in range(15)]
    for tree in ([word, word, *tensors], [*tensors, word, word]):
        assert _predicted_pickle(tree) == _saved_pickle(tree)


@pytest.mark.parametrize(
    "number", [0, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -1, -(2**31) - 1, 2**63, 2**2000]
)
def test_integers_of_every_width(number: int) -> None:
    assert _predicted_pickle({"n": number}) == _saved_pickle({"n": number})


def test_the_stem_is_repeated_in_every_record(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    tree = {"a": TensorSpec((100,)), "b": [TensorSpec((7, 3), "float64"), 1.5]}
    for stem in ("c", "checkpoint", "a_very_long_name_" * 8):
        path = tmp_path / f"{stem}.pt"
        torch.save(_with_tensors(tree), path)
        assert torch_save_bytes(tree, stem) == path.stat().st_size


@pytest.mark.slow
def test_records_past_four_gibibytes_carry_zip64_fields() -> None:
    tree = {"a": TensorSpec((2**30 - 1,)), "b": TensorSpec((500,)), "c": TensorSpec((2**20,))}
    assert torch_save_bytes(tree) == _saved(tree)


trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["storage", "cpu", "1", "12"])
    | st.builds(
        TensorSpec, st.lists(st.integers(0, 4), max_size=3).map(tuple), st.sampled_from(list(STORAGES))
    ),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=5)
        | st.dictionaries(st.text(max_size=4), inner, max_size=5).map(OrderedDict)
    ),
    max_leaves=25,
)


@settings(deadline=None, max_examples=150)
@given(trees)
def test_any_tree_is_predicted_to_the_byte(tree: Any) -> None:
    assert _predicted_pickle(tree) == _saved_pickle(tree)
    assert torch_save_bytes(tree) == _saved(tree)


@pytest.mark.parametrize("value", [b"raw", {1, 2}, object(), 1j])
def test_what_a_checkpoint_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="cannot stand in a checkpoint") as caught:
        torch_save_bytes({"x": [value]})
    assert caught.value.pointer == "/x/0"


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(InvalidInput, match="float8") as caught:
        torch_save_bytes(TensorSpec((1,), "float8"))
    assert "bfloat16" in caught.value.hint
