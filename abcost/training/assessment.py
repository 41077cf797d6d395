"""How well a checkpoint classifies, as it was trained or as hardware computes it, and whether the two agree."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from abcost.core.inputs import InputSpec
from abcost.core.interpret import Arithmetic, FixedPoint, Floating
from abcost.core.primitives import Origin
from abcost.data import DataSet
from abcost.errors import UsageError
from abcost.models.accuracies import Published, published
from abcost.models.checkpoint import read_checkpoint
from abcost.models.network import holds_weights, of_zoo
from abcost.models.subject import Request, Subject, resolve
from abcost.rewrite import RewriteOptions
from abcost.training.losses import label_loss
from abcost.training.lowered import LISTED, Lowered, surviving
from abcost.training.network import logits_of
from abcost.training.tally import LossTally, wilson
from abcost.training.told import plain, summary

FORMS = ("trained", "rewritten", "fixed-point")
_PIXELS = 2**20  # of a batch: 20 images of 224x224
_MOST = 256  # images of a batch


@dataclass(frozen=True, slots=True)
class EvaluationForm:
    """In which form a network is evaluated. Raises UsageError for a width where there is none.

    trained: the torch network in float32. rewritten: the last stage of the graph in float64, signs with one bit.
    fixed-point: the same with `rewriting.fraction_bits`, in registers of `width` bits (None: as wide as needed).
    """

    name: str = "trained"
    rewriting: RewriteOptions = field(default_factory=RewriteOptions)
    width: int | None = None

    def __post_init__(self) -> None:
        if self.width is None:
            return
        if self.name != "fixed-point":
            raise UsageError("--width is the width of fixed-point registers: add --as fixed-point")
        if self.width <= self.rewriting.fraction_bits:
            raise UsageError(
                f"--width {self.width} holds no bit before the point with --fraction-bits "
                f"{self.rewriting.fraction_bits}: widen it, or take fewer of them"
            )

    @property
    def arithmetic(self) -> Arithmetic | None:
        """What the graph is executed in; None where the network itself runs."""
        if self.name == "trained":
            return None
        if self.name == "rewritten":
            return Floating(hardware_sign=True)
        return FixedPoint(self.rewriting.fraction_bits, width=self.width)


@dataclass(frozen=True, slots=True)
class Score:
    """Accuracies between 0 and 1 on `images` images, and how many of a class were taken for which.

    by_class: images of each class, and how many of them are right. confusion: rows are the true classes, columns the
    predicted ones.
    """

    images: int
    top1: float
    top1_ci95: tuple[float, float]
    top5: float
    loss: float  # cross-entropy with the labels
    by_class: tuple[tuple[int, int], ...]
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, repr=False)
class Assessment:
    """What `abcost.evaluate` returns. None, what compares with the trained network where that itself was evaluated."""

    subject: Subject
    form: EvaluationForm
    data: str
    classes: tuple[str, ...]
    score: Score
    trained: Score | None  # of the trained network, on the same images
    agreeing: int | None  # images that both put into the same class
    left: (
        Mapping[Origin, tuple[int, tuple[str, ...]]] | None
    )  # multiplications of one image, and their layers
    fixed: FixedPoint | None  # with what it met
    published: tuple[Published, ...]
    checkpoint: Path | None = None

    def __repr__(self) -> str:
        low, high = self.score.top1_ci95
        return (
            f"<Assessment of {self.subject.name[-40:]}, {self.form.name}: top-1 {self.score.top1:.2%} ({low:.2%} to "
            f"{high:.2%}) on {self.score.images:,} images>"
        )

    def summary(self) -> str:
        """Accuracies, agreement with the trained network, and what the number format holds: a few lines."""
        score = self.score
        low, high = score.top1_ci95
        return (
            f"{self.subject.name}, {self.form.name}: top-1 {score.top1:.2%} (95 % interval {low:.2%} to {high:.2%}), "
            f"top-5 {score.top5:.2%}, loss {score.loss:.4f}, {score.images:,} test images of {self.data}\n"
            f"{summary(self)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, as `abcost evaluate --format json` writes it: accuracies between 0 and 1, schema 1."""
        return plain(self)

    @property
    def agreement(self) -> float | None:
        """Share of the images that both forms put into the same class."""
        return None if self.agreeing is None else self.agreeing / self.score.images

    @property
    def outside(self) -> int | None:
        """Multiplications of one image that are not of the listed origins."""
        if self.left is None:
            return None
        return sum(count for origin, (count, _) in self.left.items() if origin not in LISTED)


