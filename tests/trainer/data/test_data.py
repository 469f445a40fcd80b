"""Corpora: what a document is, that splits are disjoint, and what is said where the text is not there."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.data import pydocs, wikitext
from trainer.data.base import DataSet, Split, split_of
from trainer.data.files import Files
from trainer.data.lm1b import Lm1b
from trainer.data.online import SECONDS_TO_ANSWER
from trainer.data.openwebtext import OpenWebText
from trainer.data.packing import disjoint, open_split
from trainer.data.ptb import Ptb
from trainer.data.pydocs import PyDocs
from trainer.data.union import AnyDataSet
from trainer.data.wikitext import WikiText
from trainer.errors import DataError

SPLITS: tuple[Split, ...] = get_args(Split)
SHARED = Path(os.environ.get("SHARED", Path(__file__).parents[4] / "shared"))


class InMemory(DataSet):
    name: Literal["in_memory"] = "in_memory"
    texts: dict[str, list[str]]

    def documents(self, split: Split) -> Iterator[str]:
        return iter(self.texts[split])

    def fingerprint(self) -> dict[str, str]:
        return {"texts": json.dumps(self.texts)}


# --- splits ---

documents = st.lists(st.text(max_size=3), max_size=30)


@settings(deadline=None)
@given(documents, documents, documents)
def test_no_text_stands_in_two_splits_even_where_the_source_repeats_itself(train, valid, test):
    data = InMemory(texts={"train": train, "valid": valid, "test": test})
    found = {split: list(disjoint(data)(split)) for split in SPLITS}
    sets = {split: set(texts) for split, texts in found.items()}
    assert not sets["train"] & sets["valid"]
    assert not sets["train"] & sets["test"]
    assert not sets["valid"] & sets["test"]
    assert sets["train"] | sets["valid"] | sets["test"] == {*train, *valid, *test}
    assert found["test"] == test  # a published test set stays as it is


@settings(deadline=None)
@given(
    st.lists(st.text(alphabet="ab \n", max_size=4), min_size=1, max_size=40),
    st.sets(st.sampled_from(["valid", "test"])),
)
def test_files_split_by_text_hold_every_document_once(tmp_path_factory, texts, own):
    folder = tmp_path_factory.mktemp("texts")
    for split in ("train", *own):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    data = Files(train=str(folder / "train.jsonl"), **{each: str(folder / f"{each}.jsonl") for each in own})
    found = {split: set(disjoint(data)(split)) for split in SPLITS}
    assert not found["train"] & (found["valid"] | found["test"])
    assert not found["valid"] & found["test"]
    assert set().union(*found.values()) == {text for text in texts if text.strip()}


def test_a_text_has_its_split_for_good():
    homes = [split_of(f"document {i}") for i in range(4000)]
    assert 160 < homes.count("valid") < 240
    assert 160 < homes.count("test") < 240
    # Written down, because caches and other machines rely on it.
    assert [i for i in range(30) if homes[i] == "test"] == [3, 15, 28]
    assert [i for i in range(30) if homes[i] == "valid"] == [7]


# --- pydocs ---


def test_pydocs_is_two_megabytes_of_english_in_three_disjoint_splits():
    found = {split: list(PyDocs().documents(split)) for split in SPLITS}
    sizes = {split: sum(map(len, texts)) for split, texts in found.items()}
    assert sum(sizes.values()) > 1_500_000
    assert min(sizes["valid"], sizes["test"]) > 40_000
    paragraphs = {
        split: {" ".join(each.split()) for text in texts for each in text.split("\n\n") if len(each) > 100}
        for split, texts in found.items()
    }
    assert not paragraphs["train"] & (paragraphs["valid"] | paragraphs["test"])
    assert not paragraphs["valid"] & paragraphs["test"]
    everything = "\n".join(text for texts in found.values() for text in texts)
    assert 'The "assert" statement' in everything or "The `assert` statement" in everything
    assert "Serialize ``obj`` to a JSON formatted ``str``" in everything
    assert everything.lower().count(" the ") > 10_000
    for unwanted in ("\t", "\n****", "\n\n\n"):
        assert unwanted not in everything


def test_pydocs_reads_modules_without_importing_them():
    code = (
        "import sys; from trainer.data import pydocs; "
        "names = {'this', 'antigravity', 'smtplib', 'tkinter'}; all_of = pydocs._modules(); "
        "pydocs._modules = lambda: {k: v for k, v in all_of.items() if k.split('.')[0] in names}; "
        "assert 'module smtplib' in pydocs._documents(); "
        "print(names & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert done.stderr == ""


def test_pydocs_names_its_python_and_reads_a_topic_only_once():
    assert PyDocs().fingerprint()["python"] == ".".join(map(str, sys.version_info[:3]))
    assert pydocs._paragraphs("Title\n*****\n\n\n a\tb  \n+---+\n\nc") == ["Title", " a      b", "c"]
    seen: set[str] = set()
    long = "a paragraph that is longer than forty characters"
    assert list(pydocs._first_time([long, "short", long.replace(" ", "\n", 3), "short"], seen)) == [
        long,
        "short",
        "short",
    ]


def test_pydocs_without_sources_says_so(monkeypatch):
    monkeypatch.setattr(pydocs, "_modules", dict)
    with pytest.raises(DataError, match=r"data\.name=files"):
        pydocs._documents.__wrapped__()


# --- files ---


def read(data: DataSet) -> dict[str, list[str]]:
    return {split: list(data.documents(split)) for split in SPLITS}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("file", ["one\ntwo\n\nthree\n \nfour\n"]),
        ("line", ["one", "two", "three", "four"]),
        ("blank_lines", ["one\ntwo", "three", "four"]),
    ],
)
def test_what_a_document_of_a_text_file_is(tmp_path, document, expected):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n\nthree\n \nfour\n")
    data = Files(train=str(path), valid=str(path), test=str(path), document=document)
    assert list(data.documents("train")) == expected


def test_files_by_glob_in_the_order_of_their_names(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.txt").write_text(name)
    data = Files(train=str(tmp_path / "*.txt"), valid=str(tmp_path / "b.txt"), test=str(tmp_path / "c.txt"))
    assert read(data) == {"train": ["a", "b", "c"], "valid": ["b"], "test": ["c"]}


def test_jsonl_and_parquet_hold_a_document_a_row(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    (tmp_path / "a.jsonl").write_text('{"body": "one\\ntwo", "id": 1}\n\n{"body": "x \\ud800"}\n')
    parquet.write_table(pa.table({"body": ["three", None, "four"], "id": [1, 2, 3]}), tmp_path / "a.parquet")
    data = Files(
        train=str(tmp_path / "a.jsonl"),
        valid=str(tmp_path / "a.parquet"),
        test=str(tmp_path / "a.parquet"),
        field="body",
    )
    assert list(data.documents("train")) == ["one\ntwo", "x ?"]
    assert list(data.documents("valid")) == ["three", "four"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", b'{"text": "a"}\nnot json\n', r"a.jsonl:2 is not JSON"),
        ("a.jsonl", b'{"body": "a"}\n', r"a.jsonl:1 has no text in 'text' \(it has body\); set data.field"),
        ("a.jsonl", b"[1, 2]\n", r"a.jsonl:1 has no text in 'text' \(it has a list\)"),
        ("a.parquet", b"PAR1 no table", r"a.parquet cannot be read as parquet"),
        ("a.txt", b"caf\xe9", r"a.txt is not UTF-8 text"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence) as error:
        list(Files(train=str(tmp_path / name)).documents("train"))
    assert "\n" not in str(error.value)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"data.train: .*nothing.txt matches no file"):
        list(Files(train=str(tmp_path / "nothing.txt")).documents("train"))
    with pytest.raises(DataError, match=r"data.valid: .* is a folder: name its files"):
        Files(train=str(tmp_path / "a"), valid=str(tmp_path)).documents("valid").__next__()


def test_paths_do_not_depend_on_where_a_worker_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Files(train="a/*.txt").train == str(tmp_path / "a/*.txt")
    (tmp_path / "copy").mkdir()
    assert WikiText(path="copy").path == str(tmp_path / "copy")
    assert WikiText(path="owner/name").path == "owner/name"


def test_files_are_known_by_their_content_alone(tmp_path):
    def prints(folder, content):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "a.txt").write_text(content)
        return Files(train=str(tmp_path / folder / "a.txt")).fingerprint()

    assert prints("x", "text") == prints("y", "text") != prints("z", "test")
    assert prints("x", "longer text") != prints("y", "text")


# --- wikitext ---

WIKI = """
 = First article = 

 Some role @-@ playing text , with 10 @,@ 000 words ( and more ) ; it 's " quoted " .

 = = Section = =

 where x = 1 and
 = y = 
 The actors ' play cost $ 5 .

 = Second =

 Short .
