"""python -m benchmarks.pruning [--quick]: what each pruner spends, and whether it keeps the winner.

Stored curves of real trials (benchmarks/results/curves.json: nano models on pydocs, evaluated every 20 of
200 fine-tune steps) are replayed through the sweeper's own EarlyStopping, one trial at a time, in random
orders: a pruner's decisions depend on who came before. A full run spends every step and finds the winner.
`winner`: of the orders, the share in which the best trial was complete at the end. `regret`: by how much
the best complete one is above it, in per cent of val_ppl; mean and largest over the orders.

The curves were made by a sweep with random search, and taken out of its store by --take URL SWEEP (when 31
of its 32 trials had ended):

    python -m sweeper run search_spaces/schedules.yaml --as curves search.sampler=random search.trials=32 \\
        'always=[]' trainer.evaluation.every=20
    python -m benchmarks.pruning --take sqlite:///sweeps.db curves --write
"""

import json
import logging
import random
import warnings
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import optuna

from benchmarks.document import RESULTS, finish, options
from sweeper.search.early_stopping import EarlyStopping
from sweeper.store.queries import Reader
from sweeper.store.records import TrialRecord
from sweeper.strategies.pruners import AnyPruner, Hyperband, Median, Pasha, Patient, SuccessiveHalving
from trainer.evaluation.record import Report

CURVES = RESULTS / "curves.json"
METRIC = "val_ppl"
RULES: tuple[AnyPruner, ...] = (
    SuccessiveHalving(min_steps=20),
    SuccessiveHalving(min_steps=60, reduction_factor=2),
    Hyperband(min_steps=20),
    Hyperband(min_steps=60),
    Hyperband(min_steps=60, reduction_factor=2),
    Pasha(min_steps=20),
    Pasha(min_steps=60),
    SuccessiveHalving(min_steps=80, reduction_factor=2),
    Pasha(min_steps=80),
    Median(min_steps=20),
    Median(min_steps=60),
    Patient(min_steps=20, patience=2),
)
Curve = list[tuple[int, float]]  # (fine-tune step, value), the last step being the trial's end


def main() -> None:
    parser = options("pruning", __doc__, quick="Ten orders instead of 200.")
    parser.add_argument(
        "--take", nargs=2, metavar=("URL", "SWEEP"), help="Curves out of a store, and no more."
    )
    given = parser.parse_args()
    if given.take:
        taken = take(*given.take)
        if given.write:
            CURVES.write_text(json.dumps(taken) + "\n")
        finish("curves", {"sweep": given.take[1]}, [], {"curves": len(taken["curves"])}, write=False)
        return
    logging.getLogger("optuna").setLevel(logging.ERROR)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    curves: list[Curve] = [[(s, v) for s, v in curve] for curve in json.loads(CURVES.read_text())["curves"]]
    orders = 10 if given.quick else 200
    rows = [measure(rule, curves, orders) for rule in RULES]
    print(f"{len(curves)} trials, {orders} orders; full runs: {total(curves):,} fine-tune steps")
    print(f"{'pruner':<54}{'steps':>8}{'winner':>8}{'regret':>9}{'at most':>9}")
    for row in rows:
        shares = f"{row['steps']:>8.0%}{row['winner']:>8.0%}"
        print(f"{row['pruner']:<54}{shares}{row['regret']:>8.2f}%{row['most_regret']:>8.2f}%")
    summary = {
        row["pruner"]: f"{row['steps']:.0%} of the steps, winner in {row['winner']:.0%}" for row in rows
    }
    settings = {"trials": len(curves), "orders": orders, "steps": total(curves)}
    finish("pruning", settings, rows, summary, write=given.write)


def take(url: str, sweep_name: str) -> dict[str, Any]:
    """The document of the curves: of the complete trials of the search."""
    with closing(Reader(url)) as reader:
        sweep = reader.sweep(sweep_name)
        assert sweep is not None, f"there is no sweep {sweep_name}"
        values = reader.configurations(sweep.id)
        trials = [t for t in reader.trials(sweep.id) if t.state == "complete" and t.repeat_of is None]
        stored = reader.curve([trial.id for trial in trials], METRIC)
    curves = []
    for trial in trials:
        first = values[trial.configuration]["pretrain.steps"]
        curves.append([(step - first, round(value, 4)) for step, value in stored[trial.id]])
    return {"spec": sweep.spec, "params": [trial.params for trial in trials], "curves": curves}


def measure(rule: AnyPruner, curves: Sequence[Curve], orders: int) -> dict[str, Any]:
    best = min(at_best(curve) for curve in curves)
    steps, found, regrets = 0, 0, []
    for seed in range(orders):
        order = random.Random(seed).sample(range(len(curves)), len(curves))
        spent, complete = replay(rule, [curves[i] for i in order], f"order {seed}")
        steps += spent
        reached = min(at_best(curves[order[number]]) for number in complete)
        found += reached == best
        regrets.append(100 * (reached / best - 1))
    said = ", ".join([rule.model_dump()["pruner"], *_settings(rule)])
    return {
        "pruner": said,
        "steps": steps / orders / total(curves),
        "winner": found / orders,
        "regret": sum(regrets) / orders,
        "most_regret": max(regrets),
    }


def replay(rule: AnyPruner, curves: Sequence[Curve], name: str) -> tuple[int, list[int]]:
    """Fine-tune steps spent, and the numbers of the trials that were complete."""
    end = curves[0][-1][0]
    stopping = EarlyStopping(name, rule, METRIC, end)
    spent, complete = 0, []
    for number, curve in enumerate(curves):
        record = _record(number, end)
        stopping.add(record, {})
        verdict = stopping.judge(record, [Report(step, {METRIC: value}) for step, value in curve])
        spent += verdict.reports[-1].step
        stopping.end(record, "pruned" if verdict.pruned else "complete")
        if not verdict.pruned:
            complete.append(number)
    return spent, complete


def at_best(curve: Curve) -> float:
    return min(value for _, value in curve)


def total(curves: Sequence[Curve]) -> int:
    return sum(curve[-1][0] for curve in curves)


def _settings(rule: AnyPruner) -> list[str]:
    return [f"{name} {value}" for name, value in rule.model_dump().items() if name != "pruner"]


def _record(number: int, steps: int) -> TrialRecord:
    fields: dict[str, Any] = dict.fromkeys(TrialRecord._fields)
    fields |= {"id": number + 1, "number": number, "state": "queued", "steps": steps, "system_attrs": {}}
    return TrialRecord(**fields)


if __name__ == "__main__":
    main()
