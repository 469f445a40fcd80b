import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.noise.schedules import SCHEDULES
from trainer.settings.sizes import SIZES
from trainer.values import TwoMeanings, flatten, kind_of, nest


def problems(**values) -> dict[str, str]:
    """The problems of a run, by dotted key; __ stands for the dot."""
    with pytest.raises(InvalidConfig) as caught:
        TrainConfig.from_dotted({key.replace("__", "."): value for key, value in values.items()})
    found = {problem.key: problem.sentence for problem in caught.value.problems}
    assert len(found) == len(caught.value.problems)
    for key, sentence in found.items():
        assert f"{key}: {sentence}" in str(caught.value)
        assert "Input" not in sentence
        assert "Value error" not in sentence
    return found


def config(**values) -> TrainConfig:
    return TrainConfig.from_dotted({key.replace("__", "."): value for key, value in values.items()})


EXAMPLES = [
    {},
    {"model.size": "tiny", "data.length": 128, "seed": 7},
    {"finetune.schedule.name": "gaussian", "finetune.schedule.mu": 0.4, "finetune.clip.low": 0.3},
    {
        "finetune": {"schedule": {"name": "bimodal_gaussian"}, "reweighting.name": "sigmoid"},
        "finetune.reweighting.k": 2,
    },
    {"objective.name": "ar"},
    {"pretrain.steps": 100, "pretrain.schedule.name": "cosine", "finetune.block_size": 4},
]


@pytest.mark.parametrize("values", EXAMPLES, ids=str)
def test_round_trip(values):
    first = TrainConfig.from_dotted(values)
    dotted = first.to_dotted()
    assert TrainConfig.from_dotted(dotted) == first
    assert TrainConfig.from_dotted(json.loads(json.dumps(dotted))) == first
    assert TrainConfig.from_dotted(nest(dotted)) == first
    assert flatten(values).items() <= dotted.items()
    assert all(not isinstance(value, dict) for value in dotted.values())


def test_defaults_come_from_the_size():
    for name, size in SIZES.items():
        run = config(model__size=name)
        assert (run.model.width, run.model.heads, run.optimizer.beta2) == (size.width, size.heads, size.beta2)
        assert run.pretrain.lr == run.finetune.lr == size.lr
    assert config(model__size="tiny", model__layers=3, finetune__lr=1e-5).model.layers == 3
    assert config(model__size="tiny", finetune__lr=1e-5).finetune.lr == 1e-5


def test_block_sizes_follow_length_and_objective():
    blocks = {
        (length, name): (run.pretrain.block_size, run.finetune.block_size)
        for length in (8, 64)
        for name in ("bd3lm", "mdlm", "ar")
        for run in [config(data__length=length, objective__name=name)]
    }
    assert blocks == {
        (8, "bd3lm"): (8, 8), (8, "mdlm"): (8, 8), (8, "ar"): (1, 1),
        (64, "bd3lm"): (64, 16), (64, "mdlm"): (64, 64), (64, "ar"): (1, 1),
    }  # fmt: skip
    assert config(data__length="32").pretrain.block_size == 32


def test_a_config_is_frozen_and_hashable():
    run = config()
    with pytest.raises(ValidationError):
        run.seed = 2
    assert hash(run) == hash(config())


def test_warmup_is_a_fraction_or_a_count():
    assert config(finetune__steps=200).finetune.warmup_steps == 10
    assert config(finetune__steps=200, finetune__warmup=30).finetune.warmup_steps == 30


NAMES = ", ".join(map(kind_of, SCHEDULES))


