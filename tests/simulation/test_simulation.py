"""Sweeps with faults, from seeds: the short form of `make simulate`, and whether its oracle can see."""

from pathlib import Path
from typing import Any

import pytest

from sweeper.store.engine import transaction
from sweeper.store.leased import Leased
from sweeper.store.writer import Writer
from tests.simulation.faults import Fault, Kill, Theft
from tests.simulation.scenario import draw
from tests.simulation.simulate import simulate
from tests.simulation.sweep import Sweep


@pytest.mark.parametrize("seed", [pytest.param(i, marks=[pytest.mark.long] * (i > 3)) for i in range(40)])
def test_a_sweep_with_faults_ends_as_it_should(seed: int) -> None:
    assert simulate(seed).violation == ""


def test_the_same_seed_gives_the_same_sweep(tmp_path: Path) -> None:
    events = []
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        sweep = Sweep(draw(1), tmp_path / place)
        Kill(100).plant(sweep)
        sweep.run()
        tables = sweep.tables()
        events.append(
            [row.replace(str(tmp_path / place), "") for row in tables["events"]] + tables["metrics"]
        )
    assert events[0] == events[1]


def test_a_lease_that_is_not_asked_for_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that writes on under a stolen lease."""
    monkeypatch.setattr(Leased, "_transaction", lambda self: transaction(self._engine))
    assert _any_violation(range(60, 600, 60), tmp_path, Theft)


def test_a_row_that_is_lost_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    keep = Writer.add_rows

    def forgetful(self: Writer, trial: int, attempt: int, rows: Any, *arguments: Any, **more: Any) -> bool:
        return keep(self, trial, attempt, list(rows)[1:], *arguments, **more)

    monkeypatch.setattr(Writer, "add_rows", forgetful)
    assert simulate(1).violation


def _any_violation(points: range, place: Path, fault: type[Fault]) -> bool:
    for at in points:
        (place / str(at)).mkdir()
        sweep = Sweep(draw(1), place / str(at))
        fault(at).plant(sweep)  # type: ignore[call-arg]
        try:
            sweep.run()
        except AssertionError:
            return True
    return False
