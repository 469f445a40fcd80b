"""Ray Tune alone, as the benchmarks compare with it."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune

from benchmarks.plain.grid import run_cells

CELLS = [{"number": number} for number in (3, 5)]


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="plain-", dir="/tmp") as name:  # short: Ray keeps sockets in it
        yield Path(name)


@pytest.mark.long
def test_every_cell_is_run_once_and_says_what_it_reported_last(folder: Path):
    def square(cell: dict[str, Any]) -> None:
        for part in (1, 2):
            tune.report({"value": part * cell["number"] ** 2})

    found = run_cells(square, CELLS, folder)
    assert sorted((cell["number"], last["value"]) for cell, last in found) == [(3, 18), (5, 50)]
    assert not ray.is_initialized()


@pytest.mark.long
def test_the_error_of_a_cell_is_raised(folder: Path):
    def broken(cell: dict[str, Any]) -> None:
        raise RuntimeError(f"cell {cell['number']} is broken")

    with pytest.raises(Exception, match=r"cell [35] is broken"):
        run_cells(broken, CELLS, folder)