@pytest.mark.parametrize(
    ("values", "key", "sentence"),
    [
        ({"model__size": "big"}, "model.size", "'big' is none of nano, tiny, small"),
        ({"model__size": ["nano"]}, "model.size", "['nano'] is none of nano, tiny, small"),
        ({"finetune__schedule__name": "gaus"}, "finetune.schedule.name", f"'gaus' is none of {NAMES}"),
        (
            {"finetune__schedule__mu": 0.4},
            "finetune.schedule.name",
            "missing, but needed for finetune.schedule.mu",
        ),
        (
            {"finetune__schedule__name": "gaussian", "finetune__schedule__mu": 2},
            "finetune.schedule.mu",
            "must be less than or equal to 1, got 2",
        ),
        (
            {"pretrain__schedule__name": "cosine", "pretrain__schedule__mu": 0.5},
            "pretrain.schedule.mu",
            "unknown",
        ),
        (
            {"finetune__reweighting__name": "none", "finetune__reweighting__k": 1},
            "finetune.reweighting.k",
            "unknown",
        ),
        (
            {"finetune__clip__low": 0.8, "finetune__clip__high": 0.2},
            "finetune.clip",
            "low 0.8 is above high 0.2",
        ),
        ({"finetune__clip__low": -1}, "finetune.clip.low", "must be greater than or equal to 0, got -1"),
        ({"data__length": "long"}, "data.length", "must be a valid integer, got 'long'"),
        ({"data__length": 0}, "data.length", "must be greater than or equal to 2, got 0"),
        ({"finetune": 3}, "finetune", "3 is a value, and finetune a group of values"),
        ({"model": "nano"}, "model", "'nano' is a value, and model a group of values"),
        (
            {"finetune__schedule": "gaussian"},
            "finetune.schedule",
            "'gaussian' is a value, and finetune.schedule a group of values",
        ),
        ({"finetun__steps": 3}, "finetun", "unknown"),
        ({"finetune__lr": float("inf")}, "finetune.lr", "must be a finite number, got inf"),
        ({"evaluation__test": "maybe"}, "evaluation.test", "must be a valid boolean, got 'maybe'"),
        ({"seed": None}, "seed", "must be a valid integer, got None"),
        ({"model__width": 66, "model__heads": 4}, "model", "width 66 is not a multiple of 2 * heads = 8"),
        ({"data": 4, "data__length": 3}, "data.length", "data is given a value of its own"),
    ],
    ids=str,
)
def test_a_mistake_is_one_problem_with_a_dotted_key(values, key, sentence):
    assert problems(**values) == {key: sentence}


def test_every_problem_is_found():
    found = problems(finetune__schedule__name="gaus", model__size="big", seed=-1, finetune__clip__low=2)
    assert set(found) == {"finetune.schedule.name", "model.size", "seed", "finetune.clip.low"}
    found = problems(pretrain__block_size=3, finetune__block_size=5)
    assert set(found) == {"pretrain.block_size", "finetune.block_size"}
    assert found["finetune.block_size"].startswith("5 does not divide data.length")


def test_nest_refuses_two_meanings():
    assert nest({"a.b": 1, "a": {"c": 2}}) == {"a": {"b": 1, "c": 2}}
    for values in ({"a": 1, "a.b": 2}, {"a.b": 2, "a": 1}, {"a.b": 1, "a": {"b": 2}}):
        with pytest.raises(TwoMeanings):
            nest(values)


@settings(deadline=None, max_examples=50)
@given(
    st.recursive(st.integers(), lambda inner: st.dictionaries(st.text("ab", min_size=1), inner, min_size=1))
)
def test_flatten_and_nest_are_inverse(values):
    nested = {"x": values}
    assert nest(flatten(nested)) == nested


def test_stage_key_is_of_the_pretrain_alone():
    base = config(pretrain__steps=10)
    same = {"finetune__lr": 1e-4, "finetune__block_size": 4, "evaluation__every": 7, "checkpoint__every": 1.0}
    for key, value in same.items():
        assert config(pretrain__steps=10, **{key: value}).stage_key() == base.stage_key(), key
    other = {"seed": 1, "pretrain__lr": 1e-4, "data__length": 32, "optimizer__ema": 0.5, "model__layers": 3}
    keys = {config(**{"pretrain__steps": 10, key: value}).stage_key() for key, value in other.items()}
    assert len(keys | {base.stage_key()}) == len(other) + 1


def test_content_leaves_out_what_cannot_move_a_result():
    assert config(seed=1, checkpoint__every=3.0).content() == config(seed=2).content()
    assert config(finetune__lr=1e-4).content() != config().content()


def test_no_torch():
    code = "import sys, trainer.config.train_config; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_a_run_is_scored_on_is_the_evaluations_alone() -> None:
    """Runs of other seeds are scored on the same text and masks, so that their difference is paired."""
    of_seeds = [TrainConfig.from_dotted({"seed": seed, "evaluation.seed": 7}).scoring for seed in (0, 1, 2)]
    assert of_seeds == [of_seeds[0]] * 3
    assert of_seeds[0].seed == 7
