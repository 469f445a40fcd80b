"""python -m trainer sample | lengths: text from a checkpoint, and how long it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trainer.cli.console import (
    AsJson,
    Device,
    Folder,
    Samples,
    Which,
    checked,
    fail,
    read_overrides,
    sentences,
    stored_config,
)

if TYPE_CHECKING:
    from trainer.config.train_config import TrainConfig
    from trainer.sampling.config import SamplingConfig
    from trainer.sampling.samples_file import SavedSample


def sample(
    folder: Folder,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE...",
            help="Of sampler.* and stopping.*: sampler.nucleus=0.9; `fields sampler` lists them.",
        ),
    ] = None,
    num: Annotated[int, typer.Option(min=1, help="Samples.")] = 2,
    length: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Tokens, BOS and prompt included; whole blocks. Default: the trained length; "
            "with stopping.* a limit, 16,384.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1)] = 0,
    prompt: Annotated[str, typer.Option(help="Text that every sample begins with.")] = "",
    batch: Annotated[int, typer.Option(min=1, help="Samples drawn at once; changes none of them.")] = 16,
    uncached: Annotated[
        bool, typer.Option("--uncached", help="Read the whole text in every pass: slow, the same text.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="A file, one JSON object a sample.", dir_okay=False)
    ] = None,
    as_json: AsJson = False,
    checkpoint: Which = "best",
    device: Device = "auto",
) -> None:
    """Text from a checkpoint: printed, or written to a file.

    Example: python -m trainer sample runs/one --num 8 --out samples.jsonl
    """
    with sentences():
        settings = stored_config(folder, {})
        how = _how(settings, read_overrides(overrides))
        if out is not None and not out.parent.is_dir():
            fail(2, f"{out.parent}: there is no such folder")
        from trainer.checkpoints.trained import open_trained
        from trainer.errors import TrainingError
        from trainer.sampling.config import MOST_AT_ONCE, MOST_SAMPLES, SamplesConfig
        from trainer.sampling.draw import drawn
        from trainer.sampling.samples_file import saved, write_samples

        trained = open_trained(settings, folder / f"{checkpoint}.safetensors", device=device)
        tokenizer = trained.corpus.tokenizer
        given = tokenizer.encode_batch([prompt])[0]
        if num > MOST_SAMPLES or batch > MOST_AT_ONCE:
            fail(2, f"at most {MOST_SAMPLES:,} samples, and {MOST_AT_ONCE:,} drawn at once (--num, --batch)")
        asked = SamplesConfig(num=num, length=length, seed=seed, batch_size=batch, **dict(how))
        network = (trained.model, settings.objective, tokenizer, trained.block_size)
        try:
            found = list(drawn(*network, asked, prompt=given, cached=not uncached))
        except TrainingError:
            raise
        except ValueError as error:
            fail(2, str(error))
        samples = [saved(each, tokenizer, prompt, 1 + len(given)) for each in found]
        if out is not None:
            write_samples(out, samples)
    _show(samples, how, seed, out, as_json)


def lengths(folder: Folder, samples: Samples, as_json: AsJson = False) -> None:
    """Lengths in tokens: of a file of samples, and of the documents that FOLDER was trained on.

    Example: python -m trainer lengths runs/one samples.jsonl
    """
    with sentences():
        settings = stored_config(folder, {})
        from trainer.data.corpus import load
        from trainer.evaluation.lengths import document_lengths, sample_lengths, statistics
        from trainer.sampling.samples_file import read_samples

        read = read_samples(samples)
        corpus = load(settings.data)
        at_cap = sum(each.stopped_by == "length" for each in read) / len(read)
        rows = {
            "samples": {**statistics(sample_lengths(read, corpus.tokenizer)), "at_cap": at_cap},
            f"{corpus.name} (train)": statistics(document_lengths(corpus.train, corpus.tokenizer)),
        }
    if as_json:
        typer.echo(json.dumps({"schema_version": 1, "unit": "tokens", "rows": rows}))
        return
    names = list(rows["samples"])
    typer.echo(f"tokens of {folder}'s tokenizer, BOS and EOS not counted; at_cap: share that hit the length")
    typer.echo(f"{'':<20}" + "".join(f"{name:>10}" for name in names))
    for label, row in rows.items():
        typer.echo(f"{label:<20}" + "".join(f"{row[name]:>10.6g}" if name in row else "" for name in names))


def _how(settings: TrainConfig, overrides: dict[str, Any]) -> SamplingConfig:
    from trainer.sampling.config import SamplingConfig
    from trainer.sampling.union import default_sampler

    first = default_sampler(settings.objective)
    return checked(SamplingConfig, {"sampler.name": first.name, **overrides})


def _show(
    samples: list[SavedSample], how: SamplingConfig, seed: int, out: Path | None, as_json: bool
) -> None:
    if as_json:
        rows = [each.model_dump() for each in samples]
        document = {"schema_version": 1, "seed": seed, **how.model_dump(), "samples": rows}
        typer.echo(json.dumps(document))
        return
    for i, each in enumerate(samples):
        if out is None:
            typer.echo(f"--- sample {i}")
            typer.echo(each.text)
        typer.echo(
            f"sample {i}: {len(each.tokens or [])} tokens, ended by {each.stopped_by}, "
            f"nfe {each.nfe} and {each.cache_passes} passes to store, done after {each.seconds:.3f} s",
            err=True,
        )
    if out is not None:
        typer.echo(f"{out}: {len(samples)} samples")
