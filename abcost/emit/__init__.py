"""One folded layer as synthesizable Verilog, with a test bench whose vectors come from the reference interpreter."""
