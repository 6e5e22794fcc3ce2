"""The real app on a real server: uvicorn in a thread, SQLite migrated, a socket of its own."""

import asyncio
import itertools
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from app.api.dependencies import Parts
from app.api.http_protocol import GuardedProtocol
from app.logs import configure_logs
from app.main import build_parts, install_operations
from app.settings import Settings

idle_apps: list[FastAPI] = []
"""Apps whose service has ended. FastAPI prepares an app's operations at its first request, for a second of
processor time: each service gets parts of its own, but an app that another has had before."""


class Service:
    """A running API, and how to ask it."""

    def __init__(self, settings: Settings, url: str, parts: Parts) -> None:
        self.settings = settings
        self.url = url
        self.parts = parts
        self.http = httpx.Client(base_url=url, timeout=30, trust_env=False, verify=False)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.http.get(path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.http.post(path, **options)

    def upload_checkpoint(self, content: bytes | None = None, **form: Any) -> dict[str, Any]:
        files = {"file": ("policy.safetensors", content or safetensors_file())}
        answer = self.post("/checkpoints", files=files, data=form)
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body


class PromptServer(uvicorn.Server):
    """Looks a hundred times a second, not ten, whether it is to end: most tests start a server."""

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # noqa: ASYNC110 - should_exit is an attribute, set by another thread
            await asyncio.sleep(0.01)


@contextmanager
def running(settings: Settings, http: type[asyncio.Protocol] = GuardedProtocol) -> Iterator[Service]:
    """The service; `http` is the protocol that speaks on its connections."""
    app = idle_apps.pop() if idle_apps else install_operations()
    app.state.parts = build_parts(settings)
    configure_logs(settings, "api")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, log_config=None, http=http, ws="none", timeout_graceful_shutdown=5, server_header=False
        )
        server = PromptServer(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                time.sleep(0.005)
            service = Service(settings, f"http://127.0.0.1:{listener.getsockname()[1]}", app.state.parts)
            with service.http:
                yield service
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()
            del app.state.parts
            idle_apps.append(app)


def safetensors_file(obs_dim: int = 6, hidden: tuple[int, ...] = (8, 4), fill: int = 0) -> bytes:
    """A policy in CleanRL's layout, written by hand: these tests run where torch is not installed."""
    tensors: dict[str, tuple[int, ...]] = {}
    for head, out in (("actor", 3), ("critic", 1)):
        widths = (obs_dim, *hidden, out)
        for index, (a, b) in enumerate(itertools.pairwise(widths)):
            tensors |= {f"{head}.{index * 2}.weight": (b, a), f"{head}.{index * 2}.bias": (b,)}
    header, end = {}, 0
    for name, shape in tensors.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes([fill]) * end


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Assert that an answer is this problem, and give its document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["code"] == code, body
    assert body["type"] == f"urn:caliper:error:{code}"
    assert body["detail"]
    return body


def eventually(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true value of the condition; fails after a bound that no passing test comes near."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return value
