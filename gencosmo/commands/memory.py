"""Memory of a process whose job is one run: kept between windows instead of given back and fetched again."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of glibc's malloc.h."""
LARGEST_BLOCK = 32 << 20
"""The most that glibc lets be kept in one block; a network's output for one window is a tenth of it."""
LARGEST_REST = 512 << 20
"""Free memory at the top above which some is given back."""


def keep_memory() -> bool:
    """Ask the C library to keep freed blocks of a few megabytes; False where it is not glibc.

    By default each is a mapping of its own: a network's output costs a page fault for every 4 KiB, window after window.
    Only the command line asks for this, a library must leave its host's memory alone.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, LARGEST_BLOCK)) and bool(mallopt(_TRIM_THRESHOLD, LARGEST_REST))
