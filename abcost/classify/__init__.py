"""From a graph to counted operations."""

from abcost.classify.tally import Macs, OperationCount, Tally, sum_by_class, tally

__all__ = ["Macs", "OperationCount", "Tally", "sum_by_class", "tally"]
