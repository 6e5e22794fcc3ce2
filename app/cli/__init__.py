"""`caliper …`: the command line. Sizes, inspects and compares offline; serves, trains and lists over the API.

commands.py     the tree of commands
group.py        what all commands have in common: errors in words, exit codes
options.py      options that several commands take
terminal.py     where output goes: consoles, JSON
figures.py      bytes, counts, times and shares as people read them
estimate.py  inspect.py                                offline: estimate, inspect, diff
serve.py  demo.py  migrate.py                          this machine's service
train.py  jobs.py  checkpoints.py  datasets.py  workers.py   over the API
progress.py     a job's event stream as a live bar, or as plain lines
report.py  difference.py  result.py  job_report.py      how reports, diffs, results and evaluations look
"""

from app.cli.commands import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line of this process."""
    app(prog_name="caliper")
