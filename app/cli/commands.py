"""The tree of commands."""

import typer

from app.cli import checkpoints, dataset_check, datasets, jobs
from app.cli.demo import demo_command
from app.cli.estimate import estimate_command
from app.cli.group import EXIT_CODES, CaliperGroup
from app.cli.inspect import diff_command, inspect_command
from app.cli.migrate import migrate_command
from app.cli.selftest import selftest_command
from app.cli.serve import serve_command
from app.cli.train import train_command
from app.cli.workers import workers_command

app = typer.Typer(
    name="caliper",
    cls=CaliperGroup,
    help="Size, train, inspect and compare PPO networks for trading.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

OFFLINE, HERE, SERVICE = "Offline, on files", "This machine", "Over the API of a running service"

app.command("estimate", rich_help_panel=OFFLINE)(estimate_command)
app.command("inspect", rich_help_panel=OFFLINE)(inspect_command)
app.command("diff", rich_help_panel=OFFLINE)(diff_command)
app.add_typer(dataset_check.app, name="dataset", rich_help_panel=OFFLINE)
app.command("demo", rich_help_panel=HERE)(demo_command)
app.command("selftest", rich_help_panel=HERE)(selftest_command)
app.command("serve", rich_help_panel=HERE)(serve_command)
app.command("migrate", rich_help_panel=HERE)(migrate_command)
app.command("train", rich_help_panel=SERVICE)(train_command)
app.add_typer(jobs.app, name="jobs", rich_help_panel=SERVICE)
app.add_typer(checkpoints.app, name="checkpoints", rich_help_panel=SERVICE)
app.add_typer(datasets.app, name="datasets", rich_help_panel=SERVICE)
app.command("workers", rich_help_panel=SERVICE)(workers_command)
