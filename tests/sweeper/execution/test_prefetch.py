"""A generator that is read ahead gives what it gives, once, in order; and ends when it is told to."""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.execution.prefetch import NotReady, Prefetch


def rest(prefetch: Prefetch[int]) -> Iterator[int]:
    while True:
        try:
            yield prefetch.next()
        except StopIteration:
            return


@given(st.lists(st.integers()))
def test_all_items_in_order_and_the_end_stays_the_end(items: list[int]) -> None:
    with closing(Prefetch(item for item in items)) as prefetch:
        assert list(rest(prefetch)) == items
        assert list(rest(prefetch)) == []


def test_it_works_on_the_next_item_meanwhile_and_no_further() -> None:
    made = []

    def count() -> Generator[int]:
        for number in range(10):
            made.append(number)
            yield number

    with closing(Prefetch(count())) as prefetch:
        assert prefetch.next() == 0
        time.sleep(0.3)
        assert made == [0, 1, 2]  # 1 is ready, and 2 waits for its place
    assert made == [0, 1, 2]


def test_an_error_comes_after_the_items_before_it_and_once() -> None:
    def fails() -> Generator[int]:
        yield 1
        raise TimeoutError("no answer")

    with closing(Prefetch(fails())) as prefetch:
        assert prefetch.next() == 1
        with pytest.raises(TimeoutError, match="no answer"):
            prefetch.next()
        with pytest.raises(StopIteration):
            prefetch.next()


def test_waiting_has_an_end() -> None:
    go_on = threading.Event()

    def slow() -> Generator[int]:
        go_on.wait()
        yield 1

    with closing(Prefetch(slow())) as prefetch:
        for timeout in (0.0, 0.05):
            with pytest.raises(NotReady):
                prefetch.next(timeout)
        go_on.set()
        assert prefetch.next() == 1


def test_who_waits_while_it_is_closed_is_told_that_it_is_over() -> None:
    go_on, told = threading.Event(), threading.Event()

    def slow() -> Generator[int]:
        go_on.wait()
        yield 1

    prefetch = Prefetch(slow())

    def wait() -> None:
        with pytest.raises(StopIteration):
            prefetch.next()
        told.set()

    threading.Thread(target=wait, daemon=True).start()
    closing_it = threading.Thread(target=prefetch.close)
    closing_it.start()
    while not prefetch._closing.is_set():
        time.sleep(0.001)
    go_on.set()
    closing_it.join()
    assert told.wait(30)


def test_closing_runs_what_the_generator_does_last_and_says_what_it_raised() -> None:
    done = []

    def saves() -> Generator[int]:
        try:
            while True:
                yield 1
        finally:
            done.append(threading.current_thread().name)
            raise OSError("disk full")

    prefetch = Prefetch(saves())
    assert prefetch.next() == 1
    with pytest.raises(OSError, match="disk full"):
        prefetch.close()
    assert done == ["prefetch"]
    prefetch.close()
