"""The source of known likelihood: exact against enumeration, and its text has the law that it says it has."""

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
from pydantic import ValidationError

from benchmarks import oracle
from trainer.config.train_config import TrainConfig
from trainer.data.corpus import Corpus, load
from trainer.data.synthetic import Synthetic, _entropy, _zipf
from trainer.errors import DataError
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.values import kind_of

TOYS = {
    "order 1": Synthetic(words=3, branching=2, entropy=0.5, document_words=3, length=5),
    "order 2": Synthetic(words=3, branching=3, entropy=0.9, document_words=2.5, length=6, order=2),
    "forced EOS": Synthetic(words=2, branching=2, entropy=0.6, document_words=2, length=6, forced_eos=True),
    "shorter than its memory": Synthetic(
        words=2, branching=2, entropy=0.3, document_words=4, length=4, order=2, forced_eos=True, seed=5
    ),
}


@pytest.fixture(scope="module", params=TOYS)
def toy(request) -> Synthetic:
    return TOYS[request.param].model_copy(update={"train_sequences": 20_000, "held_out_sequences": 2000})


@pytest.fixture(scope="module")
def corpus(toy) -> Corpus:
    return load(toy)


def probabilities(data: Synthetic) -> dict[tuple[int, ...], float]:
    """Of every sequence that can be packed, the slow way; an end is the symbol `words`.

    The stream's law is followed from a document's start until it stands still, then every way on is tried.
    """
    end, body = data.words, data.length - 1 - int(data.forced_eos)
    following = {
        context: dict(zip(symbols, np.diff([0, *cumulative]).tolist(), strict=True))
        for context, (symbols, cumulative) in data._chain().next.items()
    }
    law = {(end,) * data.order: 1.0}
    for _ in range(400):
        after: Counter[tuple[int, ...]] = Counter()
        for context, mass in law.items():
            for symbol, p in following[context].items():
                after[(*context[1:], symbol)] += mass * p
        law = dict(after)
    found: Counter[tuple[int, ...]] = Counter()
    paths = [(context, (), mass) for context, mass in law.items()]
    while paths:
        context, path, mass = paths.pop()
        if len(path) == body:
            found[path] += mass
            continue
        for symbol, p in following[context].items():
            paths.append(((*context[1:], symbol), (*path, symbol), mass * p))
    return dict(found)


def packed(data: Synthetic, paths: list[tuple[int, ...]]) -> np.ndarray:
    bos, eos = data.words, data.words + 1
    rows = [[bos, *(eos if each == data.words else each for each in path)] for path in paths]
    return np.array([[*row, eos] if data.forced_eos else row for row in rows])


def test_it_is_the_likelihood_by_enumeration_of_what_stood_before(toy):
    slow = probabilities(toy)
    assert math.fsum(slow.values()) == pytest.approx(1)
    nats_SL = toy.exact_nats_SL(packed(toy, list(slow)))
    assert np.exp(-nats_SL.sum(axis=1)) == pytest.approx(np.array(list(slow.values())), rel=1e-9)
    assert not nats_SL[:, 0].any()
    assert not (toy.forced_eos and nats_SL[:, -1].any())
    # Token by token: the beginnings of sequences have probabilities that are sums over their ends.
    for path, nats_L in list(zip(slow, nats_SL, strict=True))[::7]:
        for i in range(1, len(path)):
            share = math.fsum(p for each, p in slow.items() if each[:i] == path[:i])
            assert math.exp(-nats_L[1 : i + 1].sum()) == pytest.approx(share)


def test_what_it_cannot_write_has_probability_zero(toy):
    slow = probabilities(toy)
    body = toy.length - 1 - int(toy.forced_eos)
    others = [path for path in product(range(toy.words + 1), repeat=body) if path not in slow]
    assert others
    assert np.isinf(toy.exact_nats_SL(packed(toy, others)).sum(axis=1)).all()
    tokens_SL = packed(toy, list(slow)[:1])
    for stray in (toy.words, toy.words + 2, -1):  # BOS, the mask
        wrong_SL = tokens_SL.copy()
        wrong_SL[0, 2] = stray
        assert np.isinf(toy.exact_nats_SL(wrong_SL)[0, 2])


