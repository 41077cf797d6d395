"""What the finals say: means and standard errors, the front, and the cheapest design within the noise."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from abcost.searching.budget import Budget
from abcost.searching.evaluator import Design, Evaluation
from abcost.searching.halving import front
from abcost.searching.objectives import LOSS, all_low, to_be_low

NOISE = 2.0
"""Standard errors of a difference within which two losses are not told apart."""


@dataclass(frozen=True, slots=True)
class TrainedDesign:
    """A design with what its trainings reached, one per seed, the same seeds for all.

    name: key of a candidate, or of a baseline. design: None for baselines. cost: quantities, with the parameters of its
    best training.
    """

    name: str
    design: Design | None
    cost: Mapping[str, float | None]
    reached: tuple[Evaluation, ...]

    @property
    def loss(self) -> float:
        """Mean cross-entropy on the validation split."""
        return statistics.fmean(j.loss for j in self.reached)

    @property
    def loss_se(self) -> float | None:
        """Standard error of that mean over the seeds; None for one seed."""
        return standard_error([j.loss for j in self.reached])

    @property
    def test_top1(self) -> float:
        """Mean top-1 accuracy on the test split, 0 to 1."""
        return statistics.fmean(j.test_top1 for j in self.reached)

    @property
    def test_top1_se(self) -> float | None:
        """Standard error of that mean over the seeds; None for one seed."""
        return standard_error([j.test_top1 for j in self.reached])

    def merit(self, judge: str) -> float:
        """Mean of what chooses, better the lower it is (see `Evaluation.merit`)."""
        return statistics.fmean(j.merit(judge) for j in self.reached)

    @property
    def best(self) -> Evaluation:
        """The training with the lowest validation loss: its checkpoint is the design's."""
        return min(self.reached, key=lambda j: j.loss)


@dataclass(frozen=True, slots=True)
class Result:
    """Points on the front, cheapest first; finalists that others dominate; baselines; and the point to take.

    over: finalists whose trained parameters need wider ROMs than the start's, and are now over budget.

    noise: standard error of the difference between two mean losses, None for one seed.
    """

    front: tuple[TrainedDesign, ...]
    dominated: tuple[TrainedDesign, ...]
    over: tuple[TrainedDesign, ...]
    baselines: tuple[TrainedDesign, ...]
    chosen: TrainedDesign | None
    noise: float | None


def exponents_of(point: TrainedDesign) -> list[str]:
    """The sets that a design's layers have, a line for each set: "-3, 0: layer1.0.prelu, layer1.1.prelu"."""
    if point.design is None or point.design.slopes is None:
        return []
    layers: dict[tuple[int, ...], list[str]] = {}
    for layer, exponents in point.design.slopes.items():
        layers.setdefault(tuple(sorted(exponents)), []).append(layer)
    return [f"{', '.join(map(str, exponents))}: {', '.join(of)}" for exponents, of in layers.items()]


def made_as(point: TrainedDesign) -> str:
    """What a design has chosen beside exponents, in words: "size 8:1,1, 12.4 bits, alpha 2^-3".

    12.4 bits are 12, of which 4 stand behind the point.
    """
    design = point.design
    if design is None:
        return ""
    said = [f"size {design.size}"] if design.size else []
    said += [] if design.width is None else [f"{design.width}.{design.fraction} bits"]
    said += [] if design.scale == "none" else [f"{design.scale} scales"]
    said += [] if design.alpha is None else [f"alpha 2^{design.alpha}"]
    said += [design.device] if design.device else []
    said += [] if design.fps is None else [f"folded for {design.fps:g} frames/s"]
    return ", ".join(said)


