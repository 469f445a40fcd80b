"""A store with a believable sweep in it, made in a blink without training anything."""

import hashlib
import json
import math
import random
from typing import Any

from sweeper.store.records import MetricRow
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from trainer.evaluation.record import Evaluation, ratio_and_se

HOLDER = "filled:1"
PRETRAIN, STEPS = 1500, 1700
DOCUMENTS = 40

BASE: dict[str, Any] = {
    "data.name": "pydocs",
    "data.length": 64,
    "data.tokenizer": "bpe",
    "data.vocab_size": 2048,
    "model.size": "nano",
    "model.width": 64,
    "model.layers": 2,
    "model.heads": 2,
    "objective.name": "bd3lm",
    "optimizer.beta2": 0.99,
    "optimizer.ema": 0.99,
    "pretrain.steps": PRETRAIN,
    "pretrain.block_size": 64,
    "pretrain.schedule.name": "loglinear",
    "finetune.steps": STEPS - PRETRAIN,
    "finetune.block_size": 16,
    "finetune.schedule.name": "loglinear",
    "finetune.clip.low": 0.0,
    "finetune.clip.high": 1.0,
    "finetune.reweighting.name": "none",
    "finetune.lr": 3e-3,
}

# What was proposed, the bound it ends at (nats per token), and how it ended.
SEARCH: list[tuple[dict[str, Any], float, str]] = [
    ({"finetune.schedule.name": "cosine", "finetune.block_size": 8}, 5.430, "complete"),
    ({"finetune.schedule.name": "gaussian", "finetune.schedule.mu": 0.31}, 5.472, "complete"),
    ({"finetune.clip.low": 0.3, "finetune.clip.high": 0.8, "finetune.block_size": 4}, 5.364, "complete"),
    (
        {
            "finetune.schedule.name": "bimodal_gaussian",
            "finetune.schedule.mu1": 0.22,
            "finetune.schedule.m_end": 0.78,
        },
        5.468,
        "complete",
    ),
    ({"finetune.reweighting.name": "sigmoid", "finetune.reweighting.k": 1.1}, 5.381, "complete"),
    ({"finetune.schedule.name": "gaussian", "finetune.schedule.mu": 0.62}, 5.450, "pruned"),
    ({"finetune.reweighting.name": "sigmoid", "finetune.reweighting.k": -2.4}, 5.440, "failed"),
    (
        {"finetune.schedule.name": "cosine", "finetune.clip.low": 0.12, "finetune.block_size": 4},
        5.392,
        "running",
    ),
    ({"finetune.reweighting.name": "iddpm", "finetune.block_size": 8}, 5.400, "queued"),
]

ERROR = """trainer.training.train.NotFinite: the loss is nan at step 1587
Traceback (most recent call last):
  File "trainer/training/train.py", line 120, in _step
    raise NotFinite(f"the loss is {loss} at step {step}")
trainer.training.train.NotFinite: the loss is nan at step 1587"""


def fill(url: str, name: str = "schedules", *, finished: bool = False) -> str:
    """Writes the sweep and returns its name. Equal every time, but for the times of day.

    Three seeds of the log-linear baseline; five proposals that ended, one pruned, one failed, a repeat
    of an earlier one; and, unless finished, one running (its second attempt) and one queued.
    """
    store = Store(url)
    spec = {
        "name": name,
        "metric": "val_ppl",
        "trainer": {"data": {"name": "pydocs", "length": 64}, "model.size": "nano"},
        "space": {
            "finetune.block_size": {"choice": [4, 8, 16]},
            "finetune.schedule.name": {"choice": ["loglinear", "cosine", "gaussian", "bimodal_gaussian"]},
            "finetune.schedule.mu": {"uniform": [0.2, 0.8], "when": {"finetune.schedule.name": "gaussian"}},
        },
        "always": [{"finetune.schedule.name": "loglinear", "finetune.block_size": 16}],
        "search": {"sampler": "tpe", "trials": 10, "seed": 0},
    }
    sweep = store.create_sweep(
        name=name,
        spec_text=f"name: {name}\nmetric: val_ppl\n",
        spec=spec,
        code_version="0.1.0",
        folder="files",
    )
    store.take_lease(sweep.id, HOLDER, 3600)
    writer = store.writer(sweep.id, HOLDER)
    writer.spend(writer.add_driver(), seconds=600.0, gpu_seconds=0.0, tokens=0)
    writer.add_event("start", "10 trials, 3 seeds of 1 baseline")
    for seed in range(3):
        stage = writer.add_stage(
            key=f"{seed:016x}",
            steps=PRETRAIN,
            values={"pretrain.steps": PRETRAIN, "seed": seed},
            folder="stage",
        )
        writer.end_stage(stage.key, writer.start_stage(stage.key), "complete", cpu_seconds=35.0)
        number = 0 if seed == 0 else None
        _trial(writer, {}, 5.462, "complete", role="baseline", seed=seed, number=number)
    trials = [
        _trial(writer, proposed, nelbo, state, role="search", seed=0, number=number)
        for number, (proposed, nelbo, state) in enumerate(SEARCH, start=1)
        if not finished or state not in ("running", "queued")
    ]
    _repeat(writer, SEARCH[0][0], number=len(SEARCH) + 1, of=trials[0])
    if finished:
        writer.set_sweep_state("failed", "1 of 10 trials failed")
        store.release_lease(sweep.id, HOLDER)
    store.close()
    return name


