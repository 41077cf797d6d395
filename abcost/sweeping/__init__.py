"""Sweeps: models, targets, devices, widths, rates and foldings in one table, and which of them no other beats."""
