"""What a command that is done in seconds does without: memory that is kept for later, threads, searches for cycles."""

from __future__ import annotations

import ctypes
import gc
import sys

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h
_LARGE = 1 << 20  # bytes
_YOUNG = 50_000  # objects; Python's own 700 are made thousands of times while torch is imported


def look_for_cycles_seldom() -> None:
    """Python looks for cycles among new objects after 50,000 of them."""
    gc.set_threshold(_YOUNG)


def end_at_once() -> None:
    """No search for cycles among the million objects of torch while the interpreter ends: it would make three."""
    gc.freeze()


def give_back_large_blocks() -> None:
    """Have every block of 1 MiB or more returned to the system when it is freed, from here on.

    The C library of Linux keeps such blocks once it has seen a few, and a command that makes a large tensor per layer
    would hold several at once, with holes between them. Does nothing where the C library has no such setting.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it, musl does not
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, _LARGE)


def one_thread() -> None:
    """Tracing computes with weights, one layer at a time: further threads would spin more than they compute."""
    import torch

    torch.set_num_threads(1)
