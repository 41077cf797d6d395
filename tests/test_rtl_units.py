"""Every unit's Verilog against its integer model in a simulator, and the models against the definitions."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from abcost.core.adders.shared import shared
from abcost.core.adders.signed_digits import signed_digits
from abcost.core.adders.unshared import unshared
from abcost.core.graph import OpGraph
from abcost.core.interpret import FixedPoint, execute
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from abcost.errors import ToolError, UnknownName, UsageError
from abcost.rtl.placed import placed
from abcost.rtl.simulate import simulate, simulator
from abcost.rtl.testbench import bench
from abcost.rtl.unit import Unit, build, templates
from abcost.rtl.units.exponents import prelu_selection
from abcost.rtl.vectors import rows_of
from simulators import need_simulator

WIDTHS = (4, 8, 13)

UNITS: dict[str, list[dict[str, object]]] = {
    "multiply": [*({"width": w} for w in WIDTHS), {"width": 32}, {"width": 8, "full": False}],
    "multiply_lut": [{"width": w} for w in (2, 3, *WIDTHS, 31, 32)],
    "multiply_constant": [{"width": w, "constant": c} for w in WIDTHS for c in (7, -45, 1, 64, 0)],
    "adder_graph": [
        {"graph": drawn(np.array(matrix)), "width": w}
        for drawn in (unshared, shared) for w in (1, *WIDTHS)
        for matrix in (
            [[3, 3, -7], [5, 5, 0], [0, 0, 0], [-64, 12, 1]], [[-45, 1]], [[1, -1, -1, 1, 1], [1, 1, -1, -1, 1]],
            [[6]])],
    "shift_add": [
        {"left": left, "left_shift": i, "right": w, "right_shift": j, "width": w + 9, "subtract": s}
        for w in WIDTHS for left, i, j in ((w, 0, 0), (w + 2, 3, 0), (w, 0, 7), (0, 0, 1)) for s in (False, True)],
    "add": [{"width": w, "subtract": s} for w in (*WIDTHS, 64) for s in (False, True)],
    "compare": [{"width": w} for w in WIDTHS],
    "compare_constant": [{"width": w, "level": v} for w in WIDTHS for v in (-8, 0, 5)],
    "mux": [{"width": w} for w in WIDTHS],
    "max": [{"width": w} for w in WIDTHS],
    "min": [{"width": w} for w in WIDTHS],
    "shift_constant": [{"width": w, "exponent": e} for w in WIDTHS for e in (-20, -3, 0, 2)],
    "shift_select": [
        {"width": w, "exponents": e} for w in WIDTHS for e in ((-2, 0), (-7, -1, 1), (-9, -8, -6, -3, -2))],
    "shift_two_way": [{"width": w, "amount": a} for w in (*WIDTHS, 32) for a in (1, 3)],
    "prelu": [{"width": w, "fraction_bits": f} for w in WIDTHS for f in (0, 3)],
    "qprelu": [
        {"width": w, "exponents": e}
        for w in WIDTHS
        for e in ((-1,), (2,), (0,), (-3, 0), (-3, -1), (-2, 1), (-3, -2, 1), (-7, -3, 0, 1), tuple(range(-13, 3)))
    ],
    "rprelu": [{"width": w, "fraction_bits": 3} for w in WIDTHS],
    "qrprelu": [{"width": w, "exponents": e} for w in WIDTHS for e in ((-3,), (-2, -1, 0, 1))],
    "qprelu_add": [{"width": w, "exponents": e} for w in WIDTHS for e in ((-3,), (-2, -1, 0, 1))],
    "scale_dot": [{"width": w, "bits": n} for w, n in ((8, 60), (13, 144), (16, 4608), (24, 576))],
    "xnor_popcount": [
        *({"bits": n, "structure": s} for n in (1, 2, 5, 36, 150) for s in ("compressor", "tree")),
    ],
    "masked_popcount": [{"bits": n} for n in (1, 2, 36)],
    "plain_popcount": [{"bits": n, "structure": s} for n in (1, 2, 5, 36, 150) for s in ("compressor", "tree")],
    "constant_popcount": [
        {"bits": n, "words": tuple(i * 0x9E3779B1 % (1 << n) for i in range(lanes))}
        for n, lanes in ((1, 2), (5, 1), (36, 3), (9, 16), (1, 1))
    ],
    "two_word_popcount": [
        {
            "bits": n,
            "masked": masked,
            "words": tuple((i * 0x9E3779B1 % (1 << n), i * 0x85EBCA77 % (1 << n)) for i in range(1, lanes + 1)),
        }
        for n, lanes, masked in ((36, 3, False), (1, 2, False), (5, 1, True), (9, 16, True), (1, 1, False))
    ],
    "masked_two_word_popcount": [
        {
            "bits": n,
            "words": tuple((i * 0x9E3779B1 % (1 << n), i * 0x85EBCA77 % (1 << n)) for i in range(1, lanes + 1)),
        }
        for n, lanes in ((36, 3), (1, 2), (9, 16))
    ],
    "signed_sum": [{"bits": n, "width": w} for n in (1, 2, 7, 27) for w in WIDTHS],
    "accumulate": [{"width": w} for w in WIDTHS] + [
        {"width": 10, "input_width": 7},
        {"width": 10, "input_width": 7, "enabled": True},
        {"width": 12, "input_width": 8, "signed": True, "enabled": True},
    ],
    "counter": [{"modulus": m} for m in (2, 3, 16, 37)],
    "burst": [{"length": n} for n in (2, 3, 8, 13)],
    "shift_out": [{"width": w, "inputs": i, "outputs": o} for w, i, o in ((4, 2, 1), (9, 6, 2), (1, 8, 4))],
    "gate": [{"width": w} for w in (1, *WIDTHS)],
    "hold": [{"width": w} for w in (1, *WIDTHS)],
    "pool": [
        {"width": w, "depth": d, "operation": o, "forward": f}
        for w, d, o, f in (
            (8, 4, "sum", False), (13, 5, "max", False), (8, 1, "sum", False), (8, 3, "sum", True),
            (9, 1, "max", True))
    ],
    "memory": [
        {"bits": b, "words": tuple((i * 37 + 11) % (1 << b) for i in range(n)), "place": p}
        for b, n, p in ((5, 2, "block"), (70, 9, "lutram"), (35, 27, "lutram"), (20, 300, "lutram"), (8, 300, "block"))
    ],
    "block_read": [{"bits": 5, "words": (3, 30)}],
    "register_file": [{"width": w, "depth": d} for w, d in ((4, 3), (1, 2), (13, 5), (32, 64))],
    "register": [{"width": w} for w in (1, *WIDTHS)],
    "rom": [
        {"width": w, "contents": tuple((i * 7 + 3) % (1 << w) - (1 << w - 1) for i in range(n))}
        for w, n in ((4, 2), (8, 20), (13, 64), (1, 5), (5, 65), (6, 200), (4, 400), (3, 600))
    ],
}  # fmt: skip

MUTATIONS: dict[str, tuple[str, str]] = {
    "multiply": ("a * b", "a * b ^ 1"),
    "multiply_lut": ("(d1[2] ^ d1[1])", "(d1[2] | d1[1])"),
    "multiply_constant": ("<<< 0", "<<< 1"),
    "adder_graph": (" - ", " + "),
    "shift_add": ("(q <<< 0)", "(q <<< 1)"),
    "add": ("a + b", "a | b"),
    "compare": (">=", ">"),
    "compare_constant": (">=", ">"),
    "mux": ("? b : a", "? a : b"),
    "max": ("? b : a", "? a : b"),
    "min": ("? a : b", "? b : a"),
    "shift_constant": (">>> 3", ">> 3"),
    "shift_select": (">>> 2", ">>> 1"),
    "shift_two_way": (">> 1", ">> 2"),
    "prelu": ("product[6:3]", "product[5:2]"),
    "qprelu": (">>> 1", ">> 1"),
    "rprelu": ("x + bias_in", "x - bias_in"),
    "qrprelu": ("bent + bias_out", "bent + bias_in"),
    "qprelu_add": ("bent + bias_out", "bent - bias_out"),
    "scale_dot": ("twice - ", "twice + "),
    "xnor_popcount": ("~(a[3] ^ w[3])", "(a[3] ^ w[3])"),
    "masked_popcount": ("& m[3]", "| m[3]"),
    "plain_popcount": ("c2 = a[2]", "c2 = ~a[2]"),
    "constant_popcount": ("~(a ^", "(a ^"),
    "two_word_popcount": ("s ?", "!s ?"),
    "masked_two_word_popcount": (" & m", ""),
    "counter": ("last ?", "!last ?"),
    "burst": ("start | more", "start & more"),
    "shift_out": ("load ?", "!load ?"),
    "gate": ("!keep", "keep"),
    "hold": ("if (load)", "if (!load)"),
    "pool": ("before + x", "before - x"),
    "memory": ("words[address]", "words[address ^ 1]"),
    "block_read": ("words[address]", "words[~address]"),
    "signed_sum": ("{root ^", "{root |"),
    "accumulate": ("first ?", "!first ?"),
    "register": ("kept <= d", "kept <= ~d"),
    "rom": ("4'h", "4'h1 ^ 4'h"),
    "register_file": ("target == 2'd1", "target == 2'd2"),
}
"""One wrong bit or operator per template, in the parameters named below."""

MUTATED: dict[str, dict[str, object]] = {
    **{name: cases[0] for name, cases in UNITS.items()},
    "shift_constant": {"width": 8, "exponent": -3},
    "shift_select": {"width": 8, "exponents": (-2, 0)},
    "prelu": {"width": 4, "fraction_bits": 3},
    "xnor_popcount": {"bits": 36},
    "masked_popcount": {"bits": 36},
    "plain_popcount": {"bits": 36},
    "counter": {"modulus": 37},
    "burst": {"length": 3},
    "multiply_lut": {"width": 8},
}


def passes(unit: Unit, folder: Path, rows: int = 200) -> bool:
    return simulate(bench(unit, rows_of(unit, rows)), folder, tool=need_simulator()).passed


def cases_of(op: str) -> list[dict[str, object]]:
    """Parameters named above; of a unit that is not there a dozen of those that its own file measures."""
    sweep = templates.get(op).sweep
    if op in UNITS or sweep is None:
        return UNITS[op]
    found = sweep(quick=True)
    samples = found.samples or (found.cells and found.cells.samples) or ()
    return [dict(sample.parameters) for sample in samples[:: -(-len(samples) // 12)]]


@pytest.mark.parametrize("op", templates.names())
def test_verilog_computes_what_the_model_says(op, tmp_path):
    for number, parameters in enumerate(cases_of(op)):
        unit = build(op, **parameters)
        outcome = simulate(bench(unit, rows_of(unit, 200)), tmp_path / str(number), tool=need_simulator())
        assert outcome.passed, f"{unit.name}\n{outcome.log}"


@pytest.mark.parametrize("op", MUTATIONS)
def test_a_wrong_bit_is_caught(op, tmp_path):
    unit = build(op, **MUTATED[op])
    right, wrong = MUTATIONS[op]
    assert right in unit.body, f"the mutation does not apply any more:\n{unit.body}"
    assert passes(unit, tmp_path / "right")
    assert not passes(replace(unit, body=unit.body.replace(right, wrong, 1)), tmp_path / "wrong")


@pytest.mark.parametrize("op", sorted(set(templates.names()) - set(MUTATIONS)))
def test_a_model_that_is_wrong_in_one_bit_is_caught(op, tmp_path):
    """Of units without a mutation of their own: the lowest bit of every output, in one row of all."""
    unit = build(op, **cases_of(op)[-1])

    def wrong(values):
        found = {name: rows.clone() for name, rows in unit.model(values).items()}
        for rows in found.values():
            rows[-1] ^= 1
        return found

    assert passes(unit, tmp_path / "right")
    assert not passes(replace(unit, model=wrong), tmp_path / "wrong")


def test_both_simulators_agree(tmp_path):
    if not (shutil.which("iverilog") and shutil.which("verilator")):
        pytest.skip("needs both Icarus Verilog and Verilator")
    unit = build("qrprelu", width=8, exponents=(-3, 0, 1))
    for tool in ("iverilog", "verilator"):
        assert simulate(bench(unit, rows_of(unit, 50)), tmp_path / tool, tool=tool).passed


def test_a_placed_unit_computes_the_same(tmp_path):
    for op in ("qprelu", "accumulate"):
        assert passes(placed(build(op, **UNITS[op][-1])), tmp_path / op)


@pytest.mark.parametrize("exponents", [(-3,), (-5, -1), (-7, -3, 0, 1), (-9, -7, -4, -2, 0, 1, 2)])
def test_qprelu_is_the_interpreters_shift_prelu(exponents):
    """The model the RTL is held against computes what the reference interpreter executes, 8 fraction bits."""
    selection = prelu_selection(exponents, 32)
    x = torch.arange(-600, 600)
    unit = build("qprelu", width=32, exponents=exponents)
    for exponent in exponents:
        values = {"x": x, "code": torch.full_like(x, selection.code(exponent))}
        node = OpNode(
            "y", OpKind.SHIFT_PRELU, (1, 1), consts={"exponent": Constant(torch.tensor([float(exponent)]))}
        )
        assert torch.equal(unit.model(values)["y"], run_one(node, x, fraction_bits=8))


@pytest.mark.parametrize("slope", [-37, 0, 5, 255])
def test_prelu_is_the_interpreters_prelu(slope):
    """Slope slope / 2**8 on values with 8 fraction bits."""
    x = torch.arange(-600, 600)
    unit = build("prelu", width=32, fraction_bits=8)
    node = OpNode("y", OpKind.PRELU, (1, 1), consts={"slope": Constant(torch.tensor([slope / 256]))})
    found = unit.model({"x": x, "slope": torch.full_like(x, slope)})["y"]
    assert torch.equal(found, run_one(node, x, fraction_bits=8))


def run_one(node: OpNode, x: torch.Tensor, fraction_bits: int) -> torch.Tensor:
    graph = OpGraph(
        [OpNode("x", OpKind.INPUT, (1, 1)), node, OpNode("out", OpKind.OUTPUT, (1, 1))],
        {"y": ["x"], "out": ["y"]},
    )
    value = execute(graph, [x[:, None] / 2.0**fraction_bits], FixedPoint(fraction_bits))["out"]
    return (value[:, 0] * 2**fraction_bits).to(torch.int64)


def test_models_by_hand():
    qprelu = build("qprelu", width=8, exponents=(-2, 1))  # codes: 0 -> 2**-2, 1 -> 2**1
    values = {"x": torch.tensor([5, 5, -5, -5]), "code": torch.tensor([0, 1, 0, 1])}
    assert qprelu.model(values)["y"].tolist() == [5, 5, -2, -10]
    gated = build("qprelu", width=8, exponents=(-2, 0, 1))  # codes: 0 -> 2**-2, 1 identity, 2 -> 2**1
    values = {"x": torch.tensor([5, -5, -5, -5]), "code": torch.tensor([0, 0, 2, 1])}
    assert gated.model(values)["y"].tolist() == [5, -2, -10, -5]
    barrel = build("qprelu", width=8, exponents=(-4, -3, -2, -1, 1))  # codes: 1 - exponent
    values = {"x": torch.tensor([5, -64, -64, -5]), "code": torch.tensor([5, 5, 1, 0])}
    assert barrel.model(values)["y"].tolist() == [5, -4, -64, -10]
    two_way = build("shift_two_way", width=4, amount=1)  # a logical shift: the top bit becomes 0
    assert two_way.model({"x": torch.tensor([15, 15, 9]), "s": torch.tensor([0, 1, 1])})["y"].tolist() == [
        15,
        7,
        4,
    ]
    popcount = build("xnor_popcount", bits=4)
    a, w = torch.tensor([[1, 0, 1, 1]]), torch.tensor([[1, 1, 0, 1]])
    assert popcount.model({"a": a, "w": w})["p"].tolist() == [2]
    signed = build("signed_sum", bits=3, width=4)
    assert signed.model({"x": torch.tensor([[1, -8, 7]]), "w": torch.tensor([[1, 0, 0]])})["y"].tolist() == [
        1 + 8 - 7
    ]


@pytest.mark.parametrize("constant", [*range(-40, 41), 10**6 + 7])
def test_signed_digits_sum_to_the_constant_and_are_not_adjacent(constant):
    digits = signed_digits(constant)
    assert sum(digit << place if digit > 0 else -(1 << place) for place, digit in digits) == constant
    places = [place for place, _ in digits]
    assert all(b - a >= 2 for a, b in itertools.pairwise(places))


@pytest.mark.parametrize(
    ("op", "parameters", "reason"),
    [
        ("multiply", {"width": 33}, "between 2 and 32"),
        ("add", {"width": 1}, "between 2 and 64"),
        ("qprelu", {"width": 8, "exponents": ()}, "at least one exponent"),
        ("xnor_popcount", {"bits": 0}, "1 to 4096 bits"),
        ("xnor_popcount", {"bits": 8, "structure": "wallace"}, "compressor, tree"),
        ("rom", {"width": 4, "contents": (1, 99)}, "that fit"),
        ("shift_two_way", {"width": 8, "amount": 8}, "between 1 and the width less one, 7, got 8"),
        ("prelu", {"width": 8, "fraction_bits": 9}, "between 0 and the width 8"),
    ],
)
def test_parameters_a_unit_cannot_take(op, parameters, reason):
    with pytest.raises(UsageError, match=reason):
        build(op, **parameters)


def test_unknown_unit_suggests():
    with pytest.raises(UnknownName, match="did you mean 'qprelu'"):
        build("qprelus")


def test_a_simulator_that_is_missing_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match="install Icarus Verilog"):
        simulator()


def test_verilog_that_does_not_compile_is_an_error(tmp_path):
    unit = replace(build("add", width=4), body="    assign s = a + ;")
    with pytest.raises(ToolError, match=r"(iverilog|verilator) failed with status"):
        simulate(bench(unit, rows_of(unit, 2)), tmp_path, tool=need_simulator())
