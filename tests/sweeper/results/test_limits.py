"""What keeps a row tied with the first, and what it would cost to tell."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweeper.results.leaderboard import Board, leaderboard
from sweeper.results.limits import less_known
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from trainer.evaluation.record import Evaluation, ratio_and_se
from trainer.evaluation.sizing import fine_draws

TOKENS = [300, 500, 400, 800, 650]
VARIANCE = 2.0  # s^2 of the text
EXACT: dict[str, Any] = {"bound": "enumerated", "estimator": "subsets", "draws": 15}
PLAIN: dict[str, Any] = {
    "bound": "sampled",
    "estimator": "subsets",
    "draws": 4,
    "surprisal_variance": VARIANCE,
}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/sweeps.db"


@pytest.fixture
def writer(url: str) -> Iterator[Writer]:
    store = Store(url)
    sweep = store.create_sweep(name="s", spec_text="", spec={}, code_version="1", folder="")
    store.take_lease(sweep.id, "me", 3600)
    yield store.writer(sweep.id, "me")
    store.close()


def board(url: str) -> Board:
    reader = Reader(url)
    try:
        return leaderboard(reader, "s")
    finally:
        reader.close()


def an_evaluation(level_D: list[float], way: dict[str, Any]) -> Evaluation:
    nats = [level * tokens for level, tokens in zip(level_D, TOKENS, strict=True)]
    return Evaluation("valid", 9, *ratio_and_se(nats, TOKENS), {}, way, nats, TOKENS)


def add(
    writer: Writer,
    block_size: int,
    level_D: list[float],
    way: dict[str, Any],
    *,
    seed: int,
    role: str = "search",
    stage: str | None = None,
    name: str = "",
) -> int:
    values = {"finetune.block_size": block_size, "name": name}
    configuration = writer.add_configuration(f"{block_size} {name}", values)
    said = {"params": {}, "distributions": {}, "system_attrs": {}, "stage": stage}
    trial = writer.add_trial(configuration=configuration, role=role, seed=seed, steps=9, **said).id
    attempt = writer.start_trial(trial)
    writer.add_rows(trial, attempt, [], [an_evaluation(level_D, way)])
    writer.end_trial(trial, attempt, "complete", cpu_seconds=10.0)
    return trial


# Of the difference of two rows, nats per token, by seed and document.
DIFFERENCE_SD = np.array(
    [[0.01, 0.05, -0.02, 0.03, 0.0], [0.03, 0.04, 0.0, 0.02, 0.01], [0.0, 0.06, -0.03, 0.05, -0.02]]
)


def fill(writer: Writer, ways: tuple[dict[str, Any], dict[str, Any]], blocks: tuple[int, int]) -> None:
    stages = []
    for seed, difference_D in enumerate(DIFFERENCE_SD):
        stage = writer.add_stage(key=f"{seed:016x}", steps=5, values={}, folder="")
        writer.end_stage(stage.key, writer.start_stage(stage.key), "complete", cpu_seconds=100.0)
        stages.append(stage.key)
        both = zip(blocks, ways, (0 * difference_D, difference_D), "ab", strict=True)
        for block, way, level_D, name in both:
            levels = (5.0 + seed + level_D).tolist()
            add(writer, block, levels, way, seed=seed, role="baseline", stage=stages[-1], name=name)


def variances() -> tuple[float, float]:
    """(text, seeds) of the difference's mean, slowly."""
    total = sum(TOKENS)
    mean_D = DIFFERENCE_SD.mean(0)
    value = sum(d * t for d, t in zip(mean_D, TOKENS, strict=True)) / total
    text = sum(((d - value) * t / total) ** 2 / (1 - t / total) for d, t in zip(mean_D, TOKENS, strict=True))
    of_seed_S = [sum(d * t for d, t in zip(row, TOKENS, strict=True)) / total for row in DIFFERENCE_SD]
    pairs = list(itertools.combinations(of_seed_S, 2))
    return text, sum((a - b) ** 2 for a, b in pairs) / len(pairs) / 2 / 3


