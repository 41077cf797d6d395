"""Binary accelerators in print next to our tables: figures by hand from print and from the factors' source."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from abcost.cost import CostTable
from abcost.cost.scaling import Corner
from abcost.reproduce.accelerators import accelerators, corner, operations

SCALING = Path("cost_models") / "scaling" / "stillmaker2017.csv"


def test_figures_of_print():
    """As in the abstracts: 21.6 and 35 fJ per operation; 95, 230 and 223 TOPS/W, of which one is 1000 fJ."""
    found = {row.name: row for row in accelerators()}
    assert {name: row.fj_per_op for name, row in found.items()} == {
        "XNE": 21.6,
        "XNORBIN": pytest.approx(1000 / 95, abs=0.005),
        "BinarEye": pytest.approx(1000 / 230, abs=0.005),
        "ChewBaccaNN": pytest.approx(1000 / 223, abs=0.005),
        "BrainTTA": 35,
    }
    assert (found["XNORBIN"].node_nm, found["XNORBIN"].voltage_v) == (65, 0.8)
    assert (found["XNE"].node_nm, found["XNE"].voltage_v) == (22, 0.4)
    assert found["BrainTTA"].node_nm is found["BinarEye"].voltage_v is None  # their abstracts do not say


def test_an_operation_is_half_a_product():
    """Of asic-sky130: the popcount's energy over 512 operations, and at 65 nm, 0.8 V by the published parabolas."""
    rows = {(row.target, row.node): row for row in operations(accelerators())}
    table = CostTable.load("asic-sky130")
    detail = table.price("xnor_popcount", width=16, bits=256).details["energy_pj"]
    own = rows["asic-sky130", table.node]
    assert own.value == pytest.approx(detail.value * 1000 / 512)
    assert own.low == pytest.approx(detail.low * 1000 / 512)
    assert own.high == pytest.approx(detail.high * 1000 / 512)
    with SCALING.open(encoding="utf-8") as file:
        fits = {
            int(row["node_nm"]): [float(row[f"e_a{i}"]) for i in (2, 1, 0)] for row in csv.DictReader(file)
        }
    at = {nm: a * volt**2 + b * volt + c for nm, volt in ((130, 1.8), (65, 0.8)) for a, b, c in [fits[nm]]}
    scaled = rows["asic-sky130", "65 nm, 0.8 V"]
    assert scaled.value == pytest.approx(own.value * at[65] / at[130], rel=1e-5)
    assert scaled.confidence == "derived"


def test_nothing_is_scaled_beyond_the_factors():
    """They know neither 22 nor 28 nm, and nothing of a table that does not say its voltage."""
    nodes = {row.node for row in operations(accelerators()) if row.factor is not None}
    assert nodes == {"65 nm, 0.8 V"}
    assert not [
        row for row in operations(accelerators()) if row.target == "asic-7nm" and row.factor is not None
    ]


def test_corners():
    assert corner("45 nm, 0.9 V") == Corner(45, 0.9)
    assert corner("180 nm, OSU osu018 library, 1.8 V") == Corner(180, 1.8)
    assert corner("7 nm") is None
