"""GET /estimate: what a network is, what it weighs, what training it needs, where it fits."""

import re
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends, Query, Response
from pydantic import TypeAdapter

from app.actions.keep_calibration import read_calibration
from app.api.dependencies import PRINTABLE, ServiceParts
from app.api.examples import DIMS, answers, plain
from app.api.parameters import documented_like, fields_as
from app.api.remembered import RememberedOperation
from app.errors import InvalidConfig, InvalidShape, NotFound, Unavailable
from app.network.config import PPOConfig
from app.network.memory.device_overhead import DeviceType
from app.network.memory.update_plan import AdamKind
from app.network.question import MOST_DATASET_BYTES, Question
from app.network.shape import ActionKind
from app.network.sizing import Sizing, size_network
from app.network.timing.calibration import Calibration
from app.network.use_cases import TrainingMode
from app.registry.calibrations import find_calibration

router = APIRouter(tags=["sizes"], route_class=RememberedOperation)

SIZE_FIELDS = (
    *("num_envs", "num_steps", "num_minibatches", "update_epochs", "total_timesteps"),
    *("activation", "layer_norm", "shared_trunk", "norm_obs", "norm_reward", "norm_adv", "clip_vloss"),
    *("precision", "first_layer", "oom_retry"),
)
"""The settings of PPO on which sizes depend."""

MOST_DIGITS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class SizedNetwork(Sizing):
    """A network and its training: sizes, arithmetic, what fits where, and what would be chosen elsewhere."""

    __pydantic_config__: ClassVar[dict[str, Any]] = documented_like(Sizing)


_ANSWER = TypeAdapter(Sizing)

_EXAMPLE = size_network(Question(obs_dim=5300, hidden_dims=DIMS, gpu="t4"))
EXAMPLE = replace(
    _EXAMPLE,
    cards=_EXAMPLE.cards[:2],
    tier_defaults=_EXAMPLE.tier_defaults[-2:],
    constants=_EXAMPLE.constants[:2],
)
"""An answer, its long lists cut short."""


async def read_network(
    obs_dim: Annotated[int, Query(description="Length of an observation.", examples=[5300])],
    hidden: Annotated[
        list[str],
        Query(
            description="Widths of the trunk's layers, as `2048,1024,512,256` or as `hidden=2048&hidden=1024…`.",
            examples=[["2048,1024,512,256"]],
        ),
    ],
    action_dim: Annotated[int, Query(description="Number of actions, or of action components.")] = 3,
    action_kind: Annotated[ActionKind, Query(description="What an action is.")] = "discrete",
) -> dict[str, Any]:
    """The network that a query describes, without what PPO's settings say about it."""
    return {
        "obs_dim": obs_dim,
        "hidden_dims": parse_hidden(hidden),
        "action_dim": action_dim,
        "action_kind": action_kind,
    }


async def read_device(
    device: Annotated[
        DeviceType | None,
        Query(description="Where the tensors live; cuda where neither this nor gpu is given."),
    ] = None,
    gpu: Annotated[
        str | None,
        Query(
            max_length=200,
            description="A card by name, such as `t4`, `a100-80` or `NVIDIA L40S`: adds its own verdict as `device`.",
        ),
    ] = None,
    memory_bytes: Annotated[
        int | None,
        Query(description="The device's memory, in place of a card's name or to be exact about it."),
    ] = None,
    adam: Annotated[AdamKind, Query(description="Which of torch's Adam implementations steps.")] = "fused",
    training_mode: Annotated[
        TrainingMode, Query(description="The schedule of the tiers' automatic configurations.")
    ] = "standard",
) -> dict[str, Any]:
    """What the run is to be carried out on."""
    return {
        "device": device,
        "gpu": gpu,
        "memory_bytes": memory_bytes,
        "adam": adam,
        "training_mode": training_mode,
    }


async def read_data(
    world_size: Annotated[
        int,
        Query(
            description="Processes that train one policy together, a device each. Memory is that of one of them; "
            "files are those of a run in one process."
        ),
    ] = 1,
    dataset_bytes: Annotated[
        int,
        Query(
            ge=0, le=MOST_DATASET_BYTES, description="Bars and features kept on the device, beside `rows`."
        ),
    ] = 0,
    lookback: Annotated[
        int | None, Query(description="Rows of a window, where observations are windows over a series.")
    ] = None,
    features: Annotated[
        int | None, Query(description="Columns of that series; give all three or none.")
    ] = None,
    rows: Annotated[int | None, Query(description="Rows of that series.")] = None,
    episode_length: Annotated[
        int | None,
        Query(
            description="Steps after which an episode ends at the latest; it counts where observations are windows."
        ),
    ] = None,
) -> dict[str, Any]:
    """What observations are made from, and in how many processes."""
    windows = {"lookback": lookback, "features": features, "rows": rows, "episode_length": episode_length}
    return {**windows, "dataset_bytes": dataset_bytes, "world_size": world_size}


async def read_measured(
    parts: ServiceParts,
    calibration: Annotated[
        str | None,
        Query(
            max_length=200,
            pattern=PRINTABLE,
            description="A measured device's name, or the id of one of its calibrations (GET /calibrations): `time` is "
            "then predicted by its speed. Without it only bounds from data sheets are given.",
        ),
    ] = None,
) -> Calibration | None:
    """The measured device by whose speed time is predicted."""

    def find(name: str) -> Calibration:
        with parts.database.read() as session:
            return read_calibration(find_calibration(session, name))

    return None if calibration is None else await parts.in_thread(find, calibration)


@router.get(
    "/estimate",
    summary="Size a network and its training",
    response_model=SizedNetwork,
    responses=answers(plain(EXAMPLE, Sizing), InvalidShape, InvalidConfig, NotFound, Unavailable),
)
async def estimate_network(
    network: Annotated[dict[str, Any], Depends(read_network)],
    settings: Annotated[dict[str, Any], Depends(fields_as(Query, PPOConfig, SIZE_FIELDS))],
    device: Annotated[dict[str, Any], Depends(read_device)],
    data: Annotated[dict[str, Any], Depends(read_data)],
    measured: Annotated[Calibration | None, Depends(read_measured)],
    parts: ServiceParts,
) -> Response:
    """Exact parameters and file sizes, memory by component and instant, arithmetic, and what fits where.

    `cards` has a verdict for each known card and how far the run could grow there, `device` the same for the one
    asked about, `tier_defaults` what each tier would have chosen and why, `constants` the source of every number.
    `time` is how long training takes: by `calibration` on a measured device, else as bounds.
    The cpu tier has what this service grants a run there, as it does where a job is taken.
    Nothing is stored and nothing runs: the answer is computed from the query, and from a calibration where one is named.
    """
    room = parts.settings.cpu_memory_bytes
    sizing = size_network(
        Question(**network, settings=settings, **device, **data, calibration=measured, cpu_memory_bytes=room)
    )
    return Response(_ANSWER.dump_json(sizing), media_type="application/json")


def parse_hidden(given: list[str]) -> tuple[int, ...]:
    """The widths of `512,256` or of `512`, `256`; raises InvalidShape for anything but whole numbers."""
    return tuple(_parse_width(part.strip()) for text in given for part in text.split(","))


def _parse_width(text: str) -> int:
    if not re.fullmatch(rf"-?[0-9]{{1,{MOST_DIGITS}}}", text):
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        hint = f"whole numbers with commas between them, e.g. hidden={','.join(map(str, DIMS))}"
        raise InvalidShape(f"hidden holds {shown!r}, which is no width", hint=hint, pointer="hidden")
    return int(text)
