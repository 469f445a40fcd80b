"""Sections of the Search page that go over parameters: importance, slices, two of them."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.chart import chart
from dashboard.figures.importance import effects
from dashboard.figures.ranks import ranks
from dashboard.figures.scatter import MOST_BARS, MOST_POINTS, against, val_axis
from dashboard.figures.states import left_out
from dashboard.snapshot import Snapshot
from dashboard.values import common_prefix, is_number, missing
from sweeper.statistics.effects import FEWEST, effect
from sweeper.words import command

AT_FIRST = 6  # parameters that are drawn before anybody chooses
ACROSS = 2  # figures side by side


def importance_section(now: Snapshot, all_runs: pd.DataFrame) -> None:
    found = all_runs[(all_runs["role"] == "search") & all_runs["number"].notna()]
    found = found[(found["state"] == "complete") & found["value"].notna()]
    st.text(
        f"How much of the order of the results, by {now.board.metric}, goes along with one parameter alone, "
        "with its 95% interval. Grey and open: chance alone may have done as much."
    )
    shares = []
    for name in now.searched:
        values = [now.trials[trial].params.get(name) for trial in found["trial"]]
        there = [not missing(value) for value in values]
        share = effect(
            [value for value, has in zip(values, there, strict=True) if has], found["value"][there].tolist()
        )
        if share is not None:
            shares.append((name, share))
    shares.sort(key=lambda pair: -pair[1].share)
    chart(effects(shares), key="importance", alt="Share of the order of results by parameter, with intervals")
    left = [name for name in now.searched if name not in dict(shares)]
    few = (
        f"Not told: {', '.join(left)}, for fewer than {FEWEST} complete trials, or one value alone, have it."
    )
    st.text(
        f"{len(found):,} complete trial{'s' * (len(found) != 1)} of the search. What the sampler chose, not "
        "what causes what: parameters that act only together are missed, and ones that were moved together "
        "share the merit." + (f"\n{few}" if left else "")
    )
    st.caption("Another measure, of what set the best trials apart (PED-ANOVA), is printed by")
    st.code(command("importance", now.sweep.name, data.db()), language=None)


def slices_section(now: Snapshot, all_runs: pd.DataFrame) -> None:
    if not now.searched:
        st.text("Nothing is searched in this sweep.")
        return
    st.text(
        "Each point is a configuration with its 95% interval. "
        "Search trials share one seed: take small differences for noise."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = st.multiselect(
            "Parameters",
            now.searched,
            default=now.searched[:AT_FIRST],
            key="slices",
            bind="query-params",
            width=520,
        )
        categories = [each for each in now.searched if not is_number(now.frame[each])]
        colour_by = st.selectbox(
            "Colour by",
            categories,
            index=None,
            key="colour",
            bind="query-params",
            placeholder="nothing",
            width=240,
        )
        log = st.toggle("Logarithmic val_ppl", key="log", bind="query-params")
        log_x = st.toggle("Logarithmic parameters", key="log_x", bind="query-params")
    for i in range(0, len(names), ACROSS):
        for place, name in zip(st.columns(ACROSS), names[i : i + ACROSS], strict=False):
            with place:
                figure = against(now.frame, name, colour_by, log, log_x or is_log(now, name))
                chart(figure, key=f"against-{now.searched.index(name)}", alt=f"val_ppl against {name}")
    ended = int((now.frame["val_ppl"].isna() & now.frame["state"].isin(["failed", "pruned"])).sum())
    notes = [
        left_out(len(now.frame), "configurations", MOST_POINTS),
        val_axis(now.frame, log, len(now.frame) <= MOST_BARS).words("configurations' values"),
        f"{ended:,} that failed or were pruned before any value stand there, too." if ended else "",
        f"Intervals are drawn of {MOST_BARS} configurations at most: here of none."
        if len(now.frame) > MOST_BARS
        else "",
    ]
    if any(notes):
        st.text(" ".join(filter(None, notes)))


def two_section(now: Snapshot, all_runs: pd.DataFrame) -> None:
    if len(now.searched) < 2:
        st.text("This sweep varies fewer than two parameters.")
        return
    st.text(
        "Configurations by two parameters. Blue ranks high, grey low; triangles were pruned, "
        "crosses have no result."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        x = st.selectbox("Across", now.searched, key="across", bind="query-params", width=300)
        rest = [name for name in now.searched if name != x]
        y = st.selectbox("Up", rest, key="up", bind="query-params", width=300)
        log_x = st.toggle("Logarithmic across", key="log_x", bind="query-params")
        log_y = st.toggle("Logarithmic up", key="log_y", bind="query-params")
    figure = ranks(now.frame, (x, y), (log_x or is_log(now, x), log_y or is_log(now, y)))
    chart(figure, key="ranks", alt=f"Ranks of configurations by {x} and {y}")
    without = int(now.frame[[x, y]].isna().any(axis=1).sum())
    notes = [
        left_out(len(now.frame), "configurations"),
        f"{without:,} configurations that lack one of the two are not drawn." if without else "",
    ]
    if any(notes):
        st.text(" ".join(filter(None, notes)))


def is_log(now: Snapshot, name: str) -> bool:
    """Whether the specification searches its logarithm."""
    return any(kind in dimension(now, name) for kind in ("log_uniform", "log_int"))


def dimension(now: Snapshot, name: str) -> dict:
    """Of the specification, such as {uniform: [0, 1]}; empty where it does not say."""
    space = now.sweep.spec.get("space")
    found = space.get(name) if isinstance(space, dict) else None
    return found if isinstance(found, dict) else {}


def labels(now: Snapshot) -> dict[str, str]:
    """The searched names without what all of them begin with."""
    prefix = common_prefix(now.searched)
    return {name: name.removeprefix(prefix) for name in now.searched}


def finite(values: pd.Series) -> np.ndarray:
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(float)
    return numbers[np.isfinite(numbers)]
