import pickletools

import pytest

from app.errors import InvalidInput
from app.network.disk import pickle_size
from app.network.disk.pickle_size import STORAGES, TensorSpec, pickle_bytes, torch_pickle


def test_the_length_is_the_one_of_the_opcodes() -> None:
    # PROTO 2, EMPTY_DICT, BINPUT 0, STOP
    assert pickle_bytes({}) == (2 + 1 + 2 + 1, [])


def test_stand_ins_carry_the_names_of_torch_s_classes() -> None:
    torch = pytest.importorskip("torch")
    for dtype, (stand_in, size) in STORAGES.items():
        assert hasattr(torch, stand_in.__name__)
        assert torch.storage._dtype_to_storage_type_map()[getattr(torch, dtype)] == stand_in.__name__
        assert getattr(torch, dtype).itemsize == size


def test_specs_come_in_the_order_of_the_records() -> None:
    specs = [TensorSpec((2,)), TensorSpec((3, 4), "int64"), TensorSpec((), "bool")]
    assert pickle_bytes({"a": specs[0], "b": specs[1:]})[1] == specs


def test_bytes_of_a_spec() -> None:
    assert TensorSpec((3, 4)).nbytes == 48
    assert TensorSpec((), "float64").nbytes == 8
    assert TensorSpec((0, 7), "int64").nbytes == 0
    with pytest.raises(InvalidInput, match="unknown dtype"):
        _ = TensorSpec((1,), "quint8").nbytes


def test_the_stand_ins_pickle_itself_names_no_torch() -> None:
    """The exchange of module texts is right only while both are written exactly once."""
    import io

    buffer = io.BytesIO()
    pickle_size._SpecPickler(buffer).dump([TensorSpec((1,)), TensorSpec((2,)), TensorSpec((1,), "int64")])
    names = [arg for op, arg, _ in pickletools.genops(buffer.getvalue()) if op.name == "GLOBAL"]
    assert sorted(names) == [
        "app.network.disk.pickle_size FloatStorage",
        "app.network.disk.pickle_size LongStorage",
        "app.network.disk.pickle_size _rebuild_tensor_v2",
        "collections OrderedDict",
    ]


@pytest.mark.parametrize("count", [0, 1, 3, 300])
def test_the_length_without_persistent_ids_is_that_with_them(count: int) -> None:
    """From 256 entries of pickle's memo on, references are longer: they must be the same ones."""
    tree = {f"layer.{index}": TensorSpec((index, 7)[: index % 3], "float32") for index in range(count)}
    written = torch_pickle(dict(tree))
    assert pickle_bytes(dict(tree))[0] == len(written)
    assert [op.name for op, _, _ in pickletools.genops(written)].count("BINPERSID") == count
