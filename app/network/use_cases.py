"""What a network is meant for, as the project notes list it, with the trunk that each purpose trains."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from app.errors import InvalidConfig
from app.network.shape import DOCUMENTED

TrainingMode = Literal["standard", "quick", "extended"]

UseCaseName = Literal["quick", "production", "complex", "limited_data", "extended"]


@dataclass(frozen=True, slots=True)
class UseCase:
    """One purpose with its defaults."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED

    name: UseCaseName
    """Its short name."""
    hidden_dims: tuple[int, ...]
    """The trunk that the notes give it."""
    training_mode: TrainingMode
    """The schedule that goes with it."""
    meaning: str
    """When to choose it."""


USE_CASES: dict[str, UseCase] = {
    case.name: case
    for case in (
        UseCase("quick", (512, 256, 128), "quick", "a first experiment"),
        UseCase("production", (1024, 512, 256), "standard", "a policy that is to trade"),
        UseCase("complex", (2048, 1024, 512, 256), "standard", "many interacting features and much data"),
        UseCase("limited_data", (512, 256, 128), "standard", "less than a year of data"),
        UseCase("extended", (2048, 1024, 512, 256), "extended", "500 million steps and more"),
    )
}
"""All use cases by name."""


def find_use_case(name: str) -> UseCase:
    """The use case of this name; raises InvalidConfig naming the known ones."""
    if name not in USE_CASES:
        raise InvalidConfig(
            f"unknown use case {name!r}", hint=f"one of {', '.join(USE_CASES)}", pointer="use_case"
        )
    return USE_CASES[name]
