"""What windows and FIFOs are in the units of a cost table, besides their memories.

Counted from the Verilog that is written of them (`abcost.emit.window`, `abcost.emit.fifo`): counters, adders of
addresses, registers behind memories. Selects among constants are counted as one select a bit for every two cases, as
four-input LUTs take them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from abcost.accelerator.design.buffers import Buffer, chunks
from abcost.accelerator.design.network import StageWindow
from abcost.cost.organisation import Unit

_WIDEST = 64
"""Bits of a register or select that is priced as one unit."""
_FLAGS = 4
"""Registers and selects of one bit in a window or a FIFO: there is room, a step is issued, its taps are there."""


def gather_units(buffer: Buffer) -> list[Unit]:
    """What puts arriving elements together into words."""
    parts = buffer.word // buffer.arriving
    if parts == 1:
        return []
    return [
        Unit("register", 1, (parts - 1) * buffer.arriving * buffer.edge.bits, lone=1),
        Unit("counter", 1, max(2, (parts - 1).bit_length())),
    ]


def window_units(buffer: Buffer, window: StageWindow, passes: int, folds: int, *, zeros: bool) -> list[Unit]:
    """Units of a sliding window besides its memory. zeros: taps outside the map are masked."""
    reading = buffer.reading
    assert reading is not None  # noqa: S101 - the buffer of a window has one
    address = (buffer.depth - 1).bit_length() + 1
    parts = buffer.word // reading.elements
    counts = [
        parts if reading.ports == 1 else 1, buffer.words_per_pixel, window.kernel[1] // reading.columns,
        window.kernel[0] // reading.rows, passes, folds, window.positions[1], window.positions[0],
    ]  # fmt: skip
    used = [count for count in counts if count > 1]
    taps = reading.elements * buffer.edge.bits
    found = [
        *gather_units(buffer),
        *(Unit("counter", 1, max(2, (count - 1).bit_length())) for count in used),
        Unit("counter", 1, address),  # words that came
        Unit("add", 2, address), Unit("register", 2, address),  # the address of the tap, words that are freed
        Unit("add", reading.ports + 1, address),  # what is ahead of it, what is held
        Unit("mux", -(-len(used) // 2), address),
        Unit("register", reading.ports, buffer.word_bits, lone=1), Unit("register", reading.ports, taps),
        Unit("register", 1, _FLAGS), Unit("mux", 1, _FLAGS),
    ]  # fmt: skip
    if parts > 1:
        found += [
            Unit("mux", (parts - 1) * reading.ports, taps),
            Unit("register", 1, (parts - 1).bit_length()),
        ]
    if window.padded:
        found += [Unit("register", 2 * reading.ports, 1)]
        found += [Unit("mux", 2 * reading.ports, 1)]
    if zeros and buffer.edge.bits == 1:
        found += [Unit("mux", reading.ports, taps)]
    return list(_in_words(unit for unit in found if unit.count))


def fifo_units(buffer: Buffer, pe: int | None) -> list[Unit]:
    """Units of a FIFO besides its memory. pe: of the engine that reads folds from it; None: the FIFO of the logits."""
    address, level = max(1, (buffer.depth - 1).bit_length()), buffer.depth.bit_length()
    parts = buffer.word // buffer.read
    found = [
        *gather_units(buffer), Unit("counter", 2, max(2, address)), Unit("add", 1, level), Unit("register", 1, level),
        Unit("register", 1, buffer.word_bits, lone=1), Unit("register", 1, 2), Unit("mux", 1, _FLAGS),
    ]  # fmt: skip
    if parts > 1:
        found += [
            Unit("mux", parts - 1, buffer.read * buffer.edge.bits),
            Unit("counter", 1, max(2, (parts - 1).bit_length())),
        ]
    if buffer.edge.passes > 1:
        counts = (buffer.words_per_pixel, buffer.edge.passes, buffer.edge.map.channels // (pe or 1))
        found += [Unit("counter", 1, max(2, count.bit_length())) for count in counts if count > 1]
        found += [Unit("register", 1, address), Unit("mux", 1, address)]
    if pe is not None:
        more, less = chunks(buffer, pe)
        unused = max(buffer.depth * more, less).bit_length()
        found += [Unit("add", 1, unused), Unit("register", 1, unused)]
    return list(_in_words(found))


def _in_words(units: Iterable[Unit]) -> Iterator[Unit]:
    """Registers and selects of many bits as several side by side, as wide as the laws reach."""
    for unit in units:
        whole, rest = divmod(unit.width, _WIDEST)
        if unit.width <= _WIDEST:
            yield unit
            continue
        yield replace(unit, count=unit.count * whole, width=_WIDEST)
        if rest:
            yield replace(unit, width=rest)
