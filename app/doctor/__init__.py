"""What is wrong with an installation, in words: every check on its own, each with a time limit, none needs the others.

finding.py    what a check says: ok, a warning or a problem, and what to do
examine.py    all checks at once, and settings that cannot be read
machine.py    Python, packages, open files, the device that PyTorch sees
folders.py    the data folder: rights, disk, kind of file system
database.py   the registry: answers, tables, clock, queued jobs of other prefixes
broker.py     Redis: answers, version, durability, memory policy
api.py        the API at its address, or who has its port; keys; what /readyz says
workers.py    workers: alive, silent, release, clocks
artifacts.py  the storage, and a sample of its files against their rows
"""

from app.doctor.examine import examine
from app.doctor.finding import Finding, Verdict

__all__ = ["Finding", "Verdict", "examine"]
