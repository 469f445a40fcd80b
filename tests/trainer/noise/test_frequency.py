"""Frequency-informed masking: rarer tokens more often, and the objective's mean stays. By enumeration."""

import math
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.polynomial.legendre import leggauss
from safetensors.torch import load_file

from tests.reference import masking as slow
from tests.reference import schedules
from tests.reference.bound import enumerate_bound
from tests.reference.loss import nats
from tests.reference.weights import weight
from tests.trainer.networks import network
from tests.trainer.tiny_runs import reports_of, same_tensors, tiny_config, write_corpus
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig, content_hash
from trainer.data.corpus import load
from trainer.data.counts import token_counts
from trainer.noise.masking import MASKINGS, Frequency, Uniform
from trainer.objectives import forward
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.forward import corrupt
from trainer.objectives.masked_diffusion import MaskedDiffusion
from trainer.objectives.score_entropy import ScoreEntropy
from trainer.training.train import train
from trainer.values import kind_of

WORDS = 4  # a toy vocabulary: four letters, and the mask
COUNTS = [50, 1, 7, 7, 0]


def informed(strength=1.0):
    return Frequency(strength=strength).counted(lambda: np.array(COUNTS))


def toy(objective, length):
    return network(objective, length=length, vocab_size=WORDS + 1, width=8, layers=1, std=0.5).double()


def weights_of(model):
    return dict(model.named_parameters()) | dict(model.named_buffers())


def phase_of(objective, length, **values):
    dotted = {"objective.name": objective.name, "data.length": length}
    config = TrainConfig.from_dotted({**dotted, **{f"finetune.{k}": v for k, v in values.items()}})
    return config.finetune.model_copy(update={"masking": informed()})


def sequence(length):
    """Every count occurs, one of them twice in a block."""
    return torch.tensor([(0, 1, 2, 3, 3, 0, 1, 1)[i % 8] for i in range(length)])


def patterns(block_size):
    return list(product((False, True), repeat=block_size))


