"""Real checkpoints of policies with random weights, and their exports."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.checkpoint.inspect import inspect_checkpoint
from app.checkpoint.report import CheckpointReport
from app.export.pieces import reads_of
from app.export.plan import plan_export
from app.network.config import PPOConfig
from app.network.disk.canonical import canonical_tree
from app.network.disk.contents import LearnedState, Provenance, checkpoint_contents, trainer_state_specs
from app.network.shape import NetworkShape

PROVENANCE = Provenance(
    feature_schema={
        "names": ["ret_1", "Momentum größer"],
        "account": ["position"],
        "lookback": 4,
        "hash": "ab" * 32,
    },
    normaliser={"kind": "robust", "center": [0.25, -1e-300], "scale": [1.0, 3.14159]},
    dataset={
        "sha256": "cd" * 32,
        "job_id": "job_1",
        "environment": {"actions": {"kind": "gaussian", "low": -0.5, "high": 1.0}},
    },
)
"""What a job's checkpoint says of its origin, in short."""


@dataclass(frozen=True)
class Made:
    """A checkpoint on disk, and what it was made of."""

    path: Path
    shape: NetworkShape
    config: PPOConfig
    network: Any
    trainer_state: dict[str, Any]
    report: CheckpointReport

    def export(self, kind: str) -> Path:
        """Write an export beside the checkpoint."""
        with self.path.open("rb") as file:
            export = plan_export(self.report, file, kind)
            target = self.path.with_name(f"{self.path.stem}.{kind}{export.suffix}")
            with target.open("wb") as out:
                for block in export.blocks(reads_of(file.fileno())):
                    out.write(block)
        assert target.stat().st_size == export.size
        return target


def make_policy(
    folder: Path,
    shape: NetworkShape,
    about: Provenance | None = PROVENANCE,
    *,
    name: str = "run.pt",
    **settings: Any,
) -> Made:
    """Write a whole checkpoint with random weights, biases and moments, by the real writer."""
    torch = pytest.importorskip("torch")
    from worker.ppo.network import NativeActorCritic
    from worker.save import save_checkpoint

    config = PPOConfig(
        hidden_dims=shape.hidden_dims,
        layer_norm=shape.layer_norm,
        shared_trunk=shape.shared_trunk,
        **settings,
    )
    generator = torch.Generator().manual_seed(7)
    network = NativeActorCritic(shape, config.activation, generator=generator)
    for parameter in network.parameters():
        parameter.data.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, eps=1e-5)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()

    def moment(spec: Any, path: str) -> Any:
        values = torch.rand(spec.shape, generator=generator).to(getattr(torch, spec.dtype))
        return values * 4 if path == "/obs_var" else values

    state = canonical_tree(trainer_state_specs(shape, config), moment)
    learned = LearnedState(network.state_dict(), optimizer.state_dict(), state)
    path = folder / name
    save_checkpoint(path, checkpoint_contents(shape, config, learned, about))
    return Made(path, shape, config, network, state, inspect_checkpoint(path))


def policy_outputs(made: Made, observations: Any) -> tuple[Any, Any]:
    """Logits or means [B, A] and values [B] of the real network, normaliser included, as numpy arrays."""
    import torch

    from worker.ppo.normalisation import ObservationNormalizer

    seen = torch.from_numpy(observations)
    if made.config.norm_obs:
        normalizer = ObservationNormalizer(made.shape.obs_dim, torch.device("cpu"))
        normalizer.load_state_dict(made.trainer_state)
        seen = normalizer(seen)
    with torch.no_grad():
        policy, value = made.network(seen)
    return policy.numpy(), value.numpy()
