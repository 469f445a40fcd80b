"""A trained network, read back from a run's folder to be evaluated or sampled from."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import ValidationError

from trainer.checkpoints.checkpoint import Checkpoint
from trainer.config.causal_lm import causal_lm_in
from trainer.config.network import network_of, shape_of
from trainer.config.train_config import TrainConfig
from trainer.data.corpus import Corpus, load
from trainer.errors import CheckpointError, DamagedCheckpoint
from trainer.network.hardware import has_bfloat16, pick_device
from trainer.network.model import Denoiser
from trainer.settings.causal_lm import CausalLM
from trainer.settings.compute import ComputeConfig


class Trained(NamedTuple):
    model: Denoiser
    corpus: Corpus
    block_size: int  # of the phase that the checkpoint stands in
    step: int


def open_trained(config: TrainConfig, path: Path, *, raw: bool = False, device: str = "auto") -> Trained:
    """raw: the weights themselves instead of their moving average. Raises CheckpointError."""
    with Checkpoint(path) as file:
        corpus = load(config.data)
        shape = shape_of(config, corpus.tokenizer, source_in(file))
        model = network_of(computed_here(config, device), shape, pick_device(device))
        _put(model, file, raw)
    try:
        block_size = file.facts["config"][f"{file.facts['phase']}.block_size"]
    except (KeyError, TypeError):
        raise CheckpointError(f"{path}: damaged, for it does not say what its run was") from None
    return Trained(model.eval(), corpus, block_size, _step_in(file))


def source_in(file: Checkpoint) -> CausalLM | None:
    """The causal model of transformers that a checkpoint's run went on from, if it did."""
    if (said := file.facts.get("source")) is None:
        return None
    try:
        return causal_lm_in(said)
    except ValidationError:
        raise CheckpointError(
            f"{file.path}: damaged, or of another version: its network is not known"
        ) from None


def computed_here(config: TrainConfig, device: str) -> TrainConfig:
    """In its own precision where the device has it, else in float32; by the backend that is fastest here."""
    kept = config.compute.precision if has_bfloat16(device) else "float32"
    return config.model_copy(update={"compute": ComputeConfig(precision=kept, compile="off", graph="off")})


def load_weights(model: Denoiser, path: Path, step: int) -> None:
    """The moving average, as it was at that step. Raises CheckpointError; DamagedCheckpoint where the file is
    of another step, and so not the one that was written last."""
    with Checkpoint(path) as file:
        if (found := _step_in(file)) != step:
            raise DamagedCheckpoint(f"{path}: it is of step {found}, and the run's best is of step {step}")
        _put(model, file, raw=False)


def holds(path: Path, tensors: Mapping[str, torch.Tensor], step: int) -> bool:
    """Whether it is whole, of that step, and has a network and its average with tensors such as these."""
    try:
        with Checkpoint(path) as file:
            file.load(tensors, ("model.", "ema."))
            return _step_in(file) == step
    except CheckpointError:
        return False


def _step_in(file: Checkpoint) -> int:
    try:
        return int(file.facts["progress"]["step"])
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{file.path}: damaged, for it does not say how far its run had come") from None


def _put(model: Denoiser, file: Checkpoint, raw: bool) -> None:
    prefix = "model." if raw else "ema."
    like = {f"{prefix}{name}": tensor for name, tensor in model.state_dict().items()}
    tensors = file.load(like, (prefix,))
    if strange := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise CheckpointError(
            f"{file.path}: {strange[0]} is not finite ({len(strange)} tensors in all): "
            "its run has diverged, or the file was changed"
        )
    model.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in tensors.items()})
