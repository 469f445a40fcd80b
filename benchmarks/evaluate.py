"""python -m benchmarks.evaluate [--quick]: how many tokens 1% on val_ppl costs, of Monte-Carlo error alone.

Ours (trainer/objectives/subsets.py) against the usual estimate: one t for each block, stratified over the
batch, Bernoulli masks, 1/t (the training loss under loglinear noise). For every block size a nano network
is trained for some steps on pydocs; then the same sequences are evaluated again and again under new masks.

    tokens for 1% = variance of a batch's mean * tokens passed for it * (1.96 / log 1.01)^2

A token passed under K masks counts K times, though ours reads its clean copy once for all K. At block sizes
up to 4 ours enumerates every mask: its variance is 0, and a sequence costs 2^L' - 1 masks.
"""

import math
import time
from typing import Any

import numpy as np
import torch

from benchmarks.document import finish, options
from trainer.config.network import shape_of
from trainer.config.train_config import TrainConfig
from trainer.data.corpus import Corpus, load
from trainer.evaluation.variance import loss_of
from trainer.objectives.subsets import ENUMERATED_BLOCK_SIZE, subset_bound, subsets_of
from trainer.randomness import batch_rows, seed_of
from trainer.training.learner import Learner, Step

LENGTH, BATCH = 128, 16
BLOCK_SIZES = (1, 4, 16, 128)
DRAWS = 4  # masks a block of ours, where it draws
PER_UNIT_VARIANCE = (1.959964 / math.log(1.01)) ** 2


def main() -> None:
    parser = options("evaluate", __doc__, quick="L' = 4 and 16, hardly trained.")
    parser.add_argument("--steps", type=int, default=150, help="Of training, for each block size.")
    parser.add_argument("--repeats", type=int, default=60, help="Masks drawn anew, for each batch.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    block_sizes = (4, 16) if given.quick else BLOCK_SIZES
    steps, repeats, batches = (5, 5, 2) if given.quick else (given.steps, given.repeats, 4)
    rows = []
    print(f"{'':>5}{'nats/token':>22}{'tokens for 1%':>26}")
    print(f"{'L-prime':>7}{'ours':>10}{'stratified':>11}{'ours':>11}{'stratified':>13}{'ratio':>8}  95%")
    for block_size in block_sizes:
        row = measured(block_size, steps, repeats, batches)
        rows.append(row)
        ours, usual = row["tokens"]["ours"], row["tokens"]["stratified t"]
        line = f"{block_size:>7}{row['nelbo']['ours']:>10.4f}{row['nelbo']['stratified t']:>11.4f}"
        line += f"{ours:>11,}{usual:>13,}"
        if row["ratio"]:
            low, high = row["interval"]
            line += f"{row['ratio']:>7.1f}x  {low:.1f} to {high:.1f}"
        print(line if row["ratio"] else f"{line}   exact, {row['masks']} masks", flush=True)
    summary = {f"L'={row['block_size']}": row["ratio"] if row["ratio"] else "exact" for row in rows}
    settings = {
        "model": "nano",
        "length": LENGTH,
        "batch": BATCH,
        "draws": DRAWS,
        "steps": steps,
        "repeats": repeats,
        "batches": batches,
    }
    finish("evaluate", settings, rows, summary, write=given.write)


def measured(block_size: int, steps: int, repeats: int, batches: int) -> dict[str, Any]:
    """Both estimates of the same network on the same sequences."""
    began = time.process_time()
    config = TrainConfig.from_dotted(
        {
            "data.length": LENGTH,
            "model.size": "nano",
            "finetune.block_size": block_size,
            "finetune.batch_size": BATCH,
            "finetune.steps": steps,
            "finetune.lr": 3e-3,
        }
    )
    corpus = load(config.data)
    learner = trained(config, corpus)
    masks = len(subsets_of(LENGTH, block_size, DRAWS, 0).masked_KL)
    ours_repeats = repeats if block_size > ENUMERATED_BLOCK_SIZE else 2  # they can only agree
    x0_GBL = [tokens(corpus.valid.tokens_SL, group * BATCH) for group in range(batches)]
    ours_GR = np.array([[of_subsets(learner, x0_BL, r) for r in range(ours_repeats)] for x0_BL in x0_GBL])
    usual_GR = np.array([[of_times(learner, x0_BL, r) for r in range(repeats)] for x0_BL in x0_GBL])
    ours, usual = needed_tokens(ours_GR, masks), needed_tokens(usual_GR, 1)
    ratio, interval = None, None
    if ours:
        ratio = round(usual / ours, 2)
        draws = np.random.default_rng(0).integers(repeats, size=(1000, repeats))
        resampled = [needed_tokens(usual_GR[:, d], 1) / needed_tokens(ours_GR[:, d], masks) for d in draws]
        interval = np.round(np.quantile(resampled, [0.025, 0.975]), 2).tolist()
    return {
        "block_size": block_size,
        "masks": masks,
        "nelbo": {"ours": float(ours_GR.mean()), "stratified t": float(usual_GR.mean())},
        "standard_error": {
            name: float(np.sqrt(found_GR.var(axis=1, ddof=1).mean() / found_GR.size))
            for name, found_GR in (("ours", ours_GR), ("stratified t", usual_GR))
        },
        "tokens": {"ours": round(ours), "stratified t": round(usual)},
        "ratio": ratio,
        "interval": interval,
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def trained(config: TrainConfig, corpus: Corpus) -> Learner:
    learner = Learner(config, shape_of(config, corpus.tokenizer), torch.device("cpu"))
    for step in range(1, config.finetune.steps + 1):
        rows_B = batch_rows(0, "finetune", step, BATCH, len(corpus.train.tokens_SL))
        x0_BL = torch.from_numpy(np.asarray(corpus.train.tokens_SL[rows_B], np.int64))
        learner.take_step(Step(x0_BL, config.finetune, "finetune", step, step))
    return learner


def tokens(tokens_SL: np.ndarray, first: int) -> torch.Tensor:
    return torch.from_numpy(np.asarray(tokens_SL[first : first + BATCH], np.int64))


def of_subsets(learner: Learner, x0_BL: torch.Tensor, repeat: int) -> float:
    """nats per token of a batch, by subsets of the masks of this repetition."""
    seeds = [seed_of("benchmark", row, repeat) for row in range(BATCH)]
    block_size = learner.config.finetune.block_size
    nats_BL = subset_bound(learner.average, x0_BL, block_size, DRAWS, seeds)
    return nats_BL.sum().item() / (BATCH * (LENGTH - 1))


def of_times(learner: Learner, x0_BL: torch.Tensor, repeat: int) -> float:
    """The same by the training loss: loglinear, unclipped, unweighted."""
    seed = seed_of("benchmark", "times", repeat)
    config = learner.config
    loss = loss_of(learner.average, config.objective, x0_BL, config.finetune, 1.0, seed)
    return (loss.loss_BL.double().sum() / loss.scored_BL.sum()).item()


def needed_tokens(found_GR: np.ndarray, masks: int) -> float:
    """From repetitions on each of G batches; 0 where all agree but for rounding."""
    variance = found_GR.var(axis=1, ddof=1).mean()
    if variance < 1e-14 * found_GR.mean() ** 2:
        return 0.0
    return variance * BATCH * LENGTH * masks * PER_UNIT_VARIANCE


if __name__ == "__main__":
    main()
