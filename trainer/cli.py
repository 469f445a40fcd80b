"""python -m trainer train | evaluate | sample: one run, without a sweep. Nothing heavy is imported up here.

Exit codes: 0 done; 1 internal, or the run failed; 2 usage; 3 bad config; 130 interrupted, checkpoint saved.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from trainer.config import TrainConfig
    from trainer.evaluation.record import Report

Value = TypeVar("Value")

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE...", help="finetune.schedule.name=cosine; `fields` lists them all."),
]
EvaluationOverrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE...", help="Of evaluation.* alone: evaluation.sequences=1000."),
]
Folder = Annotated[Path, typer.Argument(help="A folder that `train` made.", exists=True, file_okay=False)]
Which = Annotated[Literal["best", "last"], typer.Option("--checkpoint", help="By val_nelbo, or the latest.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]


@app.command()
def train(
    out: Annotated[
        Path, typer.Option(help="The run's folder; the same line again goes on in it.", file_okay=False)
    ],
    overrides: Overrides = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings.", dir_okay=False)] = None,
    device: Device = "auto",
) -> None:
    """Train one run: pretrain, then finetune."""
    with _sentences():
        settings = _config({**_read_yaml(config), **_read_overrides(overrides)})
        from trainer.train import check_folder, pretrain
        from trainer.train import train as finetune

        check_folder(settings, out)
        stage = out / "pretrain"
        _print_floors(settings)
        if settings.pretrain.steps:
            _follow("pretrain", pretrain(settings, stage, device=device), out)
        last = _follow("finetune", finetune(settings, out, pretrained=stage, device=device), out)
    assert last is not None  # a finetune phase has at least one step, and its end is reported
    typer.echo(f"{out}: done, step {last.step}")
    _print_values(last.values)


@app.command()
def evaluate(
    folder: Folder,
    overrides: EvaluationOverrides = None,
    checkpoint: Which = "best",
    split: Annotated[Literal["valid", "test"], typer.Option()] = "valid",
    raw: Annotated[bool, typer.Option("--raw", help="The weights, not their moving average.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    device: Device = "auto",
) -> None:
    """Score a checkpoint: the bound on the valid or the test split."""
    with _sentences():
        settings = _stored_config(folder, _read_overrides(overrides))
        from trainer.evaluation.bound import evaluate as bound
        from trainer.trained import open_trained

        _prepare(settings)
        model, corpus, block_size, step = open_trained(
            settings, folder / f"{checkpoint}.safetensors", raw=raw, device=device
        )
        evaluation = _returned(
            bound(
                model, settings.objective, block_size, split, corpus, settings.evaluation, step, ema=not raw
            )
        )
    if as_json:
        document = {"schema_version": 1, "values": evaluation.metrics(), **evaluation._asdict()}
        typer.echo(json.dumps(document))
    else:
        typer.echo(f"{folder}: {checkpoint} checkpoint, step {step}, {split} split")
        _print_values(evaluation.metrics())


@app.command()
def sample(
    folder: Folder,
    num: Annotated[int, typer.Option(min=1, help="Samples.")] = 2,
    length: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens, BOS included; whole blocks. Default: the trained length."),
    ] = None,
    nucleus: Annotated[float, typer.Option(help="Keep the most probable tokens up to this sum.")] = 0.9,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1)] = 0,
    checkpoint: Which = "best",
    device: Device = "auto",
) -> None:
    """Print text from a checkpoint."""
    with _sentences():
        settings = _stored_config(folder, {})
        from trainer.sampling.generate import sample as draw
        from trainer.trained import open_trained

        _prepare(settings)
        trained = open_trained(settings, folder / f"{checkpoint}.safetensors", device=device)
        tokenizer = trained.corpus.tokenizer
        try:
            samples = draw(
                trained.model,
                settings.objective,
                num=num,
                length=settings.data.length if length is None else length,
                block_size=trained.block_size,
                bos_id=tokenizer.bos_id,
                seed=seed,
                nucleus=nucleus,
            )
        except ValueError as error:
            _fail(2, str(error))
    for i, each in enumerate(samples):
        typer.echo(f"--- sample {i}")
        typer.echo(tokenizer.decode(each.tokens))
    typer.echo(f"nfe {', '.join(str(each.nfe) for each in samples)}", err=True)


@app.command()
def fields(
    begins: Annotated[str, typer.Argument(help="Only names that begin so: finetune.schedule")] = "",
) -> None:
    """List every setting of a run: its name, default, the kinds that have it, and what it is."""
    from trainer.names import train_names

    names = train_names()
    found = [name for name in names.leaves if name.startswith(begins)]
    if not found:
        _fail(2, f"no setting begins with {begins}")
    for name in found:
        typer.echo(names.described(name))


def _config(values: dict[str, Any]) -> TrainConfig:
    from trainer.config import InvalidConfig, TrainConfig

    try:
        return TrainConfig.from_dotted(values)
    except InvalidConfig as error:
        _fail(3, *(_sentence(*problem) for problem in error.problems))


def _stored_config(folder: Path, overrides: dict[str, Any]) -> TrainConfig:
    from trainer.trained import read_config

    others = [key for key in overrides if key.split(".")[0] != "evaluation"]
    if others:
        _fail(3, f"{others[0]}: a trained run keeps its settings; only evaluation.* can be given")
    return _config({**read_config(folder).to_dotted(), **overrides})


def _sentence(key: str, problem: str) -> str:
    """`finetune.shedule: unknown; did you mean finetune.schedule?`"""
    from trainer.names import did_you_mean, train_names

    if problem != "unknown":
        return f"{key}: {problem}" if key else problem
    names = train_names()
    owners = names.leaves.get(key, ())
    if owners:
        return f"{key}: needs {key.rpartition('.')[0]}.name={' or '.join(owners)}"
    return f"{names.unknown(key)}: unknown{did_you_mean(names.nearest(key))}"


def _read_overrides(overrides: list[str] | None) -> dict[str, Any]:
    from ruamel.yaml import YAML, YAMLError

    values: dict[str, Any] = {}
    for each in overrides or []:
        key, equals, text = each.partition("=")
        if not equals or not key:
            _fail(2, f"{each}: not of the form key=value")
        try:
            values[key] = YAML(typ="safe").load(text)
        except YAMLError:
            _fail(2, f"{each}: {text} is not a YAML value")
    return values


def _read_yaml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    from trainer.settings import flatten

    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        _fail(3, f"{path}{place}: not YAML: {error.problem or error.context}")
    except (OSError, YAMLError, ValueError) as error:
        _fail(3, f"{path}: {' '.join(str(error).split())}")
    if not isinstance(values, dict):
        _fail(3, f"{path}: not a group of settings")
    if "search" in values or "space" in values:
        _fail(3, f"{path}: a sweep, not one run's settings; python -m sweeper run {path}")
    return flatten(values)


def _print_floors(settings: TrainConfig) -> None:
    """What the bound must come below: counts of one token and of two, on the tokens that it scores."""
    from trainer.data.packing import load
    from trainer.evaluation.floors import floors

    _prepare(settings)
    for name, floor in floors(load(settings.data), settings.evaluation).items():
        model = name.removesuffix("_nelbo")
        typer.echo(f"floor: {model}, add-one {floor:.4f} nats per token", err=True)


def _prepare(settings: TrainConfig) -> None:
    from trainer.data.packing import prepare

    for _ in prepare(settings.data):
        pass


def _returned(running: Generator[None, None, Value]) -> Value:
    """Runs a generator to its end; what it returns."""
    while True:
        try:
            next(running)
        except StopIteration as stop:
            return stop.value


def _print_values(values: dict[str, float]) -> None:
    for name, value in values.items():
        typer.echo(f"  {name:<20} {value:.6g}")


def _fail(code: int, *sentences: str) -> NoReturn:
    for sentence in sentences:
        typer.echo(sentence, err=True)
    raise typer.Exit(code)


@contextmanager
def _sentences() -> Iterator[None]:
    """What a user can do something about ends in one sentence, not in a traceback."""
    from trainer.config import InvalidConfig
    from trainer.data.base import DataError
    from trainer.errors import CheckpointError, OtherRun, TrainingError

    try:
        yield
    except InvalidConfig as error:
        _fail(3, *(_sentence(*problem) for problem in error.problems))
    except (OtherRun, DataError) as error:
        _fail(3, str(error))
    except (TrainingError, CheckpointError) as error:
        _fail(1, str(error))
    except BrokenPipeError:  # whoever read the output has gone: no mistake
        raise
    except OSError as error:
        _fail(1, f"{error.filename or 'the system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        _fail(130, "interrupted")


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
