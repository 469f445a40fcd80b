"""Asks: anyone's to append, numbered in each session, whoever comes at once."""

import pytest

from sweeper.store.asks import LONGEST, Answer, Question, ask
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord
from sweeper.store.writer import Writer
from tests.sweeper.store.stores import in_threads

SAID = Answer(0.025, "keep", -0.1, -0.2, -0.05)


@pytest.fixture
def question(sweep: SweepRecord, writer: Writer) -> Question:
    """Of a sweep whose lease a driver holds."""
    a, b = (writer.add_configuration(hash, {}) for hash in ("a", "b"))
    return Question(sweep.id, "night", a, b, "beef", 0.01, [0, 1])


def test_an_ask_is_kept_and_the_same_one_stands(url: str, reader: Reader, question: Question) -> None:
    kept, again = ask(url, question, lambda number: SAID._replace(level=number / 40))
    assert reader.asks(question.sweep) == [kept]
    assert (kept.number, kept.level, kept.seeds, again) == (1, 0.025, [0, 1], False)

    def never(number: int) -> Answer:
        raise AssertionError("it has its answer")

    assert ask(url, question._replace(margin=0.5), never) == (kept, True)
    others = [
        question._replace(runs="cafe"),
        question._replace(a=question.b, b=question.a),
        question._replace(session="day"),
    ]
    assert [ask(url, each, lambda number: SAID)[0].number for each in others] == [2, 3, 1]
    assert [(each.session, each.number) for each in reader.asks(question.sweep)] == [
        *(("day", 1), ("night", 1), ("night", 2), ("night", 3)),
    ]


def test_an_ask_that_fails_takes_no_number(url: str, reader: Reader, question: Question) -> None:
    def fails(number: int) -> Answer:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(url, question, fails)
    assert reader.asks(question.sweep) == []


def test_of_many_at_once_each_has_its_own_number(url: str, reader: Reader, question: Question) -> None:
    def job(n: int) -> None:
        ask(url, question._replace(runs=str(n)), lambda number: SAID._replace(level=float(number)))

    in_threads([lambda n=n: job(n) for n in range(6)])
    found = reader.asks(question.sweep)
    assert [each.number for each in found] == [each.level for each in found] == [1, 2, 3, 4, 5, 6]


def test_what_cannot_be_asked_is_refused_in_words(url: str, question: Question) -> None:
    for wrong, sentence in (
        (question._replace(sweep=99), "there is no sweep 99 in this database"),
        (question._replace(session=""), f"a session's name has 1 to {LONGEST} characters"),
        (question._replace(session="n" * (LONGEST + 1)), "a session's name"),
    ):
        with pytest.raises(StoreError, match=sentence):
            ask(url, wrong, lambda number: SAID)
