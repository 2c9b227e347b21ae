"""Tuning of the memory allocator."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_MAX_MMAP, _OLD_MAX_MMAP = 2**30, 2**25  # the second is the maximum of older versions


def keep_freed_memory() -> None:
    """Lets the C library keep what is freed for what is asked for next.

    A network that runs over one batch after another asks for the same large blocks again and again.
    glibc gives each back to the system, which has to fill every page of the next one with zeros: up
    to a fifth of the time on a processor. Nothing happens where the C library is another one.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # not Linux, or musl
        return
    # By the second setting alone the first would stay at what it is, and no longer grow by itself.
    if mallopt(_MMAP_THRESHOLD, _MAX_MMAP) or mallopt(_MMAP_THRESHOLD, _OLD_MAX_MMAP):
        mallopt(_TRIM_THRESHOLD, _MAX_MMAP)
