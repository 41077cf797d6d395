"""abcost: what a binary neural network costs in hardware.

    from abcost import analyze
    report = analyze("reactnet_a", target="fpga-lut6")
    report.to_dict()

`analyze` is imported on first use, so that `import abcost` loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from abcost.version import __version__ as __version__

if TYPE_CHECKING:
    from abcost.pipeline import analyze as analyze

__all__ = ["__version__", "analyze"]


def __getattr__(name: str) -> Any:
    if name == "analyze":
        from abcost.pipeline import analyze  # noqa: PLC0415 - torch is loaded only when used

        return analyze
    raise AttributeError(f"module 'abcost' has no attribute {name!r}")
