"""Each kind of step, and all that a run does beside its steps, on a GPU that a CPU describes: no operation is
of tensors of two places, what is captured reads nothing back, and its replays compute what plain steps do."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.gpu.learners import BATCH, LENGTH, distance, learner_of, tokens_for, vector
from tests.trainer.causal_models import LENGTH as SHORT
from tests.trainer.described_gpu import CARD, CPU, Card, DescribedGraph, Refused, described_gpu
from tests.trainer.networks import network
from tests.trainer.tiny_runs import tiny_config, write_corpus
from trainer.config.train_config import TrainConfig
from trainer.network.adapted_union import adapted
from trainer.network.attention import Layout, block_causal, noised
from trainer.network.backends import ATTENTION
from trainer.network.model import Shape
from trainer.network.seeded import seeded
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.union import OBJECTIVES
from trainer.sampling.generate import sample
from trainer.settings.causal_lm import Gpt2Config, LlamaConfig
from trainer.settings.phase import Phase
from trainer.training import cuda_graphs, fused, train
from trainer.training.cuda_graphs import CapturedStep
from trainer.training.fused import Fused
from trainer.training.learner import Learner, Step


@pytest.fixture
def card() -> Iterator[Card]:
    with described_gpu() as there:
        yield there


def phase_of(learner: Learner) -> Phase:
    phase = learner.config.finetune
    return phase.model_copy(update={"masking": phase.masking.counted(lambda: np.arange(97))})


def step_of(learner: Learner, number: int, seed: int) -> Step:
    return Step(tokens_for(learner, seed).to(CPU), phase_of(learner), "finetune", number, number)


KINDS: list[tuple[str, int, dict[str, Any]]] = [
    ("bd3lm", 4, {}),
    ("bd3lm", 4, {"compute__precision": "bfloat16"}),
    ("bd3lm", 4, {"finetune__masking__name": "frequency", "finetune__loss_norm": "masked"}),
    ("bd3lm", 4, {"finetune__time__per": "sequence", "finetune__schedule__name": "gaussian"}),
    ("mdlm", LENGTH, {}),
]
UNCAPTURED: list[tuple[str, int, dict[str, Any]]] = [
    ("bd3lm", 4, {"finetune__complementary": True}),
    ("bd3lm", 4, {"finetune__ar_weight": 0.5}),
    ("bd3lm", 4, {"accumulate": 2, "model__dropout": 0.1}),
    ("ar", 1, {}),
    ("sedd", LENGTH, {}),
]


@pytest.mark.parametrize(("objective", "block_size", "changes"), KINDS, ids=str)
def test_replays_are_the_plain_steps(objective: str, block_size: int, changes: dict[str, Any], card: Card):
    captured, plain = (
        learner_of(CARD, objective, block_size, compute__graph=graph, **changes) for graph in ("step", "off")
    )
    for number in range(1, 4):
        loss, norm = captured.take_step(step_of(captured, number, number))
        assert (loss, norm) == pytest.approx(plain.take_step(step_of(plain, number, number)), rel=1e-4)
    assert plain._graph is None
    assert replays_of(captured._graph) == 3
    assert distance(*(vector(each.model.parameters()) for each in (captured, plain))) < 1e-4


def replays_of(graph: CapturedStep | None) -> int:
    assert graph is not None
    replay: Any = graph._replay
    (described,) = (each for each in replay.args if isinstance(each, DescribedGraph))
    return described.replays


@pytest.mark.parametrize(("objective", "block_size", "changes"), UNCAPTURED, ids=str)
def test_steps_without_a_graph(objective: str, block_size: int, changes: dict[str, Any], card: Card):
    """They are the CPU's, but for dropout."""
    here, there = (learner_of(each, objective, block_size, **changes) for each in (CARD, CPU))
    found, expected = (each.take_step(step_of(each, 1, 1)) for each in (here, there))
    assert card.operations > 100
    assert found == pytest.approx(expected, rel=0.1 if changes.get("model__dropout") else 1e-4)


