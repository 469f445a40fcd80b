"""What holds of every sampler in the union, at any values of its fields: to stand there is to be tested."""

from unittest.mock import patch

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.trainer.networks import network
from tests.trainer.random_settings import settings_of
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.objectives.union import OBJECTIVES
from trainer.sampling.decoder import Decoder
from trainer.sampling.generate import sample
from trainer.sampling.union import SAMPLERS, problem_of_sampler, samplers_of
from trainer.values import kind_of, named

LENGTH, WORDS, MASK = 8, 10, 10
every_sampler = pytest.mark.parametrize("kind", SAMPLERS, ids=kind_of)


@settings(deadline=None, max_examples=25)
@every_sampler
@given(data=st.data(), prompt=st.lists(st.integers(0, WORDS - 1), max_size=3), seed=st.integers(0, 2**31))
def test_it_decides_every_token_of_each_sample_by_itself(kind, data, prompt, seed):
    sampler = data.draw(settings_of(kind, far=0.2))
    assume(not 1 - 1e-9 < getattr(sampler, "nucleus", 1) < 1)  # the last bit of a sum decides there
    objective = data.draw(st.sampled_from([each for each in OBJECTIVES if kind.suits(each)]))()
    block_size = objective.only_block_size(LENGTH) or data.draw(st.sampled_from([1, 2, 4, 8]))
    model = network(objective, length=LENGTH, vocab_size=WORDS + 1, std=0.15).double()
    how = {"length": LENGTH, "block_size": block_size, "bos_id": 7, "prompt": prompt, "sampler": sampler}
    all_three = sample(model, objective, num=3, seed=seed, **how)
    for number, each in enumerate(all_three):
        assert len(each.tokens) == LENGTH
        assert each.tokens[: 1 + len(prompt)] == [7, *prompt]
        assert MASK not in each.tokens
        assert each.nfe >= 1
        assert sample(model, objective, num=1, first=number, seed=seed, **how) == [each]


class Traced(Decoder):
    """Any other; what is masked in each of its passes, by the token's place in the text."""

    def __init__(self, other):
        super().__init__(other.model)
        self.other, self.start, self.masked = other, 0, []

    def hidden(self, block_BP, chosen_BP, move_chance):
        places = (block_BP[0] == MASK).nonzero().squeeze(1).tolist()
        self.masked.append(
            (range(self.start, self.start + block_BP.shape[1]), {self.start + i for i in places})
        )
        return self.other.hidden(block_BP, chosen_BP, move_chance)

    def logits(self, hidden_MD, move_chance):
        return self.other.logits(hidden_MD, move_chance)

    def append(self, tokens_BS):
        self.start += tokens_BS.shape[1]
        return self.other.append(tokens_BS)

    def keep(self, rows_B):
        self.other.keep(rows_B)

    def fresh(self):
        raise NotImplementedError


@settings(deadline=None, max_examples=25)
@every_sampler
@given(data=st.data(), prompt=st.lists(st.integers(0, WORDS - 1), max_size=5), seed=st.integers(0, 2**31))
def test_it_says_which_pass_decided_each_token(kind, data, prompt, seed):
    """As the network itself saw it: masked up to that pass, and there in all that follow."""
    sampler = data.draw(settings_of(kind, far=0.2))
    objective = data.draw(st.sampled_from([each for each in OBJECTIVES if kind.suits(each)]))()
    block_size = objective.only_block_size(LENGTH) or data.draw(st.sampled_from([1, 2, 4, 8]))
    model = network(objective, length=LENGTH, vocab_size=WORDS + 1, std=0.15).double()
    traced = Traced(objective.decoder(model, LENGTH if objective.whole else block_size))
    with patch.object(type(objective), "decoder", lambda *_: traced):
        (one,) = sample(
            *(model, objective),
            **{"num": 1, "length": LENGTH, "block_size": block_size, "bos_id": 7},
            **{"prompt": prompt, "sampler": sampler, "seed": seed},
        )
    assert one.nfe == len(traced.masked)
    assert [each > 0 for each in one.passes] == [i > len(prompt) for i in range(LENGTH)]
    for number, (block, masked) in enumerate(traced.masked, start=1):
        assert {i for i in block if one.passes[i] >= number} == masked


@every_sampler
def test_it_suits_an_objective_and_is_refused_by_the_others_in_words(kind):
    assert named(kind_of(kind), SAMPLERS) is kind
    suited = [each for each in OBJECTIVES if kind.suits(each)]
    assert suited
    sampler = kind.model_validate({})
    for objective in OBJECTIVES:
        values = {"objective.name": kind_of(objective), "samples.num": 1, "samples.sampler": dict(sampler)}
        wrong = problem_of_sampler(objective(), sampler)
        if objective in suited:
            assert wrong is None
            assert TrainConfig.from_dotted(values).samples.sampler == sampler
            continue
        with pytest.raises(InvalidConfig) as caught:
            TrainConfig.from_dotted(values)
        assert list(caught.value.problems) == [("samples.sampler", wrong)]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=kind_of)
def test_fields_alone_are_about_the_first_that_suits(objective):
    first, *_ = samplers_of(objective)
    values = {"objective.name": kind_of(objective), "samples.num": 1, "samples.sampler.nucleus": 0.9}
    assert TrainConfig.from_dotted(values).samples.sampler == first.model_validate({"nucleus": 0.9})
