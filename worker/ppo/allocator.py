"""Keeps freed memory within the process, so that large temporaries are not mapped anew each time."""

import ctypes
import platform
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
"""mallopt's parameters, from glibc's malloc.h."""

KEPT_BYTES = 2**31 - 2**12
"""Free memory at the heap's top that is not given back: mallopt takes an int."""

TOP_PAD_BYTES = 64 * 2**20
"""How much the heap grows at a time."""


def keep_freed_memory() -> bool:
    """Have glibc reuse large blocks instead of mapping and clearing new pages for each; whether it does.

    glibc maps every block above 32 MB by itself and gives it back when it is freed: each page of the next
    one is then faulted in and cleared again. To be called before the first large allocation, in a process
    that trains; elsewhere than under glibc it does nothing. Costs memory that was freed but stays with the
    process, at most that of its busiest moment.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: KEPT_BYTES, _M_TOP_PAD: TOP_PAD_BYTES}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