def test_packed_sequences_have_this_law(toy, corpus):
    slow = probabilities(toy)
    for split, count in ((corpus.train, 20_000), (corpus.valid, 2000), (corpus.test(), 2000)):
        assert len(split.tokens_SL) == count
        seen = Counter(map(tuple, split.tokens_SL.tolist()))
        rows = dict(zip(map(tuple, packed(toy, list(slow)).tolist()), slow.values(), strict=True))
        assert not seen.keys() - rows.keys()
        # Sequences that follow each other are not independent: hence twice the binomial's deviation.
        for row, p in rows.items():
            assert abs(seen[row] - count * p) < 2 * 5 * math.sqrt(count * p) + 1
        nats_S = toy.exact_nats_SL(split.tokens_SL).sum(axis=1)
        expected = -math.fsum(p * math.log(p) for p in slow.values())
        assert abs(nats_S.mean() - expected) < 5 * nats_S.std() / math.sqrt(count)


def test_the_first_sequence_of_a_split_has_it_too():
    """Where packing starts a document, the source does not: that would be another law."""
    data = TOYS["order 1"].model_copy(update={"held_out_sequences": 1})
    rows = [
        next(iter(data.model_copy(update={"seed": seed}).documents("valid"))) == "" for seed in range(500)
    ]
    end = 1 / (1 + data.document_words)  # the share of ends among the stream's tokens
    assert abs(sum(rows) - 500 * end) < 5 * math.sqrt(500 * end)


@pytest.mark.parametrize("order", [1, 2])
def test_the_entropy_rate_is_what_long_sequences_cost(order):
    data = Synthetic(words=20, branching=6, entropy=1.2, document_words=8, length=1000, order=order)
    corpus = load(data.model_copy(update={"train_sequences": 1, "held_out_sequences": 40}))
    nats_S = data.exact_nats_SL(corpus.valid.tokens_SL).sum(axis=1) / 999
    assert abs(nats_S.mean() - data.entropy_rate) < 5 * nats_S.std() / math.sqrt(40) + 0.006


@pytest.mark.parametrize(("count", "entropy"), [(2, 0.01), (8, 1.5), (8, 2.079), (50, 3.0)])
def test_next_words_have_the_entropy_that_was_asked_for(count, entropy):
    assert _entropy(_zipf(count, entropy)) == pytest.approx(entropy)


# --- the text, and its tokenizer ---


def test_one_word_is_one_token_and_samples_read_like_text():
    data = Synthetic(train_sequences=200, held_out_sequences=20)
    corpus = load(data)
    words = data._chain().words
    assert len(set(words)) == 64
    assert all(word.isalpha() and any(vowel in word for vowel in "aeiou") for word in words)
    text = " ".join(words)
    assert corpus.tokenizer.encode_batch([text]) == [list(range(64))]
    assert corpus.tokenizer.decode([64, *range(64), 65, 66]) == text
    assert corpus.tokenizer.vocab_size == 67
    assert "bpe" not in corpus.facts["settings"]["tokenizer"]
    stream = corpus.train.tokens_SL[:, 1:].ravel()
    assert 25 < len(stream) / (stream == 65).sum() < 38  # 30 words and the end of a document
    assert len(np.unique(stream)) == 65


def test_splits_are_independent_draws_of_one_source():
    data = Synthetic(words=2, branching=2, entropy=0.5, document_words=1.5, length=8, train_sequences=50)
    corpus = load(data)
    found = {split: list(data.documents(split)) for split in ("train", "valid", "test")}
    assert found["train"] != found["valid"] != found["test"]
    # Short documents stand in several splits. Taking them out of one would change its law.
    assert set(found["train"][1:-1]) & set(found["valid"])
    assert corpus.facts["splits"]["train"]["documents"] == len(found["train"])


