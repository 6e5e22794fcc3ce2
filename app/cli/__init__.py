"""`caliper …`: the command line. Sizes, inspects and compares offline; serves, trains and lists over the API.

commands.py     the tree of commands
group.py        what all commands have in common: errors in words, exit codes, help
completion.py   what a shell offers after Tab
options.py      options that several commands take
terminal.py     where output goes: consoles, JSON
figures.py      bytes, counts, times and shares as people read them
estimate.py  inspect.py                                offline: estimate, inspect, diff
serve.py  demo.py  migrate.py                          this machine's service
registry.py  backup.py  keys.py                        its upkeep: tidy; backup and restore; API keys
train.py  jobs.py  checkpoints.py  checkpoint_labels.py  datasets.py  workers.py   over the API
progress.py     a job's event stream as a live bar, or as plain lines
tracking.py     a job for TensorBoard or MLflow
transfer.py     how far an upload or a download is
report.py  difference.py  result.py  job_report.py      how reports, diffs, results and evaluations look
"""

import os
import sys
from typing import Any, NoReturn

from app.cli.commands import app
from app.cli.group import EXIT_ERROR
from app.cli.terminal import print_problem

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line of this process; a defect of Caliper itself is one line too, unless asked for more."""
    try:
        app(prog_name="caliper")
    except Exception as error:
        if os.environ.get("CALIPER_TRACEBACK"):
            raise
        if getattr(error, "title", "") == "Settings":
            _refuse_settings(error)
        hint = "this is a defect of caliper; CALIPER_TRACEBACK=1 shows where, for a report"
        print_problem(f"unexpected {type(error).__name__}: {error}", hint=hint)
        sys.exit(EXIT_ERROR)


def _refuse_settings(error: Any) -> NoReturn:
    """Say which settings are wrong, without their values."""
    from app.settings import describe_mistakes  # noqa: PLC0415 - pydantic takes long to load

    print_problem(describe_mistakes(error), hint="caliper doctor looks at all settings")
    sys.exit(EXIT_ERROR)
