"""The stack with small stand-ins: order, failures, restarts, one per folder, nothing left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.errors import Conflict, Unavailable
from app.local import child as child_module
from app.local.processes import Process, start_time
from app.local.services import Service
from app.local.stack import LocalStack
from app.settings import Settings
from tests.local.conftest import READY_SLEEPER, STUBBORN_SLEEPER, eventually, free_port

Build = Callable[..., Service]


def children(settings: Settings) -> dict[str, Process]:
    """The children that the stack has written down."""
    rows = json.loads((settings.data_dir / "run" / "children.json").read_text())
    return {name: Process(pid, started) for name, (pid, started) in rows.items()}


def test_services_start_in_order_and_stop_in_reverse(
    settings: Settings, stand_in: Build, tmp_path: Path, ended: list[Process]
) -> None:
    lines: list[str] = []
    services = (
        stand_in("redis"),
        stand_in("migrate", "", one_shot=True),
        stand_in("api"),
        stand_in("worker"),
    )
    with LocalStack(settings, services=services, progress=lines.append):
        ended += children(settings).values()
        assert set(children(settings)) == {"redis", "api", "worker"}
        assert all(process.is_alive() for process in ended)
        assert lines == [
            *("redis: starting", "redis: ready", "migrate: starting", "migrate: done"),
            *("api: starting", "api: ready", "worker: starting", "worker: ready"),
        ]
    assert (tmp_path / "stopped").read_text().split() == ["worker", "api", "redis"]
    assert lines[-3:] == ["worker: stopping", "api: stopping", "redis: stopping"]
    assert children(settings) == {}


def test_a_child_that_dies_at_its_start_shows_the_end_of_its_log(
    settings: Settings, stand_in: Build, ended: list[Process], tmp_path: Path
) -> None:
    failing = stand_in("api", "print('line 1', flush=True); raise SystemExit('no such table: jobs')")
    with pytest.raises(Unavailable) as caught:
        LocalStack(settings, services=(stand_in("redis"), failing, stand_in("worker"))).start()
    assert caught.value.detail == "api ended with exit status 1 while it started"
    assert "line 1\nno such table: jobs" in caught.value.hint
    assert str(settings.logs_dir / "api.log") in caught.value.hint
    assert (tmp_path / "stopped").read_text().split() == ["redis"]
    assert not (tmp_path / "worker.ready").exists()


def test_a_child_killed_by_a_signal_says_which(settings: Settings, stand_in: Build) -> None:
    dying = stand_in("worker", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(Unavailable, match="worker was ended by SIGKILL while it started"):
        LocalStack(settings, services=(dying,)).start()


def test_a_command_that_does_not_exist_is_named(settings: Settings) -> None:
    with pytest.raises(Unavailable) as caught:
        LocalStack(settings, services=(Service("redis", ("/no/such/redis-server",)),)).start()
    assert "/no/such/redis-server: No such file or directory" in caught.value.hint


def test_a_child_that_never_gets_ready_is_given_up(
    settings: Settings, stand_in: Build, tmp_path: Path
) -> None:
    hanging = stand_in("api", is_ready=lambda: False, ready_seconds=0.3)
    with pytest.raises(Unavailable, match="api was not ready after 0 s"):
        LocalStack(settings, services=(hanging,)).start()


def test_a_failed_start_can_be_repeated(settings: Settings, stand_in: Build) -> None:
    with pytest.raises(Unavailable):
        LocalStack(settings, services=(stand_in("api", "raise SystemExit(3)"),)).start()
    with LocalStack(settings, services=(stand_in("api"),)):
        assert children(settings)["api"].is_alive()


def test_a_taken_port_is_found_before_anything_starts(
    settings: Settings, stand_in: Build, tmp_path: Path
) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", settings.port))
        holder.listen()
        with pytest.raises(Conflict, match=f"port {settings.port} is taken"):
            LocalStack(settings, services=(stand_in("redis"),)).start()
    assert not (tmp_path / "redis.ready").exists()


def test_a_second_stack_on_the_folder_is_refused_and_the_first_lives_on(
    settings: Settings, stand_in: Build
) -> None:
    with LocalStack(settings, services=(stand_in("api"),)) as first:
        second = LocalStack(settings.model_copy(update={"port": free_port()}), services=(stand_in("api"),))
        with pytest.raises(Conflict, match=f"pid {os.getpid()}, at {first.url}"):
            second.start()
        second.stop()
        assert children(settings)["api"].is_alive()


def test_a_dead_child_is_started_again(
    settings: Settings, stand_in: Build, monkeypatch: pytest.MonkeyPatch, ended: list[Process]
) -> None:
    monkeypatch.setattr(child_module, "BACKOFF_SECONDS", (0.01,))
    lines: list[str] = []
    with LocalStack(settings, services=(stand_in("redis"), stand_in("worker")), progress=lines.append):
        before = children(settings)
        os.kill(before["worker"].pid, signal.SIGKILL)
        after = eventually(lambda: (now := children(settings))["worker"] != before["worker"] and now)
        assert after["redis"] == before["redis"]
        assert after["worker"].is_alive()
        ended += [before["worker"], *after.values()]
    assert "worker was ended by SIGKILL; starting it again in 0 s" in lines


def test_a_worker_that_was_asked_to_leave_stays_away(
    settings: Settings, stand_in: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "BACKOFF_SECONDS", (0.01,))
    lines: list[str] = []
    services = (stand_in("api"), stand_in("worker", may_leave=True))
    with LocalStack(settings, services=services, progress=lines.append):
        for process in children(settings).values():
            os.kill(process.pid, signal.SIGTERM)  # both end with exit status 0
        eventually(lambda: "api: starting again" in lines)
        eventually(lambda: any(line.startswith("worker has left") for line in lines))
        assert "worker: starting again" not in lines


def test_what_a_dead_worker_left_is_ended_before_the_next(
    settings: Settings, stand_in: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ended: list[Process]
) -> None:
    monkeypatch.setattr(child_module, "BACKOFF_SECONDS", (0.01,))
    parent = f"""
