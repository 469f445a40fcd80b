"""What is said when a published checkpoint is imported goes before what the checkpoint says."""

from pathlib import Path
from typing import Any

import pytest

from tests.trainer.tiny_runs import reports_of, tiny_config, write_corpus
from trainer.checkpoints.exchange import export_run, import_checkpoint
from trainer.config.stored import read_config
from trainer.noise.clips import AutoClip, Clip


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    home = tmp_path_factory.mktemp("published")
    config = tiny_config(write_corpus(home), pretrain__steps=0, finetune__steps=2, finetune__clip__low=0.25)
    reports_of(config, home / "run")
    export_run(home / "run", home / "out")
    corpus = {key: value for key, value in config.to_dotted().items() if key.startswith("data.")}
    return home / "out", {key: corpus[key] for key in ("data.name", "data.train", "data.document")}


@pytest.mark.parametrize(
    ("said", "clip"),
    [
        ({}, Clip(low=0.25, high=1.0)),
        ({"finetune.clip": "auto"}, AutoClip()),
        ({"finetune.clip.name": "auto"}, AutoClip()),
        ({"finetune.clip.low": 0.5}, Clip(low=0.5, high=1.0)),
    ],
)
def test_a_clip_of_ones_own(
    published: tuple[Path, dict[str, Any]], tmp_path: Path, said: dict[str, Any], clip: Clip | AutoClip
) -> None:
    path, corpus = published
    import_checkpoint(path, tmp_path / "run", {**corpus, **said})
    config = read_config(tmp_path / "run")
    assert config.finetune.clip == clip
    assert config.data.length == 16  # the checkpoint's, though data.name is said
