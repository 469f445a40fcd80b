"""Learning rates, block sizes, weight decay, dropout, clip norm and AR terms of a phase, in real runs."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.trainer.tiny_runs import (
    reports_of,
    returned,
    same_tensors,
    tiny_config,
    without_seconds,
    write_corpus,
)
from trainer.checkpoints.trained import open_trained
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig, content_hash
from trainer.evaluation.bins import bins
from trainer.evaluation.bound import evaluate
from trainer.evaluation.clip_search import clip_search
from trainer.evaluation.variance import variance
from trainer.metrics import BY_NAME, RANKABLE
from trainer.noise.clips import AutoClip
from trainer.randomness import seed_of
from trainer.settings.phase import Phase
from trainer.training.calibrate import typical
from trainer.training.cuda_graphs import captures
from trainer.training.learner import Learner, Step
from trainer.training.part import finetune_of
from trainer.training.rows import read_rows
from trainer.training.run import Run
from trainer.training.train import train

AXES: dict[str, dict[str, Any]] = {
    "cosine": {"finetune__lr_schedule__name": "cosine"},
    "wsd": {"finetune__lr_schedule__name": "wsd", "finetune__lr_schedule__decay": 0.8},
    "mixture": {"finetune__blocks__name": "mixture"},
    "curriculum": {"finetune__blocks__name": "curriculum", "finetune__blocks__sizes": [1, 8, 4]},
    "complementary": {"finetune__complementary": True},
    "hybrid": {"finetune__ar_weight": 0.5, "finetune__loss_norm": "masked"},
    "regularised": {
        "finetune__weight_decay": 0.1,
        "finetune__dropout": 0.3,
        "finetune__clip_norm": 0.05,
    },
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def stage(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pretrain that all of these share."""
    folder = tmp_path_factory.mktemp("plain")
    reports_of(short(corpus), folder)
    return folder / "pretrain"


def short(corpus: Path, **changes: Any) -> TrainConfig:
    few = {"pretrain__steps": 6, "finetune__steps": 12, "evaluation__every": 12, "log_every": 1}
    return tiny_config(corpus, **{**few, "evaluation__variance_batches": 0, **changes})


@pytest.mark.parametrize("axis", AXES)
def test_each_is_another_configuration_of_the_same_pretrain(corpus: Path, axis: str) -> None:
    plain, other = short(corpus), short(corpus, **AXES[axis])
    assert other.stage_key() == plain.stage_key()
    assert content_hash(other.content()) != content_hash(plain.content())
    assert TrainConfig.from_dotted(other.to_dotted()) == other
    of_pretrain = {name.replace("finetune", "pretrain"): value for name, value in AXES[axis].items()}
    assert short(corpus, **of_pretrain).stage_key() != plain.stage_key()


def test_what_the_run_says_already_is_no_other_configuration(corpus: Path) -> None:
    plain = short(corpus, optimizer__weight_decay=0.1)
    same = {"finetune__weight_decay": 0.1, "pretrain__clip_norm": 1.0, "finetune__dropout": 0.1}
    again = short(corpus, optimizer__weight_decay=0.1, **same)
    assert (again.content(), again.stage_key()) == (plain.content(), plain.stage_key())


SHORT = ("wsd", "mixture")  # one of each that depends on the step


