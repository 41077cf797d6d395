"""The paper's slope ablation in miniature: does it matter how the slopes of RPReLU are chosen?

A small ReActNet-18 is trained in both steps on real digits: with every slope fixed to 2^-3 (the paper's RLeakyReLU),
fixed to 2^-7, trained as a power of two per channel (quantized RPReLU), and trained as a real number; three seeds each,
every other value as documented for the data set. Writes slope_ablation.csv (a row per training) and slope_ablation.md.

    python benchmarks/slope_ablation.py [--run-dir runs/slope_ablation] [--output reports]

One thread, half an hour; the same command goes on where it was interrupted. `--render` writes the text anew from the
table, without training.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from abcost.errors import UsageError
from abcost.models.accuracies import DATA as PUBLISHED_ON
from abcost.models.accuracies import SOURCE, published
from abcost.training.config import Config
from abcost.training.files import write_text
from abcost.training.recipes import configs
from abcost.training.run import stored, train

MODEL = "reactnet_18"
NETWORK: Mapping[str, Any] = {"base_width": 16, "blocks": (2, 2, 2)}
DATA = ("digits", "mnist5k")
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "fixed 2^-3": {"fixed_slope": -3},
    "fixed 2^-7": {"fixed_slope": -7},
    "quantized RPReLU": {},
    "real PReLU": {"variant": "bn-free"},
}
SEEDS = (0, 1, 2)
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Run:
    """One training; accuracies between 0 and 1, on the test split, of the epoch that the validation split chose."""

    data: str
    slopes: str
    seed: int
    epochs: int  # of each step
    test_images: int
    step1_top1: float
    step2_top1: float


@dataclass(frozen=True, slots=True)
class Group:
    """The accuracies of one setting, in percent, one per seed."""

    name: str
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """In percent."""
        return statistics.fmean(self.values)

    @property
    def standard_error(self) -> float:
        """Of the mean, in points: standard deviation over seeds / sqrt(seeds)."""
        return statistics.stdev(self.values) / math.sqrt(len(self.values))


def steps(data: str, setting: str, seed: int, epochs: int | None) -> tuple[Config, ...]:
    """Both steps of one training."""
    given = {"data": data, "seed": seed, **NETWORK, **SETTINGS[setting]}
    return configs(MODEL, (1, 2), given=given if epochs is None else {**given, "epochs": epochs})


def run(folder: Path, data: str, setting: str, seed: int, epochs: int | None) -> Run:
    """Train, or go on, or read what is there. Raises UsageError if the folder holds another training."""
    wanted = steps(data, setting, seed, epochs)
    place = folder / f"{data}-{setting.replace(' ', '-').replace('^', '')}-{seed}"
    held = stored(place)
    if held is not None and held != wanted:
        raise UsageError(
            f"{place} holds a training with another recipe: remove it, or name another --run-dir"
        )
    found = train(wanted, place, resume=True)
    first = json.loads((place / "step1" / "metrics.json").read_text(encoding="utf-8"))
    return Run(
        data, setting, seed, found["epochs"], found["test_images"], first["test_top1"], found["test_top1"]
    )


def groups(runs: Sequence[Run], data: str, step: int) -> list[Group]:
    """Per setting, in the order of `SETTINGS`."""
    found = {
        name: tuple(100 * getattr(r, f"step{step}_top1") for r in runs if (r.data, r.slopes) == (data, name))
        for name in SETTINGS
    }
    return [Group(name, values) for name, values in found.items() if values]


def spread(compared: Sequence[Group]) -> float:
    """Standard deviation over seeds, pooled over the settings: s = sqrt(mean of their variances), in points."""
    return math.sqrt(statistics.fmean(statistics.variance(group.values) for group in compared))


def significant_difference(compared: Sequence[Group]) -> float:
    """The least difference between two means that exceeds the noise, in points, all pairs considered together.

        q * s / sqrt(n)

    q: 95 % quantile of the studentized range of k settings with k * (n - 1) degrees of freedom; s: `spread`; n: seeds.
    Source: Tukey's honest significant difference (Tukey, The problem of multiple comparisons, 1953).
    """
    from scipy.stats import studentized_range  # noqa: PLC0415 - takes a second to load

    (seeds,) = {len(group.values) for group in compared}
    quantile = studentized_range.ppf(CONFIDENCE, len(compared), len(compared) * (seeds - 1))
    return float(quantile) * spread(compared) / math.sqrt(seeds)


def verdict(compared: Sequence[Group]) -> str:
    """Whether the differences exceed the noise, in words."""
    limit = significant_difference(compared)
    pairs = [sorted(pair, key=lambda group: -group.mean) for pair in itertools.combinations(compared, 2)]
    pairs.sort(key=lambda pair: pair[1].mean - pair[0].mean)
    best, worst = pairs[0]
    beyond = [(a, b) for a, b in pairs if a.mean - b.mean > limit]
    found = (
        f"the largest difference is {best.mean - worst.mean:.2f} points ({best.name} over {worst.name}); "
        f"by Tukey's test two settings differ beyond the noise from {limit:.2f} points on "
        f"({CONFIDENCE:.0%}, pooled standard deviation {spread(compared):.2f} points). "
    )
    if not beyond:
        return f"{found}**No difference exceeds the noise**; smaller ones could not be seen with so few trainings."
    named = "; ".join(f"{a.name} over {b.name} by {a.mean - b.mean:.2f}" for a, b in beyond)
    return f"{found}**{len(beyond)} of {len(pairs)} differences exceed the noise:** {named}."


def sampling(compared: Sequence[Group], images: int) -> float:
    """Standard error, in points, of one accuracy for being measured on so many images: sqrt(p * (1 - p) / images)."""
    p = statistics.fmean(group.mean for group in compared) / 100
    return 100 * math.sqrt(p * (1 - p) / images)


def markdown(runs: Sequence[Run]) -> str:
    """The report."""
    seeds = sorted({r.seed for r in runs})
    lines = [
        "# Slopes of RPReLU: the paper's ablation in miniature",
        "",
        "Made by `python benchmarks/slope_ablation.py` (`make ablation`) from the trainings in `slope_ablation.csv`.",
        f"ReActNet-18 with base width {NETWORK['base_width']} and {','.join(map(str, NETWORK['blocks']))} blocks; "
        "test top-1 in percent, mean ± standard error over "
        f"seeds {', '.join(map(str, seeds))}; best epoch by the validation split.",
        "Real PReLU is variant `bn-free`: its slopes start at 1/4 and learn at `--lr`; powers of two start at 2^-3 and "
        "learn at `--slope-lr`.",
    ]
    for data in dict.fromkeys(r.data for r in runs):
        some = next(r for r in runs if r.data == data)
        first, second = (groups(runs, data, step) for step in (1, 2))
        lines += [
            "",
            f"## {data}: {some.epochs} epochs per step, {some.test_images} test images",
            "",
            "| slopes | step 1 | step 2 | step 2, seed by seed |",
            "| :-- | --: | --: | --: |",
            *(
                f"| {a.name} | {_mean(a)} | {_mean(b)} | {', '.join(f'{v:.2f}' for v in b.values)} |"
                for a, b in zip(first, second, strict=True)
            ),
            "",
            f"- Step 1: {verdict(first)}",
            f"- Step 2: {verdict(second)}",
            f"- One image is {100 / some.test_images:.2f} points. All trainings are tested on the same images; other "
            f"images would move an accuracy by a standard error of {sampling(second, some.test_images):.2f} points.",
        ]
    lines += [
        "",
        "## As published, for comparison",
        "",
        f"ReActNet-18, top-1 % of step 1 / step 2 ({SOURCE}), without a spread.",
        "",
        "| slopes | ImageNet | CIFAR-10 | CIFAR-100 |",
        "| :-- | --: | --: | --: |",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in _printed().items()),
    ]
    return "\n".join(lines) + "\n"


def _printed() -> dict[str, list[str]]:
    """Per setting that the paper prints, step 1 / step 2 on ImageNet, CIFAR-10 and CIFAR-100."""
    found: dict[str, list[str]] = {}
    for name in SETTINGS:
        for data in PUBLISHED_ON:
            both = [published(MODEL, "ab", data, step=step) for step in (1, 2)]
            figures = [figure for row in both for figure in row if figure.slopes == name]
            if figures:
                found.setdefault(name, []).append(" / ".join(f"{figure.percent:.2f}" for figure in figures))
    return found


def _mean(group: Group) -> str:
    return f"{group.mean:.2f} ± {group.standard_error:.2f}"


def table(runs: Sequence[Run]) -> str:
    """As CSV; `read` is the inverse."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [field.name for field in fields(Run)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(r) for r in runs)
    return out.getvalue()


