"""Training: the published two-step recipe."""
