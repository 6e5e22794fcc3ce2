import ast
import inspect
import json
from dataclasses import fields
from itertools import pairwise
from typing import Any

import pytest

from app.errors import InvalidConfig, InvalidShape
from app.network.config import CHOICES, FLAGS, RANGES, PPOConfig


def test_sizes_of_a_batch() -> None:
    config = PPOConfig(num_envs=8, num_steps=32, num_minibatches=4, total_timesteps=1000)
    assert (config.batch_size, config.minibatch_size, config.num_updates) == (256, 64, 4)


def test_hidden_dims_become_a_tuple_however_they_are_given() -> None:
    config = PPOConfig(hidden_dims=[64, 32])  # type: ignore[arg-type]
    assert config.hidden_dims == (64, 32)
    config.hidden_dims = [8]  # type: ignore[assignment]
    assert config.hidden_dims == (8,)


def test_plain_goes_through_json_and_back() -> None:
    config = PPOConfig(hidden_dims=(64, 32), target_kl=0.01, seed=7)
    assert PPOConfig.from_plain(json.loads(json.dumps(config.plain()))) == config


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_envs", 0),
        ("num_envs", 1.0),
        ("num_envs", True),
        ("learning_rate", float("nan")),
        ("gamma", 1.01),
        ("clip_coef", 0.0),
        ("target_kl", -1.0),
        ("target_kl", "x"),
        ("activation", "sigmoid"),
        ("precision", "fp64"),
        ("anneal_lr", 1),
        ("shared_trunk", None),
        ("hidden_dims", "64"),
        ("num_minibatches", 3),
        ("desired_kl", 0.0),
        ("desired_kl", 0.01),  # beside anneal_lr, which is on
        ("oom_retry", 1),
    ],
)
def test_bad_values_name_their_field(field: str, value: Any) -> None:
    config = PPOConfig(**{field: value})
    with pytest.raises(InvalidConfig) as caught:
        config.check()
    assert caught.value.pointer == field
    assert caught.value.hint


@pytest.mark.parametrize("method", ["auto", "direct", "table", "convolution"])
def test_normalised_observations_are_written_out(method: Any) -> None:
    """The trainer refuses to share windows whose columns are clipped one by one."""
    config = PPOConfig(norm_obs=True, first_layer=method)
    if method in {"auto", "direct"}:
        assert config.check() is config
        return
    with pytest.raises(
        InvalidConfig, match=rf"first_layer is '{method}', but norm_obs clips each column"
    ) as caught:
        config.check()
    assert caught.value.pointer == "first_layer"
    assert "direct" in caught.value.hint


def test_every_field_is_documented_and_checked() -> None:
    (described,) = ast.parse(inspect.getsource(PPOConfig)).body
    assert isinstance(described, ast.ClassDef)
    followed = {
        node.target.id: isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and str(after.value.value).endswith(".")
        for node, after in pairwise(described.body)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    names = {field.name for field in fields(PPOConfig)}
    assert [name for name in names if not followed[name]] == []
    assert {*RANGES, *CHOICES, *FLAGS, "hidden_dims"} == names


def test_fields_alone_may_be_checked_before_the_batch_is_known() -> None:
    PPOConfig(num_minibatches=3).check_fields()


def test_too_wide_a_layer_passes_a_limit() -> None:
    with pytest.raises(InvalidShape):
        PPOConfig(hidden_dims=(10**6,)).check()


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="'lr'"):
        PPOConfig.from_plain({"lr": 1})
