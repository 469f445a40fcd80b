"""`space` and `constraints`: what is wrong with them is named with its place, and blamed on nothing else."""

# ruff: noqa: E501 (tables: a line is a case)

import pytest

from tests.sweeper.spec.texts import GOOD, problems, with_space


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("  finetune.shedule.name: {choice: [cosine]}", "4:3: finetune.shedule: unknown; did you mean finetune.schedule?"),
        ("  finetune.block_size: {chioce: [4]}", "4:25: finetune.block_size.chioce: unknown; did you mean choice?"),
        ("  finetune.block_size: {choice: []}", "4:25: finetune.block_size: an empty choice"),
        ("  finetune.block_size: {choice: 4}", "4:25: finetune.block_size: choice needs [value, ...], got 4"),
        ("  finetune.block_size: {choice: [4, [8]]}", "4:37: finetune.block_size: must be a plain value, got [8]"),
        ("  finetune.block_size: {choice: [4, 8, 4]}", "4:25: finetune.block_size: choice 4 stands twice"),
        ("  finetune.block_size: {choice: [4, 8], int: [1, 2]}", "4:3: finetune.block_size: give one of choice and int"),
        ("  finetune.block_size: [4, 8]", "4:3: finetune.block_size: say how to vary it"),
        ("  finetune.block_size: {}", "4:3: finetune.block_size: say how to vary it"),
        ("  finetune.block_size:", "4:3: finetune.block_size: say how to vary it"),
        ("  finetune.block_size: {choice: [4, 5, 8]}", "4:37: finetune.block_size: 5 does not divide"),
        ("  finetune.block_size: {choice: [4, x]}", "4:37: finetune.block_size: must be a valid integer, got 'x'"),
        ("  finetune.block_size: {int: [1, 4]}", "4:3: finetune.block_size: 3 does not divide"),
        ("  finetune.batch_size: {uniform: [1, 4]}", "4:3: finetune.batch_size: must be a valid integer"),
        ("  finetune.clip.low: {uniform: [0.0, 1.5]}", "4:3: finetune.clip.low: must be less than or equal to 1, got 1.5"),
        ("  finetune.lr: {uniform: [2, 1]}", "4:17: finetune.lr: uniform from low to high, but 2.0 is not below 1.0"),
        ("  finetune.lr: {uniform: [2]}", "4:17: finetune.lr: uniform needs [low, high], got [2]"),
        ("  finetune.lr: {log_uniform: [0, 1]}", "4:31: finetune.lr: must be greater than 0, got 0"),
        ("  finetune.batch_size: {int: [1, 2.5]}", "4:34: finetune.batch_size: must be a valid integer, got 2.5"),
        ("  data.length: {choice: [32, 64]}", "4:3: data.length: cannot be searched: rows measured on different text"),
        ("  evaluation.draws: {choice: [1, 2]}", "4:3: evaluation.draws: cannot be searched: rows measured in different"),
        ("  samples.sampler.steps: {choice: [1, 2]}", "4:3: samples.sampler.steps: cannot be searched: text drawn"),
        ("  seed: {choice: [1, 2]}", "4:3: seed: cannot be searched: trials share search.seed"),
        ("  checkpoint.every: {choice: [1, 2]}", "4:3: checkpoint.every: cannot be searched: it does not move"),
        ("  log_every: {choice: [1, 2]}", "4:3: log_every: cannot be searched: it does not move a result"),
        (
            "  finetune.schedule.mu: {uniform: [0, 1], when: {finetune.schedule.name: gaussian}}",
            "4:50: finetune.schedule.mu: when: finetune.schedule.name is neither in the space nor fixed",
        ),
        (
            "  finetune.lr: {uniform: [1, 2], when: {finetune.sched: 1}}",
            "4:41: finetune.lr: when: finetune.sched is unknown; did you mean finetune.schedule?",
        ),
        (
            "  finetune.lr: {uniform: [1, 2], when: {data.length: 32}}",
            "4:41: finetune.lr: when: data.length is never 32, only 64",
        ),
        ("  finetune.lr: {uniform: [1, 2], when: 3}", "4:34: finetune.lr.when: must be {key: value} or {key: [values]}"),
        (
            "  finetune: {lr: {uniform: [1, 2]}, batch_size: {choice: [1], when: {finetune.lr: 1}}}",
            "finetune.batch_size: when: finetune.lr is a continuous range; only a choice or an int can be a condition",
        ),
        (
            "  finetune: {lr: {choice: [1, 2], when: {finetune.batch_size: 1}}, batch_size: {choice: [1], when: {finetune.lr: 1}}}",
            "the conditions run in a circle",
        ),
        (
            "  finetune.schedule: {name: {choice: [gaussian, cosine]}, mu: {uniform: [0.1, 0.2]}}",
            "finetune.schedule.mu: not a field of cosine, which finetune.schedule.name can be; "
            "search it, or a single choice of it, with when: {finetune.schedule.name: gaussian}",
        ),
    ],
)  # fmt: skip
def test_a_wrong_dimension_is_named_with_its_place(line: str, said: str) -> None:
    found = problems(with_space(line))
    assert any(said in each for each in found), found
    assert len(found) == 1


