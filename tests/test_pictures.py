"""Pictures: what is drawn is what was counted, every node stands once, names are escaped; still images open."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from abcost.classify.tally import tally
from abcost.cli import run
from abcost.core.edit import Edit
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.core.primitives import OpClass
from abcost.html.chart import Chart
from abcost.html.page import Note, Section, render_page
from abcost.html.still import still
from abcost.html.table import Table, number, rows, text
from abcost.models.subject import Request, resolve
from abcost.pipeline import analyze, stage_graphs
from abcost.report.charts import all_charts, multiplications
from abcost.report.layout import layout
from abcost.report.picture import CLASSES, panels, whole
from abcost.rewrite import RewriteOptions

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def stages():
    """Graphs of ReActNet-A, by stage."""
    subject = resolve(Request("reactnet_a"))
    return {s.name: s.graph for s in stage_graphs(subject.model, subject.inputs, RewriteOptions()).stages}


@pytest.fixture(scope="module")
def report():
    return analyze("reactnet_18", preset="cifar10")


def test_every_node_stands_once_and_below_what_it_reads(stages):
    for graph in stages.values():
        found = layout(graph)
        names = [name for block in found.values() for name in block.places]
        assert sorted(names) == sorted(node.name for node in graph)
        for block in found.values():
            spots = [(place.column, place.row) for place in block.places.values()]
            assert len(set(spots)) == len(spots)
            for source, name in block.edges:
                assert block.places[source].row < block.places[name].row
        edges = sum(len(block.edges) for block in found.values())
        entering = (
            sum(len(set(graph.inputs(name))) for block in found.values() for name in block.places) - edges
        )
        assert entering >= sum(len(blocks) for block in found.values() for blocks in block.entering.values())


def segments(path):
    """Ends of the straight lines of a path of absolute M, H and V."""
    x, y, found = 0.0, 0.0, []
    for letter, numbers in re.findall(r"([MHV])([-\d.,]+)", path):
        values = [float(n) for n in numbers.split(",")]
        to = {"M": values, "H": [values[0], y], "V": [x, values[0]]}[letter]
        if letter != "M":
            found.append(((x, y), tuple(to)))
        x, y = to
    return found


def inside(box, segment):
    """Whether a part of a segment is within a box, ends that touch its border apart."""
    left, top, wide, high = (float(box.get(name)) for name in ("x", "y", "width", "height"))
    (x1, x2), (y1, y2) = (sorted(pair) for pair in zip(*segment, strict=True))
    return x2 > left and x1 < left + wide and y2 > top and y1 < top + high


@pytest.mark.parametrize("stage", ["traced", "add_and_bit"])
def test_shortcuts_are_seen(stages, stage):
    """What a row reads from far above, or from another block, has a line that no box hides."""
    graph = stages[stage]
    drawn = 0
    for block, panel in panels(graph, 16).items():
        found = layout(graph)[block]
        svg = ET.fromstring(f'<svg xmlns="{SVG[1:-1]}">{panel.svg}</svg>')  # noqa: S314 - ours
        boxes = [rect for rect in svg.iter(f"{SVG}rect") if rect.get("rx") == "4"]
        paths = [path for path in svg.iter(f"{SVG}path") if path.get("class") == "shortcut"]
        far = [(a, b) for a, b in found.edges if found.places[b].row - found.places[a].row > 1]
        outside = [name for name in found.entering if found.places[name].row]
        assert len(paths) == len(far) + len(outside)
        for path in paths:
            lines = segments(path.get("d"))
            assert not any(inside(box, line) for box in boxes for line in lines)
            assert all(x <= panel.width for line in lines for x, _ in line)
        titles = {path.findtext(f"{SVG}title") for path in paths}
        assert {f"{a} to {b}" for a, b in far} <= titles
        drawn += len(paths)
    assert (
        drawn >= 26
    )  # ReActNet-A adds the input of each of its 13 blocks' two convolutions to their outputs


def test_blocks_have_the_multiplications_that_are_counted(stages):
    for graph in stages.values():
        counted = tally(graph, 16).by_class()[OpClass.MULTIPLY]
        assert sum(panel.multiplications for panel in panels(graph, 16).values()) == counted


def test_a_picture_marks_what_multiplies(stages):
    """One thick border per node that multiplies, in the colour of multiplications."""
    first, last = stages["traced"], stages["add_and_bit"]
    picture = ET.fromstring(whole(first, last, ("traced", "add_and_bit"), "ReActNet-A", 16))  # noqa: S314 - ours
    thick = [rect for rect in picture.iter(f"{SVG}rect") if rect.get("stroke-width") == "3"]
    multiplying = [
        {row.node.name for row in tally(graph, 16).rows if row.count.primitive.op_class is OpClass.MULTIPLY}
        for graph in (first, last)
    ]
    assert len(thick) == sum(map(len, multiplying)) > 100
    assert {rect.get("fill") for rect in thick} == {CLASSES[OpClass.MULTIPLY]}
    boxes = [rect for rect in picture.iter(f"{SVG}rect") if rect.get("rx") == "4"]
    assert len(boxes) == len(first) + len(last)


def test_names_are_escaped():
    """A layer can be called anything."""
    edit = Edit()
    x = edit.add(OpNode("x", OpKind.INPUT, (1, 2)))
    y = edit.add(OpNode('a<b>"&', OpKind.ADD, (1, 2), layer="<script>alert(1)</script>"), [x, x])
    edit.add(OpNode("out", OpKind.OUTPUT, (1, 2)), [y])
    graph = edit.freeze()
    picture = whole(graph, graph, ("<a>", "&b"), '<img src="x">', 16)
    assert not [
        e
        for e in ET.fromstring(picture).iter()  # noqa: S314 - ours
        if e.tag in (f"{SVG}script", f"{SVG}img")
    ]
    hostile = '</script><script>alert("x")</script>'
    chart = Chart(
        "c", hostile, hostile, [{"type": "bar", "x": [hostile], "y": [1], "marker": {"color": "#000000"}}]
    )
    page = render_page(
        hostile,
        (hostile,),
        [
            Section(
                "s",
                hostile,
                (Table("t", hostile, (hostile,), ((text(hostile),),)), Note((hostile,), hostile), chart),
            )
        ],
    )
    assert hostile not in page
    assert (
        len(re.findall("<script[ >]", page)) == len(re.findall("</script>", page)) == 3
    )  # data, Plotly, ours


def test_the_first_chart_has_the_counts_of_the_report(report):
    data = {trace["name"]: trace["y"] for trace in multiplications(report).data}
    for i, stage in enumerate(report.stages):
        assert sum(values[i] for values in data.values()) == stage.tally.by_class()[OpClass.MULTIPLY]
        for origin, count in stage.tally.by_origin().items():
            assert data.get(origin.value, [0] * 4)[i] == count


def test_plotly_takes_every_chart(report):
    """Its own check of names and values."""
    graph_objects = pytest.importorskip("plotly.graph_objects")
    for chart in all_charts([report]):
        graph_objects.Figure(list(chart.data), dict(chart.layout))


@pytest.mark.parametrize(("form", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_still_pictures(report, form, magic):
    charts = all_charts([report])
    assert still(charts, "title", form).startswith(magic)


def test_unknown_has_no_bar_and_no_number():
    assert (number(None).text, number(None).value) == ("unknown", None)
    assert rows([[number(0)]])[0][0].value == 0.0
    chart = Chart(
        "c", "", "", [{"type": "bar", "x": ["a", "b"], "y": [None, 2.0], "marker": {"color": "#000000"}}]
    )
    drawn = still([chart], "", "svg").decode()
    whole_chart = Chart("c", "", "", [{**chart.data[0], "y": [1.0, 2.0]}])
    assert len(still([whole_chart], "", "svg").decode()) > len(drawn)  # one bar more


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["graph", "reactnet_18", "--format", "pdf"], "no graph format 'pdf'"),
        (["graph", "reactnet_18", "--format", "svg", "--stage", "last"], "--stage"),
        (["analyze", "reactnet_18", "--plot", "x.eps"], "name a file that ends in .svg, .png, .pdf"),
        (
            ["analyze", "reactnet_18", "--plot", "nowhere/x.svg"],
            "--plot nowhere/x.svg: there is no folder nowhere",
        ),
    ],
)
def test_refusals(arguments, reason, capsys):
    assert run(arguments) == 2
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error: ")]
    assert reason in line
