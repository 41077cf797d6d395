"""Images and labels to train on, to choose by and to test with.

`load` gives a `DataSet` of three splits, which are the same in every run: what a random seed may change is how
training images are moved, never which images are tested.  The test split is never used to choose anything.
"""

from __future__ import annotations

from abcost.data.dataset import DataSet, Split
from abcost.data.load import load
from abcost.data.registry import DATA

__all__ = ["DATA", "DataSet", "Split", "load"]
