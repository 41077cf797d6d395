"""What a frame rate costs: ReActNet-18 as a pipeline on a Zynq, from idle to as fast as it fits.

python examples/frames_per_second.py [part] [picture.svg]
"""

from __future__ import annotations

import sys

import abcost

RATES = (1, 30, 100, 300, 1000, 1e5)


def main(part="xc7z020", picture=None):
    """One row per wanted frame rate: what is reached, what it takes of the part, and what limits it; a picture."""
    found = abcost.sweep("reactnet_18", device=part, fps=RATES, clock_mhz=100.0, preset="cifar10")
    print(f"ReActNet-18, CIFAR-10, on {part} at 100 MHz")
    shown = found.to_frame()[["wanted_fps", "answer", "fps", "luts", "device_share", "scarcest", "front"]]
    print(shown.to_string(index=False))
    print(found.summary())
    if picture is not None:
        found.save(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