def trained_network(asked: Request, data: DataSet) -> Subject:
    """The network in `asked.checkpoint`, with an output per class of `data` and inputs of its shape.

    What the checkpoint does not say is taken from `asked`, else from the data. Raises UsageError if it was trained
    for another number of classes, and as `resolve`.
    """
    if asked.checkpoint is None:
        raise UsageError("evaluating needs a --checkpoint")
    if holds_weights(asked.model):
        raise UsageError(
            f"{asked.model} holds weights of its own: name a network of the zoo, or file.py:factory"
        )
    if of_zoo(asked.model):
        asked = _with_classes(asked, data, asked.checkpoint)
    return resolve(replace(asked, inputs=(InputSpec((1, *data.input_shape)),)))


def _with_classes(asked: Request, data: DataSet, checkpoint: Path) -> Request:
    origin = read_checkpoint(checkpoint).origin
    if origin.num_classes not in {None, len(data.classes)}:
        raise UsageError(
            f"checkpoint {str(checkpoint)!r} was trained for {origin.num_classes} classes, --data {data.name} has "
            f"{len(data.classes)}; name the data that it was trained on"
        )
    preset = asked.preset or origin.preset or data.preset
    return replace(asked, preset=preset, num_classes=len(data.classes))


def assess(
    subject: Subject,
    data: DataSet,
    form: EvaluationForm,
    *,
    images: int | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Assessment:
    """Evaluate on the test split of `data`, or on so many of its `images`, evenly spread.

    The trained network runs on the GPU if there is one, the rewritten graph on the CPU. `progress` is told how many
    images are done, of how many. Raises ModelError if the network gives no logit per class, GraphError and what
    tracing and rewriting raise.
    """
    arithmetic = form.arithmetic
    lowered = None if arithmetic is None else Lowered(subject, form.rewriting, arithmetic)
    order = _evenly(len(data.test), images)
    batch = max(1, min(_MOST, _PIXELS // (data.input_shape[1] * data.input_shape[2])))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = copy.deepcopy(subject.model).eval().to(device)  # tracing needs the original, on the CPU
    classes = len(data.classes)
    first, second = (LossTally(classes, torch.device("cpu"), confusion=True) for _ in range(2))
    agreeing = 0
    for pixels, labels in data.test.batches(order, batch, epoch=0, augment=False):
        logits = logits_of(model, pixels.to(device), classes).cpu()
        first.add(logits, labels, label_loss(logits, labels))
        if lowered is not None:
            rewritten = lowered(pixels)
            second.add(rewritten, labels, label_loss(rewritten, labels))
            agreeing += int((rewritten.argmax(dim=1) == logits.argmax(dim=1)).sum())
        progress(first.images, len(order))
    return Assessment(
        subject,
        form,
        data.name,
        data.classes,
        score=_score(first if lowered is None else second),
        trained=None if lowered is None else _score(first),
        agreeing=None if lowered is None else agreeing,
        left=None if lowered is None else surviving(lowered.multiplications()),
        fixed=arithmetic if isinstance(arithmetic, FixedPoint) else None,
        published=_published(subject, data),
    )


def _evenly(available: int, wanted: int | None) -> Tensor:
    """Indices of `wanted` of the `available` images. Raises UsageError.

    >>> _evenly(10, 4).tolist()
    [0, 2, 5, 7]
    """
    if wanted is None:
        return torch.arange(available)
    if not 1 <= wanted <= available:
        raise UsageError(f"--images {wanted} is not between 1 and the {available:,} of the test split")
    return torch.arange(wanted) * available // wanted


def _score(tally: LossTally) -> Score:
    loss, top1, top5 = tally.means()
    confusion = tally.confusion
    if confusion is None:
        raise ValueError("the tally kept no confusion matrix")
    by_class = zip(confusion.sum(dim=1).tolist(), confusion.diagonal().tolist(), strict=True)
    rows = tuple(tuple(row) for row in confusion.tolist())
    return Score(tally.images, top1, wilson(tally.right, tally.images), top5, loss, tuple(by_class), rows)


def _published(subject: Subject, data: DataSet) -> tuple[Published, ...]:
    """Printed accuracies of the same network on the same data."""
    network = subject.network
    if network is None or network.reduction() or network.variant is None or network.step is None:
        return ()
    return published(
        network.model, network.variant, data.name, step=network.step, alpha_exponent=network.alpha_exponent
    )
