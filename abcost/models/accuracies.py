"""Accuracies that were published for networks of the zoo.

Source: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739), top-1 in percent, as printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SOURCE = "Ma et al., A&B BNN, CVPR 2024, arXiv:2403.03739"
DATA = ("imagenet", "cifar10", "cifar100")


@dataclass(frozen=True, slots=True)
class Published:
    """One printed figure."""

    percent: float  # top-1
    slopes: str = ""  # how the slopes of RPReLU were chosen, where the paper prints several

    @property
    def top1(self) -> float:
        """Between 0 and 1."""
        return self.percent / 100


def published(
    model: str, variant: str, data: str, *, step: int = 2, alpha_exponent: int | None = None
) -> tuple[Published, ...]:
    """What the paper prints for a network as published, not a reduced one, on `data`; () if it prints nothing.

    >>> [figure.percent for figure in published("reactnet_a", "ab", "imagenet")]
    [66.89]
    """
    if data not in DATA:
        return ()
    column = DATA.index(data)
    if (model, variant) == ("reactnet_18", "ab"):
        exponent = -2 if alpha_exponent is None else alpha_exponent
        rows = _ABLATION.get((step, exponent), {})
        return tuple(Published(figures[column], slopes) for slopes, figures in rows.items())
    if step != 2 or alpha_exponent not in {None, -2}:
        return ()
    figure = _STEP_2.get((model, variant), _NOTHING)[column]
    return () if figure is None else (Published(figure),)


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
