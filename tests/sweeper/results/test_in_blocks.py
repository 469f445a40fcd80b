"""One checkpoint read at other block sizes: who is ranked, by what, and held against whom."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sweeper.results.estimates import InBlocks, in_blocks
from sweeper.results.leaderboard import leaderboard
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from tests.sweeper.filled import BASE, STEPS, evaluation


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/sweeps.db"


@pytest.fixture
def writer(url: str) -> Iterator[Writer]:
    store = Store(url)
    sweep = store.create_sweep(name="s", spec_text="", spec={}, code_version="1", folder="")
    store.take_lease(sweep.id, "me", 3600)
    yield store.writer(sweep.id, "me")
    store.close()


def add(writer: Writer, valid: float, at_4: float | None, seed: int = 0, **values: Any) -> int:
    """A complete run, by its bound on valid and in blocks of 4; its configuration."""
    dotted = {f"finetune.{name.replace('__', '.')}": value for name, value in values.items()}
    configuration = writer.add_configuration(repr(sorted(dotted.items())), {**BASE, **dotted})
    trial = writer.add_trial(
        configuration=configuration,
        role="search",
        seed=seed,
        steps=9,
        params={},
        distributions={},
        system_attrs={},
    ).id
    attempt = writer.start_trial(trial, "here")
    given = {"block_size": 16, "seed": seed, "noise": str(dotted)}
    looks = [evaluation("valid", STEPS, valid, **given)]
    if at_4 is not None:
        looks.append(evaluation("valid", STEPS, at_4, **given)._replace(split="L4"))
    writer.add_rows(trial, attempt, [], looks)
    writer.end_trial(trial, attempt, "complete")
    return configuration


def read(url: str, block_size: int = 4) -> list[InBlocks]:
    reader = Reader(url)
    try:
        return in_blocks(reader, reader.sweeps()[0].id, block_size)
    finally:
        reader.close()


def test_they_are_ranked_by_that_bound_and_held_against_who_trained_that_size(
    url: str, writer: Writer
) -> None:
    large = add(writer, 5.3, 5.6, block_size=16)
    mixed = add(writer, 5.4, 5.5, block_size=16, blocks__name="mixture", blocks__sizes=[4, 16])
    special = add(writer, 5.35, None, block_size=4)  # its bound on valid is of blocks of 4
    other = add(writer, 5.45, None, block_size=4, lr=1e-5)
    add(writer, 5.0, None, block_size=8)  # was not read at this size
    rows = read(url)
    assert [row.configuration for row in rows] == [special, other, mixed, large]
    assert [row.trained for row in rows] == [True, True, False, False]
    first, *others = (row.estimate for row in rows)
    assert first.difference == 0
    for each in others:
        assert each.difference == pytest.approx(math.log(each.value / first.value))
    assert rows[-1].estimate.value == pytest.approx(math.exp(5.6), rel=0.1)
    reader = Reader(url)
    board = leaderboard(reader, "s")
    reader.close()
    ranked = [row.configuration for row in board.rows]
    assert ranked.index(large) < ranked.index(special), "the search's order is by each run's own bound"


def test_a_mixture_at_this_size_is_no_specialist(url: str, writer: Writer) -> None:
    add(writer, 5.3, 5.3, block_size=4, blocks__name="mixture")
    (row,) = read(url)
    assert not row.trained
    assert row.estimate.difference is None


def test_seeds_are_paired(url: str, writer: Writer) -> None:
    """A seed's own effect, .04, is taken out of differences: configurations' noise is .008."""
    for seed in range(4):
        add(writer, 5.30, 5.50, seed, block_size=16)
        add(writer, 5.40, None, seed, block_size=4)
    special, large = read(url)
    assert large.estimate.over == "text and seeds"
    assert large.estimate.difference == pytest.approx(0.1, abs=0.03)
    assert large.estimate.margin is not None
    assert large.estimate.margin < 0.1
    assert special.trained


def test_of_nothing_read_at_this_size_there_are_no_rows(url: str, writer: Writer) -> None:
    add(writer, 5.3, None, block_size=16)
    assert read(url) == []
