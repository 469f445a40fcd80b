"""The sweep held against what was printed: number by number, claim by claim. As `sweeper report` says it."""

import math
from typing import Any, Literal

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.chart import chart
from dashboard.figures.report import Compared, against_printed
from dashboard.snapshot import Snapshot
from dashboard.values import interval
from sweeper.results.measured import FAILS, HOLDS, UNKNOWN
from sweeper.results.report import (
    BASE,
    DIFFERS,
    NO_PPL,
    NOT_RUN,
    OTHER,
    REPRODUCED,
    UNTOLD,
    NoReference,
    Report,
    report,
)
from sweeper.words import times

SECONDS = 15
COLOURS: dict[str, Literal["green", "red", "orange", "gray"]] = {
    REPRODUCED: "green",
    HOLDS: "green",
    DIFFERS: "red",
    FAILS: "red",
    UNTOLD: "orange",
    UNKNOWN: "orange",
    NO_PPL: "gray",
    OTHER: "gray",
    BASE: "gray",
    NOT_RUN: "gray",
}
WORDS: dict[str, Any] = {"options": list(COLOURS), "color": list(COLOURS.values())}


@st.cache_resource(max_entries=4, show_spinner=False)
def reported(address: str, sweep: str, version: int) -> Report | str:
    """A sentence where the sweep does not fit."""
    reader = data.reader_of(address)
    record = reader.sweep(sweep)
    try:
        return "The sweep is gone." if record is None else report(reader, record)
    except NoReference as error:
        return f"{error}."
    except ValueError as error:  # a specification of another version, or one that no longer fits
        return f"The report cannot be made: {error}"


def numbers(found: Report) -> None:
    reference, ratios = found.reference, found.reference.compare == "ratio"
    table: list[dict[str, Any]] = []
    config: dict[str, Any] = {}
    column = st.column_config
    for row in found.rows:
        line: dict[str, Any] = {"row": row.name}
        for place, cell in enumerate(row.cells.values()):
            line[f"printed {place}"] = cell.printed
            line[f"ours {place}"] = cell.ours
            line[f"interval {place}"] = interval(cell.low, cell.high).replace("–", "")
            if ratios:
                of = cell.ratio
                line[f"printed ratio {place}"] = of and of.printed
                line[f"ratio {place}"] = of and of.ours
                line[f"ends {place}"] = "" if of is None else interval(of.low, of.high).replace("–", "")
            line[f"word {place}"] = [cell.word] if cell.word else []
        if any(each.weight for each in found.rows):
            line["weight"] = row.weight and row.weight.ours
            line["c"] = row.weight and row.weight.c
            line["weight word"] = row.weight.word if row.weight else ""
        line["seeds"] = max((cell.seeds for cell in row.cells.values()), default=0) or None
        table.append(line)
    for place, (name, metric) in enumerate(reference.columns.items()):
        config[f"printed {place}"] = column.NumberColumn(f"printed {name}", format="%.4g")
        config[f"ours {place}"] = column.NumberColumn(f"our {metric}", format="%.4g")
        config[f"interval {place}"] = column.TextColumn("95%", alignment="right")
        config[f"printed ratio {place}"] = column.NumberColumn("printed ratio", format="%.3f")
        config[f"ratio {place}"] = column.NumberColumn("our ratio", format="%.3f")
        config[f"ends {place}"] = column.TextColumn("its 95%", alignment="right")
        config[f"word {place}"] = column.MultiselectColumn(f"{name}: verdict", **WORDS)
    config["row"] = column.TextColumn("row", pinned=True)
    config["weight"] = column.NumberColumn("objective / NELBO", format="%.4f")
    config["c"] = column.NumberColumn("c", format="%.4f")
    config["weight word"] = column.TextColumn("")
    alt = "Each printed number beside ours, with the verdict"
    st.dataframe(
        pd.DataFrame(table), hide_index=True, key="numbers", placeholder="", alt=alt, column_config=config
    )


def figure(found: Report) -> None:
    """Of each number that a verdict was found for: ours over the printed one, or the ratio of the ratios."""
    rows = []
    for row in found.rows:
        for name, cell in row.cells.items():
            ours, printed, low, high = cell.ours, cell.printed, cell.low, cell.high
            if cell.ratio is not None:
                ours, printed, low, high = (
                    cell.ratio.ours,
                    cell.ratio.printed,
                    cell.ratio.low,
                    cell.ratio.high,
                )
            if cell.word in (REPRODUCED, DIFFERS, UNTOLD) and ours and printed:
                label = f"{row.name}, {name}" if len(row.cells) > 1 else row.name
                start, end = (math.nan if each is None else each / printed for each in (low, high))
                rows.append(Compared(label, ours / printed, start, end, cell.word))
    if rows:
        said = ", ".join(f"{each.label} {each.ratio:.3f} {each.word}" for each in rows)
        chart(against_printed(rows), key="printed", alt=f"Ours over the printed number: {said}")


def claims(found: Report) -> None:
    if not found.findings:
        return
    st.subheader("Claims", anchor=False)
    column = st.column_config
    table, parts = [], []
    for place, finding in enumerate(found.findings, start=1):
        table.append({"no.": place, "claim": finding.claim.says, "word": [finding.word]})
        for each in finding.differences:
            known = math.isfinite(each.half)
            ends = (each.log_ratio - each.half, each.log_ratio + each.half)
            low, high = map(times, ends) if known else (None, None)
            parts.append(
                {
                    "claim": place,
                    "comparison": f"{finding.claim.by} of {each.less} against {each.more}",
                    "ratio": times(each.log_ratio) if math.isfinite(each.log_ratio) else None,
                    "interval": interval(low, high) if known else "too few seeds",
                    "nats": each.log_ratio if math.isfinite(each.log_ratio) else None,
                    "word": [each.word],
                }
            )
    verdict = column.MultiselectColumn("verdict", **WORDS)
    st.dataframe(
        table,
        hide_index=True,
        key="claims",
        alt="Each claim, and whether it holds",
        column_config={"claim": column.TextColumn("claim", width="large"), "word": verdict},
    )
    st.dataframe(
        parts,
        hide_index=True,
        key="comparisons",
        alt="Each comparison that a claim is made of",
        column_config={
            "comparison": column.TextColumn("comparison", width="large"),
            "ratio": column.NumberColumn("times", format="%.3f"),
            "interval": column.TextColumn("95%", alignment="right"),
            "nats": column.NumberColumn("log ratio", format="%+.4f"),
            "word": verdict,
        },
    )


def without(now: Snapshot, why: str) -> None:
    st.text(why)
    st.text(
        "What was printed stands in a specification's section `reference`. There are specifications with it:"
    )
    st.code(
        "python -m sweeper run report/table3\npython -m sweeper report table3",
        language=None,
    )


def report_page() -> None:
    now = data.chosen()
    st.header("Report", anchor=False)
    found = reported(data.url(), now.sweep.name, data.reader().version())
    if isinstance(found, str):
        without(now, found)
        return
    st.text(found.reference.title)
    if found.reference.source:
        st.text(found.reference.source)
    counts = [cell.word for row in found.rows for cell in row.cells.values() if cell.word]
    with st.container(horizontal=True, gap="xsmall"):
        for word in dict.fromkeys(counts):
            st.badge(f"{counts.count(word)} {word}", color=COLOURS.get(word, "gray"))
    figure(found)
    numbers(found)
    claims(found)
    st.text("\n".join([*found.explained(), *found.reference.notes]))


data.live(report_page, SECONDS)
