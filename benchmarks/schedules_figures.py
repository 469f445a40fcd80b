"""python -m benchmarks.schedules_figures [--write | --out FOLDER]: the report's Tables 9 and 12, drawn.

table9.png: p(t) and loss_scale(t) of every noise schedule. table12.png: every loss weight over the log-SNR
and over the masking rate. Both are computed by the classes that train (noise/schedules.py,
noise/reweighting.py), on the times that training draws. Printed are the ends of each schedule, and each
weight's c, its mean over the masking rate. .html in place of .png where there is no Chromium.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from benchmarks.document import DOCS, finish, options
from benchmarks.drawing import drawings
from trainer.noise import reweighting, schedules
from trainer.noise.clips import FIRST_TIME, Clip
from trainer.noise.reweighting import Reweighting, mean_weight
from trainer.noise.schedules import NoiseSchedule

# Okabe and Ito's palette, told apart by the colour-blind; dashes tell the lines apart without colour.
BLACK, GREY, BLUE, SKY = "#000000", "#8a8a8a", "#0072B2", "#56B4E9"
GREEN, ORANGE, VERMILION, PURPLE = "#009E73", "#E69F00", "#D55E00", "#CC79A7"


class Noise(NamedTuple):
    label: str
    colour: str
    dash: str
    schedule: NoiseSchedule
    progress: float = 0.0


class Weight(NamedTuple):
    label: str
    colour: str
    dash: str
    reweighting: Reweighting
    schedule: NoiseSchedule = schedules.LogLinear()


PUBLIC = (
    Noise("loglinear", BLACK, "solid", schedules.LogLinear()),
    Noise("square", VERMILION, "dash", schedules.Square()),
    Noise("square_root", BLUE, "dot", schedules.SquareRoot()),
    Noise("logarithmic", GREEN, "dashdot", schedules.Logarithmic()),
    Noise("cosine", PURPLE, "longdash", schedules.Cosine()),
)
# With the constants of the report's code: sigma 0.1; w 0.6, mu1 0.1, mu2 from 0.4 to 0.83.
REPORT = (
    Noise("loglinear, to compare", GREY, "solid", schedules.LogLinear()),
    Noise("gaussian, mu = 0.5", BLUE, "solid", schedules.Gaussian(mu=0.5)),
    Noise("gaussian, mu = 0.6", SKY, "dash", schedules.Gaussian(mu=0.6)),
    Noise("bimodal_gaussian, first step", ORANGE, "dashdot", schedules.BimodalGaussian(), 0.0),
    Noise("bimodal_gaussian, last step", VERMILION, "dot", schedules.BimodalGaussian(), 1.0),
)
WEIGHTS = (
    Weight("none", BLACK, "solid", reweighting.Unweighted()),
    Weight("edm", VERMILION, "dash", reweighting.Edm()),
    Weight("iddpm", GREEN, "dashdot", reweighting.Iddpm()),
    Weight("sigmoid, k = 0: p", BLUE, "solid", reweighting.Sigmoid()),
    Weight("sigmoid, k = 3", SKY, "longdash", reweighting.Sigmoid(k=3)),
    Weight("sigmoid, k = -3", SKY, "dot", reweighting.Sigmoid(k=-3)),
    Weight("fm", PURPLE, "longdashdot", reweighting.FlowMatching()),
    Weight("simple, loglinear: p", BLACK, "dot", reweighting.Simple()),
    Weight("simple, cosine", ORANGE, "dot", reweighting.Simple(), schedules.Cosine()),
)


def main() -> None:
    parser = options("schedules_figures", __doc__)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="For the figures; --write: docs.")
    given = parser.parse_args()

    rows = [ends(noise) for noise in (*PUBLIC, *REPORT[1:])]
    weights = [{"label": each.label, "c": round(c(each), 4)} for each in WEIGHTS]
    print(f"{'':<30}{'p at t = 0.001':>15}{'at 1':>7}{'loss_scale at 0.001':>21}{'at 1':>9}")
    for row in rows:
        print(f"{row['label']:<30}{row['p'][0]:>15.4g}{row['p'][1]:>7.4g}", end="")
        print(f"{row['loss_scale'][0]:>21.4g}{row['loss_scale'][1]:>9.4g}")
    for weight in weights:
        print(f"{weight['label']:<30}{'c':>15}{weight['c']:>7.3f}")
    drawn = drawings({"table9": table9, "table12": table12}, DOCS if given.write else given.out)
    finish(
        "schedules_figures",
        {"first_time": FIRST_TIME},
        [*rows, *weights],
        {"figures": [path.name for path in drawn]},
        write=given.write,
    )


def ends(noise: Noise) -> dict[str, Any]:
    """At the first and the last time that are drawn."""
    level = noise.schedule(np.array([FIRST_TIME, 1.0]), noise.progress)
    return {
        "label": noise.label,
        "p": level.move_chance.round(6).tolist(),
        "loss_scale": level.loss_scale.round(6).tolist(),
    }


def c(weight: Weight) -> float:
    return mean_weight(weight.reweighting, weight.schedule, Clip())


def table9() -> go.Figure:
    """Four panels: p and loss_scale over t, of the public code's schedules and of the report's own."""
    panels = make_subplots(
        rows=2, cols=2, horizontal_spacing=0.13, vertical_spacing=0.12,
        subplot_titles=(
            "Public code: masking rate p(t)", "Public code: loss_scale(t) = p'(t) / p(t)",
            "Gaussian and bimodal: masking rate p(t)", "Gaussian and bimodal: loss_scale(t)",
        ),
    )  # fmt: skip
    for row, legend, group in ((1, "legend", PUBLIC), (2, "legend2", REPORT)):
        for noise in group:
            t, p, loss_scale = curve(noise)
            for col, y in ((1, p), (2, loss_scale)):
                panels.add_scatter(
                    row=row, col=col, x=t, y=y, name=noise.label, mode="lines", legend=legend,
                    line={"color": noise.colour, "dash": noise.dash, "width": 2.2}, showlegend=col == 1,
                )  # fmt: skip
    panels.update_xaxes(title="time t", range=[0, 1], dtick=0.2)
    panels.update_yaxes(title="p, share of tokens masked", range=[0, 1.02], dtick=0.2, col=1)
    panels.update_yaxes(title="loss_scale (log axis)", type="log", range=[-1, 4], dtick=1, col=2)
    return laid_out(panels, 1180, 820, legend={"y": 1}, legend2={"y": 0.44})


def curve(noise: Noise) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, denser where loss_scale has poles, p and loss_scale; a gap between branches."""
    parts = []
    for start, end in noise.schedule.branches:
        near = np.geomspace(1e-6, 0.5, 200)
        inner = np.concatenate([near, 1 - near[-2::-1]])
        t = np.unique(np.clip(start + (end - start) * inner, FIRST_TIME, 1))
        level = noise.schedule(t, noise.progress)
        gap = [[np.nan]] * 3
        parts.append(np.concatenate([(t, level.move_chance, level.loss_scale), gap], axis=1))
    t, p, loss_scale = np.concatenate(parts, axis=1)
    return t, p, loss_scale


