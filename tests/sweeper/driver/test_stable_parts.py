"""Pretrains with a stable part in common: it is trained once, and each decay branches from its end."""

from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sweeper.cli.plan import counts
from sweeper.driver.jobs import StageJob
from sweeper.files.kept_stages import kept_stages, refusal
from sweeper.planning.forecast import Capacity, forecast, unmeasured
from sweeper.planning.machine import Slots
from sweeper.planning.plan import plan, pretrains_of
from sweeper.planning.resolution import resolution
from sweeper.spec.load import load_spec
from sweeper.store.queries import Reader
from sweeper.store.records import StageRecord
from sweeper.store.store import Store
from tests import fakes
from tests.sweeper.driving import STAGED, drive, make_spec, opened, run_to_end, run_until_killed, told
from trainer.training.train import train

TEXT = """
name: test
trainer:
  data: {name: pydocs, length: 64}
  model.size: nano
  pretrain: {block_size: 64, warmup: 1, lr_schedule: {name: wsd, decay: 0.5}}
  finetune.steps: 2
  evaluation.every: 2
space:
  pretrain.steps: {choice: [4, 8, 12]}
search: {sampler: grid, trials: 3}
"""
SPEC = make_spec(text=TEXT)


def stages_of(url: str) -> dict[str, StageRecord]:
    """By what they are: 4 is a stage of 4 steps without a decay, -4 one with it."""
    with closing(Reader(url)) as reader:
        found = reader.stages()
    return {
        f"{'decay' if 'pretrain.lr_schedule.name' in each.values else 'stable'} {each.steps}": each
        for each in found
    }


def trained(url: str) -> list[int]:
    """Every step that was trained, repeats and all."""
    ledgers = [Path(each.folder, "ledger.txt") for each in stages_of(url).values()]
    lines = [line for each in ledgers if each.exists() for line in each.read_text().splitlines()]
    return sorted(int(line.split()[1]) for line in lines)


def tree(url: str) -> dict[str, str]:
    found = stages_of(url)
    names = {each.key: name for name, each in found.items()}
    return {name: names.get(each.parent or "", "") for name, each in found.items()}


TREE = {
    "stable 2": "",
    "decay 4": "stable 2",
    "stable 4": "stable 2",
    "decay 8": "stable 4",
    "stable 6": "stable 4",
    "decay 12": "stable 6",
}


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_the_stable_part_is_trained_once(place: tuple[str, Path], slots: int) -> None:
    url, files = place
    run_to_end(url, SPEC, files, slots=slots)
    assert tree(url) == TREE
    assert trained(url) == sorted([*range(1, 7), *range(3, 5), *range(5, 9), *range(7, 13)])
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("test")
        assert sweep is not None
        assert reader.trial_states(sweep.id) == {"complete": 3}


def test_it_changes_no_key_and_no_number(place: tuple[str, Path], tmp_path: Path) -> None:
    url, files = place
    run_to_end(url, SPEC, files)
    alone = {}
    for i, steps in enumerate((4, 8, 12)):
        spec = make_spec(f"space.pretrain.steps.choice=[{steps}]", "search.trials=1", text=TEXT)
        other = f"sqlite:///{tmp_path}/{steps}.db"
        run_to_end(other, spec, tmp_path / str(steps))
        alone[steps] = told(other)["rows"]["val_ppl"][1]
        config = spec.train_config({"pretrain.steps": steps}, 0)
        assert config.stage_key() == stages_of(url)[f"decay {steps}"].key, i
    with closing(Reader(url)) as reader:
        (sweep,) = reader.sweeps()
        found = {
            t.params["pretrain.steps"]: reader.curve([t.id], "val_ppl")[t.id] for t in reader.trials(sweep.id)
        }
    assert found == alone


def test_a_longer_one_goes_on_from_what_another_sweep_has_made(place: tuple[str, Path]) -> None:
    url, files = place
    first = make_spec("space.pretrain.steps.choice=[8]", "search.trials=1", text=TEXT)
    run_to_end(url, first, files)
    then = make_spec("space.pretrain.steps.choice=[12]", "search.trials=1", "name=then", text=TEXT)
    run_to_end(url, then, files)
    assert {name: TREE[name] for name in ("decay 8", "stable 6", "decay 12")}.items() <= tree(url).items()
    assert trained(url) == sorted([*range(1, 7), *range(5, 9), *range(7, 13)])


def test_lengths_whose_warm_up_differs_share_nothing(place: tuple[str, Path]) -> None:
    url, files = place
    run_to_end(url, make_spec("trainer.pretrain.warmup=0.3", text=TEXT), files)
    assert {name: parent for name, parent in tree(url).items() if name.startswith("stable")} == {
        "stable 2": "",
        "stable 4": "",
        "stable 6": "",
    }


