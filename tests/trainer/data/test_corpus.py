"""Packed corpora: right, once, whole or not at all."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from trainer.data import corpus as preparing
from trainer.data.corpus import Corpus, identity, load, prepare
from trainer.data.files import Files
from trainer.data.packing import disjoint
from trainer.data.pydocs import PyDocs
from trainer.errors import DataError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def data(cache, tmp_path):
    """700 documents, so that several batches are tokenised."""
    texts = [f"Document {i} says " + "so it is, " * (i % 7) + f"and ends at {i * i}." for i in range(700)]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return Files(train=str(path), vocab_size=300, length=16)


def pack_slowly(corpus: Corpus, data: Files, split: str) -> tuple[np.ndarray, np.ndarray]:
    """One document after the other, one token after the other."""
    stream, owners = [], []
    for number, text in enumerate(disjoint(data)(split)):
        ids = [*corpus.tokenizer.encode_batch([text])[0], corpus.tokenizer.eos_id]
        stream += ids
        owners += [number] * len(ids)
    end = [corpus.tokenizer.eos_id] if data.forced_eos else []
    body = data.length - 1 - len(end)
    rows, row_owners = [], []
    for i in range(0, len(stream) - body + 1, body):
        rows.append([corpus.tokenizer.bos_id, *stream[i : i + body], *end])
        row_owners.append([owners[i], *owners[i : i + body], *owners[i + body - 1 : i + body][: len(end)]])
    return np.array(rows), np.array(row_owners)


@pytest.mark.parametrize("forced_eos", [False, True])
@pytest.mark.parametrize("length", [3, 16, 50])
def test_packing_equals_the_slow_way(data, length, forced_eos):
    data = data.model_copy(update={"length": length, "forced_eos": forced_eos})
    corpus = load(data)
    for split, packed in (("train", corpus.train), ("valid", corpus.valid), ("test", corpus.test())):
        tokens_SL, documents_SL = pack_slowly(corpus, data, split)
        assert np.array_equal(packed.tokens_SL, tokens_SL)
        assert np.array_equal(packed.documents_SL, documents_SL)
        assert isinstance(packed.tokens_SL, np.memmap)
        assert not packed.tokens_SL.flags.writeable
        assert (packed.tokens_SL[:, 0] == corpus.tokenizer.bos_id).all()
        assert not (packed.tokens_SL == corpus.tokenizer.mask_id).any()


def test_the_text_comes_back_from_the_tokens(data):
    corpus = load(data)
    words = corpus.train.tokens_SL[:, 1:].ravel().tolist()
    documents, rest = [], []
    for word in words:
        if word == corpus.tokenizer.eos_id:
            documents.append(corpus.tokenizer.decode(rest))
            rest = []
        else:
            rest.append(word)
    expected = list(disjoint(data)("train"))
    assert documents == expected[: len(documents)]
    assert len(documents) >= len(expected) - 3
    scored = corpus.tokenizer.token_bytes_V[words].sum()
    assert scored == sum(len(text.encode()) for text in documents) + len(
        corpus.tokenizer.decode(rest).encode()
    )


def test_a_large_vocabulary_needs_wider_numbers(data, monkeypatch):
    assert load(data).train.tokens_SL.dtype == np.uint16
    real = preparing.train_bpe

    def with_mask_far_out(texts, vocab_size):
        small = real(texts, vocab_size)
        return preparing.Tokenizer(small.backend, 70_000, small.bos_id, 69_998, 69_999)

    monkeypatch.setattr(preparing, "train_bpe", with_mask_far_out)
    wide = load(data.model_copy(update={"vocab_size": 310}))
    assert wide.train.tokens_SL.dtype == np.int32
    assert wide.train.tokens_SL.max() == 69_998


# --- the cache ---


def test_it_is_done_once(data, monkeypatch):
    first = load(data)
    monkeypatch.setattr(preparing, "_build", None)
    again = load(data)
    assert again.fingerprint == first.fingerprint
    assert list(prepare(data)) == []


def test_another_setting_or_text_is_another_corpus(data, tmp_path):
    first = load(data)
    for change in ({"length": 17}, {"vocab_size": 301}, {"forced_eos": True}):
        assert load(data.model_copy(update=change)).fingerprint != first.fingerprint
    text = Path(data.train).read_text()
    other = tmp_path / "other.jsonl"
    other.write_text(text)
    same = load(data.model_copy(update={"train": str(other)}))
    assert same.folder == first.folder  # the same text, wherever it lies
    other.write_text(text.replace("Document 5 ", "Document five "))
    assert load(data.model_copy(update={"train": str(other)})).fingerprint != first.fingerprint


def test_identity_is_that_of_the_text_the_tokenizer_and_the_packing(data, tmp_path):
    first = load(data)
    valid = identity(first, "valid")
    assert valid == identity(load(data), "valid")
    assert json.loads(json.dumps(valid)) == valid
    assert valid["text"] != identity(first, "test")["text"]
    longer = identity(load(data.model_copy(update={"length": 17})), "valid")
    assert {key for key in valid if valid[key] != longer[key]} == {"length"}
    forced = identity(load(data.model_copy(update={"forced_eos": True})), "valid")
    assert {key for key in valid if valid[key] != forced[key]} == {"packing"}
    words = identity(load(data.model_copy(update={"vocab_size": 301})), "valid")
    assert {key for key in valid if valid[key] != words[key]} == {"tokenizer"}


DAMAGE = {
    "cut off": lambda folder: os.truncate(folder / "train.tokens.npy", 1000),
    "overwritten": lambda folder: (folder / "valid.tokens.npy").write_bytes(
        bytes(reversed((folder / "valid.tokens.npy").read_bytes()))
    ),
    "test cut off": lambda folder: os.truncate(folder / "test.documents.npy", 200),
    "file gone": lambda folder: (folder / "tokenizer.json").unlink(),
    "meta gone": lambda folder: (folder / "meta.json").unlink(),
    "meta cut off": lambda folder: os.truncate(folder / "meta.json", 100),
    "meta changed": lambda folder: (folder / "meta.json").write_text(
        (folder / "meta.json").read_text().replace('"length": 16', '"length": 17')
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_made_again(data, damage):
    first = load(data)
    before = {path.name: path.read_bytes() for path in first.folder.iterdir()}
    DAMAGE[damage](first.folder)
    again = load(data)
    assert {path.name: path.read_bytes() for path in again.folder.iterdir()} == before


def test_what_a_killed_process_left_is_cleared_away(data):
    folder, _ = preparing._place(data)
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(parents=True)
    (partial / "rubbish.npy").write_text("x")
    corpus = load(data)
    assert not partial.exists()
    assert "rubbish.npy" not in {path.name for path in corpus.folder.iterdir()}


def test_test_is_not_opened_before_it_is_asked_for(data, monkeypatch):
    load(data)
    opened = []
    for name in ("open_split", "_sum"):
        real = getattr(preparing, name)
        monkeypatch.setattr(
            preparing,
            name,
            lambda *given, real=real: (opened.append(" ".join(map(str, given))), real(*given))[1],
        )
    corpus = load(data)
    assert opened
    assert not any("test." in each or each.endswith(" test") for each in opened)
    corpus.test()
    assert any(each.endswith(" test") for each in opened)


def test_a_damaged_test_split_is_refused_in_words(data):
    corpus = load(data)
    path = corpus.folder / "test.tokens.npy"
    path.write_bytes(bytes(reversed(path.read_bytes())))
    with pytest.raises(DataError, match="is damaged: delete it"):
        corpus.test()


def test_too_little_text_is_said_in_a_sentence(cache, tmp_path):
    (tmp_path / "a.txt").write_text("One document, and no more.")
    with pytest.raises(
        DataError, match=r"(test|valid) has 0 tokens in 0 documents, fewer than one sequence of length 64"
    ):
        load(Files(train=str(tmp_path / "a.txt")))
    assert [path.suffix for path in (cache / "corpora").iterdir()] in ([], [".lock"])


def test_missing_text_is_said_in_a_sentence(cache):
    with pytest.raises(DataError, match="matches no file"):
        load(Files(train="/nowhere/*.txt"))


# --- several processes, and heartbeats ---

PREPARE_AND_COUNT = """
import sys
from trainer.data import corpus as preparing
from trainer.data.files import Files
real = preparing._build
def counting(*given):
    with open(sys.argv[2], "ab", 0) as log:
        log.write(b"built\\n")
    real(*given)
