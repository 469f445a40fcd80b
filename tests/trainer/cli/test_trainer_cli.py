"""python -m trainer, as a user types it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from tests.trainer.tiny_runs import reports_of, same_tensors, tiny_config, write_corpus
from trainer.checkpoints import checkpoint
from trainer.checkpoints.trained import open_trained
from trainer.cli.main import app
from trainer.config.stored import read_config
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.sampling.ancestral import Ancestral
from trainer.sampling.generate import sample
from trainer.sampling.union import SAMPLERS, samplers_of
from trainer.values import kind_of

ROOT = Path(__file__).parents[3]
WITH_STEPS = [kind_of(each) for each in SAMPLERS if "steps" in each.model_fields]
OF_BLOCKS = " or ".join(map(kind_of, samplers_of(BlockDiffusion)))


class Ran(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def run(*words: str) -> Ran:
    """In this process, which has torch already. What would be a traceback is raised here."""
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    return Ran(result.exit_code, result.stdout, result.stderr)


def tiny(corpus: Path, **changes: object) -> list[str]:
    changes = {"pretrain.steps": 20, "finetune.steps": 20, **changes}
    config = tiny_config(corpus, **changes).to_dotted()
    return [f"{key}={value if value is not None else 'null'}" for key, value in config.items()]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    folder = tmp_path_factory.mktemp("runs") / "one"
    return folder, run("train", *tiny(corpus), "--out", str(folder))


def test_help_is_quick_and_light() -> None:
    code = (
        "import sys, trainer.cli.main; from typer.testing import CliRunner;"
        "print(CliRunner().invoke(trainer.cli.main.app, ['--help']).exit_code);"
        "print([m for m in ('torch', 'numpy', 'pydantic', 'transformers', 'datasets') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert result.stdout.split("\n")[:2] == ["0", "[]"]


def test_train_prints_floors_rows_and_a_summary(
    trained: tuple[Path, Ran],
) -> None:
    folder, result = trained
    assert result.returncode == 0, result.stderr
    lines = result.stderr.splitlines()
    assert lines[0].startswith("floor: unigram, add-one ")
    assert lines[1].startswith("floor: bigram, add-one ")
    assert lines[2].startswith("floor: bigram, Kneser-Ney ")
    assert lines[3].startswith("floor: trigram, Kneser-Ney ")
    assert [line.split()[:2] for line in lines[4:8]] == [["pretrain", str(step)] for step in (5, 10, 15, 20)]
    assert [line.split()[:2] for line in lines[8:12]] == [
        ["finetune", str(step)] for step in (25, 30, 35, 40)
    ]
    assert result.stdout.splitlines()[0] == f"{folder}: done, step 40"
    summary = dict(line.split() for line in result.stdout.splitlines()[1:])
    assert {"val_nelbo", "val_ppl", "test_ppl", "var_nelbo", "objective"} <= set(summary)
    assert f"{float(summary['unigram_nelbo']):.3f}" == f"{float(lines[0].split()[3]):.3f}"


def test_the_command_line_trains_what_the_function_trains(
    corpus: Path, trained: tuple[Path, Ran], tmp_path: Path
) -> None:
    reports_of(tiny_config(corpus, pretrain__steps=20, finetune__steps=20), tmp_path)
    assert same_tensors(load_file(tmp_path / "last.safetensors"), load_file(trained[0] / "last.safetensors"))


def test_the_same_line_again_says_the_same(corpus: Path, trained: tuple[Path, Ran]) -> None:
    folder, first = trained
    again = run("train", *tiny(corpus), "--out", str(folder))
    assert again.returncode == 0
    assert again.stdout == first.stdout


def test_another_run_in_that_folder_is_refused(corpus: Path, trained: tuple[Path, Ran]) -> None:
    other = run("train", *tiny(corpus), "finetune.lr=0.5", "--out", str(trained[0]))
    assert other.returncode == 3
    assert "finetune.lr is 0.001 there, 0.5 here" in other.stderr


def test_evaluate_and_sample(trained: tuple[Path, Ran]) -> None:
    folder, _ = trained
    best = checkpoint.read_facts(folder / "best.safetensors")["progress"]
    result = run("evaluate", str(folder), "--json")
    document = json.loads(result.stdout)
    assert (document["step"], document["nelbo"]) == (best["best_step"], best["best_nelbo"])
    raw = run(
        "evaluate", str(folder), "evaluation.draws=1", "--checkpoint", "last", "--split", "test", "--raw"
    )
    assert raw.returncode == 0, raw.stderr
    assert "last checkpoint, step 40, test split" in raw.stdout
    drawn = run("sample", str(folder), "--num", "2", "--seed", "3")
    assert drawn.returncode == 0, drawn.stderr
    assert drawn.stdout.count("--- sample") == 2
    assert drawn.stderr.startswith(
        "sample 0: 16 tokens, ended by length, nfe 15 and 0 passes to store, done after 0."
    )
    assert run("sample", str(folder), "--num", "2", "--seed", "3").stdout == drawn.stdout


def drawn(folder: Path, *words: str) -> list[dict[str, Any]]:
    result = run("sample", str(folder), *words, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["samples"]


def test_sample_draws_what_the_function_draws(trained: tuple[Path, Ran]) -> None:
    folder, _ = trained
    config = read_config(folder)
    model, corpus, block_size, _ = open_trained(config, folder / "best.safetensors", device="cpu")
    prompt = corpus.tokenizer.encode_batch(["masked noise"])[0]
    expected = sample(
        model,
        config.objective,
        num=3,
        length=32,
        block_size=block_size,
        bos_id=corpus.tokenizer.bos_id,
        seed=4,
        prompt=prompt,
        sampler=Ancestral(steps=3, nucleus=0.8),
    )
    words = ["sampler.name=ancestral", "sampler.steps=3", "sampler.nucleus=0.8", "--prompt", "masked noise"]
    found = drawn(folder, *words, "--num", "3", "--length", "32", "--seed", "4", "--batch", "2")
    assert [each["tokens"] for each in found] == [each.tokens for each in expected]
    assert [each["nfe"] for each in found] == [each.nfe for each in expected]
    assert all(each["text"].startswith("masked noise") and each["seconds"] > 0 for each in found)
    assert all("masked noise" + "\n\n".join(each["documents"]) == each["text"] for each in found)


def test_what_is_written_is_what_is_printed(trained: tuple[Path, Ran], tmp_path: Path) -> None:
    out = tmp_path / "samples.jsonl"
    result = run("sample", str(trained[0]), "--num", "3", "--out", str(out))
    assert (result.returncode, result.stdout) == (0, f"{out}: 3 samples\n")
    written, printed = (
        [json.loads(line) for line in out.read_text().splitlines()],
        drawn(trained[0], "--num", "3"),
    )
    for each in (*written, *printed):
        assert each.pop("seconds") >= 0
    assert written == printed
    assert [path.name for path in tmp_path.iterdir()] == ["samples.jsonl"]


def test_the_cache_changes_no_token(trained: tuple[Path, Ran]) -> None:
    words = ["--length", "48", "--num", "3", "stopping.after=8", "stopping.entropy=false"]
    kept, reread = drawn(trained[0], *words), drawn(trained[0], *words, "--uncached")
    assert [each["tokens"] for each in kept] == [each["tokens"] for each in reread]
    assert [each["nfe"] for each in kept] == [each["nfe"] for each in reread]
    assert {each["cache_passes"] for each in (*kept, *reread)} == {0}  # a block is stored by the next pass


def test_variable_length_is_turned_on_by_any_rule(trained: tuple[Path, Ran], tmp_path: Path) -> None:
    found = drawn(trained[0], "--num", "4", "stopping.after=20")
    assert {each["stopped_by"] for each in found} == {"eos"}
    assert len({len(each["tokens"]) for each in found}) > 1
    run("sample", str(trained[0]), "--num", "4", "stopping.after=20", "--out", str(tmp_path / "a.jsonl"))
    table = json.loads(run("lengths", str(trained[0]), str(tmp_path / "a.jsonl"), "--json").stdout)["rows"]
    bos, eos = found[0]["tokens"][0], found[0]["tokens"][-1]
    text = [sum(token not in (bos, eos) for token in each["tokens"]) for each in found]
    assert (table["samples"]["min"], table["samples"]["max"]) == (min(text), max(text))
    assert table["samples"]["at_cap"] == 0
    assert 20 <= table["files (train)"]["min"] < table["files (train)"]["median"]
    shown = run("lengths", str(trained[0]), str(tmp_path / "a.jsonl")).stdout.splitlines()
    assert [line.split()[0] for line in shown[2:]] == ["samples", "files"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (
            ["sampler.name=analytic"],
            2,
            f"bd3lm is sampled from by {OF_BLOCKS}, not by analytic",
        ),
        (["sampler.steps=3"], 3, f"sampler.steps: needs sampler.name={' or '.join(WITH_STEPS)}"),
        (["sampler.nucleus=0"], 3, "sampler.nucleus: must be greater than 0, got 0"),
        (["sampler.nucles=0.9"], 3, "sampler.nucles: unknown; did you mean sampler.nucleus?"),
        (["sampler.name=best"], 3, f"sampler.name: 'best' is none of {', '.join(map(kind_of, SAMPLERS))}"),
        (["stopping.min_entropy=-1"], 3, "stopping.min_entropy: must be greater than or equal to 0, got -1"),
        (["--length", "14"], 2, "a sample's length must be a multiple of the block size 4, not 14"),
        (["--length", "4", "--prompt", "mask token noise"], 2, "BOS and the prompt take "),
        (["nonsense"], 2, "nonsense: not of the form key=value"),
    ],
)
def test_a_mistake_of_sampling_is_one_sentence(
    words: list[str], code: int, sentence: str, trained: tuple[Path, Ran], tmp_path: Path
) -> None:
    result = run("sample", str(trained[0]), *words, "--out", str(tmp_path / "samples.jsonl"))
    assert result.returncode == code
    assert result.stderr.startswith(sentence)
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_said_before_anything_is_drawn(trained: tuple[Path, Ran]) -> None:
    result = run("sample", str(trained[0]), "--out", "/nowhere/samples.jsonl")
    assert (result.returncode, result.stderr) == (2, "/nowhere: there is no such folder\n")


@pytest.mark.parametrize("command", ["evaluate", "sample"])
def test_a_checkpoint_that_is_cut_off_or_of_another_model(
    command: str, corpus: Path, trained: tuple[Path, Ran], tmp_path: Path
) -> None:
    best = (trained[0] / "best.safetensors").read_bytes()
    copy = tmp_path / "run"
    shutil.copytree(trained[0], copy)
    (copy / "best.safetensors").write_bytes(best[: len(best) // 2])
    cut = run(command, str(copy))
    assert (cut.returncode, cut.stdout) == (1, "")
    assert cut.stderr.startswith(f"{copy}/best.safetensors: damaged or cut off (")
    other = tiny_config(corpus, model__width=8, pretrain__steps=0, finetune__steps=1, evaluation__test=False)
    reports_of(other, tmp_path / "other")
    shutil.copyfile(tmp_path / "other" / "best.safetensors", copy / "best.safetensors")
    strange = run(command, str(copy))
    assert (strange.returncode, strange.stdout) == (1, "")
    assert ": ema.blocks.0.adaLN_modulation.bias is [48] of float32, this network's is [96]" in strange.stderr
    (copy / "config.json").write_text('{"model_type": "gpt2"}')
    assert "config.json: damaged, or not a run's" in run(command, str(copy)).stderr


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["finetune.shedule.mu=0.4"], 3, "finetune.shedule: unknown; did you mean finetune.schedule?"),
        (["finetune.schedule.mu=0.4"], 3, "finetune.schedule"),
        (["finetune.lr=fast"], 3, "finetune.lr"),
        (["finetune.block_size=7", "data.length=64"], 3, "7 does not divide data.length"),
        (["finetune.steps"], 2, "not of the form key=value"),
        (["data.name=files", "data.train=/nowhere/*.txt"], 3, "/nowhere/*.txt"),
        (["--config", "/nowhere.yaml"], 3, "/nowhere.yaml: No such file or directory"),
        (["--config", str(ROOT / "search_spaces" / "smoke.yaml")], 3, "a sweep, not one run's settings"),
        (["schedule.mu=0.4"], 3, "schedule: unknown; did you mean finetune.schedule?"),
        (["finetune.mu=0.4"], 3, "finetune.mu: unknown; did you mean finetune.schedule.mu?"),
        (
            ["finetune.schedule.name=cosine", "finetune.schedule.mu=0.4"],
            3,
            "finetune.schedule.mu: needs finetune.schedule.name=gaussian",
        ),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], code: int, sentence: str, tmp_path: Path) -> None:
    result = run("train", *words, "--out", str(tmp_path / "run"))
    assert result.returncode == code, result.stderr
    assert sentence in result.stderr


def test_a_yaml_mistake_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("seed: 1\nseed: 2\n")
    result = run("train", "--config", str(tmp_path / "run.yaml"), "--out", str(tmp_path / "run"))
    assert result.returncode == 3
    assert result.stderr.startswith(f"{tmp_path}/run.yaml:2:1: not YAML: found duplicate key")


def test_a_folder_that_cannot_be_made(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert run("train", *tiny(corpus), "--out", str(tmp_path / "file")).returncode == 2
    below = run("train", *tiny(corpus), "--out", str(tmp_path / "file" / "run"))
    assert below.returncode == 1
    assert below.stderr.splitlines()[-1].startswith(f"{tmp_path}/file/run")
    assert below.stderr.splitlines()[-1].endswith(": Not a directory")


def test_every_setting_is_listed_with_what_it_is() -> None:
    lines = run("fields").stdout.splitlines()
    assert len(lines) > 60
    assert any(line.startswith("finetune.schedule.mu = 0.5 (gaussian): ") for line in lines)
    assert any(line.startswith("finetune.schedule.name: one of loglinear, ") for line in lines)
    assert "finetune.steps = 200: Optimizer steps." in lines
    assert f"sampler.steps = 64 ({', '.join(WITH_STEPS)}): T, for each block." in lines
    assert set(run("fields", "finetune.clip").stdout.split("\n")) < {*lines, ""}
    assert run("fields", "nonsense").returncode == 2


def test_a_device_that_is_not_there(corpus: Path, tmp_path: Path) -> None:
    result = run("train", *tiny(corpus), "--device", "abacus", "--out", str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("device abacus: ")


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    result = run("evaluate", str(tmp_path))
    assert result.returncode == 1
    assert "holds no run" in result.stderr
    assert run("evaluate", str(tmp_path / "none")).returncode == 2


def test_a_yaml_file_and_overrides(corpus: Path, tmp_path: Path) -> None:
    lines = "\n".join(f"{key}: {value}" for key, value in (each.split("=", 1) for each in tiny(corpus)))
    (tmp_path / "run.yaml").write_text(lines.replace("finetune.steps: 20", "finetune.steps: 1e1"))
    out = str(tmp_path / "run")
    result = run("train", "--config", str(tmp_path / "run.yaml"), "pretrain.steps=0", "--out", out)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{out}: done, step 10")


def test_ctrl_c_saves_and_the_same_line_goes_on(corpus: Path, tmp_path: Path) -> None:
    line = [*tiny(corpus, finetune__steps=100_000, evaluation__every=100_000), "--out", str(tmp_path / "run")]
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", "train", *line], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    ledger = tmp_path / "run" / "ledger.txt"
    while not ledger.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same line goes on" in errors
    assert "Traceback" not in errors
    saved = checkpoint.read_facts(tmp_path / "run" / "last.safetensors")["progress"]["step"]
    assert ledger.read_text().splitlines()[-1] == f"1 {saved}"
