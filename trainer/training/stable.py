"""A pretrain that goes on from where a shorter one ended: what both have in common is trained once.

That is the stable part: the steps before a decay (lr_schedule wsd), or all of them at a constant rate, under
equal settings and as many steps of warm-up. From there it has the bits that it would have alone. So this
saves work, and nothing depends on it: where the other's checkpoint is not what it should be, a run begins at
its first step.
"""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from trainer.checkpoints.checkpoint import Checkpoint
from trainer.config.train_config import TrainConfig
from trainer.data.base import Split
from trainer.data.corpus import Corpus, identity
from trainer.errors import CheckpointError
from trainer.training.learner import Learner
from trainer.training.part import Progress, progress_in


def way_of(config: TrainConfig) -> dict[str, Any]:
    """What a pretrain's checkpoint says of it: which stable part it is of, and for how many steps."""
    return {"way": config.until(1).stage_key(), "stable_steps": config.pretrain.stable_steps}


def gone_on_from(
    stable: Path, folder: Path, config: TrainConfig, corpus: Corpus, learner: Learner
) -> Progress | None:
    """Puts the other's tensors into the learner, and its rows into the folder. None where it cannot be."""
    path = stable / "last.safetensors"
    try:
        with Checkpoint(path) as file:
            progress = progress_in(path, file.facts)
            if wrong := _lack(file.facts, progress, config, corpus):
                raise CheckpointError(f"{path}: {wrong}")
            tensors = file.load(learner.tensors(), ("model.", "ema.", "optimizer."))
        shutil.copyfile(stable / "rows.jsonl", folder / "rows.jsonl")
    except (CheckpointError, OSError) as error:
        logging.getLogger(__name__).warning(f"{error}; the pretrain is trained from its first step")
        return None
    learner.put(tensors)
    return progress


def _lack(facts: dict[str, Any], progress: Progress, config: TrainConfig, corpus: Corpus) -> str:
    """'' where it is a stable part of this pretrain; else why not."""
    ours = way_of(config)
    if facts.get("way") != ours["way"]:
        return "not a part of this pretrain"
    most = min(facts["stable_steps"], ours["stable_steps"], config.pretrain.steps - 1)
    if not progress.recorded == progress.step <= most:
        return f"at step {progress.step}, which is not in the stable part"
    texts: dict[str, Split] = {"corpus": "train", "valid": "valid"}
    for name, split in texts.items():
        if facts.get(name) != json.loads(json.dumps(identity(corpus, split))):
            return f"of another {split} text"
    return ""