def test_dropout_of_a_graph_is_a_steps_own(card: Card):
    """Drawn anew at each replay, and again the same for the same step."""
    learner = learner_of(CARD, compute__graph="step", model__dropout=0.5, finetune__lr=1e-30)
    one, other, again = (learner.take_step(step_of(learner, number, 0)) for number in (1, 2, 1))
    assert one == again != other
    assert replays_of(learner._graph) == 3


@pytest.mark.parametrize("graph", ["off", "step"])
def test_fused_steps(graph: str, card: Card):
    """And steps that one of them takes alone, before and after."""
    met, alone = (
        [learner_of(CARD, compute__graph=each, seed=seed) for seed in range(2)] for each in (graph, "off")
    )
    met[0].take_step(step_of(met[0], 1, 9))
    alone[0].take_step(step_of(alone[0], 1, 9))
    fused_steps = Fused(met, [phase_of(each) for each in met])
    for number in range(2, 5):
        taken = fused_steps.take_steps([step_of(each, number, number + 10 * j) for j, each in enumerate(met)])
        for j, found in enumerate(taken):
            assert found is not None
            assert tuple(found) == pytest.approx(
                alone[j].take_step(step_of(alone[j], number, number + 10 * j)), rel=1e-3
            )
    for each in (*met, *alone):
        each.take_step(step_of(each, 5, 7))
    for one, other in zip(met, alone, strict=True):
        assert distance(vector(one.model.parameters()), vector(other.model.parameters())) < 1e-3
        assert distance(vector(one.average.parameters()), vector(other.average.parameters())) < 1e-3


def test_fused_dropout_is_new_at_each_step_whoever_is_away(card: Card, monkeypatch: pytest.MonkeyPatch):
    met = [learner_of(CARD, compute__graph="step", model__dropout=0.5) for _ in range(2)]
    fused_steps, seeds = Fused(met, [phase_of(each) for each in met]), []
    monkeypatch.setattr(fused, "seeded", lambda seed: seeds.append(seed) or seeded(seed))
    for number in (1, 2):
        fused_steps.take_steps([None, step_of(met[1], number, 0)])
    assert seeds[0] != seeds[1]


def reads(given: Callable[..., Any], what: str) -> Callable[..., Any]:
    def instead(*args: Any) -> Any:
        found = given(*args)
        if what == "item":
            found.item()
        elif what == "tolist":
            found.tolist()
        elif what == "places":
            found[found > 0]
        elif what == "a CPU's number":
            return found * torch.tensor(1.0)
        elif what == "a copy":
            return found + torch.ones(3).to(CARD).sum()
        return found

    return instead


@pytest.mark.parametrize("what", ["item", "tolist", "places", "a CPU's number", "a copy"])
def test_what_a_capture_refuses_is_refused_here(what: str, card: Card, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cuda_graphs, "padded_loss", reads(cuda_graphs.padded_loss, what))
    learner = learner_of(CARD, compute__graph="step")
    with pytest.raises(RuntimeError, match="while a graph is captured") as raised:
        learner.take_step(step_of(learner, 1, 1))
    assert isinstance(raised.value.__cause__, Refused)


def test_tensors_of_both_places_are_refused_here(card: Card):
    learner = learner_of(CARD)
    learner.model.output_layer.linear.bias.data = torch.zeros(97)
    with pytest.raises(Refused, match="on the card and on the CPU"):
        learner.take_step(step_of(learner, 1, 1))
    for_a_step = learner_of(CARD)
    next(iter(for_a_step.optimizer.state.values()))["step"] = torch.zeros(())
    with pytest.raises(Refused, match="on the card and on the CPU"):
        for_a_step.take_step(step_of(for_a_step, 1, 1))


