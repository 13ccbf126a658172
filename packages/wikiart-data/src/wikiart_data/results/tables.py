"""Tables of results: one description, rendered for a terminal, for HTML and for Markdown, and kept as JSON."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from wikiart_data.console import console, echo, echo_wrapped
from wikiart_data.errors import InputError

if TYPE_CHECKING:
    from markupsafe import Markup
    from rich.table import Table as RichTable

TERMINAL_WIDTH = 80
NO_VALUE = "–"
_NARROWEST_NAME = 26  # characters that the first column of a terminal table keeps, if it has as many
_GAP = 2  # spaces between its columns


@dataclass(frozen=True)
class Number:
    """A number with what a reader needs to judge it.

    `str(Number(0.515, "%", interval=(0.48, 0.55)))` is `51.5 % (48.0–55.0)`.

    Args:
        value: None, NaN and infinity are shown as a dash. A number in `%` is a fraction: 0.515 is shown as 51.5.
        unit: `%`, `dB`, `s`, … or nothing.
        digits: decimal places; an int is always shown without any, unless its unit is `%`.
        interval: low and high end of a 95 % interval, in the scale of `value`.
        std: standard deviation, over seeds for example, in the scale of `value`.
        baseline: what the value is compared with, such as chance, in the scale of `value`.
        signed: whether a plus sign is shown, as of a difference.
    """

    value: float | int | None
    unit: str = ""
    digits: int = 1
    interval: tuple[float, float] | None = None
    std: float | None = None
    baseline: float | None = None
    signed: bool = False

    def __str__(self) -> str:
        return self.text()

    def text(self, unit: bool = True) -> str:
        """The number in one line: `51.5 ± 0.5 % (48.0–55.0; baseline 23.5)`; without its unit if `unit` is false."""
        detail = self.detail()
        return self.headline(unit) + (f" ({detail})" if detail else "")

    def headline(self, unit: bool = True) -> str:
        """The value, its standard deviation and the unit: `51.5 ± 0.5 %`."""
        if not _is_finite(self.value):
            return NO_VALUE
        spread = f" ± {self._decimal(self.std, signed=False)}" if _is_finite(self.std) else ""
        return self._decimal(self.value) + spread + (f" {self.unit}" if unit and self.unit else "")

    def detail(self) -> str:
        """The interval and the baseline: `48.0–55.0; baseline 23.5`; empty without both."""
        if not _is_finite(self.value):
            return ""
        parts = []
        if self.interval is not None and all(map(_is_finite, self.interval)):
            between = ", " if self.signed or self.interval[0] < 0 else "–"
            parts.append(between.join(map(self._decimal, self.interval)))
        if _is_finite(self.baseline):
            parts.append(f"baseline {self._decimal(self.baseline)}")
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The value and every other field that is not its default; a value that is not finite becomes null."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)[1:]}
        default = dataclasses.asdict(Number(None))
        rest = {name: value for name, value in fields.items() if value != default[name]}
        for name in ("std", "baseline"):
            if name in rest and not _is_finite(rest[name]):
                del rest[name]
        if "interval" in rest:
            rest["interval"] = [end if _is_finite(end) else None for end in rest["interval"]]
        return {"value": self.value if _is_finite(self.value) else None, **rest}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """A number from what `to_json` gave.

        Raises:
            InputError: a key is missing, unknown or of another type.
        """
        unknown = content.keys() - {field.name for field in dataclasses.fields(cls)}
        if unknown or "value" not in content:
            raise InputError(
                f"A number of a table has the keys {sorted(content)}.", field=min(unknown, default="value")
            )
        ends = content.get("interval")
        if ends is not None:
            ends = tuple(math.nan if end is None else end for end in ends)
        number = cls(**{**content, "interval": ends})
        numeric = (number.value, number.std, number.baseline, *(ends or ()))
        if not all(value is None or _is_number(value) for value in numeric) or not isinstance(number.unit, str):
            raise InputError(f"A number of a table is not one: {dict(content)}.", field="value")
        return number

    def _decimal(self, value: float | None, signed: bool | None = None) -> str:
        assert value is not None
        is_percentage = self.unit == "%"
        digits = 0 if isinstance(self.value, int) and isinstance(value, int) and not is_percentage else self.digits
        scaled = round(float(value) * (100 if is_percentage else 1), digits) + 0.0  # no minus sign before a zero
        return f"{scaled:{'+' if (self.signed if signed is None else signed) else ''},.{digits}f}"


Cell: TypeAlias = "str | Number | None"


@dataclass(frozen=True)
class Table:
    """A table of a result; the first column names the rows.

    Where all numbers of a column have one unit, the renderers write it once, in the heading: `top-1 (%)`.

    Args:
        title: what the table is about, without a full stop.
        columns: the headings, the first column's included (it may be empty).
        rows: a cell a column. None and empty text are empty cells; a `Number` without a value is a dash.
        note: a sentence or two below the table, such as what an abbreviation means.
        folded: whether the page shows it only when its title is clicked; for long tables, a row per style.

    Raises:
        ValueError: a row has more or fewer cells than there are columns.
        TypeError: a cell is of another type, or the first cell of a row is no text.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    folded: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title!r}: a row of {len(row)} cells under {len(self.columns)} columns: {row}")
            if not isinstance(row[0], str) or not all(cell is None or isinstance(cell, str | Number) for cell in row):
                raise TypeError(f"{self.title!r}: a cell is text, a Number or None, and the first is text: {row}")

    def to_json(self) -> dict[str, Any]:
        """Plain values, as result.json holds them."""
        rows = [[cell.to_json() if isinstance(cell, Number) else cell for cell in row] for row in self.rows]
        return {
            "title": self.title,
            "columns": list(self.columns),
            "rows": rows,
            "note": self.note,
            "folded": self.folded,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """A table from what `to_json` gave.

        Raises:
            InputError: a key is missing, or a value is of another type.
        """
        try:
            rows = tuple(
                tuple(Number.from_json(cell) if isinstance(cell, Mapping) else cell for cell in row)
                for row in content["rows"]
            )
            return cls(content["title"], tuple(content["columns"]), rows, content["note"], content["folded"])
        except KeyError as error:
            raise InputError(f"A table lacks {error}.", field=error.args[0]) from error
        except (TypeError, ValueError) as error:
            raise InputError(f"A table cannot be read: {error}.", field="tables") from error

    def headings(self) -> tuple[str, ...]:
        """The columns' headings, each with the unit that all its numbers share: `top-1 (%)`."""
        return tuple(
            column if unit is None else f"{column} ({unit})" if column else unit
            for column, unit in zip(self.columns, self.shared_units(), strict=True)
        )

    def shared_units(self) -> tuple[str | None, ...]:
        """The unit of each column, where all its numbers have the same one and nothing else stands in it."""
        units: list[str | None] = []
        for cells in zip(*self.rows, strict=True) if self.rows else [()] * len(self.columns):
            filled = [cell for cell in cells if cell is not None and cell != ""]
            found = {cell.unit if isinstance(cell, Number) else "" for cell in filled}
            units.append(next(iter(found)) or None if len(found) == 1 else None)
        return tuple(units)

    def _repr_html_(self) -> str:
        return html_table(self)


def html_table(table: Table) -> "Markup":
    """A table as HTML, without its title: a `<div class="wide">` that scrolls, with a `<table>` and the note."""
    from wikiart_data.results.templates import fill_template  # imports jinja2

    return fill_template("wikiart_data.results", "table.html", table=table)


def markdown_table(table: Table) -> str:
    """A table as Markdown (GitHub's), its title in bold above and its note below; ends with a line break."""
    units = table.shared_units()
    lines = [[_markdown_text(heading) for heading in table.headings()]]
    lines += [[_markdown_text(_text(cell, unit)) for cell, unit in zip(row, units, strict=True)] for row in table.rows]
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    title = [f"**{_markdown_text(table.title)}**", ""] if table.title else []
    note = ["", _markdown_text(table.note)] if table.note else []
    return "\n".join([*title, rows[0], "|---" * len(table.columns) + "|", *rows[1:], *note]) + "\n"


def print_table(table: Table) -> None:
    """Print a table in at most 80 columns, its title above and its note below.

    A table that is too wide is printed in blocks of columns, one below the other; where it saves a block, intervals
    move to a line below their numbers.
    """
    width = max(40, min(TERMINAL_WIDTH, console.width))
    if table.title:
        echo_wrapped(table.title)
    if table.rows:
        one_line, stacked = (_blocks(_grid(table, stacked), width) for stacked in (False, True))
        for index, block in enumerate(one_line if len(one_line) <= len(stacked) else stacked):
            if index:
                echo()
            console.print(_rich_table(block, width), markup=False)
    if table.note:
        echo_wrapped(table.note)


_Grid: TypeAlias = "list[list[str]]"  # the headings, then the rows; lines in a cell are separated by \n


def _grid(table: Table, stacked: bool) -> _Grid:
    """The text of all cells; if `stacked`, with the details of numbers on a line of their own."""
    units = table.shared_units()
    lines = [list(table.headings())]
    lines += [[_text(cell, unit, stacked) for cell, unit in zip(row, units, strict=True)] for row in table.rows]
    for column in range(1, len(table.columns)):
        widest = max((_width(line[column]) for line in lines[1:]), default=0)
        lines[0][column] = _folded(lines[0][column], widest)
    return lines


def _blocks(grid: _Grid, width: int) -> list[_Grid]:
    """The grid in as few blocks of columns as fit into `width`; each has the first column."""
    blocks: list[list[int]] = [[]]
    for column in range(1, len(grid[0])):
        if blocks[-1] and _taken(grid, [*blocks[-1], column]) > width:
            blocks.append([])
        blocks[-1].append(column)
    return [[[line[0], *(line[column] for column in block)] for line in grid] for block in blocks]


def _taken(grid: _Grid, columns: Sequence[int]) -> int:
    """The width of some columns, with the least that the first one takes."""
    name_width = min(_column_width(grid, 0), _NARROWEST_NAME)
    return name_width + sum(_GAP + _column_width(grid, column) for column in columns)


def _rich_table(grid: _Grid, width: int) -> "RichTable":
    from rich.table import Table as RichTable
    from rich.text import Text

    columns = range(1, len(grid[0]))
    name_width = max(1, width - sum(_GAP + _column_width(grid, column) for column in columns))
    lines = max(len(heading.split("\n")) for heading in grid[0])
    table = RichTable(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for column, heading in enumerate(grid[0]):
        lowered = "\n" * (lines - len(heading.split("\n"))) + heading  # headings end on one line, cells begin on one
        if column == 0:
            table.add_column(Text(lowered), width=min(name_width, _column_width(grid, 0)), overflow="fold")
        else:
            table.add_column(Text(lowered, justify="right"), justify="right", no_wrap=True)
    for line in grid[1:]:
        table.add_row(*map(Text, line))
    return table


def _column_width(grid: _Grid, column: int) -> int:
    return max(_width(line[column]) for line in grid)


def _width(text: str) -> int:
    """Columns of a terminal that a text of several lines takes."""
    from rich.cells import cell_len

    return max(map(cell_len, text.split("\n")))


def _folded(heading: str, width: int) -> str:
    """A heading in lines of at most `width`, or of its longest word where that is wider."""
    import textwrap

    longest = max(map(_width, heading.split()), default=1)
    return "\n".join(textwrap.wrap(heading, max(width, longest), break_on_hyphens=False)) or heading


def _text(cell: Cell, shared_unit: str | None, stacked: bool = False) -> str:
    if not isinstance(cell, Number):
        return cell or ""
    if not stacked:
        return cell.text(unit=shared_unit is None)
    detail = cell.detail()
    return cell.headline(unit=shared_unit is None) + (f"\n({detail})" if detail else "")


def _markdown_text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
