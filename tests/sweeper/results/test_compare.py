"""compare: what differs, the paired interval, and what is refused."""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner, Result

from sweeper.cli import main as cli
from sweeper.results.compare import Comparison, NotComparable, compare
from sweeper.store.queries import Reader
from sweeper.store.records import MetricRow
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from tests.sweeper import filled
from trainer.config.train_config import content_hash
from trainer.evaluation.record import Evaluation, ratio_and_se

IDENTITY = {"data": "pydocs", "length": 64}
TOKENS = [50 + 7 * (d % 13) for d in range(40)]


class Sweep:
    """A store in which trials are put down as complete, with the evaluation that they shall have."""

    def __init__(self, url: str):
        self.url, store = url, Store(url)
        spec = {"name": "s", "metric": "val_ppl", "space": {}, "always": [], "search": {"trials": 9}}
        sweep = store.create_sweep(name="s", spec_text="", spec=spec, code_version="1", folder="files")
        store.take_lease(sweep.id, "me", 60)
        self.writer: Writer = store.writer(sweep.id, "me")

    def add(
        self,
        values: Mapping[str, Any],
        nats: Sequence[float],
        *,
        seed: int = 0,
        role: str = "search",
        identity: Mapping[str, Any] = IDENTITY,
        state: str = "complete",
    ) -> int:
        hash = content_hash(values)
        trial = self.writer.add_trial(
            configuration=self.writer.add_configuration(hash, values),
            role=role,
            seed=seed,
            steps=1,
            params={},
            distributions={},
            system_attrs={},
        ).id
        attempt = self.writer.start_trial(trial)
        mean, se = ratio_and_se(list(nats), TOKENS)
        evaluation = Evaluation("valid", 1, mean, se, dict(identity), {}, list(nats), TOKENS)
        self.writer.add_rows(trial, attempt, [MetricRow("val_nelbo", 1, mean)], [evaluation])
        self.writer.end_trial(trial, attempt, state)
        return trial

    def compare(self, a: int, b: int) -> Comparison:
        with closing(Reader(self.url)) as reader:
            sweep = reader.sweep("s")
            assert sweep is not None
            return compare(reader, sweep, a, b)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(f"sqlite:///{tmp_path}/s.db")


def nats(level: float, noise: str, spread: float = 0.02) -> list[float]:
    """Documents differ much, in the same way for everybody."""
    common, own = np.random.default_rng(1), np.random.default_rng(list(noise.encode()))
    hard = common.normal(0, 0.8, len(TOKENS))
    return [t * (level + h + own.normal(0, spread)) for t, h in zip(TOKENS, hard, strict=True)]


A, B = {"block_size": 4, "lr": 0.1, "k": 1.5}, {"block_size": 8, "lr": 0.1}


def test_over_common_seeds_it_is_the_paired_t_interval(sweep: Sweep) -> None:
    mine = {seed: nats(5 + seed / 10, f"a{seed}") for seed in (1, 2, 3)}
    other = {seed: nats(5.05 + seed / 10, f"b{seed}") for seed in (2, 3, 4)}
    a = [sweep.add(A, each, seed=seed) for seed, each in mine.items()]
    b = [sweep.add(B, each, seed=seed) for seed, each in other.items()]
    found = sweep.compare(a[0], b[2])
    assert found.seeds == [2, 3]
    assert (found.a.trials, found.b.trials) == (a[1:], b[:2])
    assert found.parameters == {"block_size": (4, 8), "k": (1.5, None)}

    # The slow and obvious way: one difference a seed, one a document; these weigh as they are long.
    T = np.sum(TOKENS)
    by_seed = [(np.sum(mine[s]) - np.sum(other[s])) / T for s in (2, 3)]
    d = np.mean(by_seed)
    by_document = np.mean([np.subtract(mine[s], other[s]) for s in (2, 3)], axis=0)
    rest = by_document - d * np.array(TOKENS)
    share = np.array(TOKENS) / T
    effective = 1 / np.sum(share**2)
    documents = stats.t.ppf(0.975, effective - 1) * math.sqrt(np.sum(rest**2 / (1 - share))) / T
    seeds = stats.t.ppf(0.975, 1) * np.std(by_seed, ddof=1) / math.sqrt(2)
    assert found.difference == pytest.approx(d)
    assert found.over_seeds
    assert found.high - found.difference == pytest.approx(math.hypot(documents, seeds))
    assert found.difference - found.low == pytest.approx(math.hypot(documents, seeds))


def test_the_other_way_round_is_the_negative(sweep: Sweep) -> None:
    a, b = sweep.add(A, nats(5, "a")), sweep.add(B, nats(5.1, "b"))
    one, two = sweep.compare(a, b), sweep.compare(b, a)
    assert (one.difference, one.low, one.high) == pytest.approx((-two.difference, -two.high, -two.low))
    ratio = one.to_json()["val_ppl_ratio"]
    assert ratio == pytest.approx(math.exp(one.a.nelbo) / math.exp(one.b.nelbo))


