"""What specifications train, the published ones above all: which are equal, which are mirror images."""

import json
from contextlib import closing
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.planning.objectives import distinct, nearest, notes, objectives_of, published, trained
from sweeper.spec.load import load_spec, read_spec
from sweeper.store.queries import Reader
from sweeper.terminal.objective_text import bounds, curve, improved
from tests.sweeper import filled
from trainer.config.train_config import TrainConfig
from trainer.noise.density import FINE

BY_NAME = {each.name: each for each in published()}
PAIRS = [frozenset(pair) for pair in combinations(BY_NAME, 2)]

# docs/objectives.md says so, too. Each is one objective under several names.
EQUAL = [
    {"bell", "md4", "mdlm", "mdlm_cosine", "poly2", "sedd"},
    {"maskgit", "md4_simple"},
    {"plain_ce", "sigmoid"},
    {"bd3lm_clipped", "dfactory"},
]
UNDER_MD4S_COSINE = {"edm", "fm", "iddpm", "maskgit", "md4", "md4_simple"}
BOUNDS = EQUAL[0]
SUMS = {"eps_tenth", "fm", "maskgit", "md4_simple", "plain_ce", "sigmoid"}


def settings(**values) -> TrainConfig:
    return TrainConfig.from_dotted({name.replace("__", "."): value for name, value in values.items()})


def sweep(space: str) -> str:
    head = "name: s\nmetric: val_ppl\ntrainer: {model.size: nano}"
    return f"{head}\nspace:\n{space}\nsearch: {{trials: 2}}\n"


def test_there_are_a_dozen():
    assert len(BY_NAME) >= 12


def test_equal_and_unequal_pairs_are_found_exactly():
    found = {pair for pair in PAIRS if len({*pair}) == 2 and _same(*pair)}
    assert found == {frozenset(pair) for names in EQUAL for pair in combinations(names, 2)}


def _same(one: str, other: str) -> bool:
    return BY_NAME[one].density.same(BY_NAME[other].density)


def test_mirrored_pairs_are_found_exactly():
    found = {pair for pair in PAIRS if BY_NAME[min(pair)].density.mirrors(BY_NAME[max(pair)].density)}
    assert found == {frozenset({"mdlm_cosine", each}) for each in UNDER_MD4S_COSINE}


@pytest.mark.parametrize("name", BY_NAME)
def test_each_is_of_its_class(name):
    kind = "bound" if name in BOUNDS else "sum of bounds" if name in SUMS else "neither"
    assert BY_NAME[name].kind == kind
    assert name in {each.name for each in nearest(BY_NAME[name])[0]}


def test_babylm_has_the_values_of_its_config():
    """The row of docs/objectives.md, at the mean of the second mode that training moves towards."""
    schedule = BY_NAME["babylm"].phase.schedule
    at_its_end = TrainConfig.from_dotted(
        {"finetune.schedule": {**schedule.model_dump(), "m_start": schedule.m_end}}
    )
    row = [0.080, 0.388, 0, 0, 0, 0.001, 0.013, 0.086, 0.160, 0.099]
    assert trained(at_its_end).density.tenths == pytest.approx(row, abs=1.5e-3)


def test_what_cannot_be_told_from_a_density_is_no_bound():
    token = {"finetune__time__per": "token"}
    assert trained(settings(**token)).kind == "neither"
    assert trained(settings(finetune__block_size=1, **token)).kind == "bound"
    assert not trained(settings(**token)).same(trained(settings()))
    again = settings(finetune__masking__name="resampled", finetune__clip__low=0.2)
    assert trained(again).kind == "neither"
    assert trained(settings(finetune__masking__name="resampled")).kind == "bound", "it refuses no mask"
    assert trained(settings(finetune__masking__name="frequency")).kind == "bound"
    assert trained(settings(finetune__loss_norm="masked")).kind == "neither"
    assert not trained(settings(finetune__ar_weight=0.3)).same(trained(settings()))
    assert trained(settings(finetune__ar_weight=0.3)).name == "ar_weight 0.3"
    assert trained(settings(objective__name="ar")) is None
    assert trained(settings(pretrain__reweighting__name="edm"), "pretrain").kind == "neither"


def test_in_blocks_of_one_token_every_density_is_the_likelihood():
    """No context of a token is masked: what its rate is changes nothing, and totals alone can differ."""
    one = {"finetune__block_size": 1}
    plain, clipped = (trained(settings(**one, **more)) for more in ({}, {"finetune__clip__low": 0.3}))
    masked = trained(settings(**one, finetune__clip={"low": 1, "high": 1}))
    token = trained(settings(**one, finetune__time__per="token"))
    halved = trained(settings(**one, finetune__reweighting__name="simple"))
    assert {each.kind for each in (plain, clipped, masked, token, halved)} == {"bound"}
    assert plain.same(clipped)
    assert plain.same(masked)
    assert plain.same(token)
    assert not plain.same(halved)
    given = ["objective", "finetune.block_size=1", "finetune.clip.low=1"]
    assert "a bound: in blocks of one token" in CliRunner().invoke(app, given).output