import pathlib, subprocess, sys, time
trainer = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(120)"], process_group=0)
pathlib.Path({str(tmp_path)!r}, "trainer").write_text(str(trainer.pid))
pathlib.Path({str(tmp_path)!r}, "worker.ready").touch()
time.sleep(120)
"""
    with LocalStack(settings, services=(stand_in("worker", parent),)):
        trainer = int((tmp_path / "trainer").read_text())
        ended.append(Process(trainer, start_time(trainer) or ""))
        worker = children(settings)["worker"]
        os.kill(worker.pid, signal.SIGKILL)
        eventually(lambda: children(settings)["worker"] != worker)
        assert start_time(trainer) is None
        second = int(
            eventually(lambda: (text := (tmp_path / "trainer").read_text()) != str(trainer) and text)
        )
        ended.append(Process(second, start_time(second) or ""))


def test_a_child_that_keeps_dying_is_tried_ever_more_slowly(settings: Settings, stand_in: Build) -> None:
    child = child_module.Child(stand_in("api"), settings)
    delays = [child.schedule_restart() for _ in range(8)]
    assert delays == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_long_life_forgets_earlier_deaths(
    settings: Settings, stand_in: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = child_module.Child(stand_in("api"), settings)
    assert [child.schedule_restart() for _ in range(3)] == [1, 2, 4]
    monkeypatch.setattr(child_module, "STEADY_SECONDS", -1.0)
    assert child.schedule_restart() == 1


def test_a_stubborn_child_is_killed_with_its_descendants(
    settings: Settings, stand_in: Build, ended: list[Process]
) -> None:
    with LocalStack(settings, services=(stand_in("worker", STUBBORN_SLEEPER, stop_seconds=0.2),)):
        ended += children(settings).values()


def test_children_get_the_environment_and_a_folder_of_ours(
    settings: Settings, stand_in: Build, tmp_path: Path
) -> None:
    code = f"import os; open({str(tmp_path / 'seen')!r}, 'w').write(os.getcwd() + ' ' + os.environ['CALIPER_PORT'])"
    service = stand_in("migrate", code, one_shot=True, environment=settings.environment())
    with LocalStack(settings, services=(service,)):
        assert (tmp_path / "seen").read_text() == f"{settings.data_dir}/run {settings.port}"


def test_stop_is_harmless_before_and_after(settings: Settings, stand_in: Build) -> None:
    LocalStack(settings, services=()).stop()
    stack = LocalStack(settings, services=(stand_in("api"),))
    stack.start()
    stack.stop()
    stack.stop()
    assert children(settings) == {}


def test_a_stop_from_another_thread_ends_a_start_that_hangs(
    settings: Settings, stand_in: Build, tmp_path: Path
) -> None:
    stack = LocalStack(settings, services=(stand_in("api", is_ready=lambda: False),))
    stopper = threading.Thread(target=lambda: (eventually((tmp_path / "api.ready").exists), stack.stop()))
    stopper.start()
    with pytest.raises(Unavailable, match="stopped while it started"):
        stack.start()
    stopper.join()
    assert children(settings) == {}


def test_a_grown_log_is_moved_aside(
    settings: Settings, stand_in: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "LOG_ROTATE_BYTES", 10)
    settings.logs_dir.mkdir(parents=True)
    (settings.logs_dir / "api.log").write_text("of last week\n")
    with LocalStack(settings, services=(stand_in("api"),)):
        assert (settings.logs_dir / "api.log.1").read_text() == "of last week\n"
        assert "start of api" in (settings.logs_dir / "api.log").read_text()


# A stack in a process of its own, ended by signals

SERVE = """
import sys
from pathlib import Path
from app.local import LocalStack, Service
from app.settings import get_settings
here = Path(sys.argv[1])
def build(name, code):
    command = (sys.executable, "-I", "-S", "-c", code, str(here), name)
    return Service(name, command, is_ready=(here / f"{name}.ready").exists, stop_seconds=60.0)
