"""One file per sort of unit, which registers itself: `abcost.rtl.unit.template`."""