def test_masks_are_told_from_text_where_only_one_row_has_them(url: str, writer: Writer) -> None:
    fill(writer, (EXACT, PLAIN), (4, 16))
    text, seeds = variances()
    masks = VARIANCE / sum(TOKENS) * sum(1 / n for n in range(2, 17)) / 4
    assert masks > text  # so all that documents show may be theirs
    found = board(url)
    first, second = found.rows
    assert first.limits is None
    assert second.limits is not None
    assert second.limits.text == pytest.approx(0, abs=1e-12)
    assert second.limits.masks == pytest.approx(text / (text + seeds))
    assert second.limits.seeds == pytest.approx(seeds / (text + seeds))
    number = fine_draws(0.005, VARIANCE / sum(TOKENS), 16)
    assert second.limits.remedy == f"re-evaluate 1 row with {number} masks"  # nobody has paid for any yet
    assert second.to_json()["limits"] == second.limits._asdict()


def test_many_masks_leave_text(url: str, writer: Writer) -> None:
    many = {**PLAIN, "draws": 400}
    fill(writer, (EXACT, many), (4, 16))
    text, seeds = variances()
    masks = VARIANCE / sum(TOKENS) * sum(1 / n for n in range(2, 17)) / 400
    assert masks < text / 2
    limits = board(url).rows[1].limits
    assert limits is not None
    assert limits.masks == pytest.approx(masks / (text + seeds))
    assert limits.text == pytest.approx((text - masks) / (text + seeds))


def test_the_price_is_that_of_what_was_scored_again(url: str, writer: Writer) -> None:
    """Three runs at 2 CPU-seconds for 64 masks each."""
    fill(writer, (EXACT, PLAIN), (4, 16))
    other = add(writer, 32, [9.0] * 5, PLAIN, seed=0)
    writer.add_scores(other, 0, [an_evaluation([9.0] * 5, {**PLAIN, "draws": 64})], cpu_seconds=2.0)
    number = fine_draws(0.005, VARIANCE / sum(TOKENS), 16)
    price = round(3 * number * 2.0 / 64)
    assert 1 < price < 60
    found = board(url)
    (tied,) = [row for row in found.rows if row.limits]
    assert tied.limits is not None
    assert tied.limits.remedy == f"re-evaluate 1 row with {number} masks: {price} CPU-seconds"
    assert found.limits[1] == f"Cheapest: {tied.limits.remedy}."
    assert found.said[-1] == found.limits[1]


def test_common_masks_are_not_told_from_text(url: str, writer: Writer) -> None:
    """Two rows of one block size have the same masks: what these leave in a difference no formula says."""
    fill(writer, (PLAIN, PLAIN), (16, 16))
    text, seeds = variances()
    limits = board(url).rows[1].limits
    assert limits is not None
    assert (limits.text, limits.masks) == (pytest.approx(text / (text + seeds)), None)
    number = fine_draws(0.005, VARIANCE / sum(TOKENS), 16)
    assert limits.remedy == f"re-evaluate 2 rows with {number} masks"


def test_text_alone(url: str, writer: Writer) -> None:
    """Exact rows: no masks."""
    fill(writer, (EXACT, EXACT), (4, 2))
    text, seeds = variances()
    limits = board(url).rows[1].limits
    assert limits is not None
    assert limits.masks == 0.0
    assert limits.text == pytest.approx(text / (text + seeds))
    assert text > seeds
    assert limits.remedy == "more evaluation text for 2 rows (evaluation.sequences)"


def test_one_seed_of_everything_is_limited_by_seeds(url: str, writer: Writer) -> None:
    add(writer, 4, [5.0] * 5, EXACT, seed=0)
    add(writer, 2, [5.1] * 5, EXACT, seed=0)
    found = board(url)
    limits = found.rows[1].limits
    assert limits is not None
    assert (limits.text, limits.masks, limits.seeds) == (None, None, None)
    assert found.limits == ["Cheapest: 2 more seeds of 2 rows: 40 CPU-seconds."]


