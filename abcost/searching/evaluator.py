"""Where candidates are judged: their loss without retraining, and after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from abcost.core.exponents import ExponentSet
from abcost.core.inputs import InputSpec
from abcost.core.interpret import Floating
from abcost.data import Split
from abcost.errors import TrainError
from abcost.models.checkpoint import Checkpoint, read_checkpoint, restore
from abcost.models.subject import Subject
from abcost.searching.bit_true import BitTrue, RegisterForm
from abcost.searching.objectives import LOSS
from abcost.searching.problem import Problem
from abcost.searching.space import Candidate, Space, slug
from abcost.training.config import Config
from abcost.training.context import BEST, METRICS, RunContext
from abcost.training.evaluation import evaluate
from abcost.training.files import sweep, write_tensors
from abcost.training.listener import SilentListener
from abcost.training.losses import label_loss
from abcost.training.lowered import Lowered
from abcost.training.network import described, network
from abcost.training.outcome import exponents_by_layer
from abcost.training.progress import TrainingProgress, checkpoint
from abcost.training.run import metrics
from abcost.training.runtime import start as start_runtime
from abcost.training.side_by_side import Outcome, Run, alike, obstacle, train_alone, train_side_by_side
from abcost.training.slopes import plain_state, restrict_slopes
from abcost.training.tally import LossTally, wilson

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, slots=True)
class Design:
    """What a network is judged with.

    slopes: layer -> exponents that it may take; layers that are not named, or None, are free. alpha: exponent of the
    residual scale, None as the recipe says. scale: rounding of weight scales, in `SCALES`. size, width, fraction,
    device, fps: as a candidate has them.
    """

    slopes: Mapping[str, ExponentSet] | None = None
    alpha: int | None = None
    scale: str = "none"
    size: str = ""
    width: int | None = None
    fraction: int | None = None
    device: str | None = None
    fps: float | None = None

    @property
    def form(self) -> RegisterForm:
        """How the trained network is made."""
        return RegisterForm(self.scale, self.width, self.fraction)


def design_of(candidate: Candidate, space: Space) -> Design:
    """A candidate, layer by layer."""
    c = candidate
    return Design(space.layers(c), c.alpha, c.scale, c.size, c.width, c.fraction, c.device, c.fps)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a network reached. loss: cross-entropy on the validation split, which chooses; accuracies from 0 to 1.

    exponents: layer -> those that its channels have. checkpoint: the weights.
    """

    loss: float
    validation_top1: float
    test_loss: float
    test_top1: float
    test_ci95: tuple[float, float]
    test_images: int
    exponents: Mapping[str, ExponentSet]
    checkpoint: Path
    seconds: float = 0.0  # of training

    def merit(self, judge: str) -> float:
        """What chooses, better the lower it is: the loss, or the share of validation images that are wrong."""
        return self.loss if judge == LOSS else 1 - self.validation_top1


@dataclass(frozen=True, slots=True)
class Retraining:
    """A retraining: kept as `name`, from a checkpoint (None: the start of its size), measured in every form."""

    config: Config
    name: str
    size: str = ""
    start: Path | None = None
    forms: tuple[RegisterForm, ...] = (RegisterForm(),)


