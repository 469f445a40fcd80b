"""The commands that say what a sweep would take, and what it would train, without running it."""

from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sweeper.cli.opening import BAD_SPEC, LACKS, USAGE, fail, failing, load, opened_sweep, say, trial_of
from sweeper.cli.options import DEFAULT_URL, AsJson, Database, Files, NoCalibration, Overrides, Spec

if TYPE_CHECKING:
    from sweeper.planning.forecast import Capacity
    from sweeper.planning.objectives import Trained
    from sweeper.planning.plan import Plan
    from sweeper.planning.resolution import Resolution
    from sweeper.spec.spec import SweepSpec

app = typer.Typer()


@app.command()
def plan(
    spec: Spec,
    overrides: Overrides = None,
    no_calibration: NoCalibration = False,
    db: Database = DEFAULT_URL,
    files: Files = None,
    json: AsJson = False,
) -> None:
    """Say what a sweep would take: time, GPU-hours, memory, disk, and what does not fit. 20 steps of each
    distinct shape are tried out; nothing is run.

    Example: python -m sweeper plan schedules
    """
    show_plan(load(spec, overrides or [], json), db, files, no_calibration, json)


def show_plan(spec: "SweepSpec", db: str, files: str | None, no_calibration: bool, json: bool) -> None:
    """Ends with exit code 7 where the machine lacks something. The budget's limits are said, no more."""
    from sweeper.planning.calibration import calibrate
    from sweeper.planning.forecast import forecast, in_words, shapes_of, unmeasured
    from sweeper.planning.machine import LacksError, slots_for, visible_gpus
    from sweeper.planning.packing import pack, shares_gpus
    from sweeper.planning.plan import plan as plan_of
    from sweeper.planning.precision import in_one_precision
    from sweeper.terminal.console import print_json, print_text

    would = plan_of(spec)
    resources, tried = spec.resources, unmeasured()
    with failing(LacksError, LACKS, json):
        if not no_calibration:
            spec = in_one_precision(spec, None)  # as a run would have it
            if shares_gpus(resources, visible_gpus()):
                resources = pack(spec, say).resources
        slots = slots_for(resources)
    if not no_calibration:
        device = "cuda" if slots.gpu else "cpu"
        tried = calibrate(shapes_of(spec, slots.together), device, max(1, int(slots.cpu)), say=say)
    said = forecast(spec, would, tried, slots, _capacity(db, files, bool(slots.gpu)))
    if json:
        shapes = {key: measured._asdict() for key, measured in tried.measured.items()}
        sees = seen(spec, would, db)._asdict()
        print_json({"plan": would._asdict(), "sees": sees, "forecast": said._asdict(), "measured": shapes})
    else:
        print_text(*counts(spec, would, seen(spec, would, db)))
        print_text(*in_words(said, would, slots, tried))
    if said.lacking:
        raise typer.Exit(LACKS)


def seen(spec: "SweepSpec", would: "Plan", db: str) -> "Resolution":
    """The smallest difference, by the scatter of earlier sweeps where the database has any; it may be none,
    or not there."""
    from sweeper.planning.resolution import resolution

    file = db.removeprefix("sqlite:///")
    if file != db and not Path(file).exists():  # nothing to read: what reads takes a while to be imported
        return resolution(spec, would.trials, None)
    from sweeper.results.race_record import scatter_of_store
    from sweeper.store.engine import StoreError
    from sweeper.store.queries import Reader

    scatter = None
    with suppress(StoreError), closing(Reader(db)) as reader:
        scatter = scatter_of_store(reader, spec.trainer)
    return resolution(spec, would.trials, scatter)


