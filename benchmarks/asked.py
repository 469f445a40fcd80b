"""What is asked of the answer: studies (boards of a world, and what is looked at), and the cells of the table
that
each fills."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from benchmarks.judged import (
    CHANCES,
    MARGINS,
    Facts,
    compared,
    raced,
    readmitted,
    until_answer,
    until_chance,
    watched,
)
from benchmarks.trained import Trained
from benchmarks.worlds import (
    Array,
    Board,
    Rng,
    Truth,
    World,
    by_looks,
    equal,
    one_better,
    spread,
    two_equal,
)
from sweeper.spec.sections import Settle

Figure = Callable[[dict[str, Array]], float]


class Boards(Protocol):
    @property
    def name(self) -> str: ...

    def boards(self, rng: Rng, truth_NC: Array) -> Iterator[Board]: ...


class Cell(NamedTuple):
    row: str  # of the table
    figure: str | Figure  # a fact, whose mean it is; or what the facts come to
    at_most: float = math.inf  # neither of the two: reported, not judged
    at_least: float = -math.inf
    formerly: str = ""  # the same of the rule before
    single: str = ""  # and of the best single run

    def of(self, facts: dict[str, Array]) -> float:
        if callable(self.figure):
            return self.figure(facts)
        counted = facts[self.figure][~np.isnan(facts[self.figure])]
        return float(counted.mean()) if len(counted) else math.nan


class Study(NamedTuple):
    name: str
    boards: Callable[[Rng, int], Iterator[Board]]
    look: Callable[[Board], Facts]
    cells: tuple[Cell, ...]
    count: int = 1000


def equally_good(by: str, at: tuple[float, ...]) -> Figure:
    """Of what `confirm: {top: 3, seeds: 5}` spends, the share that a race does that is as often within .5% of
    the
    best: between two of the rules that were looked at, in proportion; infinite where none is as often."""

    def ratio(facts: dict[str, Array]) -> float:
        wanted = facts["good confirm"].mean()
        good = np.maximum.accumulate([facts[f"good {each}"].mean() for each in at])
        spent = [facts[f"{by} {each}"].mean() for each in at]
        whole = facts["trainings confirm" if by == "trainings" else "cost confirm"].mean()
        return float(np.interp(wanted, good, spent, right=math.inf) / whole)

    return ratio


# Figures of the issue: row, fact, what is asked.
WINNER = Cell(
    "a false winner, any look",
    "false winner",
    0.05,
    formerly="formerly false winner",
    single="single false winner",
)
BOUND = Cell("the first's loss exceeds its bound, any look: of the raced", "bound fails", 0.05)
OVER_ALL = Cell("the same: of all searched", "bound over all fails", 0.05)
DROPS = Cell(
    "'=' in the race loses the best", "race drops the best", 0.05, formerly="formerly race drops the best"
)
BOARD_DROPS = Cell("'=' on the search's board loses the best", "board drops the best", 0.05)
COVERED = Cell(
    "differences to the first in their intervals, all at once: at the end of a race",
    "difference covered at the end",
    at_least=0.93,
    formerly="formerly difference covered",
)
WRONG = Cell(
    "planted 3%, until a winner: a wrong one", "false winner", 0.01, formerly="formerly false winner"
)
CHANCE = Cell("a chance shown as .95 or more is true", "chance holds", at_least=0.92)
REPORTED = (
    Cell("trainings", "trainings"),
    Cell("bound at the end", "bound at the end"),
)

ADDITIVE = World("additive")
UNEQUAL3 = World("E unequal 3x", own=(0.0058, 0.0173))
UNEQUAL = World("E unequal 5x", own=(0.004, 0.02))
SLOPES5, SLOPES10 = World("slopes .05", slopes=0.05), World("slopes .1", slopes=0.1)
HARSH = World("slopes .1 and E unequal 3x", own=(0.0058, 0.0173), slopes=0.1)
CALM = World("calm baselines", own=(0.004, 0.02), baselines=0.004)
HEAVY = World("heavy-tailed seeds", heavy=True)
ALIKE = World("slopes .1 by block size", slopes=0.1, alike=True)
SMOOTH = World("additive, half of E shared by neighbours", smooth=0.5)
SLOPED = World("slopes .1, half of E shared by neighbours", slopes=0.1, smooth=0.5)


def study(
    name: str, world: Boards, truth: Truth, look: Callable[[Board], Facts], *cells: Cell, count: int = 1000
) -> Study:
    def boards(rng: Rng, N: int) -> Iterator[Board]:
        return world.boards(rng, truth(rng, N))

    return Study(f"{name}: {world.name}", boards, look, cells, count)


def _studies() -> Iterator[Study]:
    for C in (2, 3, 5, 11, 40):
        for world in (ADDITIVE, HARSH):
            yield study(f"A/A of {C}", world, equal(C), watched, WINNER, BOARD_DROPS, COVERED)
    for world in (ADDITIVE, HARSH):
        yield study("two equal, nine far", world, two_equal(11, 0.1), watched, WINNER, DROPS)
    yield study("A/A of 6", Trained(), equal(6), watched, WINNER, COVERED)

    claims = (BOUND, DROPS, WINNER, COVERED)
    for world, gap in ((UNEQUAL3, 0.015), (SLOPES10, 0.02), (HARSH, 0.02)):
        yield study(f"one of 11 better by {gap}", world, one_better(11, gap), watched, *claims, count=4000)
    yield study("one of 6 better by .015", Trained(), one_better(6, 0.015), watched, *claims, count=4000)
    over_all = (OVER_ALL, BOUND, BOARD_DROPS)
    for world in (HARSH, CALM):
        yield study("one of 43 better by .02", world, one_better(43, 0.02), watched, *over_all, count=4000)
    yield study("43, spread .01", SLOPES10, spread(43, 0.01), watched, *over_all)

    pair = Cell("a pair named beforehand in its interval", "pair covered", 0.97, 0.93)
    shown = COVERED._replace(
        row="differences to the first in their intervals, all at once: one look at a board",
        figure="difference covered",
    )
    for world in (ADDITIVE, UNEQUAL3, SLOPES10):
        for seeds in (3, 5):
            look = partial(compared, seeds=seeds)
            yield study(f"5 configurations, {seeds} seeds", world, spread(5, 0.01), look, pair, shown)

    for world, right in ((ADDITIVE, 0.9), (UNEQUAL, 0.85), (SLOPES5, 0.85), (SLOPES10, 0.7)):
        won = Cell(
            "planted 3%, until a winner: the right one",
            "right winner",
            at_least=right,
            formerly="formerly right winner",
            single="single right winner",
        )
        yield study("one of 11 better by .03", world, one_better(11, 0.03), raced, won, WRONG, *REPORTED)
    for world in (ADDITIVE, UNEQUAL, SLOPES5):
        yield study(
            "one of 11 better by .03, within 1%",
            world,
            one_better(11, 0.03),
            partial(raced, settle=Settle()),
            Cell("planted 3%, within 1%: stops before the cap", "settled", at_least=0.9),
            Cell("planted 3%, within 1%: the first is right", "first is right", at_least=0.98),
            *REPORTED,
        )

    told = partial(raced, settle=Settle(until="chance"))
    for world in (ADDITIVE, UNEQUAL3, SLOPES5, SLOPES10):
        yield study("23, spread .01 to .03, until a chance", world, spread(23, 0.01, 0.03), told, CHANCE)
    for world, n, chance, answer in (
        (ADDITIVE, 8, (0.75, 0.55, 0.35), (1.3, 0.9, 0.6)),
        (ADDITIVE, 20, (0.75, 0.55, 0.35), (1.3, 0.9, 0.6)),
        (UNEQUAL3, 20, (0.75, 0.55, 0.35), (1.3, 0.9, 0.6)),
        (SLOPES5, 20, (0.75, 0.55, 0.35), (1.3, 0.9, 0.6)),
        (SLOPES10, 20, (1.0, 0.6, math.inf), (math.inf, math.inf, math.inf)),
    ):
        for look, at, until, most in (
            (until_chance, CHANCES, "a chance", chance),
            (until_answer, MARGINS, "the bound", answer),
        ):
            cells = [
                Cell(f"until {until}, of confirm's {said}", equally_good(by, at), limit)
                for by, said, limit in zip(("trainings", "cost", "kept"), SPENT, most, strict=True)
            ]
            yield study(f"{n} searched, spread .03, until {until}", world, spread(n + 3, 0.03), look, *cells)

    unjudged = [cell._replace(at_most=math.inf, at_least=-math.inf) for cell in (BOUND, OVER_ALL, WINNER)]
    held = CHANCE._replace(at_least=-math.inf)
    for world in (HEAVY, ALIKE):
        yield study("one of 11 better by .02", world, one_better(11, 0.02), raced, *unjudged)
        yield study("23, spread .01 to .03, until a chance", world, spread(23, 0.01, 0.03), told, held)
    for world in (SMOOTH, SLOPED):
        yield Study(f"a search that learns, 20: {world.name}", by_looks(world, 20), raced, tuple(unjudged))
        yield Study(f"a search that learns, until a chance: {world.name}", by_looks(world, 20), told, (held,))
    again = Cell("the best is raced at the end", "best is raced")
    shrinks = Cell(
        "bound over all, of what it was",
        lambda f: float(np.median(f["over all after"] / f["over all before"])),
    )
    yield study("four let in at the end", SLOPES10, spread(43, 0.01), readmitted, *unjudged, again, shrinks)


SPENT = ("trainings", "cost", "cost, pretrains of the baselines' seeds being there")
STUDIES = tuple(_studies())