def test_several_block_sizes_are_another_objective():
    fixed, mixed = settings(), settings(finetune__blocks={"name": "mixture", "sizes": [4, 16]})
    assert not trained(fixed).same(trained(mixed))
    assert trained(mixed).name == "blocks mixture, blocks.sizes [4, 16]"


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        ({"ar_weight": 0.2}, "ar_weight"),
        ({"loss_norm": "masked", "blocks.name": "mixture"}, "loss_norm, blocks"),
        ({"time.per": "token"}, "time.per"),
        ({"masking": {"name": "resampled"}, "clip.low": 0.3, "clip.high": 0.8}, "masking"),
    ],
)
def test_what_has_a_published_density_and_more_besides_is_not_that_one(more, fields):
    given = [f"finetune.{field}={json.dumps(value)}" for field, value in more.items()]
    text = CliRunner().invoke(app, ["objective", *given]).output
    assert text.splitlines()[-1].endswith(f"; another objective by its {fields}")
    (one,) = json.loads(CliRunner().invoke(app, ["objective", *given, "--json"]).output)["objectives"]
    assert one["nearest"]["apart"] == pytest.approx(0, abs=1e-6)
    assert not one["nearest"]["same"]


def test_an_objective_is_named_by_what_differs_from_the_default():
    plain, other = settings(), settings(finetune__schedule__name="gaussian", finetune__clip__low=0.25)
    assert trained(plain).name == "loglinear, no weight, no clip"
    assert trained(other).name == "schedule gaussian, clip.low 0.25"
    assert [each.name for each in distinct([plain, other, plain])] == [
        trained(plain).name,
        trained(other).name,
    ]


def test_check_notes_two_names_of_one_objective_and_what_names_mean_elsewhere():
    space = "  finetune.schedule.name: {choice: [loglinear, cosine, square]}"
    found = notes(read_spec(sweep(space), "s.yaml", "s"))
    assert any(each.startswith("cosine: MDLM's") for each in found)
    (same,) = (each for each in found if each.startswith("one objective under 3 names"))
    assert "schedule cosine" in same
    assert "schedule square" in same


def test_check_notes_infinite_variance_and_times_that_are_not_corrected():
    space = (
        "  finetune.reweighting.name: {choice: [none, fm]}\n"
        "  finetune.time.name: {choice: [uniform, bell]}\n"
        "  finetune.time.importance: {choice: [false], when: {finetune.time.name: bell}}"
    )
    found = notes(read_spec(sweep(space), "s.yaml", "s"))
    assert any(each.startswith("reweighting fm: the variance of its loss is infinite") for each in found)
    assert any("not corrected for (importance: false)" in each for each in found)
    assert any(
        "time for each token" in each
        for each in notes(read_spec(sweep("  finetune.time.per: {choice: [block, token]}"), "s.yaml", "s"))
    )


def test_check_notes_what_a_pretrain_trains():
    text = sweep("  finetune.lr: {log_uniform: [1.0e-4, 1.0e-2]}").replace(
        "nano}", "nano, pretrain: {PRETRAIN}}"
    )
    late = "time: {name: bell, importance: false}, schedule.name: cosine"
    found = notes(read_spec(text.replace("PRETRAIN", f"steps: 10, {late}"), "s.yaml", "s"))
    assert [each.partition(":")[0] for each in found] == [
        "pretrain, cosine",
        "pretrain, schedule cosine, time.importance False, time bell",
    ]
    assert "its times are not corrected for" in found[1]
    assert notes(read_spec(text.replace("PRETRAIN", f"steps: 0, {late}"), "s.yaml", "s")) == []


def test_check_notes_where_a_curve_is_not_the_density():
    curve = "  finetune.reweighting.name: {choice: [curve]}\n"
    of_curve = (
        "  finetune.reweighting.d0: {log_uniform: [0.1, 10], when: {finetune.reweighting.name: curve}}\n"
    )
    covering = "  finetune.schedule.name: {choice: [loglinear, cosine_md4]}\n"
    clipped = "  finetune.clip.low: {uniform: [0, 0.3]}\n"
    narrow = "  finetune.schedule.name: {choice: [gaussian]}\n"
    for cut, words in ((covering, []), (clipped, ["loglinear"]), (narrow, ["gaussian"])):
        found = notes(read_spec(sweep(curve + of_curve + cut), "s.yaml", "s"))
        said = [
            f"curve: it is not the density where schedule {each} or the clip leaves rates out"
            for each in words
        ]
        assert [each for each in found if each.startswith("curve:")] == said