def rivals(result: Result, names: Sequence[str], judge: str = LOSS) -> list[str]:
    """Baselines that cost no more than the chosen design, by the costs `names`, and whose loss is no worse, in words.

    No worse: at most the noise higher. A cost that is unknown is not compared, and no rival is made of it.
    """
    chosen, found = result.chosen, []
    if chosen is None:
        return []
    for baseline in result.baselines:
        costs = [
            (to_be_low(name, baseline.cost.get(name)), to_be_low(name, chosen.cost.get(name)))
            for name in names
        ]
        if any(math.isinf(own) or math.isinf(other) or own > other for own, other in costs):
            continue
        if baseline.merit(judge) > chosen.merit(judge) + NOISE * (result.noise or 0.0):
            continue
        price = "less than" if any(own != other for own, other in costs) else "the same as"
        own, other, better = baseline.loss, chosen.loss, "lower"
        if judge != LOSS:
            own, other, better = 1 - baseline.merit(judge), 1 - chosen.merit(judge), "higher"
        said = better if baseline.merit(judge) < chosen.merit(judge) else "not told apart from it"
        found.append(
            f"{baseline.name} costs {price} the chosen design and its {judge} is {said} "
            f"({own:.4f}, chosen {other:.4f}): the search found nothing better than it"
        )
    return found


def standard_error(values: Sequence[float]) -> float | None:
    """Standard deviation / sqrt(n); None below two values."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def noise_of(points: Sequence[TrainedDesign], judge: str = LOSS) -> float | None:
    """Standard error of the difference between two mean losses, or accuracies, over n common seeds.

        s * sqrt(2 / n),  s**2 = residual variance of loss = point + seed + residual

    None with one seed or one point, or where a training is missing.
    """
    table = [[j.merit(judge) for j in point.reached] for point in points]
    seeds = len(table[0]) if table else 0
    if seeds < 2 or len(table) < 2 or any(len(row) != seeds for row in table):
        return None
    mean = statistics.fmean(x for row in table for x in row)
    rows = [statistics.fmean(row) for row in table]
    columns = [statistics.fmean(column) for column in zip(*table, strict=True)]
    squares = sum(
        (x - rows[i] - columns[j] + mean) ** 2 for i, row in enumerate(table) for j, x in enumerate(row)
    )
    variance = squares / ((len(table) - 1) * (seeds - 1))
    return math.sqrt(variance * 2 / seeds)


def best_of_trainings(points: Sequence[TrainedDesign], judge: str = LOSS) -> list[TrainedDesign]:
    """The best of the designs that each training gives, in the order of the trainings.

    Registers that are too narrow make losses vary more than training does, and would be taken for its noise.
    """
    found: dict[tuple[object, ...], TrainedDesign] = {}
    for point in points:
        design = point.design
        slopes = () if design is None else tuple(sorted((design.slopes or {}).items()))
        key = (point.name,) if design is None else (design.size, design.alpha, slopes)
        if key not in found or point.merit(judge) < found[key].merit(judge):
            found[key] = point
    return list(found.values())


def result_of(
    finalists: Sequence[TrainedDesign],
    baselines: Sequence[TrainedDesign],
    objectives: Sequence[str],
    budget: Budget,
    judge: str = LOSS,
) -> Result:
    """The front, and the point to take: within the noise of the lowest loss, the cheapest by the first cost.

    objectives: names of costs, one or more. judge: what stands for the loss (see `Evaluation.merit`).
    """
    held = [p for p in finalists if budget.holds(p.cost)]
    costs = [(*all_low(objectives, p.cost), p.merit(judge)) for p in held]
    order = front(costs)
    noise = noise_of(best_of_trainings(finalists, judge), judge)
    chosen = None
    if order:
        best = min(p.merit(judge) for p in held)
        near = [i for i in order if held[i].merit(judge) <= best + NOISE * (noise or 0.0)]
        chosen = held[min(near, key=lambda i: costs[i])]
    return Result(
        front=tuple(held[i] for i in order),
        dominated=tuple(p for i, p in enumerate(held) if i not in order),
        over=tuple(p for p in finalists if not budget.holds(p.cost)),
        baselines=tuple(baselines),
        chosen=chosen,
        noise=noise,
    )
