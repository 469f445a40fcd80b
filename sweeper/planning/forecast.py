"""What a sweep will take, by its plan and a calibration: time, GPU-hours, memory, disk; what does not fit."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from sweeper.planning.calibration import Shape, Tried
from sweeper.planning.cost_estimates import CostEstimates, Measured
from sweeper.planning.machine import Slots
from sweeper.planning.plan import Plan, examples, pretrains_of
from sweeper.spec.budget import UNITS
from sweeper.spec.sections import Budget
from sweeper.spec.spec import SweepSpec
from sweeper.words import clock, in_bytes
from trainer.config.train_config import TrainConfig

# Bytes on a CPU, as measured (docs/performance.md): what Ray and Tune have in a process beside what trains
# there, and a worker whose trial is trained in a process that it shares. Of a GPU they have none.
OF_RAY, WAITING = 130 << 20, 200 << 20


class Capacity(NamedTuple):
    """Of this machine, in bytes; None where it cannot be told."""

    memory: int | None
    gpu_memory: int | None  # of one GPU
    disk: int | None  # where checkpoints go


class Forecast(NamedTuple):
    """Of the whole sweep where nobody is pruned or fails; None where nothing was measured."""

    unshared: int  # steps, were every pretrain a trial's own
    tokens: int
    seconds: float | None  # on these slots
    gpu_seconds: float | None
    memory: int | None  # bytes, of the process that needs most: of its GPU, where it has one
    disk: int | None  # bytes of all checkpoints
    lacking: tuple[str, ...]  # what this machine has too little of
    beyond: tuple[str, ...]  # what the budget has too little for


def shapes_of(spec: SweepSpec, together: int = 1) -> list[Shape]:
    """Every one that the search can come to, as far as examples show, and those of the baselines. together:
    how many of them a process trains."""
    found: dict[str, Shape] = {}
    for run in runs_of(spec):
        values = run.to_dotted()
        for phase in ("finetune", *(["pretrain"] if run.pretrain.steps else [])):
            shape = Shape(values, phase, together)
            found.setdefault(shape.key, shape)
    return list(found.values())


def runs_of(spec: SweepSpec) -> list[TrainConfig]:
    """Examples of the search, and the baselines at one seed."""
    baselines = [spec.train_config(values, spec.search.seed) for values in spec.always]
    return [*(examples(spec, spec.search.seed) if spec.search.trials else []), *baselines]


def forecast(spec: SweepSpec, would: Plan, tried: Tried, slots: Slots, capacity: Capacity) -> Forecast:
    """tried: with as many together as there are in a process here."""
    estimates = CostEstimates(slots.gpu, tried.measured)
    all_values = [run.to_dotted() for run in runs_of(spec)]
    finetunes = [estimates.of(values, "finetune", values["finetune.steps"]) for values in all_values]
    pretrains = [estimates.of(values, "pretrain", values["pretrain.steps"]) for values in all_values]
    shared = pretrains_of(spec, would)[1]
    trained = [(leg.times, estimates.of(leg.values, "pretrain", leg.steps)) for leg in shared.legs]
    runs = would.trials + would.baselines + would.replicates + would.confirmed + would.raced
    measured = list(tried.measured.values())
    seconds = gpu_seconds = None
    if measured:
        work = runs * _mean([each.seconds for each in finetunes])
        work += math.fsum(times * each.seconds for times, each in trained)
        # No shorter than one pretrain and one trial after it, however many run beside each other.
        longest = max(p.seconds + f.seconds for p, f in zip(pretrains, finetunes, strict=True))
        seconds, gpu_seconds = max(work / slots.number, longest), work * slots.gpu
    tokens = runs * _mean([each.tokens for each in finetunes])
    tokens += math.fsum(times * each.tokens for times, each in trained)
    of_ray = 0 if slots.gpu else OF_RAY
    memory = max((each.memory + of_ray for each in measured), default=None)
    disk = _disk(spec, tried, runs, would.stages + would.stable_parts)
    forecast = Forecast(
        would.steps - would.pretrain_steps + max(would.pretrain_steps, shared.unshared),
        round(tokens),
        seconds,
        gpu_seconds,
        memory,
        disk,
        (),
        (),
    )
    return forecast._replace(
        lacking=tuple(_lacking(forecast, tried, slots, capacity)),
        beyond=tuple(_beyond(forecast, runs, spec.budget)),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _disk(spec: SweepSpec, tried: Tried, runs: int, stages: int) -> int | None:
    """Of all that there will be: what `keep` deletes is taken to stay."""
    most = {"finetune": 0, "pretrain": 0}
    for shape in shapes_of(spec):
        if found := tried.measured.get(shape.key):
            most[shape.phase] = max(most[shape.phase], found.disk)
    return runs * most["finetune"] + stages * most["pretrain"] if tried.measured else None


def _lacking(said: Forecast, tried: Tried, slots: Slots, capacity: Capacity) -> list[str]:
    lacking = list(tried.failed.values())
    available = capacity.gpu_memory if slots.gpu else capacity.memory
    beside = slots.beside
    what = "GPU memory" if slots.gpu else "memory"
    each = None if said.memory is None else said.memory // slots.together
    if each is not None and slots.together > 1 and not slots.gpu:
        each += WAITING
    if each is not None and available is not None and beside * each > available:
        fit = int(available / each)
        what_to_do = f"{fit} at a time would fit" if fit else "not even one fits"
        lacking.append(
            f"{what}: {beside} trials at a time need {in_bytes(beside * each)}, and "
            f"{in_bytes(available)} are there; {what_to_do}"
        )
    if said.disk is not None and capacity.disk is not None and said.disk > capacity.disk:
        need, free = in_bytes(said.disk), in_bytes(capacity.disk)
        lacking.append(f"disk: all checkpoints take {need}, and {free} are free; see `keep`, or --files")
    return lacking


def _beyond(said: Forecast, runs: int, budget: Budget | None) -> list[str]:
    if budget is None:
        return []
    needed = dict(zip(UNITS, (said.seconds, said.gpu_seconds, runs, said.tokens), strict=True))
    caps = budget.model_dump()
    beyond = []
    for name, unit in UNITS.items():
        need, cap = needed[name], caps[name]
        if need is not None and cap is not None and need / unit > cap:
            share = cap * unit / need
            beyond.append(
                f"budget.{name} = {cap:g} is for about {share:.0%} of it: all takes {need / unit:.4g}"
            )
    return beyond


def in_words(said: Forecast, would: Plan, slots: Slots, tried: Tried) -> list[str]:
    """Lines of `plan`, below what `check` says."""
    bound = "at most " if would.at_most else ""
    saved = said.unshared - would.steps
    lines = [
        f"saved       {saved:,} of {said.unshared:,} steps, as pretrains are shared" if saved else "",
        f"tokens      {bound}{said.tokens:,}",
        f"slots       {slots.number}, each {slots.cpu:g} CPU" + (f", {slots.gpu:g} GPU" if slots.gpu else ""),
        _fused(slots),
    ]
    if said.seconds is None or said.memory is None or said.disk is None:
        lines.append("time, memory and disk are not known without a calibration")
    else:
        gpu = f", {(said.gpu_seconds or 0) / 3600:.3g} GPU-hours" if slots.gpu else ""
        lines += [
            f"time        {bound}about {clock(said.seconds)}{gpu}",
            f"memory      {in_bytes(said.memory)} of {_whose(slots)}, at most",
            f"disk        {bound}{in_bytes(said.disk)} of checkpoints",
        ]
    if tried.left:
        lines.append(f"calibrated  {len(tried.measured)} shapes; for {tried.left} more there was no time")
    lines += [f"lacking     {each}" for each in said.lacking]
    lines += [f"beyond      {each}" for each in said.beyond]
    return [line for line in lines if line]


def _fused(slots: Slots) -> str:
    if slots.fused == 1:
        return ""
    as_one = f"{slots.together} in one process; those of equal shape take their steps as one"
    return f"fused       {f'none: {slots.not_fused}' if slots.not_fused else as_one}"


def _whose(slots: Slots) -> str:
    gpu = " GPU" if slots.gpu else ""
    return f"a worker's{gpu}" if slots.together == 1 else f"their process's{gpu}, of these {slots.together}"


def unmeasured() -> Tried:
    return Tried(dict[str, Measured](), {}, 0)
