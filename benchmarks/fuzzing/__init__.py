"""What abcost reads from strangers, and inputs for it; run by benchmarks/fuzz.py, and in short by the tests."""
