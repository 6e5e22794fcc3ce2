"""Optimizers of torch: kind, completeness, steps, learning rate, as state dicts and whole."""

import io
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from app.checkpoint.optimizer import read_optimizer, read_scalar
from app.checkpoint.values import Storage, Table, Tensor
from app.errors import UnreadableCheckpoint
from tests.checkpoint.reading import inspect
from tests.checkpoint.real_files import saved


def stepped(kind: str, module: nn.Module, **options: Any) -> torch.optim.Optimizer:
    made = getattr(torch.optim, kind)(module.parameters(), lr=1e-3, **options)
    sum(p.sum() for p in module.parameters()).backward()
    made.step()
    made.step()
    return made


@pytest.mark.parametrize(
    ("name", "options", "kind", "steps"),
    [
        ("Adam", {}, "adam", 2),
        ("AdamW", {}, "adamw", 2),
        ("RMSprop", {}, "rmsprop", 2),
        ("SGD", {"momentum": 0.9}, "sgd", None),
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_each_kind_as_a_state_dict_and_whole(
    name: str, options: Any, kind: str, steps: Any, whole: bool
) -> None:
    optimizer = stepped(name, nn.Linear(3, 2), **options)
    tree = optimizer if whole else {"optimizer_state_dict": optimizer.state_dict()}
    found = inspect(saved(tree)).optimizer
    assert found is not None
    assert (found.kind, found.complete, found.parameters, found.steps) == (kind, True, 2, steps)
    assert found.learning_rate == 1e-3


def test_a_parameter_without_state_makes_it_incomplete() -> None:
    state = stepped("Adam", nn.Linear(3, 2)).state_dict()
    del state["state"][1]
    found = inspect(saved({"optimizer_state_dict": state})).optimizer
    assert found is not None
    assert (found.complete, found.with_state, found.note) == (False, 1, "1 of 2 parameters have their state")


@pytest.mark.parametrize("value", [None, 3, Table(), Table.of({"state": Table()}), [1]])
def test_what_is_no_optimizer(value: Any) -> None:
    assert read_optimizer(value, lambda _: None) is None


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), "x", True, 1 << 70])
def test_a_learning_rate_that_is_no_number_is_left_out(rate: Any) -> None:
    group = Table.of({"lr": rate, "params": [0]})
    found = read_optimizer(Table.of({"param_groups": [group], "state": Table()}), lambda _: None)
    assert found is not None
    assert found.learning_rate is None


def tensor(dtype: str) -> Tensor:
    return Tensor(Storage("0", dtype, 1, "cpu"), dtype, (), (), 0)


def test_scalars_are_read_by_their_type() -> None:
    assert read_scalar(tensor("int64"), lambda _: (7).to_bytes(8, "little")) == 7
    assert read_scalar(tensor("float32"), lambda _: b"\0\0\0\x40") == 2.0
    assert read_scalar(tensor("float32"), lambda _: b"\0\0") is None
    assert read_scalar(tensor("bfloat16"), lambda _: b"\0\0") is None
    assert read_scalar("text", lambda _: None) == "text"

    def broken(_: Tensor) -> bytes:
        raise UnreadableCheckpoint("torn")

    assert read_scalar(tensor("int64"), broken) is None


def test_an_optimizer_in_an_ordinary_pickle() -> None:
    file = io.BytesIO()
    pickle.dump({"optimizer_state_dict": stepped("Adam", nn.Linear(3, 2)).state_dict()}, file)
    report = inspect(file.getvalue(), with_sha256=False)
    assert report.optimizer is not None
    assert report.optimizer.complete
    assert not report.suspicious
