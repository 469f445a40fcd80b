"""One phase of a run in its folder: what is trained, what it is trained on, its files. B batch, L length."""

import copy
import json
import math
import time
from collections.abc import Callable, Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainer.checkpoints import checkpoint
from trainer.checkpoints.starting import starting_weights
from trainer.checkpoints.trained import holds, load_weights
from trainer.config.network import shape_of
from trainer.config.train_config import TrainConfig
from trainer.data.base import Split
from trainer.data.corpus import identity, load
from trainer.data.counts import token_counts
from trainer.errors import (
    CheckpointError,
    DamagedBranch,
    DamagedCheckpoint,
    MissingCheckpoint,
    StaleAttempt,
    TrainingError,
)
from trainer.evaluation.bins import bins
from trainer.evaluation.bins import rows as bin_rows
from trainer.evaluation.bound import evaluate
from trainer.evaluation.clip_search import clip_search
from trainer.evaluation.floors import floors
from trainer.evaluation.record import Evaluation, Report
from trainer.evaluation.variance import variance
from trainer.heartbeat import meanwhile
from trainer.network.hardware import Memory, pick_device
from trainer.network.model import Denoiser
from trainer.noise.clips import AutoClip, Clip
from trainer.randomness import batch_rows, seed_of
from trainer.settings.phase import Phase
from trainer.training.learner import Learner, Step, learning_rate, progress_of
from trainer.training.part import Part, Progress, progress_in
from trainer.training.rows import Ledger, Rows, latest_attempt
from trainer.training.run_end import generated, in_blocks, last_on_test, zero_shot
from trainer.training.stable import gone_on_from, way_of
from trainer.training.together import steps


