"""Hardware units as Verilog, each with the integer model that it is simulated against."""