def test_a_space_whose_points_all_differ_has_nothing_to_note():
    spec = load_spec(Path(__file__).parents[3] / "search_spaces" / "reweighting.yaml")
    assert notes(spec) == []
    assert len(objectives_of(spec)) == 7


def test_the_command_prints_each_and_json_the_same():
    given = ["objective", "finetune.schedule.name=cosine_md4", "finetune.reweighting.name=simple"]
    text = CliRunner().invoke(app, given).output
    assert "total          0.6373 of the bound's 1" in text
    assert "the same as maskgit, md4_simple" in text
    (one,) = json.loads(CliRunner().invoke(app, [*given, "--json"]).output)["objectives"]
    assert one["total"] == pytest.approx(0.6373, abs=1e-4)
    assert one["nearest"] == {"names": ["maskgit", "md4_simple"], "apart": pytest.approx(0), "same": True}
    assert sum(one["bounds"].values()) == pytest.approx(1)
    several = CliRunner().invoke(app, ["objective", "published/fm", "finetune.reweighting.name=edm"])
    assert several.exit_code == 3, "trainer. is missing from the override's name"
    assert CliRunner().invoke(app, ["objective", "published/fm"]).output.startswith("schedule cosine_md4")


def test_the_command_reads_a_sweep_and_a_trial_of_it(tmp_path):
    url = f"sqlite:///{tmp_path / 's.db'}"
    filled.fill(url, "mine")
    with closing(Reader(url)) as reader:
        (sweep,) = reader.sweeps()
        trial = reader.trials(sweep.id)[0]
        values = reader.configurations(sweep.id)
    every = json.loads(CliRunner().invoke(app, ["objective", sweep.name, "--db", url, "--json"]).output)
    expected = distinct(map(TrainConfig.from_dotted, values.values()))
    assert [each["objective"] for each in every["objectives"]] == [each.name for each in expected]
    one = CliRunner().invoke(app, ["objective", sweep.name, str(trial.called), "--db", url])
    assert one.output.splitlines()[0] == trained(TrainConfig.from_dotted(values[trial.configuration])).name
    wrong = CliRunner().invoke(app, ["objective", sweep.name, "x", "--db", url])
    assert (wrong.exit_code, "'x' is no trial's number" in wrong.output) == (2, True)


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (["finetune.time=bell", "finetune.clip=auto"], 3, "auto compares clips under uniform times"),
        (["finetune.shedule.name=cosine"], 3, "unknown"),
        (["objective.name=ar"], 0, "nothing is masked"),
        (["finetune.clip.low=0", "finetune.clip.high=0"], 0, "neither"),
        (
            ["finetune.schedule.name=gaussian", "finetune.schedule.mu=0", "finetune.schedule.sigma=0.001"],
            0,
            "neither",
        ),
        (["finetune.time={name: table, heights: [1e308, 1e308]}"], 3, "their sum is infinite"),
        (
            ["finetune.blocks={name: mixture, sizes: [4, 8], shares: [1e308, 1e308]}"],
            3,
            "their sum is infinite",
        ),
        (["nowhere"], 7, "no database"),
    ],
    ids=str,
)
def test_what_cannot_be_shown_is_a_sentence(given, code, words, tmp_path):
    found = CliRunner().invoke(app, ["objective", *given, "--db", f"sqlite:///{tmp_path / 'none.db'}"])
    assert found.exit_code == code
    assert words in found.output


def test_a_curve_has_its_height_and_the_bounds_sum_to_all_of_it():
    assert curve([1.0] * FINE) == "█" * 50
    assert curve([0.0] * 50 + [2.0] * 50) == " " * 25 + "█" * 25
    for one in published():
        assert sum(share for _, share in bounds(one)) == pytest.approx(1, abs=1e-6)


def test_the_bounds_of_a_sum_are_drawn_without_the_bound_itself():
    """B_.1 alone of eps = .1; of w = p each s alike, times 1 - s; nothing where the sum is the bound."""
    assert np.flatnonzero(np.array(improved(BY_NAME["eps_tenth"])) > 1e-6).tolist() == [10]
    even = np.array(improved(BY_NAME["sigmoid"]))[2:]
    np.testing.assert_allclose(even / even[0], (1 - np.arange(2, FINE) / FINE) / 0.98, rtol=1e-6)
    assert max(map(abs, improved(BY_NAME["mdlm"]))) < 2e-3
    text = CliRunner().invoke(app, ["objective", "published/eps_tenth"]).output
    assert f"s from 0 to 1  |{' ' * 5}█{' ' * 44}|" in text
