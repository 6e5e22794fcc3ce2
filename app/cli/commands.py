"""The tree of commands."""

from importlib.metadata import version
from typing import Annotated

import typer

from app.cli import checkpoints, datasets, jobs, keys, registry, workers
from app.cli.audit import audit_command
from app.cli.backup import backup_command, restore_command
from app.cli.calibrate import calibrate_command, calibrations_command
from app.cli.demo import demo_command
from app.cli.doctor import doctor_command
from app.cli.estimate import estimate_command
from app.cli.export import export_command
from app.cli.group import EXIT_CODES, CaliperGroup
from app.cli.inspect import diff_command, inspect_command
from app.cli.latency import latency_command
from app.cli.migrate import migrate_command
from app.cli.selftest import selftest_command
from app.cli.serve import serve_command
from app.cli.train import train_command


def show_version(asked: bool) -> None:  # noqa: FBT001 - typer hands it over by position
    """Print the version and end."""
    if asked:
        typer.echo(f"caliper {version('caliper')}")
        raise typer.Exit


app = typer.Typer(
    name="caliper",
    cls=CaliperGroup,
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=show_version, is_eager=True),
    ] = False,
) -> None:
    """Size, train, inspect and compare PPO networks for trading.

    First steps:
      caliper estimate --hidden 512,256,128   size a network, offline
      caliper inspect model.pt                read a checkpoint without running it
      caliper serve                           start everything on this machine
      caliper train --help                    submit a job and watch it

    Every command that shows something takes --json: data on stdout, remarks on stderr. Colours only on a terminal
    (NO_COLOR and FORCE_COLOR are heeded). --url or CALIPER_URL names another service, CALIPER_API_KEY holds your key to it. Tab completes commands, options,
    ids and names after `caliper --install-completion`.
    """


OFFLINE, HERE, SERVICE = "Offline, on files", "This machine", "Over the API of a running service"

app.command("estimate", rich_help_panel=OFFLINE)(estimate_command)
app.command("inspect", rich_help_panel=OFFLINE)(inspect_command)
app.command("diff", rich_help_panel=OFFLINE)(diff_command)
app.command("export", rich_help_panel=OFFLINE)(export_command)
app.command("demo", rich_help_panel=HERE)(demo_command)
app.command("selftest", rich_help_panel=HERE)(selftest_command)
app.command("calibrate", rich_help_panel=HERE)(calibrate_command)
app.command("latency", rich_help_panel=HERE)(latency_command)
app.command("serve", rich_help_panel=HERE)(serve_command)
app.command("doctor", rich_help_panel=HERE)(doctor_command)
app.command("migrate", rich_help_panel=HERE)(migrate_command)
app.add_typer(registry.app, name="registry", rich_help_panel=HERE)
app.add_typer(keys.app, name="keys", rich_help_panel=HERE)
app.command("backup", rich_help_panel=HERE)(backup_command)
app.command("restore", rich_help_panel=HERE)(restore_command)
app.command("train", rich_help_panel=SERVICE)(train_command)
app.add_typer(jobs.app, name="jobs", rich_help_panel=SERVICE)
app.add_typer(checkpoints.app, name="checkpoints", rich_help_panel=SERVICE)
app.add_typer(datasets.app, name="datasets", rich_help_panel=SERVICE)
app.add_typer(workers.app, name="workers", rich_help_panel=SERVICE)
app.command("calibrations", rich_help_panel=SERVICE)(calibrations_command)
app.command("audit", rich_help_panel=SERVICE)(audit_command)
