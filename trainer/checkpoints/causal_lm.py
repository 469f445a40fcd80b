"""Weights of a causal language model of transformers, as a denoiser takes them over, and gives them back.

A folder as transformers saves it: config.json, model.safetensors or several files with an index, and where it
has one the tokenizer. Weights pass unchanged, widened to float32. The vocabulary is the run's: words keep
their rows; the mask's row, in the embedding and in an untied head, is the mean of the words', but where the
file says that it was trained, as one that was given back does; rows behind the last word, which pad a
vocabulary to a round number, are left out.
Shapes: W rows in the file, V vocabulary with the mask, D width.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from trainer.checkpoints.interchange import tokenizer_config, write_json
from trainer.checkpoints.published_weights import PublishedWeights
from trainer.config.published import WEIGHTS, weights_file
from trainer.data.tokenizer import Tokenizer
from trainer.errors import CheckpointError
from trainer.network.adapted import Adapted
from trainer.settings.causal_lm import CausalLM

PREFIXES = ("model.", "transformer.")  # before a bare name: Llama's and its like, GPT-2's
BUFFERS = (".attn.bias", ".attn.masked_bias", "rotary_emb.inv_freq")  # old files hold them: made anew here
HEAD = "lm_head.weight"
MASK = "trained_mask"  # in the file's metadata: the id of the mask, whose rows are not the words' mean
PADDING = 127  # rows behind the last word: to a multiple of 128, or in a large vocabulary a hundredth


def load_causal_lm(path: Path, model: Adapted, tokenizer: Tokenizer) -> dict[str, torch.Tensor]:
    """All of `model`'s parameters by their names, in float32, on the CPU. tokenizer: the run's.

    Raises CheckpointError, which names the first mismatch.
    """
    source = model.shape.source
    assert source is not None, "an adapted network has a source"
    weights = weights_file(path)
    _check_words(weights, source, tokenizer)
    parameters = dict(model.named_parameters())
    with PublishedWeights(weights) as file:
        stored = {bare(name): name for name in file.entries if not name.endswith(BUFFERS)}
        _check_head(file, stored, source, model)
        for name, parameter in parameters.items():
            if name not in stored:
                raise CheckpointError(f"{weights}: {name} is missing; its first name is {min(file.entries)}")
            rows = [source.vocab_size] if name in model.vocabulary else list(parameter.shape[:1])
            found, wanted = file.entries[stored[name]].shape, [*rows, *parameter.shape[1:]]
            if found != wanted:
                raise CheckpointError(f"{weights}: {name} is {found}, by config.json it is {wanted}")
        if strange := sorted(stored.keys() - parameters.keys() - {HEAD}):
            raise CheckpointError(f"{weights}: {strange[0]} is not part of a {source.model_type} network")
        tensors = {name: file.tensor(stored[name]) for name in parameters}
        mask_is_trained = file.metadata.get(MASK) == str(tokenizer.mask_id)
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise CheckpointError(f"{weights}: {name} holds {str(tensor.dtype).removeprefix('torch.')}")
        if not tensor.isfinite().all():
            raise CheckpointError(f"{weights}: {name} is not finite")
    if mask_is_trained:
        return {name: tensor.float() for name, tensor in tensors.items()}
    return {
        name: with_mask(tensor.float(), tokenizer) if name in model.vocabulary else tensor.float()
        for name, tensor in tensors.items()
    }


def save_causal_lm(folder: Path, model: Adapted, tokenizer: Tokenizer, length: int) -> None:
    """Writes model.safetensors, config.json and the tokenizer's files into a folder that is there, as
    transformers has them: a causal model with one word more, the mask, whose row of the head is not asked.

    length: tokens of a text, as trained.
    """
    source = model.shape.source
    assert source is not None, "an adapted network has a source"
    tensors = {
        name if name == HEAD else f"{source.prefix}{name}": parameter.detach().contiguous()
        for name, parameter in model.named_parameters()
    }
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt", MASK: str(tokenizer.mask_id)})
    said = {
        **source.model_dump(mode="json", exclude_none=True),
        "architectures": [source.architecture],
        "torch_dtype": "float32",
        "vocab_size": tokenizer.vocab_size,
        **{f"{kind}_token_id": getattr(tokenizer, f"{kind}_id") for kind in ("bos", "eos", "mask")},
    }
    write_json(folder / "config.json", said)
    tokenizer.save(folder)
    write_json(folder / "tokenizer_config.json", tokenizer_config(tokenizer, length))


def with_mask(rows_WD: torch.Tensor, tokenizer: Tokenizer) -> torch.Tensor:
    """rows_VD: the words' as they are, the mask's their mean."""
    word_V = torch.arange(tokenizer.vocab_size) != tokenizer.mask_id
    rows_VD = rows_WD.new_empty(tokenizer.vocab_size, rows_WD.shape[1])
    rows_VD[word_V] = rows_WD[: tokenizer.vocab_size][word_V[: len(rows_WD)]]
    rows_VD[tokenizer.mask_id] = rows_VD[word_V].mean(dim=0)
    return rows_VD


def bare(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _check_head(file: PublishedWeights, stored: Mapping[str, str], source: CausalLM, model: Adapted) -> None:
    """A tied head is the embedding, and an untied one is there."""
    if HEAD not in stored:
        if not source.tie_word_embeddings:
            raise CheckpointError(
                f"{file.path}: {HEAD} is missing, and by config.json the head is not tied to the embedding"
            )
        return
    (embedding,) = (name for name in model.vocabulary if name != HEAD)
    if source.tie_word_embeddings and embedding in stored:
        head, words = (file.tensor(stored[name]) for name in (HEAD, embedding))
        if not torch.equal(head, words):
            raise CheckpointError(
                f"{file.path}: by config.json its head is tied to the embedding, but {HEAD} is another"
            )


def _check_words(weights: Path, source: CausalLM, tokenizer: Tokenizer) -> None:
    """Every word of the tokenizer has a row, and few rows have no word; where its own tokenizer lies beside
    the weights, words have the same ids."""
    words = tokenizer.vocab_size - (tokenizer.mask_id == tokenizer.vocab_size - 1)
    spare = source.vocab_size - words
    if not 0 <= spare <= max(PADDING, source.vocab_size // 100):
        raise CheckpointError(
            f"{weights}: its vocabulary has {source.vocab_size:,} rows, the tokenizer {words:,} words: set "
            "data.tokenizer to the one it was trained with"
        )
    own = weights.with_name("tokenizer.json")
    if not own.is_file():
        return
    ids = _words_in(own)
    ours = tokenizer.backend.get_vocab(with_added_tokens=True)
    if wrong := sorted(word for word, i in ours.items() if ids.get(word) != i):
        raise CheckpointError(
            f"{own}: has {wrong[0]!r} in another place, or not at all: set data.tokenizer to {own.parent}"
        )


def _words_in(path: Path) -> dict[str, int]:
    from tokenizers import Tokenizer as Backend

    try:
        return Backend.from_file(str(path)).get_vocab(with_added_tokens=True)
    except Exception as error:  # the library has no kind of its own
        raise CheckpointError(f"{path}: damaged ({error})") from None
