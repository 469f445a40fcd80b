"""Names of pretrains and hashes of configurations: those of sweeps that were stored before are still found.

They follow from the values alone, on any machine. A change of one is a migration, or a new TRAINER_VERSION.
"""

from pathlib import Path
from typing import Any

import pytest

from trainer.config.train_config import TrainConfig, content_hash

KNOWN: dict[tuple[str, str], dict[str, Any]] = {
    ("4574940a1638bebc", "0ef30ada15e2cc96"): {},
    ("4f14520043714a3c", "2b012e35425f87ee"): {
        "seed": 3,
        "model.size": "tiny",
        "data.length": 128,
        "pretrain.steps": 100,
    },
    ("83761dd5f01bca03", "2c701f84f5d6fb96"): {
        "model": {"size": "small", "dropout": 0.0},
        "optimizer.weight_decay": 0.01,
        "optimizer.ema": 0.999,
    },
    ("df5c9a3785532a21", "7e9a1bf5eef49cfb"): {
        "objective.name": "mdlm",
        "pretrain.schedule.name": "cosine",
        "pretrain.steps": 10,
    },
    ("8acba6c4c3e2cfeb", "c0d2c324d331c830"): {
        "objective.name": "ar",
        "data.length": 32,
        "pretrain.steps": 10,
        "finetune.lr": 3e-4,
    },
    ("105d03479e12d46a", "84969059a7cc60ce"): {
        "objective.name": "sedd",
        "finetune.schedule": {"name": "cosine", "eps": 0.01},
        "finetune.clip.low": 0.1,
    },
    ("ff2bd6ded690c9a7", "17f173d399d8a36e"): {
        "finetune.schedule": {"name": "gaussian", "mu": 0.35, "sigma": 0.2},
        "pretrain.steps": 7,
    },
    ("816bb24099c6bad7", "fa60da59053d073f"): {
        "pretrain.schedule": {"name": "bimodal_gaussian", "w": 0.5},
        "finetune.schedule": {"name": "bimodal_gaussian", "weight": "mixture"},
    },
    ("1aca34e86b9ef997", "cd718efe9b424a01"): {
        "pretrain": {"steps": 50, "schedule.name": "square_root", "clip": {"low": 0.3, "high": 0.8}}
    },
    ("c087fe1bafb8aca2", "5ba11a015c33641a"): {
        "pretrain.masking.name": "frequency",
        "finetune.masking": {"name": "frequency", "strength": 1.0},
    },
    ("03cce6395429ef90", "554dfee49a67ba26"): {
        "pretrain.reweighting": {"name": "fm", "normalize": True},
        "finetune": {"masking.name": "resampled", "clip": {"low": 0.45, "high": 0.95}},
    },
    ("5883b56256d95422", "af281864aaaabe20"): {
        "finetune.clip": "auto",
        "finetune.schedule.name": "logarithmic",
        "pretrain.antithetic": False,
    },
    ("21e7582c9da3d02b", "5a124b5e997895e0"): {
        "pretrain.reweighting.name": "edm",
        "finetune.reweighting": {"name": "sigmoid", "k": -2},
    },
    ("451a2247a0a13bae", "432f85402f7579b7"): {
        "data": {"name": "wikitext", "config": "wikitext-103-raw-v1", "length": 64, "tokenizer": "gpt2"}
    },
    ("ffb904a90b832d59", "cce19d74cf6a3095"): {
        "data": {"name": "files", "train": "/corpora/*.jsonl", "field": "body"},
        "finetune.warmup": 10,
    },
    ("13249787bff63e1f", "5a7572d5b4c72412"): {
        "data": {"name": "synthetic", "order": 2, "words": 20, "entropy": 1.0},
        "evaluation.error": 0.01,
    },
    ("813d20563b426038", "e01dc149d3550a56"): {
        "data": {"name": "lm1b", "max_documents": 1000, "streaming": True},
        "finetune.carry_optimizer": False,
    },
    ("775cba50529e71de", "ac3e88988f71ba7b"): {
        "data": {"name": "openwebtext", "held_out": 100},
        "evaluation.zero_shot": [{"name": "lambada"}, {"name": "ptb", "detokenize": False}],
    },
    ("6ed3ca15456f6dee", "4229d3f7ae7cf2f0"): {
        "samples": {"num": 8, "length": 32, "judge": "gpt2-large", "sampler.steps": 9, "batch_size": 2},
        "samples.sampler.name": "ancestral",
        "pretrain.batch_size": 8,
    },
    ("96486c3b11605152", "c9280d24d9060ad2"): {
        "compute": {"precision": "bfloat16", "attention": "dense"},
        "accumulate": 2,
        "checkpoint.every": 5.0,
    },
}


def keys(config: TrainConfig) -> tuple[str, str]:
    return config.stage_key(), content_hash(config.content())


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known[1])
def test_they_are_what_they_were(known: tuple[str, str]) -> None:
    config = TrainConfig.from_dotted(KNOWN[known])
    assert keys(config) == known
    assert keys(TrainConfig.from_dotted(config.to_dotted())) == known


def test_a_published_checkpoint_counts_by_its_weights_wherever_it_lies(tmp_path: Path) -> None:
    for folder in (tmp_path / "here", tmp_path / "there"):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"the weights")
        assert keys(TrainConfig.from_dotted({"pretrain.from": str(folder)})) == (
            "b490550e80c2fdd3",
            "05700692f439db91",
        )
