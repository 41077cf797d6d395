"""From a torch model to an op graph."""

from abcost.core.kinds import OpKind
from abcost.trace.capture import Traced, trace
from abcost.trace.constants import constant
from abcost.trace.registry import handler

__all__ = ["OpKind", "Traced", "constant", "handler", "trace"]
