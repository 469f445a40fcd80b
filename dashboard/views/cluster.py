"""Nodes and workers: what each runs, how busy it is and was, and what has gone wrong, by class."""

import math
import time

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.chart import chart
from dashboard.failures import failures
from dashboard.figures.cluster import Series, by_class, over_time
from dashboard.snapshot import Snapshot
from dashboard.values import ago
from sweeper.store.records import UsageRecord

SECONDS = 5
NOT_NOW = 150.0  # seconds after its last sample a worker is taken to be gone
BYTES = 2**30


def node_of(worker: str) -> str:
    """Of host:pid."""
    return worker.rpartition(":")[0] or worker


def workers(now: Snapshot, samples: list[UsageRecord]) -> pd.DataFrame:
    """A row for each that runs a trial, or has said something of late."""
    newest = {sample.worker: sample for sample in samples}
    runs = {trial.worker: trial for trial in now.trials.values() if trial.state == "running" and trial.worker}
    called = {trial.id: trial.called for trial in now.trials.values()}
    at, rows = time.time(), []
    for worker in sorted({*newest, *runs}):
        sample, trial = newest.get(worker), runs.get(worker)
        if trial is None and (sample is None or at - sample.time > NOT_NOW):
            continue
        doing = f"trial {trial.called}" if trial else "a pretrain"
        if trial is None and sample is not None and sample.trial is not None:
            doing = f"ran trial {called.get(sample.trial, sample.trial)}"
        rows.append(
            {
                "node": node_of(worker),
                "worker": worker,
                "runs": doing,
                "cores": None if sample is None else sample.cpu,
                "memory": None if sample is None else sample.memory / BYTES,
                "gpu": None if sample is None or sample.gpu is None else 100 * sample.gpu,
                "gpu memory": None if sample is None or not sample.gpu_memory else sample.gpu_memory / BYTES,
                "said": "" if sample is None else f"{ago(at - sample.time)} ago",
            }
        )
    columns = ["node", "worker", "runs", "cores", "memory", "gpu", "gpu memory", "said"]
    return pd.DataFrame(rows, columns=columns)


def nodes(now: Snapshot, samples: list[UsageRecord]) -> pd.DataFrame:
    """A row for each machine that has run something of the sweep."""
    ran = [trial for trial in now.trials.values() if trial.worker and trial.repeat_of is None]
    names = sorted({*(node_of(trial.worker) for trial in ran), *(node_of(each.worker) for each in samples)})
    rows = []
    for name in names:
        mine = [trial for trial in ran if node_of(trial.worker) == name]
        said = [each for each in samples if node_of(each.worker) == name]
        rows.append(
            {
                "node": name,
                "workers": len({*(trial.worker for trial in mine), *(each.worker for each in said)}),
                "running": sum(trial.state == "running" for trial in mine),
                "trials": len(mine),
                "failed": sum(trial.state in ("failed", "lost") for trial in mine),
                "CPU-hours": math.fsum(trial.cpu_seconds for trial in mine) / 3600,
                "GPU-hours": math.fsum(trial.gpu_seconds for trial in mine) / 3600,
                "most memory": max((each.memory for each in said), default=0) / BYTES or None,
            }
        )
    found = pd.DataFrame(rows)
    optional = ("CPU-hours", "GPU-hours", "most memory")
    unused = [name for name in optional if len(found) and not found[name].fillna(0).any()]
    return found.drop(columns=unused)


def over_time_figures(samples: list[UsageRecord]) -> None:
    by_worker: dict[str, list[UsageRecord]] = {}
    for sample in samples:
        by_worker.setdefault(sample.worker, []).append(sample)

    def series(name: str, unit: float) -> list[Series]:
        return [
            Series(
                worker,
                [each.time for each in mine],
                [math.nan if (v := getattr(each, name)) is None else v / unit for each in mine],
            )
            for worker, mine in by_worker.items()
        ]

    has_gpu = any(sample.gpu is not None or sample.gpu_memory is not None for sample in samples)
    figures = [("cpu", "cores in use", 1.0), ("memory", "memory, GiB", BYTES)]
    if has_gpu:
        figures += [("gpu", "GPU in use, %", 0.01), ("gpu_memory", "GPU memory, GiB", BYTES)]
    for pair in (figures[:2], figures[2:]):
        for place, (name, label, unit) in zip(st.columns(2, gap="medium"), pair, strict=False):
            with place:
                figure = over_time(series(name, unit), label)
                chart(
                    figure, key=f"usage-{name}", alt=f"{label}, of each of {len(by_worker)} workers over time"
                )


def failed(now: Snapshot) -> None:
    found = failures(now.trials.values(), data.reader().event_counts(now.sweep.id))
    st.subheader("Failures by class", anchor=False)
    if not found:
        st.text("Nothing has failed.")
        return
    kinds = [each.kind for each in found]
    ended, again = [each.ended for each in found], [each.tried_again for each in found]
    chart(by_class(kinds, ended, again), key="failures", alt=f"Failures by class: {', '.join(kinds)}")
    table = pd.DataFrame(
        {
            "class": kinds,
            "trials ended so": ended,
            "tried again": again,
            "trials": [", ".join(map(str, each.trials[-12:])) for each in found],
            "the last said": [each.said for each in found],
        }
    )
    st.dataframe(table, hide_index=True, key="failures-table", alt="Failures by class, with the last words")


def cluster_page() -> None:
    now = data.chosen()
    st.header("Cluster", anchor=False)
    driver, resources = now.sweep.driver(time.time()), now.sweep.spec.get("resources") or {}
    slots = ", ".join(f"{name} {value}" for name, value in resources.items() if value is not None)
    who = f"Driven by {driver}." if driver else "Nobody drives this sweep now."
    st.text(f"{who} Resources: {slots}." if slots else who)
    samples = data.reader().usage(now.sweep.id)
    machines, there = nodes(now, samples), workers(now, samples)
    if machines.empty:
        st.text("No worker has begun a trial yet.")
    else:
        column = st.column_config
        of_trials = column.NumberColumn(format="%.3g", help="Of trials, without their pretrains")
        hours = dict.fromkeys(("CPU-hours", "GPU-hours"), of_trials)
        st.dataframe(
            machines,
            hide_index=True,
            key="nodes",
            alt="Each node: its workers, its trials, what they have cost",
            column_config={**hours, "most memory": column.NumberColumn("most memory, GiB", format="%.2f")},
        )
        if driver and len(there):
            st.subheader("Workers now", anchor=False)
            st.dataframe(
                there.dropna(axis=1, how="all"),
                hide_index=True,
                key="workers",
                alt="Each worker: what it runs, how busy it is",
                column_config={
                    "cores": column.NumberColumn("cores in use", format="%.2f"),
                    "memory": column.NumberColumn("memory, GiB", format="%.2f"),
                    "gpu": column.NumberColumn("GPU, %", format="%.0f"),
                    "gpu memory": column.NumberColumn("GPU memory, GiB", format="%.2f"),
                },
            )
        st.subheader("Over time", anchor=False)
        if samples:
            over_time_figures(samples)
        else:
            st.text("Nothing was sampled: workers say once a minute what they use.")
    failed(now)


data.live(cluster_page, SECONDS)
