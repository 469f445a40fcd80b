"""Two to eight configurations side by side: what differs, by how much, and how they came to it."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard import data, pairs, tables, words
from dashboard.chart import chart
from dashboard.details import masking_rates, metric_curves
from dashboard.figures.intervals import paired
from dashboard.noise import NoiseShape, UnknownNoise, noise_shape
from dashboard.panels import EMPHASIS, RATES, panels_figure
from dashboard.snapshot import Snapshot
from dashboard.state import PINNED, ROWS
from sweeper.results.compare import Comparison

MOST, FIRST = 8, 3
MOST_OFFERED = 500  # configurations that the picker lists


def choose(now: Snapshot) -> list[int]:
    """The configurations that are selected, here as on the leaderboard."""
    labels = words.Labels(now.frame)
    chosen = [each for each in ROWS.numbers() if each in labels]
    if not chosen:
        st.text(f"Nothing is selected on the leaderboard: its first {FIRST} rows are shown.")
        chosen = list(labels)[:FIRST]

    def keep() -> None:
        ROWS.set(st.session_state["compared"])

    st.session_state["compared"] = chosen[:MOST]
    st.multiselect(
        "Configurations",
        list(dict.fromkeys([*list(labels)[:MOST_OFFERED], *chosen])),
        key="compared",
        on_change=keep,
        format_func=lambda each: f"no. {each}: {labels[each]}",
        max_selections=MOST,
        placeholder="two to eight",
    )
    if len(chosen) > MOST:
        st.text(f"{len(chosen)} are selected; the first {MOST} are compared.")
    return chosen[:MOST]


def side_by_side(now: Snapshot, chosen: Sequence[int]) -> None:
    """Their standing, and of their values those that are not equal in all of them."""
    st.subheader("What differs", anchor=False)
    view, settings = tables.side_by_side(now.frame, now.values, chosen)
    st.dataframe(
        view, column_config=settings, hide_index=True, height="content", alt="What differs between them"
    )


def differences(now: Snapshot, chosen: Sequence[int], names: dict[int, str]) -> None:
    """Each against one of them: seed by seed and document by document, as `compare` does."""
    st.subheader("Paired differences", anchor=False)
    pinned = [each for each in PINNED.numbers() if each in chosen]
    first = min(chosen, key=now.frame["configuration"].tolist().index)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        base = st.selectbox(
            "Against",
            chosen,
            index=chosen.index((pinned or [first])[0]),
            format_func=lambda each: names[each],
            key=f"against-{'-'.join(map(str, sorted(chosen)))}",
            width=320,
            persist_state="session",
        )
        beforehand = st.toggle(
            "Named before the board was seen",
            key="beforehand",
            bind="query-params",
            help="A pair picked by looking at the board has a wider interval: of all its pairs at once.",
        )
    found = pairs.against(now, base, chosen)
    compared = {each: pair for each, pair in found.items() if isinstance(pair, Comparison)}
    for each, why in found.items():
        if isinstance(why, str):
            st.text(f"{names[each]}: {why}.")
    if not compared:
        return
    rows = [tables.pair_row(pair, picked=not beforehand) for pair in compared.values()]
    view = pd.DataFrame(
        [{"configuration": names[each], **row} for each, row in zip(compared, rows, strict=True)]
    )
    half = (view["high"] - view["low"]).to_numpy(float) / 2
    difference = view["difference"].to_numpy(float)
    figure = paired(view["configuration"], view["verdict"], difference, half, names[base])
    chart(figure, key="paired", alt=f"Difference of each to {names[base]}, with its 95% interval")
    st.dataframe(
        view,
        column_config=tables.PAIR_COLUMNS,
        hide_index=True,
        height="content",
        alt=f"Difference of each to {names[base]}",
    )
    groups = max(pair.groups for pair in compared.values())
    st.caption(words.BEFOREHAND if beforehand else words.PICKED.format(groups))


def schedules(now: Snapshot, chosen: Sequence[int], names: dict[int, str]) -> None:
    """Which masking rates each draws in its finetune phase, and what it makes of them."""
    shapes: dict[int, NoiseShape] = {}
    for each in chosen:
        try:
            shapes[each] = noise_shape(now.values[each], 1.0)
        except UnknownNoise as error:
            st.text(f"{names[each]} was stored by another version of the trainer: {error}")
    if not shapes:
        return
    st.subheader("Schedules", anchor=False)
    shown = EMPHASIS._replace(words="The NELBO is 1 everywhere."), RATES
    said = " ".join(f"{each.title}: {each.words}" for each in shown)
    chart(panels_figure(shown, shapes, names, legend=True), key="compare-schedules", alt=said)


def compare_page() -> None:
    now = data.chosen()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.header("Compare", anchor=False)
        st.page_link("views/leaderboard.py", label="Back to the leaderboard")
    if now.frame.empty:
        st.text("No trial has been proposed yet.")
        return
    chosen = choose(now)
    if len(chosen) < 2:
        st.text("Select two to eight configurations, here or by their boxes on the leaderboard.")
        return
    names = {each: f"no. {each}" for each in chosen}
    side_by_side(now, chosen)
    differences(now, chosen, names)
    runs = [trial for trial in now.trials.values() if trial.repeat_of is None]
    records = [trial for each in chosen for trial in runs if trial.configuration == each]
    st.subheader("Curves", anchor=False)
    metric_curves(now, [trial.id for trial in records], key="compare", height=420)
    masking_rates(now, records, "compare", lambda each: f"{names[each.configuration]}, seed {each.seed}")
    schedules(now, chosen, names)


data.live(compare_page, 5)
