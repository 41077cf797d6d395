"""The confusion matrix in what `abcost evaluate` prints: whole where it can be read, else what is confused most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from abcost.training.assessment import Assessment

MOST_SHOWN = 12  # classes of a matrix on the terminal: more columns do not fit
PAIRS_SHOWN = 20
MOST_WRITTEN = 100  # classes of a matrix in JSON, and pairs: a million numbers are for a file of their own


def table(found: Assessment) -> Table:
    """One row per true class, one column per predicted one; of many classes, the pairs that are confused most."""
    from abcost.report.drawing import grid

    classes, matrix = found.classes, found.score.confusion
    if len(classes) <= MOST_SHOWN:
        numbers = [str(number) for number in range(len(classes))]
        drawn = grid("Confusion matrix: true classes down, predicted ones across", "class", "", *numbers)
        drawn.columns[1].justify = "right"
        for number, (name, row) in enumerate(zip(classes, matrix, strict=True)):
            drawn.add_row(name, str(number), *(str(images) if images else "·" for images in row))
        return drawn
    pairs = _pairs(found)
    shown = pairs[:PAIRS_SHOWN]
    drawn = grid(
        f"Confused most: {len(shown)} of {len(pairs):,} pairs", "true", "predicted", "images", "of class",
        text_columns=2,
    )  # fmt: skip
    for true, predicted, images in shown:
        drawn.add_row(classes[true], classes[predicted], f"{images:,}", f"{images / sum(matrix[true]):.2%}")
    drawn.caption, drawn.caption_justify = "the whole matrix: --confusion FILE.csv", "left"
    return drawn


def plain(found: Assessment) -> dict[str, Any]:
    """For JSON: the matrix, null for more than `MOST_WRITTEN` classes, and the pairs that are confused most."""
    classes, matrix = found.classes, found.score.confusion
    return {
        "confusion": [list(row) for row in matrix] if len(classes) <= MOST_WRITTEN else None,
        "confused": [
            {"true": classes[true], "predicted": classes[predicted], "images": images}
            for true, predicted, images in _pairs(found)[:MOST_WRITTEN]
        ],
    }


def _pairs(found: Assessment) -> list[tuple[int, int, int]]:
    """True class, predicted class and images of every mistake that was made, the most frequent first."""
    pairs = [
        (true, predicted, images)
        for true, row in enumerate(found.score.confusion)
        for predicted, images in enumerate(row)
        if images and predicted != true
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))
