"""A sweep that is to try more than its file said: while it runs, when it has ended, and by a changed file."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.driver.driver import EXHAUSTED, Driver
from sweeper.driver.extension import NoExtension, extend, extended, grown, retry, settle
from sweeper.driver.failures import Configuration
from sweeper.driver.jobs import TrialJob
from sweeper.execution.runner import run_sweep
from sweeper.spec.spec import SweepSpec
from sweeper.store.controls import request, request_of_driver
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.sweeper.driving import (
    Silent,
    advance,
    drive,
    make_spec,
    opened,
    run_to_end,
    run_until_killed,
    told,
    trial_of,
)

PLAIN = ("search.sampler=random", "trainer.evaluation.every=4")


def release(url: str) -> None:
    """As the runner does at its end."""
    with closing(Store(url)) as store:
        store.release_lease(1, "me")


def stored(url: str) -> tuple[SweepSpec, str, dict[str, int]]:
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("test")
        assert sweep is not None
        return SweepSpec.from_resolved(sweep.spec), sweep.state, reader.trial_states(1)


@pytest.mark.parametrize(("amount", "trials"), [("+20", 34), ("=40", 40), ("=15", 15)])
def test_amounts(amount: str, trials: int) -> None:
    assert extended(make_spec(), amount).search.trials == trials


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("20", "'20' is no amount: +20 for so many trials more, =40 for so many in all"),
        ("+-3", "no amount"),
        ("+0", "test has 14 trials to try already: a sweep can grow, not shrink"),
        ("=14", "can grow, not shrink"),
        ("=3", "can grow, not shrink"),
    ],
)
def test_amounts_that_are_none(amount: str, said: str) -> None:
    with pytest.raises(NoExtension, match=said.replace("+", r"\+").replace("=40", "=40")):
        extended(make_spec(), amount)


def test_a_list_of_points_has_nothing_to_add() -> None:
    fixed = make_spec("search={sampler: fixed, points: [{finetune.block_size: 4, "
                      "finetune.schedule.name: loglinear}]}")  # fmt: skip
    with pytest.raises(NoExtension, match="the points of its file alone"):
        extended(fixed, "+1")


def test_one_that_has_ended_goes_on_as_if_it_had_always_been_longer(tmp_path: Path) -> None:
    long, short = f"sqlite:///{tmp_path}/long.db", f"sqlite:///{tmp_path}/short.db"
    run_to_end(long, make_spec("search.trials=9"), tmp_path / "long")
    run_to_end(short, make_spec("search.trials=5"), tmp_path / "short")
    release(short)
    assert extend(short, "test", "+4") == (9, False)
    spec, state, states = stored(short)
    assert (spec.search.trials, state, states) == (9, "interrupted", {"complete": 5})
    run_to_end(short, spec, tmp_path / "short")
    assert told(short) == told(long)


def test_a_running_one_reads_it_from_the_controls(place: tuple[str, Path]) -> None:
    url, files = place
    with opened(url, make_spec("search.trials=3", *PLAIN), files) as driver:
        assert driver.next() is not None
        assert extend(url, "test", "+2") == (5, True)
        assert extend(url, "test", "+2") == (7, True)  # what is asked already counts
        assert stored(url)[0].search.trials == 3  # only the driver writes
        assert driver.poll()
        assert stored(url)[0].search.trials == 7
        assert driver.status().progress.total == 7
    run_to_end(url, stored(url)[0], files)
    assert stored(url)[1:] == ("complete", {"complete": 7})


def test_asked_at_the_last_moment_it_goes_on(place: tuple[str, Path]) -> None:
    url, files = place
    with opened(url, make_spec("search.trials=2", *PLAIN), files) as driver:
        run_out(driver)
        request(url, 1, "extend =4")
        assert driver.next() is not EXHAUSTED


ASKS: dict[str, Callable[[str], tuple[object, bool]]] = {
    "extend": lambda url: extend(url, "test", "=4"),
    "settle": lambda url: settle(url, "test", {"within": 0.01, "seeds": 2}),
    "retry": lambda url: retry(url, "test", []),
}


def run_out(driver: Driver) -> None:
    """All that there is to do is done; the end is not written yet."""
    while isinstance(job := driver.next(), TrialJob):
        Path(job.folder).mkdir(parents=True, exist_ok=True)
        run = job.run("tests.fakes", "cpu")
        while advance(driver, job, run):
            pass
    assert job is EXHAUSTED


@pytest.mark.parametrize("ask", ASKS)
def test_what_is_asked_before_the_end_is_written_is_done_by_this_driver(
    ask: str, place: tuple[str, Path]
) -> None:
    url, files = place
    with opened(url, make_spec("search.trials=2", *PLAIN), files) as driver:
        driver.fail(trial_of(driver), Configuration("a bug"))
        run_out(driver)
        assert ASKS[ask](url)[1] is True, "its driver was asked"
        assert driver.end() == (ask == "settle")  # with one configuration there is nothing to race
        if ask != "settle":
            drive(driver)
    with closing(Reader(url)) as reader:
        assert reader.controls(1) == []
    assert (
        stored(url)[2]
        == {
            "extend": {"complete": 3, "failed": 1},
            "settle": {"complete": 1, "failed": 1},
            "retry": {"complete": 2},
        }[ask]
    )


@pytest.mark.parametrize("ask", ASKS)
def test_what_is_asked_when_it_is_written_is_asked_of_no_driver(ask: str, place: tuple[str, Path]) -> None:
    """Though the process that was the driver is still there, with its workers to be ended."""
    url, files = place
    with opened(url, make_spec("search.trials=2", *PLAIN), files) as driver:
        driver.fail(trial_of(driver), Configuration("a bug"))
        run_out(driver)
        assert driver.end()
        assert ASKS[ask](url)[1] is False
        assert not request_of_driver(url, 1, "stop")
    with closing(Reader(url)) as reader:
        assert reader.controls(1) == []
    assert stored(url)[1] == "interrupted"


def test_what_nobody_has_heard_is_done_once_when_more_is_asked_for(place: tuple[str, Path]) -> None:
    url, files = place
    assert run_until_killed(url, make_spec("search.trials=3", *PLAIN), files, commits=12)
    request(url, 1, "extend +2")
    release(url)
    assert extend(url, "test", "+1") == (6, False)
    run_to_end(url, stored(url)[0], files)
    assert stored(url)[2] == {"complete": 6}


def test_asked_of_a_driver_that_was_killed(place: tuple[str, Path]) -> None:
    url, files = place
    spec = make_spec("search.trials=3", *PLAIN)
    assert run_until_killed(url, spec, files, commits=12)
    request(url, 1, "extend +2", who="ada@box")
    request(url, 1, "extend nonsense")
    request(url, 1, "extend =4")  # smaller than what it is by then
    run_to_end(url, spec, files)
    assert stored(url)[2] == {"complete": 5}
    with closing(Reader(url)) as reader:
        assert reader.controls(1) == []
        said = [event.text for event in reader.events(1, limit=1000) if event.kind == "extend"]
    assert said[0] == "extended to 5 trials, by ada@box"
    assert [text.split(":")[0] for text in said[1:]] == [
        "'nonsense' is no amount",
        "test has 5 trials to try already",
    ]


@pytest.mark.parametrize("commits", range(1, 9))
def test_a_kill_while_it_is_extended_neither_forgets_nor_doubles_it(
    commits: int, place: tuple[str, Path]
) -> None:
    url, files = place
    spec = make_spec("search.trials=2", *PLAIN)
    run_to_end(url, spec, files)
    request(url, 1, "extend +2")
    run_until_killed(url, spec, files, commits=commits)
    run_to_end(url, stored(url)[0], files)
    assert stored(url)[2] == {"complete": 4}


def test_the_old_file_is_neither_refused_nor_does_it_shrink_the_sweep(place: tuple[str, Path]) -> None:
    url, files = place
    old = make_spec("search.trials=2", *PLAIN)
    spec, said = grown(old, extended(old, "+3"))
    assert spec.search.trials == 5
    assert said == "sweep test tries 5 configurations: search.trials can grow, not shrink to 2"
    run_to_end(url, extended(old, "=5"), files)
    release(url)
    progress = Silent()
    assert run_sweep(old, url, files, progress) == 0
    assert progress.lines == [said, "sweep test has ended already: nothing is left to run"]
    assert stored(url)[0].search.trials == 5


def test_a_file_that_says_more_extends_the_sweep() -> None:
    old = make_spec("search.trials=2")
    assert grown(extended(old, "=5"), old) == (
        extended(old, "=5"),
        "sweep test grows: search.trials is 5 now, it was 2",
    )


def test_no_such_sweep(place: tuple[str, Path]) -> None:
    with pytest.raises(StoreError, match="no database"):
        extend(place[0], "test", "+1")
    run_to_end(place[0], make_spec("search.trials=1"), place[1])
    with pytest.raises(StoreError, match="there is no sweep other"):
        extend(place[0], "other", "+1")


def test_the_command(place: tuple[str, Path]) -> None:
    url, files = place
    run_to_end(url, make_spec("search.trials=1", *PLAIN), files)
    release(url)

    def typed(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["extend", *words, "--db", url])
        return result.exit_code, result.output

    code, said = typed("test", "--trials", "+2")
    assert (code, said.splitlines()) == (
        0,
        ["test is to try 3 configurations in all", f"to go on: python -m sweeper resume test --db {url}"],
    )
    assert typed("test", "--trials", "=2")[0] == 2
    assert "can grow, not shrink" in typed("test", "--trials", "=2")[1]
    assert "did you mean test?" in typed("tes", "--trials", "+2")[1]
    run_to_end(url, stored(url)[0], files)
    assert stored(url)[2] == {"complete": 3}
