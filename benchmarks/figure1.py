"""python -m benchmarks.figure1 [--quick]: why block size 1 falls short of AR, and what mends it.

Training and validation NLL of an autoregressive model, of BD3-LM at L' = 1 under log-linear noise, and of
L' = 1 with everything masked (clip [1, 1], the tuned schedule of Arriola et al. 2025, arXiv 2503.09573,
section 4; the report's Figure 1). All three validation curves are exact. Under log-linear noise half of the
tokens have no loss in a step and the others weights of up to 1,000: the training curve estimates the same
NLL without bias, but noisily. With everything masked each step scores each token once, as AR does.
The figure is drawn where --write or --out says, with a Chromium that playwright finds, else as .html.
"""

import time
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from benchmarks.document import DOCS, finish, options
from benchmarks.drawing import drawings
from trainer.config.train_config import TrainConfig
from trainer.evaluation.record import Report
from trainer.training.train import train

WIDTH, HEIGHT = 1100, 460


class Model(NamedTuple):
    label: str
    colour: str
    settings: dict[str, Any]


MODELS = (
    Model("AR", "#1b6ca8", {"objective.name": "ar"}),
    Model("L' = 1, log-linear", "#c2512d", {"finetune.block_size": 1}),
    Model("L' = 1, tuned: all masked", "#3a8f4d", {"finetune.block_size": 1, "finetune.clip.low": 1}),
)


class Row(NamedTuple):
    model: str
    val_nelbo: float  # nats per token, exact, at the last step
    val_nelbo_se: float  # by document
    test_nelbo: float  # of the best checkpoint
    train_loss: float  # mean of the last quarter's rows
    train_spread: float  # standard deviation of a row about the row before, over sqrt 2: the curve's noise
    grad_norm_var: float  # mean of the last quarter's rows
    seconds: float  # of training


def main() -> None:
    parser = options("figure1", __doc__, quick="60 steps.")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="KEY=VALUE",
        help="name=files train=FILE document=heading; default: pydocs.",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="For the figure.")
    given = parser.parse_args()
    steps = 60 if given.quick else given.steps
    log_every = max(2, steps // 160)
    settings: dict[str, Any] = {
        "pretrain.steps": 0,
        "finetune.steps": steps,
        "evaluation": {"every": 10 * log_every, "variance_batches": 0},
        "log_every": log_every,
        "data": dict(word.split("=", 1) for word in given.data or ["name=pydocs"]),
    }
    began = time.monotonic()
    curves = {model.label: reports_of({**settings, **model.settings}) for model in MODELS}
    rows = [row_of(label, reports) for label, reports in curves.items()]

    print(f"{'':<28}{'val NLL':>9}{'s.e.':>8}{'test':>9}{'train':>9}{'noise':>8}{'var |g|':>9}{'s':>7}")
    for row in rows:
        print(
            f"{row.model:<28}{row.val_nelbo:>9.4f}{row.val_nelbo_se:>8.4f}{row.test_nelbo:>9.4f}"
            f"{row.train_loss:>9.4f}{row.train_spread:>8.4f}{row.grad_norm_var:>9.4f}{row.seconds:>7.1f}"
        )
    drawn = drawings({"figure1": lambda: figure(curves)}, DOCS if given.write else given.out)
    print("; ".join([f"nats per token after {steps} steps", *map(str, drawn)]))
    ar, loglinear, tuned = (row.val_nelbo for row in rows)
    summary = {
        "figure": drawn[0].name if drawn else None,
        "loglinear_above_ar": loglinear - ar,
        "tuned_above_ar": tuned - ar,
        "seconds": round(time.monotonic() - began, 1),
    }
    finish(
        "figure1",
        {**settings, "quick": given.quick},
        [row._asdict() for row in rows],
        summary,
        write=given.write,
    )


def reports_of(values: dict[str, Any]) -> list[Report]:
    with TemporaryDirectory() as folder:
        running = train(TrainConfig.from_dotted(values), Path(folder), device="cpu")
        return [report for report in running if report is not None]


def row_of(label: str, reports: list[Report]) -> Row:
    last = reports[-1].values
    late = [report.values for report in reports if report.step > reports[-1].step * 3 / 4]
    losses = [values["train_loss"] for values in late]
    changes = [after - before for before, after in pairwise(losses)]
    return Row(
        model=label,
        val_nelbo=last["val_nelbo"],
        val_nelbo_se=last["val_nelbo_se"],
        test_nelbo=last["test_nelbo"],
        train_loss=fmean(losses),
        train_spread=stdev(changes) / 2**0.5,
        grad_norm_var=fmean(values["grad_norm_var"] for values in late if "grad_norm_var" in values),
        seconds=last["seconds"],
    )


def figure(curves: dict[str, list[Report]]) -> go.Figure:
    """Two panels with one axis of nats: training, a point a row, and validation, with its error."""
    panels = make_subplots(
        cols=2, shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=("Train", "Validation")
    )
    for model in MODELS:
        reports = curves[model.label]
        valid = [report for report in reports if report.evaluations]
        common = {"name": model.label, "legendgroup": model.label, "mode": "lines"}
        panels.add_scatter(
            col=1, row=1, **common,
            x=[report.step for report in reports],
            y=[report.values["train_loss"] for report in reports],
            line={"color": model.colour, "width": 1},
            showlegend=False,
        )  # fmt: skip
        panels.add_scatter(
            col=2, row=1, **{**common, "mode": "lines+markers"},
            x=[report.step for report in valid],
            y=[report.values["val_nelbo"] for report in valid],
            error_y={"array": [2 * report.values["val_nelbo_se"] for report in valid], "thickness": 1},
            line={"color": model.colour, "width": 2},
            marker={"size": 5},
        )  # fmt: skip
    panels.update_xaxes(title="optimizer step", rangemode="tozero")
    panels.update_yaxes(title="NLL, nats per token", col=1)
    panels.update_layout(
        width=WIDTH, height=HEIGHT, template="plotly_white",
        legend={"x": 0.99, "xanchor": "right", "y": 0.98, "bgcolor": "rgba(255,255,255,0.8)"},
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
    )  # fmt: skip
    return panels


if __name__ == "__main__":
    main()
