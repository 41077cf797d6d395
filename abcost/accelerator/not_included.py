"""What an accelerator has besides its engines, and an estimate does not contain: every report of a device lists it."""

from __future__ import annotations

_FPGA = (
    "DMA and the controller of a memory outside",
    "control of windows that no circuit is written of (grouped and transposed convolutions, computed factors)",
    "the interface to a host, and control and status registers",
    "clock generation, clock tree and reset",
    "input and output pins, and conversion of images to numbers",
    "loading of weights into URAM and memory outside, and refresh and other users of that memory",
    "what placement and routing add: copies of registers, LUTs that route through, cells that cannot share a slice",
)
_SILICON = (
    "wires, buffers, the clock tree and clock gates: registers that wait are clocked, but for the low end",
    "the ring around macros, power straps, tap and fill cells other than by the share that cells fill",
    "control of windows that no circuit is written of (grouped and transposed convolutions, computed factors)",
    "the interface to a host, control and status registers, clock generation and reset, pads",
    "loading of weights into macros and memory outside",
)


def not_included(*, silicon: bool) -> tuple[str, ...]:
    """Texts for people, of a block of silicon or of an FPGA."""
    return _SILICON if silicon else _FPGA
