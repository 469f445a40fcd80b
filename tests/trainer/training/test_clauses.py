"""What the main job asks of the trainer and no other file here holds to, a clause a test."""

import math
import threading
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from tests.trainer.networks import network
from tests.trainer.tiny_runs import reports_of, returned, tiny_config, write_corpus
from trainer.checkpoints import checkpoint
from trainer.config.network import shape_of
from trainer.data.base import Split
from trainer.data.corpus import load
from trainer.data.tokenizer import Tokenizer
from trainer.evaluation import bound
from trainer.evaluation.record import Evaluation
from trainer.heartbeat import meanwhile
from trainer.network.dit import DiT
from trainer.network.model import Denoiser, Shape
from trainer.noise.clips import Clip
from trainer.noise.reweighting import REWEIGHTINGS, Sigmoid
from trainer.noise.schedules import SCHEDULES, BimodalGaussian, Gaussian
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.training.learner import Learner
from trainer.training.rows import read_rows
from trainer.training.train import train


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


# --- the model ---


def test_small_is_the_public_network() -> None:
    with torch.device("meta"):
        model = DiT(Shape(768, 12, 12, 128, 1024, 50_258, 50_257), causal=False, dropout=0.1)
    assert sum(p.numel() for p in model.parameters()) == 169_627_218
    assert len(model.state_dict()) == 131


# --- the objective ---


def test_every_schedule_clip_and_weight_trains_with_finite_numbers() -> None:
    """Tails included: loss_scale reaches 1e5, and fm, whose variance is infinite, 3e4."""
    model = network(length=16, width=8, layers=1)
    x0 = torch.randint(0, 10, (4, 16), generator=torch.Generator().manual_seed(0))
    extreme = [
        Gaussian(mu=0.0, sigma=1e-3),
        Gaussian(mu=1.0, sigma=1e-3),
        Gaussian(mu=0.5, sigma=1e-3),
        BimodalGaussian(mu1=0.0, sigma1=1e-3, sigma2=1e-3, weight="mixture"),
    ]
    weights = [*(each() for each in REWEIGHTINGS), Sigmoid(k=20, normalize=True), Sigmoid(k=-20)]
    clips = [Clip(), Clip(low=0.0, high=0.0), Clip(low=1.0, high=1.0)]
    for schedule, weight, clip in product([*(each() for each in SCHEDULES), *extreme], weights, clips):
        phase = tiny_config(Path("unread"), finetune__block_size=4).finetune.model_copy(
            update={"schedule": schedule, "reweighting": weight, "clip": clip}
        )
        loss = BlockDiffusion().loss(model, x0, phase, 0.5, torch.Generator().manual_seed(1)).loss_BL
        assert torch.isfinite(loss).all(), phase
        assert (loss >= 0).all(), phase
        if clip == Clip():
            gradients = torch.autograd.grad(loss.sum(), list(model.parameters()))
            assert all(torch.isfinite(each).all() for each in gradients), phase


