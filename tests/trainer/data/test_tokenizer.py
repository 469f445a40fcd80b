"""Tokenizers: our own BPE and those of transformers, by folder."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.pretrained import pretrained
from trainer.data.tokenizer import Tokenizer, train_bpe
from trainer.errors import DataError

SHARED = Path(os.environ.get("SHARED", Path(__file__).parents[4] / "shared"))
TEXTS = [f"The {noun} is {i}, and good: naïve café 世界.\n\n" for i in range(50) for noun in ("cat", "dog")]
BPE = train_bpe(TEXTS, 300)
STRANGE = "Héllo  wörld!\tIt's <|endoftext|> 12,000 [MASK] <s> 世界 \n\n 👩‍🚀 \x00 x "


def test_the_same_texts_train_the_same_bpe():
    again = train_bpe(iter(TEXTS), 300)
    assert again.backend.to_str() == BPE.backend.to_str()
    assert again.fingerprint == BPE.fingerprint
    assert train_bpe(TEXTS, 301).fingerprint != BPE.fingerprint


def test_special_ids_are_the_last_three_and_no_words():
    assert (BPE.bos_id, BPE.eos_id, BPE.mask_id, BPE.vocab_size) == (297, 298, 299, 300)
    assert max(BPE.backend.get_vocab().values()) == 296
    assert max(BPE.encode_batch([STRANGE])[0]) < 297


def test_too_little_text_gives_fewer_words():
    small = train_bpe(["ab"], 300)
    assert small.vocab_size == 256 + 1 + 3
    assert small.decode(small.encode_batch([STRANGE])[0]) == STRANGE


@settings(deadline=None)
@given(st.text())
def test_bpe_loses_nothing_and_counts_bytes_exactly(text):
    (ids,) = BPE.encode_batch([text])
    assert BPE.decode(ids) == text
    assert BPE.token_bytes_V[ids].sum() == len(text.encode())


def test_decode_leaves_special_ids_out():
    (ids,) = BPE.encode_batch(["The cat"])
    assert BPE.decode([BPE.bos_id, *ids, BPE.mask_id, BPE.eos_id]) == "The cat"
    assert BPE.decode(np.array([BPE.bos_id, *ids], dtype=np.uint16)) == "The cat"
    assert BPE.token_bytes_V[[BPE.bos_id, BPE.eos_id, BPE.mask_id]].sum() == 0
    assert BPE.lossless


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii")))
def test_words_are_what_each_id_adds_to_the_text(text):
    (ids,) = BPE.encode_batch([text])
    words = BPE.words([BPE.bos_id, *ids, BPE.eos_id, *ids, BPE.mask_id])
    assert len(words) == 2 * len(ids) + 3
    assert "".join(words) == f"<bos>{text}<eos>{text}<mask>"


def test_words_of_a_tokenizer_that_leaves_blanks_out_have_them():
    bert = pretrained(str(folder("bert-base-uncased")))
    (ids,) = bert.encode_batch(["to be or not unmasked"])
    assert "".join(bert.words(ids)) == bert.decode(ids) == "to be or not unmasked"


def test_a_saved_tokenizer_opens_the_same(tmp_path):
    BPE.save(tmp_path)
    opened = Tokenizer.open(tmp_path)
    assert opened.fingerprint == BPE.fingerprint
    assert opened.encode_batch([STRANGE]) == BPE.encode_batch([STRANGE])
    (tmp_path / "tokenizer.json").write_text(BPE.backend.to_str()[:1000])
    with pytest.raises(ValueError, match="cut off"):
        Tokenizer.open(tmp_path)


def folder(name: str) -> Path:
    path = SHARED / "data" / "tokenizers" / name
    if not path.exists():
        pytest.skip(f"{path} is missing")
    return path


def test_gpt2_from_vocab_and_merges_equals_transformers(tmp_path):
    from transformers import GPT2TokenizerFast

    path = folder("gpt2")
    ours = pretrained(str(path))
    assert (ours.vocab_size, ours.bos_id, ours.eos_id, ours.mask_id) == (50258, 50256, 50256, 50257)
    theirs = GPT2TokenizerFast(vocab=str(path / "vocab.json"), merges=str(path / "merges.txt"))
    plain = STRANGE.replace("<|endoftext|>", "")
    assert ours.encode_batch([plain])[0] == theirs(plain, add_special_tokens=False).input_ids
    # A text that spells a special token is a text.
    assert 50256 not in ours.encode_batch([STRANGE])[0]
    assert ours.lossless
    assert ours.decode(ours.encode_batch([STRANGE])[0]) == STRANGE
    assert ours.token_bytes_V[ours.encode_batch([STRANGE])[0]].sum() == len(STRANGE.encode())

    theirs.save_pretrained(tmp_path)  # the usual folder, through AutoTokenizer
    usual = pretrained(str(tmp_path))
    assert (usual.vocab_size, usual.bos_id, usual.eos_id, usual.mask_id) == (50258, 50256, 50256, 50257)
    assert usual.encode_batch([STRANGE]) == ours.encode_batch([STRANGE])
    assert usual.lossless
    assert (usual.token_bytes_V == ours.token_bytes_V).all()
    usual.save(tmp_path)
    assert Tokenizer.open(tmp_path).encode_batch([STRANGE]) == ours.encode_batch([STRANGE])


def test_bert_from_its_vocabulary_equals_transformers(tmp_path):
    from transformers import BertTokenizerFast

    path = folder("bert-base-uncased")
    ours = pretrained(str(path))
    assert (ours.vocab_size, ours.bos_id, ours.eos_id, ours.mask_id) == (30522, 101, 102, 103)
    theirs = BertTokenizerFast(vocab=str(path / "vocab.txt"))
    plain = STRANGE.replace("[MASK]", "")
    assert ours.encode_batch([plain])[0] == theirs(plain, add_special_tokens=False).input_ids
    assert 103 not in ours.encode_batch([STRANGE])[0]
    assert not ours.lossless
    assert ours.decode(ours.encode_batch(["But now, unbelievably good."])[0]) == "but now, unbelievably good."
    theirs.save_pretrained(tmp_path)
    usual = pretrained(str(tmp_path))
    assert (usual.vocab_size, usual.bos_id, usual.eos_id, usual.mask_id) == (30522, 101, 102, 103)
    assert usual.encode_batch([STRANGE]) == ours.encode_batch([STRANGE])


def test_a_tokenizer_out_of_reach_is_one_sentence_soon(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(DataError, match=r"set data\.tokenizer to a folder") as error:
        pretrained("nobody/has-this-one")
    assert time.monotonic() - start < 10
    assert "\n" not in str(error.value)
    (tmp_path / "other.txt").write_text("")
    with pytest.raises(DataError, match="cannot be loaded"):
        pretrained(str(tmp_path))
