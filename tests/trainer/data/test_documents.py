"""What a file holds, document by document, and what is said where it is not what it seems."""

import gzip
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import documents as of_documents
from trainer.data import tokenizer as of_tokenizer
from trainer.data.documents import documents_of, reading
from trainer.data.files import Files
from trainer.data.pretrained import pretrained
from trainer.data.tokenizer import Tokenizer, pieces, train_bpe
from trainer.errors import DataError


def documents(path: Path, field: str = "text", document: str = "line") -> list[str]:
    return list(documents_of(path, field, document))


ROWS: list[dict[str, Any]] = [
    {"text": "one two", "id": 1, "meta": {"content": "in"}},
    {"text": None, "id": 2, "meta": None},
    {"text": " ", "id": 3, "meta": {"content": None}},
    {"text": 'th"r,ee\tfour', "id": 4, "meta": {"content": "out"}},
]


def write(path: Path) -> Path:
    """ROWS, by the path's suffix."""
    lines = "".join(f"{json.dumps(row)}\n" for row in ROWS)
    suffixes = path.suffixes
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif path.suffix == ".zst":
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(lines.encode())
    elif suffixes == [".parquet"]:
        parquet.write_table(pa.Table.from_pylist(ROWS), path)
    elif suffixes in ([".csv"], [".tsv"]):
        between = {".csv": ",", ".tsv": "\t"}[path.suffix]
        cells = [[row["text"] or "", str(row["id"])] for row in ROWS]
        quoted = [between.join('"' + each.replace('"', '""') + '"' for each in row) for row in cells]
        path.write_text("\n".join([between.join(["text", "id"]), *quoted]))
    elif path.stem == "list":
        path.write_text(json.dumps(ROWS, indent=1))
    else:
        path.write_text(lines)
    return path


KINDS = [
    "a.jsonl",
    "a.ndjson",
    "a.jl",
    "a.jl.gz",
    "a.jsonl.gz",
    "a.JSONL.zst",
    "a.json",
    "list.json",
    "a.parquet",
]


@pytest.mark.parametrize("name", [*KINDS, "a.csv", "a.tsv"])
def test_every_kind_of_rows_gives_the_same_documents(tmp_path: Path, name: str) -> None:
    assert documents(write(tmp_path / name)) == ["one two", 'th"r,ee\tfour']


