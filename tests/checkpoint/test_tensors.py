"""Views on storages: what they reach, repeat and share."""

from typing import Any

import pytest

from app.checkpoint.contents import Contents, Context
from app.checkpoint.findings import Findings
from app.checkpoint.limits import Meter, ReadLimits
from app.checkpoint.tensors import check_tensors, distinct_values, find_tensors, item_bytes, span
from app.checkpoint.values import Made, Name, Storage, Table, Tensor
from app.errors import LimitExceeded


def view(
    shape: tuple[int, ...], stride: tuple[int, ...], *, numel: int = 6, offset: int = 0, key: str = "0"
) -> Tensor:
    return Tensor(Storage(key, "float32", numel, "cpu"), "float32", shape, stride, offset)


def context(**limits: int) -> Context:
    return Context(Meter(ReadLimits(**limits)), Findings(50))


@pytest.mark.parametrize(
    ("shape", "stride", "reach", "distinct"),
    [
        ((2, 3), (3, 1), 6, 6),
        ((2, 3), (1, 2), 6, 6),
        ((), (), 1, 1),
        ((0, 5), (5, 1), 0, 0),
        ((4, 3), (0, 1), 3, 3),
        ((1 << 40,), (0,), 1, 1),
        ((3, 2), (1, 1), 4, 4),
    ],
)
def test_span_and_distinct_values(shape: Any, stride: Any, reach: int, distinct: int) -> None:
    assert (span(view(shape, stride)), distinct_values(view(shape, stride))) == (reach, distinct)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        ("float32", 4),
        ("bfloat16", 2),
        ("<f8", 8),
        ("i4", 4),
        ("object", 0),
        ("", 0),
        ("float32:x", 0),
        ("|b1", 1),
    ],
)
def test_item_bytes(dtype: str, size: int) -> None:
    assert item_bytes(dtype) == size


@pytest.mark.parametrize(
    ("tensors", "storages", "codes"),
    [
        ([view((2, 3), (3, 1))], {"0": 24}, set()),
        ([view((2, 3), (3, 1), offset=1)], {"0": 24}, {"tensor_outside_storage"}),
        ([view((1 << 40,), (1,))], {"0": 24}, {"tensor_outside_storage"}),
        ([view((9, 3), (0, 1))], {"0": 24}, {"expanded_tensor"}),
        ([view((2, 3), (3, 1))], {"0": 20}, {"storage_size"}),
        ([view((2, 3), (3, 1))], {}, {"storage_missing"}),
        ([view((2, 3), (3, 1)), view((2,), (1,), numel=5)], {"0": 24}, {"storage_mismatch"}),
    ],
)
def test_checks(tensors: list[Tensor], storages: dict[str, int], codes: set[str]) -> None:
    where = context()
    check_tensors(
        [(str(at), t) for at, t in enumerate(tensors)], Contents("torch-zip", None, storages), where
    )
    assert {finding.code for finding in where.findings.ordered()} == codes


def test_tensors_are_found_everywhere_and_containers_entered_once() -> None:
    inner = Table.of({"w": view((1,), (1,))})
    made = Made(Name("m", "C"), (view((1,), (1,)),), state=inner, items=[view((1,), (1,))])
    root = Table([("a", made), (3, [inner, (inner,)])])
    root.pairs.append(("loop", root))
    assert [path for path, _ in find_tensors(root, context())] == ["a.0", "a.w", "a.0"]


def test_tensors_are_counted_against_their_limit() -> None:
    with pytest.raises(LimitExceeded):
        find_tensors([view((1,), (1,)) for _ in range(5)], context(max_tensors=4))
