"""Private folders and a free port, before the first service starts."""

import os
import socket
from pathlib import Path

import pytest

from app.errors import Conflict, Unavailable
from app.local.prepare import check_port, make_folders, make_private
from app.settings import Settings


def test_all_folders_are_private(settings: Settings) -> None:
    make_folders(settings)
    make_folders(settings)
    for folder in (settings.data_dir, settings.logs_dir, settings.spool_dir, settings.data_dir / "run"):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_deep_folder_gets_a_private_socket_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settings = Settings(data_dir=tmp_path / ("d" * 120))
    make_folders(settings)
    assert settings.redis_socket is not None
    assert settings.redis_socket.parent.parent == tmp_path
    assert settings.redis_socket.parent.stat().st_mode & 0o777 == 0o700


def test_the_folder_of_somebody_elses_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir(mode=0o755)
    make_folders(
        Settings(data_dir=tmp_path / "data", redis_url=f"redis+socket://{tmp_path}/redis/redis.sock")
    )
    assert (tmp_path / "redis").stat().st_mode & 0o777 == 0o755


def test_a_folder_that_was_open_is_closed(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o777)
    make_private(tmp_path / "open")
    assert (tmp_path / "open").stat().st_mode & 0o777 == 0o700


def test_a_link_laid_by_somebody_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Conflict, match="belongs to somebody else"):
        make_private(tmp_path / "link")


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    with pytest.raises(Conflict, match="belongs to somebody else"):
        make_private(tmp_path)


def test_a_free_port_stays_free(settings: Settings) -> None:
    check_port(settings)
    check_port(settings)


def test_a_taken_port_is_named_with_a_way_out(settings: Settings) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", settings.port))
        holder.listen()
        with pytest.raises(Conflict) as caught:
            check_port(settings)
    assert caught.value.detail == f"port {settings.port} is taken"
    assert f"--port {settings.port + 1}" in caught.value.hint


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(Unavailable) as caught:
        check_port(Settings(host="192.0.2.1"))  # TEST-NET-1 of RFC 5737: nobody's
    assert caught.value.detail.startswith("cannot listen on 192.0.2.1:8400")
    assert caught.value.pointer == "host"