def test_one_seed_of_everything_tells_nothing_apart(sweep: Sweep) -> None:
    a, b = sweep.add(A, nats(5, "a")), sweep.add(B, nats(6, "b"))
    found = sweep.compare(a, b)
    assert found.high < 0  # far apart on this text
    assert not found.over_seeds
    assert not found.told_apart


def test_the_spread_of_others_widens_a_pair_with_one_seed_and_tells_it_not_apart(sweep: Sweep) -> None:
    a, b = sweep.add(A, nats(5, "a")), sweep.add(B, nats(6, "b"))
    alone = sweep.compare(a, b)
    assert not alone.over_seeds
    for seed in (1, 2, 3):
        for size in (16, 32):
            level = 5 + seed / 100 * (size / 16)
            sweep.add({"block_size": size}, nats(level, f"{size} {seed}"), seed=seed, role="baseline")
    found = sweep.compare(a, b)
    assert found.over_seeds
    assert found.low < alone.low
    assert found.high < 0
    assert not found.told_apart  # the two may be noisier than those


def test_confirmation_runs_alone_decide_where_both_have_them(sweep: Sweep) -> None:
    a, b = sweep.add(A, nats(4, "a")), sweep.add(B, nats(5, "b"))
    for seed in (7, 8):
        sweep.add(A, nats(5 + seed / 100, f"ca{seed}"), seed=seed, role="confirm")
        sweep.add(B, nats(5 + seed / 100, f"cb{seed}"), seed=seed, role="confirm")
    found = sweep.compare(a, b)
    assert found.confirmed
    assert found.seeds == [7, 8]
    assert abs(found.difference) < 0.1  # the search's own numbers differ by 1


def test_what_cannot_be_compared_is_refused_in_a_sentence(sweep: Sweep) -> None:
    a = sweep.add(A, nats(5, "a"))
    cases = {
        sweep.add(A, nats(5, "a2"), seed=1): "have the same configuration",
        sweep.add(B, nats(5, "b"), seed=2): "have no seed in common (0, 1; 2)",
        sweep.add({"k": 3}, nats(5, "c"), identity={**IDENTITY, "length": 128}): (
            "were not evaluated on the same text in the same way: length is 64 in one and 128 in the other"
        ),
        sweep.add({"k": 4}, nats(5, "d"), state="failed"): "is failed: only what is complete is compared",
        99: "s has no trial 99",
    }
    for b, said in cases.items():
        with pytest.raises(NotComparable) as refused:
            sweep.compare(a, b)
        assert said in str(refused.value)


# --- the command ----------------------------------------------------------------------------------
def call(*words: str) -> Result:
    return CliRunner().invoke(cli.app, [*words])


def test_the_command_shows_differences_and_the_verdict(sweep: Sweep) -> None:
    for seed in (1, 2, 3):
        a = sweep.add(A, nats(5 + seed / 10, f"a{seed}"), seed=seed)
        b = sweep.add(B, nats(6 + seed / 10, f"b{seed}"), seed=seed)
    text = call("compare", "s", str(a), str(b), "--db", sweep.url).stdout
    assert "lr" not in text
    assert "block_size  4" in text
    assert "A is better, by more than the error." in text
    assert "A pair named beforehand: there is no other." in text
    document = json.loads(call("compare", "s", str(a), str(b), "--db", sweep.url, "--json").stdout)
    assert document["comparison"]["told_apart"] is True
    assert document["comparison"]["val_ppl_ratio"] == pytest.approx(math.exp(-1), rel=0.05)


def test_a_pair_that_was_picked_has_the_wider_interval_and_says_so(sweep: Sweep) -> None:
    trials = [
        sweep.add({"block_size": size}, nats(5 + seed / 10 + size / 1000, f"{size}{seed}"), seed=seed)
        for seed in (1, 2, 3)
        for size in (2, 4, 8, 16)
    ]
    found = sweep.compare(trials[0], trials[3])
    assert found.groups == 4
    assert found.picked_low < found.low < found.difference < found.high < found.picked_high
    named = call("compare", "s", str(trials[0]), str(trials[3]), "--db", sweep.url).stdout
    assert f"95% [{found.low:+.4f}, {found.high:+.4f}]" in named
    assert "A pair named before the board was seen. Picked by looking at it (--picked)" in named
    picked = call("compare", "s", str(trials[0]), str(trials[3]), "--picked", "--db", sweep.url).stdout
    assert f"95% [{found.picked_low:+.4f}, {found.picked_high:+.4f}]" in picked
    assert "A pair picked from the board: for all pairs of its 4 configurations at once." in picked


def test_the_command_on_a_filled_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/f.db"
    filled.fill(url)
    result = call("compare", "schedules", "1", "4", "--db", url)
    assert result.exit_code == 0
    assert "Whether the configurations do is not known" in result.stdout
    pruned = call("compare", "schedules", "1", "9", "--db", url)
    assert (pruned.exit_code, pruned.stdout) == (2, "")
    assert pruned.stderr == "trial 9 is pruned: only what is complete is compared\n"
