"""Fitting laws to measured points."""

from __future__ import annotations

import numpy as np
import pytest

from abcost.calibrate.fit import fit
from abcost.calibrate.monotone import isotonic
from abcost.calibrate.point import Measured, Point
from abcost.cost.formula import Formula
from abcost.rtl.forms import Box, Boxes, Interpolated, Pieces, Terms
from calibrating import points


def law(fitted, name="luts"):
    return fitted.laws[name].value


def at(fitted, size, name="luts", side="value"):
    return Formula.parse(getattr(fitted.laws[name], side)).at(size)


def test_terms_recover_a_line():
    (fitted,) = fit(Terms(("width", "1")), points({w: 2.0 * w + 3 for w in (2, 5, 8, 16)}))
    assert law(fitted) == "2 * width + 3"
    assert fitted.valid == {"width": (2, 16)}
    assert fitted.laws["luts"].low is None


def test_terms_recover_a_sum_over_two_sizes():
    measured = [
        Measured(Point("signed_sum", {"bits": n, "width": w}, {}), {"luts": 1.25 * n * w + 2 * n + 4})
        for n in (2, 9, 27)
        for w in (8, 16, 24)
    ]
    (fitted,) = fit(Terms(("bits * width", "bits", "width", "1")), measured)  # nothing for width alone
    assert law(fitted) == "1.25 * bits * width + 2 * bits + 4"
    assert fitted.valid == {"bits": (2, 27), "width": (8, 24)}


def test_terms_have_a_falling_term_left_out():
    """Falling points give a constant: their mean by relative error, never a law that falls."""
    (fitted,) = fit(Terms(("width", "1")), points({2: 9.0, 4: 8.0, 8: 7.0}))
    assert "width" not in law(fitted)
    assert 7 <= at(fitted, {}) <= 9


def test_negative_intercept_stops_at_zero():
    (fitted,) = fit(Terms(("width", "1")), points({w: w - 3.0 for w in (4, 8, 16)}))
    assert law(fitted) == "max(0, width - 3)"
    assert at(fitted, {"width": 2}) == 0


def of_cells(energies, unit):
    """Points of standard cells: width -> energy in these units, beside an area."""
    return [
        Measured(
            Point("multiply", {"width": width}, {}),
            {"energy_pj": energy * unit, "area_um2": 5.0 * width * unit},
            {"energy_pj": energy * unit / 2},
            {"energy_pj": energy * unit * 2},
        )
        for width, energy in energies.items()
    ]


STEPPED = {w: 2.0 * w + 3 if w < 9 else 0.5 * w**2 for w in (2, 3, 4, 8, 16, 24, 32)}
FORMS = [
    Terms(("width ** 2", "width", "1")),
    Pieces("width", (Terms(("width", "1")), Terms(("width ** 2",)))),
    Boxes(("width",), (Box({}, ()),)),
    Interpolated("width"),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: type(form).__name__)
@pytest.mark.parametrize("unit", [1e-7, 1e-4, 1e3])
def test_laws_of_cells_do_not_depend_on_the_size_of_their_numbers(form, unit):
    """Of a library with a ten-thousandth of the energy the same laws hold, a ten-thousandth as large."""
    ours, theirs = fit(form, of_cells(STEPPED, 1.0)), fit(form, of_cells(STEPPED, unit))
    assert [piece.valid for piece in theirs] == [piece.valid for piece in ours]
    for one, other in zip(ours, theirs, strict=True):
        for name, side in (("energy_pj", "value"), ("energy_pj", "low"), ("area_um2", "value")):
            a, b = (getattr(piece.laws[name], side) for piece in (one, other))
            if isinstance(a, str):
                values = [[Formula.parse(t).at({"width": w}) for w in one.valid["width"]] for t in (a, b)]
            else:
                values = [[y for _, y in curve] for curve in (a, b)]
            assert all(values[0]), a  # nothing becomes 0
            assert values[1] == pytest.approx([v * unit for v in values[0]], rel=2e-3)


def test_a_part_that_no_point_needs_is_left_out():
    """A thousandth of the least point, at the largest size, is noise; in LUTs a thousandth of one for each step."""
    form = Terms(("width", "1"))
    noise = {w: 7e-5 + 2e-9 * w for w in (2, 8, 16)}  # 3e-8 at most, of 7e-5
    (fitted,) = fit(form, of_cells(noise, 1.0))
    assert law(fitted, "energy_pj") == "0.00007"
    (fitted,) = fit(form, of_cells({w: 7e-5 + 2e-6 * w for w in (2, 8, 16)}, 1.0))
    assert law(fitted, "energy_pj") == "0.000002 * width + 0.00007"
    (fitted,) = fit(form, points({w: 9 + 9e-4 * w for w in (2, 8, 16)}))
    assert "width" not in law(fitted)


