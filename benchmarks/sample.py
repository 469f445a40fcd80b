"""python -m benchmarks.sample [--quick]: text from a KV cache, against the whole window read in every call.

Cached is what `python -m trainer sample` does by default (trainer/sampling). Uncached is how the public code
samples without a cache (tests/reference/uncached.py): a window of at most 1,024 tokens, all of it in every
call, logits of every row. Both by first hitting, one token a pass for each sample, one thread, float32.

A pass costs what its context costs, so both are measured where so many tokens stand before the block, taking
turns, and summed over a run by interpolation; medians of CPU seconds. One sample of a small network is
drawn in full by each, and must take what the sum says. A batch of 64 uncached is eight calls of 8, and costs
what was measured for 8: its logits would take 16 GB. --kind and --batch measure a part anew
and keep what the results say of the others.
"""

import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.document import RESULTS, finish, options
from benchmarks.forms import Case, prepared
from tests.reference.step import Step
from tests.reference.uncached import WINDOW, block_probs, first_hitting
from trainer.sampling.first_hitting import FirstHitting
from trainer.sampling.generate import sample
from trainer.sampling.words import Draws
from trainer.training.learner import Learner

KEPT = RESULTS / "sample.json"
RUNS = (1024, 4096, 16_384)  # tokens of a whole run
TOGETHER = 8  # samples of an uncached call
TIMED = 16  # tokens of a timed stretch, in whole blocks


class Kind(NamedTuple):
    objective: str
    block_size: int

    def __str__(self) -> str:
        return "ar" if self.objective == "ar" else f"{self.objective} L'={self.block_size}"


KINDS = (Kind("bd3lm", 4), Kind("bd3lm", 16), Kind("ar", 1))


class Plan(NamedTuple):
    size: str
    vocab_size: int
    batches: tuple[int, ...]
    contexts: tuple[int, ...]  # tokens before the block, the last as many as it can read
    repeats: int  # of batch 1; of others two
    whole: int  # tokens of the sample that is drawn in full


FULL = Plan("tiny", 30_522, (1, 8, 64), (0, 256, 512, 768, 1008), 3, 1024)
QUICK = Plan("nano", 2_048, (1, 8), (0, 256, 1008), 2, 256)
WHOLE = ("nano", 4_096)  # the network that draws it: the public form takes ten minutes for one of tiny


