"""What part of a network a tensor's name puts it in, where no producer's layout is known."""

import re
from collections.abc import Iterable
from typing import Literal

NamedPart = Literal["trunk", "actor", "critic", "deviation", "unused", "attention", "unknown"]
"""`trunk` for names that say no more than that it is a layer; `unused` for copies and networks that act in
nothing; `unknown` for words that may mean any place, such as a shortcut's."""

ACTOR = frozenset(
    {"actor", "policy", "action", "actions", "pi", "mu", "mean", "loc", "logits", "advantage", "adv"}
)
CRITIC = frozenset({"critic", "critics", "value", "values", "vf", "qf", "q", "v"})
DEVIATION = frozenset({"std", "logstd", "sigma", "logsigma", "stddev", "logvar", "var", "scale"})
MEAN = frozenset({"mu", "mean", "loc"})
LAST = frozenset({"out", "output", "head", "heads", "final", "last", "logits", *MEAN})
_TRUNK = frozenset(
    {
        "trunk", "shared", "common", "base", "body", "backbone", "encoder", "features", "feature", "extractor",
        "torso", "net", "network", "networks", "mlp", "fc", "linear", "linears", "lin", "layer", "layers", "hidden",
        "dense", "l", "model", "module", "main", "stem", "input", "in", "block", "blocks", "resblock", "resblocks",
        "cnn", "conv", "lstm", "gru", "rnn", "log",
    }
)  # fmt: skip
_UNUSED = frozenset({"target", "targ", "old", "ema", "rnd", "icm", "discriminator", "curiosity"})
_ATTENTION = frozenset({"attn", "attention", "transformer", "query", "key", "qkv", "mha"})
_PROJECTED = frozenset({"q", "k", "v", "in", "out"})
_BESIDE_DEVIATION = ACTOR | {"log", "param", "parameter", "dist", "distribution", "net", "head"}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


def words_of(name: str) -> frozenset[str]:
    """The words of a dotted name, numbers left out; a part such as `actor_critic` that names both is none."""
    found: set[str] = set()
    for part in name.split("."):
        words = {word.lower() for word in _WORD.findall(part)}
        if words & {"actor", "policy"} and words & {"critic", "value"}:
            words -= ACTOR | CRITIC
        found |= words
    return frozenset(found)


def part_of(name: str) -> NamedPart:
    """The part that a layer belongs to; a critic's word counts wherever it stands, since critics take actions too."""
    words = words_of(name)
    if words & _ATTENTION or ("proj" in words and words & _PROJECTED):
        return "attention"
    if words & _UNUSED:
        return "unused"
    if words & CRITIC:
        return "critic"
    if words & DEVIATION:
        return "deviation"
    if words - ACTOR - LAST - _TRUNK:
        return "unknown"
    return "actor" if words & ACTOR else "trunk"


def is_deviation(name: str) -> bool:
    """Whether a parameter is named as an action's deviation, and not as an observation's."""
    words = words_of(name)
    return bool(words & DEVIATION) and words - DEVIATION <= _BESIDE_DEVIATION


def common_prefix(names: Iterable[str]) -> str:
    """What all dotted names begin with, whole parts only, the last part never."""
    split = [name.split(".")[:-1] for name in names]
    shortest = min((len(parts) for parts in split), default=0)
    same = next(
        (at for at in range(shortest) if len({parts[at] for parts in split}) > 1 or split[0][at].isdigit()),
        shortest,
    )
    return "".join(f"{part}." for part in split[0][:same]) if split else ""
