"""What is asked about sizes: networks, tiers, recommendations, calibrations."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.client.answers import CalibrationDetail, CalibrationView, Page, Recommendation, SizedNetwork, Tier
from app.client.calls.call import Call, get, path_of


def estimate(obs_dim: int, hidden_dims: Sequence[int], options: Mapping[str, Any]) -> Call[SizedNetwork]:
    """Size a network."""
    hidden = ",".join(str(width) for width in hidden_dims)
    return get("/estimate", obs_dim=obs_dim, hidden=hidden, **options)


def tiers() -> Call[list[Tier]]:
    """The GPU tiers."""
    return get("/tiers")


def keep_calibration(measured: Mapping[str, Any]) -> Call[CalibrationView]:
    """Register what a device was measured to do."""
    return Call(method="POST", path="/calibrations", body=dict(measured))


def calibration(id_or_device: str) -> Call[CalibrationDetail]:
    """One calibration, or the latest of a device."""
    return get(path_of("calibrations", id_or_device))


def calibrations(filters: Mapping[str, Any], cursor: str | None = None) -> Call[Page[CalibrationView]]:
    """A page of calibrations."""
    return get("/calibrations", **filters, cursor=cursor)


def recommendation(options: Mapping[str, Any]) -> Call[Recommendation]:
    """Networks for a use case or a machine."""
    return get("/recommendation", **options)
