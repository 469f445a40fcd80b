"""The weights that a run starts from in place of random ones: what pretrain.from names."""

from pathlib import Path

import torch

from trainer.checkpoints.causal_lm import load_causal_lm
from trainer.checkpoints.interchange import load_published
from trainer.data.tokenizer import Tokenizer
from trainer.errors import CheckpointError, DamagedCheckpoint
from trainer.network.adapted import Adapted
from trainer.network.model import Denoiser


def starting_weights(path: Path, model: Denoiser, tokenizer: Tokenizer) -> dict[str, torch.Tensor]:
    """All of `model`'s parameters by their names, in float32, on the CPU. Raises CheckpointError."""
    try:
        if isinstance(model, Adapted):
            return load_causal_lm(path, model, tokenizer)
        return load_published(path, model)
    except DamagedCheckpoint as error:  # of a file that is not the run's to replace
        raise CheckpointError(str(error)) from None
