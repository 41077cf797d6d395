"""`abcost.train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from abcost.api.checked import call
from abcost.api.recipe import RecipeOptions, steps_of, values_of
from abcost.training.context import BEST, LOG
from abcost.training.interrupt import catching
from abcost.training.run import metrics
from abcost.training.run import train as run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, repr=False)
class Training:
    """What `abcost.train` returns: a finished run.

    folder: of the run.  metrics: metrics.json of its last step; accuracies between 0 and 1.
    """

    folder: Path
    metrics: Mapping[str, Any]

    def __repr__(self) -> str:
        model, data, (low, high) = (self.metrics[name] for name in ("model", "data", "test_top1_ci95"))
        return f"<Training of {model} on {data[-30:]}: test top-1 {self.test_top1:.2%} ({low:.2%} to {high:.2%})>"

    @property
    def checkpoint(self) -> Path:
        """The best epoch's weights."""
        return self.folder / BEST

    @property
    def test_top1(self) -> float:
        """Share of the test images that are classified right, 0 to 1."""
        return float(self.metrics["test_top1"])

    def to_frame(self) -> pd.DataFrame:
        """log.csv: a row per epoch of the last step; losses, accuracies (0 to 1), seconds, images_per_second."""
        import pandas as pd

        return pd.read_csv(self.folder / LOG)


@call
def train(
    model: str,
    run_dir: str | Path,
    *,
    data: str | Path | None = None,
    step: Literal[1, 2, "both"] | None = None,
    resume: bool = False,
    config: str | Path | None = None,
    **recipe: Unpack[RecipeOptions],
) -> Training:
    """Train a network in two steps, as `abcost train` does, without a word.

    model: of the zoo, or your own, "file.py:factory" or "package.module:factory", in one step unless it takes `step`.
    run_dir: folder of the results.  data: "digits" (default), "mnist5k", "cifar10", "cifar100", "imagenet", a folder of
    images, or "file.py:function".  step: 1, real weights; 2, binary; "both" (default), one after the other.
    resume: go on with the run in the folder.  config: TOML with values of the recipe.  recipe: see `RecipeOptions`.

    The first Ctrl-C saves, and raises KeyboardInterrupt. Raises AbcostError.

    >>> train("reactnet_18", "runs/digits", base_width=16, blocks=(2, 2, 2)).checkpoint   # doctest: +SKIP
    PosixPath('runs/digits/best.pt')
    """
    folder, file = Path(run_dir), None if config is None else Path(config)
    said = values_of(recipe, data=None if data is None else str(data))
    steps = steps_of(model, None if step is None else str(step), folder, file, said, resume=resume)
    with catching() as stop:
        run(steps, folder, resume=resume, stop=lambda: stop.asked)
    return Training(folder, metrics(folder))
