"""rl_games: files built from the keys that version 1.6.5 writes (it wants an older psutil than ours), and real
ones where it is installed."""

import io
from typing import Any

import pytest
import torch

from tests.checkpoint.reading import dimensions, facts, inspect, of_shapes
from tests.checkpoint.real_files import saved

NET = "a2c_network."
BASE = {
    "running_mean_std.running_mean": (5,),
    "running_mean_std.running_var": (5,),
    "running_mean_std.count": (),
}
MLP = {
    f"{NET}actor_mlp.0.weight": (32, 5),
    f"{NET}actor_mlp.2.weight": (16, 32),
    f"{NET}value.weight": (1, 16),
}
CONTINUOUS = {**BASE, f"{NET}sigma": (3,), **MLP, f"{NET}mu.weight": (3, 16)}
DISCRETE = {
    **BASE,
    **MLP,
    f"{NET}critic_mlp.0.weight": (32, 5),
    f"{NET}critic_mlp.2.weight": (16, 32),
    f"{NET}logits.weight": (3, 16),
}
MULTI = {**BASE, **MLP, f"{NET}logits.0.weight": (3, 16), f"{NET}logits.1.weight": (2, 16)}
RECURRENT = {
    **BASE,
    **MLP,
    f"{NET}actor_mlp.0.weight": (32, 24),
    f"{NET}rnn.rnn.weight_ih_l0": (96, 5),
    f"{NET}rnn.rnn.weight_hh_l0": (96, 24),
    f"{NET}logits.weight": (3, 16),
}


def tree(model: dict[str, Any]) -> dict[str, Any]:
    """What A2CBase.get_full_state_weights gives."""
    counters = {"epoch": 3, "frame": 64, "last_mean_rewards": 1.5, "env_state": None}
    return {"model": model, "optimizer": {}, **counters}


@pytest.mark.parametrize(
    ("shapes", "expected", "shared"),
    [
        (CONTINUOUS, (5, (32, 16), 3, "gaussian"), True),
        (DISCRETE, (5, (32, 16), 3, "discrete"), False),
        (MULTI, (5, (32, 16), 2, "multi_discrete"), True),
        (RECURRENT, (5, (32, 16), 3, "discrete"), True),
    ],
)
def test_built_files(shapes: dict[str, Any], expected: tuple[Any, ...], shared: bool) -> None:
    report = inspect(saved(tree(of_shapes(shapes))))
    assert (report.producer, report.findings) == ("rl_games", ())
    assert dimensions(report) == expected
    assert facts(report)["shared_trunk"] is shared
    assert facts(report)["action_nvec"] == ((3, 2) if shapes is MULTI else None)
    assert facts(report)["recurrent_kind"] == ("lstm" if shapes is RECURRENT else None)
    assert "model.running_mean_std.running_mean" in report.normaliser_tensors
    assert report.progress == {"epoch": 3, "frame": 64, "last_mean_rewards": 1.5}


@pytest.mark.parametrize(
    ("model", "space", "expected"),
    [
        ("continuous_a2c_logstd", "continuous", CONTINUOUS),
        ("discrete_a2c", "discrete", {**BASE, **MLP, f"{NET}logits.weight": (3, 16)}),
        ("multi_discrete_a2c", "multi_discrete", MULTI),
    ],
)
def test_the_library_still_writes_these_names(model: str, space: str, expected: dict[str, Any]) -> None:
    builder = pytest.importorskip("rl_games.algos_torch.model_builder").ModelBuilder()
    about: dict[str, Any] = {}
    if space == "continuous":
        fixed = {"sigma_init": {"name": "const_initializer", "val": 0}, "fixed_sigma": True}
        about = {"mu_activation": "None", "sigma_activation": "None", "mu_init": {"name": "default"}, **fixed}
    mlp = {"units": [32, 16], "activation": "elu", "initializer": {"name": "default"}}
    network = {"name": "actor_critic", "separate": False, "space": {space: about}, "mlp": mlp}
    net = builder.load({"model": {"name": model}, "network": network}).build(
        {
            "actions_num": [3, 2] if "multi" in model else 3,
            "input_shape": (5,),
            "num_seqs": 1,
            "value_size": 1,
            "normalize_value": True,
            "normalize_input": True,
        }
    )
    state = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert expected.items() <= state.items()
    file = io.BytesIO()
    torch.save(tree(net.state_dict()), file)
    assert dimensions(inspect(file.getvalue()))[:2] == (5, (32, 16))
