"""What an assessment says: as lines, and as plain values for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from abcost.core.primitives import Origin
from abcost.models.accuracies import SOURCE
from abcost.training.tally import wilson

if TYPE_CHECKING:
    from abcost.training.assessment import Assessment, Score

MOST_WRITTEN = 100  # classes of a matrix in JSON, and pairs: a million numbers are for a file of their own


def plain(found: Assessment) -> dict[str, Any]:
    """Plain values of schema 1. What was not measured is None."""
    subject, score, fixed, left = found.subject, found.score, found.fixed, found.left
    return {
        "schema": 1,
        "model": subject.name,
        "variant": subject.variant,
        "step": None if subject.network is None else subject.network.step,
        "checkpoint": None if found.checkpoint is None else str(found.checkpoint),
        "data": found.data,
        "as": found.form.name,
        **_accuracies(score),
        "images": score.images,
        "trained": None if found.trained is None else _accuracies(found.trained),
        "agreement": found.agreement,
        "agreement_ci95": interval(found),
        "multiplications": None
        if left is None
        else {origin.value: left.get(origin, (0, ()))[0] for origin in Origin},
        "multiplications_in": None
        if left is None
        else {origin.value: list(layers) for origin, (_, layers) in left.items()},
        "multiplications_outside": found.outside,
        "fixed_point": None
        if fixed is None
        else {
            "fraction_bits": fixed.fraction_bits,
            "width_bits": fixed.width,
            "needed_width_bits": fixed.needed_width,
            "overflows": fixed.overflows,
        },
        "published": [
            {"top1": figure.top1, "row": figure.row, "slopes": figure.slopes or None, "source": SOURCE}
            for figure in found.published
        ],
        "classes": [
            {"name": name, "images": images, "top1": right / images if images else None}
            for name, (images, right) in zip(found.classes, score.by_class, strict=True)
        ],
        **_confusion(found),
    }


def _accuracies(score: Score) -> dict[str, Any]:
    return {
        "top1": score.top1,
        "top1_ci95": list(score.top1_ci95),
        "top5": score.top5,
        "loss": score.loss,
    }


def interval(found: Assessment) -> list[float] | None:
    """95 % interval of the agreement; None where nothing is compared."""
    return None if found.agreeing is None else list(wilson(found.agreeing, found.score.images))


def summary(found: Assessment) -> str:
    """Agreement with the trained network, and what the number format holds."""
    if found.agreement is None or found.agreeing is None:
        return "The network as it was trained; --as rewritten and --as fixed-point compare with it."
    low, high = interval(found) or (0.0, 0.0)
    lines = [
        f"Agreement with the trained network: {found.agreeing:,} of {found.score.images:,} images, "
        f"{found.agreement:.2%} (95 % interval {low:.2%} to {high:.2%})."
    ]
    if not found.left:
        lines.append("No multiplication is left.")
    fixed = found.fixed
    if fixed is not None:
        held = "registers as wide as needed" if fixed.width is None else f"registers of {fixed.width} bits"
        wrapped = "" if fixed.width is None else f", {fixed.overflows:,} values wrapped"
        lines.append(
            f"{fixed.fraction_bits} fraction bits, {held}; {fixed.needed_width} bits hold every value{wrapped}."
        )
    return "\n".join(lines)


def _confusion(found: Assessment) -> dict[str, Any]:
    """Confusion for JSON: the matrix, null for more than `MOST_WRITTEN` classes, and the most frequent mistakes."""
    classes, matrix = found.classes, found.score.confusion
    return {
        "confusion": [list(row) for row in matrix] if len(classes) <= MOST_WRITTEN else None,
        "confused": [
            {"true": classes[true], "predicted": classes[predicted], "images": images}
            for true, predicted, images in confused_pairs(found)[:MOST_WRITTEN]
        ],
    }


def confused_pairs(found: Assessment) -> list[tuple[int, int, int]]:
    """True class, predicted class and images of every mistake that was made, the most frequent first."""
    pairs = [
        (true, predicted, images)
        for true, row in enumerate(found.score.confusion)
        for predicted, images in enumerate(row)
        if images and predicted != true
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))
