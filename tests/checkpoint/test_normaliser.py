"""Whether two policies scale their observations alike: by what the libraries' own files hold."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from app.checkpoint.inference_verdict import Check, judge_inference
from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.limits import ReadLimits
from app.checkpoint.report import CheckpointReport
from app.checkpoint.statistics import hash_values
from app.network.config import PPOConfig
from app.network.disk.contents import LearnedState, Provenance, checkpoint_contents, policy_specs
from app.network.shape import NetworkShape
from tests.checkpoint.recipes.test_rsl_rl import made as rsl_rl
from tests.checkpoint.recipes.test_skrl import OBS as SKRL_OBS
from tests.checkpoint.recipes.test_skrl import save_agent
from worker.ppo.normalisation import RunningMoments
from worker.save import save_checkpoint

SHAPE = NetworkShape(5, (8,), 3)
ROBUST = {"kind": "robust", "center": [0.5, 1.0], "scale": [1.0, 2.0]}


def read(file: bytes, **options: Any) -> CheckpointReport:
    return inspect_checkpoint(io.BytesIO(file), with_sha256=False, **{"with_statistics": True, **options})


def caliper(folder: Path, norm: float | None = None, fixed: Any = None, count: int = 4) -> CheckpointReport:
    """A checkpoint of worker.save; `norm` is what its running statistics have seen."""
    state: dict[str, Any] = {"global_step": torch.tensor(5)}
    if norm is not None:
        moments = RunningMoments((5,), torch.device("cpu"))
        moments.update(torch.linspace(-1, 1, 20).reshape(4, 5) * norm)
        moments.count.fill_(count)
        state |= moments.state_dict("obs")
    config = PPOConfig((8,), num_envs=4, num_steps=16, total_timesteps=1000, norm_obs=norm is not None)
    weights = {name: torch.ones(spec.shape) for name, spec in policy_specs(SHAPE).items()}
    optimizer = torch.optim.Adam([torch.nn.Parameter(value) for value in weights.values()], lr=1e-3)
    learned = LearnedState(weights, optimizer.state_dict(), state)
    contents = checkpoint_contents(SHAPE, config, learned, Provenance(normaliser=fixed))
    path = save_checkpoint(folder / "policy.pt", contents).path
    return inspect_checkpoint(path, with_sha256=False, with_statistics=True)


def check(left: CheckpointReport, right: CheckpointReport) -> Check:
    (found,) = (check for check in judge_inference(left, right).checks if check.name == "normaliser")
    return found


def test_caliper_s_running_statistics_are_equal_by_value(tmp_path: Path) -> None:
    first, longer, other = (
        caliper(tmp_path, 1.0),
        caliper(tmp_path, 1.0, count=9),
        caliper(tmp_path, 1.5),
    )
    assert first.normaliser_tensors == (
        "trainer_state.obs_mean",
        "trainer_state.obs_var",
        "trainer_state.obs_count",
    )
    assert len(first.normaliser_sha256) == 3
    same = check(first, longer)  # how many samples were seen changes nothing of what comes out
    assert (same.same, same.explanation) == (True, "the same running statistics")
    moved = check(first, other)
    assert (moved.same, moved.explanation) == (
        False,
        "running statistics of the same form were fitted to other values",
    )
    assert judge_inference(first, other).interchangeable is False


def test_one_that_only_one_file_has_is_a_difference(tmp_path: Path) -> None:
    bare, running, fixed = caliper(tmp_path), caliper(tmp_path, 1.0), caliper(tmp_path, fixed=ROBUST)
    assert check(bare, bare).same is True
    assert check(bare, running).explanation == "only the right file carries running statistics"
    assert check(fixed, bare).explanation == "only the left file carries fixed values"
    assert [check(*pair).same for pair in ((bare, running), (fixed, bare), (fixed, running))] == [False] * 3


def test_fixed_values_and_running_statistics_count_both(tmp_path: Path) -> None:
    both = caliper(tmp_path, 1.0, ROBUST)
    assert both.normaliser == {"kind": "robust", "center": [0.5, 1.0], "scale": [1.0, 2.0]}
    assert check(both, caliper(tmp_path, 1.0, ROBUST)).same is True
    assert check(both, caliper(tmp_path, 2.0, ROBUST)).same is False
    assert check(both, caliper(tmp_path, 1.0, {**ROBUST, "scale": [1.0, 3.0]})).same is False
    assert check(both, both).left == "fixed kind, center, scale and running mean, variance"


def test_statistics_that_are_too_large_to_read_leave_it_open(tmp_path: Path) -> None:
    caliper(tmp_path, 1.0)
    file = (tmp_path / "policy.pt").read_bytes()
    unread = read(file, limits=ReadLimits(max_statistics_bytes=40))
    assert unread.normaliser_sha256 == {}
    assert unread.complete
    found = check(unread, unread)
    assert (found.same, "were not read" in found.explanation) == (None, True)


def with_statistics(file: bytes, factor: float, *names: str) -> bytes:
    """The file with these tensors filled anew."""
    tree = torch.load(io.BytesIO(file), weights_only=False)
    for path in names:
        *parents, leaf = path.split("/")
        home = tree
        for parent in parents:
            home = home[parent]
        home[leaf] = torch.full_like(home[leaf], factor)
    out = io.BytesIO()
    torch.save(tree, out)
    return out.getvalue()


def test_rsl_rl_s_normaliser_by_value() -> None:
    file = rsl_rl(obs_normalization=True)
    mean = "actor_state_dict/obs_normalizer._mean"
    assert check(read(with_statistics(file, 2.0, mean)), read(with_statistics(file, 2.0, mean))).same is True
    assert check(read(with_statistics(file, 2.0, mean)), read(with_statistics(file, 3.0, mean))).same is False
    assert check(read(file), read(rsl_rl())).explanation == "only the left file carries running statistics"
    assert check(read(rsl_rl()), read(rsl_rl())).same is True


@pytest.mark.filterwarnings("ignore")
def test_skrl_s_preprocessor_by_value(tmp_path: Path) -> None:
    import gymnasium as gym
    from skrl.utils.model_instantiators.torch import deterministic_model, gaussian_model

    spaces = {"observation_space": SKRL_OBS, "state_space": SKRL_OBS, "device": "cpu"}
    network = [{"name": "net", "input": "OBSERVATIONS", "layers": [8], "activations": "elu"}]
    actions = gym.spaces.Box(-1, 1, (2,))
    policy = gaussian_model(**spaces, action_space=actions, network=network, output="ACTIONS")
    value = deterministic_model(**spaces, action_space=actions, network=network, output="ONE")
    file = save_agent(tmp_path / "agent.pt", policy, value, actions).read_bytes()
    mean, seen = (
        "observation_preprocessor/running_mean",
        "observation_preprocessor/current_count",
    )
    assert check(read(file), read(with_statistics(file, 9.0, seen))).same is True
    assert check(read(file), read(with_statistics(file, 9.0, mean))).same is False


def rl_games(mean: float, dtype: torch.dtype = torch.float64, **options: Any) -> bytes:
    """Built from the keys of rl_games 1.6.5."""
    statistics = {"running_mean": torch.full((5,), mean), "running_var": torch.ones(5)}
    model = {f"running_mean_std.{name}": value.to(dtype) for name, value in statistics.items()}
    model |= {"running_mean_std.count": torch.tensor(mean, dtype=dtype)}
    model |= {f"a2c_network.{name}.{leaf}": torch.ones(shape) for name, leaf, shape in (
        ("actor_mlp.0", "weight", (8, 5)), ("actor_mlp.0", "bias", (8,)), ("logits", "weight", (3, 8)),
        ("logits", "bias", (3,)), ("value", "weight", (1, 8)), ("value", "bias", (1,)),
    )}  # fmt: skip
    file = io.BytesIO()
    torch.save({"model": model, "epoch": 1, "frame": 2, "optimizer": {}}, file, **options)
    return file.getvalue()


@pytest.mark.parametrize("zipped", [True, False])
def test_rl_games_statistics_by_value_whatever_their_type(zipped: bool) -> None:
    options = {"_use_new_zipfile_serialization": zipped}
    wide, narrow = (read(rl_games(0.5, dtype, **options)) for dtype in (torch.float64, torch.bfloat16))
    assert check(wide, narrow).same is True
    assert check(wide, read(rl_games(0.25, **options))).same is False


def test_equal_statistics_of_other_code_leave_epsilon_and_clipping_open() -> None:
    own = read(rl_games(2.0))
    both = ("actor_state_dict/obs_normalizer._mean", "actor_state_dict/obs_normalizer._var")
    file = with_statistics(with_statistics(rsl_rl(obs_normalization=True), 2.0, both[0]), 1.0, both[1])
    tree = torch.load(io.BytesIO(file), weights_only=False)
    for name in both:
        key = name.partition("/")[2]
        tree["actor_state_dict"][key] = tree["actor_state_dict"][key].flatten()
    out = io.BytesIO()
    torch.save(tree, out)
    found = check(own, read(out.getvalue()))
    assert found.same is None
    assert "epsilon and clipping" in found.explanation


def test_files_that_have_no_place_for_one_do_not_tell(tmp_path: Path) -> None:
    bare = {"actor.0.weight": torch.ones(3, 5), "critic.0.weight": torch.ones(1, 5)}
    file = io.BytesIO()
    torch.save(bare, file)
    found = check(read(file.getvalue()), caliper(tmp_path))
    assert found.same is None
    assert found.explanation == "the left file does not tell: a file of its kind has no place for one"


@given(
    values=st.lists(st.floats(width=16, allow_nan=False), min_size=1, max_size=20),
    dtypes=st.tuples(*[st.sampled_from([torch.float64, torch.float32, torch.float16])] * 2),
    at=st.integers(0, 19),
)
@settings(max_examples=60)
def test_hashes_are_equal_where_the_values_are(
    values: list[float], dtypes: tuple[torch.dtype, torch.dtype], at: int
) -> None:
    hashes = []
    for dtype in dtypes:
        data = torch.tensor(values, dtype=torch.float64).to(dtype)
        hashes.append(hash_values(data.numpy().tobytes(), str(dtype).removeprefix("torch.")))
    assert hashes[0] == hashes[1]
    other = list(values)
    other[at % len(values)] = 1.0 if values[at % len(values)] != 1.0 else 2.0
    changed = torch.tensor(other, dtype=torch.float64).numpy().tobytes()
    assert hash_values(changed, "float64") != hashes[0]


def test_a_zero_s_sign_and_a_nan_s_bits_do_not_count() -> None:
    def of(*values: float) -> str:
        return hash_values(torch.tensor(values, dtype=torch.float64).numpy().tobytes(), "float64")

    nan = float("nan")
    assert of(-0.0, nan) == of(0.0, -nan)
    assert of(0.0, nan) != of(nan, 0.0)
