"""python -m trainer judge | zero-shot: generated text under a judge, and a model on another corpus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trainer.cli.console import (
    AsJson,
    Device,
    Folder,
    Samples,
    Which,
    check_finite,
    checked,
    fail,
    print_values,
    read_override,
    returned,
    sentences,
    stored_config,
)

if TYPE_CHECKING:
    from trainer.evaluation.generative import Verdict
    from trainer.evaluation.record import Evaluation

MODELS_OWN = ("data.tokenizer", "data.vocab_size", "data.length")


def judge(
    samples: Samples,
    judge: Annotated[
        str,
        typer.Option(help="A causal model of transformers, by name or folder; or the folder of an AR run."),
    ] = "gpt2-large",
    window: Annotated[
        int | None, typer.Option(min=2, help="Tokens read at once. Default: what it can, at most 1,024.")
    ] = None,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """gen_ppl: the perplexity of samples under a judge, with their entropy.

    Example: python -m trainer judge samples.jsonl --judge runs/ar
    """
    with sentences():
        from trainer.sampling.samples_file import read_samples

        read = read_samples(samples)
        from trainer.evaluation.generative import judged
        from trainer.evaluation.judges import open_judge

        verdict = judged(open_judge(judge, device), read, window)
    if as_json:
        typer.echo(json.dumps(_document(verdict)))
        return
    ppl, low, high = verdict.gen_ppl
    number = len(verdict.tokens_S)
    interval = f"95% interval {low:.4g} to {high:.4g}" if number > 1 else "no interval from one sample"
    typer.echo(f"gen_ppl under {verdict.judge}: {ppl:.4g}  ({interval})")
    typer.echo("it compares with numbers under the same judge and window alone")
    typer.echo(f"gen_entropy: {verdict.gen_entropy:.4g} nats, mean over samples of their unigram entropy")
    typer.echo(f"{number} samples, {sum(verdict.tokens_S)} tokens scored, windows of {verdict.window}")
    if verdict.empty:
        typer.echo(f"{verdict.empty} samples without text were left out", err=True)
    rows = zip(verdict.nats_S, verdict.tokens_S, verdict.entropy_S, strict=True)
    typer.echo(f"{'sample':>8}{'tokens':>8}{'nats':>10}{'entropy':>10}")
    for row, (nats, tokens, entropy) in enumerate(rows):
        typer.echo(f"{row:>8}{tokens:>8}{nats / tokens:>10.4f}{entropy:>10.4f}")


def zero_shot(
    folder: Folder,
    overrides: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...",
            help="Of data.* and evaluation.*; each data.name=... begins another corpus.",
        ),
    ],
    split: Annotated[Literal["valid", "test"], typer.Option()] = "test",
    checkpoint: Which = "best",
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Score a checkpoint on other corpora, with its own tokenizer and length.

    Example: python -m trainer zero-shot runs/one data.name=ptb data.name=wikitext
    """
    with sentences():
        config = stored_config(folder, {})
        from trainer.evaluation.zero_shot import ZeroShotConfig, as_trained, filled_in, other_corpus

        asked = [checked(ZeroShotConfig, filled_in(config, values)) for values in _corpora(overrides)]
        from trainer.checkpoints.trained import open_trained
        from trainer.evaluation.bound import evaluate

        trained = open_trained(config, folder / f"{checkpoint}.safetensors", device=device)
        found = []
        for settings in asked:
            corpus = other_corpus(trained.corpus, as_trained(trained.corpus, settings.data), split)
            bound = evaluate(
                trained.model,
                config.objective,
                trained.block_size,
                split,
                corpus,
                settings.evaluation,
                trained.step,
            )
            found.append(returned(bound))
            check_finite(found[-1])
            if not as_json:
                _print(found[-1], trained.corpus.name)
    if as_json:
        rows = [{"values": _values(each), **each.as_json()} for each in found]
        typer.echo(json.dumps({"schema_version": 1, "trained_on": trained.corpus.name, "corpora": rows}))


def _corpora(overrides: list[str]) -> Iterator[dict[str, Any]]:
    """The settings of each corpus: its own, after those before the first data.name, which all share."""
    shared: dict[str, Any] = {}
    corpora: list[dict[str, Any]] = []
    for key, value in map(read_override, overrides):
        if key in MODELS_OWN:
            fail(3, f"{key}: a model is scored with its own; leave it out")
        if key.split(".")[0] not in ("data", "evaluation"):
            fail(3, f"{key}: a trained run keeps its settings; only data.* and evaluation.* can be given")
        if key == "data.name":
            corpora.append({})
        (corpora[-1] if corpora else shared)[key] = value
    if not corpora:
        fail(2, "no corpus: data.name=wikitext, for one")
    return ({**shared, **each} for each in corpora)


def _values(evaluation: Evaluation) -> dict[str, float]:
    """The metrics, and the 95% interval of the perplexity."""
    from trainer.evaluation.interval import ppl_interval

    _, low, high = ppl_interval(evaluation.nelbo, evaluation.se, len(evaluation.nats_D))
    prefix = {"valid": "val", "test": "test"}[evaluation.split]
    interval = {f"{prefix}_ppl_low": low, f"{prefix}_ppl_high": high} if high < float("inf") else {}
    return {**evaluation.metrics(), **interval}


def _print(evaluation: Evaluation, trained_on: str) -> None:
    identity, provenance = evaluation.identity, evaluation.provenance
    typer.echo(f"{identity['corpus']}, {evaluation.split} split; trained on {trained_on}")
    print_values(_values(evaluation))
    for name, record in (("identity", identity), ("provenance", provenance)):
        typer.echo(f"  {name}: " + ", ".join(f"{key} {value}" for key, value in record.items()))


def _document(verdict: Verdict) -> dict[str, Any]:
    ppl, low, high = verdict.gen_ppl
    return {
        "schema_version": 1,
        "judge": verdict.judge,
        "gen_ppl": ppl if isfinite(ppl) else None,
        "gen_ppl_95": [low, high] if isfinite(high) else None,
        "gen_entropy": verdict.gen_entropy,
        "window": verdict.window,
        "empty": verdict.empty,
        "samples": [
            {"tokens": tokens, "nats_per_token": nats / tokens, "entropy": entropy}
            for nats, tokens, entropy in zip(verdict.nats_S, verdict.tokens_S, verdict.entropy_S, strict=True)
        ],
    }
