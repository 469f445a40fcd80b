"""Each configuration's value by itself, and its difference to a given one: of any metric that runs have.

The interval of a value is over text and, where it is known, over the spread over seeds of the value itself
(not of a difference), Student's t each, in quadrature. The margin of a difference is for all pairs at once
(Tukey and Kramer). Shapes: C configurations, S seeds."""

from typing import NamedTuple

import numpy as np

from sweeper.statistics.clusters import Text
from sweeper.statistics.differences import differences, level_variance, pooled
from sweeper.statistics.field import Array, Field
from sweeper.statistics.quantiles import student, tukey


class Values(NamedTuple):
    nelbo_C: Array  # seeds' effects taken out
    half_C: Array  # of the 95% interval; infinite: not known
    over: str  # what that is over: 'text and seeds', 'text', 'seeds', 'nothing'
    difference_C: Array  # to the first; 0 for the first itself
    margin_C: Array  # that the difference must exceed; infinite where nothing can be said
    text_C: Array  # standard error of the difference over text
    seeds_C: Array  # and over seeds; infinite where no spread is known


def values(field: Field, first: int, *, with_text: bool = True) -> Values:
    """with_text: False where a run's nats are of no documents, but one number."""
    mean_C, nats_CD = field.means
    text = Text(field.tokens_D)
    text_C = text.error(nats_CD) if with_text else np.zeros(len(mean_C))
    seed_C, degrees = _own_error(field)
    half_C = student(text.degrees) * text_C
    if degrees:
        half_C = np.hypot(half_C, student(degrees) * seed_C)
    elif not with_text:
        half_C = np.full(len(mean_C), np.inf)
    over = " and ".join([*(["text"] if with_text else []), *(["seeds"] if degrees else [])]) or "nothing"

    found, groups = differences(field, [first]), len(mean_C)
    if not with_text:
        found = found._replace(text_CK=np.zeros_like(found.text_CK))
    margin_C1 = found.half_width(lambda d: tukey(groups, d), tukey(groups, found.text_degrees))
    margin_C1[first] = 0.0
    of_first = found.mean_CK[:, 0], margin_C1[:, 0], found.text_CK[:, 0], found.seeds_CK[:, 0]
    return Values(mean_C, half_C, over, *of_first)


def _own_error(field: Field) -> tuple[Array, int]:
    """(error_C, degrees): standard error over seeds of each value by itself: of the mean of its runs, by the
    variance of runs within configurations. The seeds are common, so there are S - 1 degrees however many
    configurations."""
    seeds_C = field.seeds_C
    most = int(seeds_C.max(initial=1))
    if most < 2:
        return np.full(len(seeds_C), np.inf), 0
    # Where others' runs took out a seed's effect, it is as uncertain as if it had run all their seeds; its
    # own noise is not.
    noise = np.nan_to_num(pooled(field.value_CS).variance / 2)
    alone_C = noise * (1 / np.maximum(seeds_C, 1) - 1 / most)
    return np.sqrt(level_variance(field) / most + alone_C), most - 1
