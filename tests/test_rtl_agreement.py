"""The accelerator estimate prices the units that the emitted Verilog instantiates."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from abcost.accelerator.datapath import parts, streamed
from abcost.accelerator.engine import engines
from abcost.accelerator.folding import Folding
from abcost.core.kinds import OpKind
from abcost.cost.fused import apart
from abcost.cost.organisation import Unit
from abcost.emit.layer import find_engine
from layers import path_of, prepared

RESIDUAL = ("reactnet_18", "layer1.0.conv1")  # scale, alpha, residual add, RPReLU, threshold; 64 channels
DOWN = ("reactnet_18", "layer2.0.conv1")  # scale and alpha only; 128 channels
POINTWISE = ("reactnet_a", "feature.1.binary_pw_down1")  # scale, alpha, residual add; 32 channels, 32 taps
BIASED = ("detach", "block.conv")  # scale, bias, one factor for all channels; 6 channels, 36 taps
BARE = ("where", "linear")  # the dot product alone; 10 channels, 96 taps

# Where a residual operand waits in the emitted layer: popcount, (sum,) 2p - K, scale; where one result waits for
# another: the value for its threshold.
UNFOLDED, FOLDED = 3, 4
CASES = [
    (*RESIDUAL, 1, 576, UNFOLDED + 1),
    (*RESIDUAL, 4, 576, UNFOLDED + 1),
    (*RESIDUAL, 64, 576, UNFOLDED + 1),
    (*RESIDUAL, 1, 64, FOLDED + 1),
    (*RESIDUAL, 1, 1, FOLDED + 1),
    (*DOWN, 1, 576, 0),
    (*DOWN, 128, 576, 0),
    (*DOWN, 1, 192, 0),
    (*POINTWISE, 1, 32, UNFOLDED),
    (*POINTWISE, 8, 32, UNFOLDED),
    (*POINTWISE, 1, 8, FOLDED),
    (*BIASED, 1, 36, 0),
    (*BIASED, 6, 36, 0),
    (*BIASED, 1, 12, 0),
    (*BARE, 5, 96, 0),
    (*BARE, 1, 32, 0),
]


def engine_of(name, layer, width):
    return find_engine(engines(prepared(name)[2], width), layer)


def counted(units):
    found = Counter()
    for unit in units:
        found[replace(unit, count=1)] += unit.count
    return found


@pytest.mark.parametrize("width", [14, 16])
@pytest.mark.parametrize(("name", "layer", "pe", "simd", "waits"), CASES)
def test_the_estimate_prices_what_the_verilog_instantiates(name, layer, pe, simd, waits, width):
    """Equal but for what `abcost.accelerator.datapath` lists: registers in which operands and results wait."""
    engine = engine_of(name, layer, width)
    fraction_bits = width - 4  # with few, the constants of a lane may round to one, which needs no ROM
    emitted = path_of(name, layer, pe=pe, simd=simd, width=width, fraction_bits=fraction_bits)
    chain = {node.name for node in emitted.scope.chain}
    assert chain == {work.node.name for work in engine.chain}
    waiting = Counter({Unit("register", 1, width): waits * pe})
    ours = counted(emitted.priced)
    estimate = counted(streamed(engine, Folding(pe, simd), width=width, fraction_bits=fraction_bits))
    assert ours == estimate + waiting


@pytest.mark.parametrize(("pe", "simd"), [(1, 576), (4, 192), (64, 576)])
def test_every_unit_of_the_verilog_is_priced(pe, simd):
    """Modules instantiated in the text, by template, are those that `priced` lists; constant shifts are wiring."""
    path = path_of(*RESIDUAL, pe=pe, simd=simd)
    names = {unit.name: unit.name.split("_")[0] for unit in path.unit.needs}
    lines = (line.split()[0] for line in path.unit.body.splitlines() if "_unit (" in line)
    instances = Counter(names[module] for module in lines)
    assert instances.pop("shift") == pe
    called = {"xnor_popcount": "xnor"}
    priced = Counter()
    for unit in (part for one in path.priced for part in apart(one)):
        priced[called.get(unit.op, unit.op)] += unit.count
    priced["register"] += pe  # of 2p - K, in the DSP
    instances["add"] += instances.pop("subtract")
    assert instances == priced


def needed(engine, fraction_bits):
    """Bits of the constants of the chain, by role: the shortest two's complement that holds every rounded value."""
    found = {"value": []}
    for work in engine.chain:
        for role, constant in work.node.consts.items():
            values = [round(v * 2**fraction_bits) for v in constant.real().flatten().tolist()]
            bits = next(n for n in range(1, 33) if all(-(2 ** (n - 1)) <= v < 2 ** (n - 1) for v in values))
            if role == "value":
                found["value"].append(bits)
            else:
                found[role] = bits
    return found


def test_units_by_hand():
    """ReActNet-18, 64 channels of 576 taps in 4 lanes of 64 taps: 9 steps, so one chain serves all four lanes."""
    engine = engine_of(*RESIDUAL, 16)
    units = counted(parts(engine, Folding(4, 64), width=16, fraction_bits=8))
    stored = needed(engine, fraction_bits=8)
    roms = [stored["factor"], *stored["value"], stored["level"]]  # scale, biases, threshold
    assert units == Counter(
        {
            Unit("xnor_popcount", 1, 1, bits=64): 4,
            Unit("register", 1, 7): 4,  # 0 … 64
            Unit("accumulate", 1, 10): 4 + 1,  # 0 … 576; and the counter of 32 * 32 positions
            Unit("mux", 1, 10): 4 - 1,  # one popcount of four
            Unit(
                "scale_dot", 1, 16, bits=576
            ): 1,  # 2p - K and the scale of the weights; alpha = 2**-2 is wiring
            Unit("add", 1, 16): 1 + 2,  # residual, biases
            Unit("compare", 1, 16): 1,
            # -7 … 2, of which 1 and 0 are 1 + 2 below the largest
            Unit("qprelu", 1, 16, exponents=10, choices=10, span=9, left=2, factored=0, inner=3): 1,
            Unit("register", 1, 16): 5,
            Unit("register", 1, 1): 2,  # of the threshold; of the first step, behind the popcount
            Unit("rom", 1, 4, depth=64): 1,  # shift amounts 0 … 9
            Unit("register", 1, 6): 8,  # the channel, from the popcount up to the threshold
            Unit("accumulate", 1, 4): 2,  # counters of 16 folds and of 9 steps
        }
    ) + Counter(Unit("rom", 1, bits, depth=64) for bits in roms)


def test_a_sign_and_a_constant_shift_are_wiring():
    """Without a threshold behind it, alpha = 2**-2 adds nothing to the scale."""
    engine = engine_of(*DOWN, 16)
    (scale, shift) = engine.chain
    assert (scale.node.kind, shift.node.kind) == (OpKind.SCALE, OpKind.SHIFT)
    folding = Folding(1, 576)
    alone = replace(engine, chain=(scale,))
    assert streamed(engine, folding, width=16, fraction_bits=8) == streamed(
        alone, folding, width=16, fraction_bits=8
    )
