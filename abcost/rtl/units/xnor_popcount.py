"""XNOR-popcount: how many of N weight bits agree with N activation bits; and how many of N bits are 1.

Two structures. `tree`: a balanced tree of adders. `compressor`: one full adder per three XNORs (each of its two
outputs is a function of six bits: one LUT6), then columns of equal weight go through 6:3 counters (three LUT6
each) until two rows are left, which one adder joins. Compressors after BISMO's popcount unit (Umuroglu et al.).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from abcost.core.bits import popcount_bits
from abcost.core.integer import popcount
from abcost.core.lazy import torch
from abcost.errors import UsageError
from abcost.rtl.sweep import by_bits, delays_by_bits
from abcost.rtl.unit import MOST_BITS, Port, Unit, Values, template

STRUCTURES = ("compressor", "tree")


@template(
    "xnor_popcount",
    "binary dot product of `bits` inputs per cycle",
    sweep=by_bits(),
    delays=delays_by_bits(576),
)
def xnor_popcount(*, bits: int, structure: str = "compressor", masked: bool = False) -> Unit:
    """p = number of i in 0 … bits - 1 with a_i = w_i, in ceil(log2(bits + 1)) bits.

    masked: of those with m_i = 1 only (taps inside the image, weights that are not 0).
    """
    same = "~(a{i} ^ w{i})" + (" & m{i}" if masked else "")
    ports = ("a", "w", "m") if masked else ("a", "w")

    def agree(v: Values) -> torch.Tensor:
        both = v["a"] == v["w"]
        return both & (v["m"] == 1) if masked else both

    return _counter("xnor_popcount" + "_masked" * masked, ports, bits, structure, same, agree)


@template(
    "masked_popcount",
    "xnor_popcount of `bits` inputs with a mask bit each",
    sweep=by_bits(288),
    delays=delays_by_bits(144),
)
def masked_popcount(*, bits: int, structure: str = "compressor") -> Unit:
    """p = number of i in 0 … bits - 1 with a_i = w_i and m_i = 1."""
    return xnor_popcount(bits=bits, structure=structure, masked=True)


@template("plain_popcount", "how many of `bits` bits are 1", sweep=by_bits(288), delays=delays_by_bits(144))
def plain_popcount(*, bits: int, structure: str = "compressor") -> Unit:
    """p = number of i in 0 … bits - 1 with a_i = 1: where weights are constants, or taps are counted."""
    return _counter("popcount", ("a",), bits, structure, "a{i}", lambda v: v["a"] == 1)


def _counter(
    name: str,
    ports: tuple[str, ...],
    bits: int,
    structure: str,
    same: str,
    agree: Callable[[Values], torch.Tensor],
) -> Unit:
    """A unit that counts the bits of which the expression `same` holds."""
    if structure not in STRUCTURES or not 1 <= bits <= MOST_BITS:
        raise UsageError(
            f"a popcount has 1 to {MOST_BITS} bits and a structure out of {', '.join(STRUCTURES)}, "
            f"got {bits} and {structure!r}"
        )
    pairs = [same.format(i=f"[{i}]" if bits > 1 else "") for i in range(bits)]
    body = _tree(pairs) if structure == "tree" else _compressor(pairs)
    return Unit(
        name=f"{name}_n{bits}" + ("_tree" if structure == "tree" else ""),
        inputs=tuple(Port(port, 1, bits, signed=False) for port in ports),
        outputs=(Port("p", popcount_bits(bits), signed=False),),
        body=body,
        model=lambda v: {"p": popcount(agree(v).reshape(len(v["a"]), bits))},
    )


def _tree(pairs: list[str]) -> str:
    bits = len(pairs)
    lines = [f"    wire [{bits - 1}:0] same = {{{', '.join(reversed(pairs))}}};"]
    live = [(f"same[{i}]" if bits > 1 else "same", 1) for i in range(bits)]
    level = 0
    while len(live) > 1:
        level += 1
        merged = []
        for i in range(0, len(live) - 1, 2):
            (a, most_a), (b, most_b) = live[i : i + 2]
            most = most_a + most_b
            name = f"s{level}_{i // 2}"
            lines.append(f"    wire [{popcount_bits(most) - 1}:0] {name} = {a} + {b};")
            merged.append((name, most))
        if len(live) % 2:
            merged.append(live[-1])
        live = merged
    return "\n".join([*lines, f"    assign p = {live[0][0]};"])


class _Columns:
    """Bits waiting to be added, by weight 2**column, and the Verilog that made them."""

    def __init__(self) -> None:
        self.waiting: dict[int, list[str]] = defaultdict(list)
        self.lines: list[str] = []
        self._made = 0

    def wire(self, width: int, expression: str) -> str:
        name = f"c{self._made}"
        self._made += 1
        span = f"[{width - 1}:0] " if width > 1 else ""
        self.lines.append(f"    wire {span}{name} = {expression};")
        return name

    def count(self, bits: list[str], column: int) -> None:
        """Replace up to six bits of one weight by their count."""
        width = popcount_bits(len(bits))
        name = self.wire(width, " + ".join(bits))
        for place in range(width):
            self.waiting[column + place].append(f"{name}[{place}]" if width > 1 else name)

    def reduce_once(self) -> None:
        """One layer of counters: every column of three bits or more loses two thirds to a half of them."""
        before, self.waiting = self.waiting, defaultdict(list)
        for column in sorted(before):
            bits = before[column]
            whole = len(bits) // 6 * 6
            for i in range(0, whole, 6):
                self.count(bits[i : i + 6], column)
            rest = bits[whole:]
            if len(rest) >= 3:
                self.count(rest, column)
            else:
                self.waiting[column] += rest


def _compressor(pairs: list[str]) -> str:
    columns, bits = _Columns(), len(pairs)
    for i in range(0, bits, 3):
        same = [columns.wire(1, pair) for pair in pairs[i : i + 3]]
        columns.count(same, 0)
    while max(map(len, columns.waiting.values())) > 2:
        columns.reduce_once()
    width = popcount_bits(bits)
    rows = []
    for row in range(2):
        word = [
            columns.waiting[c][row] if len(columns.waiting[c]) > row else "1'b0"
            for c in reversed(range(width))
        ]
        rows.append(f"{{{', '.join(word)}}}")
    return "\n".join([*columns.lines, f"    assign p = {rows[0]} + {rows[1]};"])
