"""python -m trainer import | export: published BD3-LM checkpoints to run folders, and back."""

from pathlib import Path
from typing import Annotated

import typer

from trainer.cli.console import Folder, Overrides, Which, read_overrides, sentences

Checkpoint = Annotated[
    Path, typer.Argument(metavar="PATH", help="A folder with model.safetensors and config.json.")
]


def import_(
    path: Checkpoint,
    out: Annotated[Path, typer.Option(help="The run's folder, new or empty.")],
    overrides: Overrides = None,
) -> None:
    """Make a run folder of a published checkpoint. KEY: data.name and so on, data.tokenizer.

    Example: python -m trainer import published --out runs/published data.name=openwebtext
    """
    with sentences():
        settings = read_overrides(overrides)
        from trainer.checkpoints.exchange import import_checkpoint

        import_checkpoint(path, out, settings)
    typer.echo(f"{out}: {path}, to be evaluated and sampled; to train from it: pretrain.from={path}")


def export(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="The checkpoint's folder, new or empty.")],
    checkpoint: Which = "best",
) -> None:
    """Make a published checkpoint of a run, in the layout of the public BD3-LM code.

    Example: python -m trainer export runs/one --out published
    """
    with sentences():
        from trainer.checkpoints.exchange import export_run

        export_run(folder, out, name=checkpoint)
    typer.echo(f"{out}: the {checkpoint} checkpoint of {folder}, its moving average")
