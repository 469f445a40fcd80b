"""The arguments and options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from trainer.cli.console import Command as Listed

DEFAULT_URL = "sqlite:///sweeps.db"
UNSAID = "\0"  # stands where a sweep's name was left out: a word that no shell can hand over


def _spec(said: Path) -> Path:
    """Raises BadParameter, so exit code 2."""
    from sweeper.shipped import find, shipped

    if (found := find(said)) is not None:
        return found
    if said.is_dir():
        raise typer.BadParameter(f"{said} is a folder, not a specification")
    known = ", ".join(name for name in shipped() if "/" not in name)
    raise typer.BadParameter(f"there is no file {said}; these come with the program: {known}")


Spec = Annotated[
    Path,
    typer.Argument(
        callback=_spec,
        metavar="SPEC",
        help="A YAML file (docs/search-spaces.md), or the name of a shipped one: schedules.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Over what the file says: search.trials=5."),
]
FreeOverrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Of budget, resources or keep: budget.hours=8."),
]


def _called(url: str | None = None) -> list[str]:
    """What the sweeps of a database go by; none where it cannot be read."""
    from contextlib import closing
    from os import environ

    from sweeper.store.engine import StoreError
    from sweeper.store.queries import Reader

    try:
        with closing(Reader(url or environ.get("SWEEPER_DB", DEFAULT_URL))) as reader:
            return list(dict.fromkeys(name for each in reader.sweeps() for name in (each.called, each.name)))
    except StoreError:
        return []


def _names(begun: str) -> list[str]:
    """For the shell's completion. It has nowhere to say what is wrong."""
    return [each for each in _called() if each.startswith(begun)]


class Loudness:
    """How much is said on stderr, of the command that runs: set by its -q and -v."""

    quiet = verbose = False


LOUDNESS = Loudness()


def _be(word: str) -> Callable[[bool], None]:
    return lambda value: setattr(LOUDNESS, word, value)


_every = typer.Typer(add_completion=False)


@_every.command()
def _has(
    quiet: Annotated[
        bool,
        typer.Option(
            "-q", "--quiet", callback=_be("quiet"), expose_value=False, help="Errors alone, and how to go on."
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "-v",
            "--verbose",
            callback=_be("verbose"),
            expose_value=False,
            help="Each report of a trial, too.",
        ),
    ] = False,
) -> None:
    """What every command has: its parameters are taken from here."""


class Command(Listed):
    """Of the sweeper: it has -q and -v; where its first argument is a sweep's name, that may be left out.

    It is where there is no word, or where the first one reads as what comes after a name (a number, K=V,
    winner, the last that is needed) and no sweep is called so. Which sweep is meant then: opening.py.
    """

    def __init__(self, name: str | None, *, params: list[Any] | None = None, **more: Any):
        super().__init__(name, params=[*(params or []), *get_command(_every).params], **more)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        said = [each for each in self.params if each.param_type_name == "argument"]
        if any(each.default is _unsaid for each in said[:1]) and not ctx.resilient_parsing:
            given, _, _ = self.make_parser(ctx).parse_args(list(args))
            words = _flat(given.get(each.name) for each in said)
            if self._is_unsaid(words, sum(each.required for each in said), given.get("db")):
                args = [UNSAID, *args]
        return super().parse_args(ctx, args)

    def _is_unsaid(self, words: list[str], least: int, url: str | None) -> bool:
        if not words:
            return True
        after = len(words) <= least or words[0].isdecimal() or "=" in words[0] or words[0] == "winner"
        return after and words[0] not in _called(url)


def _flat(given: Any) -> list[str]:
    """The words of arguments, one or several of each; None, or no text: none."""
    found = [list(each) if isinstance(each, tuple | list) else [each] for each in given]
    return [word for words in found for word in words if isinstance(word, str)]


def _unsaid() -> None:
    """The default of a sweep's name, and of nothing else."""


def _said(name: str | None) -> str | None:
    return None if name == UNSAID else name


Name = Annotated[
    str | None,
    typer.Argument(
        help="The sweep's name. Left out: the only one; to read, the newest.",
        callback=_said,
        default_factory=_unsaid,
        show_default=False,
        autocompletion=_names,
    ),
]
MaybeName = Annotated[
    str | None, typer.Argument(help="The sweep's name; all of them without.", autocompletion=_names)
]
OneTrial = Annotated[int | None, typer.Option(help="This one alone; the whole sweep without.")]
Trial = Annotated[int, typer.Argument(help="Its number on the board.")]
Database = Annotated[
    str, typer.Option("--db", envvar="SWEEPER_DB", metavar="URL", help="Where sweeps are stored.")
]


def _address(value: str) -> str:
    """Raises BadParameter, so exit code 2."""
    host, _, port = value.rpartition(":")
    if value not in ("auto", "local") and not (host and "/" not in host and port.isdigit()):
        raise typer.BadParameter(f"{value!r} is not auto, local, or the HOST:PORT of a cluster's head")
    return value


def _share(value: str | float) -> float:
    """'1%' or '0.01'; a command's default is a number already. Raises BadParameter, so exit code 2."""
    said = str(value).strip()
    try:
        share = float(said.removesuffix("%")) / (100 if said.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise typer.BadParameter(f"{value!r} is not a share like 1% or 0.01")
    return share


Share = Annotated[
    float,
    typer.Option(parser=_share, metavar="1%", help="The smallest improvement of perplexity that counts."),
]
Address = Annotated[
    str,
    typer.Option(
        callback=_address,
        metavar="auto|HOST:PORT|local",
        help="A Ray cluster that runs: docs/cluster.md. local: this machine alone.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; all else on stderr.")]
Files = Annotated[
    str | None,
    typer.Option(
        envvar="SWEEPER_FILES",
        metavar="PATH|URI",
        help="Where checkpoints go (docs/cluster.md). Default: by the SQLite file, sweeps.db: sweeps.files/",
    ),
]
NoCalibration = Annotated[
    bool, typer.Option("--no-calibration", help="Counts alone: no step is tried out, so no time and memory.")
]
