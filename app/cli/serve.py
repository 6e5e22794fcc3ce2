"""`caliper serve`: the whole service on this machine, in the foreground."""

from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli import terminal
from app.cli.options import AsJson


def serve_command(
    *,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of everything that is kept (CALIPER_DATA_DIR).", show_default=".caliper"),
    ] = None,
    port: Annotated[int | None, typer.Option(help="TCP port (CALIPER_PORT).", show_default="8400")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address (CALIPER_HOST).", show_default="127.0.0.1")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run API, worker, queue and registry here until Ctrl-C; a running job is checkpointed first.

    Settings come from the CALIPER_* environment; the options below override it. With --json one line stands on
    stdout once the service is ready: its address and folders.

    Examples:
      caliper serve
      caliper serve --data-dir /srv/caliper --port 8401
    """
    # pydantic and SQLAlchemy take longer to load than `caliper --help` may take in all.
    from app.local import LocalStack  # noqa: PLC0415
    from app.settings import Settings  # noqa: PLC0415

    given: dict[str, Any] = {"data_dir": data_dir, "port": port, "host": host}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    terminal.say(f"data in {settings.data_dir}, logs in {settings.logs_dir}")

    def report(line: str) -> None:
        terminal.say(f"  {line}")
        if line.startswith("ready at "):
            url = line.removeprefix("ready at ")
            terminal.say(f"pages at {url}/ui · API reference at {url}/docs · Ctrl-C stops it")
            if as_json:
                folders = {"data_dir": str(settings.data_dir), "logs_dir": str(settings.logs_dir)}
                terminal.print_json_line({"url": url, **folders})

    LocalStack(settings, progress=report).serve()
    terminal.say("stopped")
