"""A policy as a Stable-Baselines3 zip that `PPO.load` opens: the same function in that library's names.

SB3 since 1.8 has no shared trunks: a shared one is written twice, once for each head, which computes the same. The
heads' hidden layers become the last of `net_arch`. LayerNorm has no place in its MlpPolicy, and observations are
normalised outside of the zip, by VecNormalize: such policies are refused. The optimizer starts anew.
"""

import dataclasses
from collections.abc import Iterator

from app.errors import NotExportable
from app.export.pieces import Copy, Export, Piece
from app.export.sb3_data import SB3_VERSION, describe_algorithm
from app.export.source import Policy
from app.export.zip_archive import plain_zip, torch_zip
from app.network.disk.contents import adam_specs
from app.network.disk.pickle_size import TensorSpec
from app.network.shape import NetworkShape

MOST_OBS_DIM = 1_000_000
"""Widest observation whose space is written: the JSON of it is held in memory, 14 bytes a value."""

_SYSTEM = f"- Written by: Caliper\n- Stable-Baselines3: {SB3_VERSION}\n"


def plan_sb3(policy: Policy) -> Export:
    """The zip. Raises NotExportable where Stable-Baselines3's MlpPolicy cannot be this network."""
    _check_expressible(policy)
    separate = dataclasses.replace(policy.shape, shared_trunk=False)
    state = {theirs: policy.weights[ours] for theirs, ours in sb3_names(policy.shape)}
    weights: dict[str, tuple[TensorSpec, Copy]] = {name: (t.spec, t.values) for name, t in state.items()}
    optimizer = adam_specs(separate, policy.config.learning_rate)
    members: list[tuple[str, tuple[Piece, ...]]] = [
        ("data", (describe_algorithm(policy).encode(),)),
        ("pytorch_variables.pth", torch_zip({})),
        ("policy.pth", torch_zip(weights)),
        ("policy.optimizer.pth", torch_zip({}, {**optimizer, "state": {}})),
        ("_stable_baselines3_version", (SB3_VERSION.encode(),)),
        ("system_info.txt", (_SYSTEM.encode(),)),
    ]
    return Export("sb3", ".zip", plain_zip(members))


def sb3_names(shape: NetworkShape) -> Iterator[tuple[str, str]]:
    """Stable-Baselines3's name of each tensor, and ours; in its order."""
    depth = len(shape.hidden_dims)
    if shape.action_kind == "gaussian":
        yield "log_std", "log_std"
    for head, net in (("actor", "policy_net"), ("critic", "value_net")):
        trunk = "trunk" if shape.shared_trunk else f"{head}_trunk"
        layers = [f"{trunk}.{2 * index}" for index in range(depth)] + [f"{head}.0"]
        for index, layer in enumerate(layers):
            yield from _both(f"mlp_extractor.{net}.{2 * index}", layer)
    yield from _both("action_net", "actor.2")
    yield from _both("value_net", "critic.2")


def _check_expressible(policy: Policy) -> None:
    if policy.shape.obs_dim > MOST_OBS_DIM:
        raise NotExportable(
            f"an observation of {policy.shape.obs_dim:,} values: the zip's JSON names both bounds of each",
            hint=f"at most {MOST_OBS_DIM:,}; export it as onnx or safetensors",
            limit_name="obs_dim of a Stable-Baselines3 zip",
            limit=MOST_OBS_DIM,
            actual=policy.shape.obs_dim,
        )
    if policy.shape.layer_norm:
        raise NotExportable(
            "Stable-Baselines3's MlpPolicy has no LayerNorm",
            hint="export it as onnx or safetensors",
            pointer="layer_norm",
        )
    if policy.config.norm_obs:
        raise NotExportable(
            "the policy normalises its observations (norm_obs), for which a Stable-Baselines3 zip has no place",
            hint="export it as onnx, which carries the normaliser",
            pointer="norm_obs",
        )


def _both(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
    for part in ("weight", "bias"):
        yield f"{theirs}.{part}", f"{ours}.{part}"