def test_a_board_with_a_winner_has_nothing_that_limits_it(url: str, writer: Writer) -> None:
    for seed in range(3):
        add(writer, 4, [5.0 + 0.001 * seed] * 5, EXACT, seed=seed, role="baseline")
        add(writer, 2, [9.0] * 5, EXACT, seed=seed, role="baseline")
    found = board(url)
    assert found.winner is not None
    assert found.limits == []
    assert math.isclose(found.rows[0].p_best or 0.0, 1.0, abs_tol=1e-3)


def test_seeds_are_priced_with_the_pretrains_that_they_share(url: str, writer: Writer) -> None:
    """A seed of both rows is a pretrain of 100 s and two runs of 10 s; two seeds are 240 s."""
    for seed, difference in enumerate((0.01, -0.01, 0.03)):
        stage = writer.add_stage(key=f"{seed:016x}", steps=5, values={}, folder="")
        writer.end_stage(stage.key, writer.start_stage(stage.key), "complete", cpu_seconds=100.0)
        for block, level in ((4, 5.0), (2, 5.0 + difference)):
            add(writer, block, [level + seed] * 5, EXACT, seed=seed, role="baseline", stage=stage.key)
    found = board(url)
    assert found.limits == [
        "What limits it: masks 0%, text 0%, seeds 100% of the variance of a difference to the first.",
        "Cheapest: 2 more seeds of 2 rows: 4.0 CPU-minutes.",
    ]


def test_each_round_of_a_race_has_masks_of_its_own(url: str) -> None:
    """They are in the scatter over documents and in that over seeds; three rounds leave a third of them."""
    store = Store(url)
    spec = {"settle": {"within": 0.0001, "seeds": 8}}
    sweep = store.create_sweep(name="s", spec_text="", spec=spec, code_version="1", folder="")
    store.take_lease(sweep.id, "me", 3600)
    writer = store.writer(sweep.id, "me")
    many = {**PLAIN, "draws": 4000}
    for seed, difference_D in enumerate([DIFFERENCE_SD[0], *DIFFERENCE_SD]):
        for block, way, level_D in ((4, EXACT, 0 * difference_D), (16, many, difference_D)):
            levels = (5.0 + seed + level_D).tolist()
            trial = add(writer, block, levels, way, seed=seed, role="race" if seed else "search")
            if seed:
                writer.add_scores(trial, seed, [an_evaluation(levels, {**way, "round": seed})])
    store.close()
    text, seeds = variances()
    masks = VARIANCE / sum(TOKENS) * sum(1 / n for n in range(2, 17)) / 4000 / 3
    assert masks < min(text, seeds)
    found = board(url)
    assert [row.confirmed_seeds for row in found.rows] == [3, 3]
    limits = found.rows[1].limits
    assert limits is not None
    total = text + seeds - masks
    assert (limits.text, limits.masks, limits.seeds) == pytest.approx(
        ((text - masks) / total, masks / total, (seeds - masks) / total)
    )
    assert limits.remedy == "more evaluation text for 2 rows (evaluation.sequences)"


def test_which_of_two_scores_of_a_checkpoint_is_known_better() -> None:
    """Of one text: by the number of masks and the estimator; said of nothing that no formula covers."""

    def way(draws: int, estimator: str = "subsets, controlled", bound: str = "sampled") -> dict[str, object]:
        return {"bound": bound, "estimator": estimator, "draws": draws}

    assert less_known(way(4), way(16), 16)
    assert not less_known(way(16), way(4), 16)
    assert not less_known(way(4), way(4), 16)
    assert less_known(way(16, "subsets"), way(16), 16)
    assert not less_known(way(4, bound="exact"), way(16, bound="exact"), 1)
    assert less_known(way(4, "stratified p"), way(8, "stratified p"), 16)
    assert not less_known({}, way(8), 16)
