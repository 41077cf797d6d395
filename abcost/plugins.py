"""What other packages add: modules that their entry points name, registered as abcost's own files are.

    [project.entry-points."abcost.models"]
    sample = "abcost_sample.models"          # the module is imported, and registers: @MODELS.add("sample_net")

Installed packages are looked through once, when the first name is looked up, never by `import abcost`.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from abcost.errors import DuplicateName, PluginError, one_line

if TYPE_CHECKING:
    from importlib.metadata import Distribution

GROUPS: dict[str, str] = {
    "abcost.models": "models",
    "abcost.handlers": "handlers of operators",
    "abcost.rules": "rewrite rules",
    "abcost.formats": "report formats",
    "abcost.units": "hardware units",
    "abcost.targets": "targets",
    "abcost.data": "data sets",
}
"""Groups of entry points -> what their modules register."""


class PluginWarning(UserWarning):
    """A plug-in that cannot be loaded: all but its own names are as without it."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point of one installed package."""

    group: str
    name: str
    module: str
    distribution: str  # name and version, "abcost-sample 0.1"

    def __str__(self) -> str:
        return f"plug-in {self.distribution}, entry point {self.name} = {self.module} of {self.group}"

    def load(self) -> None:
        """Import the module. Raises PluginError if that fails, DuplicateName if it takes a name of another."""
        if ":" in self.module:
            raise PluginError(
                f"{self} names something in a module; name the module alone, which registers it"
            )
        try:
            importlib.import_module(self.module)
        except (KeyboardInterrupt, DuplicateName):
            raise
        except BaseException as error:  # foreign code may raise anything; it becomes one line
            raise PluginError(
                f"{self} cannot be loaded: {type(error).__name__}: {one_line(error)}; "
                f"mend it or uninstall {self.distribution.partition(' ')[0]}"
            ) from error

    def owns(self, module: str) -> bool:
        """Whether the module is of the package of this entry point."""
        return _package(module) == _package(self.module)


@cache
def found() -> tuple[Plugin, ...]:
    """All entry points of GROUPS, by group, distribution and name. Raises PluginError where they cannot be read."""
    from importlib import metadata  # noqa: PLC0415 - takes tens of milliseconds, and many commands need no name

    try:
        points = metadata.entry_points()
        plugins = [
            Plugin(group, point.name, point.value, _title(point.dist))
            for group in GROUPS
            for point in points.select(group=group)
        ]
    except Exception as error:  # another package's metadata may be damaged in any way
        raise PluginError(
            f"the entry points of the installed packages cannot be read: {type(error).__name__}: {one_line(error)}; "
            "pip check says which package is damaged"
        ) from error
    order = list(GROUPS)
    return tuple(sorted(plugins, key=lambda p: (order.index(p.group), p.distribution, p.name)))


def is_own(module: str) -> bool:
    """Whether the module is abcost's."""
    return _package(module) == _package(__name__)


def owner(module: str) -> str:
    """Who a module belongs to, for messages: abcost, a plug-in, or a file of the user's."""
    if is_own(module):
        return "abcost itself"
    for plugin in found():
        if plugin.owns(module):
            return f"plug-in {plugin.distribution} ({module})"
    path = getattr(sys.modules.get(module), "__file__", None)
    return f"{module} ({path})" if path else module


def _package(module: str) -> str:
    return module.partition(".")[0]


def _title(distribution: Distribution | None) -> str:
    if distribution is None:
        return "of an unknown package"
    return f"{distribution.metadata['Name']} {distribution.version}"
