"""A job's resolved configuration as rows of setting, value and reason, in groups that belong together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

USUAL = ("the default", "the service's setting", "fresh", "added by", "60/20/20", "all of")
"""How the reasons of what nobody chose begin."""

MOST_NAMES = 8
"""Features that are named; of more, the first and the last are."""

NETWORK = ("hidden_dims", "activation", "layer_norm", "shared_trunk", "first_layer", "precision")
"""Settings of PPO that say what the network is."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting."""

    name: str
    """Its name in the API."""
    value: Any
    """What it is."""
    reason: str
    """Why it is so."""

    @property
    def is_chosen(self) -> bool:
        """Whether a user or a rule chose it, rather than a default."""
        return not self.reason.startswith(USUAL)


@dataclass(frozen=True, slots=True)
class Group:
    """Settings of one kind."""

    title: str
    """What they are about."""
    settings: tuple[Setting, ...]
    """The settings, those of the API's own order."""


def explain_config(job: Json) -> tuple[Group, ...]:
    """The groups of a job's configuration, or of a preview's; each setting has its reason where there is one."""
    config, reasons = job["config"], job["reasons"]
    ppo = config["ppo"]
    learning = [name for name in ppo if name not in NETWORK]
    return (
        Group("Run", tuple(_run(job))),
        Group("Network", tuple(_setting(name, ppo[name], reasons) for name in NETWORK if name in ppo)),
        Group("Learning", tuple(_setting(name, ppo[name], reasons) for name in learning)),
        Group("Observation", tuple(_observation(config, reasons))),
        Group("Environment", tuple(_environment(config["environment"], reasons))),
        Group("Data", tuple(_data(config, reasons))),
    )


def _run(job: Json) -> Iterator[Setting]:
    reasons = job["reasons"]
    yield Setting("tier", job["tier"], reasons.get("tier", ""))
    yield Setting("max_attempts", job["max_attempts"], reasons.get("max_attempts", ""))
    spec = job.get("spec") or {}
    for name, usual in (("priority", 0), ("max_hours", "no limit")):
        value = spec.get(name)
        yield Setting(name, usual if value is None else value, reasons.get(name, ""))
    yield Setting("weights", spec.get("initial_checkpoint") or "fresh", reasons.get("weights", ""))


def _observation(config: Json, reasons: Json) -> Iterator[Setting]:
    schema = config["schema"]
    yield Setting("lookback", schema["lookback"], reasons.get("lookback", ""))
    yield Setting("features", _shorten(schema["names"]), reasons.get("features", ""))
    yield Setting("account", ", ".join(schema["account"]), "added by the environment")
    for name, why in (("own", "columns of your own"), ("masked", "held at 0: no volume")):
        if schema.get(name):
            yield Setting(name, ", ".join(schema[name]), reasons.get(name, why))
    yield Setting("scale_features", config["scale_features"], reasons.get("scale_features", ""))


def _environment(environment: Json, reasons: Json) -> Iterator[Setting]:
    for name, value in environment.items():
        reason = reasons.get(f"environment/{name}", "")
        if isinstance(value, Mapping):
            for part, inner in value.items():
                yield Setting(f"{name}.{part}", inner, reason)
        else:
            yield Setting(name, value, reason)


def _data(config: Json, reasons: Json) -> Iterator[Setting]:
    for dataset in config["datasets"]:
        spans = ", ".join(
            f"{name} {span['start']:,} to {span['stop']:,}" for name, span in dataset["fold"].items()
        )
        yield Setting(dataset["name"], f"{dataset['rows']:,} bars: rows {spans}", reasons.get("split", ""))


def _shorten(names: Sequence[str]) -> str:
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{len(names)}: {', '.join(names[:3])} … {names[-1]}"


def _setting(name: str, value: Any, reasons: Json) -> Setting:
    return Setting(name, value, reasons.get(name, ""))
