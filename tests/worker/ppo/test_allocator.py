import subprocess
import sys

from worker.ppo import allocator

PROBE = """
import resource, torch
from worker.ppo.allocator import keep_freed_memory
kept = keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    torch.zeros(2**24)  # 64 MB, above what glibc would keep by itself
before = faults()
for _ in range(5):
    torch.zeros(2**24)
print(int(kept), faults() - before)
"""


def test_large_memory_is_not_mapped_anew() -> None:
    # In a process of its own: the setting would stay with this one.
    done = subprocess.run([sys.executable, "-c", PROBE], check=True, capture_output=True, text=True)
    kept, faults = map(int, done.stdout.split())
    # Mapped anew, each of 5 times 64 MB would fault 16,384 pages of 4 KiB, or 32 huge ones.
    assert faults < 100 if kept else faults >= 0


def test_elsewhere_than_under_glibc_nothing_is_done(monkeypatch: object) -> None:
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("musl", "1.2"))  # type: ignore[attr-defined]
    assert not allocator.keep_freed_memory()