def test_a_run_is_evaluated_written_and_goes_on(card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Bound, variance, bins, floors, a search for the clip, checkpoints, and a score afterwards."""
    monkeypatch.setattr(train, "warm_up", lambda device: None)  # in a thread, which has no card
    config = tiny_config(
        write_corpus(tmp_path),
        compute__compile="off",
        pretrain__steps=4,
        finetune__clip={"name": "auto", "widths": [0.5], "step": 0.5, "batches": 1},
        finetune__steps=4,
        evaluation__every=2,
        evaluation__sequences=4,
        evaluation__rank_error=0.5,
        evaluation__block_sizes=[1, 8],
    )
    whole = [each for each in train.train(config, tmp_path / "whole", device="cuda") if each is not None]
    running = train.train(config, tmp_path / "cut", device="cuda")
    next(each for each in running if each is not None)
    running.close()
    cut = [each for each in train.train(config, tmp_path / "cut", device="cuda") if each is not None]
    assert whole[-1].values["val_nelbo"] == cut[-1].values["val_nelbo"]
    assert {"objective", "var_nelbo", "unigram_nelbo", "bin_nats/0.55"} <= whole[-1].values.keys()
    scored = [each for each in train.score(tmp_path / "whole", device="cuda") if each is not None]
    assert scored[0].evaluations[0].nelbo > 0
    assert card.operations > 1000


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("kind", OBJECTIVES, ids=lambda kind: kind.__name__)
def test_text_is_drawn(kind: Any, cached: bool, card: Card):
    objective = kind()
    size = 1 if objective.only_block_size(16) == 1 else 4
    drawn = [
        sample(
            network(objective, length=16).to(device),
            objective,
            num=2,
            length=16,
            block_size=size,
            bos_id=7,
            seed=0,
            cached=cached,
            prompt=[1, 2],
        )
        for device in (CARD, CPU)
    ]
    assert drawn[0] == drawn[1]


BY_BLOCKS, CAUSAL, FULL = noised(64, 16), block_causal(63, 1), noised(64, 64, copies=2)


@pytest.mark.parametrize(
    ("backend", "layout"),
    [
        *((backend, BY_BLOCKS) for backend in ("auto", "dense", "tiles")),
        ("auto", noised(32, 16, copies=3)),
        *((backend, layout) for backend in ("auto", "unmasked") for layout in (CAUSAL, FULL)),
    ],
    ids=str,
)
def test_backends(backend: str, layout: Layout, card: Card):
    tokens = layout.num_noisy + layout.clean
    q, k, v = (torch.ones(2, 2, tokens, 16, device=CARD, requires_grad=True) for _ in range(3))
    o = ATTENTION[backend](q, k, v, layout)
    assert o.is_cuda
    assert all(each.is_cuda for each in torch.autograd.grad(o.sum(), (q, k, v)))


@pytest.mark.parametrize(
    "source",
    [
        Gpt2Config(vocab_size=23, n_embd=24, n_layer=2, n_head=4, n_positions=16),
        LlamaConfig(
            vocab_size=23,
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
        ),
    ],
    ids=lambda source: type(source).__name__,
)
def test_adapted_networks(source: Any, card: Card):
    """Captured, and sampled from."""
    shape = Shape(**source.shape(), cond_width=8, length=SHORT, vocab_size=24, mask_id=23, source=source)
    model = adapted(shape, causal=False, dropout=0.0).to(CARD).train()
    sizes = {"data.length": SHORT, "finetune.block_size": 4, "finetune.batch_size": BATCH}
    phase, objective = TrainConfig.from_dotted(sizes).finetune, BlockDiffusion()
    captured = CapturedStep(model, phase, 1.0)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        x0_BL = torch.randint(0, 23, (BATCH, SHORT), generator=generator).to(CARD)
        drawn = objective.draw(model, x0_BL, phase, 0.0, generator)
        expected = objective.drawn_loss(model, x0_BL, drawn, phase)
        loss, _ = captured(x0_BL, drawn)
        mean = expected.loss_BL.sum() / expected.scored_BL.sum()
        assert loss.item() == pytest.approx(mean.item(), rel=1e-4)
    assert sample(model.eval(), objective, num=2, length=SHORT, block_size=4, bos_id=0, seed=0)
