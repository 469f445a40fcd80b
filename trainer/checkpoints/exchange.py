"""Run folders from published checkpoints, and published checkpoints from run folders."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from trainer.checkpoints import checkpoint
from trainer.checkpoints.causal_lm import save_causal_lm
from trainer.checkpoints.interchange import (
    CODE,
    PublicConfig,
    load_published,
    read_public_config,
    save_published,
)
from trainer.checkpoints.trained import open_trained, source_in
from trainer.config.causal_lm import causal_lm_at
from trainer.config.names import SHORT
from trainer.config.network import shape_of
from trainer.config.published import WEIGHTS, weights_file
from trainer.config.stored import read_config
from trainer.config.train_config import TrainConfig
from trainer.data.pretrained import pretrained
from trainer.data.tokenizer import Tokenizer
from trainer.disk import replace_durably, to_disk, write_durably
from trainer.errors import CheckpointError
from trainer.network.adapted import Adapted
from trainer.network.model import Denoiser
from trainer.noise.clips import FIRST_TIME
from trainer.settings.sizes import SIZES

VOCABULARY = ("tokenizer.json", "vocab.json", "vocab.txt")  # a tokenizer has one of them
BESIDE = ("merges.txt", "tokenizer_config.json", "special_tokens_map.json", "special_ids.json")
CARD = "README.md"
EXPORTED = (WEIGHTS, "config.json", *CODE, *VOCABULARY, *BESIDE, CARD)


def import_checkpoint(path: Path, out: Path, settings: Mapping[str, Any]) -> None:
    """Makes the run folder `out`, at step 0: evaluated, sampled and exported like one that was trained.

    settings: dotted values that go before what the checkpoint says. They name the corpus, and where the
    checkpoint brings no tokenizer, data.tokenizer. Raises CheckpointError, DataError or InvalidConfig.
    """
    if source := causal_lm_at(path):
        raise CheckpointError(
            f"{path}: a {source.model_type} of transformers is no run yet; to train from it: "
            f"python -m trainer train pretrain.from={path}"
        )
    public = read_public_config(path)
    values = {**_unless_said(run_values(public), settings), **settings, "pretrain.from": str(path.absolute())}
    config = TrainConfig.from_dotted(values)
    with _whole_folder(out) as folder:
        tokenizer = config.data.own_tokenizer()
        if tokenizer is None and "data.tokenizer" in settings:
            tokenizer = _named_tokenizer(config.data.tokenizer)
        elif tokenizer is None:
            home = "tokenizer"
            config = TrainConfig.from_dotted({**values, "data.tokenizer": str(out.absolute() / home)})
            tokenizer = _copied_tokenizer(weights_file(path).parent, folder / home)
        if tokenizer.vocab_size != public.vocab_size:
            raise CheckpointError(
                f"{path}: its vocabulary has {public.vocab_size} words, the mask included, "
                f"the tokenizer {tokenizer.vocab_size}"
            )
        with torch.device("meta"):
            model = config.objective.build(shape_of(config, tokenizer), config.model.dropout)
        weights = load_published(path, model)
        # Two copies, since a file cannot hold one tensor under two names.
        tensors = {f"{part}.{name}": w.clone() for part in ("model", "ema") for name, w in weights.items()}
        about = {"phase": "finetune", "config": config.to_dotted()}
        facts = {
            **about,
            "corpus": {"tokenizer": tokenizer.fingerprint},
            "progress": {"step": 0},
        }
        write_durably(folder / "config.json", about)
        checkpoint.save(folder / "best.safetensors", tensors, facts)


def export_run(
    folder: Path,
    out: Path,
    *,
    name: str = "best",
    beside: Mapping[str, str] = MappingProxyType({}),
    replace: bool = False,
) -> None:
    """Makes `out` a published checkpoint of a run's best or last one, its moving average applied. A network
    that is a causal model of transformers goes out in transformers' own layout.

    The run's corpus is prepared. beside: texts that go into the folder, by the name of their file. replace:
    an exported model that is there gives way once this one is whole. Raises CheckpointError or DataError.
    """
    check_place(out, replace)  # before anything takes long
    config, path = read_config(folder), folder / f"{name}.safetensors"
    model, corpus, block_size, _ = open_trained(config, path, device="cpu")
    facts = checkpoint.read_facts(path)
    if facts["corpus"]["tokenizer"] != corpus.tokenizer.fingerprint:
        raise CheckpointError(f"{path}: was trained with another tokenizer than {config.data.name} has now")
    with _whole_folder(out, replace) as partial:
        if isinstance(model, Adapted):
            save_causal_lm(partial, model, corpus.tokenizer, config.data.length)
        else:
            public = _public_config(config, facts, model, corpus.tokenizer, block_size)
            save_published(partial, model.state_dict(), public, corpus.tokenizer)
        for file_name, text in beside.items():
            (partial / file_name).write_text(text, encoding="utf-8")


def adapted_in(path: Path) -> str | None:
    """The model_type of the causal model of transformers that a run's checkpoint is, if it is one."""
    with checkpoint.Checkpoint(path) as file:
        source = source_in(file)
    return None if source is None else source.model_type


