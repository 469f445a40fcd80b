"""The smallest difference that a spec can see: as the board would, four times in five."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.planning.resolution import Resolution, in_words, resolution
from sweeper.statistics.differences import differences
from sweeper.statistics.field import field_of
from sweeper.statistics.quantiles import dunnett
from sweeper.statistics.standings import SPENT
from sweeper.store.store import Store
from tests.sweeper.driving import STAGED, TEXT, make_spec
from tests.sweeper.statistics.boards import TOKENS, flat
from trainer.evaluation.record import Evaluation, ratio_and_se

NO_MASKS = "trainer.evaluation.rank_error=1e-9"
TWO = "always=[{finetune.block_size: 16}, {finetune.block_size: 32}]"


def test_of_two_it_is_a_t_test_and_masks_do_not_average_out() -> None:
    spec = make_spec(*STAGED, "search.trials=9", "confirm={top: 2, seeds: 5}")
    found = resolution(spec, 9, 0.01)
    times = stats.t.ppf(0.96, 4) + stats.norm.ppf(0.8)
    expected = times * math.sqrt(2 * 0.01**2 / 5 + 2 * 0.005**2)
    assert found == Resolution("confirm", 2, 5, (0.01,), (pytest.approx(expected, rel=1e-4),))


def test_baselines_alone_have_seeds_of_their_own() -> None:
    spec = make_spec(*STAGED, TWO, "always_seeds=8", "search.trials=0", NO_MASKS)
    found = resolution(spec, 0, 0.01)
    times = stats.t.ppf(0.96, 7) + stats.norm.ppf(0.8)
    expected = times * math.sqrt(2 * 0.01**2 / 8)
    assert found == Resolution("replicates", 2, 8, (0.01,), (pytest.approx(expected, rel=1e-4),))
    assert resolution(spec, 3, 0.01).seeds == 1, "what is searched has one"


def test_masks_of_a_race_average_out() -> None:
    spec = make_spec(*STAGED, "search.trials=9", "settle={seeds: 5, contenders: 2}")
    found = resolution(spec, 9, 0.01)
    times = stats.t.ppf(0.96, 4) + stats.norm.ppf(0.8)
    expected = times * math.sqrt(2 * (0.01**2 + 0.005**2) / 5)
    assert (found.by, found.difference) == ("settle", (pytest.approx(expected, rel=1e-4),))


@pytest.mark.parametrize(("configurations", "seeds"), [(6, 8), (3, 4)])
def test_the_board_tells_two_apart_about_four_times_in_five(configurations: int, seeds: int) -> None:
    """The last is worse than the others by that much; how often does the bound between it and the first of
    them say so?"""
    spec = make_spec(*STAGED, f"replicates={seeds}", f"search.trials={configurations}", NO_MASKS)
    (difference,) = resolution(spec, configurations, 0.01).difference
    rng = np.random.default_rng(8)
    boards, seen = 600, 0
    for _ in range(boards):
        noise_CS = rng.normal(0, 0.01, (configurations, seeds))
        noise_CS[-1] += difference
        levels = {(c, s): 5 + 0.1 * s + noise for (c, s), noise in np.ndenumerate(noise_CS)}
        found = differences(field_of(flat(levels), TOKENS)[1], [0])
        bound_C1 = found.half_width(lambda d: dunnett(configurations, d, SPENT), 0.0)
        seen += found.mean_CK[-1, 0] > bound_C1[-1, 0]
    assert 0.75 < seen / boards < 0.85


def test_one_seed_and_nothing_that_shows_a_spread_sees_nothing() -> None:
    found = resolution(make_spec(*STAGED, "search.trials=3"), 3)
    assert found.difference == ()
    assert in_words(found).startswith("no difference: 3 configurations on 1 seed")
    with_two = resolution(make_spec(*STAGED, "search.trials=3", TWO), 3)
    assert (with_two.configurations, with_two.seeds, len(with_two.difference)) == (5, 1, 2)
    assert "may screen one out and name no winner" in in_words(with_two)
    assert in_words(resolution(make_spec(*STAGED, "search.trials=1"), 1)).startswith(
        "no difference: there is"
    )


def test_more_seeds_see_more() -> None:
    by_seeds = [
        resolution(make_spec(*STAGED, "search.trials=9", f"settle={{seeds: {n}}}"), 9, 0.01).difference[0]
        for n in (2, 4, 8, 16)
    ]
    assert by_seeds == sorted(by_seeds, reverse=True)


def test_earlier_sweeps_of_the_store_say_how_seeds_scatter(tmp_path: Path) -> None:
    """Two configurations on three seeds, on the same data: differences .01, .03 and -.01, so a variance of
    .0004 of a pair's and E = sqrt(.0002)."""
    given = [*STAGED, "search.trials=9", "settle={seeds: 8}"]
    url, spec = f"sqlite:///{tmp_path}/sweeps.db", make_spec(*given)
    store = Store(url)
    for name, other in (("same", {}), ("other", {"data.length": 9999})):
        told = {"trainer": {**spec.trainer, **other}}
        sweep = store.create_sweep(name=name, spec_text="", spec=told, code_version="1", folder="")
        store.take_lease(sweep.id, "me", 3600)
        writer = store.writer(sweep.id, "me")
        for seed, difference in enumerate((0.01, 0.03, -0.01)):
            for which, level in (("a", 5.0 + seed), ("b", 5.0 + seed + difference * (1 + 9 * bool(other)))):
                said = {"params": {}, "distributions": {}, "system_attrs": {}, "steps": 9, "role": "baseline"}
                configuration = writer.add_configuration(f"{name} {which}", {"lr": which})
                trial = writer.add_trial(configuration=configuration, seed=seed, **said).id
                nats = [level * t for t in TOKENS]
                evaluation = Evaluation("valid", 9, *ratio_and_se(nats, TOKENS), {}, {}, nats, TOKENS)
                writer.add_rows(trial, writer.start_trial(trial), [], [evaluation])
                writer.end_trial(trial, 1, "complete")
    store.close()
    place = tmp_path / "spec.yaml"
    place.write_text(TEXT)
    words = CliRunner().invoke(app, ["check", str(place), "--db", url, *given]).stdout
    assert f"scatter of a seed {math.sqrt(0.0002):.2g} nats (in earlier sweeps here)" in words
    nowhere = ["check", str(place), "--db", f"sqlite:///{tmp_path}/none.db", *given]
    assert "scatter of a seed 0.004 to 0.02 nats (assumed)" in CliRunner().invoke(app, nowhere).stdout
    assert not (tmp_path / "none.db").exists()