def counts(spec: "SweepSpec", would: "Plan", sees: "Resolution") -> list[str]:
    """What `check` says, and `plan` before all else."""
    from sweeper.planning.resolution import in_words

    bound = "at most " if would.at_most else ""
    lines = [
        f"{spec.name}: the specification is sound",
        f"trials      {would.trials} by {spec.search.sampler}, seed {spec.search.seed}",
        f"skipped     {would.skipped} points that break a constraint" if would.skipped else "",
        f"baselines   {would.baselines}",
        f"replicates  at most {would.replicates}" if would.replicates else "",
        f"confirmed   at most {would.confirmed} runs" if would.confirmed else "",
        f"settled     {would.raced_least} to {would.raced} runs of a race" if would.raced else "",
        f"pretrains   {bound}{would.stages}, each run once and shared",
        f"stable      {bound}{would.stable_parts} parts that these go on from" if would.stable_parts else "",
        f"steps       {bound}{would.steps:,}",
        f"sees        {in_words(sees)}",
    ]
    return [line for line in lines if line]


def _capacity(db: str, files: str | None, on_gpu: bool) -> "Capacity":
    from sweeper.cli.doctor import available_memory
    from sweeper.files.disk import free
    from sweeper.files.remote import logs_of
    from sweeper.files.storage_checks import beside
    from sweeper.planning.forecast import Capacity
    from sweeper.planning.machine import LacksError
    from sweeper.planning.packing import gpu_memory_of_each

    gpu_memory = None
    with suppress(LacksError):
        gpu_memory = gpu_memory_of_each() if on_gpu else None
    where = logs_of(files) if files else beside(db)
    return Capacity(available_memory(), gpu_memory, free(where) if where else None)


@app.command()
def objective(
    of: Annotated[
        list[str],
        typer.Argument(
            metavar="SPEC|SWEEP [TRIAL]|[KEY=VALUE]...",
            help="A specification, with overrides; a sweep (a name of both is the specification's), or one "
            "trial of it; or a run's own settings, finetune.schedule.name=cosine.",
        ),
    ],
    phase: Annotated[
        Literal["finetune", "pretrain"], typer.Option(help="The part of a run that is looked at.")
    ] = "finetune",
    progress: Annotated[
        float, typer.Option(min=0, max=1, help="Of the phase: bimodal_gaussian moves.")
    ] = 1.0,
    db: Database = DEFAULT_URL,
    json: AsJson = False,
) -> None:
    """Say what is trained: the weight on each masking rate, its variance, and whether it is a bound.

    Example: python -m sweeper objective finetune.schedule.name=cosine finetune.reweighting.name=simple
    """
    from sweeper.terminal.console import print_json, print_text
    from sweeper.terminal.objective_text import as_json, lines

    found = _found(of, phase, progress, db, json)
    if json:
        print_json({"objectives": [as_json(one) for one in found]})
    for i, one in enumerate([] if json else found):
        print_text(*([""] if i else []), *lines(one))
    if not (found or json):
        print_text("nothing is masked: ar is trained on its likelihood")


def _found(of: list[str], phase: str, progress: float, db: str, json: bool) -> list["Trained"]:
    from pathlib import Path

    from sweeper.planning.objectives import distinct, objectives_of
    from sweeper.shipped import find
    from trainer.config.problems import InvalidConfig
    from trainer.config.train_config import TrainConfig

    first, *rest = of
    if "=" in first:
        try:
            return distinct([TrainConfig.from_dotted(_values(of, json))], phase, progress)
        except InvalidConfig as error:
            fail(BAD_SPEC, str(error), json)
    numbered = len(rest) == 1 and rest[0].isdigit()
    if not numbered and (file := find(Path(first))) is not None:
        return objectives_of(load(file, rest, json), phase, progress)
    with opened_sweep(db, first, json) as (reader, sweep):
        values = reader.configurations(sweep.id)
        if rest:
            if not numbered:
                fail(USAGE, f"{' '.join(rest)!r} is no trial's number", json)
            one = trial_of(reader, sweep, int(rest[0]), json).configuration
            values = {one: values[one]}
    try:
        return distinct(map(TrainConfig.from_dotted, values.values()), phase, progress)
    except InvalidConfig as error:
        fail(BAD_SPEC, f"stored by another version of the trainer: {error}", json)


def _values(settings: list[str], json: bool) -> dict[str, object]:
    from sweeper.spec.yaml_source import parse

    document = parse("{}", "the command line")
    for number, each in enumerate(settings, start=1):
        document.override(each, number)
    if document.problems:
        fail(USAGE, document.problems[0].sentence, json)
    return dict(document.values)
