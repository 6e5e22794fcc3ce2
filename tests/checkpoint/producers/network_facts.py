"""What a library's own objects say of a network; runs in the child processes that make its checkpoints."""

import json
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

LIBRARIES = Path(sys.prefix) / "producers"
"""Where `make install` puts the libraries."""
Cases = dict[str, dict[str, Any]]
"""Each case's name, and what its checkpoint is made with."""


def widths(modules: Iterable[Any]) -> list[int]:
    """Outputs of all linear layers in the modules, scripted ones included, in order."""
    every = [layer for module in modules for layer in module.modules()]
    names = [getattr(layer, "original_name", type(layer).__name__) for layer in every]
    return [layer.weight.shape[0] for layer, name in zip(every, names, strict=True) if name == "Linear"]


def recurrence(module: Any) -> dict[str, Any]:
    """Kind and width of the first recurrent layer, or that there is none."""
    from torch import nn

    found = next((layer for layer in module.modules() if isinstance(layer, nn.RNNBase)), None)
    return {
        "recurrent": found is not None,
        "recurrent_kind": found and found.mode.lower(),
        "recurrent_dim": found and found.hidden_size,
    }


def action_of(space: Any) -> dict[str, Any]:
    """Dimension, kind and choices of an action space, by what it is itself."""
    kind = type(space).__name__
    if kind == "Discrete":
        return {"action_dim": int(space.n), "action_kind": "discrete", "action_nvec": None}
    if kind == "Box":
        return {"action_dim": math.prod(space.shape), "action_kind": "gaussian", "action_nvec": None}
    choices = [int(part.n) for part in space] if kind == "Tuple" else [int(n) for n in space.nvec]
    return {"action_dim": len(choices), "action_kind": "multi_discrete", "action_nvec": choices}


def spaces() -> dict[str, Any]:
    """The action spaces of the cases, by the name that they have there."""
    import gymnasium as gym
    import numpy as np

    return {
        "continuous": gym.spaces.Box(-1, 1, (2,), np.float32),
        "discrete": gym.spaces.Discrete(4),
        "multi_discrete": gym.spaces.MultiDiscrete([3, 2]),
        "tuple": gym.spaces.Tuple([gym.spaces.Discrete(3), gym.spaces.Discrete(2)]),
    }


def box(*shape: int) -> Any:
    """An observation space of this shape."""
    import gymnasium as gym
    import numpy as np

    return gym.spaces.Box(-1, 1, shape, np.float32)


def make_all(cases: Cases, make: Callable[..., tuple[Path, dict[str, Any]]]) -> None:
    """Make every case in a folder of its own, and write down what the library says of it."""
    home = Path(sys.argv[1])
    sys.path.append(str(LIBRARIES))  # only now, and last: it holds a package named `tests` too
    said = {}
    for name, options in cases.items():
        (home / name).mkdir()
        path, facts = make(home / name, **options)
        said[name] = {"file": path.relative_to(home).as_posix(), **facts}
    (home / "said.json").write_text(json.dumps(said))
