"""What anyone may ask of a pair: an append to `asks`, numbered in each session, also while a driver lives."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy import func, insert, select

from sweeper.store.engine import StoreError, open_for_writing, transaction
from sweeper.store.records import AskRecord
from sweeper.store.schema import asks, sweeps

LONGEST = 80  # characters of a session's name


class Question(NamedTuple):
    sweep: int
    session: str
    a: int  # configurations
    b: int
    runs: str
    margin: float
    seeds: Sequence[int]


class Answer(NamedTuple):
    level: float
    verdict: str
    difference: float
    low: float
    high: float


def ask(url: str, question: Question, answer: Callable[[int], Answer]) -> tuple[AskRecord, bool]:
    """The ask with its answer; whether it was made before, of the same runs of the same pair in this session:
    then that one stands. Else it takes the session's next number, by which `answer` knows its level.

    Raises StoreError where there is no such sweep, or the session's name is none."""
    if not 0 < len(question.session) <= LONGEST:
        raise StoreError(f"a session's name has 1 to {LONGEST} characters")
    engine = open_for_writing(url)
    try:
        with transaction(engine) as connection:
            # Whoever asks of this sweep waits here for its turn: no number is given twice.
            row = select(sweeps.c.id).where(sweeps.c.id == question.sweep).with_for_update(key_share=True)
            if connection.execute(row).one_or_none() is None:
                raise StoreError(f"there is no sweep {question.sweep} in this database")
            session = (asks.c.sweep == question.sweep) & (asks.c.session == question.session)
            same = (asks.c.a == question.a) & (asks.c.b == question.b) & (asks.c.runs == question.runs)
            columns = (asks.c[field] for field in AskRecord._fields)
            if before := connection.execute(select(*columns).where(session, same)).first():
                return AskRecord(*before), True
            spent = connection.execute(select(func.max(asks.c.number)).where(session)).scalar() or 0
            asked = {**question._asdict(), "seeds": list(question.seeds), "number": spent + 1}
            record = AskRecord(**asked, time=time.time(), **answer(spent + 1)._asdict())
            connection.execute(insert(asks).values(record._asdict()))
            return record, False
    finally:
        engine.dispose()