def test_the_bimodal_mean_moves_from_its_first_step_to_its_last(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress is that of the phase: 0 at its first step, 1 at its last, in both phases."""
    seen: list[float] = []
    plain = BimodalGaussian.mu2

    def mu2(self: BimodalGaussian, progress: float) -> float:
        seen.append(progress)
        return plain(self, progress)

    monkeypatch.setattr(BimodalGaussian, "mu2", mu2)
    both = {f"{phase}__schedule__name": "bimodal_gaussian" for phase in ("pretrain", "finetune")}
    reports_of(
        tiny_config(corpus, pretrain__steps=3, finetune__steps=5, evaluation__variance_batches=0, **both),
        tmp_path,
    )
    assert seen == [0, 0.5, 1, 0, 0.25, 0.5, 0.75, 1]


# --- two phases ---


def test_the_average_goes_on_over_phases_and_the_warm_up_starts_again(corpus: Path, tmp_path: Path) -> None:
    """decay min(0.999, (1 + n) / (10 + n)), n counted over both phases; the moments go on too."""
    config = tiny_config(
        corpus,
        pretrain__steps=20,
        finetune__steps=8,
        finetune__warmup=4,
        finetune__lr=0.01,
        optimizer__ema=0.999,
        log_every=1,
        checkpoint__every=1e-6,
    )
    seen: dict[int, dict[str, torch.Tensor]] = {}
    for event in train(config, tmp_path, device="cpu"):
        if event is not None:
            seen[event.step] = load_file(tmp_path / "last.safetensors")
    name = "vocab_embed.embedding"
    before = load_file(tmp_path / "pretrain" / "last.safetensors")
    expected = torch.lerp(before[f"ema.{name}"], seen[21][f"model.{name}"], 1 - 22 / 31)
    torch.testing.assert_close(seen[21][f"ema.{name}"], expected)

    rows = {row.step: row.values["lr"] for row in read_rows(tmp_path / "rows.jsonl")}
    assert [rows[step] for step in (21, 22, 24, 28)] == pytest.approx([0.0025, 0.005, 0.01, 0.01])

    # AdamW by hand, from the pretrain's moments: its 21st step, not its first.
    old, new = (tensors[f"optimizer.{name}.exp_avg_sq"] for tensors in (before, seen[21]))
    mean = seen[21][f"optimizer.{name}.exp_avg"] / (1 - 0.9**21)
    size = (new / (1 - config.optimizer.beta2**21)).sqrt() + 1e-8
    assert not torch.equal(old, new)
    torch.testing.assert_close(seen[21][f"model.{name}"], before[f"model.{name}"] - 0.0025 * mean / size)


def test_every_step_has_masks_and_dropout_of_its_own_and_trials_share_them(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    plain = BlockDiffusion.loss

    def loss(self: BlockDiffusion, *given: Any) -> Any:
        seen.append((given[-1].initial_seed(), torch.initial_seed()))
        return plain(self, *given)

    monkeypatch.setattr(BlockDiffusion, "loss", loss)
    same = {"pretrain__steps": 3, "finetune__steps": 3, "evaluation__variance_batches": 0}
    reports_of(tiny_config(corpus, **same), tmp_path / "a")
    reports_of(tiny_config(corpus, **same, finetune__schedule__name="cosine"), tmp_path / "b")
    assert seen[:6] == seen[6:]
    assert len({seed for step in seen for seed in step}) == 12


def test_of_equal_checkpoints_the_first_is_the_best(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bound, "ratio_and_se", lambda *_: (5.0, 1.0))
    last = reports_of(tiny_config(corpus, pretrain__steps=0, finetune__steps=20), tmp_path)[-1]
    assert [each.step for each in last.evaluations] == [20, 10]
    assert checkpoint.read_facts(tmp_path / "best.safetensors")["progress"]["step"] == 10


@pytest.mark.parametrize(("valid", "test", "best"), [((5.0, 6.0), 1.0, 10), ((6.0, 5.0), 9.0, 20)])
def test_the_test_split_has_no_say_in_which_checkpoint_is_the_best(
    valid: tuple[float, float],
    test: float,
    best: int,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = iter([*valid, test])
    monkeypatch.setattr(bound, "ratio_and_se", lambda *_: (next(found), 1.0))
    last = reports_of(tiny_config(corpus, pretrain__steps=0, finetune__steps=20), tmp_path)[-1]
    assert [(each.split, each.nelbo) for each in last.evaluations] == [("valid", valid[1]), ("test", test)]
    assert last.evaluations[1].step == best
    assert checkpoint.read_facts(tmp_path / "best.safetensors")["progress"]["step"] == best


# --- the metric ---


def test_every_sequence_has_masks_of_its_own_whatever_its_batch(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(corpus, pretrain__steps=0)
    data = load(config.data)
    model = Learner(config, shape_of(config, data.tokenizer), torch.device("cpu")).average
    seen: list[int] = []

    def nats(_: Any, model: Denoiser, x0_BL: torch.Tensor, *given: Any) -> torch.Tensor:
        seen.extend(given[-1])
        return torch.ones(x0_BL.shape, dtype=torch.float64)

    monkeypatch.setattr(BlockDiffusion, "bound", nats)
    sets: tuple[tuple[Split, int], ...] = (("valid", 16), ("valid", 5), ("test", 16))
    for split, batch_size in sets:
        settings = config.evaluation.model_copy(update={"batch_size": batch_size})
        returned(bound.evaluate(model, config.objective, 8, split, data, settings, 0))
    assert len(set(seen[:16])) == 16
    assert seen[16:32] == seen[:16]
    assert not set(seen[32:]) & set(seen[:16])


def test_a_bound_too_large_for_a_perplexity_is_a_number_still() -> None:
    """A run that is this bad may recover; only what is no number ends it."""
    rows = Evaluation("valid", 1, 800.0, 1.0, {}, {}, [800.0], [1]).metrics()
    assert rows == {"val_nelbo": 800.0, "val_nelbo_se": 1.0}
    assert math.isfinite(Evaluation("valid", 1, 699.0, 1.0, {}, {}, [699.0], [1]).metrics()["val_ppl"])


def test_a_run_may_recover_from_a_bound_beyond_all_perplexities(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = bound.ratio_and_se
    found = iter([(900.0, 1.0)])
    monkeypatch.setattr(bound, "ratio_and_se", lambda *given: next(found, None) or plain(*given))
    rows = [
        r
        for r in reports_of(tiny_config(corpus, pretrain__steps=0, finetune__steps=20), tmp_path)
        if r.evaluations
    ]
    assert [("val_nelbo" in r.values, "val_ppl" in r.values) for r in rows] == [(True, False), (True, True)]
    assert rows[0].values["val_nelbo"] == 900
    assert rows[1].evaluations[1].step == 20, "the best is the second"


def test_an_evaluation_too_large_for_a_heartbeat_is_split(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(corpus, pretrain__steps=0)
    data = load(config.data)
    model = Learner(config, shape_of(config, data.tokenizer), torch.device("cpu")).average

    def passes() -> tuple[int, Evaluation]:
        running = bound.evaluate(model, config.objective, 8, "valid", data, config.evaluation, 0)
        beats = 0
        while True:
            try:
                next(running)
            except StopIteration as stop:
                return beats, stop.value
            beats += 1

    whole = passes()
    monkeypatch.setattr(bound, "PASS_ON_CPU", 1)
    split = passes()
    assert (whole[0], split[0]) == (1, 16)
    assert split[1].nats_D == pytest.approx(whole[1].nats_D, rel=1e-5)


def test_a_pass_of_the_largest_sizes_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tiny` at BERT's vocabulary: a sequence at a time on a CPU, all of them on a GPU."""
    with torch.device("meta"):
        model = DiT(Shape(256, 8, 8, 64, 128, 30_522, 103), causal=False, dropout=0.1)
    assert bound._sequences_a_pass(model, masks=15) == 1
    monkeypatch.setattr(bound, "PASS_ON_CPU", bound.PASS_ON_GPU)
    assert bound._sequences_a_pass(model, masks=15) > 64


def test_without_a_lossless_tokenizer_there_are_no_bits_per_byte(corpus: Path, tmp_path: Path) -> None:
    words = sorted({letter for letter in corpus.read_text() if letter.isalpha()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *(f"##{each}" for each in words)]
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    config = tiny_config(corpus, data__tokenizer=str(tmp_path / "bert"), pretrain__steps=0, finetune__steps=2)
    values = reports_of(config, tmp_path / "run")[-1].values
    assert {"val_ppl", "test_ppl"} <= set(values)
    assert not {"val_bpb", "test_bpb"} & set(values)


# --- text is text ---


def unigram() -> Tokenizer:
    pieces = ["<unk>", "</s>", "<mask>", "▁", "a", "b", "<", ">", "/", "s"]
    backend = Backend(models.Unigram([(each, -1.0) for each in pieces], unk_id=0))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.encode_special_tokens = True
    return Tokenizer(backend, len(pieces), bos_id=1, eos_id=1, mask_id=2)


def test_a_text_that_spells_special_words_neither_ends_nor_masks() -> None:
    """A Unigram model has them among its ordinary pieces."""
    tokenizer = unigram()
    assert 2 in tokenizer.backend.encode("a<mask>b", add_special_tokens=False).ids
    for text in ("a </s> b", "a<mask>b", "<mask></s>", "a b"):
        assert not {1, 2} & set(tokenizer.encode_batch([text])[0]), text
    pieces = [tokenizer.backend.id_to_token(i) for i in tokenizer.encode_batch(["a<mask> b</s>"])[0]]
    assert pieces == ["▁", "a", "▁", "b"]


def byte_level(pre_tokenizer: Any, **added: bool) -> Tokenizer:
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizer
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        ["ab  ab"], trainers.BpeTrainer(vocab_size=260, initial_alphabet=alphabet, show_progress=False)
    )
    if added:
        backend.add_tokens([AddedToken("    ", normalized=False, **added)])
    size = backend.get_vocab_size(with_added_tokens=True)
    return Tokenizer(backend, size + 2, size, size, size + 1)


def test_bytes_are_counted_only_where_no_text_is_lost() -> None:
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters = pre_tokenizers.Split(Regex(r"\w+"), behavior="isolated")
    rest = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    digits = pre_tokenizers.Digits()
    for kept in (plain, *map(pre_tokenizers.Sequence, ([letters, rest], [digits, plain]))):
        assert byte_level(kept).lossless
    for lost in (pre_tokenizers.Whitespace(), pre_tokenizers.Split(" ", behavior="removed")):
        tokenizer = byte_level(pre_tokenizers.Sequence([lost, plain]))
        assert tokenizer.decode(tokenizer.encode_batch(["a b"])[0]) == "ab"
        assert not tokenizer.lossless
        assert not tokenizer.token_bytes_V.any()
    alone = Tokenizer(Backend(models.BPE({"a": 0}, [])), 3, 1, 1, 2)
    alone.backend.pre_tokenizer, alone.backend.decoder = plain, decoders.ByteLevel()
    assert not alone.lossless, "it has no word for most bytes"


def test_words_added_to_a_vocabulary_have_their_bytes() -> None:
    """As the runs of spaces of GPT-NeoX."""
    text = "ab    ab 世界"
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), special=False)
    (ids,) = tokenizer.encode_batch([text])
    assert tokenizer.eos_id - 1 in ids
    assert tokenizer.lossless
    assert tokenizer.decode(ids) == text
    assert tokenizer.token_bytes_V[ids].sum() == len(text.encode())
    greedy = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), lstrip=True)
    assert not greedy.lossless


# --- signs of life ---


def test_meanwhile_there_are_beats() -> None:
    gate = threading.Event()

    def wait() -> None:
        gate.wait(10)

    running = meanwhile(wait, "test", every=0.01)
    for _ in range(3):
        next(running)
    gate.set()
    assert set(running) <= {None}

    def broken() -> None:
        raise ValueError("a sentence")

    with pytest.raises(ValueError, match="a sentence"):
        list(meanwhile(broken, "test"))


def test_the_first_optimizer_of_a_process_is_made_in_the_background(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.training.train.HEARTBEAT", 0.0)
    warm = threading.Event()
    monkeypatch.setattr("trainer.training.train.warm_up", lambda _: warm.wait(60))
    running = train(tiny_config(corpus, pretrain__steps=0, finetune__steps=1), tmp_path, device="cpu")
    assert next(running) is None
    assert not warm.is_set()  # a sign of life came while it was being made
    warm.set()
    running.close()
