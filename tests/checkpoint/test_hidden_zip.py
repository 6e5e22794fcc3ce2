"""Zips behind other formats: what real readers take is found, hashed or not, and nothing else is."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load as load_safetensors

from app.checkpoint.findings import Findings
from app.checkpoint.hidden_zip import SEARCHED, look_for_hidden_zip
from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.limits import Meter, ReadLimits
from app.checkpoint.source import BytesSource, RangeReader
from app.errors import CaliperError
from tests.attacks import hostile_archives, hostile_differentials, hostile_ends
from tests.attacks.builders import ATTACKS, Attack, end_record
from tests.attacks.hostile_ends import MINIZ, ZIPFILE, evil_zip, safetensors

OF_ARCHIVES = [
    attack
    for attack in ATTACKS
    if attack.build.__module__
    in {m.__name__ for m in (hostile_archives, hostile_differentials, hostile_ends)}
]


def zipfile_takes(data: bytes) -> bool:
    """Whether Python's zipfile, and so Stable-Baselines3, opens it and finds the pickle."""
    try:
        return "archive/data.pkl" in zipfile.ZipFile(io.BytesIO(data)).namelist()
    except zipfile.BadZipFile:
        return False


def miniz_takes(data: bytes) -> bool:
    """Whether torch's own archive reader, which torch.jit.load opens a file with, does."""
    try:
        return "data.pkl" in torch._C.PyTorchFileReader(io.BytesIO(data)).get_all_records()
    except (RuntimeError, ValueError):
        return False


def is_found(data: bytes) -> bool:
    findings = Findings(10)
    look_for_hidden_zip(BytesSource(data), findings)
    return [finding.code for finding in findings.ordered()] == ["polyglot"]


@pytest.mark.parametrize(
    ("build", "takers"),
    [
        (hostile_ends.safetensors_zip_in_the_last_tensor, {zipfile_takes, miniz_takes}),
        (hostile_ends.safetensors_zip_and_a_byte, {zipfile_takes, miniz_takes}),
        (hostile_ends.safetensors_zip_where_zipfile_still_finds_it, {zipfile_takes, miniz_takes}),
        (hostile_ends.safetensors_zip_where_miniz_still_finds_it, {miniz_takes}),
        (hostile_ends.safetensors_zip_where_nobody_finds_it, set()),
        (hostile_ends.safetensors_directory_elsewhere, {miniz_takes}),
        (hostile_ends.safetensors_zip64, {zipfile_takes}),
        (hostile_ends.safetensors_signature_among_the_weights, set()),
    ],
)
def test_what_real_readers_take_is_found(build: Callable[[], bytes], takers: set[Any]) -> None:
    data = build()
    assert {taker for taker in (zipfile_takes, miniz_takes) if taker(data)} == takers
    assert is_found(data) is bool(takers)
    assert list(load_safetensors(data)) == ["w"]  # and safetensors takes it as it begins


@settings(max_examples=60, deadline=None)
@given(after=st.integers(0, MINIZ + 200), absolute=st.booleans())
def test_wherever_a_reader_takes_it_it_is_found(after: int, absolute: bool) -> None:
    front = bytes(70_000)
    data = front + evil_zip(len(front) if absolute else 0) + bytes(after)
    if zipfile_takes(data) or miniz_takes(data):
        assert is_found(data)
    if after + hostile_ends.END_SIZE > SEARCHED:
        assert not is_found(data)


def test_the_search_goes_as_far_as_the_farther_reader() -> None:
    assert max(MINIZ, ZIPFILE) == SEARCHED


def test_an_empty_zip_at_the_end_is_found_as_before() -> None:
    assert is_found(bytes(100) + end_record(0, 0, 100))
    assert is_found(bytes(100) + end_record(0, 0, 100, comment=b"word"))
    assert not is_found(bytes(100) + end_record(0, 0, 100) + b"more")


def test_the_search_costs_nothing_where_the_file_is_hashed() -> None:
    data = safetensors(bytes(500_000))
    asked: list[int] = []

    def read(offset: int, length: int) -> bytes:
        asked.append(length)
        return data[offset : offset + length]

    hashed = inspect_checkpoint(io.BytesIO(data))
    assert hashed.bytes_read == 512
    plain = inspect_checkpoint(RangeReader(len(data), read), with_sha256=False)
    assert plain.bytes_read == 512 + SEARCHED
    assert asked == [512, SEARCHED]


def codes(data: bytes, **options: Any) -> set[tuple[str, str]]:
    """What is found, in the report or with the error, and the error itself."""
    try:
        report = inspect_checkpoint(io.BytesIO(data), **options)
    except CaliperError as error:
        found = {(f["code"], f["severity"]) for f in error.extra.get("findings", [])}
        return {*found, (error.code, "error")}
    json.dumps(report.plain(), allow_nan=False)
    return {(finding.code, finding.severity) for finding in report.findings}


@pytest.mark.parametrize("attack", OF_ARCHIVES, ids=lambda attack: attack.name)
def test_the_verdict_is_the_same_hashed_or_not(attack: Attack) -> None:
    data = attack.build()
    assert codes(data) == codes(data, with_sha256=False)


def test_a_look_that_passes_a_limit_is_told_with_the_error() -> None:
    """A truncated stream with a zip: the error's findings hold what would have been seen later."""
    data = b"\x80\x02" + b"\x93" + evil_zip()
    assert ("polyglot", "high") in codes(data)
    assert ("polyglot", "high") in codes(data, with_sha256=False)


def test_the_meter_bounds_the_search() -> None:
    meter = Meter(ReadLimits(max_read_bytes=100))
    assert meter.limits.max_read_bytes < SEARCHED
    with pytest.raises(CaliperError):
        inspect_checkpoint(io.BytesIO(safetensors(bytes(90_000))), limits=meter.limits, with_sha256=False)


def test_a_path_is_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(hostile_ends.safetensors_zip_and_a_byte())
    assert [finding.code for finding in inspect_checkpoint(path).findings] == ["polyglot"]
