"""Random numbers of a batch of samples, and words drawn with them.

Shapes: B batch, M chosen rows, V vocabulary, C the most probable of its words.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from trainer.errors import TrainingError
from trainer.network.model import MAX_LOGITS
from trainer.network.score import log_mass
from trainer.randomness import seed_of
from trainer.sampling.decoder import Decoder

# Words among which a nucleus is looked for first: to find them costs a tenth of sorting a vocabulary.
PROBABLE = 1024


class Draws:
    """A stream of uniform numbers for each sample, of its own: it is the same in whatever batch it stands."""

    def __init__(self, seed: int, numbers: Iterable[int], device: torch.device):
        self._streams = [np.random.default_rng(seed_of(seed, "sample", i)) for i in numbers]
        self._device = device

    def uniform(self, count: int) -> Tensor:
        """u_BX in [0, 1), float64, `count` for each sample."""
        return torch.from_numpy(np.stack([each.random(count) for each in self._streams])).to(self._device)

    def keep(self, rows: list[int]) -> None:
        self._streams = [self._streams[row] for row in rows]


def words(decoder: Decoder, hidden_MD: Tensor, u_M: Tensor, move_chance: float, nucleus: float) -> Tensor:
    """word_M, each drawn from its row's distribution; a chunk at a time, as logits are large."""
    chunk = max(1, MAX_LOGITS // decoder.model.shape.vocab_size)
    return torch.cat(
        [
            draw(within_nucleus(decoder.logits(hidden, move_chance).softmax(dim=-1), nucleus), u)
            for hidden, u in zip(hidden_MD.split(chunk), u_M.split(chunk), strict=True)
        ]
    )


def within_nucleus(probs_MV: Tensor, nucleus: float) -> Tensor:
    """The probabilities outside the nucleus set to 0; not normalised again.

    The most probable words are kept as far as their sum is at most `nucleus`, and always the first
    (Holtzman et al. 2020, in the public BD3-LM code's strict form).
    """
    if nucleus == 1:
        return probs_MV
    vocab_size = probs_MV.shape[-1]
    for count in (min(PROBABLE, vocab_size), vocab_size):
        sorted_MC, order_MC = probs_MV.topk(count)
        kept_MC = sorted_MC.cumsum(dim=-1, dtype=torch.float64) <= nucleus
        if not kept_MC[..., -1].any():
            break  # it ends among these
    kept_MC[..., 0] = True
    return torch.zeros_like(probs_MV).scatter(-1, order_MC, sorted_MC * kept_MC)


def draw(weights_MV: Tensor, u_M: Tensor) -> Tensor:
    """index_M with probability proportional to weights_MV, by inversion; an index of weight 0 never.

    Raises TrainingError where they are no numbers.
    """
    cumulative_MV = weights_MV.cumsum(dim=-1, dtype=torch.float64)
    if not cumulative_MV[:, -1].isfinite().all():
        raise TrainingError("the network's probabilities are not finite: it has diverged")
    below_M = u_M * cumulative_MV[:, -1]
    return torch.searchsorted(cumulative_MV, below_M[:, None], right=True).squeeze(1)


def log_masses(decoder: Decoder, hidden_MD: Tensor, move_chance: float) -> Tensor:
    """z_M, float64, of SEDD's scores."""
    chunk = max(1, MAX_LOGITS // decoder.model.shape.vocab_size)
    return torch.cat(
        [log_mass(decoder.logits(hidden, move_chance).double()) for hidden in hidden_MD.split(chunk)]
    )
