"""A look at a corpus: what is wrong is said by the field to change, nothing is prepared, and transformers is
not needed."""

import errno
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from trainer.data.files import Files
from trainer.data.looking import look
from trainer.data.pretrained import glance, pretrained
from trainer.data.synthetic import Synthetic
from trainer.data.wikitext import WikiText
from trainer.errors import DataError


def rows(folder: Path, name: str, *each: object) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in each)
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def words(folder: Path, config: object | None, mask: str | None = None) -> Path:
    """A tokenizer of words in a folder of its own; config: what tokenizer_config.json says."""
    folder.mkdir()
    vocabulary = {word: i for i, word in enumerate(["[UNK]", "</s>", "[M]", "a", "b"])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.save(str(folder / "tokenizer.json"))
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


MASK = {"__type": "AddedToken", "content": "[M]", "lstrip": False, "rstrip": False, "single_word": False}
MASK |= {"normalized": False}
GOOD = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "mask_token": MASK}


def test_what_is_right_is_right(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some text")
    parquet.write_table(pa.table({"text": ["", None, "word"]}), tmp_path / "b.parquet")
    rows(tmp_path, "c.jsonl.gz", {"text": None}, {"text": "word"})
    tokenizer = str(words(tmp_path / "tok", GOOD))
    for name in ("*.txt", "b.parquet", "c.jsonl.gz", "[a-c].*"):
        found = look(Files(train=str(tmp_path / name), tokenizer=tokenizer))
        assert found == ({}, {})
    assert look(Synthetic()) == ({}, {})


def test_a_text_that_is_not_there_is_said_by_its_split(tmp_path: Path) -> None:
    here = rows(tmp_path, "here.jsonl", {"text": "word"})
    there = tmp_path / "nosuch" / "*.txt"
    assert look(Files(train=str(there))).wrong == {"train": f"{there} matches no file"}
    assert look(Files(train=str(here), test=str(there))).wrong == {"test": f"{there} matches no file"}
    folder = look(Files(train=str(here), valid=str(tmp_path))).wrong
    assert folder == {"valid": f"{tmp_path} is a folder: name its files, as in '*.txt'"}


def test_a_field_that_is_not_there_is_said_once(tmp_path: Path) -> None:
    here = rows(tmp_path, "here.jsonl", {"body": "word"})
    expected = {"field": f"{here}:1 has no text in 'text' (it has body)"}
    assert look(Files(train=str(here), valid=str(here))).wrong == expected
    assert look(Files(train=str(here), field="body")).wrong == {}
    parquet.write_table(pa.table({"text": [1, 2]}), tmp_path / "b.parquet")
    numbers = look(Files(train=str(tmp_path / "b.parquet"))).wrong
    assert numbers == {"field": f"{tmp_path / 'b.parquet'} has no text in 'text' but int64"}


def test_every_file_of_a_pattern_is_looked_into(tmp_path: Path) -> None:
    rows(tmp_path, "a.jsonl", {"text": "word"})
    (tmp_path / "b.jsonl").write_text("{\n")
    assert (
        look(Files(train=str(tmp_path / "*.jsonl")))
        .wrong["train"]
        .startswith(f"{tmp_path / 'b.jsonl'}:1 is not JSON")
    )


def test_no_text_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" \n")
    rows(tmp_path, "b.jsonl", {"text": None}, {"text": " "})
    pattern = tmp_path / "*.*"
    assert look(Files(train=str(pattern))).wrong == {"train": f"there is no text in {pattern}"}


def test_a_split_without_a_document_is_said_before_anything_runs(tmp_path: Path) -> None:
    """One file is one document: neither valid nor test would have any."""
    book, other, third = (tmp_path / name for name in ("book.txt", "other.txt", "third"))
    book.write_text("".join(f"line {i}\n" for i in range(200)))
    other.write_text("other words")
    third.write_text("and others")
    said = look(Files(train=str(book)), trained=True).wrong["train"]
    assert said.startswith("1 document, which does not fall to ")
    assert "data.document: line" in said
    assert (
        "2 documents, none of which"
        in look(Files(train=str(tmp_path / "*.txt")), trained=True).wrong["train"]
    )
    for enough in (
        Files(train=str(book), document="line"),
        Files(train=str(book), valid=str(other), test=str(third)),
    ):
        assert look(enough, trained=True) == ({}, {})
    assert look(Files(train=str(book))) == ({}, {}), "scored on alone, it needs no other split"