def test_bounds_are_fitted_like_the_value_and_hold_it():
    widths = (2, 4, 8)
    (fitted,) = fit(
        Terms(("width",)),
        points(
            {w: 2.0 * w for w in widths}, low={w: 1.0 * w for w in widths}, high={w: 5.0 * w for w in widths}
        ),
    )
    assert [at(fitted, {"width": 10}, side=side) for side in ("low", "value", "high")] == [10, 20, 50]


def test_pieces_take_one_law_where_one_is_enough():
    (fitted,) = fit(
        Pieces("width", (Terms(("width", "1")),)), points({w: 2.0 * w + 3 for w in (2, 5, 8, 16)})
    )
    assert law(fitted) == "2 * width + 3"


def test_pieces_prefer_the_simpler_form():
    forms = (Terms(("width", "1")), Terms(("width ** 2", "width", "1")))
    (line,) = fit(Pieces("width", forms), points({w: 4.0 * w for w in (2, 5, 8, 16)}))
    assert law(line) == "4 * width"
    (square,) = fit(Pieces("width", forms), points({w: 1.0 * w * w for w in (4, 8, 16, 32)}))
    assert at(square, {"width": 20}) == pytest.approx(400, rel=0.01)


def test_pieces_split_where_dsps_take_over():
    """LUTs grow to width 18, fall to few and grow again as the product moves into DSPs."""
    measured = [
        Measured(
            Point("multiply", {"width": w}, {}),
            {"luts": 10.0 * w if w < 19 else 2.0 * w - 30, "dsps": 0.0 if w < 19 else 4.0},
        )
        for w in (4, 8, 12, 18, 20, 24, 28, 32)
    ]
    small, large = fit(Pieces("width", (Terms(("width", "1")),)), measured)
    assert (small.valid, large.valid) == ({"width": (4, 19)}, {"width": (20, 32)})
    assert (law(small), law(small, "dsps"), law(large, "dsps")) == ("10 * width", "0", "4")
    assert at(small, {"width": 18}) == 180  # not cut off: the points themselves fall
    assert at(large, {"width": 30}) == pytest.approx(30)


def test_a_piece_never_ends_above_the_next():
    """A line through the first points would be above what follows at the last width before it."""
    measured = points({2: 70.0, 4: 80.0, 8: 80.0, 10: 200.0, 12: 320.0})
    pieces = fit(Pieces("width", (Terms(("width", "1")),)), measured)
    assert len(pieces) > 1
    values = [
        at(piece, {"width": w})
        for piece in pieces
        for w in range(piece.valid["width"][0], piece.valid["width"][1] + 1)
    ]
    assert len(values) == 11  # every width from 2 to 12 once
    assert values == sorted(values)
    for m in measured:
        (piece,) = (p for p in pieces if p.valid["width"][0] <= m.point.size["width"] <= p.valid["width"][1])
        assert at(piece, m.point.size) == pytest.approx(m.values["luts"], rel=0.03, abs=1)


def test_boxes_rise_and_hold_their_points():
    """Four choices measured cheaper than two take what two take; bounds hold every point."""
    two, four = Box({"choices": (1, 2)}, ("left",)), Box({"choices": (4, 4)}, ("left",))
    values = {(8, 2): 12.0, (16, 2): 24.0, (8, 4): 8.0, (16, 4): 16.0}
    measured = [
        Measured(Point("qprelu", {"width": w, "choices": c, "span": 3, "left": 0}, {}), {"luts": v})
        for (w, c), v in values.items()
    ]
    boxes = (two, Box({"choices": (3, 3)}, ("left",)), four)
    first, second = fit(Boxes(("width", "max(0, width - span)"), boxes), measured)
    assert first.valid == {"width": (8, 16), **two.ranges}
    assert second.valid == {"width": (8, 16), **four.ranges}
    for width, dearer in ((8, 12), (16, 24)):
        size = {"width": width, "span": 3, "left": 0}
        assert at(first, size) == at(second, size) == pytest.approx(dearer, rel=1e-3)
    size = {"width": 8, "span": 3, "left": 0}
    assert at(second, size, side="low") == pytest.approx(8, rel=2e-3)
    assert at(second, size, side="high") == pytest.approx(12, rel=2e-3)