class Run:
    """A phase at some step: what is trained, what it is trained on, and its files."""

    def __init__(
        self, part: Part, config: TrainConfig, folder: Path, branch: Path | None, attempt: int, device: str
    ):
        self.part, self.config, self.folder, self.attempt = part, config, folder, attempt
        self.corpus = corpus = load(config.data)
        words = corpus.tokenizer.vocab_size
        self.masking = part.phase.masking.counted(lambda: token_counts(corpus.train.tokens_SL, words))
        self._memory = Memory(pick_device(device))
        shape = shape_of(config, corpus.tokenizer, config.source())
        self.learner = Learner(config.within(part.phase), shape, pick_device(device))
        self.progress = Progress(part.before, part.before)
        self._refuse(latest_attempt(folder / "ledger.txt"))  # `keep` may have deleted what it saved
        if (folder / "last.safetensors").exists():
            self._resume()
        elif branch is not None and part.ends_run:
            self._branch(branch)
        elif branch is not None and (
            stood := gone_on_from(branch, folder, config, self.corpus, self.learner)
        ):
            self.progress = stood
        elif config.pretrain.from_ is not None:
            self._start_from(Path(config.pretrain.from_))
        self.rows = Rows(folder / "rows.jsonl", self.progress.rows_bytes)
        self.ledger = Ledger(folder / "ledger.txt", attempt)
        self.steps = steps()

    @property
    def ended(self) -> bool:
        return self.progress.recorded == self.part.last

    @property
    def phase(self) -> Phase:
        """The part's, with the interval of time in force, and what the masking needs of it and the corpus."""
        configured = self.part.phase.clip
        low, high = self.progress.clip or (configured.low, configured.high)
        clip = Clip(low=low, high=high)
        return self.part.phase.model_copy(update={"clip": clip, "masking": self.masking.within(clip)})

    def take_step(self) -> None:
        began = time.monotonic()
        part, progress, tokens_SL = self.part, self.progress, self.corpus.train.tokens_SL
        step = progress.step + 1 - part.before
        rows_B = batch_rows(self.config.seed, part.name, step, part.phase.batch_size, len(tokens_SL))
        x0_BL = torch.from_numpy(np.asarray(tokens_SL[rows_B], np.int64))
        phase = self.phase.at_size(seed_of(self.config.seed, part.name), step)
        loss, norm = self.steps.take(self.learner, Step(x0_BL, phase, part.name, progress.step + 1, step))
        progress.step += 1
        progress.loss_sum += loss
        progress.norm_sum += norm
        progress.norm_square_sum += norm**2
        progress.steps_since_row += 1
        progress.seconds += time.monotonic() - began
        self.ledger.write(progress.step)

    def measure(self) -> Generator[None, None, Report | None]:
        """The row that is due at this step, if any. Leaves no trace in the run: it can be asked again."""
        part, progress, config = self.part, self.progress, self.config
        step, ends = progress.step - part.before, progress.step == part.last
        evaluates = ends or step % part.evaluate_every == 0
        if not evaluates and step % config.log_every:
            return None
        values = {
            "train_loss": progress.loss_sum / progress.steps_since_row,
            "grad_norm": progress.norm_sum / progress.steps_since_row,
            "lr": learning_rate(part.phase, step),
            "tokens": float(step * part.phase.batch_size * config.data.length),
            "seconds": progress.seconds,
        }
        if progress.steps_since_row > 1:
            values["grad_norm_var"] = progress.norm_variance
        evaluations: list[Evaluation] = []
        if evaluates:
            evaluations.append((yield from self._evaluate("valid", self.learner.average, progress.step)))
            values["peak_memory"] = self._memory.peak_mb()
            values.update((yield from self._search_clip(step)))
        if ends and part.ends_run:
            trained = (self.learner.average, config.objective, self.phase, self.corpus, config.evaluation)
            values.update((yield from variance(*trained)))
            values.update(bin_rows((yield from bins(*trained))))
            yield from meanwhile(lambda: values.update(floors(self.corpus, config.evaluation)), "floors")
            best, best_step = self._best(evaluations[0])
            ranks = config.evaluation.rank_error is not None
            if ranks:
                evaluations.append((yield from self._ranked(evaluations[0], best, best_step)))
            if config.evaluation.test:  # the only reader of the test split
                evaluations.append((yield from self._evaluate("test", best, best_step, ranks=ranks)))
            evaluations += yield from last_on_test(self.learner.average, config, self.corpus, progress.step)
            evaluations += yield from in_blocks(best, config, self.corpus, best_step)
            values.update((yield from zero_shot(best, config, self.corpus, config.scoring, best_step)))
            values.update((yield from generated(best, config, self.corpus, self.folder)))
        for evaluation in evaluations:
            values.update(evaluation.metrics())
        return Report(progress.step, values, tuple(evaluations))

    def record(self, report: Report | None) -> None:
        progress = self.progress
        progress.recorded = progress.step
        if report is None:
            return
        self.rows.append(report)
        progress.loss_sum = progress.norm_sum = progress.norm_square_sum = 0.0
        progress.steps_since_row = 0
        clip = self.part.phase.clip
        if isinstance(clip, AutoClip) and clip.adopt and "clip_low" in report.values:
            progress.clip = [report.values["clip_low"], report.values["clip_high"]]
        if self.part.ends_run and report.evaluations and report.evaluations[0].nelbo < progress.best_nelbo:
            progress.best_nelbo, progress.best_step = report.evaluations[0].nelbo, progress.step

    def save(self) -> Callable[[], None]:
        """Takes down what this step is, and returns what writes it: at once, or beside the steps to come.

        The rows first, then the checkpoint that vouches for them, then the best, which is a part of it.
        """
        self.progress.rows_bytes = self.rows.flush()
        facts, is_best = self._facts(), self.progress.best_step == self.progress.step
        tensors = {name: each.detach().to("cpu", copy=True) for name, each in self.learner.tensors().items()}
        weights = {name: tensors[name] for name in self.learner.weights()}

        def write() -> None:
            self.rows.sync()
            checkpoint.save(self.folder / "last.safetensors", tensors, facts)
            if is_best:
                checkpoint.save(self.folder / "best.safetensors", weights, facts)

        return write

    def _facts(self) -> dict[str, Any]:
        source = self.learner.model.shape.source
        return {
            "phase": self.part.name,
            "attempt": self.attempt,
            "config": self.config.to_dotted(),
            "stage_key": self.config.stage_key(),
            **({} if self.part.ends_run else way_of(self.config)),
            "corpus": identity(self.corpus, "train"),
            "valid": identity(self.corpus, "valid"),
            "progress": asdict(self.progress),
            **({"source": source.model_dump(mode="json")} if source else {}),
        }

    def _refuse(self, later: int) -> None:
        if later > self.attempt:
            said = f"{self.folder}: attempt {later} has been here, {self.attempt} is too late"
            raise StaleAttempt(said, later)

    def _resume(self) -> None:
        path = self.folder / "last.safetensors"
        with checkpoint.Checkpoint(path) as file:
            facts = file.facts
            self._refuse(facts.get("attempt", 0))
            self._check_corpus(path, facts)
            self._check_valid(path, facts)
            self.learner.put(file.load(self.learner.tensors(), ("model.", "ema.", "optimizer.")))
        self.progress = progress_in(path, facts)
        best, step, weights = self.folder / "best.safetensors", self.progress.step, self.learner.weights()
        if self.progress.best_step == step and not holds(best, weights, step):
            # Killed between the two files, or the best is damaged: what is in it, the last one has as well.
            checkpoint.save(best, weights, self._facts())

    def _branch(self, stage: Path) -> None:
        path = stage / "last.safetensors"
        parts = ("model.", "ema.", *(("optimizer.",) if self.config.finetune.carry_optimizer else ()))
        try:
            with checkpoint.Checkpoint(path) as file:
                self._check_stage(path, file.facts)
                self.learner.put(file.load(self.learner.tensors(), parts))
        except (MissingCheckpoint, DamagedCheckpoint) as error:
            raise DamagedBranch(str(error)) from None

    def _check_stage(self, path: Path, facts: dict[str, Any]) -> None:
        progress = progress_in(path, facts)
        if facts.get("phase") != "pretrain" or facts.get("stage_key") != self.config.stage_key():
            raise CheckpointError(f"{path}: not the pretrain of this run")
        if progress.recorded != self.part.before:
            raise DamagedBranch(f"{path}: this pretrain stands at step {progress.step} of {self.part.before}")
        self._check_corpus(path, facts)

    def _start_from(self, published: Path) -> None:
        """Its weights are their own moving average; AdamW's moments start at zero."""
        weights = starting_weights(published, self.learner.model, self.corpus.tokenizer)
        self.learner.put({f"{part}.{name}": w for part in ("model", "ema") for name, w in weights.items()})

    def _check_corpus(self, path: Path, facts: dict[str, Any]) -> None:
        if facts.get("corpus") != json.loads(json.dumps(identity(self.corpus, "train"))):
            raise CheckpointError(f"{path}: was trained on other data than {self.config.data.name} is now")

    def _check_valid(self, path: Path, facts: dict[str, Any]) -> None:
        """One curve is of one text. A checkpoint of before this was kept is taken as it is."""
        if facts.get("valid", now := json.loads(json.dumps(identity(self.corpus, "valid")))) != now:
            raise CheckpointError(
                f"{path}: was evaluated on another valid split than {self.config.data.name} has now: "
                "its curve would be of two texts; put the text back, or begin another run"
            )

    def _evaluate(
        self, split: Split, model: Denoiser, step: int, *, ranks: bool = False
    ) -> Generator[None, None, Evaluation]:
        file = "ranked" if ranks and split == "valid" else split
        evaluation = yield from evaluate(
            model,
            self.config.objective,
            self.part.phase.block_size,
            split,
            self.corpus,
            self.config.scoring,
            step,
            keep=self.folder / f"evaluation-{file}.safetensors",
            ranks=ranks,
        )
        if not math.isfinite(evaluation.nelbo):
            raise TrainingError(
                f"diverged: at step {self.progress.step} the bound is {evaluation.nelbo:.4g} nats per token"
            )
        return evaluation

    def _ranked(self, look: Evaluation, best: Denoiser, step: int) -> Generator[None, None, Evaluation]:
        """Of the best checkpoint. Where nothing is left to masks, a look at it has said it already."""
        if look.step == step and look.provenance["bound"] != "sampled":
            return look._replace(ranks=True)
        return (yield from self._evaluate("valid", best, step, ranks=True))

    def _search_clip(self, step: int) -> Generator[None, None, dict[str, float]]:
        """Rows of the search, where the clip asks for one; `record` adopts what it found."""
        search = self.part.phase.clip
        if not isinstance(search, AutoClip):
            return {}
        phase, config = self.phase, self.config
        return (
            yield from clip_search(
                self.learner.average,
                config.objective,
                phase,
                search,
                progress_of(phase, step),
                self.corpus,
                config.evaluation,
            )
        )

    def _best(self, valid: Evaluation) -> tuple[Denoiser, int]:
        """The moving average at its best step. It may be this very step, which no file holds yet."""
        if valid.nelbo < self.progress.best_nelbo:
            return self.learner.average, self.progress.step
        best = copy.deepcopy(self.learner.average)
        load_weights(best, self.folder / "best.safetensors", self.progress.best_step)
        return best, self.progress.best_step
