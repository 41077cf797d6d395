"""`abcost.search`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from abcost.accelerator.devices import device as part_of
from abcost.accelerator.parts import check_target
from abcost.accelerator.solve import AcceleratorGoal
from abcost.api.arguments import choice, default_target
from abcost.api.checked import call
from abcost.cost.table import CostTable
from abcost.crosscheck import formula_macs
from abcost.errors import UsageError
from abcost.models.network import ShapeOptions, held
from abcost.pipeline import check_width
from abcost.rewrite import RewriteOptions
from abcost.searching.budget import parse_budget
from abcost.searching.claim import held_group
from abcost.searching.executors.executor import EXECUTORS
from abcost.searching.files import BEST, FRONT, SLOPES, write_results
from abcost.searching.objectives import checked
from abcost.searching.page import write_page
from abcost.searching.plot import write_plots
from abcost.searching.points import TrainedDesign
from abcost.searching.problem import network_graph
from abcost.searching.progress import SearchListener, SearchProgress
from abcost.searching.run import RunLocation, SearchOutcome, train_start
from abcost.searching.run import search as run
from abcost.searching.settings import Settings
from abcost.searching.space import (
    GRANULARITIES,
    Space,
    check_searchable,
    formats_of,
    groups_of,
    joined,
    shape_of,
    size_name,
)
from abcost.searching.storage import check_extra, sqlite_url
from abcost.training.config import Config
from abcost.training.interrupt import catching
from abcost.training.listener import SilentListener, TrainingListener
from abcost.training.network import network, steps_for
from abcost.training.recipes import configs
from abcost.training.run import images as data_of
from abcost.training.runtime import check_precision

if TYPE_CHECKING:
    import pandas as pd

GROUP = 8  # retrainings side by side, where that pays
GROUPED_MACS = 10**8
"""Multiply-accumulates of a batch; with more, it is not the calls of operators that take the time."""


@dataclass(frozen=True, slots=True, repr=False)
class Search:
    """What `abcost.search` returns: a finished search; its folder holds front.csv, slopes/, front.svg and more.

    outcome: everything that was found. Accuracies are between 0 and 1.
    """

    folder: Path
    outcome: SearchOutcome

    def __repr__(self) -> str:
        settings, chosen = self.outcome.problem.settings, self.chosen
        best = (
            "nothing chosen"
            if chosen is None
            else f"chosen {chosen.name[:40]}, test top-1 {chosen.test_top1:.2%}"
        )
        return f"<Search of {settings.model}: {len(self.front)} designs on the front, {best}>"

    @property
    def front(self) -> tuple[TrainedDesign, ...]:
        """Designs that no other is better than in everything, cheapest first."""
        return self.outcome.result.front

    @property
    def chosen(self) -> TrainedDesign | None:
        """The cheapest whose loss is within the noise of the lowest; None if nothing meets the budget."""
        return self.outcome.result.chosen

    @property
    def checkpoint(self) -> Path:
        """The chosen design's weights."""
        return self.folder / BEST

    @property
    def slopes(self) -> Path | None:
        """The file of the chosen design's exponents, layer by layer; `abcost.analyze` and `abcost.train` take it."""
        return None if self.chosen is None else self.folder / SLOPES / f"{self.chosen.name}.json"

    @property
    def plot(self) -> Path:
        """The picture of the front, SVG; front.png stands beside it."""
        return self.folder / "front.svg"

    def to_frame(self) -> pd.DataFrame:
        """front.csv: a row per design, with its costs (units are in their names), losses and accuracies (0 to 1)."""
        import pandas as pd

        return pd.read_csv(self.folder / FRONT)