def main() -> None:
    parser = options("sample", __doc__, quick="nano, batch 1 and 8, short.")
    parser.add_argument("--kind", choices=list(map(str, KINDS)), help="This alone; results of others stay.")
    parser.add_argument("--batch", type=int, choices=FULL.batches, help="The same.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    plan = QUICK if given.quick else FULL
    part = [
        (kind, batch)
        for kind in KINDS
        for batch in plan.batches
        if given.kind in (None, str(kind)) and given.batch in (None, batch)
    ]
    before = {"rows": []} if given.quick or not KEPT.exists() else json.loads(KEPT.read_text())
    rows = {(row["kind"], row["batch"]): row for row in before["rows"]}
    print(
        f"{'':<18}{'ms a token of each sample, 1,024 before it':>44}{'tokens/s':>10}   uncached over cached"
    )
    heads = "".join(f"{f'{length:,}':>9}" for length in RUNS)
    print(f"{'':<12}{'batch':>6}{'cached':>22}{'uncached':>22}{'cached':>10}{heads}")
    for kind, batch in part:
        of_eight = rows.get((str(kind), TOGETHER)) if batch > TOGETHER else None
        row = rows[str(kind), batch] = measured(plan, kind, batch, of_eight)
        full = {form: 1000 * row["seconds_a_call"][form][-1] for form in ("cached", "uncached")}
        print(f"{kind!s:<12}{batch:>6}{full['cached']:>22.1f}{full['uncached']:>22,.0f}", end="")
        print(f"{row['cached_tokens_per_second']:>10,.0f}", end="")
        print("".join(f"{ratio:>8.1f}x" for ratio in row["ratio"].values()), flush=True)
    # Of one network alone: with the first part.
    check = whole(plan) if (KINDS[0], 1) in part else before["settings"]["whole"]
    for form in ("cached", "uncached"):
        took, said = check["seconds"][form], check["summed"][form]
        print(f"{plan.whole:,} tokens in full, {form}: {took:.1f} s, by the sum {said:.1f} s")
    summary = {
        f"{row['kind']} batch {row['batch']} {length} tokens": ratio
        for row in rows.values()
        for length, ratio in row["ratio"].items()
    }
    finish(
        "sample",
        {**plan._asdict(), "threads": 1, "whole": check},
        list(rows.values()),
        summary,
        write=given.write,
    )


def measured(plan: Plan, kind: Kind, batch: int, of_eight: dict[str, Any] | None) -> dict[str, Any]:
    """of_eight: the row of the same kind whose uncached calls a larger batch takes several of."""
    learner, plain = networks(plan.size, plan.vocab_size, kind)
    repeats = plan.repeats if batch == 1 else 2
    seconds = costs(learner, None if of_eight else plain, kind, batch, plan.contexts, repeats)
    if of_eight:
        seconds["uncached"] = [each * batch / TOGETHER for each in of_eight["seconds_a_call"]["uncached"]]
    runs = {form: {n: summed(plan.contexts, seconds[form], n) for n in RUNS} for form in seconds}
    return {
        "kind": str(kind),
        "batch": batch,
        "contexts": list(plan.contexts),
        "seconds_a_call": seconds,
        "seconds_of_a_run": {form: {n: round(found, 1) for n, found in runs[form].items()} for form in runs},
        "cached_tokens_per_second": round(batch / seconds["cached"][-1], 1),
        "nfe": {n: n - 1 for n in RUNS},
        "ratio": {n: round(runs["uncached"][n] / runs["cached"][n], 1) for n in RUNS},
    }


def whole(plan: Plan) -> dict[str, Any]:
    """One sample really drawn; beside its cost what the sum over its contexts says."""
    kind, tokens = KINDS[0], plan.whole
    learner, plain = networks(*WHOLE, kind)
    seconds = costs(learner, plain, kind, 1, plan.contexts, plan.repeats)
    began = time.process_time()
    (one,) = sample(
        learner.model,
        learner.config.objective,
        num=1,
        length=tokens,
        block_size=kind.block_size,
        bos_id=0,
        seed=0,
    )
    cached = time.process_time() - began
    began = time.process_time()
    with torch.no_grad():
        _, calls = first_hitting(plain, 1, tokens, kind.block_size)
    uncached = time.process_time() - began
    assert one.nfe == calls == tokens - 1, (one.nfe, calls)
    return {
        "kind": str(kind),
        "network": list(WHOLE),
        "tokens": tokens,
        "nfe": calls,
        "seconds": {"cached": cached, "uncached": uncached},
        "summed": {form: summed(plan.contexts, seconds[form], tokens) for form in seconds},
    }


def networks(size: str, vocab_size: int, kind: Kind) -> tuple[Learner, Step]:
    """Of the same weights, none of them zero."""
    learner, _, _ = prepared(Case(kind.objective, size, WINDOW, vocab_size, 1, kind.block_size), False)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in learner.model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
    learner.model.eval()
    return learner, Step(learner, WINDOW, None)  # its mask is set for every call


def costs(
    learner: Learner, plain: Step | None, kind: Kind, batch: int, contexts: tuple[int, ...], repeats: int
) -> dict[str, list[float]]:
    """CPU seconds of a call, that is of a token of every sample, behind so much text; plain None: cached."""
    found: dict[str, list[float]] = {"cached": [], "uncached": []}
    mask_id = learner.model.shape.mask_id
    for context in contexts:
        text_1C = torch.randint(0, mask_id, (1, context), generator=torch.Generator().manual_seed(0))
        tokens = max(TIMED if batch <= TOGETHER else 1, kind.block_size)
        calls = {"cached": cached_stretch(learner, kind, batch, tokens, text_1C)}
        if plain is not None:
            calls["uncached"] = uncached_call(plain, kind, batch, text_1C)
        turns = [{form: timed(call) for form, call in calls.items()} for _ in range(1 + repeats)]
        for form in calls:  # the first turn warms up
            seconds = median(turn[form] for turn in turns[1:])
            found[form].append(seconds / (tokens if form == "cached" else 1))
    return found


def cached_stretch(
    learner: Learner, kind: Kind, batch: int, tokens: int, text_1C: torch.Tensor
) -> Callable[[], None]:
    """So many tokens more, in whole blocks: the text grows a little from call to call."""
    decoder = learner.config.objective.decoder(learner.model, kind.block_size)
    draws = Draws(0, range(batch), torch.device("cpu"))
    start = text_1C if text_1C.shape[1] else torch.zeros(1, kind.block_size, dtype=torch.long)
    masks_BP = torch.full((batch, kind.block_size), learner.model.shape.mask_id)
    with torch.no_grad():
        decoder.append(start)
        warm_up = Draws(0, range(1), torch.device("cpu"))
        block_1P, _ = FirstHitting().fill(decoder, masks_BP[:1], masks_BP[:1] == masks_BP[:1], warm_up)
        decoder.append(block_1P)
    decoder.keep(torch.zeros(batch, dtype=torch.long))  # the text of one, for all

    def stretch() -> None:
        with torch.no_grad():
            for _ in range(tokens // kind.block_size):
                block_BP, _ = FirstHitting().fill(decoder, masks_BP, masks_BP == masks_BP, draws)
                decoder.append(block_BP)

    return stretch


def uncached_call(plain: Step, kind: Kind, batch: int, text_1C: torch.Tensor) -> Callable[[], None]:
    masks_1P = torch.full((1, kind.block_size), plain.mask_id)
    text_BX = torch.cat([text_1C, masks_1P], dim=1).expand(batch, -1).contiguous()

    def call() -> None:
        with torch.no_grad():
            block_probs(plain, text_BX, kind.block_size)

    return call


def timed(what: Callable[[], None]) -> float:
    began = time.process_time()
    what()
    return time.process_time() - began


def summed(contexts: tuple[int, ...], seconds: list[float], tokens: int) -> float:
    """Of a run: a call for every token but BOS, at the cost of what stands before it."""
    return float(np.interp(np.arange(1, tokens), contexts, seconds).sum())


if __name__ == "__main__":
    main()
