"""What stands in a Caliper checkpoint: the one description by which it is both predicted and written.

    format                 'caliper-checkpoint/1'
    config                 every PPOConfig field, and obs_dim, action_dim, action_kind
    policy_state_dict      tensor name -> tensor, in the order of NetworkShape.tensors
    optimizer_state_dict   torch.optim.Adam's own: state by parameter number, param_groups
    trainer_state          counters, random states, running statistics, the environment's state
    feature_schema         the ordered features that the policy was trained on, or None
    normaliser             the frozen feature normaliser, or None
    dataset                the bars that it was trained on (id, hash, range), or None
    versions               what wrote it

The API fills the tree with TensorSpecs and measures it (`predicted_contents`), worker.save fills it with
tensors and writes it. Counters are tensors, so that the size of the file does not depend on their values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.errors import InvalidConfig
from app.network.config import PPOConfig
from app.network.disk.pickle_size import TensorSpec
from app.network.shape import NetworkShape

FORMAT = "caliper-checkpoint/1"

WRITER_VERSIONS = {"caliper": "0.1.0", "torch": "2.13.0"}
"""Versions that a checkpoint written by this release names; their length is part of its size."""

CPU_RNG_BYTES = 5056
"""Length of torch.get_rng_state(): the Mersenne twister's state (measured, torch 2.13)."""

CUDA_RNG_BYTES = 16
"""Length of torch.cuda.get_rng_state(): Philox seed and offset, 8 bytes each (torch's CUDAGeneratorImpl.cpp; not read on a card)."""

ADAM_EPS = 1e-5
"""Adam's epsilon, as the 13 core PPO details have it."""


@dataclass(frozen=True, slots=True)
class LearnedState:
    """What training changes; tensors when written, TensorSpecs when predicted."""

    policy_state_dict: Mapping[str, Any]
    """Tensor name -> tensor."""
    optimizer_state_dict: Mapping[str, Any]
    """What `torch.optim.Adam.state_dict()` gives."""
    trainer_state: Mapping[str, Any]
    """Counters, random states and running statistics; see `trainer_state_specs`."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a policy was made from; all plain values (the normaliser may hold tensors)."""

    feature_schema: Any = None
    """Ordered features with their version and hash."""
    normaliser: Any = None
    """Frozen feature normaliser."""
    dataset: Any = None
    """Id, content hash and range of the bars."""
    versions: Mapping[str, str] = field(default_factory=lambda: dict(WRITER_VERSIONS))
    """Release that writes the file."""


def checkpoint_contents(
    shape: NetworkShape, config: PPOConfig, learned: LearnedState, provenance: Provenance | None = None
) -> dict[str, Any]:
    """Build the top-level tree of a checkpoint.

    Raises InvalidConfig if the policy's tensor names or `config` contradict `shape`.
    """
    policy = _ordered_policy(shape, learned.policy_state_dict)
    about = provenance or Provenance()
    return {
        "format": FORMAT,
        "config": _described_config(shape, config),
        "policy_state_dict": policy,
        "optimizer_state_dict": _plain_optimizer(learned.optimizer_state_dict),
        "trainer_state": dict(learned.trainer_state),
        "feature_schema": about.feature_schema,
        "normaliser": about.normaliser,
        "dataset": about.dataset,
        "versions": dict(about.versions),
    }


def predicted_contents(
    shape: NetworkShape,
    config: PPOConfig,
    *,
    device_type: str = "cpu",
    env_state: Any = None,
    provenance: Provenance | None = None,
) -> dict[str, Any]:
    """Build the tree of a checkpoint saved after the first update, with TensorSpecs for tensors.

    `env_state` is what the environment's `state_dict()` will hold, tensors given as TensorSpec; without it
    an empty dict stands in its place.
    """
    learned = LearnedState(
        policy_state_dict=policy_specs(shape),
        optimizer_state_dict=adam_specs(shape, config.learning_rate),
        trainer_state=trainer_state_specs(shape, config, device_type=device_type, env_state=env_state),
    )
    return checkpoint_contents(shape, config, learned, provenance)


