"""What a checkpoint file's name ends with."""

SUFFIXES = {"safetensors": ".safetensors", "stable-baselines3": ".zip", "pickle": ".pkl", "onnx": ".onnx"}
"""By container; .pt otherwise."""


def suffix_of(container: object) -> str:
    """The ending for a container, as the report's `format` names it."""
    return SUFFIXES.get(str(container), ".pt")