def test_a_trial_waits_while_a_part_of_its_pretrain_runs(place: tuple[str, Path]) -> None:
    url, files = place
    with opened(url, SPEC, files, slots=3) as driver:
        job = driver.next()
        assert isinstance(job, StageJob)
        assert job.values["pretrain.steps"] == 2
        assert driver.next() is None


def test_a_part_that_fails_is_not_gone_on_from(place: tuple[str, Path]) -> None:
    url, files = place
    spec = make_spec("space.pretrain.steps.choice=[4]", "search.trials=1", text=TEXT)
    with opened(url, spec, files) as driver:
        job = driver.next()
        assert isinstance(job, StageJob)
        driver._queue.fail(job, "no good")
        drive(driver)
    assert tree(url)["decay 4"] == ""
    assert trained(url) == [1, 2, 3, 4]


@pytest.mark.long
def test_killed_anywhere_it_ends_the_same(tmp_path: Path) -> None:
    url, files = f"sqlite:///{tmp_path}/straight.db", tmp_path / "straight"
    run_to_end(url, SPEC, files)
    straight, kills = told(url), 0
    for commits in range(3, 90, 5):
        url, files = f"sqlite:///{tmp_path}/{commits}.db", tmp_path / str(commits)
        if not run_until_killed(url, SPEC, files, commits):
            break
        kills += 1
        run_to_end(url, SPEC, files)
        assert told(url) == straight
        assert tree(url) == TREE
        assert len(trained(url)) == 18
    assert kills >= 6


def test_what_a_stage_is_to_go_on_from_is_kept(place: tuple[str, Path]) -> None:
    url, files = place
    with opened(url, SPEC, files) as driver:
        job = driver.next()
        assert isinstance(job, StageJob)
        Path(job.folder).mkdir(parents=True)
        for _ in job.run("tests.fakes", "cpu"):
            pass
        driver.finish(job)
        driver.interrupt("")
    fakes.killed = False
    with closing(Reader(url)) as reader:
        (kept,) = (each for each in kept_stages(reader, 0.0) if each.bytes)
    assert kept.stage.key == job.key
    assert kept.uses == {"test": 1}
    assert "still to be run" in refusal(kept, 0.0, days=0)


def test_with_the_last_sweep_that_uses_it_it_goes(place: tuple[str, Path]) -> None:
    url, files = place
    run_to_end(url, SPEC, files)
    short = make_spec("space.pretrain.steps.choice=[4]", "search.trials=1", "name=short", text=TEXT)
    run_to_end(url, short, files)
    with closing(Store(url)) as store, closing(Reader(url)) as reader:
        for name, left in (("test", {"stable 2", "decay 4"}), ("short", set())):
            sweep = reader.sweep(name)
            assert sweep is not None
            store.release_lease(sweep.id, "me")
            store.take_lease(sweep.id, "us", 60.0)
            store.writer(sweep.id, "us").delete()
            assert set(stages_of(url)) == left


@pytest.mark.long
def test_a_real_trainer_ends_with_the_bits_of_runs_in_one_piece(
    place: tuple[str, Path], tmp_path: Path
) -> None:
    url, files = place
    few = ("trainer.evaluation.sequences=8", "trainer.evaluation.variance_batches=0")
    spec = make_spec(*few, "space.pretrain.steps.choice=[4, 8]", "search.trials=2", text=TEXT)
    with opened(url, spec, files) as driver:
        drive(driver, train="trainer.training.train")
    assert trained(url) == sorted([*range(1, 5), *range(3, 5), *range(5, 9)])
    with closing(Reader(url)) as reader:
        (sweep,) = reader.sweeps()
        for trial in reader.trials(sweep.id):
            config = spec.train_config(trial.params, trial.seed)
            for _ in train(config, tmp_path / str(trial.id), device="cpu"):
                pass
            ours, alone = (
                load_file(folder / str(trial.id) / "last.safetensors")
                for folder in (files / "trials" / str(sweep.id), tmp_path)
            )
            assert ours.keys() == alone.keys()
            assert all(torch.equal(ours[name], alone[name]) for name in ours)