@call
def search(
    model: str,
    run_dir: str | Path,
    *,
    data: str | Path = "digits",
    data_root: str | Path | None = None,
    target: str | Path | None = None,
    budget: str = "",
    objectives: Sequence[str] = (),
    device: str | None = None,
    clock_mhz: float = 100.0,
    width: int | None = None,
    fraction_bits: int = 12,
    exponents: Sequence[int] = (-7, 2),
    max_exponents: int = 4,
    granularity: Literal["layer", "stage", "network"] = "layer",
    alpha_exponents: Sequence[int] = (),
    weight_scales: Sequence[str] = ("none",),
    widths: Sequence[int] = (),
    fractions: Sequence[int] = (),
    base_widths: Sequence[int] = (),
    depths: Sequence[Sequence[int]] = (),
    devices: Sequence[str] = (),
    frame_rates: Sequence[float] = (),
    trials: int = 40,
    epochs: Sequence[int] | None = None,
    keep: float = 0.5,
    finalists: int = 6,
    seeds: int = 3,
    images: int = 256,
    sampler: Literal["nsga2", "tpe", "random"] = "nsga2",
    seed: int = 0,
    init: str | Path | None = None,
    config: str | Path | None = None,
    model_args: Mapping[str, Any] | None = None,
    storage: str | None = None,
    study: str = "search",
    workers: int | None = None,
    executor: str = "processes",
    cpus_per_trial: float = 1.0,
    gpus_per_trial: float = 0.0,
    group: int | None = None,
    **shape: Unpack[ShapeOptions],
) -> Search:
    """Sets of slope exponents with the best accuracy within a budget, as `abcost search` finds them, without a word.

    run_dir: folder of the results; the same call continues.  data, data_root, config: as `abcost.train` takes them.
    model: of the zoo, or your own "file.py:factory", with model_args.  shape: see `ShapeOptions`.
    target, device, clock_mhz (MHz), width and fraction_bits (bits): what is priced.
    budget: "luts=9000,energy_uj=1.5,fps>=60"; default: LUTs (area, um2) are kept low.
    objectives: of "loss" or "accuracy" and what a budget can limit; default: what it limits, and the loss.
    exponents: the least and the largest of slopes.  max_exponents: most in a set.  granularity: what shares a set.
    widths, fractions: bits of the data path, and of them behind the point, to choose from, judged bit by bit.
    base_widths, depths: sizes of the network to choose from (channels of the first stage; blocks per stage), each
    trained first.  devices: parts to choose from; the first that holds a design within the budget is taken.
    frame_rates: frames per second to choose from, for each of which engines are folded as small as reaches them.
    alpha_exponents: of the residual scale, to choose from.  weight_scales: of "none", "po2", "csd", to choose from.
    trials: candidates that are judged.  epochs: of each rung of retraining, () for none; default: 1/10 and 1/3 of
    the recipe's.  keep: share that a rung passes on, 0 to 1.  finalists, seeds: designs of the finals, and trainings of
    each.  images: of the loss without retraining.  sampler: Optuna's.  seed: of the search and of every training.
    init: trained checkpoint to start from; default: trained first.
    storage, study: database that others share.  workers: processes; default: one per core.  executor: "processes" or
    "ray", with cpus_per_trial and gpus_per_trial.  group: retrainings side by side; default: 8 for small networks, else
    1; a search goes on with what it was started with.

    Raises Impossible, an AbcostError, if no design meets the budget; AbcostError. The first Ctrl-C saves.
    """
    check_extra()
    check_shares(cpus_per_trial, gpus_per_trial)
    folder = Path(run_dir)
    values = {
        "data": str(data), "data_root": None if data_root is None else str(data_root), "seed": seed,
        "model_args": model_args,
        **{name: held(name, value) for name, value in shape.items()},
    }  # fmt: skip
    steps = configs(
        model, steps_for(model), file=None if config is None else Path(config),
        given={name: value for name, value in values.items() if value is not None},
    )  # fmt: skip
    asked = {
        "target": str(target or default_target(device or next(iter(devices), None))), "device": device,
        "clock_mhz": clock_mhz, "budget": budget,
        "objectives": checked(objectives) if objectives else (),
        "width": width, "fraction_bits": fraction_bits, "keep": keep, "finalists": finalists, "seeds": seeds,
        "sampler": sampler, "seed": seed, "trials": trials, "images": images,
        "group": held_group(folder) if group is None else group,
    }  # fmt: skip
    space = {
        "low": min(exponents), "high": max(exponents), "most": max_exponents, "scales": tuple(weight_scales),
        "alphas": tuple(alpha_exponents), "widths": tuple(widths), "fractions": tuple(fractions),
        "base_widths": tuple(base_widths), "depths": tuple(tuple(blocks) for blocks in depths),
        "devices": tuple(devices), "frame_rates": tuple(frame_rates),
    }  # fmt: skip
    settings = settings_of(steps[-1], asked, space, granularity, None if epochs is None else tuple(epochs))
    place = RunLocation(
        folder, storage or sqlite_url(folder), study, executor, workers or cores(), cpus_per_trial, gpus_per_trial,
        None if init is None else Path(init),
    )  # fmt: skip
    EXECUTORS.get(executor)
    with catching() as stop:
        return searched(
            settings,
            place,
            steps,
            listener=_Silent(),
            training=nullcontext(SilentListener()),
            stop=lambda: stop.asked,
        )


