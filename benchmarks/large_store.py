"""A store of thousands of trials, written in seconds: what a long sweep leaves, made of one seed.

As README's sweep left it: 26 documents a split, 23 metrics a trial. Rows go in by the table, not by the
Writer, whose transactions would take an hour."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, insert, select, update

from sweeper.store.engine import open_for_writing, transaction
from sweeper.store.rows import row_of
from sweeper.store.schema import configurations, evaluations, latest, metrics, stages, sweeps, trials
from sweeper.store.store import Store
from trainer.evaluation.record import Evaluation

NAME, HOLDER = "large", "writer:1"
DOCUMENTS = 26
STEPS = 1700
BASELINES, SEEDS, CONFIRMED = 3, 3, 2
SHARES = {"complete": 0.8, "pruned": 0.15, "failed": 0.04, "queued": 0.01}  # of the search's trials
BATCH = 500  # trials
SPACE: dict[str, Any] = {
    "finetune.block_size": {"choice": [4, 8, 16]},
    "finetune.schedule.name": {"choice": ["loglinear", "cosine", "gaussian"]},
    "finetune.schedule.mu": {"uniform": [0.2, 0.8], "when": {"finetune.schedule.name": "gaussian"}},
    "finetune.lr": {"log_uniform": [1e-4, 1e-2]},
    "finetune.clip.low": {"uniform": [0.0, 0.45]},
    "finetune.clip.high": {"uniform": [0.55, 1.0]},
}
CURVES = ("train_loss", "grad_norm", "grad_norm_var", "lr", "seconds", "tokens")
ONCE = (
    *("bigram_nelbo", "kn_bigram_nelbo", "kn_trigram_nelbo", "unigram_nelbo", "peak_memory"),
    *("ranked_bpb", "ranked_nelbo", "ranked_nelbo_se", "ranked_ppl", "test_bpb", "test_nelbo"),
    *("test_nelbo_se", "test_ppl", "val_bpb", "val_nelbo", "val_nelbo_se", "val_ppl"),
)
FIXED = {f"fixed.of_the_trainer_{i}": i for i in range(30)}  # as many as a configuration has beside these
IDENTITY = {"corpus": "pydocs", "tokenizer": "9817fcfe5ff2cf21", "length": 64, "evaluation_seed": 0}
PROVENANCE = {
    "bound": "sampled",
    "estimator": "subsets, controlled",
    "draws": 6,
    "seed": 0,
}
DISTRIBUTION = '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0}}'


def fill(url: str, number: int, rows: int) -> None:
    """A sweep that runs: so many trials of its search, and about so many metric rows in all."""
    spec = {
        "name": NAME,
        "metric": "val_ppl",
        "space": SPACE,
        "search": {"sampler": "random", "trials": 2 * number, "seed": 0},
    }
    with closing(Store(url)) as store:
        sweep = store.create_sweep(
            name=NAME, spec_text=f"name: {NAME}\n", spec=spec, code_version="benchmark", folder="files"
        )
        store.take_lease(sweep.id, HOLDER, 1e6)
        store.writer(sweep.id, HOLDER).spend(
            store.writer(sweep.id, HOLDER).add_driver(), seconds=600.0, gpu_seconds=0.0, tokens=0
        )
    each = max(1, (rows // number - len(ONCE)) // len(CURVES))  # points of a curve
    engine = open_for_writing(url)
    rng = np.random.default_rng(0)
    with transaction(engine) as connection:
        for key in range(SEEDS + 2):
            connection.execute(insert(stages).values(**_stage(key)))
        batch: list[_Trial] = []
        for trial in _planned(number, rng):
            batch.append(trial)
            if len(batch) == BATCH:
                _write(connection, sweep.id, batch, each, rng)
                batch.clear()
        _write(connection, sweep.id, batch, each, rng)
        connection.execute(update(sweeps).values(version=trial.id))  # that of the newest trial
    engine.dispose()


class _Trial:
    def __init__(self, id: int, role: str, state: str, seed: int, proposed: Mapping[str, Any], number: int):
        self.id, self.role, self.state, self.seed, self.proposed = id, role, state, seed, proposed
        self.number = number if role == "search" else None
        self.values = {**FIXED, "finetune.steps": 200, **proposed}
        self.hash = hashlib.sha256(json.dumps(self.values, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def nelbo(self) -> float:
        """Nats per token, before the text and the seed have their say."""
        return 5.4 + 0.05 * abs(math.log(self.values["finetune.lr"]) + 6) + int(self.hash[:4], 16) / 2**20


def _planned(number: int, rng: np.random.Generator) -> Iterator[_Trial]:
    """Baselines over seeds, then the search, then two of its configurations on fresh seeds."""
    id = 0
    for b in range(BASELINES):
        for seed in range(SEEDS):
            id += 1
            yield _Trial(id, "baseline", "complete", seed, {"finetune.lr": 1e-3 * (b + 1)}, 0)
    first: list[dict[str, Any]] = []
    for n in range(number):
        id += 1
        names = SPACE["finetune.schedule.name"]["choice"]
        proposed: dict[str, Any] = {
            "finetune.block_size": int(rng.choice([4, 8, 16])),
            "finetune.schedule.name": names[int(rng.integers(3))],
            "finetune.lr": float(10 ** rng.uniform(-4, -2)),
            "finetune.clip.low": float(rng.uniform(0, 0.45)),
            "finetune.clip.high": float(rng.uniform(0.55, 1)),
        }
        if proposed["finetune.schedule.name"] == "gaussian":
            proposed["finetune.schedule.mu"] = float(rng.uniform(0.2, 0.8))
        state = "complete" if n < CONFIRMED else str(rng.choice(list(SHARES), p=list(SHARES.values())))
        first += [proposed] if n < CONFIRMED else []
        yield _Trial(id, "search", state, 0, proposed, n)
    for proposed in first:
        for seed in range(SEEDS, SEEDS + 2):
            id += 1
            yield _Trial(id, "confirm", "complete", seed, proposed, 0)


def _write(
    connection: Connection, sweep: int, batch: list[_Trial], points: int, rng: np.random.Generator
) -> None:
    if not batch:
        return
    known = {row.hash: row.id for row in connection.execute(select(configurations.c["id", "hash"]))}
    new = {each.hash: each.values for each in batch if each.hash not in known}
    if new:
        rows = [{"sweep": sweep, "hash": hash, "values": values} for hash, values in new.items()]
        connection.execute(insert(configurations), rows)
        known = {row.hash: row.id for row in connection.execute(select(configurations.c["id", "hash"]))}
    connection.execute(insert(trials), [_row(each, sweep, known[each.hash]) for each in batch])
    ran = [each for each in batch if each.state not in ("queued", "failed")]
    found = [(each, split) for each in ran for split in ("valid", "test") if _has(each, split)]
    connection.execute(insert(evaluations), [_evaluation(each, split, rng) for each, split in found])
    steps = range(1500, STEPS, max(1, 200 // points)) if points <= 200 else range(STEPS - points, STEPS)
    _raw(
        connection,
        metrics,
        (
            (each.id, name, step, each.nelbo + step / 1e4)
            for each in ran
            for name in (*CURVES, *ONCE)
            for step in (steps if name in CURVES else (STEPS - 1,))
        ),
    )
    _raw(
        connection,
        latest,
        (
            (each.id, name, STEPS - 1, value, value, STEPS - 1)
            for each in ran
            for name in (*CURVES, *ONCE)
            if each.state == "complete" or not name.startswith("test")
            for value in (_value(name, each),)
        ),
    )


def _has(trial: _Trial, split: str) -> bool:
    return split == "valid" or trial.state == "complete"


def _value(name: str, trial: _Trial) -> float:
    return math.exp(trial.nelbo) if name.endswith("ppl") else trial.nelbo


def _row(trial: _Trial, sweep: int, configuration: int) -> dict[str, Any]:
    ran = trial.state != "queued"
    return {
        "id": trial.id,
        "sweep": sweep,
        "configuration": configuration,
        "role": trial.role,
        "number": trial.number,
        "trial_number": trial.id,
        "seed": trial.seed,
        "state": trial.state,
        "attempt": int(ran),
        "stage": f"{trial.seed:016x}",
        "steps": STEPS,
        "params": dict(trial.proposed),
        "distributions": dict.fromkeys(trial.proposed, DISTRIBUTION),
        "system_attrs": {},
        "reason": "below the best quarter at step 1600" if trial.state == "pruned" else "",
        "error": "the loss is nan at step 1587" if trial.state == "failed" else "",
        "created": 1e9,
        "started": 1e9 if ran else None,
        "ended": 1e9 + 100 if ran else None,
        "cpu_seconds": 5.0 * ran,
        "version": trial.id,
    }


def _evaluation(trial: _Trial, split: str, rng: np.random.Generator) -> dict[str, Any]:
    """The row of one."""
    found = _evaluated(trial.nelbo, trial.seed, split, rng)
    return {"trial": trial.id, **row_of(found)}


def evaluation_of(split: str, trial: int, seed: int) -> Evaluation:
    """Of a trial that is added later."""
    return _evaluated(5.5, 0, split, np.random.default_rng([trial, seed]))


def _evaluated(nelbo: float, seed: int, split: str, rng: np.random.Generator) -> Evaluation:
    """Documents differ much, in the same way for everybody."""
    tokens_D = np.random.default_rng(int(split == "test")).integers(20, 1400, DOCUMENTS)
    hard_D = np.random.default_rng([seed, split == "test"]).normal(0, 0.5, DOCUMENTS)
    nats_D = tokens_D * (nelbo + hard_D + rng.normal(0, 0.02, DOCUMENTS))
    return Evaluation(
        split=split,
        step=STEPS - 1,
        nelbo=float(nats_D.sum() / tokens_D.sum()),
        se=0.06,
        identity={**IDENTITY, "split": split},
        provenance={**PROVENANCE, "surprisal_variance": float(rng.normal(2.8, 0.05))},
        nats_D=nats_D.tolist(),
        tokens_D=tokens_D.tolist(),
        ranks=True,
    )


def _stage(seed: int) -> dict[str, Any]:
    key = f"{seed:016x}"
    given = {"key": key, "state": "complete", "attempt": 1, "steps": 1500, "values": {"seed": seed}}
    return {**given, "folder": "stage", "cpu_seconds": 35.0}


def _raw(connection: Connection, table: Table, rows: Iterator[tuple[Any, ...]]) -> None:
    """As SQLite's own driver takes them: ten million through SQLAlchemy would take minutes."""
    marks = ", ".join("?" * len(table.columns))
    raw = connection.connection.driver_connection
    assert raw is not None
    raw.executemany(f"INSERT INTO {table.name} VALUES ({marks})", rows)
