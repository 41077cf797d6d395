"""abcost: what a binary neural network costs in hardware.

    import abcost
    report = abcost.analyze("reactnet_a", target="fpga-lut6")
    print(report.summary())

Calls: analyze, verify, compare, train, evaluate, search, build, sweep,
export; each does what the command of its name does.
All that they take and return is here. Names are imported on first use, so that `import abcost` loads no torch.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, Any

from abcost.version import __version__ as __version__

if TYPE_CHECKING:
    from abcost.api.analyze import analyze as analyze
    from abcost.api.build import Built as Built
    from abcost.api.build import build as build
    from abcost.api.compare import compare as compare
    from abcost.api.evaluate import evaluate as evaluate
    from abcost.api.export import Exported as Exported
    from abcost.api.export import export as export
    from abcost.api.options import AcceleratorOptions as AcceleratorOptions
    from abcost.api.options import LoweringOptions as LoweringOptions
    from abcost.api.options import NetworkOptions as NetworkOptions
    from abcost.api.options import SlopeOptions as SlopeOptions
    from abcost.api.options import ZooOptions as ZooOptions
    from abcost.api.recipe import RecipeOptions as RecipeOptions
    from abcost.api.search import Search as Search
    from abcost.api.search import search as search
    from abcost.api.sweep import sweep as sweep
    from abcost.api.train import Training as Training
    from abcost.api.train import train as train
    from abcost.api.verify import verify as verify
    from abcost.comparing.answer import Compared as Compared
    from abcost.core.inputs import InputSpec as InputSpec
    from abcost.core.kinds import OpKind as OpKind
    from abcost.cost.organisation import Unit as Unit
    from abcost.cost.table import CostTable as CostTable
    from abcost.data import DataSet as DataSet
    from abcost.errors import AbcostError as AbcostError
    from abcost.models.network import FormOptions as FormOptions
    from abcost.models.network import ShapeOptions as ShapeOptions
    from abcost.report.report import Report as Report
    from abcost.report.report import Stage as Stage
    from abcost.searching.run import Impossible as Impossible
    from abcost.sweeping.result import Sweep as Sweep
    from abcost.trace.constants import constant as constant
    from abcost.trace.registry import handler as handler
    from abcost.training.assessment import Assessment as Assessment
    from abcost.verifying import Verification as Verification

_WHERE = {
    **{
        name: f"abcost.api.{name}"
        for name in (
            "analyze",
            "build",
            "compare",
            "evaluate",
            "export",
            "search",
            "sweep",
            "train",
            "verify",
        )
    },
    **dict.fromkeys(
        ("AcceleratorOptions", "LoweringOptions", "NetworkOptions", "SlopeOptions", "ZooOptions"),
        "abcost.api.options",
    ),
    **dict.fromkeys(("FormOptions", "ShapeOptions"), "abcost.models.network"),
    "AbcostError": "abcost.errors",
    "Assessment": "abcost.training.assessment",
    "Built": "abcost.api.build",
    "CostTable": "abcost.cost.table",
    "Compared": "abcost.comparing.answer",
    "DataSet": "abcost.data",
    "Exported": "abcost.api.export",
    "Impossible": "abcost.searching.run",
    "InputSpec": "abcost.core.inputs",
    "OpKind": "abcost.core.kinds",
    "RecipeOptions": "abcost.api.recipe",
    "Report": "abcost.report.report",
    "Search": "abcost.api.search",
    "Stage": "abcost.report.report",
    "Sweep": "abcost.sweeping.result",
    "Unit": "abcost.cost.organisation",
    "Training": "abcost.api.train",
    "constant": "abcost.trace.constants",
    "handler": "abcost.trace.registry",
    "Verification": "abcost.verifying",
}
"""Name -> the module that has it."""

__all__ = ["__version__", *sorted(_WHERE)]  # noqa: PLE0604 - strings, one by one


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        near = difflib.get_close_matches(name, __all__, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"module 'abcost' has no attribute {name!r}{hint}")
    found = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
