"""The figures of Tables 9 and 12: schedules and weights are drawn as they train."""

import math

import numpy as np
import plotly.graph_objects as go
import pytest

from benchmarks import drawing
from benchmarks.schedules_figures import PUBLIC, REPORT, WEIGHTS, c, table9, table12
from trainer.noise.clips import FIRST_TIME


def test_lines_of_a_panel_are_told_apart_without_colour_or_by_colour():
    for group in (PUBLIC, REPORT, WEIGHTS):
        assert len({(line.colour, line.dash) for line in group}) == len(group)
        assert len({line.label for line in group}) == len(group)


def lines(figure: go.Figure, label: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of the left panel, then of the right."""
    found = [each for each in figure.data if each.name.partition("  (")[0] == label]
    assert len(found) == 2, label
    return [(np.array(each.x), np.array(each.y)) for each in found]


def test_table9_is_p_and_its_derivative_over_p():
    figure = table9()
    assert len(figure.data) == 2 * (len(PUBLIC) + len(REPORT))
    for noise in (*PUBLIC, *REPORT):
        (t, p), (_, loss_scale) = lines(figure, noise.label)
        assert np.nanmin(t) == FIRST_TIME
        assert np.nanmax(t) == pytest.approx(1, abs=1e-5)
        middle = (t > 0.05) & (t < 0.55)  # on one branch of each, away from its ends
        slope = np.gradient(p[middle], t[middle])
        error = np.abs(slope / p[middle] / loss_scale[middle] - 1)[2:-2]
        assert error.max() < 0.02, noise.label


def test_the_branches_of_a_bimodal_schedule_are_not_joined():
    (t, p), _ = lines(table9(), "bimodal_gaussian, last step")
    gap = np.flatnonzero(np.isnan(p))[0]
    assert t[gap - 1] == pytest.approx(0.6, abs=1e-3)
    assert p[gap - 1] < 0.3 < p[gap + 1]


def test_table12_is_every_weight_over_one_axis_each():
    figure = table12()
    assert len(figure.data) == 2 * len(WEIGHTS)
    for weight in WEIGHTS:
        (log_snr, w), (p, same) = lines(figure, weight.label)
        assert (w == same).all()
        assert np.allclose(log_snr, np.log1p(-p) - np.log(p), atol=1e-4)
    (_, simple), _ = lines(figure, "simple, loglinear: p")
    (_, sigmoid), (p, _) = lines(figure, "sigmoid, k = 0: p")
    assert np.allclose(simple, p)
    assert np.allclose(sigmoid, p)


def test_c_is_the_mean_over_the_masking_rate():
    found = {weight.label: c(weight) for weight in WEIGHTS}
    expected = {"none": 1, "edm": 0.54882, "iddpm": math.pi / 4, "fm": math.pi / 2, "sigmoid, k = 3": 0.8870}
    for label, value in expected.items():
        assert found[label] == pytest.approx(value, rel=2e-3), label


def test_without_a_browser_a_figure_is_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing.shutil, "which", lambda name: None)
    path = drawing.save(table12(), tmp_path / "table12.png")
    assert path == tmp_path / "table12.html"
    assert "sigmoid, k = 3" in path.read_text()
