"""/ui/estimate: what a network is, weighs and needs, as you type; a second one beside it; the address holds it all."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from app.client import ServiceError, calls
from app.client.answers import SizedNetwork
from app.client.calls import Call
from app.ui.parameters import Parameter, read_parameters
from app.ui.rendering import answer_page, wants_fragment
from app.ui.route import PageRoute
from app.ui.service import PageClient, Service

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PATH = "/estimate"
FIRST = ("obs_dim", "hidden", "action_dim", "action_kind")
"""Parameters that stand above all others: what the network is."""

CARD, MEASURED = "gpu", "calibration"
"""The parameters that name a card, and a device by whose measured speed time is predicted."""

SECOND = "b_"
"""What the second network's own parameters begin with; what it does not have it shares with the first."""

STARTING = {"obs_dim": "5300", "hidden": "2048,1024,512,256"}
"""What the form holds when it is opened: 100 bars of 53 features into the notes' largest network."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the API said of one of the networks."""

    name: str
    """`A` or `B`."""
    answer: SizedNetwork | None
    """The estimate."""
    error: ServiceError | None
    """Why there is none."""


@router.get("/ui/estimate")
async def show_estimate(request: Request, service: Service) -> Response:
    """The form and what follows from it; of HTMX's requests only what follows."""
    known = await read_parameters(request, service, PATH)
    values = _values(request.query_params, known)
    outcomes = await asyncio.gather(*(_ask(service, *each) for each in _queries(values, known)))
    link = _link(values, known)
    refused = next((each.error.status for each in outcomes if each.error), 200)
    run = [each for name, each in known.items() if name not in {*FIRST, CARD, MEASURED}]
    answer = answer_page(
        request,
        "estimate.html",
        fragment="results",
        status=200 if wants_fragment(request) else refused,
        first=[known[name] for name in FIRST],
        measured=(await service.ask(calls.calibrations({})))["items"],
        run=run,
        run_is_set=any(values[each.name] != each.default for each in run),
        values=values,
        outcomes=outcomes,
        scale=_scale(outcomes),
        link=link,
    )
    answer.headers["HX-Replace-Url"] = link
    return answer


def _values(query: Mapping[str, str], known: Mapping[str, Parameter]) -> dict[str, str]:
    """What the form holds: the query's values, else the documented ones."""
    names = [*known, *(SECOND + name for name in FIRST)]
    given = query if any(name in query for name in FIRST) else {**STARTING, **query}
    return {name: given.get(name, "").strip() or _default(name, known) for name in names}


def _default(name: str, known: Mapping[str, Parameter]) -> str:
    return known[name].default if name in known else ""


def _queries(values: Mapping[str, str], known: Mapping[str, Parameter]) -> list[tuple[str, dict[str, str]]]:
    """The queries to ask: of the first network, and of the second where it has widths of its own."""
    first = {name: values[name] for name in known if values[name]}
    own = {name: values[SECOND + name] for name in FIRST if values[SECOND + name]}
    return [("A", first), ("B", {**first, **own})] if own else [("A", first)]


async def _ask(service: PageClient, name: str, query: dict[str, str]) -> Outcome:
    call: Call[SizedNetwork] = Call(method="GET", path=PATH, params=query)
    try:
        sized = await service.ask(call)
    except ServiceError as error:
        return Outcome(name, None, error)
    return Outcome(name, sized, None)


def _link(values: Mapping[str, str], known: Mapping[str, Parameter]) -> str:
    """The address that shows the same again, without what holds anyway."""
    told = {name: value for name, value in values.items() if value and value != _default(name, known)}
    return f"/ui{PATH}?{urlencode(told, safe=',')}"


def _scale(outcomes: list[Outcome]) -> int:
    """The parameters that the longest bars stand for, so that lengths of both networks can be compared."""
    return max((each.answer["parameters"] for each in outcomes if each.answer is not None), default=1)
