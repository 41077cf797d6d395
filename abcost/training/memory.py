"""Memory that a training process gives back only at its end."""

from __future__ import annotations

import ctypes

_TRIM, _TOP, _MMAP = -1, -2, -3  # M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD of glibc's malloc.h
_LARGEST = 2**25  # bytes; what is larger is mapped and unmapped each time, as before
_KEPT = 2**30  # bytes that may lie idle
_AHEAD = 2**26  # bytes that are taken at once


def keep_memory() -> None:
    """Have glibc keep freed memory; without it, nothing happens. For processes that do nothing but train.

    Activations of some megabytes are freed and asked for again hundreds of times a step. By default the kernel takes
    their pages back and clears them anew, which took a tenth of a step of eight networks side by side.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # not glibc
        return
    for option, value in ((_MMAP, _LARGEST), (_TRIM, _KEPT), (_TOP, _AHEAD)):
        mallopt(option, value)
