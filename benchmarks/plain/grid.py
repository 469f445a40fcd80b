"""What one would write with Ray Tune alone to run a list of cells: a grid, and Tune's defaults."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.plain.two_slots import two_slots


def run_cells(
    cell: Callable[[Any], None], cells: Sequence[Any], folder: Path
) -> list[tuple[Any, dict[str, Any]]]:
    """(a cell, what it reported last) of each, in no order. `cell` trains one and reports to Tune.

    Two slots; Ray lives in `folder` and ends with the last cell. Raises the first error of a cell.
    """
    from ray import tune

    from sweeper.planning.machine import environment

    os.environ.update(environment(threads=1))
    with two_slots(folder / "ray"):
        tuner = tune.Tuner(
            tune.with_resources(lambda config: cell(config["cell"]), {"cpu": 1}),
            param_space={"cell": tune.grid_search(list(cells))},
            run_config=tune.RunConfig(storage_path=str(folder / "results"), verbose=0),
        )
        grid = tuner.fit()
    if grid.errors:
        raise grid.errors[0]
    found = []
    for i in range(len(grid)):
        config, metrics = grid[i].config, grid[i].metrics
        assert config is not None
        assert metrics is not None
        found.append((config["cell"], metrics))
    return found
