"""How does a plotly figure become a file? It is drawn by a Chromium that playwright starts."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import plotly.graph_objects as go

FLAGS = ["--no-sandbox", "--disable-gpu"]


def found() -> str | None:
    """The machine's own Chromium."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def drawings(figures: Mapping[str, Callable[[], go.Figure]], folder: Path | None) -> list[Path]:
    """What was drawn, each figure by its name; nothing where no folder is given."""
    return [] if folder is None else [save(make(), folder / f"{name}.png") for name, make in figures.items()]


def save(figure: go.Figure, path: Path) -> Path:
    """path, which ends in .png, or the same in .html where no browser can draw it.

    The figure's layout says its width and height, in pixels; the picture has half as many again.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        browser = None
    else:
        browser = found()
    if browser is None:
        path = path.with_suffix(".html")
        figure.write_html(path)
        return path
    width, height = figure.layout.width, figure.layout.height
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        page = chromium.new_page(viewport={"width": width, "height": height}, device_scale_factor=1.5)
        page.set_content(f"<style>body {{margin: 0}}</style>{figure.to_html(full_html=False)}")
        # attached, not visible: a horizontal line has no height, which counts as hidden
        page.wait_for_selector(".main-svg .scatterlayer .trace", state="attached")
        page.screenshot(path=path)
        chromium.close()
    return path
