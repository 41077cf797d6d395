"""A page: title, facts, sections of tables and charts. One file, no request to anywhere."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass

from abcost.extras import require
from abcost.html.chart import Chart
from abcost.html.table import Table

_TEMPLATES = "templates"


@dataclass(frozen=True, slots=True)
class Note:
    """Lines of text; `command` is one to copy."""

    lines: tuple[str, ...]
    command: str | None = None

    kind = "note"


@dataclass(frozen=True, slots=True)
class Picture:
    """Inline SVG of our own making: it goes into the page as it is."""

    identifier: str
    caption: str
    svg: str

    kind = "picture"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it; folded: closed until it is opened, pictures side by side."""

    identifier: str
    title: str
    parts: tuple[Table | Chart | Note | Picture, ...]
    folded: bool = False


def render_page(title: str, facts: Sequence[str], sections: Sequence[Section]) -> str:
    """The whole page as text. Raises MissingExtra without Jinja, and for charts without Plotly."""
    jinja2 = require("jinja2", "html", "an HTML page")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("abcost.html", _TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    charts = any(part.kind == "chart" for section in sections for part in section.parts)
    return str(
        environment.get_template("page.html").render(
            title=title,
            facts=facts,
            sections=sections,
            style=_text("page.css"),
            script=_text("page.js"),
            plotly=require("plotly.offline", "html", "an HTML page").get_plotlyjs() if charts else "",
        )
    )


def _text(name: str) -> str:
    return (importlib.resources.files("abcost.html") / _TEMPLATES / name).read_text(encoding="utf-8")
