"""What an accelerator has besides its engines, and an estimate does not contain: every report of a device lists it."""

from __future__ import annotations

NOT_INCLUDED = (
    "DMA and the controller of a memory outside",
    "converters of width between layers, and FIFOs between layers other than those where branches meet",
    "the interface to a host, and control and status registers",
    "clock generation, clock tree and reset",
    "input and output pins, and conversion of images to numbers",
    "loading of weights into URAM and memory outside, and refresh and other users of that memory",
    "what placement and routing add: copies of registers, LUTs that route through, cells that cannot share a slice",
)
"""Texts for people."""
