"""A board that was kept up to date is the one that is made anew, to the bit."""

import json
import math
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.results.leaderboard import Watched, leaderboard, metrics_of
from sweeper.results.race_plan import UNSCORED
from sweeper.store.followed import Followed
from sweeper.store.queries import Reader
from sweeper.store.records import MetricRow
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from sweeper.terminal.board_table import board_text, metrics_shown
from sweeper.terminal.first_rows import watched
from trainer.evaluation.record import Evaluation, ratio_and_se

TOKENS = {"a": [30, 50, 40, 80], "b": [31, 50, 40, 80]}
SPECS: dict[str, dict[str, Any]] = {
    "plain": {"metric": "val_ppl"},
    "two metrics": {"metric": ["val_ppl", "lr"]},
    "race": {"metric": "val_ppl", "settle": {"seeds": 4}},
}


def an_evaluation(split: str, level: int, noise: int, text: str, *, fine: bool = False) -> Evaluation:
    tokens_D = TOKENS[text]
    nats_D = [t * (5 + level / 8 + (7 * d * noise % 5) / 50) for d, t in enumerate(tokens_D)]
    nelbo, se = ratio_and_se(nats_D, tokens_D)
    provenance = {"bound": "sampled", "estimator": "subsets, controlled", "draws": 2 + fine}
    return Evaluation(split, 9, nelbo, se, {"text": text}, provenance, nats_D, tokens_D)


class Story:
    """What may happen to a sweep. Each act is told by three numbers."""

    def __init__(self, writer: Writer):
        self.writer = writer
        self.trials: list[int] = []
        self.acts: list[Callable[[int, int, int], Any]] = [
            *(self.proposed, self.ran, self.reported, self.ended, self.retried, self.scored),
            *(self.repeated, self.unscored, self.charged, self.finished),
        ]

    def proposed(self, a: int, b: int, c: int) -> None:
        role = ("search", "search", "baseline", "confirm", "race")[a % 5]
        value = {"finetune.lr": b} if b % 4 else {"finetune.block_size": 4}
        given: dict[str, Any] = {"params": value, "distributions": {}, "system_attrs": {}, "steps": 9}
        configuration = self.writer.add_configuration(f"{b}", value)
        key = f"{c % 3}"
        self.writer.add_stage(key=key, steps=1, values={}, folder="")
        trial = self.writer.add_trial(configuration=configuration, role=role, seed=c % 3, stage=key, **given)
        self.trials.append(trial.id)

    def ran(self, a: int, b: int, c: int) -> None:
        """From its start to its end."""
        self.proposed(a, b, c)
        self.writer.start_trial(self.trials[-1])
        self.reported(-1, b, c)
        self.writer.end_trial(self.trials[-1], 1, "complete", cpu_seconds=1.0)

    def reported(self, a: int, b: int, c: int) -> None:
        if not self.trials:
            return
        trial = self.trials[a if a < 0 else a % len(self.trials)]
        attempt = 1 if a < 0 else self._started(trial)
        valid = an_evaluation("valid", b, c, "ab"[c == 5])
        names = {"val_nelbo": valid.nelbo, "val_ppl": math.exp(valid.nelbo), "lr": b / 7, "val_bpb": b + 1.0}
        names |= {"test_nelbo": 5.0 + b / 9, "unigram_nelbo": 6.0} if c % 3 else {}
        names |= {"gen_ppl": b + 2.0} if c % 2 else {}
        rows = [MetricRow(name, 3 + c, value) for name, value in names.items()]
        also = [an_evaluation("test", b, c, "a")] if c % 3 else []
        self.writer.add_rows(trial, attempt, rows, [valid, *also])

    def _started(self, trial: int) -> int:
        found = {each.id: each for each in self.stored()}[trial]
        if found.state == "queued":
            return self.writer.start_trial(trial)
        return found.attempt

    def stored(self) -> Any:
        with closing(Reader(str(self.writer._engine.url))) as reader:
            return reader.trials(1)

    def ended(self, a: int, b: int, c: int) -> None:
        if self.trials:
            trial = self.trials[a % len(self.trials)]
            state = ("complete", "failed", "pruned", "lost", "queued")[b % 5]
            self.writer.end_trial(trial, self._started(trial), state, reason="why", cpu_seconds=float(c))

    def retried(self, a: int, b: int, c: int) -> None:
        self.writer.retry(self.trials[a % 3 :], "asked for")

    def scored(self, a: int, b: int, c: int) -> None:
        done = [each.id for each in self.stored() if each.state == "complete"]
        if done:
            scored = an_evaluation("valid", b, c, "a", fine=True)
            self.writer.add_scores(done[a % len(done)], c % 4, [scored], cpu_seconds=2.0)

    def repeated(self, a: int, b: int, c: int) -> None:
        if self.trials:
            of = {each.id: each for each in self.stored()}[self.trials[a % len(self.trials)]]
            given: dict[str, Any] = {"params": {}, "distributions": {}, "system_attrs": {}, "steps": 0}
            same = {"configuration": of.configuration, "role": "search", "seed": of.seed, "state": of.state}
            self.writer.add_trial(**same, repeat_of=of.id, **given)

    def unscored(self, a: int, b: int, c: int) -> None:
        if self.trials:
            self.writer.add_event(UNSCORED, "why", self.trials[a % len(self.trials)])

    def charged(self, a: int, b: int, c: int) -> None:
        self.writer.add_stage(key=f"{a % 3}", steps=1, values={}, folder="")
        attempt = self.writer.start_stage(f"{a % 3}")
        self.writer.end_stage(f"{a % 3}", attempt, "complete", cpu_seconds=1.0 + b)

    def finished(self, a: int, b: int, c: int) -> None:
        self.writer.set_sweep_state(("running", "complete")[a % 2], "a note")