# --- what `plan` says beforehand ----------------------------------------------------------------------
SHAPES = "space.pretrain.lr_schedule.shape.choice=[linear, cosine]"
EXACT = {
    "a decay each": (),
    "two of each": (SHAPES, "search.trials=6"),
    "the longest first": ("space.pretrain.steps.choice=[12, 8, 4]",),
    "of any kind": (
        "space.pretrain.lr_schedule.name.choice=[wsd, constant, cosine]",
        "space.pretrain.lr_schedule.decay={choice: [0.5], when: {pretrain.lr_schedule.name: wsd}}",
        "search.trials=9",
    ),
    "nothing shared": ("trainer.pretrain.warmup=0.3",),
    "decays alone": ("trainer.pretrain.lr_schedule.decay=1",),
    "beside a search": ("space.finetune.block_size.choice=[4, 8]", "search.trials=6"),
    "on two seeds": ("replicates=2", SHAPES, "search.trials=6"),
    "and baselines": ("always=[{pretrain.steps: 16}, {pretrain.steps: 8}]", "always_seeds=2"),
    "points alone": (
        "search={sampler: fixed, trials: 2, points: [{pretrain.steps: 4}, {pretrain.steps: 12}]}",
    ),
}


@pytest.mark.parametrize("overrides", EXACT.values(), ids=EXACT)
def test_plan_counts_what_one_slot_trains(place: tuple[str, Path], overrides: tuple[str, ...]) -> None:
    url, files = place
    searched = any("lr_schedule.name" in each for each in overrides)
    spec = make_spec(
        *overrides, text=TEXT.replace(", lr_schedule: {name: wsd, decay: 0.5}", "") if searched else TEXT
    )
    would = plan(spec)
    run_to_end(url, spec, files, slots=1)
    with closing(Reader(url)) as reader:
        (sweep,) = reader.sweeps()
        values = reader.configurations(sweep.id)
        own = [values[trial.configuration]["pretrain.steps"] for trial in reader.trials(sweep.id)]
        stages = reader.stages()
    lines = [Path(each.folder, "ledger.txt").read_text().splitlines() for each in stages]
    assert would.pretrain_steps == sum(map(len, lines))
    assert would.stages + would.stable_parts == len(stages)
    assert pretrains_of(spec, would)[1].unshared == sum(own)


def test_at_most_where_nobody_knows_what_is_proposed() -> None:
    """At worst the longest comes first, and has its own stable part."""
    tpe = ("search={sampler: tpe, trials: 9}", "space.finetune.lr.uniform=[0.001, 0.002]")
    would = plan(make_spec(*tpe, text=TEXT))
    assert (would.stages, would.stable_parts, would.at_most) == (3, 3, True)
    assert would.pretrain_steps == (2 + 4 + 6) + (2 + 4 + 6)
    assert plan(make_spec(*tpe, "search.trials=2", text=TEXT)).pretrain_steps == 2 * 12
    assert plan(make_spec(*tpe, "search.trials=1", text=TEXT)).pretrain_steps == 12
    anywhere = plan(make_spec(*tpe, "space.pretrain.lr.uniform=[0.001, 0.002]", text=TEXT))
    assert (anywhere.stages, anywhere.stable_parts, anywhere.pretrain_steps) == (9, 9, 9 * 12)


def test_a_pretrain_of_all_is_known_whatever_is_proposed() -> None:
    points = "search.points=[{finetune.block_size: 8, finetune.schedule.name: loglinear}]"
    would = plan(make_spec(*STAGED, points))
    assert (would.stages, would.pretrain_steps, would.at_most) == (1, 2, False)


def test_without_a_pretrain_there_is_none_to_share() -> None:
    would = plan(make_spec("space.optimizer.beta1.uniform=[0.8, 0.9]"))
    assert (would.stages, would.stable_parts, would.pretrain_steps, would.at_most) == (0, 0, 0, False)


def test_decays_are_said_with_what_they_share() -> None:
    """Of search_spaces/decays.yaml: three lengths, two shapes, two seeds."""
    spec = load_spec(Path("search_spaces/decays.yaml"))
    would = plan(spec)
    said = forecast(spec, would, unmeasured(), Slots(1, 1, 0), Capacity(None, None, None))
    assert would.pretrain_steps == 2 * (320 + 320 + 640 + 2 * (80 + 160 + 320))
    assert said.unshared == 2 * (2 * (400 + 800 + 1600) + 6 * 100)
    assert said.tokens == would.steps * 16 * 64
    lines = counts(spec, would, resolution(spec, would.trials))
    assert "pretrains   at most 12, each run once and shared" in lines
    assert "stable      at most 6 parts that these go on from" in lines


def test_a_budget_for_what_is_shared_is_enough(place: tuple[str, Path]) -> None:
    url, files = place
    spec = make_spec(f"budget.tokens={(18 + 3 * 2) * 16 * 64}", text=TEXT)
    run_to_end(url, spec, files, slots=1)
    with closing(Reader(url)) as reader:
        assert reader.trial_states(1) == {"complete": 3}
