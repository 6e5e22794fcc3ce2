"""`python -m app.local` in a process of its own, as far as it gets without the other services."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def run_stack(settings: Settings, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **settings.environment(), **variables, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "app.local"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_wrong_settings_are_told_in_one_line(settings: Settings) -> None:
    done = run_stack(settings, CALIPER_PORT="eighty")
    assert done.returncode == 1
    assert done.stderr.startswith("CALIPER_PORT: Input should be a valid integer")
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_told_with_a_way_out(settings: Settings) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", settings.port))
        holder.listen()
        done = run_stack(settings)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"port {settings.port} is taken"
    assert f"CALIPER_PORT={settings.port + 1}" in done.stderr
    assert done.stdout == ""
