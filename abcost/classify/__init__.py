"""From a graph to counted operations."""

from abcost.classify.tally import Macs, Row, Tally, sum_by_class, tally

__all__ = ["Macs", "Row", "Tally", "sum_by_class", "tally"]
