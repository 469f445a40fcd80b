"""Trials that are trained as one are each the trial that it is alone."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.networks import randomised
from trainer.checkpoints import checkpoint
from trainer.config.train_config import TrainConfig
from trainer.errors import TrainingError
from trainer.network.model import Shape
from trainer.settings.phase import Phase
from trainer.training.fused import Fused
from trainer.training.learner import Learner, Step

CPU, WORDS, LENGTH, BATCH, STEPS = torch.device("cpu"), 31, 16, 3, 6
# What may differ from trial to trial.
TRIALS: list[dict[str, Any]] = [
    {"seed": 1, "finetune.lr": 3e-3},
    {"seed": 2, "finetune.schedule.name": "cosine", "optimizer.weight_decay": 0.1},
    {"seed": 3, "finetune.lr": 1e-4, "optimizer.clip_norm": 0.05, "optimizer.ema": 0.5},
    {
        "seed": 4,
        "finetune.time.per": "token",
        "finetune.clip.low": 0.9,
        "optimizer.beta1": 0.5,
        "optimizer.eps": 1e-4,
    },
]


def learners(changes: list[dict[str, Any]] | None = None, **common: Any) -> list[Learner]:
    """As fresh as ever, but that no weight is zero; common: names with __ for the dot."""
    made = []
    for own in TRIALS if changes is None else changes:
        config = TrainConfig.from_dotted(
            {
                "data.length": LENGTH,
                "model.dropout": 0,
                "finetune.steps": 2 * STEPS,
                "finetune.block_size": 4,
                "finetune.batch_size": BATCH,
                "compute.precision": "float32",
                # AdamW divides gradients by their size: where they are rounding alone, it makes steps of it.
                "optimizer.eps": 1e-5,
                **{name.replace("__", "."): value for name, value in common.items()},
                **own,
            }
        )
        learner = Learner(config, Shape(16, 3, 2, 8, LENGTH, WORDS, WORDS - 1), CPU)
        randomised(learner.model, std=0.1)
        with torch.no_grad():
            for parameter in learner.model.parameters():
                parameter.add_(0.01 * config.seed)
        learner.average.load_state_dict(learner.model.state_dict())
        made.append(learner)
    return made


def phases(of: list[Learner]) -> list[Phase]:
    return [learner.config.finetune for learner in of]


def tokens(step: int, trials: int) -> torch.Tensor:
    """x0_JBL: each trial has data of its own."""
    generator = torch.Generator().manual_seed(step)
    return torch.randint(0, WORDS - 1, (trials, BATCH, LENGTH), generator=generator)


def steps_alone(of: list[Learner], first: int, last: int) -> list[list[tuple[float, float]]]:
    return [
        [
            learner.take_step(Step(x0_BL, learner.config.finetune, "finetune", step, step))
            for learner, x0_BL in zip(of, tokens(step, len(of)), strict=True)
        ]
        for step in range(first, last + 1)
    ]


def steps_fused(fused: Fused, first: int, last: int) -> list[list[tuple[float, float]]]:
    return [
        [each for each in fused.take_steps(all_at(fused, step)) if each] for step in range(first, last + 1)
    ]


def all_at(fused: Fused, step: int) -> list[Step | None]:
    return [
        Step(x0_BL, learner.config.finetune, "finetune", step, step)
        for learner, x0_BL in zip(fused.learners, tokens(step, len(fused.learners)), strict=True)
    ]


def near(one: list[Learner], other: list[Learner], error: float) -> None:
    """Each tensor of weights and averages as a vector; all moments of a kind as one."""
    for ours, theirs in zip(one, other, strict=True):
        found, expected = ours.tensors(), theirs.tensors()
        for name in ours.weights():
            assert (found[name] - expected[name]).norm() <= error * expected[name].norm(), name
        for kind, times in (("exp_avg", 1), ("exp_avg_sq", 2), ("step", 0)):
            here, there = (
                torch.cat([each.flatten() for name, each in of.items() if name.endswith(f".{kind}")])
                for of in (found, expected)
            )
            assert (here - there).norm() <= times * error * there.norm(), kind


@pytest.mark.parametrize(("objective", "block_size"), [("bd3lm", 4), ("bd3lm", 1), ("mdlm", LENGTH)])
def test_each_is_what_it_is_alone(objective: str, block_size: int):
    """Losses and norms of gradients of every step, and all that a checkpoint holds after the last."""
    common = {"objective__name": objective, "finetune__block_size": block_size}
    alone, together = learners(**common), learners(**common)
    expected = steps_alone(alone, 1, STEPS)
    found = steps_fused(Fused(together, phases(together)), 1, STEPS)
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one == pytest.approx(other, rel=1e-6)
    near(together, alone, 1e-6)


def test_gradients_are_what_they_are_alone():
    """Of the first step: of every parameter, clipped."""
    alone, together = learners(), learners()
    fused = Fused(together, phases(together))
    steps_alone(alone, 1, 1)
    steps_fused(fused, 1, 1)
    # After one step AdamW's first moment is the gradient times 1 - beta1.
    near(together, alone, 1e-6)
    for ours, theirs in zip(together, alone, strict=True):
        for one, other in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
            found, expected = (of.optimizer.state[p]["exp_avg"] for of, p in ((ours, one), (theirs, other)))
            assert expected.norm() > 0
            assert (found - expected).norm() <= 2e-6 * expected.norm()


def test_in_double_precision_they_are_the_same_numbers():
    """So what differs in float32 is rounding."""
    alone, together = (learners(optimizer__eps=1e-8) for _ in range(2))
    for learner in (*alone, *together):
        learner.model.double()
        learner.average.double()
        for state in learner.optimizer.state.values():
            state.update({name: each.double() for name, each in state.items() if name != "step"})
    expected = steps_alone(alone, 1, STEPS)
    found = steps_fused(Fused(together, phases(together)), 1, STEPS)
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one == pytest.approx(other, rel=1e-9)


def test_each_may_be_at_a_step_of_its_own():
    """One began later, and one does something else now and then: they are moved by their own steps alone."""
    alone, together = learners(), learners()
    fused = Fused(together, phases(together))
    at = [0, 0, 0, 0]
    for turn in range(1, 2 * STEPS + 1):
        steps = [step if (turn + j) % (j + 2) else None for j, step in enumerate(all_at(fused, turn))]
        if not any(steps):
            continue
        for j, step in enumerate(steps):
            if step:
                at[j] += 1
                steps[j] = step._replace(number=at[j] + j, of_phase=at[j])
        taken = fused.take_steps(steps)
        for learner, step, found in zip(alone, steps, taken, strict=True):
            assert (step is None) == (found is None)
            if step and found:
                assert tuple(found) == pytest.approx(learner.take_step(step), rel=2e-6)
    assert len(set(at)) > 2
    near(together, alone, 2e-6)


def test_dropout_has_each_trials_own_masks():
    alone, together = learners(model__dropout=0.3), learners(model__dropout=0.3)
    expected = steps_alone(alone, 1, 3)
    found = steps_fused(Fused(together, phases(together)), 1, 3)
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one == pytest.approx(other, rel=1e-5)


def test_in_bfloat16_they_are_as_near_as_bfloat16_is():
    alone, together = (learners(compute__precision="bfloat16") for _ in range(2))
    (expected,) = steps_alone(alone, 1, 1)
    (found,) = steps_fused(Fused(together, phases(together)), 1, 1)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=2e-2)


def test_a_trial_that_diverges_stops_no_other_and_keeps_its_weights():
    together = learners()
    fused = Fused(together, phases(together))
    with torch.no_grad():
        next(together[1].model.parameters()).fill_(torch.inf)
    before = {name: each.clone() for name, each in together[1].tensors().items()}
    taken = fused.take_steps(all_at(fused, 1))
    assert [each and each.diverged for each in taken] == [False, True, False, False]
    assert all(torch.equal(each, before[name]) for name, each in together[1].tensors().items())
    alone = learners()
    steps_alone(alone, 1, 1)
    near([together[0], *together[2:]], [alone[0], *alone[2:]], 1e-6)


def test_each_has_a_checkpoint_of_its_own_and_goes_on_alone(tmp_path: Path):
    """From a file, and as it stands; and what was trained alone goes on with the others."""
    alone, together = learners(), learners()
    steps_alone(alone, 1, 2 * STEPS)
    steps_alone(together, 1, 2)
    fused = Fused(together, phases(together))
    steps_fused(fused, 3, STEPS)
    fresh = learners()
    for number, (learner, new) in enumerate(zip(together, fresh, strict=True)):
        path = tmp_path / f"{number}.safetensors"
        checkpoint.save(path, {name: each.clone() for name, each in learner.tensors().items()}, {})
        with checkpoint.Checkpoint(path) as file:
            new.put(file.load(new.tensors(), ("model.", "ema.", "optimizer.")))
    for some in (fresh, together):
        steps_alone(some, STEPS + 1, 2 * STEPS)
        near(some, alone, 1e-5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ([{"objective.name": "ar"}], "ar is not trained fused"),
        ([{"objective.name": "sedd"}], "sedd is not trained fused"),
        ([{}, {"finetune.batch_size": 4}], "batches or blocks differ"),
        ([{}, {"finetune.block_size": 8}], "batches or blocks differ"),
        ([{}, {"model.dropout": 0.1}], "dropout differs"),
        ([{}, {"compute.precision": "bfloat16"}], "how a step is computed"),
        ([{}, {"objective.name": "mdlm", "finetune.block_size": LENGTH}], "objectives or shapes differ"),
        ([{"accumulate": 3}], "micro-batches"),
        ([{"finetune.ar_weight": 0.1}], "an AR term"),
    ],
)
def test_what_cannot_be_trained_as_one(changes: list[dict[str, Any]], sentence: str):
    some = learners(
        [
            {**each, "finetune.block_size": 1}
            if each.get("objective.name") == "ar"
            else {**each, "finetune.block_size": LENGTH}
            if each.get("objective.name") == "sedd"
            else each
            for each in changes
        ]
    )
    with pytest.raises(TrainingError, match=sentence):
        Fused(some, phases(some))
