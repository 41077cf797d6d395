"""The rows behind the tables as a tidy pandas frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcost.report.report import Report
from abcost.report.rows import COLUMNS, Row, memory_rows, rows_of

if TYPE_CHECKING:
    import pandas as pd


def frame(report: Report) -> pd.DataFrame:
    """Columns: stage, layer, block, node, kind, class, origin, width_bits, count, energy_pj, luts, ffs, dsps, area_um2.

    energy_pj is of the operations alone (no memory); resources stand in the row of the operation whose unit
    it is. A cost that the target has no table for is missing (NaN).
    """
    return _framed(rows_of(report))


def memory_frame(report: Report) -> pd.DataFrame:
    """A row per stage with the energy of memory traffic, in the columns of `frame`; none without a memory table."""
    return _framed(memory_rows(report))


def sum_if_known(values: pd.Series) -> float:
    """The sum; missing where any part is, for part of a cost is no cost."""
    import pandas as pd  # noqa: PLC0415 - slow to import, and this file is imported with the formats

    return float(pd.to_numeric(values).sum(skipna=False))


def _framed(rows: list[Row]) -> pd.DataFrame:
    import pandas as pd  # noqa: PLC0415 - as above

    return pd.DataFrame(rows, columns=[*COLUMNS])
