"""What a run does: rows, phases, the best checkpoint, the test split, divergence, heartbeats."""

import json
import pickle
import pickletools
import statistics
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.trainer.tiny_runs import (
    reports_of,
    returned,
    same_tensors,
    tiny_config,
    without_seconds,
    write_corpus,
)
from trainer.checkpoints import checkpoint
from trainer.config.train_config import TrainConfig
from trainer.data.corpus import Corpus, load
from trainer.errors import CheckpointError, OtherRun, TrainingError
from trainer.evaluation.floors import unigram_nelbo
from trainer.metrics import BY_NAME
from trainer.randomness import batch_rows, strided_rows
from trainer.training.learner import Learner, Step, learning_rate
from trainer.training.rows import latest_attempt, read_rows
from trainer.training.train import LOCK_PATIENCE, pretrain, train


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def straight(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny run, trained without a pause."""
    folder = tmp_path_factory.mktemp("straight")
    reports_of(tiny_config(corpus), folder)
    return folder


def test_rows_of_a_run(straight: Path) -> None:
    reports = list(read_rows(straight / "rows.jsonl"))
    assert [r.step for r in reports] == [25, 30, 35, 40, 45, 50]
    assert [r.step for r in reports if "val_ppl" in r.values] == [30, 40, 50]
    plain = {"train_loss", "grad_norm", "grad_norm_var", "lr", "tokens", "seconds"}
    assert plain <= set(reports[0].values) <= set(BY_NAME)
    assert reports[0].values["tokens"] == 5 * 4 * 16
    found = {
        "objective",
        "var_nelbo",
        "var_nelbo_loglinear",
        "test_nelbo",
        "test_nelbo_se",
        "test_ppl",
        "test_bpb",
    }
    assert [r.step for r in reports if found <= set(r.values)] == [50]
    assert [e.split for e in reports[-1].evaluations] == ["valid", "test"]
    assert [r.step for r in read_rows(straight / "pretrain" / "rows.jsonl") if r.evaluations] == [20]
    assert not (straight / "pretrain" / "best.safetensors").exists()


def test_the_variance_of_the_gradient_norm(corpus: Path, straight: Path, tmp_path: Path) -> None:
    """Over the steps since the last row: as of rows of one step each, which themselves have none."""
    every = tiny_config(corpus).model_copy(update={"log_every": 1})
    norms = {r.step: r.values["grad_norm"] for r in reports_of(every, tmp_path)}
    for report in read_rows(straight / "rows.jsonl"):
        since = [norms[step] for step in range(report.step - 4, report.step + 1)]
        assert report.values["grad_norm_var"] == pytest.approx(statistics.variance(since), rel=1e-6)
    assert not any("grad_norm_var" in r.values for r in read_rows(tmp_path / "rows.jsonl"))


def test_a_run_says_what_its_schedule_does(straight: Path) -> None:
    """Once, at its end: a row for each bin of the masking rate."""
    reports = list(read_rows(straight / "rows.jsonl"))
    shares = {k: v for k, v in reports[-1].values.items() if k.startswith("bin_share/")}
    assert shares == pytest.approx({f"bin_share/{(i + 0.5) / 10:g}": 0.1 for i in range(10)}, abs=2e-3)
    assert not any(name.startswith("bin_") for r in reports[:-1] for name in r.values)
    assert all(len(name) <= 60 for r in reports for name in r.values)


def test_who_receives_a_report_does_not_need_torch(corpus: Path, tmp_path: Path) -> None:
    """Nothing of torch's is in it, not even its version's own kind of text: a driver would import torch."""
    short = {"pretrain__steps": 0, "finetune__steps": 5, "evaluation__every": 5}
    pickled = pickle.dumps(reports_of(tiny_config(corpus, **short), tmp_path))
    found = {text for _, text, _ in pickletools.genops(pickled) if isinstance(text, str)}
    assert {"val_nelbo", torch.__version__} <= found
    assert not {text for text in found if text.startswith(("torch.", "numpy"))}


AUTO = {"name": "auto", "widths": [0.5], "step": 0.25, "batches": 1}


def test_a_clip_that_is_searched_is_adopted(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the step after the evaluation on; with adopt: false it is said, and nothing else changes."""
    seen: list[tuple[float, float]] = []
    plain = Learner.take_step

    def take_step(self: Learner, step: Step) -> tuple[float, float]:
        seen.append((step.phase.clip.low, step.phase.clip.high))
        return plain(self, step)

    monkeypatch.setattr(Learner, "take_step", take_step)
    short = {"pretrain__steps": 0, "finetune__steps": 10, "evaluation__every": 5}
    adopting = reports_of(tiny_config(corpus, finetune__clip=AUTO, **short), tmp_path / "adopting")
    found = [(r.values["clip_low"], r.values["clip_high"]) for r in adopting if r.evaluations]
    assert found[0] != (0, 1)
    assert seen == [(0, 1)] * 5 + [found[0]] * 5
    facts = checkpoint.read_facts(tmp_path / "adopting" / "last.safetensors")
    assert tuple(facts["progress"]["clip"]) == found[1]

    seen.clear()
    telling = tiny_config(corpus, finetune__clip={**AUTO, "adopt": False, "low": 0.1}, **short)
    reports = reports_of(telling, tmp_path / "telling")
    assert seen == [(0.1, 1)] * 10
    fixed = reports_of(tiny_config(corpus, finetune__clip__low=0.1, **short), tmp_path / "fixed")
    searched = [
        r._replace(values={k: v for k, v in r.values.items() if not k.startswith("clip_")}) for r in reports
    ]
    assert {"clip_low", "clip_high", "clip_var/0-1", "clip_var/0.25-0.75"} <= set(reports[-1].values)
    assert without_seconds(searched) == without_seconds(fixed)
    assert same_tensors(
        load_file(tmp_path / "telling/last.safetensors"), load_file(tmp_path / "fixed/last.safetensors")
    )


def test_the_best_is_the_lowest_of_the_evaluations(straight: Path) -> None:
    evaluations = [e for r in read_rows(straight / "rows.jsonl") for e in r.evaluations if e.split == "valid"]
    best = min(evaluations, key=lambda e: e.nelbo)
    progress = checkpoint.read_facts(straight / "best.safetensors")["progress"]
    assert (progress["step"], progress["best_nelbo"]) == (best.step, best.nelbo)


def test_test_is_of_the_best_checkpoint(corpus: Path, tmp_path: Path) -> None:
    """At a learning rate that harms, the best stands early; its own weights give the test number."""
    config = tiny_config(
        corpus, pretrain__lr=0.02, finetune__lr=0.2, finetune__warmup=0, optimizer__ema=0, evaluation__every=5
    )
    last = reports_of(config, tmp_path)[-1]
    best = checkpoint.read_facts(tmp_path / "best.safetensors")["progress"]["step"]
    assert best < 50
    tested = last.evaluations[1]
    assert tested.step == best

    from trainer.checkpoints.trained import open_trained
    from trainer.evaluation.bound import evaluate

    for name, equal in (("best", True), ("last", False)):
        trained = open_trained(config, tmp_path / f"{name}.safetensors", device="cpu")
        running = evaluate(
            trained.model, config.objective, 4, "test", trained.corpus, config.evaluation, trained.step
        )
        assert (returned(running).nats_D == tested.nats_D) is equal


def test_a_shared_pretrain_equals_an_unshared_one(corpus: Path, straight: Path, tmp_path: Path) -> None:
    config = tiny_config(corpus)
    sibling = tiny_config(corpus, finetune__steps=3, finetune__block_size=8, evaluation__sequences=8)
    for _ in pretrain(sibling, tmp_path / "stage", device="cpu"):
        pass
    reports_of(sibling, tmp_path / "sibling", pretrained=tmp_path / "stage")
    reports = reports_of(config, tmp_path / "run", pretrained=tmp_path / "stage")
    assert same_tensors(
        load_file(tmp_path / "run/last.safetensors"), load_file(straight / "last.safetensors")
    )
    assert without_seconds(reports) == without_seconds(list(read_rows(straight / "rows.jsonl")))


def test_fresh_moments_by_option(corpus: Path, straight: Path, tmp_path: Path) -> None:
    fresh = tiny_config(corpus, finetune__carry_optimizer=False, finetune__steps=1)
    reports_of(fresh, tmp_path, pretrained=straight / "pretrain")
    steps = {k: v.item() for k, v in load_file(tmp_path / "last.safetensors").items() if k.endswith(".step")}
    assert set(steps.values()) == {1.0}
    carried = load_file(straight / "last.safetensors")
    assert {v.item() for k, v in carried.items() if k.endswith(".step")} == {50.0}


def test_only_the_pretrain_of_this_run_is_branched_from(corpus: Path, straight: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not the pretrain of this run"):
        reports_of(tiny_config(corpus, seed=1), tmp_path / "a", pretrained=straight / "pretrain")
    with pytest.raises(CheckpointError, match="not the pretrain of this run"):
        reports_of(tiny_config(corpus), tmp_path / "b", pretrained=straight)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        reports_of(tiny_config(corpus), tmp_path / "c", pretrained=tmp_path / "nothing")
    running = pretrain(tiny_config(corpus, checkpoint__every=1e-6), tmp_path / "half", device="cpu")
    next(r for r in running if r is not None)
    running.close()
    with pytest.raises(CheckpointError, match=r"stands at step \d+ of 20"):
        reports_of(tiny_config(corpus), tmp_path / "d", pretrained=tmp_path / "half")


def test_another_run_in_the_same_folder_is_refused_in_words(corpus: Path, straight: Path) -> None:
    other = tiny_config(corpus, finetune__schedule__name="gaussian", seed=3)
    with pytest.raises(OtherRun, match=r"finetune\.schedule\.mu is 'not there' there, 0\.5 here") as error:
        reports_of(other, straight)
    assert "seed is 0 there, 3 here" in str(error.value)
    # What cannot move a result may change.
    assert len(reports_of(tiny_config(corpus, checkpoint__every=3.0), straight)) == 6


def test_the_test_split_is_opened_only_at_the_end(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps_trained = []

    def test(self: Corpus) -> None:
        steps_trained.append(len((tmp_path / "ledger.txt").read_text().splitlines()))
        raise PermissionError("the test split")

    monkeypatch.setattr(Corpus, "test", test)
    with pytest.raises(PermissionError):
        reports_of(tiny_config(corpus), tmp_path)
    assert steps_trained == [30]
    assert [r.step for r in read_rows(tmp_path / "rows.jsonl")] == [25, 30, 35, 40, 45]

    reports_of(tiny_config(corpus, evaluation__test=False), tmp_path / "without")
    assert steps_trained == [30]


def test_a_finished_folder_only_says_its_rows_again(corpus: Path, straight: Path) -> None:
    before = {path.name: path.read_bytes() for path in straight.glob("*.*")}
    reports = reports_of(tiny_config(corpus), straight)
    assert reports == list(read_rows(straight / "rows.jsonl"))
    assert [r.step for r in reports_of(tiny_config(corpus), straight, acknowledged=40)] == [45, 50]
    assert {path.name: path.read_bytes() for path in straight.glob("*.*")} == before


def test_without_a_pretrain(corpus: Path, tmp_path: Path) -> None:
    reports = reports_of(tiny_config(corpus, pretrain__steps=0, finetune__steps=10), tmp_path)
    assert [r.step for r in reports] == [5, 10]
    assert not (tmp_path / "pretrain").exists()


def test_divergence_is_a_sentence_and_keeps_the_last_checkpoint(corpus: Path, tmp_path: Path) -> None:
    config = tiny_config(corpus, finetune__lr=1e30, finetune__warmup=0)
    with pytest.raises(
        TrainingError, match=r"diverged at step 2\d: loss .*, gradient norm .*, learning rate 1e\+30"
    ):
        reports_of(config, tmp_path)
    assert not (tmp_path / "last.safetensors").exists()
    assert len(load_file(tmp_path / "pretrain" / "last.safetensors"))


def test_a_report_comes_after_its_checkpoint(corpus: Path, tmp_path: Path) -> None:
    for report in train(tiny_config(corpus, pretrain__steps=0), tmp_path, device="cpu"):
        if report is not None:
            facts = checkpoint.read_facts(tmp_path / "last.safetensors")
            rows = (tmp_path / "rows.jsonl").read_bytes()[: facts["progress"]["rows_bytes"]]
            assert report.step in [json.loads(line)["step"] for line in rows.splitlines()]
            assert facts["progress"]["step"] >= report.step


def test_heartbeats(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a beat due at once, every step, every batch of an evaluation and the preparation have one."""
    monkeypatch.setattr("trainer.training.train.HEARTBEAT", 0.0)
    config = tiny_config(corpus, pretrain__steps=0, finetune__steps=10, evaluation__batch_size=2)
    beats = sum(event is None for event in train(config, tmp_path / "every", device="cpu"))
    assert beats >= 10 + 2 * 16 // 2

    monkeypatch.setattr("trainer.training.train.HEARTBEAT", 0.05)
    reports_at, gaps, last = 0, [], None
    for event in train(tiny_config(corpus, data__vocab_size=301), tmp_path / "paced", device="cpu"):
        now = time.monotonic()
        reports_at += event is not None
        gaps += [now - last] if last else []
        last = now
    assert reports_at == 6
    assert sorted(gaps)[len(gaps) // 2] < 0.5


def test_two_processes_do_not_train_in_one_folder(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LOCK_PATIENCE >= 30
    monkeypatch.setattr("trainer.training.train.LOCK_PATIENCE", 0.3)
    monkeypatch.setattr("trainer.training.train.HEARTBEAT", 0.0)
    first = train(tiny_config(corpus, pretrain__steps=0), tmp_path, device="cpu")
    next(event for event in first if (tmp_path / "lock").exists())
    next(first)
    with pytest.raises(TrainingError, match="another process is training here"):
        reports_of(tiny_config(corpus, pretrain__steps=0), tmp_path)
    first.close()
    assert len(reports_of(tiny_config(corpus, pretrain__steps=0), tmp_path)) == 6


def test_a_stale_attempt_is_refused(corpus: Path, tmp_path: Path) -> None:
    config = tiny_config(corpus, pretrain__steps=0, finetune__steps=2)
    reports_of(config, tmp_path, attempt=2)
    with pytest.raises(TrainingError, match="attempt 2 has been here, 1 is too late"):
        reports_of(config, tmp_path, attempt=1)
    (tmp_path / "last.safetensors").unlink()  # as `keep` does: the ledger knows it still
    with pytest.raises(TrainingError, match="attempt 2 has been here, 1 is too late"):
        reports_of(config, tmp_path, attempt=1)
    assert [report.step for report in reports_of(config, tmp_path, attempt=3)] == [2]


@pytest.mark.parametrize(
    ("ledger", "latest"),
    [(b"", 0), (b"1 1\n1 2\n", 1), (b"1 1\n12 2\n" * 9, 12), (b"3 1\n4", 3), (b"\0\xff 1\nx y\n", 0)],
)
def test_the_latest_attempt_of_a_ledger(ledger: bytes, latest: int, tmp_path: Path) -> None:
    (tmp_path / "ledger.txt").write_bytes(ledger)
    assert latest_attempt(tmp_path / "ledger.txt") == latest
    assert latest_attempt(tmp_path / "none") == 0


def test_warm_up_is_linear_then_constant(corpus: Path) -> None:
    phase = tiny_config(corpus, finetune__steps=40, finetune__warmup=0.1, finetune__lr=2.0).finetune
    assert [learning_rate(phase, k) for k in (1, 2, 4, 5, 40)] == [0.5, 1.0, 2.0, 2.0, 2.0]


def test_each_epoch_reads_every_sequence_once() -> None:
    rows = [int(r) for step in range(1, 11) for r in batch_rows(0, "finetune", step, 7, 10)]
    epochs = [rows[i : i + 10] for i in range(0, 70, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 7
    assert list(batch_rows(0, "finetune", 3, 7, 10)) == rows[14:21]
    assert list(batch_rows(1, "finetune", 3, 7, 10)) != rows[14:21]
    assert list(batch_rows(0, "pretrain", 3, 7, 10)) != rows[14:21]


def test_evaluation_rows_are_spread_evenly() -> None:
    rows = strided_rows(0, 16, 100)
    assert len(set(rows.tolist())) == 16
    assert rows.min() >= 0
    assert rows.max() < 100
    assert set((rows[1:] - rows[:-1]).tolist()) <= {6, 7}
    assert strided_rows(0, 16, 5).tolist() == [0, 1, 2, 3, 4]
    assert strided_rows(1, 16, 1000).tolist() != strided_rows(0, 16, 1000).tolist()


def test_the_average_follows_the_weights(corpus: Path, tmp_path: Path) -> None:
    """By hand: decay min(0.99, (1 + n) / (10 + n)) over the two steps of a run."""
    config = tiny_config(corpus, pretrain__steps=0, finetune__steps=2, checkpoint__every=1e-6)
    seen = []
    for event in train(config.model_copy(update={"log_every": 1}), tmp_path, device="cpu"):
        if event is not None:
            seen.append(load_file(tmp_path / "last.safetensors"))
    name = "vocab_embed.embedding"
    expected = torch.lerp(seen[0][f"ema.{name}"], seen[1][f"model.{name}"], 1 - 3 / 12)
    torch.testing.assert_close(seen[1][f"ema.{name}"], expected)


@pytest.mark.long
def test_learning(tmp_path: Path) -> None:
    """nano on the built-in corpus comes below the unigram model of the same tokens."""
    config = TrainConfig.from_dotted(
        {
            "pretrain.steps": 1200,
            "finetune.steps": 100,
            "evaluation.test": False,
            "evaluation.variance_batches": 0,
        }
    )
    last = reports_of(config, tmp_path)[-1]
    corpus = load(config.data)
    train_SL, valid_SL = corpus.train.tokens_SL, corpus.valid.tokens_SL
    scored_SL = valid_SL[strided_rows(0, config.evaluation.sequences, len(valid_SL))]
    floor = unigram_nelbo(train_SL, scored_SL, corpus.tokenizer.vocab_size)
    assert last.values["val_nelbo"] + 2 * last.values["val_nelbo_se"] < floor
