"""Where the demo runs: what it may empty, what it must not touch, which port it takes."""

import socket
from pathlib import Path

import pytest

from app.demo import DemoFailed, DemoOptions
from app.demo.home import MARKER, demo_settings, prepare_home
from app.errors import Conflict
from app.local.lock import StackLock


def test_a_new_folder_is_made_and_marked(tmp_path: Path) -> None:
    settings = prepare_home(DemoOptions(tmp_path / "deep" / "demo"))
    assert settings.data_dir == tmp_path / "deep" / "demo"
    assert (settings.data_dir / MARKER).is_file()


def test_an_earlier_demo_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    prepare_home(DemoOptions(folder))
    (folder / "caliper.db").write_bytes(b"old")
    prepare_home(DemoOptions(folder))
    assert not (folder / "caliper.db").exists()


def test_an_earlier_demo_is_kept_when_asked(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    prepare_home(DemoOptions(folder))
    (folder / "caliper.db").write_bytes(b"old")
    prepare_home(DemoOptions(folder, keep_data=True))
    assert (folder / "caliper.db").read_bytes() == b"old"


def test_a_folder_that_no_demo_made_is_never_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DemoFailed, match="no demo made it"):
        prepare_home(DemoOptions(tmp_path))
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert not (tmp_path / MARKER).exists()


def test_a_folder_in_which_a_stack_runs_is_never_emptied(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    prepare_home(DemoOptions(folder))
    (folder / "run").mkdir()
    (folder / "caliper.db").write_bytes(b"in use")
    lock = StackLock(folder / "run")
    lock.acquire(url="http://here")
    try:
        with pytest.raises(Conflict, match="already runs"):
            prepare_home(DemoOptions(folder))
    finally:
        lock.release()
    assert (folder / "caliper.db").read_bytes() == b"in use"


def test_the_environment_cannot_point_the_demo_at_production(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "CALIPER_DATABASE_URL": "postgresql+psycopg://prod/registry",
        "CALIPER_REDIS_URL": "redis://prod",
        "CALIPER_DATA_DIR": "/prod",
        "CALIPER_HOST": "0.0.0.0",
    }.items():
        monkeypatch.setenv(name, value)
    settings = demo_settings(tmp_path, 8400)
    assert settings.database_url == f"sqlite:///{tmp_path}/caliper.db"
    assert settings.redis_is_bundled
    assert settings.host == "127.0.0.1"
    assert "prod" not in " ".join(settings.environment().values())


def test_a_taken_port_is_left_to_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr("app.demo.home.PORT", port)
        assert prepare_home(DemoOptions(tmp_path / "a")).port != port
    assert prepare_home(DemoOptions(tmp_path / "b")).port == port
