"""A target: its cost table lies beside this file."""

from pathlib import Path

from abcost.cost.targets import TARGETS

TARGETS.add("sample-asic")(Path(__file__).with_name("sample-asic.toml"))
