"""README's claim, not its digits: its sweep ends with an answer in each block size, of models that learnt
more than a bigram."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.recipe import SPEC, board_of, key_of, read, run, url_of, worst
from sweeper.spec.dimensions import Choice
from sweeper.spec.load import load_spec
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from sweeper.strategies.samplers import Tpe
from trainer.evaluation.record import Evaluation, ratio_and_se

BLOCK_SIZE = "finetune.block_size"


def block_sizes() -> list[int]:
    dimension = load_spec(SPEC).space.dimensions[BLOCK_SIZE]
    assert isinstance(dimension, Choice)
    return [size for size in dimension.choice if isinstance(size, int)]


def test_its_sampler_has_more_trials_than_its_random_start() -> None:
    search = load_spec(SPEC).search
    assert isinstance(search.strategy, Tpe)
    assert search.trials > search.strategy.startup


def test_it_races_within_each_block_size() -> None:
    settle = load_spec(SPEC).settle
    assert settle is not None
    assert (settle.by, settle.until) == (BLOCK_SIZE, "answer")


TOKENS = [30, 50, 40, 80, 65]
NOISE = [0.001, -0.001, 0.0, 0.002, -0.002, 0.001, 0.0, -0.001]  # of a seed


def evaluation(level: float, **provenance: Any) -> Evaluation:
    nats = [level * count for count in TOKENS]
    return Evaluation("valid", 9, *ratio_and_se(nats, TOKENS), {}, provenance, nats, TOKENS)


def add(writer: Writer, clip: float, level: float, seed: int, role: str) -> int:
    values = {"finetune.clip.low": clip}
    configuration = writer.add_configuration(f"{clip}", values)
    said: dict[str, Any] = {"params": {}, "distributions": {}, "system_attrs": {}}
    trial = writer.add_trial(configuration=configuration, role=role, seed=seed, steps=9, **said).id
    attempt = writer.start_trial(trial)
    writer.add_rows(trial, attempt, [], [evaluation(level)])
    writer.end_trial(trial, attempt, "complete")
    return trial


def stored(store: Store, name: str, spec: dict[str, Any]) -> Writer:
    sweep = store.create_sweep(name=name, spec_text="", spec=spec, code_version="1", folder="")
    store.take_lease(sweep.id, "me", 3600)
    return store.writer(sweep.id, "me")


@pytest.mark.parametrize(("truth", "contradicted"), [(-0.1, True), (-0.00001, False), (0.1, False)])
def test_a_joint_re_run_contradicts_what_it_shows_to_be_wrong(
    truth: float, contradicted: bool, tmp_path: Path
) -> None:
    """In the race clip .1 is better than .2 by .1; in the joint re-run clip .2 is above it by `truth`."""
    with closing(Store(url_of(tmp_path))) as store:
        race = stored(store, "race", {"settle": {"within": 0.01, "seeds": 8}})
        joint = stored(store, "joint", {})
        for clip, level in ((0.1, 5.0), (0.2, 5.1), (0.3, 5.3)):
            add(race, clip, level, 0, "search")
            for round in (1, 2):
                trial = add(race, clip, level + clip * NOISE[round], round, "race")
                race.add_scores(trial, round, [evaluation(level + clip * NOISE[round], round=round)])
            again = {0.1: 5.0, 0.2: 5.0 + truth, 0.3: 5.3}[clip]
            for seed, noise in enumerate(NOISE):
                add(joint, clip, again + clip * noise, seed, "baseline")
    board = board_of(tmp_path, "race")
    (answer,) = board.answers
    assert answer.settled
    with closing(Reader(url_of(tmp_path))) as reader:
        record = reader.sweep("joint")
        assert record is not None
        trial_of = {key_of(row): row.trials[0] for row in board_of(tmp_path, "joint").rows}
        found = worst(reader, record, trial_of, board, answer)
    assert (found["rows"], found["contradicted"]) == (3, contradicted)
    assert (found["difference"] > 0) == (truth < 0)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_it_ends_with_an_answer_in_each_block_size(tmp_path: Path) -> None:
    run(tmp_path, "schedules", [])  # raises where the sweep's exit code is not 0
    found = read(tmp_path, "schedules")
    assert [answer["value"] for answer in found["answers"]] == sorted(block_sizes())
    margin = load_spec(SPEC).settle.within  # type: ignore[union-attr]
    for answer in found["answers"]:
        assert answer["settled"] or ": Not settled to " in answer["text"], answer
        if answer["settled"] and not answer["winner"]:
            assert answer["loss"] <= margin
    assert found["first"] == min(block_sizes()), "its pretrain is left to right, which favours small blocks"
    assert found["best"] < found["bigram"]
