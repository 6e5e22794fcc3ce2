"""How far the mere mention of a name is trusted."""

import pytest

from app.checkpoint.names import standing
from app.checkpoint.values import Name


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("torch.nn.modules.linear", "Linear", "library"),
        ("torch.optim.adam", "Adam", "library"),
        ("stable_baselines3.common.policies", "ActorCriticPolicy", "library"),
        ("ray.rllib.core.rl_module", "RLModule", "library"),
        ("elegantrl.agents.net", "ActorPPO", "library"),
        ("numpy", "float32", "library"),
        ("numpy", "uint8", "library"),
        ("numpy", "load", "unknown"),
        ("ray.rllib.algorithms.algorithm_config", "AlgorithmConfig.DEFAULT_POLICY_MAPPING_FN", "library"),
        ("ray.rllib.algorithms.algorithm_config", "AlgorithmConfig.build", "unknown"),
        ("collections", "OrderedDict", "library"),
        ("builtins", "int", "library"),
        ("torch", "float32", "library"),
        ("pathlib", "PosixPath", "library"),
        ("notes.trainer", "TrainingConfig", "unknown"),
        ("__main__", "Args", "unknown"),
        ("torch.nn.modules.linear", "F", "library"),
        ("torch.nn.modules.linear", "init", "unknown"),
        ("elegantrl.agents.net", "torch.os.system", "dangerous"),
        ("stable_baselines3.common.policies", "Actor.__globals__", "dangerous"),
        ("os", "system", "dangerous"),
        ("posix", "system", "dangerous"),
        ("builtins", "eval", "dangerous"),
        ("__builtin__", "getattr", "dangerous"),
        ("commands", "getoutput", "dangerous"),
        ("subprocess", "Popen", "dangerous"),
        ("functools", "partial", "dangerous"),
        ("torch_evil", "Linear", "unknown"),
    ],
)
def test_standing(module: str, name: str, expected: str) -> None:
    assert standing(Name(module, name)) == expected
