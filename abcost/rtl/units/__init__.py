"""One file per unit template; each registers itself in `abcost.rtl.unit.templates`."""
