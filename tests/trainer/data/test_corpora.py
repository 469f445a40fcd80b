"""The field's corpora, from local copies in the hub's layout: splits, cleaning; what cannot be packed."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import datasets
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from huggingface_hub import constants
from pydantic import TypeAdapter

from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.data import hub, lambada
from trainer.data.base import DataSet, Split
from trainer.data.corpus import identity, load
from trainer.data.files import Files
from trainer.data.lambada import Lambada
from trainer.data.lm1b import Lm1b
from trainer.data.openwebtext import OpenWebText
from trainer.data.ptb import Ptb
from trainer.data.union import AnyCorpus
from trainer.data.wikitext import WikiText
from trainer.errors import DataError

SPLITS: tuple[Split, ...] = get_args(Split)
SHARED = Path(os.environ.get("SHARED", Path(__file__).parents[4] / "shared")) / "data"
BOTH_WAYS = pytest.mark.parametrize("streaming", [False, True], ids=["copied", "streaming"])
Copy = Callable[..., str]


@pytest.fixture
def copy(tmp_path, monkeypatch) -> Copy:
    """Writes a copy of a hub repository: README.md with its configs, tables in parquet, two files a split."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")

    def write(config: str, column: str = "text", **splits: list[str]) -> str:
        folder = tmp_path / "copy"
        (folder / config).mkdir(parents=True, exist_ok=True)
        readme = folder / "README.md"
        lines = readme.read_text().removesuffix("---\n") if readme.exists() else "---\nconfigs:\n"
        lines += f"- config_name: {config}\n  data_files:\n"
        for split, texts in splits.items():
            half = len(texts) // 2
            for i, part in enumerate(each for each in (texts[:half], texts[half:]) if each):
                table = pa.table({column: pa.array(part, pa.string()), "id": list(range(len(part)))})
                parquet.write_table(table, folder / config / f"{split}-{i:05d}-of-00002.parquet")
            lines += f"  - split: {split}\n    path: {config}/{split}-*\n"
        readme.write_text(lines + "---\n")
        return str(folder)

    return write


def read(data: DataSet) -> dict[str, list[str]]:
    return {split: list(data.documents(split)) for split in data.splits}


def lines_of(path: Path) -> list[str]:
    if not path.exists():
        pytest.skip(f"{path} is missing")
    return path.read_text(encoding="utf-8").splitlines()


# --- splits ---


@BOTH_WAYS
def test_a_folder_is_not_taken_for_another_of_its_name(copy, tmp_path, streaming):
    def passages(folder: str | Path) -> list[str]:
        return list(Lambada(path=str(folder), streaming=streaming).documents("test"))

    first = copy("default", test=["One passage of the first."])
    assert passages(first) == ["\nOne passage of the first."]
    moved = Path(first).rename(tmp_path / "first")
    second = copy("default", test=["One of the second.", "Another."])
    assert passages(second) == ["\nOne of the second.", "\nAnother."]
    assert passages(moved) == ["\nOne passage of the first."]
    (tmp_path / "copy" / "README.md").unlink()
    copy("default", test=["Rewritten in", "its place."])
    assert passages(second) == ["\nRewritten in", "\nits place."]


@BOTH_WAYS
def test_openwebtext_holds_out_its_last_pages_as_the_field_does(copy, streaming):
    pages = [f"Page {i}\n\nText." for i in range(50)]
    data = OpenWebText(path=copy("plain_text", train=pages), held_out=7, streaming=streaming)
    assert read(data) == {"train": pages[:36], "test": pages[36:43], "valid": pages[43:]}
    few = data.model_copy(update={"max_documents": 3})
    assert read(few) == {"train": pages[:3], "test": pages[36:39], "valid": pages[43:46]}
    assert data.fingerprint() != data.model_copy(update={"held_out": 8}).fingerprint()
    with pytest.raises(
        DataError, match=r"has 50 pages, too few to hold out twice 25: set data\.held_out lower"
    ):
        data.model_copy(update={"held_out": 25}).documents("valid")


def test_streaming_reads_no_more_than_it_needs(copy, tmp_path, monkeypatch):
    data = OpenWebText(path=copy("plain_text", train=[f"Page {i}" for i in range(50)]), streaming=True)
    monkeypatch.setattr(OpenWebText, "count", lambda self, split: 10**6)
    documents = data.documents("train")
    assert next(documents) == "Page 0"
    assert not (tmp_path / "datasets").exists() or not list((tmp_path / "datasets").rglob("*.arrow"))


