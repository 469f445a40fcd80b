"""What holds of every objective in the union: a new one is tested by standing there."""

import math

import pytest
import torch

from tests.trainer.networks import network
from tests.trainer.tiny_runs import reports_of, tiny_config, write_corpus
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.network.model import evaluating
from trainer.objectives.union import OBJECTIVES
from trainer.sampling.union import samplers_of
from trainer.values import kind_of

LENGTH, WORDS = 8, 10  # and the mask
every_objective = pytest.mark.parametrize("kind", OBJECTIVES, ids=kind_of)


def config_of(kind, **values):
    return TrainConfig.from_dotted({"objective.name": kind_of(kind), "data.length": LENGTH, **values})


def tokens(batch=6):
    return torch.randint(0, WORDS, (batch, LENGTH), generator=torch.Generator().manual_seed(3))


def drawn_by(seed):
    return torch.Generator().manual_seed(seed)


@every_objective
def test_its_name_alone_makes_a_run_and_another_block_size_is_refused_where_it_has_but_one(kind):
    config = config_of(kind)
    assert type(config.objective) is kind
    assert TrainConfig.from_dotted(config.to_dotted()) == config
    only = kind.only_block_size(LENGTH)
    for phase in ("pretrain", "finetune"):
        for block_size in {1, 2, LENGTH} - {only} if only else ():
            with pytest.raises(InvalidConfig) as caught:
                config_of(kind, **{f"{phase}.block_size": block_size})
            assert [each.key for each in caught.value.problems] == [f"{phase}.block_size"]


@every_objective
def test_its_loss_is_that_of_the_maskable_tokens_and_trains_every_weight(kind):
    config, x0_BL = config_of(kind), tokens()
    model = network(config.objective, length=LENGTH, vocab_size=WORDS + 1)
    one, again, other = (
        config.objective.loss(model, x0_BL, config.finetune, 0.5, drawn_by(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(one.loss_BL, again.loss_BL)
    assert torch.equal(one.loss_BL, other.loss_BL) == (not config.objective.noisy)
    assert torch.isfinite(one.loss_BL).all()
    assert not one.scored_BL[:, 0].any(), "BOS is given"
    assert (one.loss_BL[~one.scored_BL] == 0).all()
    gradients = torch.autograd.grad(one.loss_BL.sum(), list(model.parameters()))
    assert all(torch.isfinite(each).all() and each.any() for each in gradients)


@every_objective
def test_several_draws_of_a_batch_at_once_lose_what_each_does_by_itself(kind):
    config, x0_BL = config_of(kind), tokens()
    objective, phase = config.objective, config.finetune
    model = network(objective, length=LENGTH, vocab_size=WORDS + 1).double()
    with evaluating(model):
        drawn = [objective.draw(model, x0_BL, phase, 0.5, drawn_by(seed)) for seed in range(3)]
        together = objective.drawn_losses(model, x0_BL, drawn, [phase] * 3)
        alone = [objective.drawn_loss(model, x0_BL, each, phase) for each in drawn]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.loss_BL, other.loss_BL)
        assert torch.equal(one.scored_BL, other.scored_BL)


@every_objective
@pytest.mark.parametrize("parts", [2, 3])
def test_in_parts_it_is_the_same(kind, parts):
    config, x0_BL = config_of(kind), tokens()
    model = network(config.objective, length=LENGTH, vocab_size=WORDS + 1).double()
    given = (model, x0_BL, config.finetune, 0.5)
    whole = config.objective.loss(*given, drawn_by(0))
    shares, pieces = zip(*config.objective.losses(*given, drawn_by(0), parts), strict=True)
    assert math.fsum(shares) == pytest.approx(1)
    for field in ("loss_BL", "scored_BL"):
        together = torch.cat([getattr(each, field) for each in pieces])
        torch.testing.assert_close(together, getattr(whole, field))


@every_objective
def test_its_bound_is_a_sequences_own_whatever_stands_beside_it(kind):
    config, x0_BL = config_of(kind), tokens()
    model = network(config.objective, length=LENGTH, vocab_size=WORDS + 1)
    block_size, seeds_B = config.finetune.block_size, list(range(len(x0_BL)))
    with evaluating(model):
        nats_BL = config.objective.bound(model, x0_BL, block_size, 3, seeds_B)
        alone_BL = config.objective.bound(model, x0_BL[2:3], block_size, 3, seeds_B[2:3])
    assert nats_BL.dtype == torch.float64
    assert torch.isfinite(nats_BL).all()
    assert (nats_BL[:, 0] == 0).all()
    torch.testing.assert_close(alone_BL[0], nats_BL[2], rtol=1e-5, atol=1e-6)
    passport = config.objective.passport(block_size, 3)
    assert passport["bound"] in ("exact", "enumerated", "sampled")
    assert passport["draws"] >= 1


@every_objective
def test_it_is_trained_judged_and_sampled_from(kind, tmp_path):
    assert samplers_of(kind)
    changes = {"pretrain__steps": 2, "finetune__steps": 4, "evaluation__every": 2, "samples__num": 2}
    values = tiny_config(write_corpus(tmp_path), **changes).to_dotted()
    unsaid = [key for key in values if key.endswith(".block_size")]
    rest = {key: value for key, value in values.items() if key not in unsaid}
    last = reports_of(TrainConfig.from_dotted({**rest, "objective.name": kind_of(kind)}), tmp_path / "run")[
        -1
    ]
    assert {"val_nelbo", "test_nelbo", "train_loss", "nfe", "length_median"} <= last.values.keys()
    assert all(math.isfinite(value) for value in last.values.values())
