"""What an evaluation says, and a run reports: plain values, no torch, so that any process may read them."""

import math
from typing import Any, NamedTuple

MAX_NELBO = 700.0  # nats per token; beyond, its exponential is not a float any more


LAST = "last"  # the test split, read by the last step's average and not by the best checkpoint


def split_of_blocks(block_size: int) -> str:
    """'L4': the valid split, read in blocks of 4 whatever a run trained."""
    return f"L{block_size}"


class Evaluation(NamedTuple):
    """An estimate of the bound on one split, with what it may be compared to.

    identity: what must be equal to rank together (text, split, tokenizer, length, packing, EMA).
    provenance: how it was estimated (exact, enumerated or sampled; draws, seed, round, precision); only
    shown. nats_D, tokens_D: sums per document, in the fixed order of the evaluation set: the unit of every
    interval and of every paired difference."""

    split: str  # valid, test, LAST, or one of split_of_blocks
    step: int
    nelbo: float  # nats per maskable token
    se: float  # clustered by document
    identity: dict[str, Any]
    provenance: dict[str, Any]
    nats_D: list[float]
    tokens_D: list[int]
    text_bytes: int = 0  # UTF-8 bytes of the scored tokens' text; 0 where the tokenizer loses some
    ranks: bool = False  # of the best checkpoint, for its run to be ranked by: no look during training
    exact_nats_D: list[float] | None = (
        None  # of the same tokens, under the source's own law where it is known
    )

    def metrics(self) -> dict[str, float]:
        """The rows of this evaluation, by the names of trainer/metrics.py. Finite numbers only."""
        valid = "ranked" if self.ranks else "val"
        prefix = {"valid": valid, "test": "test", LAST: "test"}.get(self.split, "val")
        ending = "" if self.split in ("valid", "test") else f"/{self.split}"
        rows = {f"{prefix}_nelbo": self.nelbo}
        if self.nelbo < MAX_NELBO:
            rows[f"{prefix}_ppl"] = math.exp(self.nelbo)
        if math.isfinite(self.se):
            rows[f"{prefix}_nelbo_se"] = self.se
        if self.text_bytes:
            rows[f"{prefix}_bpb"] = math.fsum(self.nats_D) / math.log(2) / self.text_bytes
        return {f"{name}{ending}": value for name, value in rows.items()}

    def as_json(self) -> dict[str, Any]:
        """Every field, the last two only where they say something; read back by Evaluation(**values)."""
        values = self._asdict()
        if not self.ranks:
            del values["ranks"]
        if self.exact_nats_D is None:
            del values["exact_nats_D"]
        return values


class Report(NamedTuple):
    """What a run yields once the checkpoint that holds its step is on disk."""

    step: int
    values: dict[str, float]
    evaluations: tuple[Evaluation, ...] = ()


def ratio_and_se(nats_D: list[float], tokens_D: list[int]) -> tuple[float, float]:
    """Nats per token over all documents, and its standard error with documents as clusters.

    The ratio estimator's linearised variance: D/(D-1) * sum_d (nats_d - ratio * tokens_d)^2 / tokens^2.
    """
    tokens, documents = sum(tokens_D), len(nats_D)
    ratio = math.fsum(nats_D) / tokens
    if documents < 2:
        return ratio, math.inf
    spread = math.fsum((n - ratio * t) ** 2 for n, t in zip(nats_D, tokens_D, strict=True))
    return ratio, math.sqrt(documents / (documents - 1) * spread) / tokens
