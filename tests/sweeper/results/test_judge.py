"""judge: the verdicts, what they cost, and what a script hears: words, JSON, exit codes."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sweeper.cli import main as cli
from sweeper.results.judge import Judgement, judge
from sweeper.statistics.evidence import level
from sweeper.store.queries import Reader
from sweeper.store.records import AskRecord
from tests.sweeper.results.test_compare import A, B, Sweep, nats

C = {"block_size": 16, "lr": 0.1}


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Its lease is held by a driver all the time."""
    return Sweep(f"sqlite:///{tmp_path}/s.db")


def of(sweep: Sweep, a: int, b: int, margin: float = 0.0, session: str = "default") -> Judgement:
    with closing(Reader(sweep.url)) as reader:
        record = reader.sweep("s")
        assert record is not None
        assert record.driver(record.created) is not None
        return judge(reader, record, a, b, margin=margin, session=session)


def asks(sweep: Sweep) -> list[AskRecord]:
    with closing(Reader(sweep.url)) as reader:
        return reader.asks(1)


def run_both(sweep: Sweep, apart: float, seeds: int = 3, spread: float = 0.002) -> tuple[int, int]:
    """The last trials of A and B; A is better by `apart`, give or take `spread` by seed."""
    for seed in range(seeds):
        own = spread * (-1) ** seed
        a = sweep.add(A, nats(5 - apart + own + seed / 10, f"a{seed}", 0.001), seed=seed)
        b = sweep.add(B, nats(5 + seed / 10, f"b{seed}", 0.001), seed=seed)
    return a, b


@pytest.mark.parametrize(
    ("apart", "spread", "margin", "verdict"),
    [
        (0.1, 0.002, 0.0, "keep"),
        (-0.1, 0.002, 0.0, "discard"),
        (0.1, 0.1, 0.0, "not enough evidence"),
        (0.0, 0.002, 0.05, "discard"),  # surely no improvement of 5%
        (0.0, 0.002, 0.0, "not enough evidence"),
        (0.03, 0.002, 0.05, "keep"),  # a small one, but sure
        (0.1, 0.002, 0.05, "keep"),
    ],
)
def test_the_verdict(sweep: Sweep, apart: float, spread: float, margin: float, verdict: str) -> None:
    found = of(sweep, *run_both(sweep, apart, spread=spread), margin=margin)
    assert found.verdict == verdict
    assert (found.more_seeds is None) == (verdict != "not enough evidence")
    assert (found.number, found.seeds) == (1, [0, 1, 2])


def test_the_first_ask_has_the_interval_of_compare_and_the_second_a_wider_one(sweep: Sweep) -> None:
    a, b = run_both(sweep, 0.03)
    found, compared = of(sweep, a, b), sweep.compare(a, b)
    assert found.low == pytest.approx(compared.low)
    assert found.high == pytest.approx(compared.high)
    other = of(sweep, b, a)  # the other way round is another question
    assert (other.number, other.level) == (2, level(2))
    assert other.low is not None
    assert other.low < -compared.high


def test_asked_again_on_the_same_runs_the_answer_stands_and_nothing_is_spent(sweep: Sweep) -> None:
    a, b = run_both(sweep, 0.03)
    first = of(sweep, a, b)
    assert of(sweep, b, a).number == 2
    for seed in (0, 1, 2):  # others of the sweep tell of another spread now
        for size in (32, 64):
            sweep.add({"block_size": size}, nats(5 + seed * size / 100, f"{size} {seed}"), seed=seed)
    again = of(sweep, a, b)
    assert again == first._replace(again=True)
    assert len(asks(sweep)) == 2
    sweep.add(A, nats(5, "a9"), seed=9)
    sweep.add(B, nats(5.03, "b9"), seed=9)
    later = of(sweep, a, b)
    assert (later.number, later.again, later.seeds) == (3, False, [0, 1, 2, 9])
    assert later.spent == pytest.approx(level(1) + level(2) + level(3))


def test_another_margin_is_read_off_the_same_interval(sweep: Sweep) -> None:
    a, b = run_both(sweep, 0.0)
    without, within = of(sweep, a, b), of(sweep, a, b, margin=0.05)
    assert (without.verdict, within.verdict) == ("not enough evidence", "discard")
    assert (within.low, within.high, within.again) == (without.low, without.high, True)
    assert [ask.margin for ask in asks(sweep)] == [0.0]


def test_sessions_spend_apart(sweep: Sweep) -> None:
    a, b = run_both(sweep, 0.03)
    assert [of(sweep, a, b, session=name).number for name in ("one", "two")] == [1, 1]
    assert of(sweep, b, a, session="two").number == 2
    assert [(ask.session, ask.number) for ask in asks(sweep)] == [("one", 1), ("two", 1), ("two", 2)]


