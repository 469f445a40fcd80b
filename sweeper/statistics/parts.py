"""How much of a difference's variance is the text's, how much the masks', how much the seeds'?

Errors over documents hold what masks leave to chance: a mask is drawn for a document. Where each seed is
scored under masks of its own, errors over seeds hold it, too."""

from typing import NamedTuple


class Parts(NamedTuple):
    """Shares, in all 1."""

    text: float  # with the masks, where these are not known by themselves
    masks: float | None
    seeds: float


def parts(text: float, seeds: float, masks: float | None, *, of_each_seed: bool) -> Parts | None:
    """All are variances, nats^2. masks: what is to be expected of them alone; None: not known. of_each_seed:
    whether masks differ from seed to seed. None where there is no variance, or it is not known."""
    if masks is not None:
        # The expectation may lie above what was seen.
        masks = min(masks, max(text, seeds) if of_each_seed else text)
        text = max(0.0, text - masks)
        seeds = max(0.0, seeds - masks) if of_each_seed else seeds
    total = text + seeds + (masks or 0.0)
    if not 0 < total < float("inf"):
        return None
    return Parts(text / total, None if masks is None else masks / total, seeds / total)
