"""Reports: one frozen result, many renderers. A new format is one file in this folder."""

from __future__ import annotations

from abcost.report.report import Report, Stage, block_of

__all__ = ["Report", "Stage", "block_of"]
