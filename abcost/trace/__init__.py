"""From a torch model to an op graph."""

from abcost.trace.capture import Traced, trace

__all__ = ["Traced", "trace"]
