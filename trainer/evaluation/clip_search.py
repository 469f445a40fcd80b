"""The clip under which the training objective varies least: a search over intervals of time.

Arriola et al. 2025, arXiv 2503.09573, section 5.3. The public code makes a pass for each interval; a block's
loss at a time does not depend on the interval that the time was drawn from, so here the passes of one step of
time serve every interval that contains it. B batch, L length, N blocks.
"""

import math
from collections.abc import Generator, Sequence
from itertools import pairwise
from typing import NamedTuple

from trainer.config.evaluation import EvaluationConfig
from trainer.data.corpus import Corpus
from trainer.evaluation.variance import block_means, loss_of, valid_batch
from trainer.network.model import Denoiser
from trainer.noise.clips import AutoClip, Clip
from trainer.noise.reweighting import normalizer
from trainer.objectives.base import Objective
from trainer.randomness import seed_of
from trainer.settings.phase import Phase


class Cell(NamedTuple):
    """The losses of blocks at times within a clip that lies wholly within or outside of each candidate."""

    clip: Clip
    blocks: int
    mean: float  # of a block's loss, before the weight is normalised
    mean_square: float

    @property
    def share(self) -> float:
        """Of the times: its length, and 1 for a single time, which is a candidate by itself."""
        return self.clip.time(1.0) - self.clip.time(0.0) or 1.0


def clip_search(
    model: Denoiser,
    objective: Objective,
    phase: Phase,
    search: AutoClip,
    progress: float,
    corpus: Corpus,
    config: EvaluationConfig,
) -> Generator[None, None, dict[str, float]]:
    """Yields None after each pass; returns clip_low, clip_high and the variance of each candidate.

    The variance is that of a block's loss (mean over its L' tokens, weight included) over blocks and times,
    in nats^2, on batches of the training's size of the valid split. progress in [0, 1] is the phase's.
    """
    candidates = search.candidates(phase.block_size)
    cells = []
    for clip in cells_of(candidates):
        within = phase.of_diffusion().model_copy(update={"clip": clip})
        scale = normalizer(
            phase.reweighting, phase.schedule, clip, progress
        )  # undone: candidates have their own
        losses: list[float] = []
        for batch in range(search.batches):
            x0_BL = valid_batch(model, corpus, phase.batch_size, config.seed, batch)
            seed = seed_of(config.seed, "clip masks", batch, _words(clip))
            loss = loss_of(model, objective, x0_BL, within, progress, seed)
            losses += (block_means(loss, phase.block_size) * scale).flatten().tolist()
            yield None
        squares = math.fsum(loss**2 for loss in losses)
        cells.append(Cell(clip, len(losses), math.fsum(losses) / len(losses), squares / len(losses)))

    variances = {
        clip: variance_within(clip, cells)
        / normalizer(phase.reweighting, phase.schedule, clip, progress) ** 2
        for clip in candidates
    }
    finite = {clip: variance for clip, variance in variances.items() if math.isfinite(variance)}
    if not finite:
        return {}
    best = min(finite, key=finite.__getitem__)  # the first of equals
    rows = {f"clip_var/{_words(clip)}": variance for clip, variance in finite.items()}
    return {"clip_low": best.low, "clip_high": best.high, **rows}


def _words(clip: Clip) -> str:
    return f"{clip.low:g}-{clip.high:g}"


def cells_of(candidates: Sequence[Clip]) -> list[Clip]:
    """The intervals between neighbouring bounds, and the candidates that are a single time."""
    bounds = sorted({bound for clip in candidates for bound in (clip.low, clip.high)})
    points = [clip for clip in candidates if clip.low == clip.high]
    return [Clip(low=low, high=high) for low, high in pairwise(bounds)] + points


def variance_within(clip: Clip, cells: Sequence[Cell]) -> float:
    """Of the mixture of the candidate's cells, each with its share of the time; nan for a single block."""
    if clip.low == clip.high:
        parts = [cell for cell in cells if cell.clip == clip]
    else:
        parts = [cell for cell in cells if clip.low <= cell.clip.low < cell.clip.high <= clip.high]
    blocks = sum(cell.blocks for cell in parts)
    whole = math.fsum(cell.share for cell in parts)
    mean = math.fsum(cell.share * cell.mean for cell in parts) / whole
    mean_square = math.fsum(cell.share * cell.mean_square for cell in parts) / whole
    return (mean_square - mean**2) * blocks / (blocks - 1) if blocks > 1 else math.nan
