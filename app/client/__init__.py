"""The Python client of the REST API.

caliper.py       Caliper: blocking, its answers dataclasses; async_caliper.py: AsyncCaliper, the same for asyncio
kinds.py         those dataclasses, which are the service's own
client.py        Client: the same in JSON, as the terminal uses it
asynchronous.py  AsyncClient: that for asyncio, as the pages use it
blocking.py  awaiting.py   how the one and the other send requests, and send them again
calls/           what is asked: one function per request, shared by both
answers/         what is answered, as types
access.py        keys and the audit; typed_access.py the same as dataclasses
steps.py         what takes several requests, as steps that the one does and the other awaits
upload.py        large files in parts
operations.py    downloads, and waiting for a comparison of weights
export.py        a checkpoint in the format of another library, on its way
transfer.py      a download's file: by range, verified, put in place at once
connection.py    address, time limits, streamed files, patience
events.py        a job's event stream, read line by line
errors.py        what the service answers when it refuses
"""

from typing import TYPE_CHECKING, Any

from app.client.asynchronous import AsyncClient
from app.client.client import Client
from app.client.errors import ServiceError, ServiceUnreachable
from app.client.events import Event

if TYPE_CHECKING:
    from app.client.async_caliper import AsyncCaliper
    from app.client.caliper import Caliper

__all__ = [
    "AsyncCaliper",
    "AsyncClient",
    "Caliper",
    "Client",
    "Event",
    "ServiceError",
    "ServiceUnreachable",
]


def __getattr__(name: str) -> Any:
    """The typed clients, loaded when they are asked for: their dataclasses bring the API's rooms with them."""
    if name == "Caliper":
        from app.client.caliper import Caliper  # noqa: PLC0415

        return Caliper
    if name == "AsyncCaliper":
        from app.client.async_caliper import AsyncCaliper  # noqa: PLC0415

        return AsyncCaliper
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