def evaluation(split: str, step: int, nelbo: float, *, block_size: int, seed: int, noise: str) -> Evaluation:
    """Documents differ much, in the same way for everybody; seeds a little; configurations least."""
    common, shared, own = (
        random.Random(split),
        random.Random(f"{split} {seed}"),
        random.Random(f"{noise} {seed}"),
    )
    tokens_D = [common.randint(60, 400) for _ in range(DOCUMENTS)]
    hard_D = [common.gauss(0, 0.5) for _ in range(DOCUMENTS)]
    level = nelbo + shared.gauss(0, 0.04) + own.gauss(0, 0.008)
    nats_D = [t * (level + hard + own.gauss(0, 0.03)) for t, hard in zip(tokens_D, hard_D, strict=True)]
    mean, se = ratio_and_se(nats_D, tokens_D)
    return Evaluation(
        split=split,
        step=step,
        nelbo=mean,
        se=se,
        identity={"data": "pydocs 3.11", "split": split, "tokenizer": "bpe 2048", "length": 64, "ema": True},
        provenance={"bound": "enumerated" if block_size <= 4 else "sampled", "draws": 4, "seed": 0},
        nats_D=nats_D,
        tokens_D=tokens_D,
    )


def _trial(
    writer: Writer,
    proposed: dict[str, Any],
    nelbo: float,
    state: str,
    *,
    role: str,
    seed: int,
    number: int | None,
) -> int:
    trial = _add(writer, proposed, role=role, seed=seed, number=number)
    if state == "queued":
        return trial
    attempt = writer.start_trial(trial, "localhost:4101")
    if state == "running":
        writer.end_trial(trial, attempt, "queued", reason="the driver was interrupted", cpu_seconds=2.0)
        writer.add_event("resumed", f"trial {trial} goes on at step 1550", trial)
        attempt = writer.start_trial(trial, "localhost:4102")
    reached = {"complete": STEPS, "pruned": 1600, "failed": 1580, "running": 1630}[state]
    block_size = proposed.get("finetune.block_size", BASE["finetune.block_size"])
    noise = json.dumps(proposed, sort_keys=True)
    rows: list[MetricRow] = []
    for step in range(PRETRAIN + 10, reached + 1, 10):
        left = 0.35 * math.exp(-(step - PRETRAIN) / 60)  # what training has still to gain
        values = {
            "train_loss": nelbo + 3 * left + random.Random(f"{noise} {seed} {step}").gauss(0, 0.1),
            "grad_norm": 0.4 + left,
            "lr": 3e-3 * min(1.0, (step - PRETRAIN) / 10),
            "tokens": float((step - PRETRAIN) * 16 * 64),
            "seconds": 0.025 * (step - PRETRAIN),
        }
        evaluations = []
        if step % 50 == 0:
            best = evaluation("valid", step, nelbo + left, block_size=block_size, seed=seed, noise=noise)
            evaluations.append(best)
            values |= {
                "val_nelbo": best.nelbo,
                "val_ppl": math.exp(best.nelbo),
                "val_bpb": best.nelbo / math.log(2) / 3.1,
                "val_nelbo_se": best.se,
                "var_nelbo": 24.0 / block_size + left,
                "objective": nelbo - 1.0 + left,
            }
        if step == STEPS:
            test = evaluation("test", step, nelbo + 0.02, block_size=block_size, seed=seed, noise=noise)
            evaluations.append(test)
            values |= {
                "test_nelbo": test.nelbo,
                "test_ppl": math.exp(test.nelbo),
                "test_bpb": test.nelbo / math.log(2) / 3.1,
                "test_nelbo_se": test.se,
            }
        rows += [MetricRow(name, step, value) for name, value in values.items()]
        if evaluations or step == reached:
            writer.add_rows(trial, attempt, rows, evaluations)
            rows = []
    costs: dict[str, Any] = {
        "cpu_seconds": 0.025 * (reached - PRETRAIN),
        "tokens": (reached - PRETRAIN) * 16 * 64,
    }
    if state == "complete":
        writer.end_trial(trial, attempt, state, **costs)
    if state == "pruned":
        writer.end_trial(trial, attempt, state, reason="below the best quarter at step 1600", **costs)
        writer.add_event("pruned", "below the best quarter at step 1600", trial)
    if state == "failed":
        writer.end_trial(trial, attempt, state, error=ERROR, **costs)
        writer.add_event("failed", ERROR.splitlines()[0], trial)
    return trial


def _repeat(writer: Writer, proposed: dict[str, Any], *, number: int, of: int) -> None:
    _add(writer, proposed, role="search", seed=0, number=number, state="complete", repeat_of=of)


def _add(writer: Writer, proposed: dict[str, Any], *, seed: int, **more: Any) -> int:
    values = {**BASE, **proposed}
    hash = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
    configuration = writer.add_configuration(hash, values)
    distributions = {
        key: json.dumps({"name": "CategoricalDistribution", "attributes": {"choices": [value]}})
        for key, value in proposed.items()
    }
    trial = writer.add_trial(
        configuration=configuration,
        seed=seed,
        steps=STEPS,
        stage=f"{seed:016x}",
        params=proposed,
        distributions=distributions,
        system_attrs={},
        **more,
    )
    return trial.id
