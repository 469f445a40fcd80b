"""What the commands of python -m trainer share: their arguments, and how they end. Nothing heavy up here."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TypeVar

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from trainer.config.problems import InvalidConfig
    from trainer.config.train_config import TrainConfig
    from trainer.evaluation.record import Evaluation
    from trainer.values import Settings

    Kind = TypeVar("Kind", bound=Settings)

Value = TypeVar("Value")

WHOLE = 1000  # characters: no first sentence is cut


class Command(TyperCommand):
    """Of which the list of commands says the first sentence whole, on as many lines as that takes."""

    def get_short_help_str(self, limit: int = 0) -> str:
        return super().get_short_help_str(WHOLE)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version
        from tomllib import loads

        try:
            number = version("bd3lm-sweep")
        except PackageNotFoundError:  # a checkout on the path
            project = Path(__file__).parents[2] / "pyproject.toml"
            number = loads(project.read_text())["project"]["version"]
        typer.echo(f"bd3lm-sweep {number}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and exit.")
]

Folder = Annotated[Path, typer.Argument(help="A folder that `train` made.", exists=True, file_okay=False)]
Samples = Annotated[Path, typer.Argument(metavar="SAMPLES.jsonl", help="A file that `sample --out` wrote.")]
Which = Annotated[Literal["best", "last"], typer.Option("--checkpoint", help="By val_nelbo, or the latest.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE...", help="finetune.schedule.name=cosine; `fields` lists them all."),
]


def fail(code: int, *sentences: str) -> NoReturn:
    for sentence in sentences:
        typer.echo(sentence, err=True)
    raise typer.Exit(code)


@contextmanager
def sentences() -> Iterator[None]:
    """What a user can do something about ends in one sentence, not in a traceback."""
    from trainer.config.problems import InvalidConfig
    from trainer.config.train_config import TrainConfig
    from trainer.errors import CheckpointError, DataError, JudgeError, OtherRun, SamplesError, TrainingError

    try:
        yield
    except InvalidConfig as error:
        fail(3, *_sentences(TrainConfig, error))
    except (OtherRun, DataError, SamplesError) as error:
        fail(3, str(error))
    except (TrainingError, CheckpointError, JudgeError) as error:
        fail(1, str(error))
    except BrokenPipeError:  # whoever read the output has gone: no mistake
        raise
    except OSError as error:
        fail(1, f"{error.filename or 'the system'}: {error.strerror or error}")
    except KeyboardInterrupt:
        fail(130, "interrupted")


def checked(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """Settings from dotted values; each problem is a sentence."""
    from trainer.config.problems import InvalidConfig
    from trainer.config.problems import checked as build

    try:
        return build(kind, values)
    except InvalidConfig as error:
        fail(3, *_sentences(kind, error))


def _sentences(kind: type[Settings], error: InvalidConfig) -> list[str]:
    from trainer.config.problems import SAID, first_of

    said = [sentence(kind, *problem) for problem in error.problems[:SAID]]
    return first_of([*said, *(problem.key for problem in error.problems[SAID:])])


def sentence(kind: type[Settings], key: str, problem: str) -> str:
    """`finetune.shedule: unknown; did you mean finetune.schedule?`"""
    from trainer.config.names import names_of
    from trainer.nearest import did_you_mean

    if problem != "unknown":
        return f"{key}: {problem}" if key else problem
    names = names_of(kind)
    owners = names.leaves.get(key, ())
    if owners:
        return f"{key}: needs {key.rpartition('.')[0]}.name={' or '.join(owners)}"
    return f"{names.unknown(key)}: unknown{did_you_mean(names.nearest(key))}"


def read_overrides(overrides: list[str] | None) -> dict[str, Any]:
    return dict(map(read_override, overrides or []))


def read_override(override: str) -> tuple[str, Any]:
    """'finetune.lr=1e-3' -> ('finetune.lr', 0.001)."""
    from ruamel.yaml import YAML, YAMLError

    key, equals, text = override.partition("=")
    if not equals or not key:
        fail(2, f"{override}: not of the form key=value")
    try:
        return key, YAML(typ="safe").load(text)
    except (YAMLError, ValueError, RecursionError):
        fail(2, f"{override}: {text} is not a YAML value")


def stored_config(folder: Path, overrides: Mapping[str, Any]) -> TrainConfig:
    """What the folder was trained with; of it evaluation.* alone may be given anew."""
    from trainer.config.stored import read_config
    from trainer.config.train_config import TrainConfig

    others = [key for key in overrides if key.split(".")[0] != "evaluation"]
    if others:
        fail(3, f"{others[0]}: a trained run keeps its settings; only evaluation.* can be given")
    return checked(TrainConfig, {**read_config(folder).to_dotted(), **overrides})


def returned(running: Generator[None, None, Value]) -> Value:
    """Runs a generator to its end; what it returns."""
    while True:
        try:
            next(running)
        except StopIteration as stop:
            return stop.value


def check_finite(evaluation: Evaluation) -> None:
    """Raises TrainingError: what is no number is no result."""
    from trainer.errors import TrainingError

    if not isfinite(evaluation.nelbo):
        raise TrainingError(f"the bound on the {evaluation.split} split is {evaluation.nelbo:.4g}: no result")


def print_values(values: Mapping[str, float]) -> None:
    for name, value in values.items():
        typer.echo(f"  {name:<20} {value:.6g}")
