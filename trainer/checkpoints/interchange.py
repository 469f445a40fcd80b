"""The public BD3-LM checkpoint layout (Arriola et al. 2025, arXiv 2503.09573), read and written.

A published checkpoint is a folder as transformers users expect it: model.safetensors with the network's
weights under `backbone.`, their moving average applied, and the 0-d buffers sampling_eps_min and
sampling_eps_max; config.json; the tokenizer's files. Our parameters have the same names and shapes, so
that weights go either way unchanged. What goes out brings code of its own that reads it.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, Field, ValidationError
from safetensors.torch import save_file

from trainer.checkpoints.published_weights import PublishedWeights
from trainer.config.published import WEIGHTS, weights_file
from trainer.data.tokenizer import Tokenizer
from trainer.errors import CheckpointError
from trainer.network.model import Denoiser
from trainer.values import Settings

# What may stand before a bare name: Lightning's, the Hugging Face module's, torch.compile's.
PREFIXES = ("state_dict.", "backbone.", "_orig_mod.")
AVERAGE = "ema."
SHADOW = "ema.shadow_params."  # Lightning's moving average: numbers, in the order of the parameters
INTERVAL = ("sampling_eps_min", "sampling_eps_max")
# Copied beside the weights, for AutoModelForMaskedLM with trust_remote_code: they need no package of ours.
CODE = ("configuration_bd3lm.py", "modeling_bd3lm.py")


class PublicConfig(Settings):
    """config.json: fields and defaults of the public BD3LMConfig; transformers' own are not read."""

    model_config = ConfigDict(extra="ignore")

    block_size: int = Field(1, ge=1, description="L', tokens.")
    vocab_size: int = Field(50258, ge=2, description="V, the mask included.")
    model_length: int = Field(1024, ge=2, description="L, tokens.")
    cross_attn: bool = Field(True, description="Noisy tokens read clean ones: BD3-LM; false: MDLM.")
    adaln: bool = Field(True, description="Layers are modulated by the conditioning vector.")
    causal: bool = False
    hidden_dim: int = Field(768, ge=1)
    cond_dim: int = Field(129, ge=1)
    n_blocks: int = Field(12, ge=1, description="Layers.")
    n_heads: int = Field(12, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    time_conditioning: bool = Field(False, description="The conditioning vector depends on the time: SEDD.")
    var_min: bool = Field(True, description="The buffers of the interval are there.")
    sampling_eps_min: float = Field(1e-3, ge=0, le=1, description="Of the times trained on, the earliest.")
    sampling_eps_max: float = Field(0.999, ge=0, le=1, description="The latest.")


def read_public_config(path: Path) -> PublicConfig:
    """The config.json beside a checkpoint's weights. Raises CheckpointError."""
    weights = weights_file(path)
    file_path = weights.with_name("config.json")
    try:
        config = PublicConfig.model_validate_json(file_path.read_bytes())
    except FileNotFoundError:
        needed = ", ".join(PublicConfig.model_fields)
        raise CheckpointError(f"{file_path}: there is none, and it must say {needed}") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise CheckpointError(f"{file_path}: {f'{field}: ' if field else ''}{first['msg']}") from None
    with PublishedWeights(weights) as file:  # the buffers are what the network was trained with
        stored = _by_bare_name(weights, list(file.entries))
        buffers = {name: file.tensor(stored[name]) for name in INTERVAL if name in stored}
    if strange := [name for name, buffer in buffers.items() if buffer.numel() != 1]:
        raise CheckpointError(f"{weights}: {strange[0]} is not one number")
    found = {name: float(buffer) for name, buffer in buffers.items()}
    return config.model_copy(update={name: round(value, 6) for name, value in found.items()})


def load_published(path: Path, model: Denoiser) -> dict[str, torch.Tensor]:
    """A published checkpoint's weights by their bare names: all of `model`'s, in float32, on the CPU.

    Reads the public module's names, bare ones, and Lightning's, of which it takes the moving average.
    `model` may be on the meta device. Raises CheckpointError, which names the first mismatch.
    """
    weights = weights_file(path)
    with PublishedWeights(weights) as file:
        stored = _by_bare_name(weights, list(file.entries))
        if any(name.startswith(SHADOW) for name in stored):
            stored |= _averages(weights, stored, model)
        for name, tensor in model.state_dict().items():
            if name not in stored:
                raise CheckpointError(f"{weights}: {name} is missing; its first name is {min(stored)}")
            found, wanted = file.entries[stored[name]].shape, list(tensor.shape)
            if found != wanted:
                # The vocabulary is a run's tokenizer's, not a setting of its network.
                words = name == "vocab_embed.embedding" and found[1:] == wanted[1:]
                advice = ": set data.tokenizer to the one it was trained with" if words else ""
                raise CheckpointError(f"{weights}: {name} is {found}, this network's is {wanted}{advice}")
        known = {*model.state_dict(), *INTERVAL}
        for name in stored:
            if name not in known and not name.startswith(AVERAGE):
                raise CheckpointError(f"{weights}: {name} is not part of this network")
        tensors = {name: file.tensor(stored[name]) for name in model.state_dict()}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise CheckpointError(f"{weights}: {name} holds {str(tensor.dtype).removeprefix('torch.')}")
        if not tensor.isfinite().all():
            raise CheckpointError(f"{weights}: {name} is not finite")
    return {name: tensor.float() for name, tensor in tensors.items()}


def save_published(
    folder: Path, weights: Mapping[str, torch.Tensor], config: PublicConfig, tokenizer: Tokenizer
) -> None:
    """Writes model.safetensors, config.json, code and the tokenizer's files into a folder that is there."""
    tensors = {f"backbone.{name}": tensor.detach().contiguous() for name, tensor in weights.items()}
    if config.var_min:
        tensors |= {
            name: torch.tensor(value) for name, value in config.model_dump(include={*INTERVAL}).items()
        }
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})  # transformers asks for the format
    ids = {f"{kind}_token_id": getattr(tokenizer, f"{kind}_id") for kind in ("bos", "eos", "mask")}
    write_json(folder / "config.json", {**_FOR_TRANSFORMERS, **config.model_dump(), **ids})
    for name in CODE:
        shutil.copyfile(Path(__file__).with_name(name), folder / name)
    tokenizer.save(folder)
    write_json(folder / "tokenizer_config.json", tokenizer_config(tokenizer, config.model_length))


