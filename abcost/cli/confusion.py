"""The confusion matrix in what `abcost evaluate` prints: whole where it can be read, else what is confused most."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from abcost.training.assessment import Assessment

MOST_SHOWN = 12  # classes of a matrix on the terminal: more columns do not fit
PAIRS_SHOWN = 20


def table(found: Assessment) -> Table:
    """One row per true class, one column per predicted one; of many classes, the pairs that are confused most."""
    from abcost.report.drawing import grid
    from abcost.training.told import confused_pairs

    classes, matrix = found.classes, found.score.confusion
    if len(classes) <= MOST_SHOWN:
        numbers = [str(number) for number in range(len(classes))]
        drawn = grid("Confusion matrix: true classes down, predicted ones across", "class", "", *numbers)
        drawn.columns[1].justify = "right"
        for number, (name, row) in enumerate(zip(classes, matrix, strict=True)):
            drawn.add_row(name, str(number), *(str(images) if images else "·" for images in row))
        return drawn
    pairs = confused_pairs(found)
    shown = pairs[:PAIRS_SHOWN]
    drawn = grid(
        f"Confused most: {len(shown)} of {len(pairs):,} pairs", "true", "predicted", "images", "of class",
        text_columns=2,
    )  # fmt: skip
    for true, predicted, images in shown:
        drawn.add_row(classes[true], classes[predicted], f"{images:,}", f"{images / sum(matrix[true]):.2%}")
    drawn.caption, drawn.caption_justify = "the whole matrix: --confusion FILE.csv", "left"
    return drawn
