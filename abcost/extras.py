"""Packages that only some commands need: they are extras of the installation."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from abcost.errors import MissingExtra


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """The imported module. Raises MissingExtra, which names the extra to install, if it cannot be imported.

    purpose: what needs it, as the subject of the message: "the data set digits", "training".
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise _missing(error.name or module, extra, purpose) from error
    except Exception as error:  # binary packages for another torch fail in many ways
        reason = " ".join(str(error).split())[:200]
        raise MissingExtra(
            f"{purpose} needs {module}, which does not work here ({reason}); "
            f"install one that goes with this torch: pip install 'abcost[{extra}]'"
        ) from error


def check_installed(module: str, extra: str, purpose: str) -> None:
    """Raises MissingExtra as `require`, if the package is not there; does not import it."""
    absent = module in sys.modules and sys.modules[module] is None
    if absent or (module not in sys.modules and importlib.util.find_spec(module) is None):
        raise _missing(module, extra, purpose)


def folder_of(package: str, extra: str, purpose: str) -> Path:
    """Folder of a package, for what it ships beside its code; it is not imported. Raises MissingExtra."""
    check_installed(package, extra, purpose)
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise _missing(package, extra, purpose)
    return Path(found.submodule_search_locations[0])


def _missing(module: str, extra: str, purpose: str) -> MissingExtra:
    return MissingExtra(f"{purpose} needs {module}, which is not installed; pip install 'abcost[{extra}]'")
