"""`abcost.sweep`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Unpack

from torch import nn

from abcost.api.arguments import accelerator, default_target
from abcost.api.checked import call
from abcost.api.options import SweepOptions, rewriting_of, subject_of
from abcost.api.sides import own_options
from abcost.core.inputs import InputSpec
from abcost.cost import CostTable
from abcost.errors import UsageError
from abcost.models.network import holds_weights
from abcost.pipeline import check_width
from abcost.sweeping.front import FrontQuantity, quantity, usual_axes
from abcost.sweeping.plan import Combination, SweptNetwork
from abcost.sweeping.result import Sweep
from abcost.sweeping.run import Progress, rows_of

_SWEPT = {"target": "target", "device": "device", "width": "widths", "fps": "fps", "folding": "folding"}
"""What a model may have of its own in `abcost.compare`, and the argument by which it is swept here."""
_FOR_ALL = ("clock_mhz", "organisation", "weights")


@call
def sweep(
    models: str | nn.Module | Sequence[str | nn.Module],
    target: str | Path | Sequence[str | Path] = (),
    *,
    device: str | Sequence[str] = (),
    widths: int | Sequence[int] = (),
    fps: float | Sequence[float] = (),
    folding: str | Path | Sequence[str | Path] = (),
    clock_mhz: float | Literal["max"] | None = None,
    axes: Sequence[str] = (),
    **options: Unpack[SweepOptions],
) -> Sweep:
    """Every model with every target, device, width, rate and folding: one tidy table, as `abcost sweep` shows it.

    models: one or several, as `abcost.analyze` takes them; in text with options of their own behind commas, such as
    "reactnet_18,base_width=16,blocks=2,2,2".  target: tables; default: for each device its own, else "fpga-lut6".
    device: parts of accelerators.  widths: bits of the residual path; default: the table's own.
    fps: frames per second to reach; default: the most.  folding: files with PE and SIMD of layers.
    clock_mhz: of all accelerators, MHz (100), or "max".
    axes: the quantities that the front and the chart are of, such as ("latency_ms", "energy_uj"); default: ("fps",
    "luts") of accelerators, else ("macs", "energy_uj").  options: see `NetworkOptions`, `SlopeOptions`; of all models.

    What cannot be is a row that says why. Each model is traced and rewritten once. Raises AbcostError for names and
    values that are wrong in themselves.

    >>> found = sweep("reactnet_18", ["fpga-lut6", "asic-45nm"], widths=[12, 16], preset="digits", base_width=8)
    >>> sorted({(row.target, row.width_bits) for row in found.rows})[-1]
    ('fpga-lut6', 16)
    """
    named = [models] if isinstance(models, str | nn.Module) else list(models)
    return swept(
        named, _several(target), _several(device), _several(widths), _several(fps), _several(folding),
        clock_mhz=clock_mhz, axes=axes, options=options,
    )  # fmt: skip


def swept(
    models: Sequence[str | nn.Module],
    targets: Sequence[str | Path],
    devices: Sequence[str],
    widths: Sequence[int],
    rates: Sequence[float],
    foldings: Sequence[str | Path],
    *,
    clock_mhz: str | float | None,
    axes: Sequence[str],
    options: SweepOptions,
    progress: Progress = lambda _done, _model: None,
) -> Sweep:
    """The same of lists. Raises as `abcost.sweep`."""
    if not models:
        raise UsageError("name a model to sweep")
    judged = _axes(axes)
    asked = _combinations(targets, devices, widths, rates, foldings, clock_mhz)
    networks = [_network(model, options) for model in dict.fromkeys(models)]
    rows = tuple(rows_of(networks, asked, progress))
    return Sweep(rows, judged or usual_axes(rows))


def count_of(targets: int, devices: int, widths: int, rates: int, foldings: int) -> int:
    """Rows of each model, of so many different targets, devices, …; none of a sort is one, the default."""
    found = 1
    for several in (targets, devices, widths, rates, foldings):
        found *= max(several, 1)
    return found


def _combinations(
    targets: Sequence[str | Path],
    devices: Sequence[str],
    widths: Sequence[int],
    rates: Sequence[float],
    foldings: Sequence[str | Path],
    clock_mhz: str | float | None,
) -> list[Combination]:
    """Raises UnknownName, UsageError or CostError for what no model could have."""
    for width in widths:
        check_width(width, "--widths")
    if not devices and not rates and (clock_mhz is not None or foldings):
        raise UsageError("--clock-mhz and --folding size an accelerator: add --device or --fps")
    tables = [CostTable.load(name) for name in dict.fromkeys(targets)]
    found = []
    for device in dict.fromkeys(devices) or (None,):
        wanted = [
            (accelerator(device, rate, clock_mhz, None, None, None if file is None else Path(file)), file)
            for rate in dict.fromkeys(rates) or (None,)
            for file in dict.fromkeys(foldings) or (None,)
        ]
        for table in tables or [CostTable.load(default_target(device))]:
            for width in dict.fromkeys(widths) or (table.default_width,):
                found += [
                    Combination(table, width, goal, None if file is None else Path(file))
                    for goal, file in wanted
                ]
    return found


def _network(model: str | nn.Module, common: SweepOptions) -> SweptNetwork:
    if not isinstance(model, str):
        name = type(model).__name__
        return SweptNetwork(name, subject_of(model, common), rewriting_of(common, name))
    name, *given = model.split(",")
    own = _own(name, own_options(name, given))
    without = {"preset"} if holds_weights(name) else set()  # such a file says its input size itself
    fitting: Any = {option: value for option, value in common.items() if option not in without} | own
    options: SweepOptions = fitting
    return SweptNetwork(model, subject_of(name, options), rewriting_of(options, name))


def _own(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Options behind the name of a model, as arguments. Raises UsageError for what is swept, or of all."""
    for option in given:
        if option in _SWEPT:
            raise UsageError(f"{name}: {option} is swept: say --{_SWEPT[option]} instead of {option}=…")
        if option in _FOR_ALL:
            raise UsageError(f"{name}: {option} is of all models of a sweep: leave it out")
    found = dict(given)
    if "input_size" in found:
        found["inputs"] = (InputSpec.parse(found.pop("input_size")),)
    return found


def _axes(names: Sequence[str]) -> tuple[FrontQuantity, FrontQuantity] | None:
    """None where nothing is said."""
    if not names:
        return None
    if len(names) != 2 or names[0] == names[1]:
        raise UsageError(f"--axes takes two different quantities, such as fps,luts; got {', '.join(names)}")
    x, y = map(quantity, names)
    return x, y


def _several(given: Any) -> list[Any]:
    """A list of what may be one thing."""
    return list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
