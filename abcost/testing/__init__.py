"""Contracts that what a plug-in adds must keep, for the plug-in's own tests.

    from abcost.testing import check_model

    def test_the_network():
        check_model("sample_net", base_width=4)

Each function raises AssertionError with one line that says which promise is broken, where. They are the same for what
is in abcost itself. No test runner is needed; pytest shows their messages as it does those of assertions.
"""

from abcost.testing.data import check_data
from abcost.testing.formats import check_format
from abcost.testing.handlers import check_handler
from abcost.testing.installed import check_plugin
from abcost.testing.models import check_model
from abcost.testing.rules import check_rule
from abcost.testing.targets import check_target
from abcost.testing.units import check_unit

__all__ = [
    "check_data",
    "check_format",
    "check_handler",
    "check_model",
    "check_plugin",
    "check_rule",
    "check_target",
    "check_unit",
]
