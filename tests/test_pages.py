"""Pages in a headless Chromium: quiet, offline, and working: sorting, filtering, hovering, copying, both themes."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from abcost.cli import run
from browser import DESKTOP, PHONE, opened
from searching import NETWORK, read_json, trained
from searching import run as in_process

SMALL = ("reactnet_18", "--preset", "digits", "--base-width", "8", "--blocks", "1,1", "--target", "fpga-lut6")
PAGES = ("analyze", "compare", "front", "graph", "sweep")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Name -> page of every command that makes one."""
    folder = tmp_path_factory.mktemp("pages")
    found = {name: folder / f"{name}.html" for name in PAGES}
    device = ("--device", "xc7z020", "--fps", "60")
    assert run(["analyze", *SMALL, *device, "--format", "html", "--output", str(found["analyze"])]) == 0
    sides = [f"reactnet_18,preset=digits,base_width={width},blocks=1x1" for width in (8, 4)]
    assert (
        run(
            [
                "compare",
                *sides,
                "--target",
                "fpga-lut6",
                "--format",
                "html",
                "--output",
                str(found["compare"]),
            ]
        )
        == 0
    )
    assert run(["graph", *SMALL[:-2], "--format", "html", "--output", str(found["graph"])]) == 0
    swept = ("--device", "xc7z020", "--device", "iCE40UP5K", "--widths", "8,10,12,14,16", "--fps", "1000,1e8")
    assert run(["sweep", *SMALL[:-2], *swept, "--output", str(found["sweep"])]) == 0
    init = trained(folder / "start")
    search = (
        "search",
        *NETWORK,
        "--init",
        init,
        "--run-dir",
        folder,
        "--trials",
        "6",
        "--epochs",
        "0",
        "--seeds",
        "1",
        "--finalists",
        "2",
        "--workers",
        "1",
        "--budget",
        "luts=420",
    )
    status, _, said = in_process(*search)
    assert status == 0, said
    return found


def column(page, table, index):
    return page.locator(f"#{table} tbody tr:visible td:nth-child({index})").all_inner_texts()


def point_at(page, mark):
    """Move the mouse to the middle of a mark of a chart; where that is."""
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    return x, y


LOOKS = [
    (DESKTOP, "light"),
    (PHONE, "dark"),
    pytest.param(DESKTOP, "dark", marks=pytest.mark.slow),
    pytest.param(PHONE, "light", marks=pytest.mark.slow),
]
"""Each size and each theme once, and the other pairs of them where there is time."""


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_asked_for_and_nothing_goes_wrong(pages, name, size, scheme):
    """One file; every chart is drawn; nothing is wider than the window, so that a phone scrolls one way only."""
    with opened(pages[name], size=size, scheme=scheme) as (page, seen):
        charts = page.locator(".chart")
        for i in range(charts.count()):
            charts.nth(i).locator("svg.main-svg").first.wait_for()
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert seen.complaints == []
        assert [url for url in seen.requests if not url.startswith(("file:", "data:", "blob:"))] == []
        assert len([url for url in seen.requests if url.startswith("file:")]) == 1


def luminance(colour):
    """Relative luminance of WCAG 2.2 for "rgb(…)"."""
    shares = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", PAGES)
def test_tables_show_all_their_rows(pages, name):
    """The page scrolls, not a window in it."""
    with opened(pages[name]) as (page, _):
        hidden = page.evaluate(
            "[...document.querySelectorAll('.scroll')].filter(e => e.scrollHeight > e.clientHeight + 1)"
            ".map(e => e.ariaLabel)"
        )
        assert page.locator(".scroll").count() > 0
        assert hidden == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(pages, scheme):
    """Text against the page at least 4.5 to 1, as WCAG AA asks for; also after the button has changed the theme."""
    with opened(pages["analyze"], scheme=scheme) as (page, _):
        for _ in range(2):
            back = luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            for selector in ("body", "a", "figcaption", "td", "thead button"):
                fore = luminance(
                    page.evaluate(f"getComputedStyle(document.querySelector({json.dumps(selector)})).color")
                )
                light, dark = max(back, fore), min(back, fore)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, selector
            page.click("#theme")


