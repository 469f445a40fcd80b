"""Sections of the Search page that hold much together: all parameters with a brush, and two metrics."""

import re
from typing import Any

import pandas as pd
import streamlit as st
from streamlit import column_config as column

from dashboard import frame
from dashboard.brush import Brush, Span, Words, brushed, places, word
from dashboard.chart import chart
from dashboard.columns import ppl_format
from dashboard.compute import AXIS, Flops
from dashboard.figures.axes import robust
from dashboard.figures.front import front
from dashboard.figures.parallel import MOST_LINES, parallel
from dashboard.figures.states import left_out
from dashboard.huge import printable
from dashboard.search.space import dimension, finite, is_log, labels
from dashboard.selection import selected, table
from dashboard.snapshot import Snapshot
from dashboard.values import is_number, missing, shown
from sweeper.results.pareto import plane
from trainer.metrics import BY_NAME

MOST_ROWS = 500  # of the table
# Metrics of which less is better, whatever is traded: the first two are the axes at first.
TRADED = (
    *("val_ppl", "seconds", "var_nelbo", "var_nelbo_loglinear", "gen_ppl", "nfe", "tokens", "peak_memory"),
    *("test_ppl", "flops"),
)


def parallel_section(now: Snapshot, all_runs: pd.DataFrame) -> None:
    st.text(
        "Blue lines rank high, grey ones low. What the controls keep is drawn in full, and is in the table."
    )
    selected("brushed")
    left, right = st.columns([1, 3])
    called = labels(now)
    brushes: dict[str, Brush] = {}
    with left:
        for name in [*now.searched, "val_ppl"]:
            brush = _brush(now, name, called.get(name, name))
            if brush is not None:
                brushes[name] = brush
    with right:
        figure = parallel(
            now.frame,
            now.searched,
            [called[name] for name in now.searched],
            brushes,
            [name for name in now.searched if is_log(now, name)],
        )
        chart(figure, key="parallel", alt="All searched values and val_ppl as parallel coordinates")
        if now.frame["val_ppl"].notna().sum() > MOST_LINES:
            st.text(f"The best {MOST_LINES} of {len(now.frame):,} configurations are drawn.")
        said = robust(now.frame["val_ppl"]).words("configurations' values")
        if said:
            st.text(said)
        kept = brushed(now.frame, brushes)
        st.text(f"{len(kept):,} of {len(now.frame):,} configurations are kept.")
        _table(now, kept, called)


def _brush(now: Snapshot, name: str, label: str) -> Brush | None:
    """The control of an axis; None where all is kept, what lacks the value included."""
    values = now.frame[name]
    label, key = literal(label), f"keep-{name}"
    if name == "val_ppl":
        most = st.number_input(
            "val_ppl, at most", min_value=0.0, value=None, placeholder="any", key=key, bind="query-params"
        )
        return None if most is None else Span(0.0, most)
    if not is_number(values):
        words = sorted({word(value) for value in values})
        if len(words) < 2:
            return None
        kept = st.multiselect(label, words, key=key, bind="query-params", placeholder="any")
        return Words(tuple(kept)) if kept else None
    found = places(finite(values), dimension(now, name), is_log(now, name))
    if len(found) < 2:
        return None
    ends = st.select_slider(
        label, found, value=(found[0], found[-1]), format_func=shown, key=key, bind="query-params"
    )
    return None if ends == (found[0], found[-1]) else Span(*ends)


def _table(now: Snapshot, rows: pd.DataFrame, called: dict[str, str]) -> None:
    """The kept configurations; those that are selected are so on every page."""
    rows = rows.head(MOST_ROWS)
    view = rows[["rank", "state", "val_ppl"]].assign(
        interval=[str(each).replace("–", "") for each in rows["interval"]]
    )
    settings: dict[str, Any] = {
        "rank": column.TextColumn("rank", alignment="right", width=56),
        "val_ppl": column.NumberColumn("val_ppl", format=ppl_format(rows["val_ppl"]), width=84),
        "interval": column.TextColumn("95% interval", alignment="right", width=124),
    }
    for i, name in enumerate(now.searched):
        key = f"value {i}"
        if is_number(rows[name]):
            view[key] = pd.to_numeric(rows[name])
            settings[key] = column.NumberColumn(called[name], format="%.4g")
        else:
            view[key] = ["" if missing(value) else shown(value) for value in rows[name]]
            settings[key] = column.TextColumn(called[name])
    order = rows["configuration"].tolist()
    view, settings = printable(view, settings)
    table(view, settings, order, "brushed", "Configurations that the controls keep, in order of rank")


def literal(text: str) -> str:
    """A stored name as a widget's label, which would be read as Markdown."""
    return re.sub(r"([^\w\s])", r"\\\1", text)


def pareto_section(now: Snapshot, all_runs: pd.DataFrame) -> None:
    there = {"flops", *(name for row in now.board.rows for name in row.metrics)}
    offered = [name for name in TRADED if name in there or name == "val_ppl"]
    if len(offered) < 2:
        st.text("No configuration has a metric beside val_ppl yet.")
        return
    st.text(
        "Less is better in both. What is on the line is beaten in both by nothing, by the search's numbers "
        "as they are: no error is counted."
    )

    def label(name: str) -> str:
        return AXIS if name == "flops" else BY_NAME[name].label if name in BY_NAME else name

    with st.container(horizontal=True, vertical_alignment="bottom"):
        y = st.selectbox("Up", offered, key="pareto_y", format_func=label, bind="query-params", width=280)
        rest = [name for name in offered if name != y]
        x = st.selectbox("Across", rest, key="pareto_x", format_func=label, bind="query-params", width=280)
        log_x = st.toggle("Logarithmic across", key="log_x", bind="query-params")
        log = st.toggle("Logarithmic up", key="log", bind="query-params")
    facts = now.frame.set_index("configuration")
    rows = now.board.rows
    if "flops" in (x, y):
        flops = Flops(now)
        rows = [
            row._replace(metrics={**row.metrics, "flops": flops[row.configuration]})
            for row in rows
            if row.step
        ]
    placed = pd.DataFrame(plane(rows, x, y), columns=["configuration", "x", "y", "on_front"])
    placed["on_front"] = placed["on_front"].astype(bool)
    placed["state"] = facts["state"].reindex(placed["configuration"]).to_numpy()
    hovers = facts["hover"].reindex(placed["configuration"])
    placed["hover"] = [
        frame.Words("{}\n{} {:.4g}\n{} {:.4g}".format, text, label(x), a, label(y), b)
        for text, a, b in zip(hovers, placed["x"], placed["y"], strict=True)
    ]
    across, up = robust(placed["x"], log_x), robust(placed["y"], log)
    chart(
        front(placed, (label(x), label(y)), across, up),
        key="front",
        alt=f"Configurations by {x} and {y}, with those that none beats in both",
    )
    without = len(now.board.rows) - len(placed)
    notes = [
        f"{int(placed['on_front'].sum()):,} of {len(placed):,} configurations are on the front.",
        f"{without:,} lack one of the two." if without else "",
        left_out(len(placed), "configurations"),
        up.words("values"),
        across.words("values across", edge="right"),
    ]
    st.text(" ".join(filter(None, notes)))
