"""What is found by making every run that a specification stands for, before any starts."""

# ruff: noqa: E501 (tables: a line is a case)

from sweeper.spec.spec import SweepSpec
from tests.sweeper.spec.texts import GOOD, problems, read, with_space
from trainer.settings.blocks import Curriculum, FixedBlocks, Mixture


def test_a_condition_that_excludes_another_is_found() -> None:
    found = problems(
        with_space(
            "  finetune.batch_size: {choice: [1, 2]}",
            "  finetune.block_size: {choice: [4, 8], when: {finetune.batch_size: 1}}",
            "  finetune.lr: {uniform: [1, 2], when: {finetune.batch_size: 2, finetune.block_size: 4}}",
        )
    )
    assert found == ["sweep.yaml:6:34: finetune.lr: never exists: its conditions exclude each other"]


def test_what_only_two_dimensions_together_break_is_found() -> None:
    found = problems(with_space("  model.width: {choice: [64, 96]}", "  model.heads: {choice: [2, 6]}"))
    assert len(found) == 1
    assert found[0].startswith("sweep.yaml:")
    assert "64 is not a multiple" in found[0]
    assert "where" in found[0]


def test_a_fixed_value_of_another_kind_is_explained() -> None:
    found = problems(GOOD.replace("  finetune.steps: 20\n", "  finetune.schedule.sigma: 0.2\n"))
    assert found[0].startswith("sweep.yaml:7:3: finetune.schedule.sigma: not a field of loglinear")


LISTS = """\
trainer:
  data.length: 64
  finetune.block_size: 4
  finetune.blocks.sizes: [1, 4]
  finetune.blocks.shares: [1, 3]
"""
NAMES = "space: {finetune.blocks.name: {choice: [fixed, mixture]}}\nsearch: {sampler: grid}\n"


def test_a_list_is_of_the_kinds_that_have_it() -> None:
    spec = SweepSpec.from_resolved(read(LISTS + NAMES).resolved())
    found = [spec.train_config(point, 0).finetune.blocks for point in spec.space.points()]
    assert found == [FixedBlocks(), Mixture(sizes=(1, 4), shares=(1, 3))]
    always = f"{LISTS}  finetune.blocks.name: curriculum\nalways: [{{}}, {{finetune.blocks.name: fixed}}]\n"
    spec = read(always)
    found = [spec.train_config(entry, 0).finetune.blocks for entry in spec.always]
    assert found == [Curriculum(sizes=(1, 4), shares=(1, 3)), FixedBlocks()]


def test_a_list_that_no_run_has_is_found() -> None:
    said = "finetune.blocks.name is never curriculum or mixture"
    assert problems(LISTS + NAMES.replace(", mixture", "")) == [
        f"sweep.yaml:4:3: finetune.blocks.sizes: of no run: {said}",
        f"sweep.yaml:5:3: finetune.blocks.shares: of no run: {said}",
    ]
    fixed = f"{LISTS}  finetune.blocks.name: fixed\nalways: [{{}}]\n"
    assert any("finetune.blocks.sizes: not a field of fixed" in line for line in problems(fixed))


def test_points_lie_in_the_space() -> None:
    text = GOOD.replace(
        "seed: 3}", "seed: 3, points: [{finetune.block_size: 4, finetune.schedule.name: gaussian}]}"
    )
    assert any("finetune.lr: missing: a point gives every searched value" in line for line in problems(text))
    inside = text.replace("name: gaussian}]", "name: loglinear, finetune.lr: 0.001}]")
    assert read(inside).search.points == (
        {"finetune.block_size": 4, "finetune.schedule.name": "loglinear", "finetune.lr": 0.001},
    )


def test_what_constraints_forbid_is_not_tried() -> None:
    """Without the constraint: a lower clip that could lie above the upper one."""
    text = GOOD.replace(
        "space:\n",
        "space:\n  finetune.clip.low: {uniform: [0, 0.9]}\n  finetune.clip.high: {uniform: [0.1, 1]}\n",
    )
    assert any("finetune.clip" in line for line in problems(text))
    spec = read(text + "constraints: [finetune.clip.low < finetune.clip.high]\n")
    assert spec.constraints == ("finetune.clip.low < finetune.clip.high",)
    assert SweepSpec.from_resolved(spec.resolved()).space.broken(
        {"finetune.clip.low": 0.5, "finetune.clip.high": 0.4}
    )


def test_points_and_baselines_that_break_a_constraint_are_named() -> None:
    point = "{finetune.block_size: 16, finetune.schedule.name: loglinear, finetune.lr: 0.001}"
    text = (
        GOOD.replace("seed: 3", f"seed: 3, points: [{point}]") + "constraints: [finetune.block_size < 16]\n"
    )
    assert problems(text) == [
        "sweep.yaml:15:5: always[0]: breaks the constraint finetune.block_size < 16",
        "sweep.yaml:16:54: search.points[0].finetune.block_size: breaks the constraint finetune.block_size < 16",
    ]