def losses_of_all_masks(monkeypatch, objective, phase, x0_L, u_Q, progress):
    """loss_QEN: the objective's own loss of every block at every time under every mask."""
    length, block_size = len(x0_L), phase.block_size
    chosen_EP = torch.tensor(patterns(block_size))
    rows = len(u_Q) * len(chosen_EP)
    masked_RL = chosen_EP.repeat(len(u_Q), length // block_size)
    u_RN = (
        torch.tensor(u_Q, dtype=torch.float64)
        .repeat_interleave(len(chosen_EP))[:, None]
        .expand(rows, length // block_size)
    )

    def masks(x0_BL, chance_BL, mask_id, generator, redrawn):
        masked_BL = masked_RL.clone()
        masked_BL[:, 0] = False
        return torch.where(masked_BL, mask_id, x0_BL), masked_BL

    monkeypatch.setattr(forward, "sample_time", lambda *_, **__: u_RN)
    monkeypatch.setattr(forward, "mask_tokens", masks)
    model = toy(objective, length)
    with torch.no_grad():
        loss = objective.loss(model, x0_L.expand(rows, -1), phase, progress, torch.Generator())
    return loss.loss_BL.view(len(u_Q), len(chosen_EP), -1, block_size).sum(dim=-1)


def mean_over_masks(loss_QEN, phase, x0_L, p_Q, strength):
    """mean_QN: each mask as likely as masking with this strength makes it."""
    total = torch.zeros(loss_QEN.shape[0], loss_QEN.shape[2], dtype=torch.float64)
    for q, p in enumerate(p_Q):
        for n in range(loss_QEN.shape[2]):
            block = x0_L[n * phase.block_size : (n + 1) * phase.block_size].tolist()
            bos = 1 if n == 0 else 0
            each = slow.chances(block, COUNTS, p, strength, bos)
            for e, chosen in enumerate(patterns(phase.block_size)):
                if not any(chosen[:bos]):
                    total[q, n] += loss_QEN[q, e, n] * slow.probability(chosen[bos:], each[bos:])
    return total


CASES = [
    (BlockDiffusion(), 8, {"block_size": 4}),
    (BlockDiffusion(), 6, {"block_size": 3, "schedule.name": "cosine", "reweighting.name": "iddpm"}),
    (BlockDiffusion(), 8, {"block_size": 4, "schedule.name": "gaussian", "reweighting.name": "sigmoid"}),
    (BlockDiffusion(), 6, {"block_size": 2, "schedule.name": "bimodal_gaussian", "reweighting.name": "edm"}),
    (BlockDiffusion(), 4, {"block_size": 4, "clip.low": 0.3, "clip.high": 0.6, "reweighting.name": "simple"}),
    (BlockDiffusion(), 4, {"block_size": 4, "clip.low": 1.0}),
    (MaskedDiffusion(), 5, {}),
    (ScoreEntropy(), 4, {}),
]


@pytest.mark.parametrize(("objective", "length", "values"), CASES, ids=str)
def test_the_mean_over_all_masks_is_that_of_uniform_masking_at_every_time(
    objective, length, values, monkeypatch
):
    phase, x0_L = phase_of(objective, length, **values), sequence(length)
    u_Q = [0.0, 0.1, 0.4, 0.7, 1 - 1e-9]
    p_Q = [float(phase.clip.level(phase.schedule, u, 0.5).move_chance) for u in u_Q]
    found = losses_of_all_masks(monkeypatch, objective, phase, x0_L, u_Q, 0.5)
    plain = phase.model_copy(update={"masking": Uniform()})
    expected = losses_of_all_masks(monkeypatch, objective, plain, x0_L, u_Q, 0.5)
    torch.testing.assert_close(
        mean_over_masks(found, phase, x0_L, p_Q, strength=1.0),
        mean_over_masks(expected, plain, x0_L, p_Q, strength=0.0),
        rtol=1e-6,
        atol=1e-9,
    )


@pytest.mark.parametrize("block_size", [1, 2, 3, 4])
def test_its_mean_over_time_and_masks_is_the_bound(block_size, monkeypatch):
    """Under log-linear both are polynomials in t, and Gauss-Legendre is exact. u is uniform on [0, 1]
    and t on [1e-3, 1], with no factor for that: the mean is 1 / 0.999 of the integral."""
    objective, length = BlockDiffusion(), 2 * block_size + (0 if block_size > 1 else 2)
    phase, x0_L = phase_of(objective, length, block_size=block_size), sequence(length)
    nodes, du_Q = leggauss(8)
    u_Q = ((nodes + 1) / 2).tolist()
    loss_QEN = losses_of_all_masks(monkeypatch, objective, phase, x0_L, u_Q, 0.0)
    p_Q = [1e-3 + 0.999 * u for u in u_Q]
    mean_QN = mean_over_masks(loss_QEN, phase, x0_L, p_Q, strength=1.0)
    found_N = (torch.tensor(du_Q / 2)[:, None] * mean_QN).sum(dim=0)

    model = toy(objective, length)
    nats_of = lambda xt, x0: nats(weights_of(model), 2, xt, x0, block_size, WORDS)  # noqa: E731
    bound_L = enumerate_bound(nats_of, x0_L, block_size, WORDS, low=1e-3)
    torch.testing.assert_close(0.999 * found_N, bound_L.view(-1, block_size).sum(dim=1), rtol=1e-6, atol=1e-9)


BOTH = {
    "gaussian, iddpm": {"schedule": {"name": "gaussian", "mu": 0.4}, "reweighting": {"name": "iddpm"}},
    "bimodal mixture, none": {
        "schedule": {"name": "bimodal_gaussian", "weight": "mixture", "sigma1": 0.4, "sigma2": 0.4}
    },
    "bimodal branch, sigmoid": {
        "schedule": {"name": "bimodal_gaussian", "sigma1": 0.1},
        "reweighting": {"name": "sigmoid", "k": -1.0},
    },
    "clipped gaussian, edm": {
        "schedule": {"name": "gaussian", "sigma": 0.3},
        "clip": {"low": 0.2, "high": 0.9},
        "reweighting": {"name": "edm"},
    },
}


@pytest.mark.parametrize("values", BOTH.values(), ids=BOTH)
def test_schedule_weight_and_masking_together_have_the_mean_of_the_weighted_bound(values, monkeypatch):
    """Time by Gauss-Legendre on pieces between the modes; the expected side by the formulas alone."""
    objective, length, block_size, progress = BlockDiffusion(), 6, 3, 0.5
    phase, x0_L = phase_of(objective, length, block_size=block_size, **values), sequence(length)
    nodes, du = leggauss(6)
    low, high = max(phase.clip.low, 1e-3), phase.clip.high
    jumps = sorted({0.0, 1.0, *((t - low) / (high - low) for _, t in phase.schedule.branches if t < high)})
    edges = [a + (b - a) * x for a, b in pairwise(jumps) for x in (0, 0.02, 0.3, 0.7, 0.98)]
    edges.append(1.0)
    u_Q = np.concatenate([a + (b - a) * (nodes + 1) / 2 for a, b in pairwise(edges)])
    du_Q = np.concatenate([(b - a) / 2 * du for a, b in pairwise(edges)])
    t_Q = low + (high - low) * u_Q
    p_Q = [schedules.move_chance(phase.schedule, t, progress) for t in t_Q]
    loss_QEN = losses_of_all_masks(monkeypatch, objective, phase, x0_L, u_Q.tolist(), progress)
    found_N = (torch.tensor(du_Q)[:, None] * mean_over_masks(loss_QEN, phase, x0_L, p_Q, 1.0)).sum(dim=0)

    model, expected_N = toy(objective, length), torch.zeros(2, dtype=torch.float64)
    for n, first in enumerate((0, block_size)):
        start = max(first, 1)
        for chosen in patterns(first + block_size - start):
            masked_L = torch.zeros(length, dtype=torch.bool)
            masked_L[start : first + block_size] = torch.tensor(chosen)
            with torch.no_grad():
                xt_L = torch.where(masked_L, WORDS, x0_L)
                cost = nats(weights_of(model), 2, xt_L[None], x0_L[None], block_size, WORDS).sum()
            for p, t, share in zip(p_Q, t_Q, du_Q, strict=True):
                scale = schedules.loss_scale(phase.schedule, t, progress, step=1e-7)
                charge = share * scale * weight(phase.reweighting, p, scale)
                expected_N[n] += charge * slow.probability(chosen, [p] * len(chosen)) * cost
    torch.testing.assert_close(found_N, expected_N, rtol=1e-6, atol=0)


def test_a_weight_for_each_token_alone_would_be_biased(monkeypatch):
    """What the docstring says, and that these tests would see it: p / p_i instead of W."""
    objective, length = BlockDiffusion(), 4
    phase, x0_L = phase_of(objective, length, block_size=4), sequence(length)
    plain = phase.model_copy(update={"masking": Uniform()})
    u_Q, p_Q = [0.5], [1e-3 + 0.999 * 0.5]
    loss_QEN = losses_of_all_masks(monkeypatch, objective, plain, x0_L, u_Q, 0.0)
    uniform = mean_over_masks(loss_QEN, plain, x0_L, p_Q, strength=0.0)

    model, each = toy(objective, length), slow.chances(x0_L.tolist(), COUNTS, p_Q[0], 1.0, given=1)
    biased = 0.0
    for chosen in patterns(3):
        xt_L = torch.where(torch.tensor([False, *chosen]), WORDS, x0_L)
        with torch.no_grad():
            cost_L = nats(weights_of(model), 2, xt_L[None], x0_L[None], 4, WORDS)[0]
        likely = slow.probability(chosen, each[1:])
        biased += likely * sum(c.item() / p_i for c, p_i in zip(cost_L[1:], each[1:], strict=True))
    assert abs(biased / uniform.item() - 1) > 1e-4, "a hundred times the tolerance above"


@settings(deadline=None, max_examples=60)
@given(
    block=st.lists(st.integers(0, WORDS), min_size=1, max_size=40),
    p=st.floats(0, 1),
    strength=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
def test_chances_and_weight_are_those_of_the_loops(block, p, strength, seed):
    """Of two equal blocks; the first token of the first is BOS."""
    x0_BL = torch.tensor([block + block])
    p_BN = torch.full((1, 2), p, dtype=torch.float64)
    rule = informed(strength)
    tilt_P = rule.tilt(x0_BL.view(1, 2, -1))[0, 1].double()
    assert (tilt_P.abs() < 1).all()
    expected = torch.tensor(slow.chances(block, COUNTS, p, strength)).double()
    torch.testing.assert_close(p + p * (1 - p) * tilt_P, expected, rtol=1e-6, atol=1e-9)

    _, masked_BL, importance_BN = corrupt(x0_BL, p_BN, rule, 9, torch.Generator().manual_seed(seed))
    for n, bos in ((0, 1), (1, 0)):
        each = slow.chances(block, COUNTS, p, strength, bos)[bos:]
        assert all(0 <= chance <= 1 for chance in each)
        assert sum(each) == pytest.approx(p * len(each))
        chosen = masked_BL.view(2, -1)[n, bos:].tolist()
        likely = slow.probability(chosen, each)
        assume(likely > 0)
        uniform = slow.probability(chosen, [p] * len(each))
        assert importance_BN[0, n].item() == pytest.approx(uniform / likely, 1e-5)


def test_rarer_tokens_are_masked_more_often_and_the_block_as_often():
    block = [0, 1, 2, 3, 4, 0, 2, 1]
    x0_BL = torch.tensor([[0] * 8 + block]).expand(20_000, -1)
    p_BN = torch.full((20_000, 2), 0.3)
    _, masked_BL, importance_BN = corrupt(x0_BL, p_BN, informed(), 9, torch.Generator().manual_seed(0))
    rate_P = masked_BL[:, 8:].float().mean(dim=0)
    torch.testing.assert_close(
        rate_P, torch.tensor(slow.chances(block, COUNTS, 0.3, 1.0)), atol=4 * 0.5 / math.sqrt(20_000), rtol=0
    )
    assert rate_P[4] > rate_P[1] + 0.02 > rate_P[2] + 0.04 > rate_P[0] + 0.06, "0, 1, 7 and 50 times in train"
    assert abs(rate_P.mean() - 0.3) < 4 * 0.5 / math.sqrt(8 * 20_000)
    assert not masked_BL[:, 0].any()
    assert abs(importance_BN.mean() - 1) < 0.03


@pytest.mark.parametrize(("strength", "most"), [(0.5, 1.4), (1.0, 4.2)])
@pytest.mark.parametrize("block_size", [4, 16, 100, 1024])
def test_the_second_moment_of_the_weight_is_bounded_whatever_the_block_size(block_size, strength, most):
    rule = Frequency(strength=strength).counted(lambda: np.arange(block_size))
    tilt_P = rule.tilt(torch.arange(block_size).view(1, 1, -1)).flatten().double()
    for p in torch.linspace(0.01, 0.99, 99).double():
        chance_P = p + p * (1 - p) * tilt_P
        moment = (p**2 / chance_P + (1 - p) ** 2 / (1 - chance_P)).log().sum().exp()
        assert 1 <= moment <= most + 0.05


@pytest.mark.parametrize("masking", [Uniform(), informed(0.0)], ids=["uniform", "strength 0"])
def test_without_tilt_the_loss_has_the_bits_it_always_had(masking):
    phase = phase_of(BlockDiffusion(), 8, block_size=4).model_copy(update={"masking": masking})
    x0_BL = sequence(8).expand(6, -1)
    p_BN = torch.rand(6, 2, generator=torch.Generator().manual_seed(1))
    one = corrupt(x0_BL, p_BN, masking, WORDS, torch.Generator().manual_seed(2))
    plain = slow.mask_tokens(x0_BL, p_BN, WORDS, torch.Generator().manual_seed(2))
    assert torch.equal(one[0], plain)
    assert torch.equal(one[2], torch.ones(6, 2))
    assert phase.masking is masking


def test_the_ends_of_p_are_finite():
    x0_BL = torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2]])
    for p in (0.0, 1e-30, 1e-5, 1 - 1e-7, 1.0):
        _, masked_BL, importance_BN = corrupt(
            x0_BL, torch.full((1, 2), p), informed(), 9, torch.Generator().manual_seed(0)
        )
        assert torch.isfinite(importance_BN).all()
        assert (importance_BN > 0).all()
        assert masked_BL[0, 1:].all() if p == 1 else True


