"""What a frame rate costs: ReActNet-18 as a pipeline on a Zynq, from idle to as fast as it fits.

python examples/frames_per_second.py [part]
"""

from __future__ import annotations

import sys

from abcost import analyze
from abcost.accelerator.devices import device
from abcost.accelerator.solve import Wishes

CLOCK_MHZ = 100.0


def main(part="xc7z020"):
    """One line per wanted frame rate: what is reached, what it takes of the part, and what is slowest."""
    found = device(part)
    print(f"ReActNet-18, CIFAR-10, on {part} at {CLOCK_MHZ:g} MHz")
    for wanted in (1, 30, 100, 300, 1000, 1e5):
        wishes = Wishes(found, fps=wanted, clock_mhz=CLOCK_MHZ)
        report = analyze("reactnet_18", target=found.family.targets[0], preset="cifar10", accelerator=wishes)
        last = report.to_dict()["stages"][-1]["organisation"]
        shares = ", ".join(
            f"{name} {share:.0%}" for name, share in last["utilisation"].items() if share is not None
        )
        reached = "fits" if last["fps"] >= wanted else "does not fit; at most"
        print(
            f"{wanted:9,.0f} wanted: {reached} {last['fps']:,.1f} fps; {shares}; slowest {last['bottleneck']}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
