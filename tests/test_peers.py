"""`reports/peers.md`: complete, written from its table, and every tool counts the same dot products where it can."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
import peers  # noqa: E402

TABLE = peers.read(ROOT / "reports" / "peers.csv")
MACS = {  # by hand: stem, binary stages, shortcuts, classifier
    "reactnet_18, 32x32": 27 * 64 * 32**2 + 547_356_672 + 3 * 64 * 128 * 16**2 + 512 * 10,
}


def of(tool, model):
    (row,) = TABLE[(TABLE.tool == tool) & (TABLE.model == model)].to_dict("records")
    return row


def test_text_agrees_with_the_table():
    assert (ROOT / "reports" / "peers.md").read_text(encoding="utf-8") == peers.text(TABLE)


def test_the_table_is_complete():
    """Every tool on every model and probe, each with measured time and memory."""
    assert {(row.model, row.tool) for row in TABLE.itertuples()} == {
        (model, tool) for model in [*peers.MODELS, *peers.PROBES] for tool in peers.TOOLS
    }
    assert len(TABLE) == len(peers.TOOLS) * (len(peers.MODELS) + len(peers.PROBES))
    assert (TABLE.first_s > 0).all()
    assert (TABLE.memory_mb >= 0).all()
    assert TABLE[TABLE.model.isin(list(peers.MODELS))].again_s.notna().all()


@pytest.mark.parametrize("model", MACS)
def test_tools_that_count_dot_products_alone_agree(model):
    for tool in ("abcost", "abcost, QONNX", "FlopCounterMode", "qonnx"):
        assert of(tool, model)["macs"] == MACS[model], tool


def test_one_row_measured_again():
    """The probe of a real convolution: 8 * 8 * 9 taps at 8 * 8 positions; a PReLU adds one product per element."""
    macs = 8 * 8 * 9 * 8 * 8
    plain, prelu = (
        json.loads(peers.run(["--measure", "abcost", name, ""])) for name in ("real conv", "PReLU")
    )
    assert plain["macs"] == of("abcost", "real conv")["macs"] == macs
    assert (
        prelu["total"] - plain["total"] == of("abcost", "PReLU")["total"] - of("abcost", "real conv")["total"]
    )
    assert plain["first_s"] > 0
