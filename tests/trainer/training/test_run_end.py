"""What a run ends with, of its best checkpoint: its bound on other corpora, and text that it generates."""

import json
import math
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.cli.test_trainer_cli import run
from tests.trainer.tiny_runs import reports_of, returned, tiny_config, without_seconds, write_corpus
from trainer.checkpoints.trained import open_trained
from trainer.config.problems import InvalidConfig
from trainer.config.stored import read_config
from trainer.config.train_config import TrainConfig
from trainer.data.corpus import load
from trainer.errors import DataError, EnvironmentFault
from trainer.evaluation.generative import judged
from trainer.evaluation.judges import open_judge
from trainer.evaluation.lengths import sample_lengths
from trainer.evaluation.zero_shot import as_trained
from trainer.metrics import BY_NAME
from trainer.randomness import seed_of
from trainer.sampling import generate
from trainer.sampling.config import LONGEST
from trainer.sampling.samples_file import read_samples
from trainer.sampling.union import SAMPLERS
from trainer.training.calibrate import short
from trainer.training.run_end import generated, look_ahead
from trainer.training.train import train
from trainer.values import kind_of

MEASURED = (
    "zero_shot_nelbo",
    "zero_shot_ppl",
    "nfe",
    "length_median",
    "length_max",
    "gen_ppl",
    "gen_entropy",
)
HARMED = {"optimizer__ema": 0.1}  # with its rate: the best step is not the last
KINDS: dict[str, dict[str, Any]] = {
    "ar": {"objective__name": "ar", "finetune__block_size": 1, "samples__sampler__nucleus": 0.9},
    "bd3lm": {
        "samples__length": 48,
        "samples__stopping__after": 20,
        "samples__batch_size": 2,
        "finetune__lr": 0.03,
        **HARMED,
    },
    "mdlm": {
        "objective__name": "mdlm",
        "finetune__block_size": 16,
        "samples__sampler__name": "ancestral",
        "finetune__lr": 0.1,
        **HARMED,
    },
    "sedd": {"objective__name": "sedd", "finetune__block_size": 16, "samples__sampler__steps": 5},
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("other") / "foxes.txt"
    path.write_text("".join(f"foxes {i} jump over it\n" for i in range(600)))
    return {"name": "files", "train": str(path), "document": "line"}


@pytest.fixture(scope="module")
def judge(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judge") / "ar"
    reports_of(few_steps(corpus, objective__name="ar", finetune__block_size=1, seed=7), folder)
    return folder


def few_steps(corpus: Path, **changes: Any) -> TrainConfig:
    return tiny_config(corpus, **{"pretrain__steps": 0, "evaluation__variance_batches": 0, **changes})


def of_the_end(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name.partition("/")[0] in MEASURED}


@pytest.mark.parametrize("kind", KINDS)
def test_the_rows_are_those_of_the_commands(
    kind: str, corpus: Path, other: dict[str, str], judge: Path, tmp_path: Path
) -> None:
    asked = {"samples__num": 3, "samples__seed": 5, "samples__judge": str(judge), **KINDS[kind]}
    folder = tmp_path / "run"
    config = few_steps(corpus, evaluation__zero_shot=[other], data__forced_eos=True, **asked)
    last = reports_of(config, folder)[-1].values
    found = of_the_end(last)
    assert {name.partition("/")[0] for name in found} == set(MEASURED) <= set(BY_NAME)
    assert all(BY_NAME[name].direction == "none" for name in MEASURED)

    words = ["data.name=files", f"data.train={other['train']}", "data.document=line"]
    scored = json.loads(run("zero-shot", str(folder), *words, "--json").stdout)["corpora"][0]
    assert found["zero_shot_nelbo/files"] == pytest.approx(scored["nelbo"], rel=1e-6)
    assert found["zero_shot_ppl/files"] == pytest.approx(math.exp(scored["nelbo"]), rel=1e-6)

    samples = read_samples(folder / "samples.jsonl")
    model, trained_on, block_size, step = open_trained(config, folder / "best.safetensors", device="cpu")
    assert (step < 30) == ("finetune__lr" in asked)
    expected = generate.sample(
        model,
        config.objective,
        num=3,
        length=config.samples.tokens(config.objective, 16, block_size),
        block_size=block_size,
        bos_id=trained_on.tokenizer.bos_id,
        eos_id=trained_on.tokenizer.eos_id,
        seed=seed_of(config.seed, "samples", 5),
        sampler=config.samples.sampler,
        stopping=config.samples.stopping,
    )
    assert [(each.tokens, each.passes) for each in samples] == [(e.tokens, e.passes) for e in expected]
    assert [len(each.words or []) for each in samples] == [len(each.tokens) for each in expected]
    assert found["nfe"] == np.mean([each.nfe for each in expected])
    tokens = sample_lengths(samples, trained_on.tokenizer)
    assert (found["length_median"], found["length_max"]) == (np.median(tokens), max(tokens))
    verdict = judged(open_judge(str(judge), "cpu"), samples)
    assert found["gen_ppl"] == pytest.approx(verdict.gen_ppl.ppl, rel=1e-6)
    assert found["gen_entropy"] == pytest.approx(verdict.gen_entropy, rel=1e-6)


def test_a_run_measures_none_of_it_unless_asked(corpus: Path, tmp_path: Path) -> None:
    assert not of_the_end(reports_of(few_steps(corpus), tmp_path / "run")[-1].values)
    assert not (tmp_path / "run" / "samples.jsonl").exists()


def test_what_is_drawn_is_part_of_a_configuration_and_how_many_at_once_is_not(corpus: Path) -> None:
    def content(**changes: object) -> dict[str, object]:
        return few_steps(corpus, samples__num=2, **changes).content()

    assert content() == content(samples__batch_size=1)
    assert content() != content(samples__seed=1)


def test_without_a_judge_texts_are_counted_alone(corpus: Path, tmp_path: Path) -> None:
    values = reports_of(few_steps(corpus, samples__num=2), tmp_path)[-1].values
    assert of_the_end(values).keys() == {"nfe", "length_median", "length_max"}


def test_where_no_sample_has_text_there_is_no_gen_ppl(
    corpus: Path, judge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.data.tokenizer.Tokenizer.decode", lambda *_: "")
    values = reports_of(few_steps(corpus, samples__num=2, samples__judge=str(judge)), tmp_path)[-1].values
    assert of_the_end(values).keys() == {"nfe", "length_median", "length_max"}


def test_interrupted_at_its_end_a_run_ends_the_same(
    corpus: Path, other: dict[str, str], judge: Path, tmp_path: Path
) -> None:
    asked = {"samples__num": 3, "samples__judge": str(judge), "evaluation__zero_shot": [other]}
    config = few_steps(corpus, **asked)
    straight = reports_of(config, tmp_path / "straight")
    reports = train(config, tmp_path / "cut", device="cpu")
    while not (tmp_path / "cut" / "samples.jsonl").exists():
        next(reports)
    reports.close()
    assert without_seconds(reports_of(config, tmp_path / "cut"))[-1] == without_seconds(straight)[-1]


# --- signs of life --------------------------------------------------------------------------------
def test_drawing_gives_signs_of_life_and_stops_when_nobody_waits(corpus: Path, tmp_path: Path) -> None:
    """A million samples: hours. So what comes back at all does so before they are drawn."""
    config = few_steps(corpus, samples__num=10**6, samples__batch_size=10**6 // 100)
    trained_on = load(config.data)
    model = open_trained(*_a_run(corpus, tmp_path), device="cpu").model
    drawing = generated(model, config, trained_on, tmp_path)
    for _ in range(2):
        assert next(drawing) is None
    drawing.close()
    deadline = time.monotonic() + 20
    while any(thread.name == "samples" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "it still draws"
        time.sleep(0.05)
    assert not (tmp_path / "samples.jsonl").exists()


def test_judging_stops_when_nobody_waits(
    corpus: Path, judge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    never = threading.Event()

    def slow(*_: Any) -> None:
        passes.append(1)
        never.wait(0.3)

    monkeypatch.setattr("trainer.evaluation.generative._score", slow)
    monkeypatch.setattr("trainer.evaluation.generative.MAX_LOGITS", 1)  # a window a pass
    config = few_steps(corpus, samples__num=50, samples__judge=str(judge))
    model = open_trained(*_a_run(corpus, tmp_path), device="cpu").model
    judging = generated(model, config, load(config.data), tmp_path)
    while not passes:
        assert next(judging) is None
    judging.close()
    time.sleep(0.7)
    assert len(passes) < 4
    assert not any(thread.name == "samples" for thread in threading.enumerate())


def _a_run(corpus: Path, place: Path) -> tuple[TrainConfig, Path]:
    config = few_steps(corpus, finetune__steps=1)
    reports_of(config, place / "model")
    return config, place / "model" / "best.safetensors"


# --- before anything is trained -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"samples__judge": "runs/none", "samples__num": 2}, EnvironmentFault, "judge: runs/none: no "),
        ({"evaluation__zero_shot": [{"name": "synthetic"}]}, DataError, "zero_shot: synthetic brings its"),
        (
            {"evaluation__zero_shot": [{"name": "files", "train": "/nowhere"}]},
            DataError,
            "evaluation.zero_shot: data.train: /nowhere matches no file",
        ),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("pretrained", [0, 5])
def test_what_is_missing_is_said_before_training(
    changes: dict[str, Any],
    kind: type[Exception],
    sentence: str,
    pretrained: int,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainer.evaluation.judges.hub_answers", lambda: False)
    with pytest.raises(kind, match=sentence):
        reports_of(few_steps(corpus, pretrain__steps=pretrained, **changes), tmp_path)
    assert not any(path.read_bytes() for path in tmp_path.rglob("ledger.txt")), "a step was trained"


def test_a_judge_that_cannot_judge_is_said_at_once(corpus: Path, judge: Path, tmp_path: Path) -> None:
    folder = tmp_path / "diffusion"
    reports_of(few_steps(corpus, finetune__steps=1), folder)
    config = few_steps(corpus, samples__num=1, samples__judge=str(folder))
    with pytest.raises(EnvironmentFault, match=r"samples.judge: .*objective.name=bd3lm; a judge is autoreg"):
        reports_of(config, tmp_path / "run")
    (tmp_path / "empty").mkdir()
    config = few_steps(corpus, samples__num=1, samples__judge=str(tmp_path / "empty"))
    with pytest.raises(EnvironmentFault, match=r"samples.judge: .*not a causal model"):
        returned(look_ahead(config, load(config.data)))
    config = few_steps(corpus, samples__num=0, samples__judge=str(tmp_path / "empty"))
    assert returned(look_ahead(config, load(config.data))) is None, "nobody asks for it"


def test_a_run_that_has_ended_needs_its_judge_no_more(corpus: Path, judge: Path, tmp_path: Path) -> None:
    mine = tmp_path / "judge"
    shutil.copytree(judge, mine)
    config = few_steps(corpus, samples__num=1, samples__judge=str(mine))
    ended = reports_of(config, tmp_path / "run")
    shutil.rmtree(mine)
    assert reports_of(config, tmp_path / "run") == ended
    assert read_config(tmp_path / "run").samples == config.samples


def test_other_corpora_are_packed_as_the_trained_one(corpus: Path, other: dict[str, str]) -> None:
    config = few_steps(corpus, evaluation__zero_shot=[other])
    trained_on = load(config.data)
    (data,) = config.evaluation.zero_shot
    found = as_trained(trained_on, data)
    assert (found.length, found.tokenizer) == (16, str(trained_on.folder))
    assert "length" not in str(config.content()["evaluation.zero_shot"]) or data.length == 64


# --- settings -------------------------------------------------------------------------------------
def config(**values: Any) -> TrainConfig:
    return TrainConfig.from_dotted({key.replace("__", "."): value for key, value in values.items()})


def test_what_is_not_asked_for_leaves_identities_as_they_were() -> None:
    plain = config(pretrain__steps=5)
    assert not [key for key in plain.content() if "samples" in key or "zero_shot" in key]
    unread = config(pretrain__steps=5, samples__judge="gpt2", samples__seed=3)
    assert unread.content() == plain.content()
    asked = config(
        pretrain__steps=5, samples__num=2, samples__judge="gpt2", evaluation__zero_shot=[{"name": "lambada"}]
    )
    assert asked.stage_key() == plain.stage_key()
    assert asked.content()["samples.num"] == 2
    assert asked.content()["evaluation.zero_shot"][0]["name"] == "lambada"
    assert TrainConfig.from_dotted(json.loads(json.dumps(asked.to_dotted()))) == asked
    assert hash(asked) != hash(plain)
    old = {k: v for k, v in plain.to_dotted().items() if "samples" not in k and "zero_shot" not in k}
    assert TrainConfig.from_dotted(old) == plain, "what was stored before there were such keys"


@pytest.mark.parametrize(
    ("values", "key", "sentence"),
    [
        ({"samples__length": 30}, "samples.length", "must be a multiple of the block size 16, not 30"),
        ({"samples__sampler__name": "analytic"}, "samples.sampler", "bd3lm is sampled from by first_hitting"),
        ({"samples__sampler__steps": 3}, "samples.sampler.steps", "unknown"),
        ({"objective__name": "sedd", "samples__length": 128}, "samples.length", "at most the trained length"),
        ({"evaluation__zero_shot": [{"name": "ptb"}] * 2}, "evaluation.zero_shot", "ptb stands twice"),
        ({"evaluation__zero_shot": [{"name": "ptb", "length": 9}]}, "evaluation.zero_shot", "ptb.length: a "),
        ({"evaluation__zero_shot": [{"name": "pbt"}]}, "evaluation.zero_shot.0.name", "'pbt' is none of"),
        ({"evaluation__zero_shot": [{"name": "ptb", "x": 1}]}, "evaluation.zero_shot.0.x", "unknown"),
    ],
    ids=str,
)  # fmt: skip
def test_a_mistake_is_a_sentence(values: dict[str, Any], key: str, sentence: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        config(samples__num=1, **values)
    (problem,) = caught.value.problems
    assert problem.key == key
    assert sentence in problem.sentence


def test_a_sampler_without_a_name_is_the_objectives_first() -> None:
    names = {
        objective: config(objective__name=objective, samples__num=1, samples__sampler__nucleus=0.9)
        for objective in ("ar", "bd3lm", "mdlm", "sedd")
    }
    samplers = [each.samples.sampler for each in names.values()]
    assert [each and each.name for each in samplers] == [*["first_hitting"] * 3, "analytic"]
    assert {each and each.nucleus for each in samplers} == {0.9}


def test_lengths_of_samples() -> None:
    def tokens(**values: Any) -> int:
        made = config(samples__num=1, **values)
        return made.samples.tokens(made.objective, made.data.length, made.finetune.block_size)

    stopping = {"samples__stopping__eos": True}
    assert tokens() == 64
    assert tokens(samples__length=32) == 32
    assert tokens(**stopping) == LONGEST
    assert tokens(**stopping, data__length=66, finetune__block_size=6) == LONGEST // 6 * 6
    assert tokens(**stopping, samples__length=2048) == 2048
    assert tokens(**stopping, objective__name="sedd") == 64
    assert tokens(**stopping, objective__name="sedd", samples__length=2048) == 64
    assert tokens(**stopping, objective__name="sedd", samples__length=32) == 32


def test_a_judge_named_by_its_place_is_looked_for_before_a_sweep_starts(tmp_path: Path) -> None:
    for place in ("./nowhere", "/nowhere", "~/nowhere/at/all"):
        with pytest.raises(InvalidConfig, match=r"samples.judge: .*nowhere.*: there is no such folder"):
            config(samples__num=1, samples__judge=place).check_files()
        config(samples__judge=place).check_files()
    config(samples__num=1, samples__judge="gpt2-large").check_files()
    config(samples__num=1, samples__judge=str(tmp_path)).check_files()


def test_a_calibration_draws_no_text() -> None:
    assert short(config(samples__num=300).to_dotted(), "finetune").samples.num == 0


def test_the_settings_are_listed() -> None:
    lines = run("fields").stdout.splitlines()
    for name in ("evaluation.zero_shot = (): ", "samples.num = 0: ", "samples.judge = None: "):
        assert any(line.startswith(name) for line in lines), name
    assert f"samples.sampler.name: one of {', '.join(map(kind_of, SAMPLERS))}" in lines
    with_steps = [kind_of(each) for each in SAMPLERS if "steps" in each.model_fields]
    assert f"samples.sampler.steps = 64 ({', '.join(with_steps)}): T, for each block." in lines
    assert any(line.startswith("samples.stopping.eos = True: ") for line in lines)
