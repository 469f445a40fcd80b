"""python -m trainer: one run, without a sweep. Nothing heavy is imported up here.

Exit codes: 0 done; 1 internal, or the run failed; 2 usage; 3 bad config; 130 interrupted, checkpoint saved.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trainer.cli.console import (
    AsJson,
    Command,
    Device,
    Folder,
    Overrides,
    Version,
    Which,
    check_finite,
    checked,
    fail,
    print_values,
    read_overrides,
    returned,
    sentences,
    stored_config,
)
from trainer.cli.exchange import export, import_
from trainer.cli.judge import judge, zero_shot
from trainer.cli.sample import lengths, sample

if TYPE_CHECKING:
    from trainer.config.train_config import TrainConfig
    from trainer.evaluation.record import Report

app = typer.Typer(
    help="One run of a block-diffusion language model, without a sweep: train, score, sample, exchange.",
    epilog=__doc__.partition("\n\n")[2].replace("\n", " "),
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

LONGEST = 200_000  # bytes of a file of settings: seconds of reading

EvaluationOverrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE...", help="Of evaluation.* alone: evaluation.sequences=1000."),
]


@app.command()
def train(
    out: Annotated[
        Path, typer.Option(help="The run's folder; the same line again goes on in it.", file_okay=False)
    ],
    overrides: Overrides = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings.", dir_okay=False)] = None,
    device: Device = "auto",
) -> None:
    """Train one run: pretrain, then finetune.

    Example: python -m trainer train finetune.schedule.name=cosine --out runs/one
    """
    with sentences():
        from trainer.config.train_config import TrainConfig

        settings = checked(TrainConfig, {**_read_yaml(config), **read_overrides(overrides)})
        from trainer.training.train import check_folder, pretrain
        from trainer.training.train import train as finetune

        check_folder(settings, out)
        stage = out / "pretrain"
        _print_floors(settings)
        if settings.pretrain.steps:
            _follow("pretrain", pretrain(settings, stage, device=device), out)
        last = _follow("finetune", finetune(settings, out, pretrained=stage, device=device), out)
    assert last is not None  # a finetune phase has at least one step, and its end is reported
    typer.echo(f"{out}: done, step {last.step}")
    print_values(last.values)


@app.command()
def evaluate(
    folder: Folder,
    overrides: EvaluationOverrides = None,
    checkpoint: Which = "best",
    split: Annotated[Literal["valid", "test"], typer.Option()] = "valid",
    raw: Annotated[bool, typer.Option("--raw", help="The weights, not their moving average.")] = False,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Score a checkpoint: the bound on the valid or the test split.

    Example: python -m trainer evaluate runs/one --split test
    """
    with sentences():
        settings = stored_config(folder, read_overrides(overrides))
        from trainer.checkpoints.trained import open_trained
        from trainer.evaluation.bound import evaluate as bound

        model, corpus, block_size, step = open_trained(
            settings, folder / f"{checkpoint}.safetensors", raw=raw, device=device
        )
        evaluation = returned(
            bound(
                model, settings.objective, block_size, split, corpus, settings.evaluation, step, ema=not raw
            )
        )
        check_finite(evaluation)
    if as_json:
        document = {"schema_version": 1, "values": evaluation.metrics(), **evaluation.as_json()}
        typer.echo(json.dumps(document))
    else:
        typer.echo(f"{folder}: {checkpoint} checkpoint, step {step}, {split} split")
        print_values(evaluation.metrics())


@app.command()
def fields(
    begins: Annotated[str, typer.Argument(help="Only names that begin so: finetune.schedule")] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="All of them, a page for a document.")] = False,
) -> None:
    """List every setting of a run and of `sample`: its name, default, the kinds that have it, what it is.

    Example: python -m trainer fields finetune.schedule
    """
    from trainer.config.names import names_of, train_names
    from trainer.config.reference import page
    from trainer.sampling.config import SamplingConfig

    if markdown:
        typer.echo(page(), nl=False)
        return
    both = (train_names(), names_of(SamplingConfig))
    found = [(names, name) for names in both for name in names.leaves if name.startswith(begins)]
    if not found:
        fail(2, f"no setting begins with {begins}")
    for names, name in found:
        typer.echo(names.described(name))


app.command()(sample)
app.command()(lengths)
app.command()(judge)
app.command("zero-shot")(zero_shot)
app.command("import")(import_)
app.command()(export)
for each in app.registered_commands:
    each.cls = Command


@app.callback()
def _options(version: Version = False) -> None: ...


def _read_yaml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    from trainer.disk import open_file
    from trainer.values import flatten

    try:
        with open_file(path) as file:
            text = file.read(LONGEST + 1)
        if len(text) > LONGEST:
            fail(3, f"{path}: more than {LONGEST:,} bytes, which are no run's settings")
        values = YAML(typ="safe", pure=True).load(text.decode())
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        fail(3, f"{path}{place}: not YAML: {error.problem or error.context}")
    except OSError as error:
        fail(3, f"{path}: {error.strerror}")
    except RecursionError:
        fail(3, f"{path}: nested too deeply")
    except (YAMLError, ValueError) as error:
        fail(3, f"{path}: {' '.join(str(error).split())}")
    if not isinstance(values, dict):
        fail(3, f"{path}: not a group of settings")
    if "search" in values or "space" in values:
        fail(3, f"{path}: a sweep, not one run's settings; python -m sweeper run {path}")
    return flatten(values)


def _print_floors(settings: TrainConfig) -> None:
    """What the bound must come below: counts of a few tokens, on those that it scores; and the source."""
    from trainer.data.corpus import load
    from trainer.evaluation.floors import FLOORS, floors

    for name, floor in floors(load(settings.data), settings.evaluation).items():
        typer.echo(f"floor: {FLOORS[name]} {floor:.4f} nats per token", err=True)


def _follow(phase: str, reports: Generator[Report | None, None, None], out: Path) -> Report | None:
    """Prints every report; the last one. Ctrl-C closes the run at its next heartbeat; twice: at once."""
    asked: list[int] = []

    def ask(number: int, _: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        typer.echo("stopping: a checkpoint is being saved", err=True)

    before = signal.signal(signal.SIGINT, ask)
    last = None
    try:
        for report in reports:
            if report is not None:
                typer.echo(_line(phase, report), err=True)
                last = report
            if asked:
                break
    finally:
        reports.close()
        signal.signal(signal.SIGINT, before)
    if asked:
        typer.echo(f"interrupted; the same line goes on in {out}", err=True)
        raise typer.Exit(130)
    return last


def _line(phase: str, report: Report) -> str:
    shown = ("train_loss", "grad_norm", "lr", "val_nelbo", "val_ppl", "test_ppl")
    values = "  ".join(f"{name} {report.values[name]:.4g}" for name in shown if name in report.values)
    return f"{phase} {report.step:>6}  {values}"
