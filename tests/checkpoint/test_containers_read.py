"""How much of every container is read, hashed, not hashed and by ranges: 32 KB and what in the file is no tensor's value."""

import dataclasses
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from app.checkpoint.hidden_zip import SEARCHED
from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.report import CheckpointReport
from app.network.shape import NetworkShape
from tests.checkpoint.test_ranges import Asked
from tests.export.policies import Made, make_policy

GOAL, MOST_REQUESTS, OBS = 32 * 1024, 5, 300
NETWORKS: dict[str, tuple[tuple[int, ...], dict[str, bool]]] = {
    "one layer": ((64,), {}),
    "the default": ((512, 256), {}),
    "three layers": ((256, 128, 64), {"layer_norm": True}),
    "separate trunks": ((128, 64), {"shared_trunk": False, "layer_norm": True}),
    "sixteen layers": ((64,) * 16, {"shared_trunk": False, "layer_norm": True}),
}
USUAL = [name for name in NETWORKS if name != "sixteen layers"]
CONTAINERS = ("torch", "torch weights", "legacy", "safetensors", "onnx", "sb3")
WITHOUT_DIRECTORY = ("legacy", "safetensors", "onnx")
"""Containers that are no zip, whose end is searched for one."""
READ_THROUGH = 1_024
"""ONNX weights of fewer bytes are read rather than asking once more."""


@dataclass(frozen=True)
class Read:
    """One file of a container, read in three ways."""

    hashed: CheckpointReport
    plain: CheckpointReport
    ranges: CheckpointReport
    requests: int

    @property
    def described(self) -> int:
        """Bytes of the file that are no tensor's value: pickles, headers, directories, the graph, alignment."""
        return self.hashed.bytes.other


def file_of(made: Made, container: str) -> Path:
    """The checkpoint, the same saved the old way, or one of its exports."""
    if container == "torch":
        return made.path
    if container == "legacy":
        path = made.path.with_name("legacy.pt")
        torch.save(torch.load(made.path), path, _use_new_zipfile_serialization=False)
        return path
    return made.export("torch" if container == "torch weights" else container)


@pytest.fixture(scope="module")
def files(tmp_path_factory: Any) -> dict[tuple[str, str], Read]:
    """Every network in every container."""
    found = {}
    for name, (hidden, options) in NETWORKS.items():
        shape = NetworkShape(OBS, hidden, 3, **options)
        plain = dataclasses.replace(shape, layer_norm=False)  # which Stable-Baselines3 has no place for
        made, bare = (make_policy(tmp_path_factory.mktemp("read"), each) for each in (shape, plain))
        for container in CONTAINERS:
            path = file_of(bare if container == "sb3" else made, container)
            asked = Asked(path.read_bytes())
            ranges = inspect_checkpoint(asked.reader(), with_sha256=False)
            found[name, container] = Read(
                inspect_checkpoint(path),
                inspect_checkpoint(path, with_sha256=False),
                ranges,
                len(asked.spans),
            )
    return found


def searched(container: str, size: int) -> int:
    """What the search of a file's end costs where nothing is hashed."""
    return min(size, SEARCHED) if container in WITHOUT_DIRECTORY else 0


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("network", USUAL)
def test_a_usual_network_is_read_within_the_goal(
    network: str, container: str, files: dict[tuple[str, str], Read]
) -> None:
    read = files[network, container]
    assert read.hashed.bytes_read <= GOAL
    most = GOAL + searched(container, read.hashed.bytes.total)
    assert read.plain.bytes_read <= most
    assert read.ranges.bytes_read <= most


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_no_more_is_read_than_the_description_and_the_goal(
    network: str, container: str, files: dict[tuple[str, str], Read]
) -> None:
    read = files[network, container]
    most = GOAL + read.described
    assert read.hashed.bytes_read <= most
    assert read.plain.bytes_read <= most + searched(container, read.hashed.bytes.total)
    assert read.ranges.bytes_read <= most + searched(container, read.hashed.bytes.total)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("network", USUAL)
def test_requests_do_not_depend_on_the_size(
    network: str, container: str, files: dict[tuple[str, str], Read]
) -> None:
    """But for ONNX, which says nowhere where the next weights stand: one more for each of some size."""
    read = files[network, container]
    weights = sum(tensor.bytes > READ_THROUGH for tensor in read.hashed.tensors)
    assert read.requests <= MOST_REQUESTS + (weights if container == "onnx" else 0)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_three_ways_tell_the_same(
    network: str, container: str, files: dict[tuple[str, str], Read]
) -> None:
    read = files[network, container]
    hashed, plain, ranges = (report.plain() for report in (read.hashed, read.plain, read.ranges))
    same = ("sha256", "bytes_read")
    assert {key for key in hashed if hashed[key] != plain[key]} <= set(same)
    assert {key for key in hashed if hashed[key] != ranges[key]} <= {*same, "name", "findings", "size"}
    told = {finding.code for finding in read.ranges.findings} - {f.code for f in read.hashed.findings}
    assert told <= {"headers_not_compared"}
    assert read.hashed.complete


def scripted() -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(large()), file)
    return file.getvalue()


def exported() -> bytes:
    file = io.BytesIO()
    torch.export.save(torch.export.export(large(), (torch.ones(1, 400),)), file)
    return file.getvalue()


def large() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(400, 400), torch.nn.Tanh(), torch.nn.Linear(400, 400))


@pytest.mark.parametrize("make", [scripted, exported])
def test_torch_s_own_exports_are_read_within_the_goal_too(make: Callable[[], bytes]) -> None:
    data = make()
    asked = Asked(data)
    ranges = inspect_checkpoint(asked.reader(), with_sha256=False)
    hashed = inspect_checkpoint(io.BytesIO(data))
    assert hashed.parameters == ranges.parameters == 2 * 400 * 401
    assert max(hashed.bytes_read, ranges.bytes_read) <= GOAL
    assert len(asked.spans) <= MOST_REQUESTS
