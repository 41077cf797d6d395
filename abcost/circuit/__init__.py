"""A whole network as a circuit: written, simulated on images, synthesized and routed."""
