"""What sections say together: of the sampler, the metrics and the space."""

from sweeper.planning.plan import plan
from sweeper.spec.sections import Settle
from sweeper.strategies.samplers import SAMPLERS
from tests.sweeper.spec.texts import GOOD, problems, read

LEARNERS = [name for name, each in SAMPLERS.items() if each.learns]


def test_a_grid_over_a_continuum_is_refused() -> None:
    found = problems(GOOD.replace("sampler: tpe", "sampler: grid"))
    assert found == [
        "sweep.yaml:16:10: search.sampler: no grid over a continuous range: finetune.lr, finetune.schedule.mu"
    ]


def test_a_grid_has_the_points_that_satisfy_the_constraints_and_check_counts_the_others() -> None:
    space = "space: {finetune.block_size: {choice: [4, 8, 16]}, finetune.batch_size: {int: [2, 9]}}\n"
    text = space + "search: {sampler: grid}\nconstraints: [finetune.block_size * finetune.batch_size <= 32]\n"
    wanted = [(a, b) for a in (4, 8, 16) for b in range(2, 10) if a * b <= 32]
    spec = read(text)
    assert sorted((p["finetune.block_size"], p["finetune.batch_size"]) for p in spec.space.points()) == wanted
    assert (spec.search.trials, plan(spec).trials, plan(spec).skipped) == (
        len(wanted),
        len(wanted),
        24 - len(wanted),
    )
    assert problems(text.replace("<= 32", "< 8")) == [
        "sweep.yaml:3:1: constraints: no point of the space satisfies them"
    ]


def test_only_a_sampler_that_learns_can_start_warm() -> None:
    assert read(GOOD, "search.warm_start=other").search.warm_start == ("other",)
    for overrides, said in (
        (
            ["search.warm_start=other", "search.sampler=random"],
            f"sampler random learns nothing from other sweeps; {' and '.join(LEARNERS)} do",
        ),
        (["search.warm_start=[other, good]"], "'good' is this sweep itself"),
    ):
        (found,) = problems(GOOD, *overrides)
        assert found.endswith(f"search.warm_start: {said}")


def test_a_race_of_each_value_needs_values_that_rows_can_share() -> None:
    for by, said in (
        (
            "finetune.lr",
            "finetune.lr is a continuous range: no two rows share a value, so that nobody would race",
        ),
        ("finetune.batch_size", "finetune.batch_size has 17 values: a race of each is for 16 at most"),
        ("finetune.none", "finetune.none is no dimension of the space"),
    ):
        text = GOOD + f"settle: {{by: {by}}}\n"
        (found,) = problems(text, "space.finetune.batch_size.int=[2, 18]")
        assert found.endswith(f"settle.by: {said}")
    assert read(GOOD, "settle={by: ''}").settle == Settle()