def config(**values):
    return TrainConfig.from_dotted(
        {"pretrain.steps": 5, **{k.replace("__", "."): v for k, v in values.items()}}
    )


def test_uniform_masking_leaves_names_of_configurations_and_stages_as_they_were():
    assert not [key for key in (*config().content(), *config().stage_content()) if "masking" in key]
    spelled = config(finetune__masking__name="uniform", pretrain__masking__name="uniform")
    assert content_hash(spelled.content()) == content_hash(config().content())
    assert spelled.stage_key() == config().stage_key()
    informed = [config(finetune__masking={"name": "frequency", "strength": s}) for s in (0.2, 0.5)]
    assert len({content_hash(each.content()) for each in (*informed, config())}) == 3
    assert {each.stage_key() for each in informed} == {config().stage_key()}
    assert config(pretrain__masking__name="frequency").stage_key() != config().stage_key()
    assert [TrainConfig.from_dotted(each.to_dotted()) for each in informed] == informed


@pytest.mark.parametrize(
    ("values", "key", "sentence"),
    [
        (
            {"finetune__masking__name": "freq"},
            "finetune.masking.name",
            f"'freq' is none of {', '.join(map(kind_of, MASKINGS))}",
        ),
        (
            {"finetune__masking__strength": 0.2},
            "finetune.masking.name",
            "missing, but needed for finetune.masking.strength",
        ),
        (
            {"finetune__masking": {"name": "frequency", "strength": 1.5}},
            "finetune.masking.strength",
            "must be less than or equal to 1, got 1.5",
        ),
        (
            {"objective__name": "ar", "finetune__masking__name": "frequency"},
            "finetune.masking",
            "ar has no noise: leave the masking out",
        ),
    ],
    ids=str,
)
def test_a_mistake_is_a_sentence(values, key, sentence):
    with pytest.raises(InvalidConfig) as caught:
        config(**values)
    assert [(each.key, each.sentence) for each in caught.value.problems] == [(key, sentence)]


