"""The one-machine stack: bundled Redis, SQLite, the API and one worker as child processes.

stack.py      LocalStack: start, watch, restart, stop
services.py   what runs: command, environment and readiness of each service
prepare.py    private folders and a free port, before the first start
child.py      one child process: start, log, tail, stop
tether.py     the launcher that ends a child when the stack dies
lock.py       one stack per data_dir; what a killed stack left behind
migrate.py    the registry's tables brought up to date
processes.py  who is alive, since when, and with which descendants
"""

from app.local.services import Service, default_services
from app.local.stack import LocalStack

__all__ = ["LocalStack", "Service", "default_services"]