class _Silent:
    """Watches nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def moved(self, progress: SearchProgress) -> None:
        """Nothing."""


def settings_of(
    config: Config,
    asked: Mapping[str, Any],
    choices: Mapping[str, Any],
    granularity: str,
    epochs: tuple[int, ...] | None,
) -> Settings:
    """What is searched, as far as it is known before the start is trained. Raises UsageError or UnknownName."""
    budget = str(parse_budget(asked["budget"])) if asked["budget"] else ""
    choice("--granularity", granularity, GRANULARITIES)
    table = CostTable.load(asked["target"])
    width = asked["width"] or table.default_width
    check_width(width)
    check_precision(config)
    data = data_of(config)
    if config.own:
        check_searchable(network(config, data), config.model, choices["alphas"])
    formats = _formats(choices, width, asked["fraction_bits"])
    devices = _devices(choices, table, asked["device"])
    frame_rates = _frame_rates(choices, parse_budget(budget).fps if budget else None)
    sizes = _sizes(choices, config)
    graphs = {
        size: network_graph(
            replace(config, **shape_of(size)), data, RewriteOptions(fraction_bits=asked["fraction_bits"])
        )
        for size in sizes
    }
    graph = max(graphs.values(), key=formula_macs)
    found = {size: groups_of(graph, granularity) for size, graph in graphs.items()}
    groups, layers = joined(found, granularity) if "" not in sizes else (found[""], {})
    space = Space(
        groups,
        width=max((bits for bits, _ in formats), default=width),
        low=choices["low"],
        high=choices["high"],
        most=choices["most"],
        scales=choices["scales"],
        alphas=_different(choices["alphas"]),
        formats=formats,
        sizes=layers,
        devices=devices,
        frame_rates=frame_rates,
    )
    rungs = tuple(dict.fromkeys((max(1, config.epochs // 10), max(1, config.epochs // 3))))
    small = formula_macs(graph) * config.batch_size <= GROUPED_MACS and epochs != ()
    group = (GROUP if small else 1) if asked["group"] is None else asked["group"]
    return Settings(
        **{**asked, "width": width, "budget": budget, "group": group},
        model=config.model,
        recipe=config.to_dict(),
        space=space.to_dict(),
        table=table.digest,
        epochs=rungs if epochs is None else epochs,
    )


def _different(values: Sequence[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(values))


def _formats(choices: Mapping[str, Any], width: int, fraction_bits: int) -> tuple[tuple[int, int], ...]:
    widths, fractions = choices.get("widths", ()), choices.get("fractions", ())
    if not widths and not fractions:
        return ()
    return formats_of(widths or (width,), fractions or (fraction_bits,))


def _devices(choices: Mapping[str, Any], table: CostTable, device_: str | None) -> tuple[str, ...]:
    """The parts, as they are called. Raises UsageError or UnknownName for one that the table is not of."""
    names = tuple(choices.get("devices", ()))
    if names and device_ is not None:
        raise UsageError("--devices chooses the part: leave --device out")
    found = [part_of(name) for name in names]
    for part in found:
        check_target(part, table.target, table.technology)
    return tuple(dict.fromkeys(part.part for part in found))


def _frame_rates(choices: Mapping[str, Any], least: float | None) -> tuple[float, ...]:
    """Frames per second to fold engines for. Raises UsageError for those that no accelerator can be asked for."""
    found = tuple(dict.fromkeys(float(rate) for rate in choices.get("frame_rates", ())))
    for rate in found:
        AcceleratorGoal(fps=rate)
        if least is not None and rate < least:
            raise UsageError(
                f"--frame-rates {rate:g} is below the {least:g} frames/s of --budget: leave one out"
            )
    return found


def _sizes(choices: Mapping[str, Any], config: Config) -> tuple[str, ...]:
    """Names of the sizes of the network; one that is empty where there is nothing to choose. Raises UsageError."""
    widths, depths = choices.get("base_widths", ()), choices.get("depths", ())
    if not widths and not depths:
        return ("",)
    if config.own:
        raise UsageError(
            f"--base-widths and --depths are for zoo models, and {config.model} is your own: leave them out"
        )
    pairs = product(widths or (config.base_width,), depths or (config.blocks,))
    return tuple(dict.fromkeys(size_name(width, blocks) for width, blocks in pairs))


def searched(
    settings: Settings,
    place: RunLocation,
    steps: tuple[Config, ...],
    *,
    listener: SearchListener,
    training: AbstractContextManager[TrainingListener],
    stop: Callable[[], bool],
) -> Search:
    """Search, or go on, and write all results. Raises Impossible, KeyboardInterrupt, and as `searching.run.search`."""

    def start(path: Path, shape: Mapping[str, Any]) -> None:
        with training as watching:
            train_start(path, [replace(step, **shape) for step in steps], place.init, watching, stop)

    if place.init is not None and settings.space.get("sizes"):
        raise UsageError(
            f"--init {place.init} is of one network, and --base-widths and --depths choose among several, which are "
            "trained first: leave one out"
        )

    outcome = run(settings, place, start=start, listener=listener, stop=stop)
    write_results(outcome, place.folder)
    write_plots(outcome, place.folder)
    write_page(outcome, place.folder)
    return Search(place.folder, outcome)


def check_shares(cpus: float, gpus: float) -> None:
    """Raise UsageError for shares of a machine that are none."""
    for name, share in (("--cpus-per-trial", cpus), ("--gpus-per-trial", gpus)):
        if not 0 <= share < 1e6:
            raise UsageError(f"{name} must be at least 0 and below 1e6, got {share:g}")


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
