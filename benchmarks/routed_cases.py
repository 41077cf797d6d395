"""The engines that `routed.py` places and routes.

CASES and EARLIER were seen while descriptions, prices and delays were worked on. UNSEEN were written down, and
committed, before any of them was synthesized; nothing was changed for them. They were placed with one seed first (Fmax
15.2 % off at worst), then with two more, all of them alike.
"""

from __future__ import annotations

from dataclasses import dataclass

ECP5, ICE40 = "LFE5U-85F-6CABGA756", "iCE40UP5K-SG48"


@dataclass(frozen=True, slots=True)
class Case:
    """One engine: a layer of a network, folded to PE x SIMD, on one part under one mapping of its LUTs.

    network: r18 (ReActNet-18 at 32 x 32), ra (ReActNet-A at 224 x 224), digits (ReActNet-18 of base width 16, two
    blocks a stage for three stages, at 8 x 8). exponents: the slopes that its channels have.
    leaf_bits: the widest popcount, leaf_inputs: the most inputs of a signed sum, of one clock cycle.
    """

    network: str
    layer: str
    pe: int
    simd: int
    mapping: str
    exponents: tuple[int, ...] = (-3, 0)
    leaf_bits: int = 36
    leaf_inputs: int = 4
    part: str = ECP5

    @property
    def name(self) -> str:
        """Of the row: unique among all cases."""
        leaf = f" leaf {self.leaf_bits}" if self.leaf_bits != 36 else ""
        leaf += f" leaf {self.leaf_inputs} inputs" if self.leaf_inputs != 4 else ""
        family = "" if self.part == ECP5 else "ice40 "
        return f"{family}{self.network} {self.layer} {self.pe}x{self.simd} {self.mapping}{leaf}"


WIDE = tuple(range(-7, 3))

CASES = (
    Case("r18", "layer1.0.conv1", 4, 36, "area"),
    Case("r18", "layer1.0.conv1", 4, 36, "delay"),
    Case("digits", "layer1.0.conv1", 16, 144, "area"),  # constant weights
    Case("digits", "layer2.0.downsample.1", 2, 8, "area"),  # signed sums
    Case("digits", "layer1.1.conv1", 4, 16, "delay", (-2, 0)),  # masks, pool
    Case("digits", "conv1", 2, 9, "area"),  # real stem
    Case("r18", "layer1.0.conv1", 2, 144, "area", (-3,)),
    Case("r18", "layer1.0.conv1", 2, 144, "delay", (-3,)),
    Case("ra", "feature.1.binary_pw_down1", 32, 32, "delay"),  # constant weights, no padding
    Case("r18", "layer2.1.conv1", 16, 96, "area", (-5, -3, 0)),  # 12 steps for 16 sums: two lanes
    Case("r18", "layer4.1.conv1", 1, 36, "area", WIDE),
    Case("digits", "layer3.1.conv1", 8, 288, "delay"),  # two steps for 8 sums: four lanes; pool to one pixel
    Case("digits", "layer2.1.conv1", 2, 32, "area", part=ICE40),
    Case("digits", "layer2.0.downsample.1", 2, 8, "area", part=ICE40),
    Case("digits", "layer1.1.conv1", 2, 16, "delay", (-2, 0), part=ICE40),
    Case("digits", "conv1", 2, 3, "area", part=ICE40),
    Case("r18", "layer1.0.conv1", 2, 36, "delay", part=ICE40),
)