def test_one_common_seed_is_never_enough_and_costs_nothing(sweep: Sweep) -> None:
    a, b = run_both(sweep, 1.0, seeds=1)
    for seed in (1, 2, 3):
        sweep.add(C, nats(5, f"c{seed}"), seed=seed)
    found = of(sweep, a, b)
    assert (found.verdict, found.number, found.level, found.more_seeds) == (
        "not enough evidence",
        None,
        None,
        1,
    )
    assert asks(sweep) == []


def test_what_is_kept_of_an_ask(sweep: Sweep) -> None:
    a, b = run_both(sweep, 0.1)
    found = of(sweep, a, b, margin=0.01)
    (ask,) = asks(sweep)
    assert (ask.sweep, ask.session, ask.number, ask.margin) == (1, "default", 1, 0.01)
    assert (ask.a, ask.b, ask.verdict, ask.seeds) == (1, 2, "keep", [0, 1, 2])
    assert (ask.level, ask.difference, ask.low, ask.high) == (
        *(found.level, found.difference, found.low, found.high),
    )


# --- the command ----------------------------------------------------------------------------------
Call = Callable[..., Result]


@pytest.fixture
def call(sweep: Sweep) -> Call:
    return lambda *words: CliRunner().invoke(cli.app, ["judge", "s", *map(str, words), "--db", sweep.url])


def test_a_script_goes_by_the_exit_code(sweep: Sweep, call: Call) -> None:
    a, b = run_both(sweep, 0.03)
    kept, other = call(a, b), call(b, a)
    assert (kept.exit_code, other.exit_code) == (0, 8)
    assert kept.stdout.startswith("keep: A is surely better than B.\n")
    assert (
        "Ask 1 of session default, either verdict at an error of 2.5%; 2.5% of the session's 5%"
        in kept.stdout
    )
    assert other.stdout.startswith("discard: A is surely not better than B.\n")
    assert "The runs are those of ask 1 of session default, whose answer stands" in call(a, b).stdout


def test_it_says_how_many_seeds_more(sweep: Sweep, call: Call) -> None:
    a, b = run_both(sweep, 0.0)
    found = of(sweep, a, b)
    said = call(a, b, "--session", "mine")
    assert (said.exit_code, found.more_seeds is not None) == (9, True)
    assert said.stdout.startswith(f"not enough evidence: run both on {found.more_seeds} more seeds, which is")
    within = call(a, b, "--margin", "5%")
    assert within.exit_code == 8
    assert within.stdout.startswith("discard: A is surely not better than B by more than 5% of perplexity.\n")


def test_of_one_seed_it_says_what_is_missing(sweep: Sweep, call: Call) -> None:
    said = call(*run_both(sweep, 0.1, seeds=1))
    assert said.exit_code == 9
    assert "A and B have one seed in common; run both on at least 1 more." in said.stdout
    assert "Nothing of session default is spent on it." in said.stdout


def test_where_the_text_cannot_tell_it_asks_for_text(sweep: Sweep, call: Call) -> None:
    for seed in (0, 1, 2):  # either is good at every other document, in all seeds alike
        both = nats(5 + seed / 10, "", 0.0)
        a = sweep.add(A, [each + 10 * (-1) ** d for d, each in enumerate(both)], seed=seed)
        b = sweep.add(B, [each - 10 * (-1) ** d for d, each in enumerate(both)], seed=seed)
    said = call(a, b)
    assert said.exit_code == 9
    assert "more seeds alone would bring none, as the error over text stays; more text would" in said.stdout
    assert json.loads(call(a, b, "--json").stdout)["judgement"]["more_seeds"] is None


def test_json_has_the_verdict_and_its_code(sweep: Sweep, call: Call) -> None:
    a, b = run_both(sweep, -0.1)
    said = call(a, b, "--json", "--margin", "0.01", "--session", "night")
    judgement = json.loads(said.stdout)["judgement"]
    assert said.exit_code == judgement["exit_code"] == 8
    assert (judgement["verdict"], judgement["session"], judgement["number"]) == ("discard", "night", 1)
    assert (judgement["margin"], judgement["more_seeds"], judgement["again"]) == (0.01, None, False)
    assert judgement["low"] < judgement["difference"] < judgement["high"]


def test_mistakes_are_exit_code_2(sweep: Sweep, call: Call) -> None:
    a, b = run_both(sweep, 0.1)
    wrong = [(a, 99), (a, a), (a, b, "--margin", "much"), (a, b, "--margin", "200%"), (a, b, "--session", "")]
    for words in wrong:
        said = call(*words)
        assert (said.exit_code, said.stdout) == (2, ""), words
    assert asks(sweep) == []
