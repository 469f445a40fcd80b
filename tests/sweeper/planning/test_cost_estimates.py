"""What a trial will take: as those of its shape that ended, else as a calibration says."""

from sweeper.planning.cost_estimates import CostEstimates, Measured, shape_of
from sweeper.spec.budget import Amount
from tests.sweeper.driving import make_spec


def test_estimates_are_of_what_ended_else_of_a_calibration() -> None:
    values = make_spec().train_config({"finetune.block_size": 4}, 0).to_dotted()
    other = {**values, "finetune.block_size": 8}
    fast = {**values, "finetune.schedule.name": "cosine", "finetune.lr": 1e-5, "seed": 9}
    assert shape_of(values, "finetune") == shape_of(fast, "finetune") != shape_of(other, "finetune")
    measured = {shape_of(values, "finetune"): Measured(0.5, 2.0, 3.0, 1.0, 0, 0)}
    estimates = CostEstimates(0.25, measured)
    # 4 steps, evaluated at 2 (and, as what comes at the end, at 4)
    assert estimates.of(values, "finetune", 4) == Amount(8.0, 2.0, 0, 4 * 16 * 64)
    assert estimates.of(other, "finetune", 4).seconds == 0.0
    estimates.learn(values, "finetune", 4, 20.0)
    estimates.learn(values, "finetune", 2, 14.0)
    assert estimates.of(values, "finetune", 4).seconds == 4 * 6.0
    assert (
        estimates.of(other, "finetune", 4).seconds == 4 * 6.0
    )  # nobody has seen it: as the slowest there was


def test_what_a_step_computes_tells_shapes_apart_and_what_it_weighs_does_not() -> None:
    def shape(**values: object) -> str:
        dotted = {f"finetune.{name.replace('__', '.')}": value for name, value in values.items()}
        return shape_of(make_spec().train_config({**dotted}, 0).to_dotted(), "finetune")

    assert shape(ar_weight=0.1) == shape(ar_weight=0.2) != shape()
    assert shape(blocks__name="mixture") != shape()
    assert shape(lr_schedule__name="cosine", weight_decay=0.1, clip_norm=2.0) == shape()
