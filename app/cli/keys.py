"""`caliper keys …`: API keys, made and revoked on the registry itself: so the first one can be made."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import figures, terminal
from app.cli.group import CaliperGroup
from app.cli.options import AsJson

if TYPE_CHECKING:
    from app.registry.database import Database
    from app.registry.tables import ApiKey

app = typer.Typer(cls=CaliperGroup, help="API keys: create, list, revoke.", no_args_is_help=True)

ROLES = ("reader", "trainer", "admin")

MOST = 1_000
"""Keys that a list shows."""


@app.callback()
def keys() -> None:
    """API keys: create, list, revoke.

    These commands work on the registry itself, as CALIPER_DATABASE_URL or CALIPER_DATA_DIR name it: whoever may
    write there needs no key. Over the API admins have POST /keys.
    """


@app.command("create")
def create_command(  # noqa: PLR0913 - one parameter per option
    name: Annotated[str, typer.Argument(help="Whose it is, or what for.", show_default=False)],
    *,
    role: Annotated[str, typer.Option(help="reader, trainer or admin.", show_default=True)] = "reader",
    days: Annotated[
        float | None, typer.Option(help="Days until it expires.", show_default="never", min=0.001, max=36_500)
    ] = None,
    open_jobs: Annotated[
        int | None,
        typer.Option(help="Most jobs that wait or run.", show_default="the service's", min=0),
    ] = None,
    upload_bytes: Annotated[
        int | None, typer.Option(help="Most bytes stored.", show_default="the service's", min=0)
    ] = None,
    gpu_hours: Annotated[
        float | None,
        typer.Option(help="Most hours that its jobs may run.", show_default="the service's", min=0),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and write it to stdout, this once: only its hash is kept.

    A reader looks at everything, a trainer also uploads, trains and deletes what is its own, an admin may do all.

    Examples:
      caliper keys create anna --role trainer --days 365
      CALIPER_API_KEY=$(caliper keys create me --role admin) caliper jobs list
    """
    from app.access import Role  # noqa: PLC0415 - as below, what takes long to load
    from app.actions.make_key import KeyWish, create_key  # noqa: PLC0415
    from app.errors import InvalidInput  # noqa: PLC0415

    if role not in ROLES:
        raise InvalidInput(f"{role!r} is no role", hint=", ".join(ROLES), pointer="--role")
    wish = KeyWish(
        name=name,
        role=Role(role),
        days=days,
        max_open_jobs=open_jobs,
        max_upload_bytes=upload_bytes,
        max_gpu_hours=gpu_hours,
    )
    with _registry() as database:
        made = create_key(database, wish)
    if as_json:
        terminal.print_json({**_plain(made.row), "key": made.secret})
        return
    article = "an" if role == "admin" else "a"
    terminal.say(f"{made.row.id}: {article} {role}'s key for {terminal.plain(name)}; it is shown this once")
    terminal.write(made.secret)


@app.command("list")
def list_command(*, as_json: AsJson = False) -> None:
    """Show the keys, the newest first, revoked ones too.

    Example:
      caliper keys list
    """
    from app.registry.keys import list_keys  # noqa: PLC0415

    with _registry() as database, database.read() as session:
        rows = list_keys(session, limit=MOST)
    if as_json:
        terminal.print_json([_plain(row) for row in rows])
        return
    if not rows:
        terminal.say("there is no key yet; `caliper keys create NAME --role admin` makes one")
        return
    table = terminal.grid("key", "prefix", "role", "name", "state", "used (UTC)", whole=("key", "prefix"))
    for row in rows:
        used = "never" if row.last_used_at is None else figures.moment(row.last_used_at.isoformat())
        cells = (row.id, row.prefix, row.role, row.name, _state(row), used)
        table.add_row(*(terminal.cell(each) for each in cells))
    terminal.show(table)


@app.command("revoke")
def revoke_command(
    key: Annotated[str, typer.Argument(help="Id of the key, or its prefix.", show_default=False)],
    *,
    as_json: AsJson = False,
) -> None:
    """Make a key invalid for good. Services notice within CALIPER_KEY_CACHE_SECONDS.

    Example:
      caliper keys revoke caliper_3f9a2b1c04
    """
    from app.actions.revoke_key import revoke_key  # noqa: PLC0415

    with _registry() as database:
        row = revoke_key(database, key)
    if as_json:
        terminal.print_json(_plain(row))
        return
    terminal.say(f"{row.id}: revoked")


@contextmanager
def _registry() -> Iterator["Database"]:
    """The registry of this environment's settings, brought up to date: a first key comes before the first start."""
    from app.registry.database import Database, migrate  # noqa: PLC0415
    from app.settings import get_settings  # noqa: PLC0415

    settings = get_settings()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate(settings.database_url)
    database = Database(settings.database_url)
    try:
        yield database
    finally:
        database.close()


def _state(row: "ApiKey") -> str:
    from app.registry.keys import is_valid  # noqa: PLC0415

    if is_valid(row):
        return "valid"
    return "revoked" if row.revoked_at is not None else "expired"


def _plain(row: "ApiKey") -> dict[str, Any]:
    """A key as programs read it, without its hash."""
    columns = (column.name for column in row.__table__.columns if column.name != "sha256")
    return {name: getattr(row, name) for name in columns}
