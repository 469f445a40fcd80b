"""How is a figure shown? In the theme of the page, with words for those who do not see it."""

from typing import Any

import plotly.graph_objects as go
import streamlit as st

from dashboard.figures.style import CONFIG
from dashboard.zoom import zoomed


def chart(figure: go.Figure, *, key: str, alt: str, **options: Any) -> Any:
    """key: keeps zoom and hidden lines over redraws. alt: what the figure shows, for a screen reader.

    options: st.plotly_chart's, such as on_select; then what is selected is returned.
    """
    return st.plotly_chart(zoomed(figure, key), key=key, alt=alt, config=CONFIG, **options)
