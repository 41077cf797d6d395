"""The tables of the A&B BNN paper next to ours, row by row (Ma et al., CVPR 2024, arXiv:2403.03739).

    from abcost.reproduce import reproduce
    reproduce().failures()      # the rows that do not come out; none

Published figures are data, typed in as printed; everything else is computed from traced graphs, built networks
and the cited cost table. A row that comes out under a convention of its own says so, in words and as a formula.
"""

from abcost.reproduce.markdown import render_markdown
from abcost.reproduce.reference import reference_files
from abcost.reproduce.reproduction import Reproduction, render_json, reproduce

__all__ = ["Reproduction", "reference_files", "render_json", "render_markdown", "reproduce"]
