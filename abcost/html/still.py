"""Charts of a page as a still picture, drawn by Matplotlib: SVG, PNG or PDF."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from abcost.errors import UsageError
from abcost.extras import require
from abcost.html.chart import Chart

SUFFIXES = (".svg", ".png", ".pdf")
_INCH_PX = 90  # of a page's chart to an inch of the picture
_WIDE = 9.0  # inches
_DOTS, _PRINTED_DOTS = 120, 300  # per inch, of PNG
_PRINT: Any = {"font.size": 8, "pdf.fonttype": 42, "svg.fonttype": "none", "axes.linewidth": 0.6}
_UNDATED: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}  # same report, same bytes


def check_suffix(path: Path) -> str:
    """The format that a file's name asks for. Raises UsageError for another, MissingExtra without Matplotlib."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--plot {path}: name a file that ends in {', '.join(SUFFIXES)}")
    require("matplotlib", "plot", "--plot")  # before the work whose result would be drawn
    return path.suffix.lower().removeprefix(".")


def still(charts: Sequence[Chart], title: str, form: str, size: tuple[float, float] | None = None) -> bytes:
    """The charts below each other. form: "svg", "png" or "pdf". Raises MissingExtra without Matplotlib.

    size: width and height in inches, of a picture for print: without titles, which its caption says, in letters of 8
    points that stay letters.
    """
    require("matplotlib", "plot", "--plot")
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    heights = [chart.height / _INCH_PX for chart in charts]
    with rc_context({} if size is None else _PRINT):
        figure = Figure(figsize=size or (_WIDE, sum(heights) + 0.6), layout="constrained")
        if size is None:
            figure.suptitle(title)
        places = figure.subplots(len(charts), squeeze=False, height_ratios=heights)[:, 0]
        for axes, chart in zip(places, charts, strict=True):
            if size is None:
                axes.set_title(chart.caption, fontsize="medium", loc="left", wrap=True)
            _draw(axes, chart)
        data = io.BytesIO()
        dots = _DOTS if size is None else _PRINTED_DOTS
        figure.savefig(data, format=form, dpi=dots, metadata=_UNDATED.get(form))
    return data.getvalue()


def _draw(axes: Any, chart: Chart) -> None:
    bars = [trace for trace in chart.data if trace["type"] == "bar"]
    if bars:
        _bars(axes, bars, stacked=chart.layout.get("barmode") == "stack")
    for trace in chart.data:
        if trace["type"] == "heatmap":
            _heat(axes, trace)
        elif trace["type"] == "scatter":
            _scatter(axes, trace)
    for name, set_label in (("xaxis", axes.set_xlabel), ("yaxis", axes.set_ylabel)):
        axis = chart.layout.get(name, {})
        set_label(axis.get("title", {}).get("text", ""))
        if axis.get("type") == "log":
            axes.set(**{f"{name[0]}scale": "log"})
    if (
        bars and chart.layout.get("yaxis", {}).get("autorange") == "reversed"
    ):  # a heat map has its first row on top
        axes.invert_yaxis()
    for shape in chart.layout.get("shapes", ()):
        axes.axhline(shape["y0"], linestyle="--", color=shape["line"]["color"])
    if len(bars) > 1:
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    elif chart.layout.get("showlegend"):  # below, for names of points are long
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2)


def _bars(axes: Any, bars: Sequence[Mapping[str, Any]], *, stacked: bool) -> None:
    """Draw bars beside each other or on each other; a bar of unknown length is left out."""
    flat = bars[0].get("orientation") == "h"
    names = list(bars[0]["y" if flat else "x"])
    base = [0.0] * len(names)
    share = 0.8 if stacked else 0.8 / len(bars)
    for i, trace in enumerate(bars):
        values = [float("nan") if v is None else float(v) for v in trace["x" if flat else "y"]]
        shift = 0.0 if stacked else (i - (len(bars) - 1) / 2) * share
        places = [position + shift for position in range(len(names))]
        label = trace.get("name")
        if flat:
            axes.barh(places, values, share, color=trace["marker"]["color"], label=label)
        else:
            axes.bar(places, values, share, bottom=base, color=trace["marker"]["color"], label=label)
        if stacked:
            base = [a + b for a, b in zip(base, values, strict=True)]
    if flat:
        axes.set_yticks(range(len(names)), names)
    else:
        slanted = len(names) > 6
        axes.set_xticks(
            range(len(names)), names, rotation=60 if slanted else 0, ha="right" if slanted else "center"
        )
    axes.grid(axis="x" if flat else "y", alpha=0.3)


_MARKS = {
    "circle": "o", "square": "s", "triangle-up": "^", "diamond": "D", "triangle-down": "v", "cross": "P", "x": "X",
}  # fmt: skip
"""Plotly's names of symbols -> Matplotlib's."""
_OPEN = "-open"
_STEPS = {"hv": "steps-post", "vh": "steps-pre"}


def _scatter(axes: Any, trace: Mapping[str, Any]) -> None:
    """Points, or a line of steps."""
    if trace["mode"] == "lines":
        line = trace["line"]
        axes.plot(
            trace["x"], trace["y"], drawstyle=_STEPS.get(line.get("shape", ""), "default"), linestyle=":",
            color=line["color"], zorder=1,
        )  # fmt: skip
        return
    colour, symbol = trace["marker"]["color"], trace["marker"]["symbol"]
    axes.scatter(
        trace["x"], trace["y"], marker=_MARKS[symbol.removesuffix(_OPEN)], edgecolors=colour,
        facecolors="none" if symbol.endswith(_OPEN) else colour, label=trace["name"], zorder=2,
    )  # fmt: skip
    axes.grid(alpha=0.3)


def _heat(axes: Any, trace: Mapping[str, Any]) -> None:
    image = axes.imshow(trace["z"], aspect="auto", cmap="cividis", vmin=trace["zmin"], vmax=trace["zmax"])
    axes.set_xticks(range(len(trace["x"])), trace["x"])
    axes.set_yticks(range(len(trace["y"])), trace["y"], fontsize="small")
    axes.figure.colorbar(image, ax=axes, label=trace["colorbar"]["title"]["text"])