def test_a_key_both_searched_and_fixed_is_refused() -> None:
    found = problems(GOOD.replace("  finetune.steps: 20\n", "  finetune: {steps: 20, block_size: 4}\n"))
    assert found == [
        "sweep.yaml:9:3: finetune.block_size: searched here and fixed under trainer; say it once"
    ]


def test_a_misspelt_key_is_not_held_against_those_that_name_it() -> None:
    found = problems(GOOD.replace("  finetune.schedule.name: {choice", "  finetune.shedule.name: {choice"))
    assert found == ["sweep.yaml:10:3: finetune.shedule: unknown; did you mean finetune.schedule?"]


CONSTRAINED = GOOD + "constraints:\n  - finetune.lr * 100 < finetune.schedule.mu\n"


def constrained(text: str) -> list[str]:
    """What is wrong, of a constraint that stands on line 18 from column 5 on."""
    return problems(CONSTRAINED.replace("finetune.lr * 100 < finetune.schedule.mu", text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("finetune.lr <", "'finetune.lr <' is no comparison; it may have numbers, names,"),
        ("finetune.lr", "'finetune.lr' compares no parameters; as in finetune.clip.low < finetune.clip.high"),
        ("1 < 2", "'1 < 2' compares no parameters"),
        ("open(finetune.lr) < 1", "'open(finetune.lr)' is not read; a constraint has numbers, names,"),
        ("finetune.lr ** 2 < 1", "'finetune.lr ** 2' is not read"),
        ("finetune.lrr < 1", "finetune.lrr is unknown; did you mean finetune.lr?"),
        (
            "finetune.clip.low < finetune.lr",
            "finetune.clip.low is neither in the space nor fixed under trainer",
        ),
        ("pretrain.steps < 1000", "'pretrain.steps < 1000' is about nothing that is searched"),
        ("finetune.schedule.name < 3", "finetune.schedule.name is text or null where a number is needed"),
        ("finetune.lr and finetune.lr < 1", "finetune.lr is a number where true or false is needed"),
        ("finetune.lr < 1 + (finetune.lr < 2)", "finetune.lr < 2 is true or false where a number is needed"),
        ("finetune.lr < " + "1 + " * 100 + "1", "at most 300 characters, not 415"),
    ],
)
def test_a_wrong_constraint_is_named_with_its_place(text: str, said: str) -> None:
    (found,) = constrained(text)
    assert found.startswith(f"sweep.yaml:18:5: constraints[0]: {said}")


def test_a_misspelt_dimension_is_not_said_again_by_a_constraint() -> None:
    found = problems(CONSTRAINED.replace("lr: {log_uniform", "lr: {log_unifrm"))
    assert [line.split(": ")[1] for line in found] == ["finetune.lr.log_unifrm"]


def test_what_a_misspelt_constraint_was_to_forbid_is_not_blamed() -> None:
    space = "space: {finetune.clip.low: {uniform: [0, 1]}, finetune.clip.high: {uniform: [0, 1]}}\n"
    found = problems(space + "search.trials: 1\nconstraints: [finetune.clip.lo < finetune.clip.high]\n")
    assert [line.split(": ")[1] for line in found] == ["constraints[0]"]