@BOTH_WAYS
def test_ptb_has_its_own_splits_and_says_sentence(copy, streaming):
    sentences = ["the company does n't expect <unk> of $ N", "mr. <unk> 's share rose N N to N cents"]
    folder = copy("penn_treebank", "sentence", train=sentences * 3, validation=sentences, test=sentences[1:])
    found = read(Ptb(path=folder, streaming=streaming))
    assert {split: len(texts) for split, texts in found.items()} == {"train": 6, "valid": 2, "test": 1}
    assert found["valid"] == ["the company doesn't expect ? of $1", "mr. ?'s share rose 1 1 to 1 cents"]
    assert read(Ptb(path=folder, detokenize=False))["test"] == sentences[1:]


@pytest.mark.parametrize(
    ("tokenised", "typeset"),
    [
        ("the investors ' money is n't N\\/N of it", "the investors' money isn't 1/1 of it"),
        ("N N of # N million", "1 1 of #1 million"),
        ("it 's <unk> they 've seen", "it's ? they've seen"),
        ("u.s. companies ' <unk>", "u.s. companies' ?"),
        ("N N N-year notes", "1 1 1-year notes"),
    ],
)
def test_ptb_detokenised(tokenised, typeset):
    assert Ptb.typeset(tokenised) == typeset


@BOTH_WAYS
def test_lambada_is_its_test_passages(copy, streaming):
    passages = ["“Yes,” she said. “It’s gone.”  \n", "He left."]
    copy("de", test=["Ein anderer Text."])
    folder = copy("default", test=passages)
    found = read(Lambada(path=folder, streaming=streaming))
    assert found == {"test": ['\n"Yes," she said. "It’s gone."', "\nHe left."]}


def test_lambada_cannot_be_trained_on(copy):
    data = Lambada(path=copy("default", test=["A passage."]))
    for split in ("train", "valid"):
        with pytest.raises(DataError, match=f"lambada has no {split} split, only test: score models on it"):
            data.documents(split)
    with pytest.raises(InvalidConfig, match=r"^data: lambada has no train split, only test"):
        TrainConfig.from_dotted({"data.name": "lambada"})
    adapter: TypeAdapter[DataSet] = TypeAdapter(AnyCorpus)
    assert adapter.validate_python({"name": "lambada"}) == Lambada()
    assert adapter.validate_python(data.model_dump()) == data


def test_lambada_is_packed_with_the_tokenizer_of_what_was_trained(copy, cache, tmp_path):
    trained = load(Files(train=english(tmp_path), length=8, vocab_size=270))
    other = Lambada(path=copy("default", test=["A passage."] * 9), length=8)
    with pytest.raises(DataError, match=r"no train split to make a BPE of: set data\.tokenizer"):
        load(other)
    corpus = load(other.model_copy(update={"tokenizer": str(trained.folder)}))
    assert corpus.tokenizer.fingerprint == trained.tokenizer.fingerprint
    assert corpus.train.tokens_SL.shape == corpus.valid.tokens_SL.shape == (0, 8)
    assert corpus.tokenizer.decode(corpus.test().tokens_SL.ravel()).startswith("\nA passage.\nA pass")
    assert identity(corpus, "test")["corpus"] == "lambada"


@BOTH_WAYS
def test_lm1b_and_wikitext_are_the_same_however_they_are_read(copy, streaming):
    sentences = [f"It 's sentence {i} ." for i in range(100)]
    news = Lm1b(path=copy("plain_text", train=sentences, test=sentences[:3]), streaming=streaming)
    found = read(news)
    assert sorted([*found["train"], *found["valid"]]) == sorted(f"It's sentence {i}." for i in range(100))
    lines = ["", " = Title = \n", "", " One , two . \n", "", " = Other = \n", "", " Three \n"]
    splits = {"train": lines, "validation": lines[:5], "test": lines[4:]}
    for config in get_args(WikiText.model_fields["config"].annotation):
        articles = read(WikiText(path=copy(config, **splits), config=config, streaming=streaming))
        assert [len(texts) for texts in articles.values()] == [2, 1, 1]
        assert "One, two." in articles["valid"][0]


# --- the hub ---


def test_a_repository_that_holds_a_script_is_read_from_its_tables(tmp_path, monkeypatch):
    """The hub's parquet branch: CONFIG/SPLIT/0000.parquet for every config, and no README."""
    for config, text in (("default", "Yes."), ("de", "Ja.")):
        (tmp_path / "branch" / config / "test").mkdir(parents=True)
        parquet.write_table(
            pa.table({"text": [text]}), tmp_path / "branch" / config / "test" / "0000.parquet"
        )
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(hub, "hub_answers", lambda: True)
    real, asked = datasets.load_dataset, []

    def load_dataset(path, config=None, *, revision=None, **given):
        asked.append(revision)
        if revision is None:
            raise RuntimeError("Dataset scripts are no longer supported, but found lambada_openai.py")
        return real(str(tmp_path / "branch"), config, **given)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert read(Lambada()) == {"test": ["\nYes."]}
    assert asked == [None, "refs/convert/parquet"]
    # Of openwebtext that branch has only a part, which would pass for the whole.
    with pytest.raises(DataError, match=r"scripts are no longer supported.*set data\.path"):
        list(OpenWebText().documents("train"))


