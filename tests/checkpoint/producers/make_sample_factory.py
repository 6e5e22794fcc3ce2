"""Checkpoints of Sample Factory: its Learner saves itself, never trained."""

import math
from pathlib import Path
from typing import Any

from tests.checkpoint.producers.network_facts import (
    Cases,
    action_of,
    box,
    make_all,
    recurrence,
    spaces,
    widths,
)

FLAT = ["--use_rnn=False"]
SEPARATE = ["--actor_critic_share_weights=False"]
FREE_STD = ["--adaptive_stddev=False"]
CASES: Cases = {
    "continuous_gru": {"action": "continuous", "arguments": []},
    "continuous_separate": {"action": "continuous", "arguments": [*FREE_STD, *FLAT, *SEPARATE]},
    "continuous_free_std": {"action": "continuous", "arguments": [*FREE_STD, *FLAT]},
    "continuous_free_std_separate_gru": {"action": "continuous", "arguments": [*FREE_STD, *SEPARATE]},
    "continuous_decoder": {"action": "continuous", "arguments": [*FREE_STD, "--decoder_mlp_layers", "12"]},
    "discrete": {"action": "discrete", "arguments": FLAT},
    "discrete_separate_lstm": {
        "action": "discrete",
        "arguments": ["--rnn_type=lstm", "--rnn_num_layers=2", *SEPARATE],
    },
    "discrete_without_statistics": {"action": "discrete", "arguments": ["--normalize_input=False"]},
    "multi_discrete": {"action": "tuple", "arguments": FLAT},
    "two_parts": {"action": "continuous", "arguments": [*FREE_STD, *FLAT], "more": (3,)},
    "two_parts_without_statistics": {
        "action": "continuous",
        "arguments": [*FREE_STD, "--normalize_input=False"],
        "more": (3,),
    },
    "image": {"action": "continuous", "arguments": [*FREE_STD, *FLAT], "observation": (3, 36, 36)},
}


def make(folder: Path, action: str, arguments: list[str], **options: Any) -> tuple[Path, dict[str, Any]]:
    """Save a learner that was never trained."""
    import gymnasium as gym
    import torch
    from sample_factory.algo.learning.learner import Learner
    from sample_factory.algo.utils.env_info import EnvInfo
    from sample_factory.algo.utils.model_sharing import ParameterServer
    from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args

    given = [
        "--env=none",
        f"--train_dir={folder}",
        "--device=cpu",
        "--rnn_size=24",
        "--encoder_conv_mlp_layers",
        "20",
    ]
    given += ["--encoder_mlp_layers", "32", "16", *arguments]
    config = parse_full_cfg(parse_sf_args(given)[0], given)
    parts = {"obs": box(*options.pop("observation", (5,)))}
    parts |= {"more": box(*options["more"])} if "more" in options else {}
    info = EnvInfo(gym.spaces.Dict(parts), spaces()[action], 1, False, False, None, None, 1)
    versions = torch.zeros(1, dtype=torch.int32)
    learner = Learner(config, info, versions, 0, ParameterServer(0, versions, serial_mode=False))
    learner.init()
    learner.save()
    return next(folder.rglob("checkpoint_*.pth")), facts(learner, parts)


def facts(learner: Any, parts: dict[str, Any]) -> dict[str, Any]:
    """What the learner's network says of itself."""
    net = learner.actor_critic
    shared = learner.cfg.actor_critic_share_weights
    own = [net.encoder, net.decoder] if shared else [net.actor_encoder, net.actor_decoder]
    return {
        "obs_dim": sum(math.prod(part.shape) for part in parts.values()),
        "hidden_dims": widths(own),
        "critic_hidden_dims": [] if shared else widths([net.critic_encoder, net.critic_decoder]),
        "shared_trunk": shared,
        **recurrence(net),
        **action_of(net.action_space),
    }


if __name__ == "__main__":
    make_all(CASES, make)
