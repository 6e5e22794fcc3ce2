"""The Python client of the REST API.

client.py        Client: blocking, on httpx
asynchronous.py  AsyncClient: the same for asyncio
calls.py         what is asked: one function per request, shared by both
answers.py       what is answered, as types
steps.py         what takes several requests, as steps that the one does and the other awaits
upload.py        large files in parts
operations.py    downloads, and waiting for a comparison of weights
transfer.py      a download's file: by range, verified, put in place at once
connection.py    address, time limits, streamed files, patience
events.py        a job's event stream, read line by line
errors.py        what the service answers when it refuses
"""

from app.client.asynchronous import AsyncClient
from app.client.client import Client
from app.client.errors import ServiceError, ServiceUnreachable
from app.client.events import Event

__all__ = ["AsyncClient", "Client", "Event", "ServiceError", "ServiceUnreachable"]
