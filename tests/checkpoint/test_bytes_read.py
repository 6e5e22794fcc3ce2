"""How much of a torch zip is read: a bound that the records alone decide, and the networks that it keeps within 32 KB."""

from pathlib import Path
from typing import Any

import pytest
import torch

from app.checkpoint.inspect import inspect_checkpoint
from app.network.config import PPOConfig
from app.network.disk.canonical import canonical_tree
from app.network.disk.contents import predicted_contents
from app.network.disk.pickle_size import TensorSpec, pickle_bytes
from app.network.shape import NetworkShape
from tests.checkpoint.test_documentation import between
from tests.checkpoint.test_ranges import Asked
from worker.save import save_checkpoint

GOAL = 32 * 1024
NEAR_TAIL, ENDS, SMALL = 12 * 1024, 98, 2 * 1024
"""Bytes at the end that are read at once; the end records; torch's own small records, an optimizer's step and alignment."""
RECORDS = (
    "data.pkl",
    ".format_version",
    ".storage_alignment",
    "byteorder",
    "version",
    ".data/serialization_id",
)
WIDEST, MOST_LAYERS, OBS = 8192, 16, 5300


def contents(hidden: tuple[int, ...], **options: Any) -> Any:
    """The tree of a Gaussian policy with every running statistic, as it is saved on CUDA."""
    config = PPOConfig(hidden_dims=hidden, norm_obs=True, norm_reward=True, **options)
    shape = NetworkShape(OBS, hidden, 3, "gaussian", config.layer_norm, config.shared_trunk)
    return predicted_contents(shape, config, device_type="cuda")


def bounds(tree: Any) -> tuple[int, int]:
    """Bytes read at most, of a file that is hashed or by ranges, and of a local one that is not: each header too."""
    length, specs = pickle_bytes(canonical_tree(tree, lambda s, _: TensorSpec(s.shape, s.dtype)))
    names = [f"archive/{name}" for name in (*RECORDS, *(f"data/{index}" for index in range(len(specs))))]
    directory = sum(46 + len(name) for name in names)
    passing = length + max(directory + ENDS, NEAR_TAIL) + SMALL
    return passing, passing + sum(30 + len(name) for name in names)


@pytest.mark.parametrize(
    ("hidden", "options"),
    [
        ((8,), {}),
        ((64, 32), {"layer_norm": True}),
        ((64, 32, 16), {"shared_trunk": False}),
        ((8,) * 4, {"shared_trunk": False, "layer_norm": True}),
        ((8,) * 10, {}),
        ((8,) * MOST_LAYERS, {"shared_trunk": False, "layer_norm": True}),
    ],
)
def test_no_more_is_read_than_the_bound(tmp_path: Path, hidden: tuple[int, ...], options: Any) -> None:
    tree = contents(hidden, **options)
    made = canonical_tree(tree, lambda s, _: torch.ones(s.shape, dtype=getattr(torch, s.dtype)))
    path = save_checkpoint(tmp_path / "run.pt", made).path
    passing, local = bounds(tree)
    asked = Asked(path.read_bytes())
    assert inspect_checkpoint(path).bytes_read <= passing
    assert inspect_checkpoint(path, with_sha256=False).bytes_read <= local
    assert inspect_checkpoint(asked.reader(), with_sha256=False).bytes_read <= passing
    assert len(asked.spans) <= (5 if passing <= GOAL else 6)


def layers_within(at: int, **options: Any) -> int:
    """The most hidden layers of the largest widths whose bound is within the goal."""
    return max(n for n in range(1, MOST_LAYERS + 1) if bounds(contents((WIDEST,) * n, **options))[at] <= GOAL)


def test_the_networks_within_32_kb_are_those_of_the_page() -> None:
    rows = [
        f"| {'shared' if shared else 'separate'} | {'yes' if norm else 'no'} | {passing} | {local} |"
        for shared in (True, False)
        for norm in (False, True)
        for passing, local in [
            [layers_within(at, shared_trunk=shared, layer_norm=norm) for at in (0, 1)],
        ]
    ]
    head = [
        "| trunks | layer norm | hidden layers, hashed or by ranges | local, not hashed |",
        "|---|---|---|---|",
    ]
    assert between("bytes") == "\n".join([*head, *rows])


def test_statistics_are_read_only_where_they_are_asked_for(tmp_path: Path) -> None:
    """Mean and variance of 5,300 inputs are 85 KB."""
    tree = contents((512, 256))
    made = canonical_tree(tree, lambda s, _: torch.ones(s.shape, dtype=getattr(torch, s.dtype)))
    path = save_checkpoint(tmp_path / "run.pt", made).path
    plain = inspect_checkpoint(path, with_sha256=False)
    asked = inspect_checkpoint(path, with_sha256=False, with_statistics=True)
    assert plain.bytes_read <= GOAL
    assert asked.bytes_read >= 2 * 8 * OBS
    assert plain.normaliser_sha256 == {}
    assert set(asked.normaliser_sha256) == set(asked.normaliser_tensors) == set(plain.normaliser_tensors)
    assert len(plain.normaliser_tensors) == 3
