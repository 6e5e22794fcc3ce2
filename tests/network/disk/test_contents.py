import tomllib
from pathlib import Path

import pytest

from app.errors import InvalidConfig
from app.network.config import PPOConfig
from app.network.disk.contents import (
    ADAM_EPS,
    CPU_RNG_BYTES,
    FORMAT,
    WRITER_VERSIONS,
    LearnedState,
    Provenance,
    adam_specs,
    checkpoint_contents,
    predicted_contents,
    trainer_state_specs,
)
from app.network.disk.pickle_size import TensorSpec
from app.network.shape import NetworkShape

SHAPE = NetworkShape(7, (4,), 2)
CONFIG = PPOConfig(hidden_dims=(4,), num_envs=5)


def test_keys_and_their_order() -> None:
    assert list(predicted_contents(SHAPE, CONFIG)) == [
        "format",
        "config",
        "policy_state_dict",
        "optimizer_state_dict",
        "trainer_state",
        "feature_schema",
        "normaliser",
        "dataset",
        "versions",
    ]


def test_the_config_says_what_the_network_is() -> None:
    contents = predicted_contents(SHAPE, CONFIG)
    assert contents["format"] == FORMAT
    assert contents["config"] == {**CONFIG.plain(), "obs_dim": 7, "action_dim": 2, "action_kind": "discrete"}


def test_adam_s_state_is_torch_s_own() -> None:
    torch = pytest.importorskip("torch")
    parameters = [torch.nn.Parameter(torch.ones(size)) for _, size in SHAPE.tensors]
    optimizer = torch.optim.Adam(parameters, lr=2.5e-4, eps=ADAM_EPS)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    real, specs = optimizer.state_dict(), adam_specs(SHAPE, 2.5e-4)
    assert list(real["param_groups"][0].items()) == list(specs["param_groups"][0].items())
    assert list(real["state"]) == list(specs["state"])
    for index, entry in real["state"].items():
        spec = {name: TensorSpec(tuple(value.shape), str(value.dtype)[6:]) for name, value in entry.items()}
        assert list(spec.items()) == list(specs["state"][index].items())


def test_the_cpu_s_random_state_has_its_length() -> None:
    torch = pytest.importorskip("torch")
    assert torch.get_rng_state().nbytes == CPU_RNG_BYTES


@pytest.mark.parametrize(
    ("settings", "device_type", "extra"),
    [
        ({}, "cpu", set()),
        ({}, "cuda", {"device_rng_state"}),
        ({"norm_obs": True}, "cpu", {"obs_mean", "obs_var", "obs_count"}),
        ({"norm_reward": True}, "cpu", {"return_N", "return_mean", "return_var", "return_count"}),
    ],
)
def test_the_trainer_s_state(settings: dict[str, bool], device_type: str, extra: set[str]) -> None:
    state = trainer_state_specs(SHAPE, PPOConfig(num_envs=5, **settings), device_type=device_type)
    always = {"global_step", "update", "cpu_rng_state", "episode_return_N", "episode_length_N", "env"}
    assert set(state) == always | extra
    assert state["episode_return_N"] == TensorSpec((5,), "float64")


def test_tensors_come_in_the_shape_s_order() -> None:
    names = [name for name, _ in SHAPE.tensors]
    learned = LearnedState(dict.fromkeys(reversed(names), 0), {}, {})
    assert list(checkpoint_contents(SHAPE, CONFIG, learned)["policy_state_dict"]) == names


def test_a_policy_of_another_shape_is_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"trunk\.2\.weight") as caught:
        checkpoint_contents(SHAPE, CONFIG, LearnedState({"trunk.2.weight": 0}, {}, {}))
    assert caught.value.pointer == "policy_state_dict"


@pytest.mark.parametrize(
    ("field", "value"), [("hidden_dims", (8,)), ("layer_norm", True), ("shared_trunk", False)]
)
def test_a_config_of_another_shape_is_refused(field: str, value: object) -> None:
    config = PPOConfig(hidden_dims=(4,))
    setattr(config, field, value)
    with pytest.raises(InvalidConfig) as caught:
        predicted_contents(SHAPE, config)
    assert caught.value.pointer == field


def test_provenance_is_kept() -> None:
    about = Provenance(feature_schema=["rsi"], normaliser={"mean": [0.0]}, dataset={"id": "d"})
    contents = predicted_contents(SHAPE, CONFIG, provenance=about)
    assert [contents[key] for key in ("feature_schema", "normaliser", "dataset")] == [
        ["rsi"],
        {"mean": [0.0]},
        {"id": "d"},
    ]


def test_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert WRITER_VERSIONS["caliper"] == project["version"]
    assert f"torch=={WRITER_VERSIONS['torch']}" in project["optional-dependencies"]["worker"]


@pytest.mark.parametrize("rate", [1, 0.5])
def test_the_learning_rate_is_a_float_whatever_was_set(rate: float) -> None:
    optimizer = {"state": {}, "param_groups": [{"lr": rate, "params": []}]}
    names = dict.fromkeys(name for name, _ in SHAPE.tensors)
    contents = checkpoint_contents(SHAPE, CONFIG, LearnedState(names, optimizer, {}))
    written = contents["optimizer_state_dict"]["param_groups"][0]["lr"]
    assert (written, type(written)) == (rate, float)
    assert optimizer["param_groups"][0]["lr"] is rate
