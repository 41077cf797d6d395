"""Where the bundled cost tables are."""

from __future__ import annotations

from pathlib import Path

from abcost.errors import CostError


def cost_models_dir() -> Path:
    """The folder of the bundled tables: inside the installed package, else at the top of the checkout.

    Raises CostError when neither exists: a broken installation.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "cost_models", package.parent / "cost_models"):
        if folder.is_dir():
            return folder
    raise CostError(f"no cost tables beside {package}; reinstall abcost or give the path of a .toml file")


def bundled_tables() -> list[Path]:
    """The files `cost_models/NAME.toml`, each a target called NAME, sorted by it."""
    return sorted(cost_models_dir().glob("*.toml"), key=lambda path: path.stem)


def bundled_targets() -> list[str]:
    """Names of the bundled targets, sorted."""
    return [path.stem for path in bundled_tables()]