def _public_config(
    config: TrainConfig, facts: Mapping[str, Any], model: Denoiser, tokenizer: Tokenizer, block_size: int
) -> PublicConfig:
    """facts: of the checkpoint."""
    clip = config.pretrain.clip if facts["phase"] == "pretrain" else config.finetune.clip
    low, high = facts["progress"].get("clip") or (clip.low, clip.high)  # the first is what a search has found
    objective = config.objective
    by_blocks = objective.noisy and not objective.whole
    return PublicConfig(
        block_size=block_size,
        vocab_size=tokenizer.vocab_size,
        model_length=config.data.length,
        hidden_dim=config.model.width,
        cond_dim=config.model.cond_width,
        n_blocks=config.model.layers,
        n_heads=config.model.heads,
        dropout=config.model.dropout,
        adaln=not model.causal,
        causal=model.causal,
        cross_attn=by_blocks,
        time_conditioning=objective.told,
        var_min=by_blocks,
        sampling_eps_min=max(low, FIRST_TIME),
        sampling_eps_max=high,
    )


def run_values(public: PublicConfig) -> dict[str, Any]:
    """The dotted settings of a run that this network fits."""
    shape = (public.hidden_dim, public.n_blocks, public.n_heads)
    sizes = (name for name, size in SIZES.items() if shape == (size.width, size.layers, size.heads))
    values = {
        "model.size": next(sizes, "small"),
        "model.width": public.hidden_dim,
        "model.layers": public.n_blocks,
        "model.heads": public.n_heads,
        "model.cond_width": public.cond_dim,
        "model.dropout": public.dropout,
        "data.length": public.model_length,
        "objective.name": _objective(public),
    }
    if not public.cross_attn or public.causal:
        return values  # the objective has one block size
    low, high = public.sampling_eps_min, public.sampling_eps_max
    return {
        **values,
        "finetune.block_size": public.block_size,
        "finetune.clip.low": 0.0 if low <= FIRST_TIME else low,
        "finetune.clip.high": 1.0 if high >= 1 - FIRST_TIME else high,
    }


def _unless_said(values: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Without those that the settings say, or whose group they choose: finetune.clip=auto, for one."""
    groups = {f"{group}.name": group for group in SHORT}
    said = {groups.get(key, key) for key in settings}
    return {key: v for key, v in values.items() if not any(f"{key}.".startswith(f"{each}.") for each in said)}


def _objective(public: PublicConfig) -> str:
    if public.causal:
        return "ar"
    if public.time_conditioning:
        return "sedd"
    return "bd3lm" if public.cross_attn else "mdlm"


def _copied_tokenizer(source: Path, home: Path) -> Tokenizer:
    if not any((source / name).is_file() for name in VOCABULARY):
        raise CheckpointError(f"{source}: there is no tokenizer in it; name one, as data.tokenizer=gpt2")
    home.mkdir()
    for name in (*VOCABULARY, *BESIDE):
        if (source / name).is_file():
            shutil.copyfile(source / name, home / name)
    return pretrained(str(home))


def _named_tokenizer(name: str) -> Tokenizer:
    if name == "bpe":
        raise CheckpointError("data.tokenizer: bpe is trained anew on the corpus; name the checkpoint's own")
    return pretrained(name)


def check_place(out: Path, replace: bool) -> None:
    """Nothing is lost by it that was not exported here. Raises CheckpointError."""
    try:
        names = sorted(each.name for each in out.iterdir()) if out.is_dir() else []
    except OSError as error:
        raise CheckpointError(f"{out}: cannot be read ({error.strerror})") from None
    if (out.exists() and not out.is_dir()) or (names and not replace):
        raise CheckpointError(f"{out}: is there already; name a folder that is new or empty")
    if strange := [name for name in names if name not in EXPORTED]:
        raise CheckpointError(
            f"{out}: {strange[0]} is no part of an exported model, and only such a folder is replaced"
        )


@contextmanager
def _whole_folder(out: Path, replace: bool = False) -> Iterator[Path]:
    """A folder beside `out`, which gets its name once all of it is on disk; of an error nothing stays."""
    out = out.absolute()
    check_place(out, replace)
    partial, before = (out.with_name(f".{out.name}.{os.getpid()}.{end}") for end in ("partial", "before"))
    try:
        partial.mkdir(parents=True)
        yield partial
        for each in partial.rglob("*"):
            to_disk(each)
        if out.exists() and any(out.iterdir()):
            os.replace(out, before)  # a folder that is full cannot be replaced in one step
        replace_durably(partial, out)
    except OSError as error:
        raise CheckpointError(f"{out}: cannot be written ({error.strerror})") from None
    finally:
        if before.exists() and not out.exists():
            os.replace(before, out)
        for each in (partial, before):
            shutil.rmtree(each, ignore_errors=True)