services = tuple(build(*pair.split("=", 1)) for pair in sys.argv[2:])
LocalStack(get_settings(), services=services, progress=lambda line: print(line, flush=True)).serve()
"""


class Served:
    """A stack that runs `serve()` in another process."""

    def __init__(self, settings: Settings, folder: Path, **codes: str) -> None:
        command = [
            sys.executable,
            "-c",
            SERVE,
            str(folder),
            *(f"{name}={code}" for name, code in codes.items()),
        ]
        self.settings = settings
        self.popen = subprocess.Popen(
            command, env={**os.environ, **settings.environment()}, stdout=subprocess.PIPE, text=True
        )

    def read_until(self, end: str) -> list[str]:
        assert self.popen.stdout
        lines: list[str] = []
        while not lines or not lines[-1].startswith(end):
            line = self.popen.stdout.readline()
            assert line, lines
            lines.append(line.rstrip("\n"))
        return lines


@pytest.fixture
def serve(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    begun: list[Served] = []

    def begin(**codes: str) -> Served:
        begun.append(Served(settings, tmp_path, **codes))
        return begun[-1]

    yield begin
    for served in begun:
        served.popen.kill()
        served.popen.communicate(timeout=30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_the_stack_in_order(
    number: signal.Signals, serve: Callable[..., Served], tmp_path: Path, ended: list[Process]
) -> None:
    served = serve(redis=READY_SLEEPER, worker=READY_SLEEPER)
    lines = served.read_until("ready at")
    assert lines[-1] == f"ready at http://127.0.0.1:{served.settings.port}"
    ended += children(served.settings).values()
    served.popen.send_signal(number)
    output, _ = served.popen.communicate(timeout=60)
    assert served.popen.returncode == 0
    assert output.splitlines() == ["worker: stopping", "redis: stopping"]
    assert (tmp_path / "stopped").read_text().split() == ["worker", "redis"]


def test_a_second_signal_does_not_wait(serve: Callable[..., Served], ended: list[Process]) -> None:
    """The child would keep the stack waiting for a minute, longer than the test waits."""
    served = serve(worker=STUBBORN_SLEEPER)
    served.read_until("ready at")
    ended += children(served.settings).values()
    served.popen.send_signal(signal.SIGINT)
    served.read_until("worker: stopping")
    served.popen.send_signal(signal.SIGINT)
    served.popen.communicate(timeout=30)
    assert served.popen.returncode == 0


def test_a_signal_during_the_start_stops_it(
    serve: Callable[..., Served], ended: list[Process], tmp_path: Path
) -> None:
    served = serve(redis=READY_SLEEPER, api="import time; time.sleep(120)")
    served.read_until("api: starting")
    ended += children(served.settings).values()
    served.popen.send_signal(signal.SIGTERM)
    served.popen.communicate(timeout=60)
    assert served.popen.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_children_end_with_a_killed_stack(
    serve: Callable[..., Served], ended: list[Process], tmp_path: Path
) -> None:
    served = serve(redis=READY_SLEEPER, worker=READY_SLEEPER)
    served.read_until("ready at")
    ended += children(served.settings).values()
    served.popen.kill()
    eventually(lambda: not any(process.is_alive() for process in ended))
    assert sorted((tmp_path / "stopped").read_text().split()) == ["redis", "worker"]


def test_the_next_start_ends_what_outlived_a_killed_stack(
    serve: Callable[..., Served],
    settings: Settings,
    stand_in: Build,
    ended: list[Process],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.local.stack.LEFTOVER_SECONDS", 0.1)
    served = serve(worker=STUBBORN_SLEEPER)
    served.read_until("ready at")
    ended += children(settings).values()
    served.popen.kill()
    served.popen.wait()
    assert ended[0].is_alive()
    lines: list[str] = []
    with LocalStack(settings, services=(stand_in("api"),), progress=lines.append):
        assert lines[0] == f"ending worker (pid {ended[0].pid}) of a stack that was killed"
        assert not ended[0].is_alive()
