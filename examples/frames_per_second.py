"""What a frame rate costs: ReActNet-18 as a pipeline on a Zynq, from idle to as fast as it fits.

python examples/frames_per_second.py [part]
"""

from __future__ import annotations

import sys

import abcost

CLOCK_MHZ = 100.0


def main(part="xc7z020"):
    """One line per wanted frame rate: what is reached, what it takes of the part, and what is slowest."""
    print(f"ReActNet-18, CIFAR-10, on {part} at {CLOCK_MHZ:g} MHz")
    for wanted in (1, 30, 100, 300, 1000, 1e5):
        report = abcost.analyze("reactnet_18", preset="cifar10", device=part, fps=wanted, clock_mhz=CLOCK_MHZ)
        found = report.stages[-1].organisation
        shares = ", ".join(
            f"{name} {share:.0%}" for name, share in found.utilisation.items() if share is not None
        )
        reached = "fits" if found.fits else "does not fit; at most"
        print(f"{wanted:9,.0f} wanted: {reached} {found.fps:,.1f} fps; {shares}; slowest {found.bottleneck}")


if __name__ == "__main__":
    main(*sys.argv[1:])
