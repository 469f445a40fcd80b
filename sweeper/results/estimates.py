"""Every perplexity of a row by the same fit as the one that ranks: seeds' effects taken out, with interval
and difference to the first row, so that numbers that stand beside each other are of the same seeds."""

import math
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from sweeper.results.ranking import AFTER_SEARCH, Entry, Ranked, comparable, entries_of, same_quantity
from sweeper.results.row import Estimate, known, perplexity
from sweeper.statistics.field import Run, field_of
from sweeper.statistics.values import values
from sweeper.store.queries import Reader
from sweeper.store.records import EvaluationRecord
from trainer.evaluation.record import split_of_blocks

Estimates = dict[int, dict[str, Estimate]]  # by configuration and metric
ONE_NUMBER = [1]  # the tokens of what has no documents


class InBlocks(NamedTuple):
    """A configuration's bound on valid in blocks of one size, whatever size it was trained at."""

    configuration: int
    values: Mapping[str, Any]  # complete, dotted
    trials: list[int]  # as people call them
    estimate: Estimate  # of the perplexity; its difference is to the specialist
    trained: bool  # at this size alone, and at this one only


def in_blocks(reader: Reader, sweep: int, block_size: int) -> list[InBlocks]:
    """Of what is complete, best first. The first that was trained at this size alone is the specialist: the
    differences are to it, paired by document and seed; without one there are none."""
    trials = [t for t in reader.trials(sweep) if t.repeat_of is None and t.role not in AFTER_SEARCH]
    values_of = reader.configurations(sweep)
    trained = {c for c, values in values_of.items() if _trained_at(values, block_size)}
    looks = {each.trial: each for each in reader.evaluations(sweep, split_of_blocks(block_size))}
    for each in reader.evaluations(sweep, "valid"):
        looks.setdefault(each.trial, each)  # of those trained at this size: the same tokens and masks
    mine = [t for t in trials if t.configuration in trained or _was_read(looks.get(t.id), block_size)]
    entries = comparable(entries_of(mine, looks))
    found = _against(entries, None)
    order = sorted(found, key=lambda c: found[c].value)
    specialist = next((c for c in order if c in trained), None)
    if specialist is not None:
        found = _against(entries, specialist)
    called = {entry.configuration: [trial.called for trial in entry.trials] for entry in entries}
    return [InBlocks(c, values_of[c], called[c], found[c], c in trained) for c in order]


def _was_read(look: EvaluationRecord | None, block_size: int) -> bool:
    return look is not None and look.split == split_of_blocks(block_size)


def _trained_at(values: Mapping[str, Any], block_size: int) -> bool:
    """Of a configuration of before there were `blocks`, too."""
    fixed = values.get("finetune.blocks.name", "fixed") == "fixed"
    return fixed and values.get("finetune.block_size") == block_size


def _against(entries: Sequence[Entry], first: int | None) -> dict[int, Estimate]:
    """By configuration. first: whom differences are to; None: to nobody."""
    runs = [
        Run(entry.configuration, seed, each.nats)
        for entry in sorted(entries, key=lambda entry: entry.configuration != first)
        for seed, each in zip(entry.seeds, entry.evaluated, strict=True)
    ]
    found: Estimates = defaultdict(dict)
    _add(found, "val_ppl", runs, entries[0].evaluated[0].tokens if entries else (), with_text=True)
    of = {c: each["val_ppl"] for c, each in found.items()}
    return of if first is not None else {c: e._replace(difference=None, margin=None) for c, e in of.items()}


def estimates(ranked: Sequence[Ranked], test: Mapping[int, EvaluationRecord]) -> Estimates:
    """ranked: best first. test: evaluations on the test split, by trial.

    Of test the documents count, as of valid. Of other perplexities a run has one number, so their intervals
    are over seeds alone.
    """
    found: Estimates = defaultdict(dict)
    entries = [each.entry for each in ranked]
    runs, tokens = _on_test(entries, test)
    _add(found, "test_ppl", runs, tokens, with_text=True)
    names = set().union(*{each.names for entry in entries for each in entry.latest})
    for name in sorted(name for name in names if name.startswith(("zero_shot_ppl/", "gen_ppl"))):
        _add(found, name, _logs(entries, name), ONE_NUMBER, with_text=False)
    for each in ranked:
        if (bits := _val_bpb(each)) is not None:
            found[each.entry.configuration]["val_bpb"] = bits
    return found


