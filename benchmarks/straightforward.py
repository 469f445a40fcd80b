"""python -m benchmarks.straightforward [--quick]: Table 10 by this sweeper, against Ray and a plain trainer.

The plain side is what one would write from the public code: Ray Tune, and for every cell its own 400 + 100
steps in the straightforward form (tests/reference/step.py) and one pass over the same valid sequences. The
other is this sweeper, all of it: shared pretrain, its trainer, its evaluation. Same cells (table10.yaml),
model, text, batches, masks, two slots; float32, no dropout, so both end at the same training loss, which is
checked. CPU seconds are those of every process. The plain side runs one cell of each block size to its end;
each counts for the eight cells of its block size, and Ray and the driver count once.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.document import finish, options
from benchmarks.metering import metered
from benchmarks.plain.grid import run_cells
from benchmarks.swept import swept
from benchmarks.table10 import QUICK, SPEC

VOCABULARIES = (4_096, 30_522)
CELLS = 8  # of each block size
CLOSE = 2e-3  # of the two sides' training losses, relative: rounding grows over hundreds of steps


def main() -> None:
    parser = options("straightforward", __doc__, quick="A tenth of the steps, the small vocabulary.")
    parser.add_argument(
        "--vocabularies", type=int, nargs="+", default=VOCABULARIES, help="Asked of the text."
    )
    parser.add_argument("--side", choices=["ours", "plain"], help=argparse.SUPPRESS)
    parser.add_argument("--vocab", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    short = QUICK if given.quick else []
    if given.side:
        overrides = [*short, f"trainer.data.vocab_size={given.vocab}", "trainer.model.dropout=0"]
        {"ours": ours, "plain": plain}[given.side](given.folder, overrides)
        return

    rows: list[dict[str, Any]] = []
    summary: dict[str, float] = {}
    for vocab in VOCABULARIES[:1] if given.quick else given.vocabularies:
        measured = {side: run(side, vocab, given.quick) for side in ("ours", "plain")}
        losses = {side: each.pop("losses") for side, each in measured.items()}
        for cell, loss in losses["plain"].items():
            if abs(losses["ours"][cell] - loss) > CLOSE * loss:
                sys.exit(f"{cell}: training loss {losses['ours'][cell]:.5f} here, {loss:.5f} straightforward")
        ratio = measured["plain"]["cpu_seconds"] / measured["ours"]["cpu_seconds"]
        rows += [{"side": side, **each} for side, each in measured.items()]
        name = f"V={measured['ours']['vocab_size']:,}"
        summary[name] = round(ratio, 2)
        print(f"{name:<10}{ratio:>7.2f}x   {measured}", flush=True)
    finish("straightforward", {"quick": given.quick}, rows, summary, write=given.write)


def run(side: str, vocab: int, quick: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="plain-", dir="/tmp") as folder:
        command = [sys.executable, "-m", "benchmarks.straightforward", "--side", side, "--vocab", str(vocab)]
        done = metered([*command, "--folder", folder, *(["--quick"] if quick else [])])
        found = json.loads((Path(folder) / "results.json").read_text())
    cells = found.pop("cells", {})
    once = done.cpu_seconds - sum(cells.values())
    return {**found, "cpu_seconds": round(once + CELLS * sum(cells.values()), 1), "cells_cpu_seconds": cells}


def ours(folder: Path, overrides: list[str]) -> None:
    from sweeper.spec.load import load_spec
    from trainer.data.corpus import load

    spec = load_spec(SPEC, overrides)
    with swept(spec, folder) as reader:
        last = {row.trial: row.value for row in reader.latest(1) if row.name == "train_loss"}
        losses = {_name(trial.params): last[trial.id] for trial in reader.trials(1)}
    corpus = load(spec.train_config(spec.always[0], 0).data)
    document = {"vocab_size": corpus.tokenizer.vocab_size, "losses": losses}
    (folder / "results.json").write_text(json.dumps(document))


def plain(folder: Path, overrides: list[str]) -> None:
    from ray import tune

    from sweeper.spec.load import load_spec

    spec = load_spec(SPEC, overrides)

    def cell(config: dict[str, Any]) -> None:
        from trainer.config.train_config import TrainConfig

        began = time.process_time()
        loss, vocab_size = train(TrainConfig.from_dotted(config["values"]))
        tune.report({"loss": loss, "vocab_size": vocab_size, "cpu": time.process_time() - began})

    points = [point for point in spec.always if _is_plain(point)]
    cells = [{"name": _name(point), "values": spec.train_config(point, 0).to_dotted()} for point in points]
    by_name = {done["name"]: last for done, last in run_cells(cell, cells, folder)}
    document = {
        "vocab_size": next(iter(by_name.values()))["vocab_size"],
        "losses": {name: metrics["loss"] for name, metrics in by_name.items()},
        "cells": {name: metrics["cpu"] for name, metrics in by_name.items()},
    }
    (folder / "results.json").write_text(json.dumps(document))


def _is_plain(point: dict[str, Any]) -> bool:
    """The cell that stands for its block size: loglinear, not clipped."""
    return point["finetune.schedule.name"] == "loglinear" and len(point) == 2


def _name(point: dict[str, Any]) -> str:
    return json.dumps(point, sort_keys=True)


def train(config: Any) -> tuple[float, int]:
    """Both phases, plainly; (the mean training loss since our last row would be due, words)."""
    import numpy as np
    import torch

    from tests.reference.step import Step
    from trainer.config.network import shape_of
    from trainer.data.corpus import load, prepare
    from trainer.objectives.forward import corrupt, sample_time
    from trainer.randomness import batch_rows, seed_of
    from trainer.training.learner import Learner, learning_rate, progress_of

    for _ in prepare(config.data):
        pass
    corpus, length = load(config.data), config.data.length
    learner = Learner(config, shape_of(config, corpus.tokenizer), torch.device("cpu"))
    mask_id = learner.model.shape.mask_id

    def noised(x0_BL: Any, phase: Any, progress: float, generator: Any) -> tuple[Any, Any]:
        blocks = length // phase.block_size
        u_BN = sample_time(len(x0_BL), blocks, antithetic=True, generator=generator, device="cpu")
        level = phase.clip.level(phase.schedule, u_BN, progress)
        xt_BL, _, importance_BN = corrupt(x0_BL, level.move_chance, phase.masking, mask_id, generator)
        return xt_BL, (importance_BN * level.loss_scale).repeat_interleave(phase.block_size, dim=1)

    before: Step | None = None
    total, losses = 0, list[float]()
    for name, phase in (("pretrain", config.pretrain), ("finetune", config.finetune)):
        plain = Step(learner, length, phase.block_size)
        if before is not None:
            plain.weights, plain.average, plain.optimizer = before.weights, before.average, before.optimizer
        losses = []
        for step in range(1, phase.steps + 1):
            tokens_SL = corpus.train.tokens_SL
            rows_B = batch_rows(config.seed, name, step, phase.batch_size, len(tokens_SL))
            x0_BL = torch.from_numpy(np.asarray(tokens_SL[rows_B], np.int64))
            generator = torch.Generator().manual_seed(seed_of(config.seed, name, "masks", step))
            noise = noised(x0_BL, phase, progress_of(phase, step), generator)
            total += 1
            losses.append(plain.take(x0_BL, *noise, learning_rate(phase, step), total))
        before = plain
    assert before is not None
    with torch.no_grad():  # one pass over the sequences that ours evaluates on, at one time for each block
        before.weights = before.average
        tokens_SL = corpus.valid.tokens_SL[: config.evaluation.sequences]
        for first in range(0, len(tokens_SL), config.finetune.batch_size):
            x0_BL = torch.from_numpy(
                np.asarray(tokens_SL[first : first + config.finetune.batch_size], np.int64)
            )
            before.loss(x0_BL, *noised(x0_BL, config.finetune, 1.0, torch.Generator().manual_seed(first)))
    since = 1 + (len(losses) - 1) % config.log_every  # what ours averages in its last row
    return float(np.mean(losses[-since:])), learner.model.shape.vocab_size


if __name__ == "__main__":
    main()
