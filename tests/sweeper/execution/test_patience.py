"""A driver that waits for its store says so, once a minute, and is not taken for dead."""

from sweeper.execution.patience import Patience
from sweeper.execution.watchdog import Watchdog


def test_a_wait_is_said_at_first_and_once_a_minute() -> None:
    said: list[str] = []
    patience = Patience(said.append)
    for seconds in (10.0, 20.0, 69.9, 70.1, 80.0, 130.2):
        patience(seconds)
    assert [line.partition(": ")[2] for line in said] == [
        "waited 10 s, at most 10 minutes",
        "waited 70 s, at most 10 minutes",
        "waited 130 s, at most 10 minutes",
    ]
    patience(10.0)
    patience(20.0)
    assert len(said) == 4


def test_it_shows_that_it_lives() -> None:
    beats: list[None] = []
    patience = Patience(lambda line: None)
    patience.alive = lambda: beats.append(None)
    patience(10.0)
    patience(20.0)
    assert len(beats) == 2


def test_a_wait_before_the_first_beat_begins_no_count_of_silence() -> None:
    watchdog = Watchdog("resume")
    watchdog.alive()
    assert watchdog._last_beat == float("inf")
    watchdog.beat()
    before = watchdog._last_beat
    watchdog.alive()
    assert before <= watchdog._last_beat < float("inf")