def read(text: str) -> list[Run]:
    """The trainings of a table."""
    return [
        Run(
            row["data"], row["slopes"], int(row["seed"]), int(row["epochs"]), int(row["test_images"]),
            float(row["step1_top1"]), float(row["step2_top1"]),
        )
        for row in csv.DictReader(io.StringIO(text))
    ]  # fmt: skip


def main() -> None:
    """Train what is missing, and write table and text."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run-dir", type=Path, default=Path("runs/slope_ablation"))
    parser.add_argument("--output", type=Path, default=Path("reports"))
    parser.add_argument("--epochs", type=int, help="of each step; default: as documented for the data set")
    parser.add_argument("--render", action="store_true", help="write the text from the table; train nothing")
    given = parser.parse_args()
    rows = given.output / "slope_ablation.csv"
    if given.render:
        runs = read(rows.read_text(encoding="utf-8"))
    else:
        runs = []
        for data, seed, setting in itertools.product(DATA, SEEDS, SETTINGS):
            runs.append(run(given.run_dir, data, setting, seed, given.epochs))
            print(f"{data}, {setting}, seed {seed}: {runs[-1].step2_top1:.2%}", flush=True)
        write_text(rows, table(runs))
    write_text(given.output / "slope_ablation.md", markdown(runs))


if __name__ == "__main__":
    main()