def test_the_seed_is_the_source():
    data = Synthetic(train_sequences=5, held_out_sequences=5)
    again = list(Synthetic(train_sequences=5, held_out_sequences=5).documents("train"))
    assert list(data.documents("train")) == again
    other = data.model_copy(update={"seed": 1})
    assert list(other.documents("train")) != again
    assert other.fingerprint() != data.fingerprint()
    # Written down, because prepared corpora rely on it: raise SOURCE_VERSION where it changes.
    assert again[0] == FIRST_DOCUMENT


FIRST_DOCUMENT = (
    "sturlaim lagol dram fabros voun kepomkum mairdrous trousplu dal mebrai "
    "vainnous fili dal mebrai dre kai kepomkum"
)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"branching": 65}, "branching is 65, but there are 64 words"),
        ({"entropy": 2.1}, "entropy is 2.1, but 8 words have less than 2.079 nats"),
        ({"words": 200, "order": 2}, "200 words are too many for order 2"),
        ({"length": 3}, "greater than or equal to 4"),
        ({"tokenizer": "gpt2"}, "'words'"),
    ],
)
def test_impossible_sources_are_refused(settings, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Synthetic(**settings)


def test_it_is_a_corpus_like_any_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words").mkdir()  # a folder of that name is not meant
    config = TrainConfig.from_dotted({"data.name": "synthetic", "data.seed": 3})
    assert config.data == Synthetic(seed=3)
    assert TrainConfig.from_dotted(config.to_dotted()) == config


def test_another_corpus_is_not_scored_by_it():
    data = Synthetic(train_sequences=2, held_out_sequences=2)
    tokenizer = data.own_tokenizer()
    with pytest.raises(DataError, match="cannot encode the text"):
        tokenizer.encode_batch(["English words"])


# --- the benchmark that holds every model against it ---


def quick(**values) -> TrainConfig:
    return TrainConfig.from_dotted(
        {
            "data": {"name": "synthetic", "length": 16, "train_sequences": 256, "held_out_sequences": 64},
            "model": {"width": 16, "layers": 1, "heads": 1, "cond_width": 8},
            "finetune.steps": 10,
            "evaluation": {"sequences": 64, "variance_batches": 0, "test": False},
            **values,
        }
    )


def test_a_model_is_not_below_the_source_and_one_that_saw_what_is_scored_is_found(monkeypatch):
    honest = oracle.measure(quick(**{"finetune.block_size": 4, "finetune.reweighting.name": "sigmoid"}))
    assert honest.difference > 1
    assert honest.interval < 0.2
    assert not honest.below

    real = BlockDiffusion.bound
    monkeypatch.setattr(BlockDiffusion, "bound", lambda *given: real(*given) / 3)
    seen = oracle.measure(quick(**{"finetune.block_size": 4}))
    assert seen.below
    assert seen.exact == honest.exact


def test_the_benchmark_has_every_objective_schedule_and_weight():
    models = Counter(
        (config.objective.name, config.finetune.block_size)
        for config in oracle.configs({"data.name": "synthetic"}, quick=False)
    )
    schedules, weights = len(oracle.SCHEDULES), len(oracle.REWEIGHTINGS)
    rows = schedules * weights + schedules + 2  # with every weight; masked by frequency; two of both
    assert models["bd3lm", 4] == models["bd3lm", 16] == models["mdlm", 64] == rows
    assert models["sedd", 64] == schedules + schedules
    assert models["ar", 1] == 1
    assert {name for name, _ in models} == set(map(kind_of, oracle.OBJECTIVES))
    few = list(oracle.configs({"data.name": "synthetic"}, quick=True))
    assert {config.objective.name for config in few} == {name for name, _ in models}
    assert len(few) < sum(models.values()) / 4