class Evaluator:
    """Judges networks of one problem in one process; `stop` says whether to break off a training, after saving."""

    def __init__(self, problem: Problem, folder: Path, stop: Callable[[], bool] = lambda: False) -> None:
        self._problem = problem
        self._folder = folder
        self._stop = stop
        self._obstacles: list[tuple[Config, str | None]] = []
        self._fresh: dict[tuple[str, int | None], nn.Module] = {}
        self._starts: dict[str, Checkpoint] = {}

    @cached_property
    def _fabric(self) -> Fabric:
        return start_runtime(self._problem.config)

    def calibration_loss(self, design: Design) -> float:
        """Cross-entropy on the first validation images, of the start with its slopes moved to the nearest allowed.

        Where accuracy is what candidates are judged by, the share of these images that are wrong.
        """
        return self.calibration_losses([design])[0]

    def calibration_losses(self, designs: Sequence[Design]) -> list[float]:
        """`calibration_loss` of each of some designs that differ in their forms alone."""
        validation, config = self._problem.data.validation, self._config(designs[0])
        images = validation.subset(torch.arange(min(self._problem.settings.images, len(validation))))
        evaluate_in = self._evaluator(self._restricted(config, designs[0].size), config)
        found = {}
        for form in dict.fromkeys(design.form for design in designs):
            loss, top1, _ = evaluate_in(images, form).means()
            found[form] = loss if self._problem.judge == LOSS else 1 - top1
        return [found[design.form] for design in designs]

    def untrained(self, design: Design, name: str) -> Evaluation:
        """`untrained_forms` of one design in its own form."""
        return self.untrained_forms(design, name, [design.form])[0]

    def untrained_forms(
        self, design: Design, name: str, forms: Sequence[RegisterForm]
    ) -> tuple[Evaluation, ...]:
        """The start with its slopes moved to the nearest allowed, on whole splits; its checkpoint is kept as `name`."""
        data, config, place = self._problem.data, self._config(design), self._place(name)
        model = self._restricted(config, design.size)
        state = plain_state(model)
        write_tensors(place / BEST, checkpoint(config, described(config, data), state, TrainingProgress()))
        return self._measured(model, config, forms, place / BEST, 0.0)

    def trained(self, jobs: Sequence[Retraining]) -> list[tuple[Evaluation, ...] | TrainError]:
        """Retrain; alike ones side by side if the study says so. A training that was broken off goes on where it was.

        Each is measured in its forms: bit by bit where it has registers; as the rewritten graph in float64 where it has
        none, but weight scales are rounded; else as it was trained. A training that diverges is a TrainError.
        Raises KeyboardInterrupt, after saving, if asked to stop.
        """
        found: dict[str, dict[str, Any] | TrainError] = {}
        waiting: list[tuple[Retraining, Run]] = []
        for job in jobs:
            place = self._place(job.name)
            if (place / METRICS).exists():
                found[job.name] = metrics(place)
            else:
                waiting.append((job, self._run(job, place)))
        while waiting:
            together = [pair for pair in waiting if alike([waiting[0][1].config, pair[1].config])]
            waiting = [pair for pair in waiting if pair not in together]
            outcomes = self._train([run for _, run in together])
            found |= {job.name: outcome for (job, _), outcome in zip(together, outcomes, strict=True)}
        return [self._judged(job, found[job.name]) for job in jobs]

    def _run(self, job: Retraining, place: Path) -> Run:
        data = self._problem.data_with(job.config.seed)
        context = RunContext(self._fabric, data, place, SilentListener(), self._stop)
        return Run(job.config, context, job.start or self._problem.start_of(job.size))

    def _train(self, runs: Sequence[Run]) -> list[Outcome]:
        """Train alike runs: side by side where that was asked for and is possible, else one by one."""
        if self._problem.settings.group > 1 and self._obstacle(runs[0].config) is None:
            return train_side_by_side(runs)
        return [train_alone(run) for run in runs]

    def _obstacle(self, config: Config) -> str | None:
        bare = replace(config, slopes=None, seed=0, epochs=1)
        found = next((why for known, why in self._obstacles if known == bare), "")
        if found == "":
            found = obstacle(bare, self._problem.data)
            self._obstacles.append((bare, found))
        return found

    def _judged(
        self, job: Retraining, found: dict[str, Any] | TrainError
    ) -> tuple[Evaluation, ...] | TrainError:
        if isinstance(found, TrainError):
            return found
        best = self._place(job.name) / BEST
        if job.forms == (RegisterForm(),):
            return (_judged(found, best),)
        return self.measured(job.config, best, job.forms, found["seconds"])

    def measured(
        self, config: Config, checkpoint: Path, forms: Sequence[RegisterForm], seconds: float = 0.0
    ) -> tuple[Evaluation, ...]:
        """A trained checkpoint on the whole splits, in every form."""
        model = network(config, self._problem.data)
        restore(model, read_checkpoint(checkpoint))
        return self._measured(model, config, forms, checkpoint, seconds)

    def converted(
        self, config: Config, size: str, change: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
    ) -> Path:
        """The start with other tensors, as a checkpoint of the network that `config` trains."""
        place = self._folder / f"start-{config.variant}{size and '-' + slug(size)}.pt"
        if not place.exists():
            description = described(config, self._problem.data)
            state = change(self._start(size).tensors)
            write_tensors(place, checkpoint(config, description, state, TrainingProgress()))
        return place

    def _config(self, design: Design) -> Config:
        return retraining(
            self._problem, design, epochs=self._problem.config.epochs, seed=self._problem.config.seed
        )

    def _restricted(self, config: Config, size: str) -> nn.Module:
        known = size, config.alpha_exponent
        if known not in self._fresh:  # else candidates differ in their slopes alone
            self._fresh[known] = network(config, self._problem.data)
        model = deepcopy(self._fresh[known])
        restore(model, self._start(size))
        restrict_slopes(model, config)
        return model

    def _start(self, size: str) -> Checkpoint:
        if size not in self._starts:
            self._starts[size] = read_checkpoint(self._problem.start_of(size))
        return self._starts[size]

    def _place(self, name: str) -> Path:
        place = self._folder / name
        place.mkdir(parents=True, exist_ok=True)
        sweep(place)
        return place

    def _measured(
        self,
        model: nn.Module,
        config: Config,
        forms: Sequence[RegisterForm],
        checkpoint: Path,
        seconds: float,
    ) -> tuple[Evaluation, ...]:
        """Evaluations on the whole splits, one for every form."""
        data, evaluate_in, exponents = (
            self._problem.data,
            self._evaluator(model, config),
            exponents_by_layer(model),
        )
        found: dict[RegisterForm, Evaluation] = {}
        for form in dict.fromkeys(forms):
            chosen, tested = (evaluate_in(split, form) for split in (data.validation, data.test))
            found[form] = Evaluation(
                chosen.means()[0],
                chosen.means()[1],
                tested.means()[0],
                tested.means()[1],
                wilson(tested.right, tested.images),
                tested.images,
                exponents,
                checkpoint,
                seconds,
            )
        return tuple(found[form] for form in forms)

    def _evaluator(self, model: nn.Module, config: Config) -> Callable[[Split, RegisterForm], LossTally]:
        """What evaluates a network in any form; it is traced when that is needed first."""
        problem, classes = self._problem, len(self._problem.data.classes)
        spec = InputSpec((1, *problem.data.input_shape))
        known = None if config.own else config.network
        subject = Subject(model, config.model, known, (spec,), trained=True)
        bits = BitTrue(subject, lambda scale, fraction: problem.rewriting(scale, fraction=fraction), classes)

        def found(split: Split, form: RegisterForm) -> LossTally:
            if form.width is not None:
                return bits.tally(split, form)
            size = problem.config.batch_size
            if form.scale == "none":
                return evaluate(self._fabric, model, split, classes=classes, batch_size=size)
            return self._rounded(subject, split, form.scale)

        return found

    def _rounded(self, subject: Subject, split: Split, scale: str) -> LossTally:
        """Losses of the rewritten graph on a split, in float64."""
        size, classes = self._problem.config.batch_size, len(self._problem.data.classes)
        lowered = Lowered(subject, self._problem.rewriting(scale), Floating(hardware_sign=True))
        tally = LossTally(classes, torch.device("cpu"))
        for pixels, labels in split.batches(torch.arange(len(split)), size, epoch=0, augment=False):
            logits = lowered(pixels)
            tally.add(logits, labels, label_loss(logits, labels))
        return tally


def _judged(found: Mapping[str, Any], best: Path) -> Evaluation:
    """What metrics.json says."""
    low, high = found["test_top1_ci95"]
    return Evaluation(
        loss=found["selected_loss"],
        validation_top1=found["selected_top1"],
        test_loss=found["test_loss"],
        test_top1=found["test_top1"],
        test_ci95=(low, high),
        test_images=found["test_images"],
        exponents={layer: ExponentSet(values) for layer, values in found["exponents_by_layer"].items()},
        checkpoint=best,
        seconds=found["seconds"],
    )


def retraining(problem: Problem, design: Design, *, epochs: int, seed: int) -> Config:
    """The config of a retraining."""
    config = replace(problem.sized(design.size), slopes=design.slopes, epochs=epochs, seed=seed)
    return config if design.alpha is None else replace(config, alpha_exponent=design.alpha)
