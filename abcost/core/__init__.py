"""The shared vocabulary: op graph, precisions, counted primitives, costs, reference interpreter."""
