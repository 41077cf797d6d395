"""What the published unit table may have measured: for each of its rows, the unit of ours that takes as much.

The paper names its units ("bit-shift", 32 bits) without Verilog. A reading says which circuit is meant and how many
numbers had to be chosen for it to fit; readings that do not fit stand beside it, so that the choice can be judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from abcost.rtl.unit import Unit, build

WIDTH = 32
"""Bits of the published units."""


@dataclass(frozen=True, slots=True)
class Reading:
    """`row` of the published table, read as unit `op` with `parameters`.

    meant: whether it is taken for what was published; fitted: how many of its parameters were chosen to fit.
    """

    row: str
    op: str
    parameters: Mapping[str, Any]
    text: str
    meant: bool = True
    fitted: int = 0

    @property
    def unit(self) -> Unit:
        """The hardware."""
        return build(self.op, width=WIDTH, **self.parameters)


READINGS = (
    Reading("multiplier", "multiply", {}, "plain signed product, 32 x 32 -> 64 bits"),
    Reading("bit-shift", "shift_two_way", {"amount": 3}, "two-way logical shift: by 3 bits or not"),
    Reading("bit-shift", "shift_constant", {"exponent": -3}, "constant shift: wiring", meant=False),
    Reading(
        "bit-shift",
        "shift_select",
        {"exponents": tuple(range(-31, 1))},
        "barrel shifter, arithmetic, 0 to 31 bits",
        meant=False,
    ),
    Reading("PReLU", "prelu", {"fraction_bits": 10}, "multiplier and select, 10 fraction bits", fitted=1),
    Reading("PReLU", "prelu", {"fraction_bits": 16}, "multiplier and select, 16 fraction bits", meant=False),
    Reading("quantized PReLU", "qprelu", {"exponents": (-3,)}, "one fixed exponent, right shift"),
    Reading("quantized PReLU", "qprelu", {"exponents": (1,)}, "one fixed exponent, left shift"),
    Reading(
        "quantized PReLU",
        "qprelu",
        {"exponents": tuple(range(-31, 1))},
        "exponent chosen at run time, 0 to -31",
        meant=False,
    ),
)
"""In the order of the published table."""