_FOR_TRANSFORMERS = {
    "model_type": "bd3lm",
    "architectures": ["BD3LM"],
    "auto_map": {
        "AutoConfig": "configuration_bd3lm.BD3LMConfig",
        "AutoModelForMaskedLM": "modeling_bd3lm.BD3LM",
    },
    "attn_backend": "sdpa",
    "torch_dtype": "float32",
}


def tokenizer_config(tokenizer: Tokenizer, length: int) -> dict[str, Any]:
    """What AutoTokenizer needs besides tokenizer.json: the special ids, which need not be words of it."""
    ids = {"bos_token": tokenizer.bos_id, "eos_token": tokenizer.eos_id, "mask_token": tokenizer.mask_id}
    words = {kind: tokenizer.backend.id_to_token(i) or f"<|{kind}|>" for kind, i in ids.items()}
    plain = {"special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": length,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        **words,
        "added_tokens_decoder": {str(i): {"content": words[kind], **plain} for kind, i in ids.items()},
    }


def _by_bare_name(path: Path, names: list[str]) -> dict[str, str]:
    stored: dict[str, str] = {}
    for name in names:
        bare = name
        for prefix in PREFIXES:
            bare = bare.removeprefix(prefix)
        if bare in stored:
            raise CheckpointError(f"{path}: {bare} stands in it twice, as {stored[bare]} and as {name}")
        stored[bare] = name
    return stored


def _averages(path: Path, stored: Mapping[str, str], model: Denoiser) -> dict[str, str]:
    """By the parameter's name, where its moving average is stored."""
    shadows = {name for name in stored if name.startswith(SHADOW)}
    averages = {name: f"{SHADOW}{i}" for i, (name, _) in enumerate(model.named_parameters())}
    if shadows != set(averages.values()):
        raise CheckpointError(
            f"{path}: its moving average has {len(shadows)} tensors, this network {len(averages)} parameters"
        )
    return {name: stored[shadow] for name, shadow in averages.items()}


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