def policy_specs(shape: NetworkShape) -> dict[str, TensorSpec]:
    """The policy's state dict as specs."""
    return {name: TensorSpec(size) for name, size in shape.tensors}


def adam_specs(shape: NetworkShape, learning_rate: float) -> dict[str, Any]:
    """The state dict of torch 2.13's Adam over all the network's tensors, after its first step."""
    state = {
        index: {"step": TensorSpec(()), "exp_avg": TensorSpec(size), "exp_avg_sq": TensorSpec(size)}
        for index, (_, size) in enumerate(shape.tensors)
    }
    return {"state": state, "param_groups": [_adam_group(float(learning_rate), len(state))]}


def trainer_state_specs(
    shape: NetworkShape, config: PPOConfig, *, device_type: str = "cpu", env_state: Any = None
) -> dict[str, Any]:
    """The trainer's state as specs: the contract that NativePPOTrainer.state_dict() keeps."""
    envs = (config.num_envs,)
    state: dict[str, Any] = {
        "global_step": TensorSpec((), "int64"),
        "update": TensorSpec((), "int64"),
        "cpu_rng_state": TensorSpec((CPU_RNG_BYTES,), "uint8"),
    }
    if device_type == "cuda":
        state["device_rng_state"] = TensorSpec((CUDA_RNG_BYTES,), "uint8")
    state["episode_return_N"] = TensorSpec(envs, "float64")
    state["episode_length_N"] = TensorSpec(envs, "int64")
    if config.norm_obs:
        state |= _statistics("obs", (shape.obs_dim,))
    if config.norm_reward:
        state |= {"return_N": TensorSpec(envs, "float64"), **_statistics("return", ())}
    return {**state, "env": {} if env_state is None else env_state}


def _plain_optimizer(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The learning rate as a float, even where a whole number or a tensor was set."""
    groups = [{**group, "lr": float(group["lr"])} for group in state_dict.get("param_groups", ())]
    return {**state_dict, "param_groups": groups}


def _statistics(name: str, size: tuple[int, ...]) -> dict[str, TensorSpec]:
    moments = {f"{name}_mean": TensorSpec(size, "float64"), f"{name}_var": TensorSpec(size, "float64")}
    return {**moments, f"{name}_count": TensorSpec((), "float64")}


def _adam_group(learning_rate: float, tensors: int) -> dict[str, Any]:
    """Every key of torch 2.13's Adam in its order; flags take one byte whatever they say."""
    return {
        "lr": learning_rate,
        "betas": (0.9, 0.999),
        "eps": ADAM_EPS,
        "weight_decay": 0,
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "fused": None,
        "decoupled_weight_decay": False,
        "params": list(range(tensors)),
    }


def check_agreement(shape: NetworkShape, config: PPOConfig) -> None:
    """Raise InvalidConfig unless `config` describes the network that `shape` is."""
    for name in ("hidden_dims", "layer_norm", "shared_trunk"):
        told, built = getattr(config, name), getattr(shape, name)
        if told != built:
            raise InvalidConfig(
                f"config says {name}={told!r}, the network has {built!r}",
                hint="give the config that the network was built from",
                pointer=name,
            )


def _described_config(shape: NetworkShape, config: PPOConfig) -> dict[str, Any]:
    check_agreement(shape, config)
    dimensions = {"obs_dim": shape.obs_dim, "action_dim": shape.action_dim, "action_kind": shape.action_kind}
    return {**config.plain(), **dimensions}


def _ordered_policy(shape: NetworkShape, state_dict: Mapping[str, Any]) -> dict[str, Any]:
    names = [name for name, _ in shape.tensors]
    if set(names) != set(state_dict):
        odd = ", ".join(sorted(set(names) ^ set(state_dict)))
        raise InvalidConfig(
            f"the policy's tensors are not those of its shape: {odd}",
            hint=f"expected {', '.join(names)}",
            pointer="policy_state_dict",
        )
    return {name: state_dict[name] for name in names}
