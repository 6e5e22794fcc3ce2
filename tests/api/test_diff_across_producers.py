"""A real stable-baselines3 zip against a real Caliper checkpoint: by the reader, the service and the terminal."""

import dataclasses
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from running_service import Service, eventually

torch = pytest.importorskip("torch")
stable_baselines3 = pytest.importorskip("stable_baselines3")

import gymnasium as gym  # noqa: E402
import numpy as np  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from app.actions.compare_weights import answer_weights_diff  # noqa: E402
from app.checkpoint.diff import CheckpointDiff, compare_reports  # noqa: E402
from app.checkpoint.inspect import inspect_checkpoint  # noqa: E402
from app.checkpoint.weights_child import compare_weights  # noqa: E402
from app.cli.commands import app as caliper  # noqa: E402
from app.network.config import PPOConfig  # noqa: E402
from app.network.disk.contents import LearnedState, Provenance, checkpoint_contents  # noqa: E402
from app.network.shape import NetworkShape  # noqa: E402
from worker.ppo.network import NativeActorCritic  # noqa: E402
from worker.save import save_checkpoint  # noqa: E402

OBS, ACTIONS, HIDDEN = 5, 3, (32, 16)
TRUNKS = {"actor_trunk": "policy_net", "critic_trunk": "value_net"}


@dataclass(frozen=True)
class Pair:
    """The two files and the two networks that they hold."""

    caliper: Path
    sb3: Path
    networks: Mapping[str, Any]

    def compare(self, left: str, right: str) -> CheckpointDiff:
        reports = [inspect_checkpoint(getattr(self, side)) for side in (left, right)]
        return compare_reports(*reports)


class Market(gym.Env):
    """Spaces, and nothing to learn."""

    observation_space = gym.spaces.Box(-1, 1, (OBS,), np.float32)
    action_space = gym.spaces.Discrete(ACTIONS)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return self.observation_space.sample(), {}