@pytest.mark.parametrize("name", KINDS)
def test_a_field_inside_another(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.parquet":
        write(path)
        assert documents(path, "meta.content") == ["in", "out"]
        return
    kept = [row for row in ROWS if row["meta"]]
    path_rows = "".join(f"{json.dumps(row)}\n" for row in kept)
    plain = tmp_path / "plain.jsonl"
    plain.write_text(path_rows)
    assert documents(plain, "meta.content") == ["in", "out"]


def test_a_field_whose_name_has_a_dot_goes_before_one_inside_another(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"meta.content": "this", "meta": {"content": "not this"}}\n')
    assert documents(path, "meta.content") == ["this"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
def test_null_rows_are_counted_and_said_once(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    path = write(tmp_path / name)
    for _ in range(2):
        documents(path)
    assert [record.message for record in caplog.records] == [
        f"{path}: 1 rows whose text is null are left out"
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
def test_numbers_are_no_text_in_any_kind_of_rows(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"no text in 'id' but .*int.*; set data.field"):
        documents(write(tmp_path / name), "id")


@pytest.mark.parametrize("name", [*KINDS, "a.csv"])
def test_a_missing_field_is_named_with_those_there_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"no (text in|column) 'body' \(it has text, id.*set data.field"):
        documents(write(tmp_path / name), "body")


@pytest.mark.parametrize("document", ["file", "line", "blank_lines", "heading"])
def test_the_mark_before_a_text_is_no_text(tmp_path: Path, document: str) -> None:
    (tmp_path / "plain.txt").write_bytes(b"one two\n")
    (tmp_path / "marked.txt").write_bytes(b"\xef\xbb\xbfone two\n")
    plain, marked = (documents(tmp_path / f"{each}.txt", "", document) for each in ("plain", "marked"))
    assert marked == plain
    (tmp_path / "marked.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "one two"}\n')
    assert documents(tmp_path / "marked.jsonl") == ["one two"]


def test_what_is_read_in_another_way_than_before_has_another_key(tmp_path: Path) -> None:
    """The first version's key of a file: its suffix and its content's SHA-256."""
    from hashlib import sha256

    def first(path: Path) -> str:
        return sha256(f"{path.suffix}:{sha256(path.read_bytes()).hexdigest()}".encode()).hexdigest()

    contents = {
        "a.txt": b"one",
        "a.jsonl": b"{}",
        "b.txt": b"\xef\xbb\xbfone",
        "a.json": b"{}",
        "a.csv": b"a",
        "a.ndjson": b"{}",
        "a.jl": b"{}",
        "a.ldjson": b"{}",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    same = {
        name: Files(train=str(tmp_path / name)).fingerprint()["train"] == first(tmp_path / name)
        for name in contents
    }
    kept = {"a.txt", "a.jsonl", "a.ndjson"}
    assert same == {name: name in kept for name in contents}
    packed = tmp_path / "a.jl.gz"  # was raw text for longer than a plain one
    packed.write_bytes(gzip.compress(b"{}", mtime=0))
    assert reading(packed, packed.read_bytes()[:3]) != ".jl.gz"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", b"[" * 100_000, "a.jsonl:1 is nested too deeply"),
        ("a.jsonl", b'{"text": "a"}\n' + b'{"a":' * 100_000, "a.jsonl:2 is nested too deeply"),
        ("a.jsonl", b'{"text": ' + b"1" * 10_000 + b"}", "a.jsonl:1 is not JSON"),
        ("a.jsonl", b'{"text": "\xff"}', "is not UTF-8 text"),
        ("a.json", b'{\n "text": "a"\n}', "a.json:1 is not JSON"),
        ("a.json", b'[{"text": "a"}, 3]', r"has no text in 'text' \(it has a int\)"),
        ("a.csv", b'text\n"one', "is not a table"),
        ("a.txt.gz", b"hello", "is cut off or damaged"),
        ("a.txt.gz", gzip.compress(b"hello" * 1000, mtime=0)[:-9], "is cut off or damaged"),
        ("a.txt.zst", b"hello", "is cut off or damaged"),
        ("a.parquet", b"PAR1hello", "cannot be read as parquet"),
    ],
)
def test_what_is_not_what_its_name_says_is_a_sentence(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        documents(tmp_path / name)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv"])
def test_a_row_that_is_too_long_is_not_read_whole(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_documents, "LARGEST_ROW", 200)
    path = write(tmp_path / name)
    assert documents(path) == ["one two", 'th"r,ee\tfour']
    path.write_text(path.read_text() + "\n" + json.dumps({"text": "long " * 100}))
    with pytest.raises(DataError, match=rf"{name}:\d+ is a row of 200 characters or more, which is not read"):
        documents(path)


def test_a_cell_of_many_lines_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_documents, "LARGEST_ROW", 200)
    (tmp_path / "a.csv").write_text('text\n"' + "word\n" * 100 + '"\n')
    with pytest.raises(DataError, match="field larger than field limit"):
        documents(tmp_path / "a.csv")


def test_a_list_on_one_line_may_be_longer_than_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_documents, "LARGEST_ROW", 20)
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    assert documents(tmp_path / "a.json") == ["one two", 'th"r,ee\tfour']


# Each waits for ever where it is read: nobody writes to the pipe, and the kernel's log has no end.
@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_pipe_is_no_text(tmp_path: Path, split: str) -> None:
    (tmp_path / "a.txt").write_text("one")
    os.mkfifo(tmp_path / "pipe.txt")
    files = {"train": str(tmp_path / "a.txt"), split: str(tmp_path / "pipe.txt")}
    found = Files.model_validate(files).look_at_text()
    assert found.wrong == {split: f"{tmp_path}/pipe.txt is no file, but a pipe or a device"}


@pytest.mark.skipif(not Path("/proc/kmsg").exists(), reason="there is no such log here")
def test_the_kernel_s_log_is_no_text() -> None:
    data = Files(train="/proc/kmsg")
    assert data.look_at_text().wrong == {"train": "there is no text in /proc/kmsg"}
    assert list(data.documents("train")) == []
    assert data.fingerprint()["train"]


def test_a_tokenizer_s_pipe_is_as_good_as_not_there(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tokenizer.json")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "one", "two"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    assert pretrained(str(tmp_path)).encode_batch(["two one"]) == [[6, 5]]


def test_many_fields_are_not_all_listed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({f"f{i}": 1 for i in range(5000)}))
    with pytest.raises(DataError, match=r"f0, f1, .*f9 and 4,990 more"):
        documents(tmp_path / "a.jsonl")


def test_a_folder_with_brackets_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "data [v1]"
    folder.mkdir()
    (folder / "a.txt").write_text("one")
    assert list(Files(train=f"{folder}/*.txt", valid=f"{folder}/a.txt").documents("valid")) == ["one"]
    assert Files(train=f"{folder}/*.txt").fingerprint() == Files(train=f"{folder}/a.txt").fingerprint()


# --- tokenizers ---
def _words(folder: Path, **config: str) -> Path:
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers

    folder.mkdir(exist_ok=True)
    words = ["[UNK]", "</s>", "<s>", "[MASK]", "one", "two"]
    backend = Backend(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.save(str(folder / "tokenizer.json"))
    if config:
        said = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]", **config}
        (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return folder


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (
            {"mask_token": "[UNK]", "eos_token": "</s>"},
            r"'\[UNK\]' is both its mask and its token for unknown",
        ),
        (
            {"mask_token": "[MASK]", "eos_token": "[UNK]"},
            r"'\[UNK\]' is both its BOS and its token for unknown",
        ),
        ({"mask_token": "</s>", "eos_token": "</s>"}, "'</s>' is both its mask and its BOS"),
        (
            {"mask_token": "<s>", "eos_token": "</s>", "bos_token": "<s>"},
            "'<s>' is both its mask and its BOS",
        ),
    ],
)
def test_a_token_with_two_meanings_is_refused(tmp_path: Path, config: dict[str, str], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        pretrained(str(_words(tmp_path / "words", **config)))


def test_a_prepared_corpus_of_such_a_tokenizer_is_refused_too(tmp_path: Path, monkeypatch: Any) -> None:
    from trainer.data.corpus import load

    monkeypatch.setenv("TRAINER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a.txt").write_text("one two three " * 500)
    (tmp_path / "b.txt").write_text("two one " * 500)
    folder = _words(tmp_path / "words", mask_token="[UNK]", eos_token="</s>")
    paths = {
        split: str(tmp_path / f"{name}.txt") for split, name in zip(("train", "valid"), "ab", strict=True)
    }
    data = Files(**paths, test=str(tmp_path / "b.txt"), tokenizer=str(folder))
    data = data.model_copy(update={"test": str(tmp_path / "a.txt")})
    monkeypatch.setattr(Tokenizer, "problem", lambda self: None)
    with pytest.raises(DataError, match="train has 0 tokens"):
        load(data)
    (tmp_path / "c.txt").write_text("one one two three " * 500)
    load(other := data.model_copy(update={"test": str(tmp_path / "c.txt")}))
    monkeypatch.undo()
    monkeypatch.setenv("TRAINER_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="both its mask and its token for unknown words"):
        load(other)


def test_a_tokenizer_json_alone_needs_the_name_of_its_eos(tmp_path: Path) -> None:
    folder = _words(tmp_path / "words")
    with pytest.raises(DataError, match=r"name one of its tokens as data\.eos"):
        pretrained(str(folder))
    with pytest.raises(DataError, match=r"has no token '<end>' \(data.eos\)"):
        pretrained(str(folder), "<end>")
    found = pretrained(str(folder), "</s>")
    assert (found.bos_id, found.eos_id, found.mask_id, found.vocab_size) == (1, 1, 3, 6)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model": 3}', '{"version": "9"}'])
@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.json"])
def test_a_damaged_tokenizer_is_a_sentence(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    (tmp_path / "merges.txt").write_text("#version\nq")
    with pytest.raises(DataError, match="tokenizer"):
        pretrained(str(tmp_path), "</s>")


def test_eos_is_for_tokenizers_of_others() -> None:
    with pytest.raises(ValueError, match="bpe has its own"):
        Files(train="a", eos="</s>")


# --- long texts ---
WORDS = st.text(st.sampled_from("ab1 .\n\t'é世-"), max_size=60)
BPE = train_bpe(["ab 1a é世 'a aba bab. " * 20], 320)


@settings(deadline=None)
@given(text=WORDS)
def test_a_long_text_gives_the_same_tokens_in_pieces(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_tokenizer, "LONG", 5)
        assert "".join(pieces(text)) == text
        (ids,) = BPE.encode_arrays([text], np.dtype(np.int32))
    assert ids.tolist() == BPE.encode_batch([text])[0]


def test_a_bpe_trained_on_pieces_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "ab 1a é世 'a aba bab. 12 abba\n a" * 50
    whole = train_bpe([text], 300).backend.to_str()
    monkeypatch.setattr(of_tokenizer, "LONG", 20)
    assert train_bpe([text], 300).backend.to_str() == whole
