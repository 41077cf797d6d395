"""A whole accelerator: folding, memories, throughput, and the share of a device it takes."""
