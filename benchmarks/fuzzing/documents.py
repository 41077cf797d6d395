"""Files of text: TOML, JSON, CSV, Liberty."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hypothesis import strategies as st

from abcost import analyze
from abcost.accelerator.devices import device
from abcost.comparing.delta import compare
from abcost.comparing.saved import read_report, side_of
from abcost.core.inputs import InputSpec
from abcost.core.serialize import graph_from_json, graph_to_json
from abcost.cost import CostTable, cost_models_dir
from abcost.models.slope_sets import read_slope_sets
from abcost.synth.liberty import liberty_of
from abcost.trace import trace
from abcost.training.recipes import configs
from fuzzing.damage import changed, damaged_text
from fuzzing.network import SHAPE, network
from fuzzing.target import Target, written

_SLOPES = {"schema": 1, "model": "reactnet_18", "layers": {"layer1.0.prelu": [-3, 0], "layer1.1.prelu": [-7]}}
_RECIPE = """lr = 1e-2
epochs = 3
data = "digits"
blocks = [1, 1]
flip = true
distillation = 0.5
clip = 0.02
[step2]
slope_lr = 5e-2
batch_size = 64
"""
_DEVICE = (
    "part,board,family,luts,ffs,dsps,blocks,uram,source,confidence,note\n"
    'mine,"my board",7-series,17600,35200,80,120,0,"a data sheet",verified,"quoted ""note"""\n'
)
_LIBERTY = """library (small) {
  voltage_unit : "1V"; capacitive_load_unit (1, pf); leakage_power_unit : "1nW"; nom_voltage : 1.8;
  lu_table_template (t) { variable_1 : input_transition_time; index_1 ("0.1, 0.5"); }
  cell (INVX1) {
    area : 16;
    pin (A) { direction : input; capacitance : 0.01; }
    pin (Y) { direction : output; function : "(!A)";
      internal_power () { related_pin : "A";
        rise_power (t) { values ("0.1, 0.2"); }
        fall_power (t) { values ("0.1, 0.2"); } }
    }
  }
}
"""


def _tables() -> st.SearchStrategy[str]:
    names = ("asic-7nm", "fpga-zc706-energy", "abbnn-paper")
    found = [(cost_models_dir() / f"{name}.toml").read_text() for name in names]
    return st.sampled_from(found).flatmap(damaged_text)


def _table(text: str) -> object:
    table = CostTable.load(written(text, "table.toml"))
    return table.to_dict(), [table.price(op, width=8) for op in table.units()]


@cache
def _report() -> dict[str, Any]:
    return analyze(network(), "asic-45nm", input_shape=SHAPE).to_dict()


def _compared(document: Any) -> object:
    side = side_of(read_report(written(json.dumps(document), "report.json")), "a")
    return compare(side_of(_report(), "b"), side)


@cache
def _graph() -> Any:
    return json.loads(graph_to_json(trace(network(), (InputSpec(SHAPE),)).graph))


def _slopes(text: str) -> object:
    return read_slope_sets(written(text, "slopes.json"), "reactnet_18")


def _recipe(text: str) -> object:
    return configs("reactnet_18", (1, 2), file=written(text, "recipe.toml"))


def _device(text: str) -> object:
    return device(str(written(text, "device.csv")))


def targets() -> list[Target]:
    """Slope files, recipes, devices, cell libraries, cost tables, reports, graphs."""
    slopes = changed(_SLOPES).map(json.dumps) | damaged_text(json.dumps(_SLOPES))
    return [
        Target("slopes", "--slopes FILE", slopes, _slopes, 80_000),
        Target("recipe", "abcost train --config FILE", damaged_text(_RECIPE), _recipe, 60_000),
        Target("device", "--device FILE.csv", damaged_text(_DEVICE), _device, 60_000),
        Target("liberty", "abcost calibrate --liberty FILE", damaged_text(_LIBERTY), liberty_of, 30_000),
        Target("table", "cost table, --target FILE.toml", _tables(), _table, 20_000),
        Target("report", "abcost compare FILE.json", changed(_report()), _compared, 10_000),
        Target("graph", "op graph in JSON", changed(_graph()).map(json.dumps), graph_from_json, 20_000),
    ]