number = st.integers(0, 5)


def acts(most: int) -> st.SearchStrategy[list[tuple[int, int, int, int]]]:
    return st.lists(st.tuples(st.integers(0, 9), number, number, number), min_size=4, max_size=most)


def told(examples: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@told(3)
@given(spec=st.sampled_from(sorted(SPECS)), acts=acts(8))
def test_after_each_write_the_kept_board_is_the_fresh_one(
    spec: str, acts: list[tuple[int, int, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept_is_fresh(spec, acts, tmp_path_factory)


@pytest.mark.long
@pytest.mark.parametrize("spec", SPECS)
@told(30)
@given(acts=acts(14))
def test_after_each_write_of_many_the_kept_board_is_the_fresh_one(
    spec: str, acts: list[tuple[int, int, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept_is_fresh(spec, acts, tmp_path_factory)


def kept_is_fresh(
    spec: str, acts: list[tuple[int, int, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('stores')}/sweeps.db"
    with closing(Store(url)) as store, closing(Reader(url)) as reader:
        sweep = store.create_sweep(name="s", spec_text="", spec=SPECS[spec], code_version="1", folder="")
        store.take_lease(sweep.id, "me", 3600)
        story, kept_now = Story(store.writer(sweep.id, "me")), Watched(Followed(reader, "s"))
        for c in range(4):  # a few that are ranked, so that most acts have something to change
            story.ran(2 * (c == 3), c, c)
        for act, a, b, c in acts:
            story.acts[act](a, b, c)
            kept, anew = kept_now.board(), leaderboard(reader, "s")
            assert json.dumps(kept.to_json()) == json.dumps(anew.to_json())
            assert str(kept) == str(anew)
            also = metrics_shown(metrics_of(kept_now.now.sweep))
            for limit in (None, 1, 3):  # no column is asked for
                with watched(reader, kept_now.now.sweep, also, limit) as looked_at:
                    shown = looked_at.board()
                    text = board_text(shown, shown.varied, limit)
                    assert text == board_text(anew, anew.varied, limit)


def test_what_has_not_changed_is_the_same_object(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sweeps.db"
    with closing(Store(url)) as store, closing(Reader(url)) as reader:
        sweep = store.create_sweep(name="s", spec_text="", spec={}, code_version="1", folder="")
        store.take_lease(sweep.id, "me", 3600)
        story = Story(store.writer(sweep.id, "me"))
        for c in range(3):
            story.ran(0, c, 0)
        kept = Watched(Followed(reader, "s"))
        before = kept.board().rows
        story.proposed(0, 5, 0)
        story.writer.start_trial(story.trials[-1])
        after = kept.board().rows
        assert [a is b for a, b in zip(before, after, strict=False)] == [True, True, True]
        assert after[3].state == "running"