preparing._build = counting
corpus = preparing.load(Files.model_validate_json(sys.argv[1]))
print(corpus.fingerprint, len(corpus.train.tokens_SL))
"""


def test_two_processes_tokenise_once(data, tmp_path):
    log = tmp_path / "builds"
    command = [sys.executable, "-c", PREPARE_AND_COUNT, data.model_dump_json(), str(log)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers[0] == answers[1] != ""
    assert log.read_text() == "built\n"


def test_waiting_for_another_process_goes_on_with_heartbeats_and_ends(data, monkeypatch):
    monkeypatch.setattr(preparing, "HEARTBEAT", 0.05)
    folder, _ = preparing._place(data)
    folder.parent.mkdir(parents=True)
    lock = FileLock(f"{folder}.lock")
    lock.acquire()
    steps = prepare(data)
    for _ in range(3):
        next(steps)
    assert not folder.exists()
    lock.release()
    for _ in steps:
        pass
    assert folder.exists()


def test_closing_stops_the_work(data, monkeypatch):
    monkeypatch.setattr(preparing, "HEARTBEAT", 0.02)
    slow = threading.Event()
    real = Files.documents

    def slowly(self, split):
        for text in real(self, split):
            slow.wait(0.01)
            yield text

    monkeypatch.setattr(Files, "documents", slowly)
    steps = prepare(data)
    next(steps)
    steps.close()
    (work,) = (each for each in threading.enumerate() if each.name == "prepare-corpus")
    work.join(timeout=5)
    assert not work.is_alive()
    folder, _ = preparing._place(data)
    assert not folder.exists()
    slow.set()
    assert len(load(data).train.tokens_SL)  # and the lock is free


# --- the default corpus ---


@pytest.fixture(scope="module")
def pydocs_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.long
def test_pydocs_from_nothing_is_quick(pydocs_cache, monkeypatch):
    monkeypatch.setenv("TRAINER_CACHE", str(pydocs_cache))
    start = time.process_time()
    corpus = load(PyDocs())
    assert time.process_time() - start < 20  # 6 s of one core where this was written
    assert corpus.tokenizer.vocab_size == 2048
    assert len(corpus.train.tokens_SL) > 6000
    assert len(corpus.valid.tokens_SL) > 128
    assert len(corpus.test().tokens_SL) > 128
    assert corpus.tokenizer.decode(corpus.train.tokens_SL[0]).startswith("The ")


def test_a_prepared_corpus_opens_without_torch_datasets_or_transformers(pydocs_cache):
    code = (
        "import sys, time; from trainer.data.corpus import load; from trainer.data.pydocs import PyDocs; "
        "import numpy, tokenizers, filelock; t = time.process_time(); load(PyDocs()); "
        "t = time.process_time() - t; "
        "print(t < 1, [m for m in ('torch', 'datasets', 'transformers', 'pyarrow') if m in sys.modules])"
    )
    environment = {**os.environ, "TRAINER_CACHE": str(pydocs_cache)}
    load_once = [sys.executable, "-c", code]
    subprocess.run(load_once, env=environment, check=True, capture_output=True)
    done = subprocess.run(load_once, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "True []"
