"""A trained model on another corpus: the same bound, its own tokenizer and length."""

import json
import math
from pathlib import Path

import pytest

from tests.trainer.cli.test_trainer_cli import run
from tests.trainer.data.test_corpora import Copy, copy
from tests.trainer.tiny_runs import reports_of, returned, tiny_config, write_corpus
from trainer.checkpoints.trained import open_trained
from trainer.config.stored import read_config
from trainer.config.train_config import TrainConfig
from trainer.data.corpus import load
from trainer.evaluation.bound import evaluate

__all__ = ["copy"]  # a fixture


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def folder(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    config = tiny_config(corpus, pretrain__steps=0, data__forced_eos=True, evaluation__test=False)
    reports_of(config, folder)
    return folder


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Text without a word of the trained corpus, in all three splits; train cannot be read."""
    folder = tmp_path_factory.mktemp("other")
    (folder / "train.txt").write_bytes(b"\xff")
    for split, animal in (("valid", "foxes"), ("test", "dogs")):
        (folder / f"{split}.txt").write_text("".join(f"{animal} {i} jump over it\n" for i in range(60)))
    splits = (f"data.{split}={folder / split}.txt" for split in ("train", "valid", "test"))
    return ["data.name=files", "data.document=line", *splits]


def corpora(*words: str) -> list[dict]:
    result = run("zero-shot", *words, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["corpora"]


def own(corpus: Path) -> list[str]:
    return ["data.name=files", f"data.train={corpus}", "data.document=line"]


def test_on_its_own_corpus_it_is_what_evaluate_says(folder: Path, corpus: Path) -> None:
    (found,) = corpora(str(folder), *own(corpus), "--split", "valid")
    expected = json.loads(run("evaluate", str(folder), "--json").stdout)
    for key in ("nelbo", "se", "nats_D", "tokens_D", "provenance", "identity"):
        assert found[key] == expected[key], key
    assert found["values"]["val_ppl"] == expected["values"]["val_ppl"]


def test_on_another_it_is_the_same_bound(folder: Path, other: list[str]) -> None:
    (found,) = corpora(str(folder), *other)
    config = read_config(folder)
    assert found["split"] == "test"
    assert found["identity"]["length"] == config.data.length
    assert found["identity"]["packing"] == "1 forced_eos"
    assert found["identity"]["tokenizer"] == load(config.data).tokenizer.fingerprint
    trained = open_trained(config, folder / "best.safetensors", device="cpu")
    dotted = {name.partition("=")[0]: name.partition("=")[2] for name in other}
    values = {**dotted, "data.tokenizer": str(trained.corpus.folder), "data.length": 16}
    data = TrainConfig.from_dotted({**values, "data.forced_eos": True, "finetune.block_size": 4}).data
    model, _, block_size, step = trained
    again = returned(
        evaluate(model, config.objective, block_size, "test", load(data, ("test",)), config.evaluation, step)
    )
    assert (found["nelbo"], found["identity"]) == (again.nelbo, again.identity)
    margin = found["values"]["test_ppl_high"] / found["values"]["test_ppl"]
    assert 1 < margin < math.inf
    assert found["values"]["test_ppl_low"] == pytest.approx(found["values"]["test_ppl"] / margin)
    (valid,) = corpora(str(folder), *other, "--split", "valid")
    assert (valid["split"], valid["identity"]["corpus"]) == ("valid", "files")
    assert valid["nelbo"] != found["nelbo"]


def test_several_corpora_in_one_call(folder: Path, corpus: Path, other: list[str]) -> None:
    both = corpora(str(folder), "evaluation.sequences=6", *own(corpus), *other, "evaluation.draws=2")
    assert [each["identity"]["sequences"] for each in both] == [6, 6]
    (alone,) = corpora(str(folder), *other, "evaluation.sequences=6", "evaluation.draws=2")
    assert both[1] == alone
    shown = run("zero-shot", str(folder), *own(corpus), *other).stdout.splitlines()
    assert shown[0] == shown[len(shown) // 2] == "files, test split; trained on files"
    assert sum(line.startswith("  identity: corpus files, ") for line in shown) == 2


TEXTS = [f"A passage number {i} ." for i in range(40)]
LINES = [line for i in range(40) for line in ("", f" = Title {i} = \n", "", f" Text {i} of it . \n")]


@pytest.mark.parametrize(
    ("words", "config", "column", "documents"),
    [
        (["data.name=lambada"], "default", "text", TEXTS),
        (["data.name=wikitext", "data.config=wikitext-2-raw-v1"], "wikitext-2-raw-v1", "text", LINES),
        (["data.name=lm1b"], "plain_text", "text", TEXTS),
        (["data.name=ptb"], "penn_treebank", "sentence", TEXTS),
        (["data.name=openwebtext", "data.held_out=40"], "plain_text", "text", TEXTS * 3),
    ],
    ids=lambda value: value[0].partition("=")[2] if isinstance(value, list) and "=" in value[0] else "",
)
def test_the_fields_corpora_up_to_max_documents(
    words: list[str], config: str, column: str, documents: list[str], folder: Path, copy: Copy
) -> None:
    splits = {"train": documents} if "openwebtext" in words[0] else {"train": ["x"], "test": documents}
    words = [*words, f"data.path={copy(config, column, **splits)}"]
    (all_of_it,) = corpora(str(folder), *words, "evaluation.sequences=1000")
    (found,) = corpora(str(folder), *words, "evaluation.sequences=1000", "data.max_documents=20")
    assert found["identity"]["corpus"] == words[0].partition("=")[2]
    assert len(all_of_it["nats_D"]) in (39, 40)  # the end of the last may not fill a sequence
    assert len(found["nats_D"]) in (19, 20)


def test_a_split_that_is_not_there(folder: Path, copy: Copy) -> None:
    words = ("data.name=lambada", f"data.path={copy('default', test=TEXTS)}", "--split", "valid")
    result = run("zero-shot", str(folder), *words)
    assert (result.returncode, result.stderr) == (3, "lambada has no valid split, only test\n")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["data.length=32"], 3, "data.length: a model is scored with its own; leave it out"),
        (["data.tokenizer=bpe"], 3, "data.tokenizer: a model is scored with its own; leave it out"),
        (["finetune.lr=1"], 3, "finetune.lr: a trained run keeps its settings; only data.* and evaluation.*"),
        (["evaluation.draws=2"], 2, "no corpus: data.name=wikitext, for one"),
        (["data.name=wikitxt"], 3, "data.name: 'wikitxt' is none of "),
        (["data.name=ptb", "data.pth=x"], 3, "data.pth: unknown; did you mean data.path?"),
        (["data.name=files", "data.train=/nowhere"], 3, "data.train: /nowhere matches no file."),
        (["data.name=synthetic"], 3, "synthetic brings its own tokenizer, and the model was trained with"),
    ],
)
def test_a_mistake_is_one_sentence(folder: Path, words: list[str], code: int, sentence: str) -> None:
    result = run("zero-shot", str(folder), *words)
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.startswith(sentence)
    assert len(result.stderr.splitlines()) == 1


def test_too_little_text_for_one_sequence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("a\n")
    splits = [f"data.{split}={tmp_path}/short.txt" for split in ("train", "valid", "test")]
    result = run("zero-shot", str(folder), "data.name=files", *splits)
    assert result.returncode == 3
    assert "fewer than one sequence of length 16" in result.stderr
