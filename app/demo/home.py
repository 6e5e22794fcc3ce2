"""Where the demo runs: a folder and a port of its own, untouched by the CALIPER_* environment."""

import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from pydantic_settings import SettingsConfigDict

from app.demo.checks import DemoFailed
from app.errors import Conflict
from app.local.lock import StackLock
from app.local.prepare import check_port
from app.settings import Settings

MARKER = "made-by-caliper-demo"
"""A file by which the demo knows a folder that it may empty."""

DEFAULT_FOLDER = Path(".caliper/demo")

PORT = 8400
"""Where the demo listens, unless the port is taken."""

TIER = "cpu"
"""The demo needs no GPU, and takes none from others."""

TIMESTEPS = 200_000
"""Steps of the main job: one to two minutes on two cores."""

SMALL_TIMESTEPS = 2_048
"""Steps of the second job, which only has to make a checkpoint."""


class DemoSettings(Settings):
    """Settings that the CALIPER_* environment does not reach: it may name a production database."""

    model_config = SettingsConfigDict(env_prefix="CALIPER_DEMO_")


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How the demo is run."""

    data_dir: Path = DEFAULT_FOLDER
    """Folder that it keeps everything in."""
    timesteps: int = TIMESTEPS
    """Environment steps of the main job."""
    keep_data: bool = False
    """Go on in a folder as it is, instead of emptying the one of an earlier demo."""


def prepare_home(options: DemoOptions) -> Settings:
    """An empty folder, unless its data is to be kept, and a free port.

    Raises Conflict where a stack runs in the folder, DemoFailed where it holds somebody's data.
    """
    settings = demo_settings(options.data_dir, PORT)
    if not options.keep_data:
        empty_folder(settings.data_dir)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    (settings.data_dir / MARKER).touch()
    try:
        check_port(settings)
    except Conflict:
        return demo_settings(options.data_dir, free_port())
    return settings


def demo_settings(data_dir: Path, port: int) -> Settings:
    """The defaults, in a folder."""
    return DemoSettings(data_dir=data_dir, port=port, default_tier=TIER)


def empty_folder(folder: Path) -> None:
    """Remove what an earlier demo left; refuse to touch anything else."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / MARKER).is_file():
        hint = "choose another with --data-dir, or run in it as it is with --keep-data"
        raise DemoFailed(f"{folder} is not empty, and no demo made it", hint=hint)
    if (folder / "run").is_dir():
        lock = StackLock(folder / "run")
        lock.acquire()  # raises Conflict where a stack runs there
        lock.release()
    shutil.rmtree(folder)


def free_port() -> int:
    """A TCP port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
