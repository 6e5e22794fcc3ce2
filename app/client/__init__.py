"""The Python client of the REST API.

client.py        Client: blocking, on httpx
asynchronous.py  AsyncClient: the same for asyncio
calls.py         what is asked: one function per request, shared by both
events.py        a job's event stream, read line by line
transfer.py      downloads: by range, verified, put in place at once
errors.py        what the service answers when it refuses
"""

from app.client.asynchronous import AsyncClient
from app.client.client import Client
from app.client.errors import ServiceError, ServiceUnreachable
from app.client.events import Event

__all__ = ["AsyncClient", "Client", "Event", "ServiceError", "ServiceUnreachable"]
