"""Hosts for a journey: network namespaces of their own where this machine allows it, else only folders of their own.

A worker in a namespace reaches nothing but the address of the first host, and a mount of its own hides the first
host's folder from it. Without the right to make namespaces the workers still share no folder.
"""

import itertools
import os
import signal
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_numbers = itertools.count()


def can_unshare() -> bool:
    """Whether this process may make namespaces of network and mounts, and links between them."""
    probe = "mount -t tmpfs none /mnt && ip link add cal-probe type veth peer name cal-probe2"
    try:
        made = subprocess.run(["unshare", "-nm", "sh", "-c", probe], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return made.returncode == 0


class Host:
    """Runs a worker's processes; killed all at once, as by a power cut."""

    def __init__(self, address: str, prefix: Sequence[str], namespace: str | None) -> None:
        self.address = address
        """Where this host finds the first one."""
        self._prefix = prefix
        self._namespace = namespace
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        with log.open("ab") as file:
            self._processes.append(
                subprocess.Popen(
                    [*self._prefix, *command],
                    env=environment,
                    stdout=file,
                    stderr=file,
                    start_new_session=True,
                )
            )

    def run(self, command: Sequence[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        whole = [*self._prefix, *command]
        return subprocess.run(whole, env=environment, capture_output=True, text=True, check=False)

    def cut_power(self) -> None:
        for process in self._processes:
            for each in (*_family(process.pid), process.pid):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
            process.wait()
        self._processes.clear()


def _family(pid: int) -> list[int]:
    with suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


@contextmanager
def another_host(hidden: Path) -> Iterator[Host]:
    """A host that does not see `hidden`."""
    if not can_unshare():
        host = Host("127.0.0.1", (), None)
        try:
            yield host
        finally:
            host.cut_power()
        return
    number = next(_numbers)
    namespace = f"cal-{os.getpid()}-{number}"
    ours, theirs = f"c{os.getpid() % 100_000}a{number}", f"c{os.getpid() % 100_000}b{number}"
    subnet = f"10.213.{os.getpid() % 250}.{number * 4 % 252}".rpartition(".")
    first, second = (f"{subnet[0]}.{int(subnet[2]) + offset}" for offset in (1, 2))
    steps = [
        f"ip netns add {namespace}",
        f"ip link add {ours} type veth peer name {theirs}",
        f"ip link set {theirs} netns {namespace}",
        f"ip addr add {first}/30 dev {ours}",
        f"ip link set {ours} up",
        f"ip netns exec {namespace} ip addr add {second}/30 dev {theirs}",
        f"ip netns exec {namespace} ip link set {theirs} up",
        f"ip netns exec {namespace} ip link set lo up",
    ]
    hide = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(hidden)]
    host = Host(first, ["ip", "netns", "exec", namespace, *hide], namespace)
    try:
        for step in steps:
            subprocess.run(step.split(), check=True, capture_output=True)
        yield host
    finally:
        host.cut_power()
        subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", ours], check=False, capture_output=True)


@contextmanager
def forwarded(path: Path) -> Iterator[int]:
    """A TCP port on all addresses that leads to a Unix socket."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as inner:
                inner.connect(str(path))
                back = threading.Thread(target=_pump, args=(inner, self.request), daemon=True)
                back.start()
                _pump(self.request, inner)
                back.join(5)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        block_on_close = False

    with Server(("0.0.0.0", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