def save_sb3(path: Path) -> Any:
    layers = {"pi": list(HIDDEN), "vf": list(HIDDEN)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = stable_baselines3.PPO(
            "MlpPolicy", Market(), policy_kwargs={"net_arch": layers}, n_steps=8, batch_size=8, device="cpu"
        )
        model.save(path)
    return model.policy


def save_caliper(path: Path, policy: Any) -> Any:
    """Caliper's network of the same trunks, whose weights are a tenth larger than SB3's."""
    shape = NetworkShape(OBS, HIDDEN, ACTIONS, shared_trunk=False)
    config = PPOConfig(HIDDEN, num_envs=4, num_steps=16, total_timesteps=1000, shared_trunk=False)
    network = NativeActorCritic(shape)
    with torch.no_grad():
        for ours, theirs in TRUNKS.items():
            other = getattr(policy.mlp_extractor, theirs)
            for mine, its in zip(getattr(network, ours).parameters(), other.parameters(), strict=True):
                mine.copy_(its * 1.1)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    learned = LearnedState(network.state_dict(), optimizer.state_dict(), {"global_step": torch.tensor(7)})
    about = Provenance(dataset={"id": "d", "sha256": "ff", "job_id": "job_1"})
    save_checkpoint(path, checkpoint_contents(shape, config, learned, about))
    return network


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("across")
    policy = save_sb3(folder / "model.zip")
    network = save_caliper(folder / "policy.pt", policy)
    return Pair(folder / "policy.pt", folder / "model.zip", {"caliper": network, "sb3": policy})


def torch_says(network: Any, weights: Any) -> str:
    with pytest.raises(RuntimeError) as raised:
        network.load_state_dict(weights.state_dict(), strict=True)
    return str(raised.value).partition("\n")[2]


@pytest.mark.parametrize(("left", "right"), [("caliper", "sb3"), ("sb3", "caliper")])
def test_the_keys_that_fail_are_told_in_torch_s_own_words(pair: Pair, left: str, right: str) -> None:
    found = pair.compare(left, right).loading
    assert found.message == torch_says(pair.networks[left], pair.networks[right])
    assert not found.loads
    assert not found.loads_renamed
    missing, unexpected = (set(pair.networks[side].state_dict()) for side in (left, right))
    assert set(found.missing) == missing - unexpected
    assert set(found.unexpected) == unexpected - missing


def test_layers_are_aligned_by_their_place_in_the_network(pair: Pair) -> None:
    rows = pair.compare("sb3", "caliper").layers
    shown = [(row.status, row.path, row.left and row.left.name, row.right and row.right.name) for row in rows]
    assert shown == [
        ("same", "policy", "mlp_extractor.policy_net.0", "actor_trunk.0"),
        ("same", "policy", "mlp_extractor.policy_net.2", "actor_trunk.2"),
        ("inserted", "policy", None, "actor.0"),
        ("changed", "policy", "action_net", "actor.2"),
        ("same", "value", "mlp_extractor.value_net.0", "critic_trunk.0"),
        ("same", "value", "mlp_extractor.value_net.2", "critic_trunk.2"),
        ("inserted", "value", None, "critic.0"),
        ("changed", "value", "value_net", "critic.2"),
    ]
    assert rows[2].parameters_delta == 64 * HIDDEN[-1] + 64
    assert rows[3].explanation == "input 16 → 64"


def test_inference_and_lineage_say_what_neither_file_tells(pair: Pair) -> None:
    found = pair.compare("sb3", "caliper")
    checks = {check.name: check for check in found.inference.checks}
    assert {name for name, check in checks.items() if check.same} == {
        "obs_dim",
        "action_kind",
        "action_dim",
        "recurrent",
    }
    assert checks["normaliser"].same is None
    assert "VecNormalize's statistics are not in the zip" in checks["normaliser"].explanation
    assert found.inference.interchangeable is None
    assert (found.lineage.relation, found.lineage.same) == ("unknown", None)


def test_aligned_layers_of_equal_shape_are_compared_value_by_value(pair: Pair) -> None:
    reports = (inspect_checkpoint(pair.sb3), inspect_checkpoint(pair.caliper))
    check_distances(compare_weights(pair.sb3, pair.caliper, reports).plain())


def check_distances(answer: Any) -> None:
    trunks = {row["name"]: row for row in answer["tensors"] if row["name"].startswith("mlp_extractor.")}
    expected = {
        f"mlp_extractor.{theirs}.{at}.{leaf}": f"{ours}.{at}.{leaf}"
        for ours, theirs in TRUNKS.items()
        for at in (0, 2)
        for leaf in ("weight", "bias")
    }
    assert {name: row["right_name"] for name, row in trunks.items()} == expected
    for name, row in trunks.items():
        if name.endswith("weight"):  # SB3's biases begin at zero
            assert row["relative_change"] == pytest.approx(0.1, rel=1e-6)
            assert row["cosine"] == pytest.approx(1.0)
    reasons = {entry["name"]: entry["reason"] for entry in answer["skipped"]}
    assert reasons["action_net.weight"] == "of another shape: 3 x 16 against 3 x 64"
    assert reasons["actor.0.weight"] == "only in the right file"


def test_the_service_compares_two_files_and_two_checkpoints_alike(service: Service, pair: Pair) -> None:
    parts = {"left": ("model.zip", pair.sb3.read_bytes()), "right": ("policy.pt", pair.caliper.read_bytes())}
    posted = service.post("/checkpoints/diff", files=parts)
    assert posted.status_code == 200, posted.text
    expected = json.loads(json.dumps(dataclasses.asdict(pair.compare("sb3", "caliper"))))
    assert posted.json() == expected
    ids = [service.upload_checkpoint(content, name=name)["id"] for name, content in parts.values()]
    got = service.get("/checkpoints/diff", params={"left": ids[0], "right": ids[1]}).json()
    for name in ("layers", "loading", "inference", "architecture", "optimizer"):
        assert got[name] == expected[name], name
    asked = service.post("/checkpoints/diff/weights", params={"left": ids[0], "right": ids[1]})
    assert answer_weights_diff(service.parts.database, service.parts.storage)
    check_distances(eventually(lambda: service.get(asked.headers["location"]).json())["result"])


def test_the_terminal_shows_it(pair: Pair) -> None:
    done = CliRunner().invoke(caliper, ["diff", str(pair.sb3), str(pair.caliper), "--weights"])
    assert done.exit_code == 0, done.output
    assert "✗ the weights do not load" in done.output
    assert "? inference" in done.output
    assert "? lineage" in done.output
    assert "mlp_extractor.policy_net.0.weight" in done.output
    plain = CliRunner().invoke(caliper, ["diff", str(pair.sb3), str(pair.caliper), "--weights", "--json"])
    check_distances(json.loads(plain.output)["weights"])
