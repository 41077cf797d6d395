"""Packages that only some commands need: they are extras of the installation."""

from __future__ import annotations

import importlib
from types import ModuleType

from abcost.errors import MissingExtra


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """The imported module. Raises MissingExtra, which names the extra to install, if it cannot be imported.

    purpose: what needs it, as the subject of the message: "the data set digits", "training".
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{purpose} needs {error.name or module}, which is not installed; pip install 'abcost[{extra}]'"
        ) from error
    except Exception as error:  # binary packages for another torch fail in many ways
        reason = " ".join(str(error).split())[:200]
        raise MissingExtra(
            f"{purpose} needs {module}, which does not work here ({reason}); "
            f"install one that goes with this torch: pip install 'abcost[{extra}]'"
        ) from error
