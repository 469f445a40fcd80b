"""A table that is written down at once looks as rich draws it, letter by letter, in its colours."""

import io

from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from sweeper.terminal.grid import Grid

WORDS = st.text(st.sampled_from("ab 7.é,漢語\n\t"), max_size=9)
STYLES = st.sampled_from(["", "dim", "red", "yellow"])


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[bool], list[list[str]], list[str]]:
    columns, rows = draw(st.integers(1, 5)), draw(st.integers(0, 4))
    line = st.lists(WORDS, min_size=columns, max_size=columns)
    return (
        draw(line),
        draw(st.lists(st.booleans(), min_size=columns, max_size=columns)),
        draw(st.lists(line, min_size=rows, max_size=rows)),
        draw(st.lists(STYLES, min_size=rows, max_size=rows)),
    )


def of_rich(titles: list[str], right: list[bool], rows: list[list[str]], styles: list[str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, (title, numbers) in enumerate(zip(titles, right, strict=True)):
        side = "right" if numbers else "left"
        table.add_column(title, justify=side, no_wrap=numbers, style="" if place else "dim")
    for cells, style in zip(rows, styles, strict=True):
        table.add_row(*map(Text, cells), style=style)
    return table


def letters(lines: list[list[Segment]]) -> list[list[tuple[str, Style]]]:
    return [[(each, s.style or Style()) for s in line for each in s.text] for line in lines]


@settings(deadline=None, max_examples=50)
@given(tables(), st.sampled_from([5, 20, 80]))
@example((["", ""], [False, True], [["7", "7 "]], [""]), 5)  # a space at the end of a number
def test_it_looks_as_rich_draws_it(
    table: tuple[list[str], list[bool], list[list[str]], list[str]], width: int
) -> None:
    screen = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    drawn = screen.render_lines(of_rich(*table), pad=False)
    assert letters(Grid(*table).lines(screen)) == letters(drawn)
    Grid(*table).print_on(screen)
    printed = screen.file.getvalue()  # type: ignore[attr-defined]
    screen.print(of_rich(*table))
    assert screen.file.getvalue() == 2 * printed  # type: ignore[attr-defined]


def test_whether_it_fits_is_said_to_the_column() -> None:
    grid = Grid(["a", "long"], [False, True], [["xyz", "1"]], [""])
    assert grid.fits(len("xyz  long"))
    assert not grid.fits(len("xyz  long") - 1)
