"""What keeps a row tied with the first: text, masks or seeds? And what is the cheapest that would tell?

In the order of what is cheap: checkpoints scored again under more masks, for which nothing is trained; then
more seeds. Prices are those of what the sweep has run; where nothing of the kind has run there is none."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sweeper.results.ranking import Ranked
from sweeper.results.row import Limit
from sweeper.results.savings import hours
from sweeper.statistics.parts import Parts, parts
from sweeper.store.records import ScoreRecord, StageRecord
from trainer.evaluation.sizing import RANKING_ERROR, fine_draws, fine_spread, plain_spread

MATTERS = 0.25  # of the variance: what is less is not worth a remedy of its own
Values = Mapping[int, Mapping[str, Any]]  # by configuration: complete, dotted


class Prices(NamedTuple):
    """What has been paid in this sweep."""

    stages: Mapping[str, StageRecord]
    scores: Sequence[ScoreRecord]

    def masks(self, number: int) -> float | None:
        """CPU-seconds of so many masks a block, over all runs."""
        paid = [each for each in self.scores if each.cpu_seconds > 0 and _is_sampled(each.provenance)]
        drawn = sum(each.provenance["draws"] for each in paid if each.split == "valid")  # test's are as many
        return number * math.fsum(each.cpu_seconds for each in paid) / drawn if drawn else None

    def seed(self, rows: Sequence[Ranked]) -> tuple[float, float] | None:
        """(CPU-seconds, GPU-seconds) of one seed of all these rows and the pretrains that they share."""
        runs = [[t for t in row.entry.trials if t.state == "complete"] for row in rows]
        keys = {mine[0].stage for mine in runs if mine and mine[0].stage is not None}
        for key in tuple(keys):  # and what it goes on from
            while (stage := self.stages.get(key)) is not None and stage.parent is not None:
                keys.add(key := stage.parent)
        stages = [self.stages[key] for key in keys if key in self.stages]
        if len(stages) < len(keys) or not all(t.cpu_seconds for mine in runs for t in mine):
            return None
        if not all(runs) or not all(each.cpu_seconds for each in stages):
            return None
        cpu = [math.fsum(t.cpu_seconds for t in mine) / len(mine) for mine in runs]
        gpu = [math.fsum(t.gpu_seconds for t in mine) / len(mine) for mine in runs]
        return (
            math.fsum([*cpu, *(each.cpu_seconds for each in stages)]),
            math.fsum([*gpu, *(each.gpu_seconds for each in stages)]),
        )


class Limits(NamedTuple):
    of: dict[int, Limit]  # by configuration
    lines: list[str]  # none where nothing is tied


def limits(groups: Sequence[Sequence[Ranked]], kind: str, values: Values, prices: Prices) -> Limits:
    """groups: rows that were compared with one another, the first one of them in front. kind: 'search',
    'confirmed' or 'race', by which runs."""
    ties = [
        _Tie(first, row, kind, values)
        for first, *others in filter(None, groups)
        for row in others
        if row.standing.tied_with_best
    ]
    remedies = {
        name: words(mine, prices)
        for name, words in (("masks", _more_masks), ("seeds", _more_seeds), ("text", _more_text))
        if (mine := [tie for tie in ties if tie.remedy == name])
    }
    of = {tie.row.entry.configuration: _limit(tie.parts, remedies[tie.remedy]) for tie in ties}
    lines = []
    if known := [tie.parts for tie in ties if tie.parts is not None]:
        shares = shares_in_words(_average(known))
        lines.append(f"What limits it: {shares} of the variance of a difference to the first.")
    if ties:
        lines.append(f"Cheapest: {'; '.join(remedies.values())}.")
    return Limits(of, lines)


class _Tie:
    def __init__(self, first: Ranked, row: Ranked, kind: str, values: Values):
        self.first, self.row, self.kind = first, row, kind
        self.blocks = [values[each.entry.configuration].get("finetune.block_size") for each in (first, row)]
        standing = row.standing
        masks = self._masks()
        if kind == "race" and masks is not None:
            masks /= max(1, min(standing.seeds, first.standing.seeds))  # those of each round are its own
        text, seeds = standing.text_error**2, standing.seeds_error**2
        self.parts = parts(text, seeds, masks, of_each_seed=kind == "race")

    def _masks(self) -> float | None:
        """Variance of the difference on one seed, of masks alone. None: not known, or they have common ones:
        what these leave in a difference no formula says."""
        ways = [way_of(each) for each in (self.first, self.row)]
        if ways[0] == ways[1] and self.blocks[0] == self.blocks[1] and _is_sampled(ways[0]):
            return None
        known = [masks_variance(each, block) for each, block in self.both]
        return None if None in known else math.fsum(each or 0.0 for each in known)

    @property
    def both(self) -> list[tuple[Ranked, int | None]]:
        return list(zip((self.first, self.row), self.blocks, strict=True))

    @property
    def sampled(self) -> list[tuple[Ranked, int | None]]:
        return [(each, block) for each, block in self.both if _is_sampled(way_of(each))]

    @property
    def remedy(self) -> str:
        if self.parts is None:
            return "seeds"
        text, masks, seeds = self.parts
        by_masks = text if masks is None else masks
        # Where they are not known, the fine bound has made them small already.
        may_help = masks is not None or not all(_is_fine(way_of(each)) for each, _ in self.sampled)
        if by_masks >= MATTERS and may_help and self.sampled and self.kind != "race":
            # What ran after the search is scored again by a race alone: each round has masks of its own.
            return "masks" if self.kind == "search" else "seeds"
        return "seeds" if seeds >= text else "text"


# --- masks --------------------------------------------------------------------------------------
def way_of(row: Ranked) -> Mapping[str, Any]:
    """How it was scored."""
    return {key: row.entry.evaluated[0].provenance.get(key) for key in ("bound", "estimator", "draws")}


def masks_variance(row: Ranked, block_size: int | None) -> float | None:
    """Of its value, by the formula of its estimator (trainer/evaluation/sizing.py); None: there is none."""
    way = way_of(row)
    if way["bound"] in ("exact", "enumerated"):
        return 0.0
    of_token = _variance_of_token(row)
    if of_token is None or block_size is None or not str(way["estimator"]).startswith("subsets"):
        return None
    return of_token * _spread(way["draws"], block_size, _is_fine(way))


def less_known(way: Mapping[str, Any], other: Mapping[str, Any], block_size: int) -> bool:
    """Whether a score of a checkpoint has more error of masks than another one on the same text. way, other:
    provenances. False where that cannot be said."""
    if not (_is_sampled(way) and _is_sampled(other)):
        return False
    if all(str(each["estimator"]).startswith("subsets") for each in (way, other)):
        one, two = (_spread(each["draws"], block_size, _is_fine(each)) for each in (way, other))
        return one > two
    return bool(way["estimator"] == other["estimator"] and way["draws"] < other["draws"])


def _variance_of_token(row: Ranked) -> float | None:
    """s^2 / N; not known of what was scored before it was kept."""
    record = row.entry.evaluated[0]
    variance = record.provenance.get("surprisal_variance")
    return None if variance is None else float(variance) / sum(record.tokens)


def _is_sampled(way: Mapping[str, Any]) -> bool:
    return way.get("bound") == "sampled"


def _is_fine(way: Mapping[str, Any]) -> bool:
    return str(way["estimator"]).endswith(", controlled")


@lru_cache(maxsize=1024)
def _spread(draws: int, block_size: int, fine: bool) -> float:
    return fine_spread(draws, block_size) if fine else plain_spread(draws, block_size)


@lru_cache(maxsize=1024)
def _draws(error: float, of_token: float, block_size: int) -> int:
    return fine_draws(error, of_token, block_size)


# --- remedies, in words -------------------------------------------------------------------------
def _more_masks(ties: Sequence[_Tie], prices: Prices) -> str:
    """Of all rows in these that masks are drawn for: for the error of ranking, or half of what they have."""
    rows = {each.entry.configuration: (each, block) for tie in ties for each, block in tie.sampled}
    variances = [masks_variance(each, block) for each, block in rows.values()]
    wanted = RANKING_ERROR
    if all(each is not None and each <= RANKING_ERROR**2 for each in variances):
        wanted = math.sqrt(max(each or 0.0 for each in variances)) / 2
    said = f"re-evaluate {_count(len(rows), 'row')}"
    numbers, total = [], 0
    for each, block in rows.values():
        if (of_token := _variance_of_token(each)) is None or block is None:
            return f"{said} with masks for an error of {wanted:.2g} nats"
        numbers.append(_draws(wanted, of_token, block))
        total += numbers[-1] * len(each.entry.evaluated)
    low, high = min(numbers), max(numbers)
    seconds = prices.masks(total)
    return f"{said} with {low if low == high else f'{low} to {high}'} masks{_price(seconds, 0.0)}"


def _more_seeds(ties: Sequence[_Tie], prices: Prices) -> str:
    """As many as the answer speaks of; two at least, without which nothing can be said."""
    rows = {each.entry.configuration: each for tie in ties for each, _ in tie.both}
    ran = 0 if ties[0].kind == "search" else max(each.standing.seeds for each in rows.values())
    more = max(2, ran // 2)
    cpu, gpu = prices.seed(list(rows.values())) or (None, 0.0)
    price = _price(None if cpu is None else more * cpu, more * gpu)
    return f"{more} more seeds of {_count(len(rows), 'row')}{price}"


def _more_text(ties: Sequence[_Tie], prices: Prices) -> str:
    """Its price is that of another evaluation of everything: not known."""
    return f"more evaluation text for {_count(1 + len(ties), 'row')} (evaluation.sequences)"


def _price(cpu: float | None, gpu: float) -> str:
    """': 16 CPU-seconds'; '' where it is not known."""
    if cpu is None:
        return ""
    seconds, unit = (gpu, "GPU") if gpu else (cpu, "CPU")
    return f": {max(1, round(seconds))} {unit}-seconds" if seconds < 60 else f": {hours(cpu, gpu)}"


def shares_in_words(of: Parts | Limit) -> str:
    """'masks 71%, text 4%, seeds 25%'; '' where they are not known."""
    if of.text is None or of.seeds is None:
        return ""
    if of.masks is None:
        words = [f"text and masks {of.text:.0%}"]
    else:
        words = [f"masks {of.masks:.0%}", f"text {of.text:.0%}"]
    return ", ".join([*words, f"seeds {of.seeds:.0%}"])


def _limit(found: Parts | None, remedy: str) -> Limit:
    if found is None:
        return Limit(None, None, None, remedy)
    return Limit(found.text, found.masks, found.seeds, remedy)


def _average(of: Sequence[Parts]) -> Parts:
    """Masks by themselves where they are known of all."""
    text, masks, seeds = (
        math.fsum(each) / len(of)
        for each in zip(*((p.text, p.masks or 0.0, p.seeds) for p in of), strict=True)
    )
    if any(each.masks is None for each in of):
        return Parts(text + masks, None, seeds)
    return Parts(text, masks, seeds)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
