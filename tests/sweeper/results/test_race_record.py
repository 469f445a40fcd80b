"""Who races whom, before anybody has."""

from typing import Any

import pytest

from sweeper.results.race_record import contests
from sweeper.results.ranking import Entry, Ranked
from sweeper.spec.sections import Settle
from sweeper.statistics.standings import Standing


def searched(configuration: int) -> Ranked:
    plain: dict[str, Any] = dict.fromkeys(Standing._fields)
    standing = Standing(**{**plain, "configuration": configuration, "nelbo": 6.0 + configuration})
    return Ranked(Entry(configuration, [], [], [], [], "complete", None), standing, 1)


@pytest.mark.parametrize(
    ("values", "races"),
    [
        ([0.4, None, 0.3, None], {0.3: [3], 0.4: [1], None: [2, 4]}),
        ([None, "sigmoid", "none", "none"], {"none": [3, 4], "sigmoid": [2], None: [1]}),
        ([None, None], {None: [1, 2]}),
    ],
)
def test_those_without_the_dimension_race_each_other_last(
    values: list[Any], races: dict[Any, list[int]]
) -> None:
    rows = [searched(i + 1) for i in range(len(values))]
    has = {i + 1: {} if value is None else {"f.mu": value} for i, value in enumerate(values)}
    found = contests(rows, [], {}, has, Settle(by="f.mu"))
    assert [(each.value, each.contenders) for each in found] == list(races.items())
