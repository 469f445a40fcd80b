"""Kneser-Ney against dictionaries, and as a distribution."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.reference.kneser_ney import KneserNey
from trainer.evaluation import kneser_ney as fast
from trainer.evaluation.kneser_ney import Queries, kneser_ney, probabilities, queries_of

V = 7
BOS = V - 1


def with_bos(tokens_SL: np.ndarray) -> np.ndarray:
    return np.concatenate([np.full_like(tokens_SL[:, :1], BOS), tokens_SL], axis=1)


corpora = st.tuples(st.integers(0, 8), st.integers(1, 6)).flatmap(
    lambda shape: arrays(np.uint16, shape, elements=st.integers(0, BOS - 1)).map(with_bos)
)
scored = st.tuples(st.integers(1, 4), st.integers(1, 6)).flatmap(
    lambda shape: arrays(np.uint16, shape, elements=st.integers(0, BOS - 1)).map(with_bos)
)


@settings(deadline=None)
@given(corpora, scored)
def test_every_token_has_the_probability_of_the_dictionaries(train_SL, eval_SL):
    slow, queries = KneserNey(train_SL.tolist(), V), queries_of(eval_SL)
    bigram_Q, trigram_Q = probabilities(train_SL, queries, V)
    rows = list(zip(*map(np.ndarray.tolist, queries), strict=True))
    assert len(rows) == eval_SL[:, 1:].size
    np.testing.assert_allclose(bigram_Q, [slow.bigram(v, x) for _, v, x in rows], rtol=1e-12)
    np.testing.assert_allclose(trigram_Q, [slow.trigram(u, v, x) for u, v, x in rows], rtol=1e-12)
    nelbos = kneser_ney(train_SL, eval_SL, V)
    assert nelbos.bigram == pytest.approx(-np.log(bigram_Q).mean())
    assert nelbos.trigram == pytest.approx(-np.log(trigram_Q).mean())


@settings(deadline=None)
@given(corpora, st.integers(0, V - 1), st.integers(0, V - 1))
def test_over_the_vocabulary_it_sums_to_one(train_SL, u, v):
    """Whether the context ever occurs or not."""
    queries = Queries(np.full(V, u), np.full(V, v), np.arange(V))
    for p_V in probabilities(train_SL, queries, V):
        assert (p_V > 0).all()
        assert p_V.sum() == pytest.approx(1, rel=1e-12)


def test_contexts_stay_within_their_sequence():
    queries = queries_of(np.array([[9, 1, 2, 3], [9, 4, 5, 6]]))
    triples = list(zip(*map(np.ndarray.tolist, queries), strict=True))
    assert triples == [(9, 9, 1), (9, 1, 2), (1, 2, 3), (9, 9, 4), (9, 4, 5), (4, 5, 6)]


def test_parts_make_no_difference(monkeypatch):
    rng = np.random.default_rng(0)
    train_SL, eval_SL = with_bos(rng.integers(0, BOS, (50, 9))), with_bos(rng.integers(0, BOS, (20, 9)))
    whole = kneser_ney(train_SL, eval_SL, V)
    for at_once in (100, 30, 1):
        monkeypatch.setattr(fast, "AT_ONCE", at_once)
        assert kneser_ney(train_SL, eval_SL, V) == pytest.approx(whole, rel=1e-12)


def test_a_longer_memory_is_worth_something_where_the_text_has_one():
    """Words that follow from the two before them: a bigram model cannot know them."""
    rng, size = np.random.default_rng(1), 50
    rows_SL = np.full((3000, 12), size, np.int64)
    rows_SL[:, 1:3] = rng.integers(0, size, (3000, 2))
    for i in range(3, 12):
        noise_S = rng.random(3000) < 0.1
        follows_S = (rows_SL[:, i - 1] + rows_SL[:, i - 2]) % size
        rows_SL[:, i] = np.where(noise_S, rng.integers(0, size, 3000), follows_S)
    train_SL, eval_SL = rows_SL[:2500], rows_SL[2500:]
    found = kneser_ney(train_SL, eval_SL, size + 1)
    assert found.trigram < found.bigram - 1


def test_without_any_text_nothing_is_known():
    nothing_SL, eval_SL = np.empty((0, 5), np.int32), with_bos(np.zeros((2, 4), np.int64))
    assert kneser_ney(nothing_SL, eval_SL, 50_258) == pytest.approx((math.log(50_258),) * 2)
