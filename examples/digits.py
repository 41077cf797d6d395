"""From images to a circuit's price: train on digits, search slopes within a budget, evaluate, size, compare, draw.

python examples/digits.py [folder]
"""

from __future__ import annotations

import sys
from pathlib import Path

import abcost

SMALL = {"base_width": 8, "blocks": (1, 1)}


def main(folder="runs"):
    """A minute on two cores; leave epochs, trials and seeds out for the recipe's own."""
    place = Path(folder)
    run = abcost.train("reactnet_18", place / "digits", data="digits", epochs=2, **SMALL)
    print(run)
    found = abcost.search(
        "reactnet_18", place / "search", data="digits", init=run.checkpoint, budget="luts=2000", trials=4,
        epochs=(1,), seeds=2, finalists=2, **SMALL,
    )  # fmt: skip
    print(found.to_frame().to_string())
    print(abcost.evaluate("reactnet_18", found.checkpoint, "digits", form="fixed-point").summary())
    sized = {"device": "xc7z020", "fps": 5000}
    before = abcost.analyze("reactnet_18", checkpoint=run.checkpoint, **sized)
    after = abcost.analyze("reactnet_18", checkpoint=found.checkpoint, slopes=found.slopes, **sized)
    print(after.summary())
    print(abcost.compare(before, after, fail_if=["luts>+5%"]))
    after.save(place / "report.html")
    after.save(place / "report.svg")
    print(f"look at {place / 'report.html'} and {found.plot}")


if __name__ == "__main__":
    main(*sys.argv[1:])
