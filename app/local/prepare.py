"""What must be there before the first service starts: private folders and a free port."""

import errno
import os
import socket
import stat
from pathlib import Path

from app.errors import Conflict, Unavailable
from app.settings import Settings


def make_folders(settings: Settings) -> None:
    """Make the folders that the services write to, readable by this user alone.

    Raises Conflict where the socket's folder belongs to somebody else.
    """
    run_dir = settings.data_dir / "run"
    for folder in (
        settings.data_dir,
        run_dir,
        settings.data_dir / "redis",
        settings.spool_dir,
        settings.logs_dir,
    ):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.redis_is_bundled and settings.redis_socket:
        make_private(settings.redis_socket.parent)


def make_private(folder: Path) -> None:
    """Make a folder of mode 700; under the temp dir another user may have made it first."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        hint = "choose a shorter CALIPER_DATA_DIR, or name a Redis with CALIPER_REDIS_URL"
        raise Conflict(f"{folder} belongs to somebody else", hint=hint)
    folder.chmod(0o700)


def check_port(settings: Settings) -> None:
    """Raise Conflict where the API's port is taken, Unavailable where its address is not this machine's."""
    try:
        family_, kind, protocol, _, address = socket.getaddrinfo(
            settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family_, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = f"choose another with --port {settings.port + 1} or CALIPER_PORT={settings.port + 1}"
            raise Conflict(f"port {settings.port} is taken", hint=hint, pointer="port") from error
        detail = f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        raise Unavailable(detail, hint="CALIPER_HOST=127.0.0.1 always works", pointer="host") from error
