"""`abcost.evaluate`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, Unpack

import torch

from abcost.api.checked import call
from abcost.api.options import EvaluateOptions, request_of, rewriting_of
from abcost.data import DataSet, load
from abcost.models.subject import Request
from abcost.training.assessment import Assessment, EvaluationForm, assess, trained_network
from abcost.training.recipes import RECIPES


@call
def evaluate(
    model: str,
    checkpoint: str | Path,
    data: str | Path | DataSet,
    *,
    form: Literal["trained", "rewritten", "fixed-point"] = "trained",
    width: int | None = None,
    images: int | None = None,
    data_root: str | Path | None = None,
    image_size: int | None = None,
    workers: int | None = None,
    threads: int | None = None,
    **options: Unpack[EvaluateOptions],
) -> Assessment:
    """Accuracy of a checkpoint on the test split, as `abcost evaluate` says it.

    model: a network of the zoo, or "file.py:factory".  checkpoint: as `abcost.train` writes it, or as published.
    data: as `abcost.train` takes it, or a `DataSet`.
    form: "trained", the network itself; "rewritten", the lowered graph in float64; "fixed-point", bit by bit.
    width: bits of fixed-point registers, which wrap; default: as wide as needed.  images: only so many, evenly spread.
    data_root: folder of its files.  image_size: pixels, for a folder of images.  workers: processes that read.
    threads: default 1 for digits and mnist5k, else torch's choice.  options: see `ZooOptions`, `LoweringOptions`.

    Raises AbcostError.

    >>> evaluate("reactnet_18", "runs/digits/best.pt", "digits", form="fixed-point").score.top1   # doctest: +SKIP
    0.958
    """
    asked = request_of(model, options, checkpoint)
    wanted = EvaluationForm(form, rewriting_of(options), width)
    return assessed(
        asked, wanted, data if isinstance(data, DataSet) else str(data), images=images, threads=threads,
        root=None if data_root is None else Path(data_root), image_size=image_size, workers=workers,
    )  # fmt: skip


def assessed(
    asked: Request,
    wanted: EvaluationForm,
    data: str | DataSet,
    *,
    root: Path | None = None,
    image_size: int | None = None,
    workers: int | None = None,
    images: int | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Assessment:
    """Load the data, build the network of the checkpoint, evaluate it. Raises as `abcost.evaluate`."""
    before = torch.get_num_threads()
    name = data.name if isinstance(data, DataSet) else data
    torch.set_num_threads(threads or RECIPES.get(name, {}).get("threads") or before)
    try:
        loaded = load(data, root, image_size=image_size, workers=workers) if isinstance(data, str) else data
        found = assess(trained_network(asked, loaded), loaded, wanted, images=images, progress=progress)
    finally:
        torch.set_num_threads(before)
    return replace(found, checkpoint=asked.checkpoint)
