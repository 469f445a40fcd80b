"""The floors against obvious loops, and where they are known."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.trainer.tiny_runs import tiny_config, write_corpus
from trainer.config.evaluation import EvaluationConfig
from trainer.data import counts
from trainer.data.corpus import load
from trainer.data.synthetic import Synthetic
from trainer.evaluation.floors import FLOORS, bigram_nelbo, floors, unigram_nelbo
from trainer.metrics import BY_NAME
from trainer.randomness import strided_rows

V = 7
tokens = st.tuples(st.integers(1, 6), st.integers(2, 5)).flatmap(
    lambda shape: arrays(np.uint16, shape, elements=st.integers(0, V - 1))
)


@settings(deadline=None)
@given(tokens, tokens)
def test_floors_equal_obvious_loops(train_SL, eval_SL):
    ones: Counter[int] = Counter()
    pairs: Counter[tuple[int, int]] = Counter()
    before: Counter[int] = Counter()
    for row in train_SL.tolist():
        ones.update(row[1:])
        pairs.update(pairwise(row))
        before.update(row[:-1])
    nats_1, nats_2 = [], []
    for row in eval_SL.tolist():
        for y, x in pairwise(row):
            nats_1.append(-math.log((ones[x] + 1) / (sum(ones.values()) + V)))
            nats_2.append(-math.log((pairs[y, x] + 1) / (before[y] + V)))
    assert unigram_nelbo(train_SL, eval_SL, V) == pytest.approx(sum(nats_1) / len(nats_1))
    assert bigram_nelbo(train_SL, eval_SL, V) == pytest.approx(sum(nats_2) / len(nats_2))


def test_pieces_make_no_difference(monkeypatch):
    rng = np.random.default_rng(0)
    train_SL, eval_SL = rng.integers(0, V, (50, 9)), rng.integers(0, V, (20, 9))
    whole = unigram_nelbo(train_SL, eval_SL, V), bigram_nelbo(train_SL, eval_SL, V)
    monkeypatch.setattr(counts, "ROWS", 7)
    assert whole == (unigram_nelbo(train_SL, eval_SL, V), bigram_nelbo(train_SL, eval_SL, V))


def test_known_floors_at_gpt2s_vocabulary():
    size = 50_258
    rng = np.random.default_rng(0)
    uniform_SL = rng.integers(0, 100, (200, 64)).astype(np.int32)
    nothing_SL = np.empty((0, 64), np.int32)
    assert unigram_nelbo(nothing_SL, uniform_SL, size) == pytest.approx(math.log(size))
    assert bigram_nelbo(nothing_SL, uniform_SL, size) == pytest.approx(math.log(size))
    cycle_SL = np.tile(np.arange(64, dtype=np.int32) % 2, (20_000, 1))  # 0 1 0 1 ...
    assert unigram_nelbo(cycle_SL, cycle_SL, size) == pytest.approx(math.log(2), abs=0.1)
    assert bigram_nelbo(cycle_SL, cycle_SL, size) < 0.1


def test_the_source_itself_is_a_floor_where_its_law_is_known():
    """On the very tokens that the bound scores; a trigram model cannot be far below a chain of order 1."""
    source = Synthetic(length=16, words=12, branching=4, entropy=1.0, train_sequences=2000)
    evaluation = EvaluationConfig(sequences=40)
    corpus = load(source)
    found = floors(corpus, evaluation)
    rows_S = strided_rows(evaluation.seed, 40, len(corpus.valid.tokens_SL))
    exact_SL = source.exact_nats_SL(corpus.valid.tokens_SL[rows_S])
    assert found["source_nelbo"] == pytest.approx(exact_SL.sum() / (40 * 15), rel=1e-12)
    assert found["source_nelbo"] < found["kn_bigram_nelbo"] < found["source_nelbo"] + 0.1
    assert found["kn_bigram_nelbo"] < found["bigram_nelbo"] < found["unigram_nelbo"]
    assert found.keys() <= BY_NAME.keys() & FLOORS.keys()


def test_of_other_text_no_law_is_known(tmp_path):
    found = floors(load(tiny_config(write_corpus(tmp_path)).data), EvaluationConfig(sequences=8))
    assert found.keys() == FLOORS.keys() - {"source_nelbo"}


def test_a_process_counts_a_text_once(tmp_path, monkeypatch):
    data, few = tiny_config(write_corpus(tmp_path)).data, EvaluationConfig(sequences=8)
    first = floors(load(data), few)
    monkeypatch.delattr("trainer.evaluation.floors.kneser_ney")
    assert floors(load(data), few) == first
    first.clear()  # whoever has got it may do with it as they like
    assert floors(load(data), few)
    with pytest.raises(NameError):
        floors(load(data), EvaluationConfig(sequences=9))
