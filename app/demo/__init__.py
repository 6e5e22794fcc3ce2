"""`caliper demo`: the main job end to end on this machine, every step checked.

tour.py    the steps, in order, each returning what the next needs
checks.py  what must hold after each; raises DemoFailed
home.py    where it runs: a folder and a port of its own
view.py    what it shows, as a protocol: the command line draws it
"""

from app.demo.checks import DemoFailed
from app.demo.home import DemoOptions
from app.demo.tour import run_demo
from app.demo.view import View

__all__ = ["DemoFailed", "DemoOptions", "View", "run_demo"]
