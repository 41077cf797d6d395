"""Energy of weights that are read from outside: DRAM, as the table asic-45nm cites it.

    energy per inference = bits read / bits per access * energy per access, between the published ends

The figures are of an interface of the 45 nm era and include no controller on the FPGA.
"""

from __future__ import annotations

from functools import cache

from abcost.cost.entry import MemoryLevel
from abcost.cost.table import CostTable
from abcost.errors import CostError

_TABLE, _LEVEL = "asic-45nm", "dram"


def energy_uj(bits: int) -> tuple[float, float]:
    """Least and most energy of reading so many bits, in microjoule."""
    level, _ = _dram()
    low = level.energy_pj if level.low_pj is None else level.low_pj
    high = level.energy_pj if level.high_pj is None else level.high_pj
    accesses = bits / level.access_bits
    return accesses * low / 1e6, accesses * high / 1e6


def source() -> dict[str, str]:
    """The source of the figures, how sure they are, and what was read into them."""
    level, citation = _dram()
    return {"source": citation, "confidence": level.confidence, "note": level.note}


@cache
def _dram() -> tuple[MemoryLevel, str]:
    table = CostTable.load(_TABLE)
    level = table.memory.levels.get(_LEVEL) if table.memory else None
    if level is None:
        raise CostError(f"{_TABLE} has no memory level {_LEVEL!r}, which prices weights read from outside")
    return level, " + ".join(str(table.sources[name]) for name in level.sources)
