"""val_nelbo and test_nelbo: the bound on common sequences and common masks (formulas.md section 4).

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
from trainer.evaluation.sizing import draws_of
from trainer.network.model import Denoiser, evaluating
from trainer.objectives.base import Objective
from trainer.randomness import seed_of, strided_rows

# Multiplications of one forward pass: about half a second of one core, or of a GPU.
PASS_ON_CPU, PASS_ON_GPU = 10**10, 10**13


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
    round: int = 0,
) -> Generator[None, None, Evaluation]:
    """Yields None after each pass, and returns what it found. Dropout is off.

    ema: whether the model's weights are the moving average. keep: a file for the nats of each sequence.
    round: of a race: its masks are its own, its sequences everybody's.
    """
    packed = corpus.test() if split == "test" else corpus.valid
    rows_S = strided_rows(config.seed, config.sequences, len(packed.tokens_SL))
    tokens_SL = np.asarray(packed.tokens_SL[rows_S], np.int64)
    draws = draws_of(config, tokens_SL[:, 1:], block_size)
    masks = "masks" if not round else f"masks of round {round}"
    seeds_S = [seed_of(config.seed, split, masks, int(row)) for row in rows_S]
    device = next(model.parameters()).device

    passport = objective.passport(block_size, draws)
    batch_size = min(config.batch_size, _sequences_a_pass(model, passport["draws"]))
    nats = []
    for i in range(0, len(rows_S), batch_size):
        batch = slice(i, i + batch_size)
        x0_BL = torch.from_numpy(tokens_SL[batch]).to(device)
        with evaluating(model):
            nats_BL = objective.bound(model, x0_BL, block_size, draws, seeds_S[batch])
        nats.append(nats_BL.cpu().numpy())
        yield None
    scored_nats_SL = np.concatenate(nats)[:, 1:]  # position 0 is BOS: given, never scored

    documents, document_SL = np.unique(packed.documents_SL[rows_S][:, 1:], return_inverse=True)
    document = document_SL.reshape(-1)
    nats_D = np.bincount(document, scored_nats_SL.reshape(-1), len(documents)).tolist()
    tokens_D = np.bincount(document, minlength=len(documents)).tolist()
    nelbo, se = ratio_and_se(nats_D, tokens_D)
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
            "seed": config.seed,
            **({"round": round} if round else {}),
            "precision": str(model.dtype).removeprefix("torch."),
            "torch": str(torch.__version__),  # a class of its own, that whoever unpickles it needs torch for
        },
        nats_D=nats_D,
        tokens_D=tokens_D,
        text_bytes=int(tokenizer.token_bytes_V[tokens_SL[:, 1:]].sum()) if tokenizer.lossless else 0,
    )


def _sequences_a_pass(model: Denoiser, masks: int) -> int:
    """The work is counted, not timed, so that a repetition has the same bits."""
    parameters = list(model.parameters())
    tokens = model.shape.length * (masks + 1)
    limit = PASS_ON_GPU if parameters[0].is_cuda else PASS_ON_CPU
    return max(1, limit // (tokens * sum(p.numel() for p in parameters)))


def _keep(path: Path, rows_S: np.ndarray, nats_S: np.ndarray, step: int) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    save_file({"rows_S": rows_S, "nats_S": nats_S}, temporary, metadata={"step": str(step)})
    replace_durably(temporary, path)
