"""Random causal language models of transformers, saved as it saves them, and how a run takes them over."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers

from trainer.checkpoints.causal_lm import load_causal_lm
from trainer.config.causal_lm import causal_lm_at
from trainer.data.tokenizer import Tokenizer
from trainer.network.adapted import Adapted
from trainer.network.adapted_union import adapted
from trainer.network.model import Shape

WORDS, LENGTH = 23, 12
MASK = WORDS  # as of a tokenizer that has no mask of its own
WIDTH, LAYERS, HEADS = 24, 4, 4

LLAMA = {
    "hidden_size": WIDTH,
    "intermediate_size": 40,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "rope_theta": 500.0,
    "initializer_range": 0.3,
}
GPT2 = {
    "n_embd": WIDTH,
    "n_layer": LAYERS,
    "n_head": HEADS,
    "n_positions": LENGTH + 4,
    "n_inner": 40,
    "initializer_range": 0.3,
}
# Of the six angles of a head some turn often in 60 tokens, some in between, some hardly.
STRETCHED = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 60,
}
# By name: transformers' model type, and what its configuration is made with.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", GPT2),
    "gpt2, untied": ("gpt2", {**GPT2, "tie_word_embeddings": False}),
    "llama": ("llama", LLAMA),
    "llama, tied": ("llama", {**LLAMA, "tie_word_embeddings": True, "head_dim": 8}),
    "llama, stretched": ("llama", {**LLAMA, "head_dim": 12, "rope_parameters": STRETCHED}),
    "qwen2": ("qwen2", {**LLAMA, "tie_word_embeddings": True}),
    "qwen3": ("qwen3", {**LLAMA, "head_dim": 10}),
}


def theirs(kind: str, **changes: Any) -> Any:
    """A fresh one of transformers, every parameter redrawn: at its start biases are 0, norms 1."""
    from transformers import AutoConfig, AutoModelForCausalLM

    model_type, values = KINDS[kind]
    said = {"vocab_size": WORDS, "bos_token_id": 0, "eos_token_id": 0, **values, **changes}
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(model_type, **said), attn_implementation="sdpa"
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2 + ("norm" in name or ".ln_" in name))
    return model.eval()


def saved(kind: str, folder: Path, **changes: Any) -> Path:
    theirs(kind, **changes).save_pretrained(folder)
    return folder


def word_level(words: int = WORDS, mask_id: int | None = None) -> Tokenizer:
    """One word an id; the mask is one of them, or a new id at the end."""
    names = ["<eos>", "<unk>", *(f"w{i}" for i in range(words - 2))]
    backend = Backend(models.WordLevel({word: i for i, word in enumerate(names)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    size, mask = (words + 1, words) if mask_id is None else (words, mask_id)
    return Tokenizer(backend, size, bos_id=0, eos_id=0, mask_id=mask)


def taken_over(
    folder: Path, tokenizer: Tokenizer | None = None, *, causal: bool = False, length: int = LENGTH
) -> Adapted:
    """As a run does it."""
    tokenizer = tokenizer or word_level()
    source = causal_lm_at(folder)
    assert source is not None
    shape = Shape(
        **source.shape(),
        cond_width=8,
        length=length,
        vocab_size=tokenizer.vocab_size,
        mask_id=tokenizer.mask_id,
        source=source,
    )
    model = adapted(shape, causal=causal, dropout=0.0)
    model.load_state_dict(load_causal_lm(folder, model, tokenizer), strict=False)
    return model.eval()
