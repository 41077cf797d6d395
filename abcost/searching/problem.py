"""A study made ready: network, data, prices. Every worker makes it anew from the study's settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from abcost.accelerator.devices import device
from abcost.accelerator.parts import check_target
from abcost.accelerator.solve import AcceleratorGoal
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
from abcost.searching.halving import Costs
from abcost.searching.objectives import all_low, judge_of, priced
from abcost.searching.pricing import CandidatePricer, Kind, PricingHardware, SpacePricer
from abcost.searching.settings import Settings
from abcost.searching.space import SCALES, Candidate, Space, shape_of, slug
from abcost.training.config import Config
from abcost.training.network import request_for
from abcost.training.run import images

DEFAULT = {"fpga": "luts", "asic": "area_um2"}
"""What is kept low where there is no budget, by technology of the table."""


def config_of(settings: Settings) -> Config:
    """Config of a retraining, without slopes."""
    return Config.from_dict(settings.recipe)


def hardware_of(settings: Settings) -> PricingHardware:
    """What candidates are priced on. Raises SearchError if the table is no longer the one of the study."""
    table = CostTable.load(settings.target)
    if table.digest != settings.table:
        raise SearchError(
            f"the cost table {settings.target} is not the one that this study was started with "
            f"(digest {table.digest[:12]}, was {settings.table[:12]}): start another study"
        )
    fps = parse_budget(settings.budget).fps if settings.budget else None
    fps = next(iter(settings.space.get("frame_rates", ())), fps)
    asked = settings.device or next(iter(settings.space.get("devices", ())), None)
    part = None if asked is None else device(asked)
    goal = None
    if part is not None or fps is not None:
        check_target(part, table.target, table.technology)
        goal = AcceleratorGoal(part, fps, settings.clock_mhz)
    lanes = Lanes(fraction_bits=settings.fraction_bits)
    return PricingHardware(table, settings.width, lanes, goal)


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


@dataclass(frozen=True, slots=True)
class Variant:
    """One design that a training gives, and its price. fits: the device holds it. within: and the budget does."""

    candidate: Candidate
    cost: Mapping[str, float | None]
    fits: bool
    within: bool


@dataclass(frozen=True)
class Problem:
    """All that judging a candidate needs."""

    settings: Settings
    start: Path  # the checkpoint that candidates start from

    @cached_property
    def config(self) -> Config:
        """Config of a retraining, without slopes."""
        return config_of(self.settings)

    @cached_property
    def data(self) -> DataSet:
        """The data set, with the seed of the study."""
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
        """The space that candidates come from."""
        return Space.from_dict(self.settings.space)

    @cached_property
    def budget(self) -> Budget:
        """Limits; none without --budget."""
        return parse_budget(self.settings.budget) if self.settings.budget else Budget({})

    @cached_property
    def hardware(self) -> PricingHardware:
        """Table, width, organisation."""
        return hardware_of(self.settings)

    def sized(self, size: str) -> Config:
        """Config of a retraining of the network in one of its sizes, without slopes."""
        return replace(self.config, **shape_of(size)) if size else self.config

    @property
    def sizes(self) -> tuple[str, ...]:
        """Names of the network's sizes; one empty name where there is nothing to choose."""
        return tuple(self.space.sizes) or ("",)

    def start_of(self, size: str) -> Path:
        """The checkpoint that candidates of a size start from."""
        return self.start.with_stem(f"{self.start.stem}-{slug(size)}") if size else self.start

    @cached_property
    def pricer(self) -> CandidatePricer:
        """Pricer of the candidates of the space, with the weights of the starts as soon as there are any."""
        return CandidatePricer(self._pricer)

    def _pricer(self, kind: Kind) -> SpacePricer:
        size, scale, width, fraction, part, fps = kind
        hardware = self.hardware_for(width, fraction, part, fps)
        return SpacePricer(
            self._graph(size, scale, fraction), self.space.of_size(size, hardware.width), hardware
        )

    def _graph(self, size: str, scale: str, fraction: int | None) -> OpGraph:
        if (size, scale, fraction) not in self._graphs:
            start = self.start_of(size)
            self._graphs[size, scale, fraction] = network_graph(
                self.sized(size),
                self.data,
                self.rewriting(scale, fraction=fraction),
                start if start.exists() else None,
            )
        return self._graphs[size, scale, fraction]

    @cached_property
    def _graphs(self) -> dict[tuple[str, str, int | None], OpGraph]:
        return {}

    def hardware_for(
        self,
        width: int | None = None,
        fraction: int | None = None,
        part: str | None = None,
        fps: float | None = None,
    ) -> PricingHardware:
        """What a candidate with these registers is priced on, on this part, folded for these frames per second.

        None: as the settings say.
        """
        found = self.hardware
        if width is not None:
            found = replace(found, width=width)
        if fraction is not None:
            found = replace(found, organisation=Lanes(fraction_bits=fraction))
        if part is not None and found.goal is not None:
            found = replace(found, goal=replace(found.goal, device=device(part)))
        if fps is not None and found.goal is not None:
            found = replace(found, goal=replace(found.goal, fps=fps))
        return found

    def rewriting(
        self,
        scale: str = "none",
        slopes: Mapping[str, ExponentSet] | None = None,
        fraction: int | None = None,
    ) -> RewriteOptions:
        """How networks are rewritten, with a rounding of `SCALES`, and sets of exponents that hardware offers."""
        bits = self.settings.fraction_bits if fraction is None else fraction
        return RewriteOptions(fraction_bits=bits, slopes=slopes or {}, **SCALES[scale])

    def variants(self, candidate: Candidate) -> list[Variant]:
        """What one training gives, priced: of the devices the first that holds it within the budget, else the last.

        Frame rates for which engines are folded alike are one design: that of the first.
        """
        those = self.space.variants(candidate)
        priced = self.pricer.price(those)
        inside = priced.within(self.budget).tolist()
        found: dict[Candidate, Variant] = {}
        for i, variant in enumerate(those):
            made = replace(variant, device=None)
            if made not in found or not found[made].within:
                found[made] = Variant(variant, priced.of(i), bool(priced.fits[i]), inside[i])
        return _different(found.values())

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
        if self.space.frame_rates and not asked:
            names = (*names, "fps")
        if self.space.frame_rates and not {"fps", "latency_ms"} & {*names}:
            raise UsageError(
                f"--frame-rates without fps or latency_ms among --objectives {','.join(self.settings.objectives)}: the "
                "lowest rate would always be the cheapest; add fps, or say the rate with --budget fps>=…"
            )
        options = dict.fromkeys(self.budget.limits, "--budget")
        options |= dict.fromkeys(asked, "--objectives")
        for name, option in options.items():
            if QUANTITIES[name].accelerator and self.hardware.goal is None:
                raise UsageError(
                    f"{option} {name}: only a whole accelerator has {QUANTITIES[name].about}; add --device or fps>=…"
                )
        ends = self.pricer.price(self._ends())
        count = [i for i in range(len(ends.fits)) if ends.fits[i]] or range(len(ends.fits))
        for name in names:
            option = options.get(name, "--budget")
            if name not in ends.values or any(ends.of(i)[name] is None for i in count):
                raise UsageError(
                    f"{option} {name}: {self.hardware.table.target} has no figures for "
                    f"{QUANTITIES[name].about} of this network; limit something else, or take another --target"
                )
        if asked:
            return asked
        moved = tuple(name for name in names if len(set(ends.values[name].tolist())) > 1)
        return moved or names[:1]

    def _ends(self) -> list[Candidate]:
        """Extreme candidates: fewest and most exponents with the first of other choices, and most with the last."""
        space = self.space
        first, last = self.sizes[0], self.sizes[-1]
        spread = _dearest(space, first), _dearest(space, last)
        found = [space.variants(space.uniform((space.low,), first))[0], space.variants(spread[0])[0]]
        if len(space.variants(spread[1])) > 1 or last != first:
            found.append(space.variants(spread[1])[-1])
        return found


def _different(variants: Iterable[Variant]) -> list[Variant]:
    """The variants without those that differ from an earlier one in the frame rate, but not in cost."""
    found: dict[tuple[Candidate, bool, tuple[float | None, ...]], Variant] = {}
    for variant in variants:
        same = replace(variant.candidate, fps=None)
        found.setdefault((same, variant.within, tuple(variant.cost.values())), variant)
    return list(found.values())


def _dearest(space: Space, size: str) -> Candidate:
    """The candidate with as many exponents as allowed, as far apart as possible."""
    spread = [space.low + (space.high - space.low) * i // max(1, space.most - 1) for i in range(space.most)]
    return space.uniform(spread, size)
