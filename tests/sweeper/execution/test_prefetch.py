"""A generator that is read ahead gives what it gives, once, in order; and ends when it is told to."""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.execution.prefetch import Ahead, NotReady


def rest(ahead: Ahead[int]) -> Iterator[int]:
    while True:
        try:
            yield ahead.next()
        except StopIteration:
            return


@given(st.lists(st.integers()))
def test_all_items_in_order_and_the_end_stays_the_end(items: list[int]) -> None:
    with closing(Ahead(item for item in items)) as ahead:
        assert list(rest(ahead)) == items
        assert list(rest(ahead)) == []


def test_it_works_on_the_next_item_meanwhile_and_no_further() -> None:
    made = []

    def count() -> Generator[int]:
        for number in range(10):
            made.append(number)
            yield number

    with closing(Ahead(count())) as ahead:
        assert ahead.next() == 0
        time.sleep(0.3)
        assert made == [0, 1, 2]  # 1 is ready, and 2 waits for its place
    assert made == [0, 1, 2]


def test_an_error_comes_after_the_items_before_it_and_once() -> None:
    def fails() -> Generator[int]:
        yield 1
        raise TimeoutError("no answer")

    with closing(Ahead(fails())) as ahead:
        assert ahead.next() == 1
        with pytest.raises(TimeoutError, match="no answer"):
            ahead.next()
        with pytest.raises(StopIteration):
            ahead.next()


def test_waiting_has_an_end() -> None:
    go_on = threading.Event()

    def slow() -> Generator[int]:
        go_on.wait()
        yield 1

    with closing(Ahead(slow())) as ahead:
        for timeout in (0.0, 0.05):
            with pytest.raises(NotReady):
                ahead.next(timeout)
        go_on.set()
        assert ahead.next() == 1


def test_closing_runs_what_the_generator_does_last_and_says_what_it_raised() -> None:
    done = []

    def saves() -> Generator[int]:
        try:
            while True:
                yield 1
        finally:
            done.append(threading.current_thread().name)
            raise OSError("disk full")

    ahead = Ahead(saves())
    assert ahead.next() == 1
    with pytest.raises(OSError, match="disk full"):
        ahead.close()
    assert done == ["ahead"]
    ahead.close()