def test_a_table_sorts_by_its_numbers_and_by_the_keyboard(pages, capsys):
    """Layers by multiplications, as the CSV has them, and by energy."""
    assert run(["analyze", *SMALL, "--format", "csv"]) == 0
    sums = {}
    for row in csv.DictReader(io.StringIO(capsys.readouterr().out)):
        if row["stage"] == "traced" and row["class"] == "multiply":
            sums[row["layer"]] = sums.get(row["layer"], 0) + int(float(row["count"]))
    table = "layers-fpga-lut6"
    with opened(pages["analyze"]) as (page, _):
        head = page.locator(f"#{table} thead button").nth(1)
        head.click()
        rising = [int(text.replace(",", "")) for text in column(page, table, 2)]
        assert rising == sorted(rising)
        head.focus()
        page.keyboard.press("Enter")
        assert page.locator(f"#{table} thead th").nth(1).get_attribute("aria-sort") == "descending"
        names, falling = column(page, table, 1), column(page, table, 2)
        shown = {name: int(text.replace(",", "")) for name, text in zip(names, falling, strict=True)}
        assert list(shown.values()) == rising[::-1]
        assert {name: n for name, n in shown.items() if n} == sums
        energy = page.locator(f"#{table} thead button", has_text="energy_pj").first
        index = page.locator(f"#{table} thead button").all_inner_texts().index("energy_pj") + 1
        for rising_again in (True, False):
            energy.click()
            numbers = [float(text.replace(",", "")) for text in column(page, table, index)]
            assert numbers == sorted(numbers, reverse=not rising_again)


def test_a_table_filters(pages):
    with opened(pages["analyze"]) as (page, _):
        page.fill("#layers-fpga-lut6 input", "prelu LAYER1")
        assert column(page, "layers-fpga-lut6", 1) == ["layer1.0.prelu"]
        assert page.inner_text("#layers-fpga-lut6 output").startswith("1 of ")
        page.fill("#layers-fpga-lut6 input", "")
        assert len(column(page, "layers-fpga-lut6", 1)) > 10


def test_a_bar_tells_its_number_when_pointed_at(pages, capsys):
    """The first bar of the first chart: multiplications of the activation scale, as JSON has them."""
    assert run(["analyze", *SMALL, "--format", "json"]) == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    with opened(pages["analyze"]) as (page, _):
        point_at(page, page.locator("#multiplications-by-origin .bars path").first)
        told = page.locator("#multiplications-by-origin .hovertext").first
        told.wait_for()
        number = stages[0]["multiplications"]["activation_scale"]
        assert f"traced, activation_scale: {number:,}" in told.text_content()


def test_a_point_of_the_front_gives_its_command(pages):
    """Chosen on the chart or in the table, the clipboard holds what front.json says."""
    front = read_json(pages["front"].parent / "front.json")
    commands = {p["name"]: p["commands"]["analyze"] for p in front["front"]}
    with opened(pages["front"]) as (page, _):
        x, y = point_at(page, page.locator("#front-luts .scatterlayer .trace .points path").last)
        page.locator("#front-luts .hovertext").first.wait_for()
        page.mouse.click(x, y)
        shown = page.locator("#front figure .command").first
        shown.wait_for()
        assert shown.locator("code").inner_text() in commands.values()
        shown.locator("button").click()
        page.locator("#front figure .command button", has_text="Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") in commands.values()
        for name, command in commands.items():
            page.locator("#points tbody tr", has_text=name).locator("button").first.click()
            page.wait_for_timeout(50)
            assert page.evaluate("navigator.clipboard.readText()") == command


def test_a_block_of_the_graph_unfolds(pages):
    with opened(pages["graph"]) as (page, _):
        picture = page.locator("section:has(h2:text-is('layer1.0')) svg").first
        assert not picture.is_visible()
        page.click("nav a:has-text('layer1.0')")
        picture.wait_for()
        assert "multiplications" in page.locator("section:has(details[open]) figcaption").first.inner_text()
