"""What commands say on stdout."""

import subprocess
import sys

import pytest

from sweeper.terminal import console


def test_numbers_are_short_whatever_their_size() -> None:
    assert [console.number(value) for value in (None, 1700.0, 1e30, 1e-4, 0.44)] == [
        *("", "1,700", "1e+30", "0.0001", "0.44")
    ]


def test_a_table_reads_no_markup_and_a_pipe_gets_its_lines_whole(capsys: pytest.CaptureFixture[str]) -> None:
    wide = "w" * 200
    console.print_table(["name", "count"], [["[bold]one", "1"], [wide, "20"]], right=[1])
    title, first, second = capsys.readouterr().out.splitlines()
    assert (title.split(), first.split(), second.split()) == (
        ["name", "count"],
        ["[bold]one", "1"],
        [wide, "20"],
    )


def test_who_only_prints_lines_waits_for_no_tables() -> None:
    code = "import sys, sweeper.terminal.console; print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
