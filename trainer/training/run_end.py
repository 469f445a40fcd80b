"""What a run ends with, of its best checkpoint: its bound on other corpora, and text that it generates.

What it takes is looked for before anything is trained.
"""

import math
import threading
from collections.abc import Generator
from pathlib import Path

import numpy as np

from trainer.checkpoints.trained import computed_here
from trainer.config.evaluation import EvaluationConfig
from trainer.config.network import network_of
from trainer.config.train_config import TrainConfig
from trainer.data.base import Split
from trainer.data.corpus import Corpus, prepare
from trainer.data.tokenizer import Tokenizer
from trainer.data.union import AnyCorpus
from trainer.errors import CheckpointError, DataError, EnvironmentFault, JudgeError
from trainer.evaluation.bound import evaluate
from trainer.evaluation.generative import NoText, judging
from trainer.evaluation.judges import check_judge, open_judge
from trainer.evaluation.lengths import sample_lengths
from trainer.evaluation.record import LAST, MAX_NELBO, Evaluation, split_of_blocks
from trainer.evaluation.zero_shot import as_trained, other_corpus
from trainer.heartbeat import meanwhile
from trainer.network.model import Denoiser
from trainer.randomness import seed_of
from trainer.sampling.draw import drawn
from trainer.sampling.samples_file import SavedSample, saved, write_samples

PATIENCE = 10.0  # seconds, for a pass or the opening of a judge to end

Rows = Generator[None, None, dict[str, float]]


def look_ahead(config: TrainConfig, corpus: Corpus) -> Generator[None, None, None]:
    """Tokenises the other corpora, and finds the judge. Raises EnvironmentFault or DataError."""
    for data in config.evaluation.zero_shot:
        with_tokenizer, split = _to_be_scored(config, corpus, data)
        try:
            yield from prepare(with_tokenizer, (split,))
            other_corpus(corpus, with_tokenizer, split)
        except DataError as error:
            raise DataError(f"evaluation.zero_shot: {error}") from None
    judge = config.samples.judge
    if config.samples.num and judge is not None:
        try:
            yield from meanwhile(lambda: check_judge(judge), "look-for-judge")
        except (JudgeError, CheckpointError) as error:
            raise EnvironmentFault(f"samples.judge: {error}") from None


def in_blocks(
    model: Denoiser, config: TrainConfig, corpus: Corpus, step: int
) -> Generator[None, None, list[Evaluation]]:
    """The bound on valid at each of evaluation.block_sizes, as fine as the one that ranks; none of a kind of
    model that has one block size. Yields None after each pass."""
    found: list[Evaluation] = []
    if config.objective.only_block_size(config.data.length) is not None:
        return found
    scoring, ranks = config.scoring, config.evaluation.rank_error is not None
    for size in config.evaluation.block_sizes:
        look = yield from evaluate(model, config.objective, size, "valid", corpus, scoring, step, ranks=ranks)
        if math.isfinite(look.nelbo):
            found.append(look._replace(split=split_of_blocks(size), ranks=False))
    return found


def last_on_test(
    model: Denoiser, config: TrainConfig, corpus: Corpus, step: int
) -> Generator[None, None, list[Evaluation]]:
    """The bound of the last step's average on test, where evaluation.test_last asks for it: on the text and
    under the masks of the best checkpoint's. Yields None after each pass."""
    if not config.evaluation.test_last:
        return []
    size, ranks = config.finetune.block_size, config.evaluation.rank_error is not None
    scoring = config.evaluation
    look = yield from evaluate(model, config.objective, size, "test", corpus, scoring, step, ranks=ranks)
    return [look._replace(split=LAST, ranks=False)] if math.isfinite(look.nelbo) else []


def zero_shot(
    model: Denoiser, config: TrainConfig, corpus: Corpus, evaluation: EvaluationConfig, step: int
) -> Rows:
    """zero_shot_nelbo/NAME and zero_shot_ppl/NAME of every corpus. Yields None after each pass."""
    rows = {}
    for data in config.evaluation.zero_shot:
        with_tokenizer, split = _to_be_scored(config, corpus, data)
        yield from prepare(with_tokenizer, (split,))
        other = other_corpus(corpus, with_tokenizer, split)
        block_size = config.finetune.block_size
        found = yield from evaluate(model, config.objective, block_size, split, other, evaluation, step)
        rows[f"zero_shot_nelbo/{data.name}"] = found.nelbo
        if found.nelbo < MAX_NELBO:
            rows[f"zero_shot_ppl/{data.name}"] = math.exp(found.nelbo)
    return {name: value for name, value in rows.items() if math.isfinite(value)}


def generated(model: Denoiser, config: TrainConfig, corpus: Corpus, folder: Path) -> Rows:
    """nfe, length_median and length_max of samples, and under a judge gen_ppl and gen_entropy.

    They are kept in folder/samples.jsonl. Each training seed draws its own, so that an interval over seeds
    sees the drawing too. Yields None meanwhile; closing stops the work at its next pass.
    Raises EnvironmentFault.
    """
    seed = seed_of(config.seed, "samples", config.samples.seed)
    how, tokenizer = config.samples.model_copy(update={"seed": seed}), corpus.tokenizer
    device = next(model.parameters()).device
    rows: dict[str, float] = {}
    stop, stopped = threading.Event(), threading.Event()

    def work() -> None:
        try:
            draw_and_judge()
        finally:
            stopped.set()

    def draw_and_judge() -> None:
        # Not the trained one: its layers may be compiled for the shapes of training.
        plain = network_of(computed_here(config, str(device)), model.shape, device)
        plain.load_state_dict(model.state_dict())
        network = (plain, config.objective, tokenizer, config.finetune.block_size)
        samples = [saved(each, tokenizer, "", given=1) for each in drawn(*network, how, stop=stop)]
        write_samples(folder / "samples.jsonl", samples)
        rows.update(_of_text(samples, tokenizer))
        if how.judge is not None:
            rows.update(_under(how.judge, str(device), samples, stop))

    if how.num:
        try:
            yield from meanwhile(work, "samples")
        except (JudgeError, CheckpointError) as error:
            raise EnvironmentFault(f"samples.judge: {error}") from None
        finally:
            stop.set()
            stopped.wait(PATIENCE)  # the next trial of this process has the folder, and torch, to itself
    return {name: value for name, value in rows.items() if math.isfinite(value)}


def _to_be_scored(config: TrainConfig, corpus: Corpus, data: AnyCorpus) -> tuple[AnyCorpus, Split]:
    split: Split = "test" if "test" in data.splits else "valid"
    return as_trained(corpus, data.model_copy(update={"forced_eos": config.data.forced_eos})), split


def _of_text(samples: list[SavedSample], tokenizer: Tokenizer) -> dict[str, float]:
    tokens_S = sample_lengths(samples, tokenizer)
    return {
        "nfe": float(np.mean([each.nfe for each in samples])),
        "length_median": float(np.median(tokens_S)),
        "length_max": float(tokens_S.max()),
    }


def _under(name: str, device: str, samples: list[SavedSample], stop: threading.Event) -> dict[str, float]:
    """Nothing where no sample has text."""
    scoring = judging(open_judge(name, device), samples)
    try:
        while not stop.is_set():
            next(scoring)
    except StopIteration as done:
        return {"gen_ppl": done.value.gen_ppl.ppl, "gen_entropy": done.value.gen_entropy}
    except NoText:
        pass
    return {}
