"""The stream that torch wrote before 1.6, alone and within a pickle."""

import pickle
from typing import Any

import pytest
import torch

from app.checkpoint.limits import ReadLimits
from app.checkpoint.torch_legacy import looks_like_legacy
from app.errors import LimitExceeded
from tests.checkpoint.reading import inspect
from tests.checkpoint.real_files import saved


def legacy(tree: Any) -> bytes:
    return saved(tree, _use_new_zipfile_serialization=False)


def test_storages_are_sized_by_their_counts() -> None:
    report = inspect(legacy({"a": torch.zeros(3, 4), "b": torch.zeros(5, dtype=torch.int64)}))
    assert (report.format, report.findings) == ("torch-legacy", ())
    assert report.bytes.weights == 48 + 40
    assert looks_like_legacy(legacy({})[:32])


@pytest.mark.parametrize(("cut", "code"), [(1, "storage_size"), (60, "damaged")])
def test_a_torn_stream_is_told(cut: int, code: str) -> None:
    report = inspect(legacy({"a": torch.zeros(3), "b": torch.zeros(9)})[:-cut])
    assert code in {finding.code for finding in report.findings}


def test_bytes_after_the_last_storage_are_told() -> None:
    assert [f.code for f in inspect(legacy({"a": torch.zeros(3)}) + b"more").findings] == ["trailing_data"]


def test_only_the_pickles_of_a_large_stream_are_read() -> None:
    report = inspect(legacy({"a": torch.zeros(2_000_000)}), with_sha256=False)
    assert report.bytes_read < 3_000_000
    assert report.parameters == 2_000_000


def test_a_tensor_in_an_ordinary_pickle_is_a_stream_within() -> None:
    weight = torch.zeros(4, 3)
    report = inspect(pickle.dumps({"w.weight": weight, "again": weight}))
    assert report.parameters == 12
    assert report.bytes.weights == 48
    assert [finding.code for finding in report.findings] == ["bare_pickle"]


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("run",))


def test_what_the_stream_within_would_run_is_found() -> None:
    class Packed:
        def __reduce__(self) -> Any:
            return (torch.storage._load_from_bytes, (legacy({"a": Evil()}),))

    found = inspect(pickle.dumps({"w": Packed()})).findings
    assert ("would_call", "high") in {(f.code, f.severity) for f in found}


@pytest.mark.parametrize("packed", [b"", b"no stream", saved({"a": 1})])
def test_bytes_that_are_no_stream_are_a_malformed_call(packed: bytes) -> None:
    class Packed:
        def __reduce__(self) -> Any:
            return (torch.storage._load_from_bytes, (packed,))

    found = inspect(pickle.dumps({"w": Packed()})).findings
    assert any(f.severity in ("medium", "high") for f in found)


def test_streams_within_streams_end_at_the_limit_of_archives() -> None:
    class Packed:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def __reduce__(self) -> Any:
            return (torch.storage._load_from_bytes, (self.data,))

    data = legacy({"a": 1})
    for _ in range(5):
        data = legacy({"a": Packed(data)})
    with pytest.raises(LimitExceeded) as caught:
        inspect(data, limits=ReadLimits(max_archives=3))
    assert caught.value.limit_name == "max_archives"
