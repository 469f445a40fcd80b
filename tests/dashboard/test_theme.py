"""Colours: what carries meaning stands out from a light and from a dark page."""

import tomllib
from pathlib import Path

import pytest

import dashboard
from dashboard.figures.parallel import BLUES
from dashboard.figures.style import BAD, BEST, COLOURS, REST, TIED

THEME = tomllib.loads((Path(dashboard.__file__).parent / ".streamlit/config.toml").read_text())["theme"]
MODES = ("light", "dark")
MARKS = (BEST, TIED, REST, BAD, *COLOURS, *(colour for place, colour in BLUES if place < 1))
TEXT = ("textColor", "grayTextColor", "linkColor", "primaryColor", "dataframeHeaderTextColor")
GROUNDS = ("backgroundColor", "secondaryBackgroundColor")


def contrast(one: str, other: str) -> float:
    """WCAG 2: from 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mark", sorted(set(MARKS)))
def test_marks_stand_out(mark: str, mode: str) -> None:
    assert contrast(mark, THEME[mode]["backgroundColor"]) >= 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("name", TEXT)
def test_words_can_be_read(name: str, ground: str, mode: str) -> None:
    assert contrast(THEME[mode][name], THEME[mode][ground]) >= 4.5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ground", GROUNDS)
def test_faded_words_can_be_read(ground: str, mode: str) -> None:
    """Captions, placeholders, and pinned columns of tables: Streamlit prints them at 60%."""
    words, behind = (
        [int(THEME[mode][name][i : i + 2], 16) for i in (1, 3, 5)] for name in ("textColor", ground)
    )
    mixed = "#" + "".join(
        f"{round(0.6 * word + 0.4 * back):02X}" for word, back in zip(words, behind, strict=True)
    )
    assert contrast(mixed, THEME[mode][ground]) >= 4.5


@pytest.mark.parametrize("mode", MODES)
def test_words_of_the_sidebar_can_be_read(mode: str) -> None:
    assert contrast(THEME[mode]["textColor"], THEME[mode]["sidebar"]["backgroundColor"]) >= 4.5


def test_streamlits_own_charts_have_the_colours_of_ours() -> None:
    assert tuple(THEME["chartCategoricalColors"]) == COLOURS
