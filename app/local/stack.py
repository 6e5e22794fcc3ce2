"""LocalStack: the services started in order, watched, restarted when they die, stopped in reverse order.

One thread starts and watches all children and lives until they have ended, because the kernel ends a
tethered child with the thread that started it (tether.py).
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

from app.api.exposure import refuse_exposure
from app.errors import CaliperError, Unavailable
from app.local.child import Child, describe_exit
from app.local.lock import StackLock
from app.local.prepare import check_port, make_folders
from app.local.processes import end, family
from app.local.services import Service, base_url, default_services, find_tier
from app.settings import Settings

POLL_SECONDS = 0.1
LISTEN_SECONDS = 0.2
"""Longest wait of the main thread: a signal that the system gives to another thread does not wake it."""
LEFTOVER_SECONDS = 15.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Progress = Callable[[str], None]


class LocalStack:
    """API, worker, database and Redis of one machine, as a context manager.

    `progress` gets one line for each thing that happens. Raises Conflict where another stack holds
    data_dir or the port is taken, Unavailable where a service does not start.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        services: tuple[Service, ...] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.settings = settings
        self.url = base_url(settings)
        self._services = services
        self._progress = progress or (lambda _line: None)
        self._lock = StackLock(settings.data_dir / "run")
        self._children: list[Child] = []
        # Plain flags, polled: a signal handler that sets an Event can deadlock with the code it interrupts.
        self._stopping = False
        self._hurrying = False
        self._settled = threading.Event()
        self._interrupted = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="caliper-stack", daemon=True)

    def start(self) -> None:
        """Start everything and return when all services are ready."""
        refuse_exposure(self.settings)
        make_folders(self.settings)
        self._lock.acquire(url=self.url)
        try:
            self._thread.start()
            while not self._settled.wait(LISTEN_SECONDS):
                pass
        except BaseException:
            self.stop()
            raise
        if self._failure:
            self.stop()
            raise self._failure

    def _choose_services(self) -> tuple[Service, ...]:
        tier = find_tier(self.settings)
        self._progress(f"this machine serves the {tier} tier")
        self.settings = self.settings.model_copy(update={"default_tier": tier})
        return default_services(self.settings)

    def stop(self, *, hurry: bool = False) -> None:
        """Stop the worker (its job is checkpointed), then the API, then Redis; harmless when repeated."""
        self._stopping = True
        self._hurrying |= hurry
        try:
            self._join()
        except KeyboardInterrupt:
            self._hurrying = True
            self._join()
            raise
        finally:
            self._lock.release()

    def serve(self) -> None:
        """Start, run until Ctrl-C, SIGTERM or SIGHUP, and stop; a second signal stops at once."""
        with self._stop_on_signals():
            try:
                self.start()
            except CaliperError:
                if self._interrupted:
                    return
                raise
            self._progress(f"ready at {self.url}")
            self._join()
            self.stop()
            if self._failure:
                raise self._failure

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _join(self) -> None:
        while self._thread.is_alive():
            self._thread.join(LISTEN_SECONDS)

    @contextmanager
    def _stop_on_signals(self) -> Iterator[None]:
        def on_signal(_number: int, _frame: FrameType | None) -> None:
            self._hurrying = self._interrupted
            self._interrupted = self._stopping = True

        before = {number: signal.signal(number, on_signal) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run(self) -> None:
        """The thread's life: end leftovers, start, watch, stop."""
        try:
            self._end_leftovers()
            check_port(self.settings)
            services = self._services or self._choose_services()
            self._children = [Child(service, self.settings) for service in services]
            for child in self._children:
                self._launch(child)
            self._settled.set()
            while not self._stopping:
                self._revive()
                time.sleep(POLL_SECONDS)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that called start()
            self._failure = error
            if self._settled.is_set():
                self._progress(f"the stack ends: {error}")
        finally:
            self._stop_children()
            self._settled.set()

    def _end_leftovers(self) -> None:
        for name, process in self._lock.leftovers().items():
            self._progress(f"ending {name} (pid {process.pid}) of a stack that was killed")
            end(family(process.pid), LEFTOVER_SECONDS)

    def _launch(self, child: Child) -> None:
        """Start one service and wait until it is ready."""
        service = child.service
        self._progress(f"{service.name}: starting")
        self._begin(child)
        self._await_ready(child)
        self._progress(f"{service.name}: {'done' if service.one_shot else 'ready'}")

    def _await_ready(self, child: Child) -> None:
        service, deadline = child.service, time.monotonic() + child.service.ready_seconds
        while True:
            code = child.exit_code
            if code == 0 and service.one_shot:
                child.forget()
                return
            if code is not None:
                raise child.failure(f"{describe_exit(code)} while it started")
            if not service.one_shot and service.is_ready():
                return
            if time.monotonic() > deadline:
                raise child.failure(f"was not ready after {service.ready_seconds:.0f} s")
            if self._stopping:
                raise Unavailable("the stack was stopped while it started")
            time.sleep(POLL_SECONDS)

    def _revive(self) -> None:
        """Start again what died, after a wait that grows with each death in a row."""
        for child in self._children:
            service, code = child.service, child.exit_code
            if service.one_shot:
                continue
            if code == 0 and service.may_leave:
                self._progress(f"{service.name} has left, as it was asked to; the next start brings it back")
                child.retire()
            elif code is not None:
                delay = child.schedule_restart()
                self._progress(f"{service.name} {describe_exit(code)}; starting it again in {delay:.0f} s")
            elif child.restart_is_due():
                self._progress(f"{service.name}: starting again")
                self._begin(child)

    def _begin(self, child: Child) -> None:
        child.start()
        running = {each.service.name: each.process for each in self._children}
        self._lock.remember({name: process for name, process in running.items() if process})

    def _stop_children(self) -> None:
        for child in reversed(self._children):
            if child.process is not None:
                self._progress(f"{child.service.name}: stopping")
            child.stop(lambda: self._hurrying)
        self._lock.remember({})
