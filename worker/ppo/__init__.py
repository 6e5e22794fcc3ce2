"""The native PPO trainer; knows nothing of jobs, SQL, queues or markets.

`for progress in NativePPOTrainer(env, get_auto_config(1_000_000)).train(): …`, with any BatchedEnv
(env.py names the protocol, gymnasium_adapter.py makes one of any Gymnasium environment).
"""

from worker.ppo.config import PPOConfig, get_a100_config, get_auto_config
from worker.ppo.env import BatchedEnv, EnvStep, ObservationParts
from worker.ppo.network import NativeActorCritic
from worker.ppo.progress import Progress
from worker.ppo.trainer import NativePPOTrainer

__all__ = [
    "BatchedEnv",
    "EnvStep",
    "NativeActorCritic",
    "NativePPOTrainer",
    "ObservationParts",
    "PPOConfig",
    "Progress",
    "get_a100_config",
    "get_auto_config",
]