def test_a_split_whose_files_are_all_another_splits_is_said_before_anything_runs(tmp_path: Path) -> None:
    """A document that stands in two of them falls to test, else to valid: it would have none."""
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"some text of {name}")
    a, both = str(tmp_path / "a.txt"), str(tmp_path / "*.txt")
    assert "all of its files are" in look(Files(train=a, valid=a, test=both), trained=True).wrong["valid"]
    assert "all of its files are" in look(Files(train=both, valid=both), trained=True).wrong["train"]
    found = look(Files(train=both, valid=a, test=a, document="line"), trained=True)
    assert list(found.wrong) == ["valid"]


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 " * 4)
    assert "is not UTF-8 text" in look(Files(train=str(tmp_path / "latin.txt"))).wrong["train"]

    def broken(path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))  # without a name, as a read raises it

    monkeypatch.setattr("trainer.data.documents.open_file", broken)
    said = look(Files(train=str(tmp_path / "latin.txt"))).wrong["train"]
    assert said == f"{tmp_path / 'latin.txt'}: {os.strerror(errno.EIO)}"


def test_a_long_text_is_not_read_whole(tmp_path: Path) -> None:
    sparse = tmp_path / "long.txt"
    with sparse.open("wb") as file:
        file.write(b"word ")
        file.truncate(1 << 40)
    assert look(Files(train=str(sparse))) == ({}, {})


def test_a_tokenizer_is_a_folder_or_a_name_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train = str(rows(tmp_path, "here.jsonl", {"text": "word"}))
    for name in ("./nosuch", "/nosuch", "a/b/c", f"{tmp_path.name}/../nosuch"):
        found = look(Files(train=train, tokenizer=name))
        assert found == ({"tokenizer": f"{name}: there is no such folder"}, {})
    for name in ("gpt2", "owner/name"):
        found = look(Files(train=train, tokenizer=name))
        said = f"{name} is no folder here: as a name on the hub it is not looked at"
        assert found == ({}, {"tokenizer": said})
    Path("owner").mkdir()  # then it is a path, mistyped
    assert look(Files(train=train, tokenizer="owner/name")).wrong


def test_a_corpus_on_the_hub_is_not_asked_for(tmp_path: Path) -> None:
    assert list(look(WikiText()).unseen) == ["path"]
    assert look(WikiText(path=str(tmp_path))).wrong == {"path": f"{tmp_path} is empty"}
    (tmp_path / "train.parquet").touch()
    assert list(look(WikiText(path=str(tmp_path))).unseen) == ["path"]


@pytest.mark.parametrize(
    ("config", "eos", "said"),
    [
        (GOOD, None, ""),
        (GOOD, "a", ""),
        (GOOD, "nosuch", "has no token 'nosuch' (data.eos)"),
        ({**GOOD, "mask_token": "[UNK]"}, None, "'[UNK]' is both its mask and its token for unknown words"),
        ({**GOOD, "mask_token": "</s>"}, None, "is both its mask and its BOS"),
        (None, None, "has no token that ends a document"),
        (None, "</s>", ""),
        ("text", None, "is damaged"),
    ],
)
def test_a_glance_says_what_opening_says(tmp_path: Path, config: object, eos: str | None, said: str) -> None:
    folder = str(words(tmp_path / "tok", config))

    def of(opening: object) -> str:
        try:
            opening(folder, eos)  # type: ignore[operator]
        except DataError as error:
            return str(error)
        return ""

    glanced = of(glance)
    assert said in glanced
    assert bool(glanced) == bool(said)
    if not isinstance(config, str):  # of which the library says so in its own words
        assert of(pretrained) == glanced


def test_a_look_imports_neither_transformers_nor_torch(tmp_path: Path) -> None:
    train = str(rows(tmp_path, "here.jsonl", {"text": "word"}))
    tokenizer = str(words(tmp_path / "tok", GOOD))
    code = (
        "import sys; from trainer.data.files import Files; from trainer.data.looking import look\n"
        f"print(look(Files(train={train!r}, tokenizer={tokenizer!r})).wrong)\n"
        "print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["{}", "[]"]
