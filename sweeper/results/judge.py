"""Is configuration A better than B, by evidence? What a script or a person asks after each change.

keep: A is surely better. discard: A is surely not better by more than a margin. Else there is not enough
evidence, and how many seeds more would bring it. The paired difference is that of compare.py, of a pair that
was named beforehand; its level is spent over the asks of a session (statistics/evidence.py), which the store
keeps."""

import hashlib
import json
import math
from typing import Any, NamedTuple

from sweeper.results.compare import NotComparable, Pair, finite, pair_of
from sweeper.statistics.evidence import Verdict, confidence, level, more_seeds, spent, verdict
from sweeper.store.asks import Answer, Question, ask
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord

SESSION = "default"


class Judgement(NamedTuple):
    verdict: Verdict
    session: str
    number: int | None  # of the ask in its session; None: with one common seed nothing is asked, or spent
    again: bool  # the same runs had been asked about: the answer is that one's, and nothing was spent
    level: float | None  # error of each end of the interval
    spent: float | None  # of the session's 0.05, by this ask and those before
    margin: float  # of perplexity, as a share
    trials_a: list[int]  # by common seed
    trials_b: list[int]
    seeds: list[int]
    confirmed: bool  # by confirmation runs alone
    difference: float  # a - b, nats per token: below 0, a is better
    low: float | None
    high: float | None
    more_seeds: int | None  # of both, for an answer; None: there is one, or seeds alone bring none

    def to_json(self) -> dict[str, Any]:
        low, high = (None if end is None else finite(end) for end in (self.low, self.high))
        return {**self._asdict(), "low": low, "high": high}


def judge(
    reader: Reader, sweep: SweepRecord, a: int, b: int, *, margin: float = 0.0, session: str = SESSION
) -> Judgement:
    """Of the configurations of two trials. margin: of perplexity, as a share.

    Raises NotComparable, and StoreError where the ask cannot be written down."""
    if not session.strip():
        raise NotComparable("a session has a name: asks of one name share an error of 5%")
    pair = pair_of(reader, sweep, a, b)
    nats = math.log1p(margin)
    not_asked = Judgement(
        verdict="not enough evidence",
        session=session,
        number=None,
        again=False,
        level=None,
        spent=None,
        margin=margin,
        trials_a=[each.trial for each in pair.sides[0]],
        trials_b=[each.trial for each in pair.sides[1]],
        seeds=pair.seeds,
        confirmed=pair.confirmed,
        difference=pair.difference,
        low=None,
        high=None,
        more_seeds=1,
    )
    if len(pair.seeds) < 2:  # without a spread of its own a pair is never told apart, so nothing is spent
        return not_asked

    def answer(number: int) -> Answer:
        half = pair.half(confidence(number))
        low, high = pair.difference - half, pair.difference + half
        return Answer(level(number), verdict(low, high, nats), pair.difference, low, high)

    question = Question(
        sweep.id, session, pair.a.configuration, pair.b.configuration, _runs(pair), margin, pair.seeds
    )
    asked, again = ask(reader.url, question, answer)
    # Another margin is read off the same interval, so the verdict is not the stored one's.
    found = verdict(asked.low, asked.high, nats)
    wanting = found == "not enough evidence"
    return not_asked._replace(
        verdict=found,
        number=asked.number,
        again=again,
        level=asked.level,
        spent=spent(asked.number),
        difference=asked.difference,
        low=asked.low,
        high=asked.high,
        more_seeds=more_seeds(pair.found, nats, asked.number + 1) if wanting else None,
    )


def _runs(pair: Pair) -> str:
    """Of what was held against each other: with another seed, or a checkpoint scored again, it is another
    question."""
    text = json.dumps([[(each.trial, each.nats) for each in side] for side in pair.sides])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