def test_a_copy_with_another_column_is_named(copy):
    folder = copy("penn_treebank", "text", train=["a"], validation=["a"], test=["a"])
    for streaming in (False, True):
        with pytest.raises(DataError, match=r"has no column 'sentence' \(it has text, id\)"):
            list(Ptb(path=folder, streaming=streaming).documents("test"))


def test_lambada_without_a_hub_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(DataError, match=r"does not answer .*: set data\.path to a folder"):
        list(Lambada().documents("test"))


# --- the shared texts, in the hub's layout ---


def test_shared_lambada(copy):
    rows = lines_of(SHARED / "lambada" / "lambada_test.jsonl")
    found = read(Lambada(path=copy("default", test=[json.loads(row)["text"] for row in rows])))["test"]
    assert len(found) == 5153
    assert not any("“" in text or "”" in text for text in found)
    assert all(text.startswith("\n") and text.strip() == text[1:] for text in found)
    assert lambada.clean(found[0]) == found[0]


def test_shared_openwebtext(copy):
    rows = lines_of(SHARED / "openwebtext" / "owt10k_train.jsonl")
    pages = [json.loads(row)["text"] for row in rows]
    data = OpenWebText(path=copy("plain_text", train=pages), held_out=100, streaming=True)
    assert {split: len(texts) for split, texts in read(data).items()} == {
        "train": 800,
        "valid": 100,
        "test": 100,
    }


def test_shared_lm1b(copy):
    sentences = lines_of(SHARED / "lm1b" / "1b_benchmark.dev.tokens")
    found = read(Lm1b(path=copy("plain_text", train=sentences[:3000], test=sentences[3000:4000])))
    assert len(found["test"]) == 1000
    assert len(found["train"]) + len(found["valid"]) == 3000
    left = sum(" ," in text or " ." in text or " n't" in text for texts in found.values() for text in texts)
    assert left < 10


# --- what cannot be packed ---


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TRAINER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "corpora"


def english(folder: Path, number: int = 200) -> str:
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": f"Document {i} is short."}) + "\n" for i in range(number)))
    return str(path)


def nothing_is_left(cache: Path) -> bool:
    return not [path for path in cache.iterdir() if path.suffix != ".lock"]


def test_too_short_for_one_sequence(copy, cache):
    folder = copy("plain_text", train=["A page."] * 2 + ["Another page."])
    data = OpenWebText(path=folder, held_out=1, length=1024)
    with pytest.raises(DataError, match=r"^test has \d+ tokens in 1 documents, fewer than one sequence"):
        load(data)
    assert nothing_is_left(cache)


def wordlevel(folder: Path, words: list[str], unknown: str | None) -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder.mkdir()
    vocabulary = {word: i for i, word in enumerate([*words, "</s>", *([unknown] if unknown else [])])}
    model = models.WordLevel(vocabulary, unk_token=unknown) if unknown else models.WordLevel(vocabulary)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps(settings | ({"unk_token": unknown} if unknown else {}))
    )
    return str(folder)


def character_bpe(folder: Path) -> str:
    """Knows two Greek letters, and leaves out what it does not know."""
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({"α": 0, "β": 1, "<|endoftext|>": 2}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return str(folder)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda folder: wordlevel(folder, ["α", "β"], None), "cannot encode the text .*data.tokenizer=bpe"),
        (
            lambda folder: wordlevel(folder, ["α", "β", "."], "<unk>"),
            r"cannot encode test \(\d+ of \d+ tokens are unknown to it\)",
        ),
        (character_bpe, r"cannot encode test \(it gives no token\)"),
    ],
)
def test_a_tokenizer_that_cannot_encode_the_text(cache, tmp_path, made, sentence):
    data = Files(train=english(tmp_path), tokenizer=made(tmp_path / "tokenizer"), length=8)
    with pytest.raises(DataError, match=sentence) as error:
        load(data)
    assert "\n" not in str(error.value)
    assert nothing_is_left(cache)


def test_some_unknown_words_are_no_reason(cache, tmp_path):
    tokenizer = wordlevel(tmp_path / "tokenizer", ["Document", "is", "short", "."], "<unk>")
    corpus = load(Files(train=english(tmp_path), tokenizer=tokenizer, length=8))
    assert corpus.tokenizer.unknown_id is not None
    assert (corpus.train.tokens_SL == corpus.tokenizer.unknown_id).mean() < 0.3
