"""A study made ready: network, data, prices. Every worker makes it anew from the study's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from abcost.accelerator.devices import check_target, device
from abcost.accelerator.solve import Wishes
from abcost.core.exponents import ExponentSet
from abcost.core.graph import OpGraph
from abcost.cost.organisation import Lanes
from abcost.cost.table import CostTable
from abcost.data import DataSet
from abcost.errors import SearchError, UsageError
from abcost.models.subject import resolve
from abcost.pipeline import stage_graphs
from abcost.rewrite import RewriteOptions
from abcost.searching.budget import QUANTITIES, Budget, parse_budget
from abcost.searching.objectives import all_low, judge_of, priced
from abcost.searching.pricing import Hardware, Prices
from abcost.searching.rungs import Costs
from abcost.searching.settings import Settings
from abcost.searching.space import SCALES, Candidate, Space
from abcost.training.config import Config
from abcost.training.network import request_for
from abcost.training.run import images

DEFAULT = {"fpga": "luts", "asic": "area_um2"}
"""What is kept low where there is no budget, by technology of the table."""


def config_of(settings: Settings) -> Config:
    """Of a retraining, without slopes."""
    return Config.from_dict(settings.recipe)


def hardware_of(settings: Settings) -> Hardware:
    """What candidates are priced on. Raises SearchError if the table is no longer the one of the study."""
    table = CostTable.load(settings.target)
    if table.digest != settings.table:
        raise SearchError(
            f"the cost table {settings.target} is not the one that this study was started with "
            f"(digest {table.digest[:12]}, was {settings.table[:12]}): start another study"
        )
    fps = parse_budget(settings.budget).fps if settings.budget else None
    part = None if settings.device is None else device(settings.device)
    wishes = None
    if part is not None or fps is not None:
        check_target(part, table.target, table.technology)
        wishes = Wishes(part, fps, settings.clock_mhz)
    lanes = Lanes(fraction_bits=settings.fraction_bits)
    return Hardware(table, settings.width, lanes, wishes)


def network_graph(
    config: Config,
    data: DataSet,
    rewriting: RewriteOptions,
    checkpoint: Path | None = None,
) -> OpGraph:
    """The network of a config, rewritten down to adds and shifts, with the weights of a checkpoint, or fresh ones.

    Costs depend on weights a little: ROMs of parameters are as wide as their values need.
    """
    subject = resolve(request_for(config, data, checkpoint))
    return stage_graphs(subject.model, subject.inputs, rewriting).stages[-1].graph


@dataclass(frozen=True)
class Problem:
    """All that judging a candidate needs."""

    settings: Settings
    start: Path  # the checkpoint that candidates start from

    @cached_property
    def config(self) -> Config:
        """Of a retraining, without slopes."""
        return config_of(self.settings)

    @cached_property
    def data(self) -> DataSet:
        """With the seed of the study."""
        return images(self.config)

    def data_with(self, seed: int) -> DataSet:
        """The same images, in the order and with the augmentation of another seed."""
        if seed not in self._data:
            self._data[seed] = images(replace(self.config, seed=seed))
        return self._data[seed]

    @cached_property
    def _data(self) -> dict[int, DataSet]:
        return {self.config.seed: self.data}

    @cached_property
    def space(self) -> Space:
        """Where candidates come from."""
        return Space.from_dict(self.settings.space)

    @cached_property
    def budget(self) -> Budget:
        """Limits; none without --budget."""
        return parse_budget(self.settings.budget) if self.settings.budget else Budget({})

    @cached_property
    def hardware(self) -> Hardware:
        """Table, width, organisation."""
        return hardware_of(self.settings)

    @cached_property
    def pricer(self) -> Prices:
        """Of the candidates of the space, with the weights of the start as soon as there is one."""
        start = self.start if self.start.exists() else None
        graphs = {
            scale: network_graph(self.config, self.data, self.rewriting(scale), start)
            for scale in self.space.scales
        }
        return Prices(graphs, self.space, self.hardware)

    def rewriting(
        self, scale: str = "none", slopes: Mapping[str, ExponentSet] | None = None
    ) -> RewriteOptions:
        """How networks are rewritten, with a rounding of `SCALES`, and sets of exponents that hardware offers."""
        return RewriteOptions(fraction_bits=self.settings.fraction_bits, slopes=slopes or {}, **SCALES[scale])

    @property
    def judge(self) -> str:
        """What a trained candidate is judged by, in `JUDGES`."""
        return judge_of(self.settings.objectives)

    def costs(self, cost: Mapping[str, float | None]) -> Costs:
        """The objectives of a price, each better the lower it is."""
        return all_low(self.objectives, cost)

    @cached_property
    def objectives(self) -> tuple[str, ...]:
        """What is priced and kept low beside the loss: what was asked for, else what has a limit and is no constant.

        Raises UsageError for a quantity that this hardware does not have, CostError for one that its table lacks.
        """
        asked = priced(self.settings.objectives)
        names = asked or tuple(self.budget.costs) or (DEFAULT[self.hardware.table.technology],)
        options = dict.fromkeys(self.budget.limits, "--budget")
        options |= dict.fromkeys(asked, "--objectives")
        for name, option in options.items():
            if QUANTITIES[name].organised and self.hardware.wishes is None:
                raise UsageError(
                    f"{option} {name}: only a whole accelerator has {QUANTITIES[name].about}; add --device or fps>=…"
                )
        ends = self.pricer.price([self.space.uniform((self.space.low,)), _dearest(self.space)])
        for name in names:
            option = options.get(name, "--budget")
            if name not in ends.values or any(x is None for x in (ends.of(0)[name], ends.of(1)[name])):
                raise UsageError(
                    f"{option} {name}: {self.hardware.table.target} has no figures for "
                    f"{QUANTITIES[name].about} of this network; limit something else, or take another --target"
                )
        if asked:
            return asked
        moved = tuple(name for name in names if ends.values[name][0] != ends.values[name][1])
        return moved or names[:1]


def _dearest(space: Space) -> Candidate:
    """As many exponents as allowed, as far apart as possible."""
    spread = [space.low + (space.high - space.low) * i // max(1, space.most - 1) for i in range(space.most)]
    return space.uniform(spread)
