"""A table of words: written down at once where each of its lines fits, else left to rich, which folds it.

Rich measures a cell many times over: 3 ms a row, and half a minute of a board of ten thousand."""

from collections.abc import Sequence
from functools import cached_property

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

HEAD, FIRST = "bold", "dim"  # styles: of the titles, of the first column
GAP = "  "


class Grid:
    """right: which columns hold numbers; these are never folded. styles: one a row."""

    def __init__(
        self,
        titles: Sequence[str],
        right: Sequence[bool],
        rows: Sequence[Sequence[str]],
        styles: Sequence[str],
    ):
        self.titles, self.rows = titles, rows
        self._lines, self._right, self._styles = [titles, *rows], right, [HEAD, *styles]

    @cached_property
    def _widths(self) -> list[int]:
        return [max(map(cell_len, column)) for column in zip(*self._lines, strict=True)]

    def fits(self, width: int) -> bool:
        """Whether each row is one line of so many columns, and no column is empty."""
        needed = sum(self._widths) + len(GAP) * (len(self._widths) - 1)
        plain = all(cell.isprintable() for line in self._lines for cell in line)
        return all(self._widths) and needed <= width and plain

    def print_on(self, console: Console) -> None:
        if not self.fits(console.width):
            console.print(self._folded())
            return
        written = (segment for line in self.lines(console) for segment in (*line, Segment.line()))
        console.print(Segments(written), end="")

    def lines(self, console: Console) -> list[list[Segment]]:
        """The titles and the rows, as the console shows them."""
        if not self.fits(console.width):
            return console.render_lines(self._folded(), pad=False)
        return [self._line(console, *each) for each in zip(self._lines, self._styles, strict=True)]

    def _line(self, console: Console, cells: Sequence[str], style: str) -> list[Segment]:
        padded = [
            _at_the_right(cell, width) if right else cell + _spaces(cell, width)
            for cell, width, right in zip(cells, self._widths, self._right, strict=True)
        ]
        own = console.get_style(style)
        first = own if style == HEAD else console.get_style(FIRST) + own
        gap = GAP if len(padded) > 1 else ""  # half of it is the first column's
        return [Segment(padded[0] + gap[:1], first), Segment(gap[1:] + GAP.join(padded[1:]), own)]

    def _folded(self) -> Table:
        table = Table(box=None, header_style=HEAD, pad_edge=False)
        for place, (title, right) in enumerate(zip(self._lines[0], self._right, strict=True)):
            style = "" if place else FIRST
            table.add_column(title, justify="right" if right else "left", no_wrap=right, style=style)
        for cells, style in zip(self._lines[1:], self._styles[1:], strict=True):
            table.add_row(*map(Text, cells), style=style)
        return table


def _spaces(cell: str, width: int) -> str:
    return " " * (width - cell_len(cell))


def _at_the_right(cell: str, width: int) -> str:
    """As rich does, without the spaces at its own end."""
    cell = cell.rstrip()
    return _spaces(cell, width) + cell
