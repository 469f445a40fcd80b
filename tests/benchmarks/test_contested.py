"""A board goes through ranking and race as a sweep would."""

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.contested import PRETRAIN, course, searched
from benchmarks.worlds import BASELINE_SEEDS, World, one_better, spread
from sweeper.spec.sections import Settle


def test_a_search_is_seen_as_the_readme_has_it():
    (board,) = World("").boards(np.random.default_rng(0), spread(9, 0.03)(np.random.default_rng(0), 1))
    found = {each.entry.configuration: each.standing.seeds for each in searched(board)}
    assert [found[c] for c in range(9)] == [BASELINE_SEEDS] * 3 + [1] * 6


@pytest.mark.parametrize(("until", "least"), [("answer", 2), ("winner", 2), ("chance", 1)])
def test_looks_begin_as_soon_as_something_can_be_said(until: str, least: int):
    """A chance has the search's seed beside the first fresh one."""
    rng = np.random.default_rng(1)
    (board,) = World("").boards(rng, one_better(9, 0.05)(rng, 1))
    settle = Settle(until=until)
    seen = list(course(board, searched(board), settle))
    assert seen[0].rounds == least
    assert [look.contest.ended(settle) for look in seen[:-1]] == [""] * (len(seen) - 1)
    assert seen[-1].contest.ended(settle)
    assert all(before.have < after.have for before, after in pairwise(seen))


def test_what_is_spent_leaves_out_what_the_baselines_have():
    rng = np.random.default_rng(2)
    (board,) = World("").boards(rng, one_better(9, 0.05)(rng, 1))
    *_, last = course(board, searched(board), Settle(until="winner"))
    of_baselines = sum(c < 3 and r <= 2 for c, r in last.have)
    assert last.trainings() == len(last.have)
    assert last.trainings(2) == len(last.have) - of_baselines
    assert last.cost(2) == last.trainings(2) + PRETRAIN * (last.rounds - 2)