class WhenAsked:
    """Those of ranked rows, fitted when somebody looks at the first of them: most boards of thousands of rows
    are made anew before anybody has."""

    def __init__(self, ranked: Sequence[Ranked], test: Mapping[int, EvaluationRecord]):
        self._ranked, self._test = ranked, test

    @cached_property
    def _found(self) -> Estimates:
        return estimates(self._ranked, self._test)

    def of(self, configuration: int) -> Mapping[str, Estimate]:
        """By metric."""
        return self._found.get(configuration, {})


def gaps(
    entries: Sequence[Entry], test: Mapping[int, EvaluationRecord], of: Container[int] | None = None
) -> dict[int, float]:
    """By configuration: valid less test, nats per token, of the runs that have both; seeds' effects taken out
    as of either. What picking by valid has flattered there is too low.

    of: configurations that are asked for, all unless said. Of the others those that ran on several seeds tell
    what these do, one that ran on one tells nothing."""
    runs = [
        Run(entry.configuration, seed, [record.nelbo - test[record.trial].nelbo])
        for entry in entries
        if of is None or entry.configuration in of or len(entry.seeds) > 1
        for seed, record in zip(entry.seeds, entry.evaluated, strict=True)
        if record.trial in test
    ]
    if not runs:
        return {}
    configurations, field = field_of(runs, ONE_NUMBER)
    return dict(zip(configurations, field.means[0].tolist(), strict=True))


def _on_test(
    entries: Sequence[Entry], test: Mapping[int, EvaluationRecord]
) -> tuple[list[Run], Sequence[int]]:
    """Of the runs that count, those on the text that the first of them was evaluated on; its tokens."""
    mine = [
        (entry.configuration, seed, test[record.trial])
        for entry in entries
        for seed, record in zip(entry.seeds, entry.evaluated, strict=True)
        if record.trial in test
    ]
    if not mine:
        return [], []
    like = mine[0][2]
    return [Run(c, seed, each.nats) for c, seed, each in mine if same_quantity(each, like)], like.tokens


def _logs(entries: Sequence[Entry], name: str) -> list[Run]:
    """One number a run, as nats of one document of one token."""
    runs = []
    for entry in entries:
        seeds = {trial.id: trial.seed for trial in entry.trials}
        for each in entry.latest:
            if (best := each.best_of(name) or 0.0) > 0:
                runs.append(Run(entry.configuration, seeds[each.trial], [math.log(best)]))
    return runs


def _add(found: Estimates, name: str, runs: Sequence[Run], tokens: Sequence[int], *, with_text: bool) -> None:
    """runs: the first row's before all others'."""
    if not runs:
        return
    configurations, field = field_of(runs, tokens)
    fit = values(field, configurations.index(runs[0].configuration), with_text=with_text)
    of_each = (each.tolist() for each in (fit.nelbo_C, fit.half_C, fit.difference_C, fit.margin_C))
    for configuration, value, half, difference, margin in zip(configurations, *of_each, strict=True):
        low, high = (None, None) if math.isinf(half) else (perplexity(value - half), perplexity(value + half))
        found[configuration][name] = Estimate(
            perplexity(value) or math.inf, low, high, difference, known(margin), fit.over
        )


def _val_bpb(ranked: Ranked) -> Estimate | None:
    """Proportional to nats per token: the same bytes for everybody."""
    found = (each.best_of("val_bpb") for each in ranked.entry.latest)
    bits = [best for best in found if best is not None]
    standing = ranked.standing
    if not bits or standing.mean <= 0:
        return None
    share = math.fsum(bits) / len(bits) / standing.mean
    value, low, high = (share * end for end in (standing.nelbo, standing.low, standing.high))
    over = "text and seeds" if standing.over_seeds else "text"
    first = standing.nelbo - standing.difference
    difference, margin = math.log(standing.nelbo / first), known(standing.margin / first)
    return Estimate(value, known(low), known(high), difference, margin, over)
