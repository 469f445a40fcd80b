"""val_nelbo and test_nelbo: the bound on common sequences and common masks (docs/formulas.md section 4).

What is evaluated depends on the evaluation's seed and the split alone, never on the run: so every
difference between two runs is paired. B batch, L length, S sequences, D documents.
"""

from collections.abc import Generator
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from trainer.config.evaluation import EvaluationConfig
from trainer.data.base import Split
from trainer.data.corpus import Corpus, identity
from trainer.disk import replace_durably
from trainer.evaluation.record import Evaluation, ratio_and_se
from trainer.evaluation.sizing import draws_of, fine_draws_of, surprisal_variance
from trainer.network.model import Denoiser, evaluating
from trainer.objectives.base import Objective
from trainer.randomness import seed_of, strided_rows

# Multiplications of one forward pass: about half a second of one core, or of a GPU.
PASS_ON_CPU, PASS_ON_GPU = 10**10, 10**13
MOST_TOKENS = 2**13  # of a pass of the fine bound: bounds memory


def evaluate(
    model: Denoiser,
    objective: Objective,
    block_size: int,
    split: Split,
    corpus: Corpus,
    config: EvaluationConfig,
    step: int,
    *,
    ema: bool = True,
    keep: Path | None = None,
    ranks: bool = False,
    masks: int | None = None,
    round: int = 0,
) -> Generator[None, None, Evaluation]:
    """Yields None after each pass, and returns what it found. Dropout is off.

    ema: whether the model's weights are the moving average. keep: a file for the nats of each sequence.
    ranks: the number is there to rank a run. Where it is sampled it has as many masks as rank_error takes,
    or `masks`, by the fine bound; with neither, those of any look.
    round: 0 has the masks of every look. Another has masks of its own, on the same sequences and common to
    all that is scored in it at one block size: what scores share by chance differs from round to round.
    """
    packed = corpus.test() if split == "test" else corpus.valid
    rows_S = strided_rows(config.seed, config.sequences, len(packed.tokens_SL))
    tokens_SL = np.asarray(packed.tokens_SL[rows_S], np.int64)
    of_round = ("round", round) if round else ()
    seeds_S = [seed_of(config.seed, split, "masks", int(row), *of_round) for row in rows_S]
    if ranks and masks is None and config.rank_error is not None:
        masks = fine_draws_of(config.rank_error, tokens_SL[:, 1:], block_size)

    passport = objective.passport(block_size, masks or draws_of(config, tokens_SL[:, 1:], block_size))
    draws, x0_SL = passport["draws"], torch.from_numpy(tokens_SL)
    sampled = passport["bound"] == "sampled"  # so masks have an error, by s^2 of the text (sizing.py)
    if ranks and masks is not None and sampled:
        passport["estimator"] += ", controlled"
        nats_SL = yield from _fine(model, objective, x0_SL, block_size, draws, seeds_S, config.batch_size)
    else:
        nats_SL = yield from _plain(model, objective, x0_SL, block_size, draws, seeds_S, config.batch_size)
    scored_nats_SL = nats_SL[:, 1:]  # position 0 is BOS: given, never scored

    documents, document_SL = np.unique(packed.documents_SL[rows_S][:, 1:], return_inverse=True)
    document = document_SL.reshape(-1)
    nats_D = np.bincount(document, scored_nats_SL.reshape(-1), len(documents)).tolist()
    tokens_D = np.bincount(document, minlength=len(documents)).tolist()
    nelbo, se = ratio_and_se(nats_D, tokens_D)
    exact_SL = corpus.source.exact_nats_SL(tokens_SL)
    exact_D = None
    if exact_SL is not None:
        exact_D = np.bincount(document, exact_SL[:, 1:].reshape(-1), len(documents)).tolist()
    if keep is not None:
        _keep(keep, rows_S, scored_nats_SL.sum(axis=1), step)
    tokenizer = corpus.tokenizer
    return Evaluation(
        split=split,
        step=step,
        nelbo=nelbo,
        se=se,
        identity={
            **identity(corpus, split),
            "sequences": len(rows_S),
            "evaluation_seed": config.seed,
            "ema": ema,
        },
        provenance={
            **passport,
            **({"surprisal_variance": surprisal_variance(tokens_SL[:, 1:])} if sampled else {}),
            "seed": config.seed,
            **({"round": round} if round else {}),
            "precision": str(model.dtype).removeprefix("torch."),
            "torch": str(torch.__version__),  # a class of its own, that whoever unpickles it needs torch for
        },
        nats_D=nats_D,
        tokens_D=tokens_D,
        text_bytes=int(tokenizer.token_bytes_V[tokens_SL[:, 1:]].sum()) if tokenizer.lossless else 0,
        ranks=ranks,
        exact_nats_D=exact_D,
    )


Nats = Generator[None, None, np.ndarray]


def _plain(
    model: Denoiser,
    objective: Objective,
    x0_SL: torch.Tensor,
    block_size: int,
    draws: int,
    seeds_S: list[int],
    batch_size: int,
) -> Nats:
    """nats_SL: all masks of at least one sequence in a pass."""
    size = min(batch_size, _sequences_a_pass(model, draws))
    device = next(model.parameters()).device
    nats = []
    for i in range(0, len(x0_SL), size):
        x0_BL = x0_SL[i : i + size].to(device)
        with evaluating(model):
            nats_BL = objective.bound(model, x0_BL, block_size, draws, seeds_S[i : i + size])
        nats.append(nats_BL.cpu().numpy())
        yield None
    return np.concatenate(nats)


def _fine(
    model: Denoiser,
    objective: Objective,
    x0_SL: torch.Tensor,
    block_size: int,
    draws: int,
    seeds_S: list[int],
    batch_size: int,
) -> Nats:
    """nats_SL: at least one mask of one sequence in a pass."""
    at_once = min(MOST_TOKENS, batch_size * x0_SL.shape[1], _tokens_a_pass(model))
    x0_SL = x0_SL.to(next(model.parameters()).device)
    nats_SL = yield from objective.fine_bound(model, x0_SL, block_size, draws, seeds_S, at_once)
    return nats_SL.cpu().numpy()


def _sequences_a_pass(model: Denoiser, masks: int) -> int:
    return max(1, _tokens_a_pass(model) // (model.shape.length * (masks + 1)))


def _tokens_a_pass(model: Denoiser) -> int:
    """The work is counted, not timed, so that a repetition has the same bits."""
    parameters = list(model.parameters())
    limit = PASS_ON_GPU if parameters[0].is_cuda else PASS_ON_CPU
    return limit // sum(p.numel() for p in parameters)


def _keep(path: Path, rows_S: np.ndarray, nats_S: np.ndarray, step: int) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    save_file({"rows_S": rows_S, "nats_S": nats_S}, temporary, metadata={"step": str(step)})
    replace_durably(temporary, path)