def test_boxes_that_no_size_has_in_common_do_not_touch_each_other():
    """A barrel shifter over a narrow span may be dearer than one over a wide span: no unit is in both."""
    narrow, wide = (Box({"choices": (5, 64), "span": span}, ("left",)) for span in ((4, 7), (8, 15)))
    measured = [
        Measured(Point("qprelu", {"width": w, "choices": 5, "span": span, "left": 0}, {}), {"luts": v})
        for w, span, v in ((8, 7, 40.0), (16, 7, 80.0), (8, 15, 20.0), (16, 15, 40.0))
    ]
    fitted = fit(Boxes(("width", "max(0, width - span)"), (narrow, wide)), measured)
    assert [at(f, {"width": 16, "span": s, "left": 0}) for f, s in zip(fitted, (7, 15), strict=True)] == [
        pytest.approx(80, rel=1e-3),
        pytest.approx(40, rel=1e-3),
    ]


def test_a_box_has_a_sum_of_its_terms():
    """3 * width + (bits below the sign's copies) + 2 * left - 5 comes back out of points that have them all."""
    box = Box({"choices": (5, 64), "left": (0, 7)}, ("left",))
    measured = [
        Measured(
            Point("shift_select", {"width": w, "choices": 5, "span": span, "left": left}, {}),
            {"luts": 3.0 * w + (w - span) + 2 * left - 5},
        )
        for w in (8, 16, 32)
        for span in (4, 7)
        for left in (0, 2, 4)
    ]
    (fitted,) = fit(Boxes(("width", "max(0, width - span)"), (box,)), measured)
    assert law(fitted) == "max(0, 3 * width + max(0, width - span) + 2 * left - 5)"
    assert fitted.valid == {"width": (8, 32), **box.ranges}


def test_a_range_may_cover_what_lies_below_its_steps():
    """A ROM of 5 words is at most one of 8, not one of 4."""
    measured = [
        Measured(Point("rom", {"width": 4, "depth": depth}, {}), {"luts": v})
        for depth, v in ((4, 4.0), (8, 16.0), (16, 64.0))
    ]
    pieces = fit(Pieces("depth", (Terms(("width",)),), covering=True), measured)
    assert [p.valid["depth"] for p in pieces] == [(4, 4), (5, 8), (9, 16)]
    assert [at(p, {"width": 4}) for p in pieces] == [4, 16, 64]


def test_a_point_counts_no_more_than_a_larger_one_that_could_stand_in():
    """An adder of 4 bits that maps to 14 LUTs, where one of 5 bits takes 6."""
    pieces = fit(
        Pieces("width", (Terms(("width", "1")),)), points({2: 2.0, 4: 14.0, 5: 6.0, 8: 9.0}, op="add")
    )
    values = {w: at(p, {"width": w}) for p in pieces for w in (2, 4, 5, 8) if w in range(*_span(p))}
    assert values == pytest.approx({2: 2, 4: 5, 5: 6, 8: 9}, abs=1)


def _span(fitted):
    low, high = fitted.valid["width"]
    return low, high + 1


def test_whole_pieces_are_the_most_of_any_point_not_a_fraction():
    measured = [
        Measured(Point("prelu", {"width": 20, "fraction_bits": f}, {}), {"luts": 50.0, "dsps": dsps})
        for f, dsps in ((10, 3.0), (15, 3.0), (20, 4.0))
    ]
    (fitted,) = fit(Pieces("width", (Terms(("width", "1")),)), measured)
    assert (law(fitted, "dsps"), fitted.laws["dsps"].low) == ("4", "3")


def test_interpolated_holds_the_points_in_order_of_size():
    (fitted,) = fit(Interpolated("bits"), points({8: 9.0, 2: 1.0, 4: 3.0}, op="xnor_popcount", over="bits"))
    assert law(fitted) == ((2, 1.0), (4, 3.0), (8, 9.0))
    assert (fitted.valid, fitted.over) == ({"bits": (2, 8)}, "bits")
    (same,) = fit(Interpolated("bits"), points({2: 0.0, 4: 0.0}, name="dsps", over="bits"))
    assert law(same, "dsps") == "0"


def test_interpolated_points_never_fall():
    (fitted,) = fit(Interpolated("bits"), points({1: 1.0, 2: 6.0, 3: 4.0, 4: 8.0}, over="bits"))
    assert law(fitted) == ((1, 1.0), (2, 5.0), (3, 5.0), (4, 8.0))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([], []),
        ([1, 2, 3], [1, 2, 3]),
        ([3, 2, 1], [2, 2, 2]),
        ([1, 5, 3, 4, 9], [1, 4, 4, 4, 9]),
        ([4, 0, 5], [2, 2, 5]),
        ([2, 3, 1, 0], [1.5, 1.5, 1.5, 1.5]),
    ],
)
def test_isotonic(given, wanted):
    assert isotonic(np.array(given, dtype=float)) == wanted
