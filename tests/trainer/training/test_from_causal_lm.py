"""Runs that go on from a causal model of transformers: AR to block diffusion."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.trainer.causal_models import HEADS, LAYERS, WIDTH, saved
from tests.trainer.tiny_runs import reports_of, same_tensors, tiny_config, write_corpus
from trainer.checkpoints import checkpoint
from trainer.checkpoints.trained import open_trained
from trainer.cli.main import app
from trainer.config.problems import InvalidConfig, MissingFiles
from trainer.config.stored import read_config
from trainer.config.train_config import TrainConfig
from trainer.data.corpus import load, prepare
from trainer.network.adapted import Adapted

KINDS = ("gpt2", "llama", "qwen2", "qwen3")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def tokenizer(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus's own, as if the model had been trained with it."""
    data = tiny_config(corpus).data
    for _ in prepare(data):
        pass
    folder = tmp_path_factory.mktemp("tokenizer")
    load(data).tokenizer.save(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """With the tokenizer beside the weights."""
    words = json.loads((tokenizer / "special_ids.json").read_text())["vocab_size"] - 1
    home = tmp_path_factory.mktemp("models")
    made = {kind: saved(kind, home / kind, vocab_size=words) for kind in KINDS}
    for folder in made.values():
        shutil.copytree(tokenizer, folder, dirs_exist_ok=True)
    return made


SHAPE = ("model.width", "model.layers", "model.heads")


def config_of(corpus: Path, source: Path, **changes: Any) -> TrainConfig:
    """Of two steps' pretrain, on from the source; the network's shape is not said."""
    run = {"pretrain__steps": 4, "finetune__steps": 6, "finetune__lr": 1e-3, "evaluation__every": 6}
    values = tiny_config(corpus, **{**run, **changes}).to_dotted()
    said = {key: value for key, value in values.items() if key not in SHAPE}
    return TrainConfig.from_dotted({**said, "pretrain.from": str(source), "data.tokenizer": str(source)})


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_tuned_and_opened_again_without_its_source(
    kind: str, corpus: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    source = Path(shutil.copytree(folders[kind], tmp_path / "source"))
    config = config_of(corpus, source)
    assert (config.model.width, config.model.layers, config.model.heads) == (WIDTH, LAYERS, HEADS)
    reports = reports_of(config, tmp_path / "run")
    assert reports[-1].step == 10
    assert all(math.isfinite(value) for value in reports[-1].values.values())

    facts = checkpoint.read_facts(tmp_path / "run" / "best.safetensors")
    assert facts["source"]["model_type"] == kind
    # The tokenizer is in the corpus; the model itself is needed no more.
    for file in ("model.safetensors", "config.json"):
        (source / file).unlink()
    again = read_config(tmp_path / "run")
    trained = open_trained(again, tmp_path / "run" / "best.safetensors", device="cpu")
    assert isinstance(trained.model, Adapted)
    for command in ("evaluate", "sample"):
        done = CliRunner().invoke(app, [command, str(tmp_path / "run")])
        assert done.exit_code == 0, done.output


def test_at_step_0_it_is_its_source(corpus: Path, folders: dict[str, Path], tmp_path: Path) -> None:
    """A learning rate that moves nothing: in blocks of one the bound is the source's own likelihood."""
    from transformers import AutoModelForCausalLM

    how = {"pretrain__steps": 0, "finetune__steps": 1, "finetune__lr": 1e-12, "finetune__block_size": 1}
    config = config_of(corpus, folders["llama"], **how, evaluation__every=1)
    (report,) = [each for each in reports_of(config, tmp_path / "run") if each.evaluations]
    theirs = AutoModelForCausalLM.from_pretrained(folders["llama"]).eval()
    trained = open_trained(config, tmp_path / "run" / "last.safetensors", device="cpu")
    x0_BL = torch.from_numpy(trained.corpus.valid.tokens_SL[:4].astype("int64"))
    with torch.no_grad():
        log_probs = theirs(x0_BL).logits[:, :-1].log_softmax(dim=-1)
    nats = -log_probs.gather(2, x0_BL[:, 1:, None]).squeeze(2)
    found = config.objective.bound(trained.model, x0_BL, 1, 1, [0] * 4)
    torch.testing.assert_close(found[:, 1:].float(), nats, atol=1e-5, rtol=0)
    assert report.evaluations[0].provenance["bound"] == "exact"


@pytest.mark.parametrize("objective", ["ar", "mdlm"])
def test_other_objectives_go_on_from_it(
    objective: str, corpus: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    size = 1 if objective == "ar" else 16
    how = {"objective__name": objective, "pretrain__block_size": size, "finetune__block_size": size}
    reports = reports_of(config_of(corpus, folders["qwen2"], **how), tmp_path / "run")
    assert math.isfinite(reports[-1].evaluations[0].nelbo)
    done = CliRunner().invoke(app, ["sample", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output


def test_a_killed_run_goes_on_with_the_same_bits(
    corpus: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    from trainer.training.train import train

    config = config_of(corpus, folders["gpt2"], checkpoint__every=1e-9, log_every=1)
    reports_of(config, tmp_path / "whole")
    run = train(config, tmp_path / "cut", device="cpu")
    for report in run:
        if report is not None and report.step == 7:
            run.close()
    reports_of(config, tmp_path / "cut")
    whole, cut = (
        checkpoint.load(each / "last.safetensors", tensors(config, each), ("model.", "ema.", "optimizer."))
        for each in (tmp_path / "whole", tmp_path / "cut")
    )
    assert same_tensors(whole, cut)


def tensors(config: TrainConfig, folder: Path) -> dict[str, torch.Tensor]:
    with checkpoint.Checkpoint(folder / "last.safetensors") as file:
        return {name: file.tensor(name) for name in file.entries}


def test_a_run_is_identified_by_weights_and_by_how_they_are_put_together(
    corpus: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    def keys(source: Path) -> tuple[str, str]:
        config = config_of(corpus, source)
        config = config.model_copy(update={"data": tiny_config(corpus).data})  # its tokenizer has a place
        return config.stage_key(), json.dumps(config.content(), sort_keys=True)

    moved = Path(shutil.copytree(folders["llama"], tmp_path / "elsewhere"))
    assert keys(moved) == keys(folders["llama"])
    said = json.loads((moved / "config.json").read_text())
    (moved / "config.json").write_text(json.dumps({**said, "transformers_version": "another"}))
    assert keys(moved) == keys(folders["llama"])
    (moved / "config.json").write_text(json.dumps({**said, "rms_norm_eps": 1e-5}))
    assert keys(moved) != keys(folders["llama"])
    assert keys(folders["qwen2"]) != keys(folders["llama"])


@pytest.mark.parametrize(
    ("kind", "said", "problem"),
    [
        (
            "llama",
            {"model__width": 32, "model__heads": 4},
            ("model.width", "32, .* has 24: leave it out"),
        ),
        ("llama", {"model__layers": 2}, ("model.layers", "2, but .* has 4")),
        ("gpt2", {"data__length": 32}, ("data.length", "32, but .* has 16 positions")),
        (
            "gpt2",
            {"samples__num": 1, "samples__length": 20},
            ("samples.length", "20, .* has 16 positions"),
        ),
        (
            "llama",
            {"objective__name": "sedd", "pretrain__block_size": 16, "finetune__block_size": 16},
            (
                "objective.name",
                "sedd tells a network its noise, and the model of pretrain.from cannot be told",
            ),
        ),
    ],
)
def test_what_contradicts_it_is_said_by_its_key(
    kind: str, said: dict[str, Any], problem: tuple[str, str], corpus: Path, folders: dict[str, Path]
) -> None:
    values = {**config_of(corpus, folders[kind]).to_dotted()}
    values |= {key.replace("__", "."): value for key, value in said.items()}
    config = TrainConfig.from_dotted(values)
    with pytest.raises(InvalidConfig, match=problem[1]) as caught:
        config.check_files()
    assert caught.value.problems[0].key == problem[0]


def test_a_model_that_is_not_there_or_not_read_is_a_sentence(
    corpus: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(MissingFiles, match=r"pretrain.from: .*nowhere: there is no such checkpoint"):
        config_of(corpus, tmp_path / "nowhere").check_files()
    other = Path(shutil.copytree(folders["llama"], tmp_path / "other"))
    said = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(
        json.dumps({**said, "model_type": "gemma", "architectures": ["GemmaForCausalLM"]})
    )
    with pytest.raises(MissingFiles, match=r"'gemma' is none of .* read \(gpt2, llama, qwen2, qwen3\)"):
        config_of(corpus, other).check_files()


def test_it_comes_in_by_training_alone(folders: dict[str, Path], tmp_path: Path) -> None:
    come = CliRunner().invoke(app, ["import", str(folders["llama"]), "--out", str(tmp_path / "in")])
    assert come.exit_code
    assert "a llama of transformers is no run yet" in " ".join(come.output.split())


def test_it_goes_out_as_it_came_in(corpus: Path, folders: dict[str, Path], tmp_path: Path) -> None:
    """For a run that goes on from there it is what it was: its vocabulary, and the mask's trained row."""
    config = config_of(corpus, folders["llama"], pretrain__steps=0)
    reports_of(config, tmp_path / "run")
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["export", str(tmp_path / "run"), "--out", str(out)])
    assert done.exit_code == 0, done.output

    still = {"pretrain__steps": 0, "finetune__steps": 1, "finetune__lr": 1e-12, "evaluation__every": 1}
    again = config_of(corpus, out, **still)
    assert again.stage_key() != config.stage_key()
    reports_of(again, tmp_path / "again")
    ended, begun = (
        open_trained(each, tmp_path / name / "best.safetensors", device="cpu")
        for each, name in ((config, "run"), (again, "again"))
    )
    assert begun.corpus.tokenizer.fingerprint == ended.corpus.tokenizer.fingerprint
    for (name, was), now in zip(ended.model.named_parameters(), begun.model.parameters(), strict=True):
        torch.testing.assert_close(now, was, atol=1e-6, rtol=0, msg=name)
