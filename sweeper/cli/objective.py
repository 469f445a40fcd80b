"""The command that says what configurations emphasise: their density over the masking rate."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sweeper.cli.opening import BAD_SPEC, USAGE, fail, load, opened_sweep, trial_of
from sweeper.cli.options import DEFAULT_URL, AsJson, Database

if TYPE_CHECKING:
    from sweeper.planning.objectives import Trained

app = typer.Typer()


@app.command()
def objective(
    of: Annotated[
        list[str],
        typer.Argument(
            metavar="SPEC|SWEEP [TRIAL]|[KEY=VALUE]...",
            help="A specification, with overrides; a sweep, one trial of it; or a run's own settings, "
            "finetune.schedule.name=cosine.",
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
    if (file := find(Path(first))) is not None:
        return objectives_of(load(file, rest, json), phase, progress)
    with opened_sweep(db, first, json) as (reader, sweep):
        values = reader.configurations(sweep.id)
        if rest:
            if len(rest) > 1 or not rest[0].isdigit():
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
