"""Everything that this package adds keeps abcost's contracts. Run with `pytest` where abcost and the package are."""

import torch
from abcost_sample.handlers import shrink
from torch import nn

from abcost.testing import (
    check_data,
    check_format,
    check_handler,
    check_model,
    check_plugin,
    check_rule,
    check_target,
    check_unit,
)


class Shrunk(nn.Module):
    """One shrink after the other."""

    def __init__(self, *amounts: float) -> None:
        super().__init__()
        self.amounts = amounts

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for amount in self.amounts:
            x = shrink(x, amount)
        return x + 1


def test_the_package_is_found():
    assert len(check_plugin("abcost-sample")) == 7


def test_model():
    check_model("sample_net", base_width=4)


def test_handler():
    check_handler("abcost_sample::shrink", Shrunk(0.25), (2, 3, 4))


def test_rule():
    check_rule(
        "sample-shrink-once",
        Shrunk(0.5, 0.25),
        (1, 2, 4, 4),
        untouched=[Shrunk(0.5)],
    )


def test_unit():
    check_unit("sample_absolute", {"width": 2}, {"width": 8}, {"width": 16})


def test_target():
    check_target("sample-asic")


def test_format():
    check_format("tsv")


def test_data_set():
    check_data("sample_bars")