"""


def test_wikitext_articles_begin_at_their_titles():
    first, second = wikitext.articles(WIKI.splitlines(keepends=True))
    for line in ("= First article =", "= = Section = =", "= y ="):
        assert line in first
    assert second.strip().startswith("= Second =")


def test_wikitext_detokenised():
    first, _ = map(wikitext.detokenize, wikitext.articles(WIKI.splitlines(keepends=True)))
    assert 'Some role-playing text, with 10,000 words (and more); it\'s "quoted".\n' in first
    assert "The actors' play cost $5." in first
    assert "= = Section = =" in first


def test_shared_wikitext_2_has_its_600_articles():
    path = SHARED / "data" / "wikitext-2" / "wiki.train.tokens"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    data = Files(train=str(path), valid=str(path), test=str(path), document="heading")
    assert len(list(data.documents("train"))) in (600, 601)


# --- the hub's layout ---


@pytest.fixture
def hub_folder(tmp_path, monkeypatch):
    """Writes copies of hub repositories: README.md with its configs, tables in parquet."""
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as parquet

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")

    def write(config: str, **splits: list[str]) -> str:
        folder = tmp_path / "copy"
        (folder / config).mkdir(parents=True)
        lines = [f"---\nconfigs:\n- config_name: {config}\n  data_files:\n"]
        for split, texts in splits.items():
            parquet.write_table(
                pa.table({"text": texts}), folder / config / f"{split}-00000-of-00001.parquet"
            )
            lines.append(f"  - split: {split}\n    path: {config}/{split}-*\n")
        (folder / "README.md").write_text("".join(lines) + "---\n")
        return str(folder)

    return write


def test_wikitext_from_a_copy(hub_folder):
    lines = WIKI.splitlines(keepends=True)
    folder = hub_folder("wikitext-2-raw-v1", train=lines * 2, validation=lines[:5], test=lines[-4:])
    found = read(WikiText(path=folder))
    assert [len(texts) for texts in found.values()] == [4, 1, 1]
    assert "role-playing" in found["valid"][0]
    assert len(list(WikiText(path=folder, max_documents=1).documents("train"))) == 1
    assert WikiText(path=folder).fingerprint() != WikiText(path=folder, detokenize=False).fingerprint()
    with pytest.raises(DataError, match=r"cannot be loaded .*wikitext-103-raw-v1"):
        list(WikiText(path=folder, config="wikitext-103-raw-v1").documents("train"))


def test_lm1b_from_a_copy_holds_valid_out_of_train(hub_folder):
    sentences = [f"It 's sentence {i} , not more ." for i in range(400)]
    folder = hub_folder("plain_text", train=sentences, test=["But now , it 's looking good ."])
    found = read(Lm1b(path=folder))
    assert found["test"] == ["But now, it's looking good."]
    assert 5 < len(found["valid"]) < 40
    assert len(found["train"]) + len(found["valid"]) == 400
    assert not set(found["train"]) & set(found["valid"])


@pytest.mark.parametrize(
    ("tokenised", "typeset"),
    [
        (
            "But now , it 's looking like reps who won 't talk .",
            "But now, it's looking like reps who won't talk.",
        ),
        ('" We bought it , " Hanisch said .', '"We bought it," Hanisch said.'),
        ("Prague ( 00 420 ) has its own mode : Cubism !", "Prague (00 420) has its own mode: Cubism!"),
        ("It cost $ 2,900 a month - or £ 3 ; why ?", "It cost $2,900 a month - or £3; why?"),
        ('" I was there .', '"I was there.'),
        ("See http : / / a.org / b .", "See http://a.org/b."),
    ],
)
def test_lm1b_detokenised(tokenised, typeset):
    assert Lm1b.typeset(tokenised) == typeset


@pytest.mark.parametrize("data", [WikiText(), Lm1b(), OpenWebText(streaming=True), Ptb()])
def test_without_a_hub_one_sentence_says_what_to_do_at_once(data, monkeypatch, tmp_path):
    import datasets
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(DataError, match=r"set data\.path to a folder with a copy of it") as error:
        list(data.documents("train"))
    assert "\n" not in str(error.value)
    assert "does not answer" in str(error.value)
    assert time.monotonic() - start < SECONDS_TO_ANSWER + 2


# --- the union ---


def test_every_corpus_is_chosen_by_its_name_and_pydocs_without_one():
    adapter: TypeAdapter[DataSet] = TypeAdapter(AnyDataSet)
    assert adapter.validate_python({"length": 32}) == PyDocs(length=32)
    assert adapter.validate_python({"name": "files", "train": "/a"}) == Files(train="/a")
    for name in ("pydocs", "synthetic", "wikitext", "lm1b", "openwebtext", "ptb"):
        chosen = adapter.validate_python({"name": name})
        assert chosen.name == name
        assert adapter.validate_python(chosen.model_dump()) == chosen


def test_a_wrong_corpus_is_a_problem_of_the_config_and_no_traceback():
    with pytest.raises(InvalidConfig, match=r"data.*wikitxt"):
        TrainConfig.from_dotted({"data.name": "wikitxt"})
    with pytest.raises(InvalidConfig, match=r"data.train: "):
        TrainConfig.from_dotted({"data.name": "files"})


def test_choosing_a_corpus_imports_nothing_heavy():
    code = (
        "import sys; from trainer.data.union import AnyDataSet; import trainer.data.packing; "
        "heavy = ('torch', 'numpy', 'datasets', 'transformers', 'tokenizers', 'pyarrow'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_parses_python_does_so_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in threads of one process begin together; CPython 3.11 raised a SystemError now and then."""
    inside, most = 0, 0

    def parsing(*_: object, **__: object) -> object:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.01)
        inside -= 1
        raise ValueError

    monkeypatch.setattr("numpy.load", parsing)
    monkeypatch.setattr(pydocs, "ast", SimpleNamespace(parse=parsing))
    (tmp_path / "module.py").write_text('"""A text."""')

    def opened() -> None:
        with suppress(ValueError):
            open_split(tmp_path, "train")

    def read() -> None:
        list(pydocs._docstrings(tmp_path / "module.py"))

    threads = [threading.Thread(target=each) for each in (opened, read, opened, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