@pytest.mark.parametrize(
    "axis", [axis if axis in SHORT else pytest.param(axis, marks=pytest.mark.long) for axis in AXES]
)
def test_closed_in_the_middle_it_ends_with_the_same_bits(
    corpus: Path, stage: Path, tmp_path: Path, axis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.training.train.HEARTBEAT", 0.0)
    config = short(corpus, **AXES[axis])
    straight, closed = tmp_path / "straight", tmp_path / "closed"
    reports_of(config, straight, pretrained=stage)
    running = train(config, closed, pretrained=stage, device="cpu")
    for _ in running:
        ledger = closed / "ledger.txt"
        if ledger.exists() and ledger.read_text().endswith(" 13\n"):
            break
    running.close()
    reports_of(config, closed, pretrained=stage, attempt=2)
    for name in ("last.safetensors", "best.safetensors"):
        assert same_tensors(load_file(straight / name), load_file(closed / name)), name
    rows = [without_seconds(list(read_rows(folder / "rows.jsonl"))) for folder in (straight, closed)]
    assert rows[0] == rows[1]
    ended = load_file(straight / "last.safetensors")
    plain = load_file(stage.parent / "last.safetensors")
    assert any(not torch.equal(ended[name], plain[name]) for name in plain if name.startswith("model."))


def test_the_rate_of_a_branch_goes_down_from_the_stable_parts(
    corpus: Path, stage: Path, tmp_path: Path
) -> None:
    """WSD: the stable part is the pretrain that all share, its decay a fine-tune that goes on with AdamW."""
    decay = {"finetune__lr_schedule__name": "wsd", "finetune__lr_schedule__decay": 1, "finetune__warmup": 0}
    config = short(corpus, **decay)
    rates = [report.values["lr"] for report in reports_of(config, tmp_path, pretrained=stage)]
    assert rates[0] == config.pretrain.lr == config.finetune.lr
    assert all(later < earlier for earlier, later in pairwise(rates))


def test_what_a_phase_says_goes_over_what_the_run_says(corpus: Path, stage: Path, tmp_path: Path) -> None:
    config = short(corpus, **AXES["regularised"])
    run = Run(finetune_of(config), config, tmp_path, stage, 1, "cpu")
    (group,) = run.learner.optimizer.param_groups
    assert group["weight_decay"] == 0.1
    assert {block.dropout for block in run.learner.model.blocks} == {0.3}
    run.take_step()
    norms = [p.grad.norm() for p in run.learner.model.parameters() if p.grad is not None]
    assert torch.stack(norms).norm().item() <= 0.05 * (1 + 1e-4) < run.progress.norm_sum
    assert config.within(config.pretrain) == config


def test_steps_are_trained_at_their_sizes_and_the_run_is_judged_at_its_own(
    corpus: Path, stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = short(corpus, **AXES["mixture"])
    seen: list[int] = []
    take = Learner.take_step

    def noted(self: Learner, step: Step) -> tuple[float, float]:
        seen.append(step.phase.block_size)
        return take(self, step)

    monkeypatch.setattr(Learner, "take_step", noted)
    reports_of(config, tmp_path, pretrained=stage)
    seed = seed_of(config.seed, "finetune")
    assert seen == [config.finetune.at_size(seed, step).block_size for step in range(1, 13)]
    assert len(set(seen)) > 1
    model, loaded, block_size, _ = open_trained(config, tmp_path / "last.safetensors", device="cpu")
    assert block_size == 4
    look = returned(evaluate(model, config.objective, 4, "valid", loaded, config.scoring, 18))
    assert look.nelbo == list(read_rows(tmp_path / "rows.jsonl"))[-1].evaluations[0].nelbo


def test_one_checkpoint_is_read_at_other_block_sizes(corpus: Path, stage: Path, tmp_path: Path) -> None:
    config = short(corpus, evaluation__block_sizes=[1, 4, 8])
    report = reports_of(config, tmp_path, pretrained=stage)[-1]
    looks = {each.split: each for each in report.evaluations}
    assert list(looks) == ["valid", "test", "L1", "L4", "L8"]
    model, loaded, _, step = open_trained(config, tmp_path / "best.safetensors", device="cpu")
    for size, kind in ((1, "exact"), (4, "enumerated"), (8, "sampled")):
        look = looks[f"L{size}"]
        again = returned(evaluate(model, config.objective, size, "valid", loaded, config.scoring, step))
        assert (look.nelbo, look.identity) == (again.nelbo, again.identity)
        assert look.identity == looks["valid"].identity, "the same tokens: a fair comparison"
        assert look.provenance["bound"] == kind
        assert not look.ranks
        assert report.values[f"val_nelbo/L{size}"] == look.nelbo
        assert report.values[f"val_ppl/L{size}"] == math.exp(look.nelbo)
        assert f"val_nelbo/L{size}" not in {*RANKABLE, *BY_NAME}
    assert looks["L4"].nelbo == looks["valid"].nelbo
    assert report.values["val_nelbo"] == looks["valid"].nelbo


def test_they_are_read_as_finely_as_what_ranks(corpus: Path, stage: Path, tmp_path: Path) -> None:
    fine = {"evaluation__block_sizes": 8, "evaluation__rank_error": 0.05, "finetune__block_size": 8}
    report = reports_of(short(corpus, **fine), tmp_path, pretrained=stage)[-1]
    looks = {each.split: each for each in report.evaluations if each.split == "L8" or each.ranks}
    assert looks["L8"].provenance == looks["valid"].provenance
    assert looks["L8"].nelbo == looks["valid"].nelbo


@pytest.mark.parametrize("objective", ["ar", "mdlm"])
def test_a_model_of_one_block_size_has_no_such_rows(corpus: Path, tmp_path: Path, objective: str) -> None:
    one = {"pretrain__block_size": 1, "finetune__block_size": 1} if objective == "ar" else {}
    one = one or {"finetune__block_size": 16}
    config = short(corpus, objective__name=objective, evaluation__block_sizes=[4], **one)
    assert {each.split for each in reports_of(config, tmp_path)[-1].evaluations} == {"valid", "test"}


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"finetune__blocks": {"name": "mixture", "sizes": [4, 5]}}, "finetune.blocks.sizes"),
        ({"objective__name": "mdlm", "finetune__blocks__name": "mixture"}, "finetune.blocks.sizes"),
        ({"evaluation__block_sizes": [4, 3]}, "evaluation.block_sizes"),
        ({"evaluation__block_sizes": [4, 4]}, "evaluation.block_sizes"),
        ({"objective__name": "ar", "finetune__ar_weight": 1}, "finetune.ar_weight"),
        ({"objective__name": "ar", "finetune__loss_norm": "masked"}, "finetune.loss_norm"),
        ({"objective__name": "sedd", "finetune__ar_weight": 1}, "finetune.ar_weight"),
        (
            {
                "finetune__masking__name": "resampled",
                "finetune__clip": {"low": 0.3, "high": 0.8},
                "finetune__blocks__name": "mixture",
            },
            "finetune.masking",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_key(corpus: Path, values: dict[str, Any], key: str) -> None:
    sizes = {"ar": 1, "mdlm": 16, "sedd": 16}.get(values.get("objective__name", ""), 4)
    first = {"pretrain__block_size": 1} if sizes == 1 else {}
    with pytest.raises(InvalidConfig) as caught:
        short(corpus, finetune__block_size=sizes, **first, **values)
    assert [problem.key for problem in caught.value.problems] == [key]


def test_variance_bins_and_clips_are_of_the_diffusion_loss_per_token(corpus: Path, stage: Path) -> None:
    """Whatever term or denominator training adds; the objective's own row has them."""
    plain = short(corpus)
    model, loaded, _, _ = open_trained(plain, stage.parent / "best.safetensors", device="cpu")
    scoring = plain.evaluation.model_copy(update={"variance_batches": 2})
    search = AutoClip(widths=(0.5,), step=0.5)

    def measured(phase: Phase) -> list[Any]:
        given = (model, plain.objective, phase)
        return [
            returned(variance(*given, loaded, scoring)),
            returned(bins(*given, loaded, scoring)),
            returned(clip_search(*given, search, 1.0, loaded, scoring)),
        ]

    usual = measured(plain.finetune)
    for other in (
        {"ar_weight": 0.5},
        {"loss_norm": "sequences"},
        {"loss_norm": "masked"},
        {"complementary": True},
    ):
        found = measured(plain.finetune.model_copy(update=other))
        assert found[0].pop("objective") != usual[0]["objective"]
        assert found[0] == {name: value for name, value in usual[0].items() if name != "objective"}
        assert found[1:] == usual[1:]


@pytest.mark.parametrize("said", [{"finetune__blocks__name": "mixture"}, {"evaluation__block_sizes": [4]}])
def test_flash_attention_has_no_smaller_blocks_to_read(corpus: Path, said: dict[str, Any]) -> None:
    flash = {"finetune__block_size": 16, "compute__attention": "flash"}
    short(corpus, **flash)
    with pytest.raises(InvalidConfig, match="flash attends"):
        short(corpus, **flash, **said)


@pytest.mark.parametrize(("axis", "captured"), [("wsd", True), ("mixture", False), ("hybrid", False)])
def test_a_graph_is_of_one_loss_and_one_size(corpus: Path, axis: str, captured: bool) -> None:
    config = short(corpus, **AXES[axis])
    assert captures(config, config.finetune, torch.device("cuda")) == captured


def test_a_typical_step_is_that_of_its_sizes_by_their_shares() -> None:
    blocks = {"name": "curriculum", "sizes": [1, 4], "shares": [1, 3]}
    phase = TrainConfig.from_dotted({"finetune.blocks": blocks, "finetune.steps": 20}).finetune
    seconds = {step: 2.0 if step <= 5 else 6.0 for step in range(4, 21)}
    assert typical(seconds, phase, 0, "finetune") == pytest.approx(0.25 * 2 + 0.75 * 6)
    assert typical({1: 5.0, 2: 5.0}, phase, 0, "finetune") == 5.0  # what was not seen is as the rest
