"""A real S3-compatible server on loopback (moto, a process of its own), and a proxy before it that misbehaves."""

import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from app.settings import Settings

KEY, SECRET = "a-test-key", "a-test-secret"


class S3Server:
    """moto as a process; buckets are made over HTTP."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._names = itertools.count()
        command = [sys.executable, "-m", "moto.server", "-H", host, "-p", str(self.port)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, **quiet)  # type: ignore[call-overload]
        self._await_start()

    def _await_start(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(self.url, timeout=5, trust_env=False)
            except httpx.TransportError:
                assert self.process.poll() is None, "the S3 server ended"
                assert time.monotonic() < deadline, "the S3 server did not start"
                time.sleep(0.05)
            else:
                return

    def new_bucket(self) -> str:
        name = f"bucket-{next(self._names)}"
        assert httpx.put(f"{self.url}/{name}", trust_env=False).is_success
        return name

    def unfinished_uploads(self, bucket: str) -> int:
        """Multipart uploads that were begun and neither completed nor aborted."""
        return httpx.get(f"{self.url}/{bucket}?uploads", trust_env=False).text.count("<UploadId>")

    def pause(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        self.go_on()
        self.process.terminate()
        self.process.wait()


class S3Proxy:
    """Stands before the server; `fault` says what it does to requests of the methods in `methods`.

    `refuse`: 403. `fail`: 503. `cut`: half of the answer, then the connection ends. `damage`: one byte of the answer's
    body is another. None: nothing.
    """

    def __init__(self, server: S3Server) -> None:
        self.fault: str | None = None
        self.methods = {"GET", "PUT", "POST", "HEAD", "DELETE"}
        self.only = ""
        self.after = 0
        self.seen: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Quiet."""

            def answer(self) -> None:
                proxy.seen.append(f"{self.command} {self.path}")
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fault = proxy.fault_for(self.command, self.path)
                if fault in {"refuse", "fail"}:
                    self._say(403 if fault == "refuse" else 503, {}, b"")
                    return
                upstream = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
                upstream.request(self.command, self.path, body, dict(self.headers))
                given = upstream.getresponse()
                data = given.read()
                if fault == "damage" and data:
                    data = bytes([data[0] ^ 1]) + data[1:]
                skipped = {"transfer-encoding", "connection", "content-length", "date", "server"}
                headers = {k: v for k, v in given.getheaders() if k.lower() not in skipped}
                length = given.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
                self._say(
                    given.status, {**headers, "Content-Length": length or "0"}, data, cut=fault == "cut"
                )
                upstream.close()

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815 - http.server asks for these names

            def _say(self, status: int, headers: dict[str, str], data: bytes, *, cut: bool = False) -> None:
                self.send_response_only(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data[: len(data) // 2] if cut else data)
                if cut:
                    self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def fault_for(self, method: str, path: str) -> str | None:
        if self.fault is None or method not in self.methods or self.only not in path:
            return None
        self.after -= 1
        return self.fault if self.after < 0 else None

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def proxied(server: S3Server) -> Iterator[S3Proxy]:
    proxy = S3Proxy(server)
    try:
        yield proxy
    finally:
        proxy.close()


def store_settings(endpoint: str, bucket: str, folder: Path, **values: Any) -> Settings:
    """Settings of a process whose artifacts lie in a bucket; quick timers."""
    quick = {"lease_seconds": 4, "heartbeat_seconds": 1, "sweep_seconds": 0.3, "relay_seconds": 0.1}
    return Settings(
        **{
            **quick,
            "data_dir": folder,
            "artifacts_url": f"s3://{bucket}/some/prefix",
            "artifacts_endpoint": endpoint,
            "artifacts_region": "us-east-1",
            "artifacts_access_key_id": KEY,
            "artifacts_secret_access_key": SECRET,
            "artifact_retry_seconds": 2,
            **values,
        }
    )
