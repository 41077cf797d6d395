"""Accuracies that were published for networks of the zoo.

The paper has three rows per network. "A&B" is what its own recipe reached, which is that of `abcost train`. "BN" and
"BN-free" are what it compares with: the network with batch normalisation, and one without it whose multiplications by
alpha, beta and slopes were left in (92.08 and 68.34 of ReActNet-18 and 68.0 of ReActNet-A are the figures of Chen et
al., CVPR workshops 2021, arXiv:2104.08215).

XNOR-Net-18 and Bi-Real-18 have no slopes in their blocks, so that their "ab" and "bn-free" are one network with two
printed accuracies; both are given, by the name of their row.

Source: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739), top-1 in percent, as printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SOURCE = "Ma et al., A&B BNN, CVPR 2024, arXiv:2403.03739"
DATA = ("imagenet", "cifar10", "cifar100")
ROWS: Mapping[str, str] = MappingProxyType({"ab": "A&B", "bn-free": "BN-free", "bn": "BN"})
"""Variant -> the row of the paper."""


@dataclass(frozen=True, slots=True)
class Published:
    """One printed figure."""

    percent: float  # top-1
    row: str  # of the paper: one of `ROWS`' values
    slopes: str = ""  # how the slopes of RPReLU were chosen, where the paper prints several

    @property
    def top1(self) -> float:
        """Top-1 accuracy, between 0 and 1."""
        return self.percent / 100


def published(
    model: str, variant: str, data: str, *, step: int = 2, alpha_exponent: int | None = None
) -> tuple[Published, ...]:
    """What the paper prints for a network as published, not a reduced one, on `data`; () if it prints nothing.

    The row of `variant` comes first; that of a variant which is the same network follows.

    >>> [(figure.row, figure.percent) for figure in published("xnornet_18", "ab", "cifar10")]
    [('A&B', 89.94), ('BN-free', 79.67)]
    """
    if data not in DATA:
        return ()
    column = DATA.index(data)
    if (model, variant) == ("reactnet_18", "ab"):
        exponent = -2 if alpha_exponent is None else alpha_exponent
        rows = _ABLATION.get((step, exponent), {})
        return tuple(Published(figures[column], ROWS[variant], slopes) for slopes, figures in rows.items())
    if step != 2 or alpha_exponent not in {None, -2}:
        return ()
    variants = [variant]
    if model in _ONE_NETWORK and variant in _SAME:
        variants.append(_SAME[variant])
    figures = {each: _STEP_2.get((model, each), _NOTHING)[column] for each in variants}
    return tuple(Published(figure, ROWS[each]) for each, figure in figures.items() if figure is not None)


_ONE_NETWORK = ("xnornet_18", "birealnet_18", "birealnet_34")
_SAME: Mapping[str, str] = MappingProxyType({"ab": "bn-free", "bn-free": "ab"})
_Row = tuple[float | None, float | None, float | None]  # as in DATA
_NOTHING: _Row = (None, None, None)

_STEP_2: Mapping[tuple[str, str], _Row] = MappingProxyType(
    {
        ("bnn_18", "bn"): (42.2, None, None),
        ("xnornet_18", "bn"): (51.2, 90.21, 65.35),
        ("birealnet_18", "bn"): (56.4, 89.12, 63.51),
        ("birealnet_34", "bn"): (62.2, None, None),
        ("reactnet_18", "bn"): (65.5, 92.31, 68.78),
        ("reactnet_a", "bn"): (69.4, 82.95, 50.30),
        ("xnornet_18", "bn-free"): (None, 79.67, 53.76),
        ("birealnet_18", "bn-free"): (None, 79.59, 54.34),
        ("reactnet_18", "bn-free"): (61.1, 92.08, 68.34),
        ("reactnet_a", "bn-free"): (68.0, 83.91, 55.00),
        ("xnornet_18", "ab"): (None, 89.94, 64.51),
        ("birealnet_18", "ab"): (60.38, 90.09, 65.52),
        ("reactnet_34", "ab"): (65.19, None, None),
        ("reactnet_a", "ab"): (66.89, 89.44, 63.23),
    }
)
"""(model, variant) -> step 2. ReActNet-18 (A&B) has several figures: see `_ABLATION`."""

_QUANTIZED = "quantized RPReLU"
_ABLATION: Mapping[tuple[int, int], Mapping[str, tuple[float, float, float]]] = MappingProxyType(
    {
        (1, -2): {
            _QUANTIZED: (65.40, 91.94, 69.59),
            "fixed 2^-3": (65.00, 91.67, 69.22),
            "fixed 2^-7": (64.66, 91.61, 67.42),
        },
        (2, -2): {
            _QUANTIZED: (61.39, 91.94, 69.35),
            "fixed 2^-3": (60.25, 92.30, 69.31),
            "fixed 2^-7": (60.48, 92.07, 67.90),
        },
        (1, -3): {_QUANTIZED: (64.38, 91.38, 68.81)},
        (2, -3): {_QUANTIZED: (60.55, 91.69, 68.35)},
    }
)
"""ReActNet-18 (A&B): (step, exponent of alpha) -> slopes -> top-1."""
