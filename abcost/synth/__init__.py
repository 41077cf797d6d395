"""Synthesis with Yosys: the tool, the flows, cached parallel runs; and switching energy of mapped netlists."""