def table12() -> go.Figure:
    """Two panels of every weight: over the log-SNR, and over the masking rate."""
    panels = make_subplots(
        cols=2, horizontal_spacing=0.13,
        subplot_titles=("Weight w over the log-SNR", "Weight w over the masking rate"),
    )  # fmt: skip
    for weight in WEIGHTS:
        p, log_snr, w = weighed(weight)
        for col, x in ((1, log_snr), (2, p)):
            panels.add_scatter(
                row=1, col=col, x=x, y=w, name=f"{weight.label}  (c = {c(weight):.2f})", mode="lines",
                line={"color": weight.colour, "dash": weight.dash, "width": 2.2}, showlegend=col == 1,
            )  # fmt: skip
    panels.update_xaxes(title="log-SNR, lambda = log((1 - p) / p)", range=[-8, 7], dtick=2, col=1)
    panels.update_xaxes(title="masking rate p", range=[0, 1], dtick=0.2, col=2)
    panels.update_yaxes(title="w (log axis)", type="log", range=[-4, 2], dtick=1, col=1)
    panels.update_yaxes(title="w", range=[0, 2.5], dtick=0.5, col=2)
    return laid_out(panels, 1180, 470, legend={"y": 1})


def weighed(weight: Weight) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """p, log_snr and w at the times of a fine grid, dense at both ends."""
    last = -np.log(FIRST_TIME)
    t = 1 / (1 + np.exp(np.linspace(last, -2 * last, 1201)))
    level = weight.schedule(t)
    return level.move_chance, level.log_snr, weight.reweighting.weight(level)


def laid_out(panels: go.Figure, width: int, height: int, **legends: dict[str, float]) -> go.Figure:
    """Legends at the right, each beside the row that it belongs to."""
    beside = {"x": 1.01, "xanchor": "left", "yanchor": "top", "font": {"size": 12}}
    panels.update_xaxes(showline=True, linecolor="#444", ticks="outside", gridcolor="#e6e6e6", zeroline=False)
    panels.update_yaxes(showline=True, linecolor="#444", ticks="outside", gridcolor="#e6e6e6", zeroline=False)
    panels.for_each_yaxis(lambda axis: axis.update(title_standoff=8, exponentformat="power"))
    panels.update_annotations(font_size=14)
    panels.update_layout(
        width=width, height=height, template="plotly_white", font={"size": 12, "color": "#222"},
        margin={"l": 65, "r": 240, "t": 35, "b": 50},
        **{name: {**beside, **own} for name, own in legends.items()},
    )  # fmt: skip
    return panels


if __name__ == "__main__":
    main()
