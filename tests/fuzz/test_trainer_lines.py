"""Seeded command lines of `python -m trainer`, most of them nonsense: each is answered, or refused in words.

Words come from the commands' own parameters and the settings' own names. Of its settings, samples and
checkpoints one in three is damaged. `FUZZ=400 pytest tests/fuzz -s` tries more.
"""

import random
import resource
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from tests.fuzz.test_command_lines import STRANGE, answered, leaves
from tests.fuzz.test_mutations import LARGEST, LONGEST, TRIES, mutated
from tests.trainer.tiny_runs import tiny_config, write_corpus
from trainer.cli.main import app
from trainer.config.names import names_of, train_names
from trainer.sampling.config import SamplingConfig

CODES = {0, 1, 2, 3}  # 1: the run failed; an internal error has it too, and says that it is one
COMMANDS = leaves(typer.main.get_command(app))
SETTINGS = sorted({*train_names().leaves, *names_of(SamplingConfig).leaves, "nonsense", "data", "finetune"})
# What is a path stays below the folder of the test, which may be written to.
WORDS = [each for each in STRANGE if not each.startswith("/") or each == "/dev/null"]
STEPS = {"pretrain.steps": 1, "finetune.steps": 2, "evaluation.sequences": 8, "evaluation.every": 2}


class Made(NamedTuple):
    """What lines name: two runs, a published checkpoint of one, samples of it, settings."""

    folder: Path

    def usual(self, rng: random.Random) -> dict[str, str]:
        """By option or argument: what is given to it as a rule."""
        run = rng.choice(("run", "run", "ar"))
        said = {"folder": run, "samples": "samples.jsonl", "path": "published", "--judge": "ar"}
        said |= {"--config": "settings.yaml", "--device": "cpu", "--out": f"out/{rng.randrange(10**9)}"}
        said |= {"--checkpoint": rng.choice(("best", "last")), "--split": rng.choice(("valid", "test"))}
        return said

    def damaged(self, rng: random.Random) -> None:
        """One file or none, of those that are whole in `folder`/whole."""
        for name in ("run", "samples.jsonl", "settings.yaml", "published"):
            shutil.rmtree(self.folder / name) if (self.folder / name).is_dir() else None
        shutil.copytree(self.folder / "whole", self.folder, dirs_exist_ok=True)
        names = ("samples.jsonl", "settings.yaml", "run/config.json", "run/best.safetensors")
        name = rng.choice((*names, "published/config.json", "published/model.safetensors"))
        if rng.random() < 1 / 3:
            path = self.folder / name
            path.write_bytes(mutated(path.read_bytes(), rng))


def settings_of(corpus: Path, **changes: object) -> list[str]:
    settings = tiny_config(corpus, **changes).to_dotted() | STEPS
    return [f"{key}={'null' if value is None else value}" for key, value in settings.items()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("lines") / "in" / "here"
    whole = folder / "whole"
    whole.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINER_CACHE", str(folder / "cache"))
        corpus = write_corpus(folder)
        said = settings_of(corpus)
        left_to_right = settings_of(
            corpus, objective__name="ar", pretrain__block_size=1, finetune__block_size=1
        )
        for words in (
            ["train", *said, "--out", f"{whole}/run"],
            ["train", *left_to_right, "--out", f"{folder}/ar"],
            ["sample", f"{whole}/run", "--length", "16", "--out", f"{whole}/samples.jsonl"],
            ["export", f"{whole}/run", "--out", f"{whole}/published"],
        ):
            code, out = answered(words, app)
            assert code == 0, out
    (whole / "settings.yaml").write_text("".join(f"{each.replace('=', ': ', 1)}\n" for each in said))
    return Made(folder)


def line(rng: random.Random, made: Made) -> list[str]:
    """A command with a draw of its options; what has no end of its own is given one first."""
    words, command = rng.choice(COMMANDS)
    usual = made.usual(rng)
    said = [*words, *{"sample": ["--length", "16"], "train": ["--config", "settings.yaml"]}.get(words[0], [])]
    for parameter in command.params:
        name = max(parameter.opts, key=len)
        strange = rng.random() < 0.1
        if name == "overrides":
            said += [setting(rng) for _ in range(rng.choice((0, 0, 1, 2)))]
        elif parameter.param_type_name == "argument":
            said += [rng.choice(WORDS) if strange else usual.get(name, rng.choice(SETTINGS))]
        elif name in usual and (parameter.required or rng.random() < 0.7):
            said += [name, rng.choice(WORDS) if strange else usual[name]]
        elif rng.random() < 0.25:
            said += [name] if parameter.is_flag else [name, rng.choice(WORDS)]
    return said


def setting(rng: random.Random) -> str:
    if rng.random() < 0.1:
        return rng.choice(WORDS)
    return f"{rng.choice(SETTINGS)}={rng.choice((*WORDS, 'true', '4', '[1, 2]', 'files', 'cosine', 'ar'))}"


@pytest.mark.long
def test_each_is_answered_or_refused_in_words(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.folder)
    monkeypatch.setenv("TRAINER_CACHE", str(made.folder / "cache"))
    ended: Counter[int] = Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(TRIES):
        rng = random.Random(f"trainer {seed}")
        made.damaged(rng)
        words = line(rng, made)
        began = time.process_time()
        code, said = answered(words, app)
        took = time.process_time() - began
        assert code in CODES, (seed, words, code, said)
        assert code == 0 or said.strip(), (seed, words, code)
        assert "Traceback" not in said, (seed, words, said)
        assert "internal error" not in said, (seed, words, said)
        assert took < LONGEST, (seed, words, took)
        ended[code] += 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < LARGEST
    print(f"{TRIES} lines of the trainer: by exit code {dict(sorted(ended.items()))}")
    assert {0, 1, 2, 3} == ended.keys()
