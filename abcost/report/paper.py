"""The report as tables for a paper or a page of text: Markdown, and LaTeX with the package booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from abcost.core.primitives import OpClass, Origin
from abcost.report import quantity
from abcost.report.format import FORMATS, View
from abcost.report.report import Report
from abcost.report.verdict import facts

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "->": r"$\rightarrow$", "<": r"\textless{}",
    ">": r"\textgreater{}",
}  # fmt: skip
_LATEX_SIGN = re.compile("->|" + "|".join(re.escape(sign) for sign in _LATEX if len(sign) == 1))


@dataclass(frozen=True, slots=True)
class _Table:
    """The first column is text, the rest are numbers as text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@FORMATS.add("md")
def markdown(reports: Sequence[Report], _view: View) -> str:
    """The verdict as a list, then a table per subject."""
    lines = [f"# {_markdown(_title(reports))}", ""]
    lines += [f"- **{_markdown(label.strip())}**: {_markdown(text)}" for label, text in facts(reports)]
    for table in _tables(reports):
        lines += ["", f"## {_markdown(table.title)}", "", _row(table.columns)]
        lines.append("|".join(["", "---", *("---:" for _ in table.columns[1:]), ""]))
        lines += [_row(row) for row in table.rows]
    return "\n".join(lines) + "\n"


@FORMATS.add("tex")
def latex(reports: Sequence[Report], _view: View) -> str:
    r"""A table environment per subject, to be \input; needs \usepackage{booktabs}."""
    lines = [f"% {_title(reports)}; needs \\usepackage{{booktabs}}".replace("\n", " ")]
    for table in _tables(reports):
        lines += [
            "", r"\begin{table}", r"\centering", rf"\caption{{{_tex(table.title)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}", r"\toprule", _cells(table.columns), r"\midrule",
            *(_cells(row) for row in table.rows), r"\bottomrule", r"\end{tabular}", r"\end{table}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _title(reports: Sequence[Report]) -> str:
    return f"{reports[0].model} on {', '.join(report.table.target for report in reports)}"


def _tables(reports: Sequence[Report]) -> list[_Table]:
    return [_counts(reports[0]), *(_costs(report) for report in reports)]


def _counts(report: Report) -> _Table:
    """Multiplications by origin, then operations by class."""
    stages = report.stages
    by_origin = [stage.tally.by_origin() for stage in stages]
    rows = [
        (f"multiplications: {origin.value}", *(quantity.count(of[origin]) for of in by_origin))
        for origin in Origin
        if any(of[origin] for of in by_origin)
    ]
    rows.append(("multiplications, as published", *(quantity.count(s.tally.published()) for s in stages)))
    rows += [
        (f"all of class {op.value}", *(quantity.count(s.tally.by_class()[op]) for s in stages))
        for op in OpClass
    ]
    return _Table("Operations of one inference", ("", *(stage.name for stage in stages)), tuple(rows))


_OF_ACCELERATOR = {
    "luts": "LUTs",
    "ffs": "flip-flops",
    "dsps": "DSPs",
    "blocks": "memory blocks",
    "area_um2": "silicon, um2",
    "macros": "SRAM macros",
}


def _costs(report: Report) -> _Table:
    """Energy, then the resources: of the accelerator if there is one, else of lanes."""
    stages, target = report.stages, report.table.target
    accelerator = [stage.organisation for stage in stages if stage.organisation is not None]
    rows = [("energy of operations and memory", *(quantity.energy(s.cost.energy_pj) for s in stages))]
    if accelerator:
        for name, label in _OF_ACCELERATOR.items():
            if name in accelerator[-1].resources:
                rows.append((label, *(quantity.amount(o.resources[name]) for o in accelerator)))
        rows.append(("frames/s", *(quantity.three_digits(o.fps) for o in accelerator)))
        part = accelerator[-1].device
        title = f"Cost on {target}: accelerator{'' if part is None else f' on {part.part}'}"
        title += f" at {accelerator[-1].clock_mhz:g} MHz"
    else:
        fpga = {"luts": "LUTs", "ffs": "flip-flops", "dsps": "DSPs"}
        for name, label in (fpga if report.table.technology == "fpga" else {"area_um2": "area, um2"}).items():
            rows.append((label, *(quantity.amount(getattr(s.cost, name)) for s in stages)))
        rows.append(("cycles", *(quantity.count(s.slowest[1]) for s in stages)))
        title = f"Cost on {target}, lanes per node: {report.settings['lanes']}"
    rows.append(("parameter storage", *(quantity.bits(s.weight_bits) for s in stages)))
    return _Table(title, ("", *(stage.name for stage in stages)), tuple(rows))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_markdown(cell) for cell in cells)} |"


def _markdown(text: str) -> str:
    """The text with what Markdown or HTML would take for its own escaped."""
    return re.sub(r"([\\`*_{}\[\]<>|])", r"\\\1", text)


def _cells(cells: Sequence[str]) -> str:
    return " & ".join(map(_tex, cells)) + r" \\"


def _tex(text: str) -> str:
    return _LATEX_SIGN.sub(lambda match: _LATEX[match[0]], text)
