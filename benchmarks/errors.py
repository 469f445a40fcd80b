"""python -m benchmarks.errors [--quick]: what the error of a trial's evaluation is made of.

For every block size a nano network is trained for some steps on pydocs, and another for half of them: two
relatives, as trials of a sweep are. Both are evaluated as a trial is by default, then again and again on the
same sequences under new masks.

    text       standard error of val_nelbo as reported, clustered by document; what masks add is in it
    masks      standard deviation over the repetitions; foretold: trainer/evaluation/sizing.py
    paired     the same of the difference of the two: text as in `compare`, masks in common or each its own
"""

from typing import Any

import numpy as np
import torch

from benchmarks.document import finish, options
from benchmarks.evaluate import trained
from trainer.config.train_config import TrainConfig
from trainer.data.corpus import Corpus, load
from trainer.evaluation.bound import evaluate
from trainer.evaluation.record import Evaluation, ratio_and_se
from trainer.evaluation.sizing import mask_error
from trainer.objectives.subsets import subset_bound
from trainer.randomness import seed_of, strided_rows
from trainer.training.learner import Learner

LENGTH = 128
BLOCK_SIZES = (8, 16, 128)


def main() -> None:
    parser = options("errors", __doc__, quick="L' = 16, hardly trained.")
    parser.add_argument("--repeats", type=int, default=12, help="Masks drawn anew.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    block_sizes, steps, repeats = ((16,), 10, 3) if given.quick else (BLOCK_SIZES, 200, given.repeats)
    rows = []
    print(f"{'':>7}{'one trial, nats/token':>32}{'difference of two':>40}")
    print(
        f"{'L-prime':>7}{'text':>12}{'masks':>10}{'foretold':>10}{'text':>12}{'masks':>10}{'own masks':>12}"
    )
    for block_size in block_sizes:
        row = measured(block_size, steps, repeats)
        rows.append(row)
        one, pair = row["one"], row["pair"]
        print(f"{block_size:>7}{one['text']:>12.4f}{one['masks']:>10.4f}{one['foretold']:>10.4f}", end="")
        print(f"{pair['text']:>12.4f}{pair['masks']:>10.4f}{pair['own_masks']:>12.4f}", flush=True)
    summary = {f"L'={row['block_size']}": row["one"]["masks"] / row["one"]["text"] for row in rows}
    finish("errors", {"length": LENGTH, "steps": steps, "repeats": repeats}, rows, summary, write=given.write)


def measured(block_size: int, steps: int, repeats: int) -> dict[str, Any]:
    config = TrainConfig.from_dotted(
        {
            "data.length": LENGTH,
            "model.size": "nano",
            "finetune.block_size": block_size,
            "finetune.batch_size": 16,
            "finetune.steps": steps,
            "finetune.lr": 3e-3,
        }
    )
    corpus = load(config.data)
    half = config.model_copy(update={"finetune": config.finetune.model_copy(update={"steps": steps // 2})})
    learners = [trained(each, corpus) for each in (half, config)]
    first, second = (reported(learner, corpus) for learner in learners)
    differences = [a - b for a, b in zip(first.nats_D, second.nats_D, strict=True)]
    found_MR = np.array([[under_masks(each, corpus, r) for r in range(repeats)] for each in learners])
    scored_SL = sequences(config, corpus)[:, 1:].numpy()
    draws = config.evaluation.draws
    return {
        "block_size": block_size,
        "sequences": len(scored_SL),
        "draws": draws,
        "nelbo": [first.nelbo, second.nelbo],
        "one": {
            "text": second.se,
            "masks": float(found_MR[1].std(ddof=1)),
            "foretold": mask_error(scored_SL, block_size) / draws**0.5,
        },
        "pair": {
            "text": ratio_and_se(differences, first.tokens_D)[1],
            "masks": float((found_MR[0] - found_MR[1]).std(ddof=1)),
            "own_masks": float(np.hypot(*found_MR.std(axis=1, ddof=1))),
        },
    }


def reported(learner: Learner, corpus: Corpus) -> Evaluation:
    config = learner.config
    block_size, step = config.finetune.block_size, config.finetune.steps
    running = evaluate(
        learner.average, config.objective, block_size, "valid", corpus, config.evaluation, step
    )
    while True:
        try:
            next(running)
        except StopIteration as stop:
            return stop.value


def under_masks(learner: Learner, corpus: Corpus, repeat: int) -> float:
    """nats per token of the evaluation's sequences under the masks of this repetition."""
    config = learner.config
    x0_SL = sequences(config, corpus)
    seeds = [seed_of("errors", row, repeat) for row in range(len(x0_SL))]
    nats_SL = subset_bound(learner.average, x0_SL, config.finetune.block_size, config.evaluation.draws, seeds)
    return nats_SL.sum().item() / (len(x0_SL) * (LENGTH - 1))


def sequences(config: TrainConfig, corpus: Corpus) -> torch.Tensor:
    """x0_SL, those that a trial is evaluated on."""
    tokens_SL = corpus.valid.tokens_SL
    rows_S = strided_rows(config.evaluation.seed, config.evaluation.sequences, len(tokens_SL))
    return torch.from_numpy(np.asarray(tokens_SL[rows_S], np.int64))


if __name__ == "__main__":
    main()
