"""What a sweep found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abcost.report import quantity
from abcost.report.format import View
from abcost.sweeping.columns import columns, describe, reasons
from abcost.sweeping.format import SWEEP_FORMATS
from abcost.sweeping.front import FrontQuantity, front, shared
from abcost.sweeping.row import SweepRow

if TYPE_CHECKING:
    import pandas as pd

_WHOLE = ("macs", "multiplications_traced", "multiplications", "cycles")
_MOST_LINES = 12
_MOST_NAMED = 6  # designs of the front in the summary
_MOST_IN_NOTEBOOK = 60  # rows


@dataclass(frozen=True, slots=True, repr=False)
class Sweep:
    """What `abcost.sweep` returns: one row per combination.

    axes: the two quantities that the front is judged by. In a notebook it is its table.
    """

    rows: tuple[SweepRow, ...]
    axes: tuple[FrontQuantity, FrontQuantity]

    def __repr__(self) -> str:
        models = len({row.model for row in self.rows})
        impossible = sum(row.answer == "impossible" for row in self.rows)
        return (
            f"<Sweep of {models} model{'s' if models > 1 else ''}: {len(self.rows):,} combinations, "
            f"{len(self.front)} on the front, {impossible} impossible; .summary()>"
        )

    def _repr_html_(self) -> str:
        """The table as the command shows it, for notebooks; of long ones the first rows."""
        shown = columns(self.rows[:_MOST_IN_NOTEBOOK], self.front)
        head = "".join(f"<th>{escape(column.title)}</th>" for column in shown)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(text)}</td>' for text, _ in cells)}</tr>"
            for cells in zip(*(column.cells for column in shown), strict=True)
        )
        left = len(self.rows) - _MOST_IN_NOTEBOOK
        more = f"<p>and {left} more rows: to_frame()</p>" if left > 0 else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"

    @property
    def front(self) -> tuple[SweepRow, ...]:
        """Designs that do what was asked and that no other such design beats in both axes; the best in x last.

        A design is judged by others of its network, for which of two is more accurate is not known here, unless the
        size of networks, macs, is an axis; and in LUTs, flip-flops, DSPs and blocks by others of its target.
        """
        return front(self.rows, self.axes)

    def summary(self) -> str:
        """A summary, 12 lines at most: how many combinations there are, how they end, the front, and why some fail."""
        lines, why = self.conclusion, reasons(self.rows)
        room = _MOST_LINES - len(lines)
        kept = why if len(why) <= room else why[: room - 1]
        lines += [f"Not as asked, {_rows(self.rows, one)}: {one}" for one in kept]
        lines += [f"and {len(why) - len(kept)} more reasons"] if len(kept) < len(why) else []
        return "\n".join(lines)

    @property
    def conclusion(self) -> list[str]:
        """Lines of the summary: how the combinations end, and the front."""
        ends = Counter(row.answer for row in self.rows)
        (x, y), best = self.axes, self.front
        lines = [
            f"{len(self.rows):,} combinations: {', '.join(f'{n:,} {answer}' for answer, n in ends.items())}."
        ]
        alike = " and ".join(shared(self.axes))
        of = f" by a design of the same {alike}" if alike else ""
        lines.append(
            f"Not beaten{of} in {x.title} and {y.title}:"
            if best
            else f"No design has {x.title} and {y.title}."
        )
        lines += [f"  {_value(row, x)}, {_value(row, y)}: {describe(row)}" for row in best[-_MOST_NAMED:]]
        lines += [f"  and {len(best) - _MOST_NAMED} more"] if len(best) > _MOST_NAMED else []
        return lines

    def to_frame(self) -> pd.DataFrame:
        """A row per combination: the columns of `rows`, and `front`, whether no other beats it; missing is unknown."""
        import pandas as pd  # noqa: PLC0415 - slow to import

        best = self.front
        found = pd.DataFrame(
            [{**asdict(row), "front": row in best} for row in self.rows],
            columns=[*(field.name for field in fields(SweepRow)), "front"],
        )
        return found.astype(dict.fromkeys(_WHOLE, "Int64"))

    def to_csv(self) -> str:
        """The frame as text, header first; an unknown value is an empty field."""
        return SWEEP_FORMATS.get("csv")(self, View())

    def to_html(self) -> str:
        """A page of its own that opens offline: the chart, and a table to sort. Raises MissingExtra without `html`."""
        return SWEEP_FORMATS.get("html")(self, View())

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, as `abcost sweep --format json` writes it; unknown is None."""
        best = self.front
        return {
            "schema": 1,
            "axes": [
                {"name": axis.name, "title": axis.title, "more_is_better": axis.more} for axis in self.axes
            ],
            "rows": [{**asdict(row), "front": row in best} for row in self.rows],
        }

    def save(self, path: str | Path, *, size: tuple[float, float] | None = None) -> None:
        """Write it into a file, whole or not at all; the suffix says as what.

        .csv, .json, .html; .txt, what the command shows; .svg, .png, .pdf: the chart.  size: its width and height in
        inches, for print. Raises UsageError for another suffix, OutputError, MissingExtra.
        """
        from abcost.sweeping.files import save  # noqa: PLC0415 - reads sweeps

        save(self, Path(path), size)


def _rows(rows: Sequence[SweepRow], why: str) -> str:
    count = sum(row.why == why for row in rows)
    return f"{count:,} row{'s' if count > 1 else ''}"


def _value(row: SweepRow, axis: FrontQuantity) -> str:
    value = axis.of(row)
    return "unknown" if value is None else f"{quantity.three_digits(value)} {axis.unit}"
