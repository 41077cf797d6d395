"""What an accelerator has besides its engines, and an estimate does not contain: every report of a device lists it."""

from __future__ import annotations

_FPGA = (
    "DMA and the controller of a memory outside",
    "converters of width between layers, and FIFOs between layers other than those where branches meet",
    "the interface to a host, and control and status registers",
    "clock generation, clock tree and reset",
    "input and output pins, and conversion of images to numbers",
    "loading of weights into URAM and memory outside, and refresh and other users of that memory",
    "what placement and routing add: copies of registers, LUTs that route through, cells that cannot share a slice",
)
_SILICON = (
    "wires, buffers, the clock tree and clock gates: registers that wait are clocked, but for the low end",
    "windows as a circuit has them: as deep as a power of two, also where one pixel is read; the FIFO of the logits",
    "the ring around macros, power straps, tap and fill cells other than by the share that cells fill",
    "converters of width between layers, and FIFOs between layers other than those where branches meet",
    "the interface to a host, control and status registers, clock generation and reset, pads",
    "loading of weights into macros and memory outside",
)


def not_included(*, silicon: bool) -> tuple[str, ...]:
    """Texts for people, of a block of silicon or of an FPGA."""
    return _SILICON if silicon else _FPGA
