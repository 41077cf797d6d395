"""Search: the sets of slope exponents that give the best accuracy within a hardware budget."""
