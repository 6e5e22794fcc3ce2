"""An API process that is told to stop: its event streams end at once, and no others begin."""

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

from job_rows import submit, upload_googl
from running_service import Service, eventually, is_problem

ROOT = Path(__file__).parents[2]


def test_followers_are_let_go_and_no_other_is_taken(service: Service) -> None:
    upload_googl(service)
    path = f"/jobs/{submit(service)['id']}/events"
    lines: list[str] = []
    ended = threading.Event()

    def follow() -> None:
        with service.http.stream("GET", path) as answer:
            lines.extend(answer.iter_lines())
        ended.set()

    thread = threading.Thread(target=follow)
    thread.start()
    eventually(lambda: service.parts.feeds.followers == 1)
    assert not ended.is_set()
    service.parts.feeds.end()  # as the signal's handler does, within the loop
    thread.join(20)
    assert ended.is_set()
    assert lines[0] == "retry: 2000"
    assert any(line.startswith("id: 1") for line in lines)
    problem = is_problem(service.get(path), 503, "unavailable")
    assert "about to stop" in problem["detail"]


def test_a_signal_is_told_beside_what_the_server_does_with_it() -> None:
    code = """
        import asyncio, os, signal
        from app.api.stopping import told_to_stop

        told = []
        signal.signal(signal.SIGTERM, lambda *_: told.append("server"))

        async def main():
            with told_to_stop(lambda: told.append("app")):
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.sleep(0.05)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.05)
            print(told)

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['server', 'app', 'server']"