EARLIER = (
    Case("r18", "layer2.0.conv1", 2, 48, "area"),
    Case("r18", "layer1.2.conv1", 8, 36, "delay", (-4, -1)),
    Case("digits", "layer1.0.conv1", 16, 72, "delay"),  # 2 steps for 16 sums: 8 lanes
    Case("digits", "layer2.0.conv1", 32, 144, "area"),  # constant weights
    Case("r18", "layer2.0.downsample.1", 4, 16, "delay"),  # signed sums
    Case("digits", "layer3.0.downsample.1", 4, 16, "area", (-6, -2, 0)),
    Case("digits", "layer2.1.conv1", 2, 24, "area"),  # pool
    Case("r18", "conv1", 2, 9, "delay"),  # real stem
    Case("r18", "layer3.1.conv1", 2, 64, "area", WIDE),
    Case("ra", "feature.1.binary_3x3", 4, 32, "delay", (-3, -2)),
    Case("ra", "feature.2.binary_3x3", 1, 144, "area"),
    Case("ra", "feature.3.binary_pw", 16, 64, "delay", (-1,)),  # two steps for 16 sums: 8 lanes; pool
    Case("digits", "layer1.0.conv1", 2, 36, "area", part=ICE40),
    Case("digits", "layer2.0.conv1", 4, 18, "delay", part=ICE40),
    Case("digits", "layer3.0.downsample.1", 2, 8, "delay", part=ICE40),
    Case("digits", "layer2.1.conv1", 1, 36, "delay", part=ICE40),  # pool
    Case("ra", "feature.1.binary_pw_down1", 2, 16, "area", part=ICE40),
    Case("r18", "layer1.3.conv1", 8, 48, "area"),
    Case("r18", "layer2.2.conv1", 4, 64, "delay", (-4, -1)),
    Case("digits", "layer1.1.conv1", 16, 48, "area"),  # three words
    Case("digits", "layer1.0.conv1", 8, 144, "area"),  # two words
    Case("ra", "feature.2.binary_pw_down1", 64, 64, "area", (-2,)),  # constant weights
    Case("digits", "layer2.0.downsample.1", 4, 16, "delay"),  # signed sums
    Case("r18", "layer3.0.downsample.1", 2, 32, "area", (-2, 0)),
    Case("r18", "conv1", 4, 9, "area", (-3,)),  # real stem
    Case("digits", "conv1", 4, 9, "delay"),
    Case("ra", "feature.4.binary_3x3", 2, 128, "delay"),
    Case("ra", "feature.3.binary_pw", 8, 32, "area", (-1, 0)),  # pool
    Case("r18", "layer2.1.conv1", 2, 96, "delay", WIDE),
    Case("digits", "layer1.0.conv1", 4, 36, "delay", (-3,), part=ICE40),
    Case("digits", "layer3.0.conv1", 1, 72, "area", part=ICE40),
    Case("digits", "layer2.0.downsample.1", 1, 16, "delay", part=ICE40),
    Case("ra", "feature.2.binary_pw_down1", 2, 32, "area", (-2, 0), part=ICE40),
    Case("digits", "conv1", 1, 3, "delay", part=ICE40),
)
"""Written down before any of them was synthesized, and routed once; what they showed was then mended."""

UNSEEN = (
    Case("r18", "layer1.2.conv1", 4, 48, "delay", (-2,)),
    Case("r18", "layer2.3.conv1", 2, 144, "area"),  # pool
    Case("r18", "layer3.0.conv1", 4, 32, "delay", WIDE),
    Case("digits", "layer1.1.conv1", 8, 36, "area", (-4, 0)),  # 8 words; pool
    Case("digits", "layer2.1.conv1", 4, 48, "delay"),
    Case("digits", "layer1.0.conv1", 16, 48, "area"),  # three words
    Case("digits", "layer3.0.downsample.1", 2, 32, "delay"),  # signed sums
    Case("r18", "layer2.0.downsample.1", 2, 16, "area", (-1, 0)),
    Case("digits", "conv1", 1, 27, "area"),  # real stem, all taps of a channel at once
    Case("r18", "conv1", 1, 9, "delay", (-5, -3, 0)),
    Case("ra", "feature.2.binary_pw_down1", 16, 32, "delay"),
    Case("ra", "feature.4.binary_3x3", 4, 64, "area", (-2, 0)),
    Case("digits", "layer1.1.conv1", 1, 48, "area", part=ICE40),
    Case("digits", "layer2.0.conv1", 2, 36, "delay", (-3,), part=ICE40),
    Case("digits", "layer3.0.downsample.1", 1, 8, "area", part=ICE40),
    Case("ra", "feature.1.binary_3x3", 1, 32, "delay", part=ICE40),
    Case("digits", "conv1", 2, 3, "delay", part=ICE40),
)

REQUIRED = (
    Case("r18", "layer1.1.conv1", 4, 36, "area", leaf_bits=18),
    Case("r18", "layer1.1.conv1", 4, 36, "delay", leaf_bits=18),
    Case("r18", "layer1.1.conv1", 2, 144, "area", leaf_bits=18),
    Case("r18", "layer1.1.conv1", 2, 144, "delay", leaf_bits=18),
    Case("r18", "layer1.1.conv1", 2, 144, "area", leaf_bits=8),
)
"""Engines of 576 taps that have to meet 100 MHz: mapped for area and for delay with the same leaves, and for area with
smaller ones. They are in no mean."""