# --- in a run ---


def run_config(corpus, **changes):
    values = {"pretrain__steps": 0, "finetune__steps": 12, "evaluation__variance_batches": 1, **changes}
    return tiny_config(corpus, **values)


def test_counts_are_those_of_the_train_split(tmp_path):
    corpus = load(run_config(write_corpus(tmp_path)).data)
    counted = Frequency().counted(lambda: token_counts(corpus.train.tokens_SL, corpus.tokenizer.vocab_size))
    tokens = corpus.train.tokens_SL[:, 1:].ravel().tolist()
    assert counted._count_V.tolist() == [tokens.count(word) for word in range(corpus.tokenizer.vocab_size)]
    assert Uniform().counted(lambda: pytest.fail("nothing needs counting")) == Uniform()
    with pytest.raises(AssertionError, match="comes first"):
        Frequency().tilt(torch.zeros(1, 1, 2, dtype=torch.long))


def test_a_run_is_masked_by_frequency_and_goes_on_after_an_interruption_with_the_same_bits(tmp_path):
    corpus = write_corpus(tmp_path)
    both = {"finetune__masking__name": "frequency", "finetune__masking__strength": 1.0}
    extensions = {"finetune__schedule__name": "bimodal_gaussian", "finetune__reweighting__name": "iddpm"}
    config = run_config(corpus, **both, **extensions)
    whole = reports_of(config, tmp_path / "whole")
    uniform = reports_of(run_config(corpus, **extensions), tmp_path / "uniform")
    assert whole[-1].values["train_loss"] != uniform[-1].values["train_loss"]
    assert whole[-1].values["var_nelbo"] != uniform[-1].values["var_nelbo"]

    interrupted = train(config, tmp_path / "cut", device="cpu")
    while next(interrupted) is None:
        pass
    interrupted.close()
    reports_of(config, tmp_path / "cut")
    weights = [load_file(tmp_path / name / "last.safetensors") for name in ("whole", "cut")]
    assert same_tensors(*weights)
